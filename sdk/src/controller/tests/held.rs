//! When a key comes back: the hold of failing keys, and the priority it has then.
use super::*;
use crate::queue::Priority;

/// Where events run a failing key early, each of these failures doubles a back-off that nobody waited for, and a minute of
/// trouble ends in a wait of 1000 s.
#[tokio::test(start_paused = true)]
async fn kubernetes_132805_events_neither_shorten_nor_inflate_the_back_off_of_a_failing_key() {
    for trigger in [Trigger::Known, Trigger::Changed] {
        let running = Running::synced(controller(), async |_, _| Err(Failed::new("not yet")));
        running.hand.trigger("a", trigger);
        for _ in 0..100 {
            clock::sleep(MS).await;
            running.hand.trigger("a", trigger);
        }
        assert_eq!(running.calls("a"), [0, 5, 15, 35, 75], "{trigger:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_primary_asks_anew_lifts_the_hold_and_resets_the_back_off() {
    let running = Running::synced(controller(), async |_, _| Err(Failed::new("not yet")));
    running.hand.add("a");
    clock::sleep(50 * MS).await;
    assert_eq!(running.calls("a"), [0, 5, 15, 35]);
    running.hand.trigger("a", Trigger::Asked);
    clock::sleep(20 * MS).await;
    assert_eq!(running.calls("a"), [0, 5, 15, 35, 50, 55, 65]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_asked_anew_while_it_fails_runs_again_at_once() {
    let running = Running::synced(controller(), async |_, count| {
        clock::sleep(10 * MS).await;
        if count < 4 { Err(Failed::new("not yet")) } else { Ok(Action::await_change()) }
    });
    running.hand.add("a");
    clock::sleep(20 * MS).await;
    running.hand.trigger("a", Trigger::Asked);
    clock::sleep(1000 * MS).await;
    assert_eq!(running.calls("a"), [0, 15, 25, 40, 60]);
}

#[tokio::test(start_paused = true)]
async fn m6_a_key_keeps_its_priority_through_errors_and_requeues() {
    let running = Running::synced(controller(), async |name, count| match (name.as_str(), count) {
        ("failing", 0) => Err(Failed::new("busy").retry_after(50 * MS)),
        ("again", 0) => Ok(Action::requeue_after(50 * MS)),
        ("long", _) => {
            clock::sleep(100 * MS).await;
            Ok(Action::await_change())
        }
        _ => Ok(Action::await_change()),
    });
    running.hand.trigger("failing", Trigger::Known);
    running.hand.trigger("again", Trigger::Known);
    clock::sleep(10 * MS).await;
    // While this one runs the other two become due, and then one comes that was not there.
    running.hand.add("long");
    clock::sleep(90 * MS).await;
    running.hand.add("late");
    clock::sleep(MS * 50).await;
    let order: Vec<_> = running.calls.lock().unwrap().iter().skip(3).map(|(name, _)| name.clone()).collect();
    assert_eq!(order, ["late", "failing", "again"]);
}

#[tokio::test(start_paused = true)]
async fn m6_an_action_names_another_priority_for_the_key_to_come_back_at() {
    let running = Running::synced(controller(), async |name, count| match (name.as_str(), count) {
        ("kept", 0) => Ok(Action::requeue_after(50 * MS)),
        ("raised", 0) => Ok(Action::requeue_after(50 * MS).with_priority(Priority::High)),
        ("lowered", 0) => Ok(Action::requeue_after(50 * MS).with_priority(Priority::Low)),
        ("long", _) => {
            clock::sleep(100 * MS).await;
            Ok(Action::await_change())
        }
        _ => Ok(Action::await_change()),
    });
    for name in ["lowered", "kept", "raised"] {
        running.hand.add(name);
    }
    clock::sleep(10 * MS).await;
    running.hand.add("long");
    clock::sleep(200 * MS).await;
    let order: Vec<_> = running.calls.lock().unwrap().iter().skip(4).map(|(name, _)| name.clone()).collect();
    assert_eq!(order, ["raised", "kept", "lowered"]);
}
