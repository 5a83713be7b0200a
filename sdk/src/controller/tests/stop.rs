//! How a controller ends: what may finish, what is dropped, what is left behind.
use super::*;

#[tokio::test(start_paused = true)]
async fn m12_stop_lets_reconciles_end_and_starts_no_more() {
    let running = Running::synced(controller(), async |_, _| {
        clock::sleep(10_000 * MS).await;
        Ok(Action::await_change())
    });
    running.hand.add("a");
    running.hand.add("b");
    clock::sleep(MS).await;
    let (status, calls, begin) = (running.status.clone(), Arc::clone(&running.calls), clock::now());
    assert_eq!(running.stop().await, 0);
    assert_eq!(clock::now() - begin, 9999 * MS);
    assert_eq!((calls.lock().unwrap().len(), status.status().counts.succeeded), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn m12_reconciles_that_outlast_the_grace_are_dropped() {
    let alive = Arc::new(());
    let witness = Arc::downgrade(&alive);
    let running = Running::synced(Controller::new("widget", 3), move |name, _| {
        let alive = Arc::clone(&alive);
        async move {
            if name != "quick" {
                std::future::pending::<()>().await;
            }
            drop(alive);
            Ok(Action::await_change())
        }
    });
    for name in ["a", "b", "quick"] {
        running.hand.add(name);
    }
    clock::sleep(MS).await;
    let begin = clock::now();
    assert_eq!(running.stop().await, 2);
    assert_eq!((clock::now() - begin, witness.strong_count()), (GRACE, 0));
}

#[tokio::test(start_paused = true)]
async fn m14_stop_before_the_sources_have_synced_reconciles_nothing() {
    let running = Running::start(controller(), done);
    running.hand.add("a");
    running.stop.notify_one();
    running.hand.sync();
    let calls = Arc::clone(&running.calls);
    assert_eq!(running.stop().await, 0);
    assert_eq!(calls.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn m17_no_task_outlives_the_controller() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let running = Running::synced(Controller::new("widget", 8), async |_, _| std::future::pending().await);
    running.hand.add("a");
    clock::sleep(MS).await;
    assert_eq!(tasks(), before + 9);
    assert_eq!(running.stop().await, 1);
    assert_eq!(tasks(), before);

    let running = Running::synced(Controller::new("widget", 8), async |_, _| std::future::pending().await);
    running.hand.add("a");
    clock::sleep(MS).await;
    drop(running);
    clock::sleep(MS).await;
    assert_eq!(tasks(), before, "dropping is enough");
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_reconciles_never_wait_lets_others_have_their_turn() {
    let running = Running::synced(controller(), async |_, count| {
        Ok(if count < 1000 { Action::requeue_after(Duration::ZERO) } else { Action::await_change() })
    });
    running.hand.add("a");
    let calls = || running.calls.lock().unwrap().len();
    while calls() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(calls() < 1000, "{} in a row", calls());
}
