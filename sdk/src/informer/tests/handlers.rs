//! Handlers that leave, panic, get stuck or outlive their informer.
use futures_util::FutureExt;

use super::*;

#[tokio::test]
async fn i6_a_removed_handler_gets_nothing_more_and_is_dropped() {
    let script = Script::new();
    let (removed, mut gone) = script.record();
    let (kept, mut seen) = script.record();
    let (recorder, mut buffered) = Recorder::new();
    let registration = script.informer.add_event_handler(recorder);
    script.list(1, &[config_map("a/one")]).await;
    removed.synced().await;
    registration.synced().await;
    assert_eq!((gone.recv().await, buffered.recv().await), (Some(initial("a/one", 1)), Some(initial("a/one", 1))));
    drop((removed, registration));
    script.apply(&config_map("a/two").version(2)).await;
    script.reaches(2).await;
    assert_eq!((gone.recv().await, buffered.recv().await), (None, None), "the handlers themselves are dropped");
    assert_eq!(take(&mut seen), [initial("a/one", 1), added("a/two", 2)]);
    drop(kept);
    let (never, mut nothing) = script.record();
    drop(never);
    assert_eq!(nothing.recv().await, None, "removed before the informer took it in");
}

#[tokio::test]
async fn i6_no_call_begins_after_the_removal_not_even_for_the_event_that_is_being_told() {
    let script = Script::new();
    let other = Arc::<std::sync::Mutex<Option<Registration>>>::default();
    let removes = Arc::clone(&other);
    let _first = script.informer.shared().add_inline_handler(Box::new(move |_| drop(removes.lock().unwrap().take())));
    let (second, mut seen) = script.record();
    *other.lock().unwrap() = Some(second);
    script.list(1, &[config_map("a/one")]).await;
    script.reaches(1).await;
    assert_eq!(seen.recv().await, None);
}

#[tokio::test]
async fn i8_two_registrations_are_independent() {
    let script = Script::new();
    let (first, mut first_seen) = script.record();
    let (second, mut second_seen) = script.record();
    script.list(1, &[config_map("a/one")]).await;
    first.synced().await;
    second.synced().await;
    drop(first);
    script.apply(&config_map("a/one").version(2)).await;
    script.reaches(2).await;
    assert_eq!(take(&mut first_seen), [initial("a/one", 1)]);
    assert_eq!(take(&mut second_seen), [initial("a/one", 1), updated("a/one", 1, 2)]);
}

#[tokio::test]
async fn i10_a_panicking_handler_stops_nobody_and_never_counts_as_synced() {
    let script = Script::new();
    let (recorder, mut buffered) = Recorder::new();
    let panicking = script.informer.add_event_handler(recorder.panicking_on("a/one"));
    let inline = script.informer.shared().add_inline_handler(Box::new(|event| {
        assert!(event.latest().metadata().key != key("a/one"), "as the test wants");
    }));
    let (other, mut seen) = script.record();
    script.list(1, &[config_map("a/one"), config_map("a/two")]).await;
    script.apply(&config_map("a/three").version(2)).await;
    other.synced().await;
    assert!(script.reaches(2).await.synced, "a mapping that panics does not keep the operator from starting");
    assert_eq!(take(&mut seen).len(), 3);
    assert_eq!(buffered.recv().await, Some(initial("a/two", 1)));
    assert_eq!(buffered.recv().await, Some(added("a/three", 2)), "it goes on with the next event");
    assert!(!panicking.has_synced() && !inline.has_synced());
}

#[tokio::test]
async fn a_panic_after_the_initial_list_leaves_a_handler_synced() {
    let script = Script::new();
    let (recorder, mut buffered) = Recorder::new();
    let registration = script.informer.add_event_handler(recorder.panicking_on("a/two"));
    script.list(1, &[config_map("a/one")]).await;
    registration.synced().await;
    script.apply(&config_map("a/two").version(2)).await;
    script.apply(&config_map("a/one").version(3)).await;
    assert_eq!(buffered.recv().await, Some(initial("a/one", 1)));
    assert_eq!(buffered.recv().await, Some(updated("a/one", 1, 3)));
    assert!(registration.has_synced());
}

