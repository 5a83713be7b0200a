//! The Q invariants of what happens between the queue of deltas and the handlers.
//!
//! client-go's queue is a queue of keys with a known store behind it; ours hands on deltas one by one, and the store's one
//! writer makes the difference. So each invariant is one of the informer, in the form said at its test.
use super::*;
use crate::informer::runner::SLICE;

/// A list does not say what is gone. What it leaves out is deleted with its last known state, also what came only moments
/// before, while the deltas of it were queued.
#[tokio::test]
async fn q4_what_a_list_leaves_out_is_deleted_with_its_last_state_even_if_it_was_only_queued() {
    let script = Script::new();
    let (_registration, mut seen) = script.record();
    script.list(1, &[config_map("a/known"), config_map("a/kept")]).await;
    script.apply(&config_map("a/known").version(2)).await;
    script.apply(&config_map("a/queued").version(3)).await;
    script.delete(&config_map("a/kept").version(4)).await;
    script.list(9, &[config_map("a/kept").version(5)]).await;
    script.reaches(9).await;
    let mut gone = take(&mut seen).split_off(5);
    gone[1..].sort_by_key(|event| event.latest().0.clone());
    assert_eq!(
        gone,
        [added("a/kept", 5), deleted("a/known", 2, FinalState::Unknown), deleted("a/queued", 3, FinalState::Unknown)]
    );
}

/// client-go swaps the whole store under its lock. Ours takes a re-list in slices, as no reader must wait for 50,000
/// objects: each key is exact at every moment, nothing vanishes and comes back, and the version of the store moves last.
#[tokio::test]
async fn q5_readers_see_each_key_exact_at_every_moment_of_a_relist_and_the_version_move_last() {
    let script = Script::new();
    let names: Vec<String> = (0..1000).map(|n| format!("a/{n}")).collect();
    let objects = |version: u64| names.iter().map(|name| config_map(name).version(version)).collect::<Vec<_>>();
    script.list(1000, &objects(1)).await;
    script.reaches(1000).await;
    let lister = script.informer.lister();
    let mut status = script.informer.shared().status();
    script.push(Delta::ListStarted).await;
    for (n, object) in objects(2).iter().enumerate() {
        // The last hundred are gone.
        if n < 900 {
            script.push(Delta::Listed(object.raw())).await;
        }
        if n % 50 == 0 {
            tokio::task::yield_now().await;
            let versions: Vec<u64> =
                names.iter().map(|name| version_of(lister.raw(&key(name)).unwrap().metadata())).collect();
            assert!(versions.is_sorted_by(|before, after| before >= after), "a key went back");
            assert_eq!(status.borrow_and_update().version.as_str(), "1000", "not before the end");
        }
    }
    script.push(Delta::Replaced(ResourceVersion::new("2000"))).await;
    script.reaches(2000).await;
    assert_eq!(lister.len(), 900);
    assert!(names[..900].iter().all(|name| version_of(lister.raw(&key(name)).unwrap().metadata()) == 2));
}

/// client-go ends a batch at a key that is in it already. Ours applies a batch delta by delta, so that a key may stand in
/// it often, and each of its states is told in order.
#[tokio::test]
async fn q7_a_batch_that_holds_a_key_often_tells_each_of_its_states_in_order() {
    let script = Script::new();
    let (_registration, mut seen) = script.record();
    script.list(1, &[]).await;
    // Nothing runs in between, so that all of it is one batch.
    for version in 2..10 {
        let push = |delta| script.deltas.push(delta);
        let object = config_map("a/one").version(version);
        let delta = if version == 6 { Delta::Deleted(object.raw()) } else { Delta::Applied(object.raw()) };
        futures_util::FutureExt::now_or_never(push(delta)).expect("there is room").unwrap();
    }
    script.reaches(9).await;
    let update = |new| updated("a/one", new - 1, new);
    let expected = [
        added("a/one", 2),
        update(3),
        update(4),
        update(5),
        deleted("a/one", 6, FinalState::Known),
        added("a/one", 7),
        update(8),
        update(9),
    ];
    assert_eq!(take(&mut seen), expected);
}

