//! Several keys in the hands of one worker: nobody else's wait for a reconcile that waits.
use super::*;

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_waits_keeps_no_other_key_from_running() {
    let running = Running::synced(Controller::new("widget", 2), async |name, count| {
        if (name.as_str(), count) == ("50", 0) {
            std::future::pending::<()>().await;
        }
        Ok(Action::await_change())
    });
    (0..100).for_each(|key| running.hand.add(&key.to_string()));
    clock::sleep(MS).await;
    let calls = || running.calls.lock().unwrap().len();
    assert_eq!(calls(), 100, "what was taken with it, too");
    // And none of those that ended before it is held.
    (0..100).for_each(|key| running.hand.add(&key.to_string()));
    clock::sleep(MS).await;
    assert_eq!(calls(), 199);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_worker_after_the_key_at_hand() {
    let stop = Arc::new(Mutex::new(None::<Arc<Notify>>));
    let stopping = Arc::clone(&stop);
    let running = Running::synced(controller(), move |name, _| {
        if name == "50" {
            stopping.lock().unwrap().as_ref().unwrap().notify_one();
        }
        // Where the controller sees the stop.
        async move {
            if name == "50" {
                tokio::task::yield_now().await;
            }
            Ok(Action::await_change())
        }
    });
    *stop.lock().unwrap() = Some(Arc::clone(&running.stop));
    (0..100).for_each(|key| running.hand.add(&key.to_string()));
    clock::sleep(MS).await;
    assert_eq!(running.calls.lock().unwrap().len(), 51);
}