#[tokio::test]
async fn i11_a_stuck_handler_delays_only_itself_and_holds_bounded_memory() {
    let script = Script::new();
    let (gate, closed) = std_mpsc::channel::<()>();
    let (recorder, mut slow) = Recorder::new();
    let (recorder, mut began) = recorder.behind(closed);
    let stuck = script.informer.add_event_handler(recorder);
    let (recorder, mut quick) = Recorder::new();
    let _quick = script.informer.add_event_handler(recorder);
    const KEYS: u64 = 10;
    let last = 3 * BUFFER_BOUND as u64;
    let name_at = |version| if version > last { "z/last".to_owned() } else { format!("a/{}", version % KEYS) };
    script.list(1, &[config_map("a/1")]).await;
    assert_eq!(quick.recv().await, Some(initial("a/1", 1)));
    began.recv().await.unwrap();
    let mut received = 0;
    for version in 2..=last {
        script.apply(&config_map(&name_at(version)).version(version)).await;
        quick.recv().await.unwrap();
        received += 1;
    }
    assert_eq!(received, last - 1, "who keeps up gets every event, while the other is stuck");
    script.apply(&config_map("z/last").version(last + 1)).await;
    script.reaches(last + 1).await;
    assert!(!stuck.has_synced());
    drop(gate);
    let mut events: Vec<Seen> = Vec::new();
    while events.last() != Some(&added("z/last", last + 1)) {
        events.push(slow.recv().await.unwrap());
    }
    // One event was in the handler's hands while the others waited.
    assert!(events.len() <= 1 + BUFFER_BOUND + 2 * KEYS as usize, "{}", events.len());
    let newest = (last - KEYS + 1..=last + 1).map(|version| (name_at(version), version)).collect();
    assert_eq!(replay(events), newest);
}

#[tokio::test]
async fn i12_stop_waits_for_the_running_call_and_drops_every_handler() {
    let mut script = Script::new();
    let (gate, closed) = std_mpsc::channel::<()>();
    let (recorder, mut slow) = Recorder::new();
    let (recorder, mut began) = recorder.behind(closed);
    let _slow = script.informer.add_event_handler(recorder);
    let (_inline, mut seen) = script.record();
    script.list(1, &[config_map("a/one"), config_map("a/two")]).await;
    assert_eq!(seen.recv().await, Some(initial("a/one", 1)));
    script.reaches(1).await;
    gate.send(()).unwrap();
    assert!(slow.recv().await.is_some());
    assert!(began.recv().await.and(began.recv().await).is_some(), "one call has returned, the next waits at the gate");
    script.stop.send_replace(true);
    tokio::task::yield_now().await;
    assert!(script.tasks.try_join_next().is_none(), "a handler is in a call");
    drop(gate);
    script.tasks.join_next().await.unwrap().unwrap();
    assert!(slow.recv().await.is_some());
    assert_eq!(slow.recv().await, None, "dropped");
    assert_eq!(seen.recv().await, Some(initial("a/two", 1)));
    assert_eq!(seen.recv().await, None, "dropped");
}

#[tokio::test]
async fn i9_a_handler_that_comes_after_the_stop_is_dropped_at_once() {
    let mut script = Script::new();
    let (_early, mut early) = script.record();
    script.stop.send_replace(true);
    script.tasks.join_next().await.unwrap().unwrap();
    assert_eq!(early.recv().await, None, "one that was not taken in yet is dropped too");
    let (late, mut seen) = script.record();
    assert_eq!(seen.recv().await, None);
    assert!(!late.has_synced());
}