#[tokio::test]
async fn while_more_comes_what_was_done_is_told_of_slice_by_slice_and_the_rest_when_nothing_waits() {
    let script = Script::new();
    script.list(1, &[]).await;
    let (status, (sender, mut behind)) = (script.informer.shared().status(), mpsc::unbounded_channel());
    let _registration = script.informer.shared().add_inline_handler(Box::new(move |event| {
        let told: u64 = status.borrow().version.as_str().parse().unwrap();
        let _ = sender.send((version_of(event.latest().metadata()) - told) as usize);
    }));
    script.reaches(1).await;
    let last = 3 * SLICE as u64 + 10;
    for version in 2..=last {
        let push = script.deltas.push(Delta::Applied(config_map("a/one").version(version).raw()));
        // Nothing runs in between, not even for tokio's budget.
        let push = tokio::task::unconstrained(push);
        futures_util::FutureExt::now_or_never(push).expect("there is room").unwrap();
    }
    script.reaches(last).await;
    let behind: Vec<usize> = std::iter::from_fn(|| behind.try_recv().ok()).collect();
    assert_eq!((behind.len() as u64, behind.iter().max()), (last - 1, Some(&SLICE)), "{behind:?}");
}

/// In client-go an index function that panics takes the whole batch with it, and the callbacks of the others.
#[tokio::test]
async fn q11_an_object_that_fails_in_a_batch_suppresses_no_event_of_the_others_nor_its_own() {
    let script = Script::new();
    let by_data = script.informer.add_index(|object: &ConfigMap| {
        let values: Vec<String> = object.data.clone().unwrap_or_default().into_values().collect();
        assert!(!values.contains(&"panic".to_owned()), "as the test wants");
        values
    });
    let (_registration, mut seen) = script.record();
    script.list(1, &[]).await;
    let batch = [
        config_map("a/good").version(2).data("k", "v"),
        config_map("a/bad").version(3).undecodable(),
        config_map("a/panic").version(4).data("k", "panic"),
        config_map("a/last").version(5).data("k", "v"),
    ];
    for object in &batch {
        script.apply(object).await;
    }
    script.reaches(5).await;
    let expected = [added("a/good", 2), added("a/bad", 3), added("a/panic", 4), added("a/last", 5)];
    assert_eq!(take(&mut seen), expected);
    let mut indexed = script.informer.lister().keys_by(&by_data, "v");
    indexed.sort();
    assert_eq!(indexed, [key("a/good"), key("a/last")]);
}

/// kube-rs swaps a map of 50,000 objects under its lock, and readers wait for half a second (research finding 8). Ours holds
/// its lock for one object at a time: a reader that comes at any moment of a re-list is served.
#[tokio::test]
async fn finding_8_a_relist_that_is_under_way_or_stuck_never_holds_up_readers() {
    let script = Script::new();
    let objects: Vec<_> = (0..500).map(|n| config_map(&format!("a/{n}"))).collect();
    script.list(1, &objects).await;
    script.reaches(1).await;
    let lister = script.informer.lister();
    script.push(Delta::ListStarted).await;
    for object in &objects[..250] {
        script.push(Delta::Listed(object.clone().version(7).raw())).await;
    }
    // The server sends no more for now. Readers on other threads, as a lock that this task held would hang them for ever.
    let read = tokio::task::spawn_blocking(move || (lister.len(), lister.get(&key("a/499")).unwrap().is_some()));
    assert_eq!(read.await.unwrap(), (500, true));
}

/// In kube-rs decoding is the cost of an event (research finding 9). Ours decodes when somebody looks, and then once.
#[tokio::test]
async fn finding_9_no_object_is_decoded_before_somebody_looks() {
    let script = Script::new();
    let (_registration, mut seen) = script.record();
    let (recorder, mut buffered) = Recorder::new();
    let _buffered = script.informer.add_event_handler(recorder);
    script.list(1, &[config_map("a/bad").undecodable()]).await;
    script.apply(&config_map("a/bad").version(2).undecodable()).await;
    script.reaches(2).await;
    assert_eq!(take(&mut seen), [initial("a/bad", 1), updated("a/bad", 1, 2)]);
    assert_eq!(buffered.recv().await.unwrap(), initial("a/bad", 1));
    assert_eq!(buffered.recv().await.unwrap(), updated("a/bad", 1, 2));
    assert!(script.informer.lister().get(&key("a/bad")).is_err(), "whoever looks is told");
}