#[tokio::test]
async fn dropping_the_task_stops_handlers_at_their_next_event() {
    let script = Script::new();
    let (gate, closed) = std_mpsc::channel::<()>();
    let (recorder, mut slow) = Recorder::new();
    let (recorder, mut began) = recorder.behind(closed);
    let _slow = script.informer.add_event_handler(recorder);
    script.list(1, &[config_map("a/one"), config_map("a/two"), config_map("a/three")]).await;
    script.reaches(1).await;
    gate.send(()).unwrap();
    slow.recv().await.unwrap();
    assert!(began.recv().await.and(began.recv().await).is_some(), "the second call waits at the gate");
    let Script { mut tasks, .. } = script;
    tasks.shutdown().await;
    drop(gate);
    slow.recv().await.unwrap();
    assert_eq!(slow.recv().await, None, "the call that ran has returned; no other began");
}

#[tokio::test]
async fn i7_removing_returns_after_the_running_call_has() {
    let script = Script::new();
    let (gate, closed) = std_mpsc::channel::<()>();
    let (recorder, mut slow) = Recorder::new();
    let (recorder, mut began) = recorder.behind(closed);
    let registration = script.informer.add_event_handler(recorder);
    script.list(1, &[config_map("a/one"), config_map("a/two")]).await;
    began.recv().await.unwrap();
    let mut removing = std::pin::pin!(registration.remove());
    assert!(removing.as_mut().now_or_never().is_none(), "a call is running");
    script.apply(&config_map("a/three").version(2)).await;
    script.reaches(2).await;
    assert!(removing.as_mut().now_or_never().is_none(), "it still is");
    gate.send(()).unwrap();
    removing.await;
    assert_eq!(slow.recv().await.unwrap().latest().0, "a/one");
    assert_eq!(slow.try_recv(), Err(mpsc::error::TryRecvError::Disconnected), "no call began, and it is dropped");
}

#[tokio::test]
async fn i7_removing_a_handler_that_has_nothing_to_do_or_never_came_in_does_not_wait() {
    let mut script = Script::new();
    let (recorder, mut idle) = Recorder::new();
    let (registration, (inline, mut seen)) = (script.informer.add_event_handler(recorder), script.record());
    script.list(1, &[]).await;
    registration.synced().await;
    registration.remove().await;
    inline.remove().await;
    assert_eq!((idle.try_recv().is_err(), seen.try_recv().is_err()), (true, true));

    let (recorder, mut never) = Recorder::new();
    let registration = script.informer.add_event_handler(recorder);
    registration.remove().await;
    assert_eq!(never.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));

    let (last, _) = script.record();
    script.stop.send_replace(true);
    script.tasks.join_next().await.unwrap().unwrap();
    assert!(last.has_ended() && script.informer.is_stopped());
    last.remove().await;
}

#[tokio::test]
async fn merges_are_counted_for_the_handler_and_the_informer() {
    let script = Script::new();
    let (gate, closed) = std_mpsc::channel::<()>();
    let (recorder, _slow) = Recorder::new();
    let (recorder, mut began) = recorder.behind(closed);
    let stuck = script.informer.add_event_handler(recorder);
    let quick = script.informer.add_event_handler(Recorder::new().0);
    script.list(1, &[config_map("a/one")]).await;
    began.recv().await.unwrap();
    quick.synced().await;
    const MERGED: u64 = 7;
    let last = 1 + BUFFER_BOUND as u64 + MERGED;
    for version in 2..=last {
        script.apply(&config_map("a/one").version(version)).await;
    }
    assert_eq!(script.reaches(last).await.merged, MERGED);
    assert_eq!((stuck.merged(), stuck.waiting()), (MERGED, BUFFER_BOUND));
    let mut snapshot = crate::metrics::Snapshot::default();
    script.informer.shared().collect(&mut snapshot);
    let series = format!("kubewright_informer_merged_events_total{{kind=\"configmaps/v1\"}} {MERGED}\n");
    assert!(snapshot.text().contains(&series), "{}", snapshot.text());
    assert_eq!(quick.merged(), 0);
    drop(gate);
    stuck.synced().await;
    stuck.remove().await;
    script.apply(&config_map("a/one").version(last + 1)).await;
    assert_eq!(script.reaches(last + 1).await.merged, MERGED, "also of a handler that is gone");
}
