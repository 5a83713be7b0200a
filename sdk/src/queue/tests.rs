//! The W invariants of client-go's work queue by name.
use std::collections::{HashMap, HashSet};

use futures_util::FutureExt;
use tokio::task::JoinSet;

use super::*;

mod exchange;

mod measured;

mod model;

mod priority;

const MS: Duration = Duration::from_millis(1);

fn queue() -> WorkQueue<&'static str> {
    WorkQueue::default()
}

/// What `get` returns without waiting, if it does not have to wait.
fn try_get<T: Clone + Eq + Hash + Send>(queue: &WorkQueue<T>) -> Option<Option<T>> {
    queue.get().now_or_never()
}

#[tokio::test(start_paused = true)]
async fn w1_many_adds_before_get_are_one_delivery() {
    let queue = queue();
    for _ in 0..3 {
        queue.add("bar");
    }
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.get().await, Some("bar"));
    queue.done(&"bar");
    assert_eq!((try_get(&queue), queue.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn w2_adds_while_processing_are_one_delivery_after_done() {
    let queue = queue();
    queue.add("bar");
    assert_eq!(queue.get().await, Some("bar"));
    for _ in 0..3 {
        queue.add("bar");
        assert_eq!((try_get(&queue), queue.len()), (None, 0), "held");
    }
    queue.done(&"bar");
    assert_eq!(queue.get().await, Some("bar"));
    queue.done(&"bar");
    assert_eq!(try_get(&queue), None);
}

#[tokio::test(start_paused = true)]
async fn w3_no_key_is_ever_held_by_two_workers() {
    const KEYS: usize = 5;
    let queue: WorkQueue<usize> = WorkQueue::default();
    let held = Arc::new(Mutex::new(HashSet::new()));
    let mut workers = JoinSet::new();
    for _ in 0..10 {
        let (queue, held) = (queue.clone(), Arc::clone(&held));
        workers.spawn(async move {
            let mut count = 0;
            while let Some(key) = queue.get().await {
                assert!(held.lock().unwrap().insert(key), "{key} is held twice");
                clock::sleep(3 * MS).await;
                assert!(held.lock().unwrap().remove(&key));
                queue.done(&key);
                count += 1;
            }
            count
        });
    }
    for round in 0..200 {
        queue.add(round % KEYS);
        clock::sleep(MS).await;
    }
    queue.shut_down_with_drain().await;
    let deliveries: usize = workers.join_all().await.into_iter().sum();
    assert!(deliveries > 100, "{deliveries} deliveries: the workers did work at once");
}

#[tokio::test(start_paused = true)]
async fn w4_after_shut_down_the_ready_are_delivered_and_nothing_is_taken_in() {
    let queue = queue();
    queue.add("a");
    queue.add("b");
    queue.add_after("late", MS);
    queue.shut_down();
    queue.add("c");
    queue.add_after("d", MS);
    queue.add_rate_limited("e");
    clock::sleep(1000 * MS).await;
    assert!(queue.is_shutting_down());
    assert_eq!((queue.get().await, queue.get().await, queue.get().await), (Some("a"), Some("b"), None));
    queue.shut_down();
    assert_eq!(queue.get().await, None, "a second shutdown changes nothing");
}

#[tokio::test(start_paused = true)]
async fn w4_shut_down_ends_every_waiting_get() {
    let queue = queue();
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let queue = queue.clone();
        workers.spawn(async move { queue.get().await });
    }
    tokio::task::yield_now().await;
    queue.shut_down();
    assert_eq!(workers.join_all().await, [None; 4]);
}

#[tokio::test(start_paused = true)]
async fn w5_drain_waits_for_done_of_what_is_held_ready_and_made_dirty_meanwhile() {
    let queue = queue();
    for key in ["held", "ready"] {
        queue.add(key);
    }
    assert_eq!(queue.get().await, Some("held"));
    queue.add("held");
    let mut drain = pin!(queue.shut_down_with_drain());
    let mut drained = || drain.as_mut().now_or_never().is_some();
    assert!(!drained(), "two keys are left");
    queue.add("new");
    queue.done(&"held");
    assert!(!drained(), "held is dirty again");
    for key in ["ready", "held"] {
        assert_eq!(queue.get().await, Some(key));
        assert!(!drained(), "{key} is held");
        queue.done(&key);
    }
    assert!(drained());
    assert_eq!(queue.get().await, None, "new keys are refused while draining");
}

#[tokio::test(start_paused = true)]
async fn w5_plain_shut_down_ends_a_drain() {
    let queue = queue();
    queue.add("held");
    assert_eq!(queue.get().await, Some("held"));
    let mut drain = pin!(queue.shut_down_with_drain());
    assert!(drain.as_mut().now_or_never().is_none());
    queue.shut_down();
    drain.await;
    queue.shut_down_with_drain().await;
}

#[tokio::test(start_paused = true)]
async fn w6_the_earliest_of_two_delays_wins_and_fires_once() {
    let check = async |first: u32, second: u32| {
        let (queue, start) = (queue(), clock::now());
        queue.add_after("a", first * MS);
        queue.add_after("a", second * MS);
        assert_eq!(try_get(&queue), None, "not before its time");
        assert_eq!(queue.get().await, Some("a"));
        assert_eq!(clock::now() - start, first.min(second) * MS, "{first} {second}");
        queue.done(&"a");
        clock::sleep(1000 * MS).await;
        assert_eq!(try_get(&queue), None, "{first} {second}: fired twice");
    };
    check(50, 30).await;
    check(30, 50).await;
    check(30, 30).await;
}

#[tokio::test(start_paused = true)]
async fn w6_an_add_does_not_take_a_delayed_key_back() {
    let queue = queue();
    queue.add_after("a", 10 * MS);
    queue.add("a");
    assert_eq!(queue.get().await, Some("a"));
    queue.done(&"a");
    assert_eq!(queue.get().await, Some("a"), "client-go delivers it at its time, too");
}

#[tokio::test(start_paused = true)]
async fn delayed_keys_come_out_at_their_times_and_before_later_adds() {
    let (queue, start) = (queue(), clock::now());
    queue.add_after("c", 30 * MS);
    queue.add_after("a", 10 * MS);
    queue.add_after("b", 20 * MS);
    queue.add_after("never", Duration::MAX);
    queue.add_after("now", Duration::ZERO);
    for (key, at) in [("now", 0), ("a", 10), ("b", 20)] {
        assert_eq!(queue.get().await, Some(key));
        assert_eq!(clock::now() - start, at * MS, "{key}");
    }
    clock::sleep(50 * MS).await;
    queue.add("after c");
    assert_eq!(queue.len(), 2, "a due key counts though nobody waited for it");
    assert_eq!((queue.get().await, queue.get().await), (Some("c"), Some("after c")));
}

#[tokio::test(start_paused = true)]
async fn delayed_keys_of_one_time_come_out_as_they_came_in() {
    let queue = queue();
    for key in ["a", "b", "a"] {
        queue.add_after(key, 10 * MS);
    }
    assert_eq!((queue.get().await, queue.get().await), (Some("a"), Some("b")), "asking again costs no place");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_delay_wakes_a_get_that_waits_for_a_later_one() {
    let (queue, start) = (queue(), clock::now());
    queue.add_after("later", 1000 * MS);
    let worker = queue.get();
    let (got, ()) = tokio::join!(worker, async {
        clock::sleep(MS).await;
        queue.add_after("earlier", 10 * MS);
    });
    assert_eq!((got, clock::now() - start), (Some("earlier"), 11 * MS));
}

#[tokio::test(start_paused = true)]
async fn w10_failures_are_counted_until_forgotten() {
    let (queue, start) = (queue(), clock::now());
    let mut at = Duration::ZERO;
    for (failures, delay) in [(1, 5), (2, 10), (3, 20)] {
        queue.add_rate_limited("one");
        assert_eq!(queue.num_requeues(&"one"), failures);
        assert_eq!(queue.get().await, Some("one"));
        at += delay * MS;
        assert_eq!(clock::now() - start, at);
        queue.done(&"one");
    }
    assert_eq!(queue.num_requeues(&"two"), 0);
    queue.forget(&"one");
    assert_eq!(queue.num_requeues(&"one"), 0);
    queue.add_rate_limited("one");
    assert_eq!(queue.get().await, Some("one"));
    assert_eq!(clock::now() - start, at + 5 * MS);
}

#[tokio::test(start_paused = true)]
async fn w12_neither_popped_keys_nor_the_room_they_took_are_retained() {
    let queue = WorkQueue::default();
    let keys: Vec<Arc<usize>> = (0..100_000).map(Arc::new).collect();
    for key in &keys {
        queue.add(Arc::clone(key));
        queue.add(Arc::clone(key));
    }
    assert_eq!(queue.len(), keys.len(), "the queue is as long as there are distinct keys");
    let last: Vec<_> = keys.iter().map(Arc::downgrade).collect();
    drop(keys);
    while !queue.is_empty() {
        let key = queue.get().await.unwrap();
        queue.done(&key);
    }
    assert_eq!(last.iter().filter(|key| key.upgrade().is_some()).count(), 0);
    let capacity = queue.lock().capacity();
    assert!(capacity <= 4 * slots::RETAINED_CAPACITY, "{capacity}");
}

#[tokio::test(start_paused = true)]
async fn w12_the_room_is_bounded_by_what_is_queued_and_not_by_what_ever_was() {
    let check = async |queued: usize, keys: std::ops::Range<usize>| {
        let queue = WorkQueue::default();
        for key in keys.clone().cycle().take(100_000) {
            queue.add(key);
            if queue.len() > queued {
                let key = queue.get().await.unwrap();
                queue.done(&key);
            }
        }
        let capacity = queue.lock().capacity();
        let bound = 4 * queued.max(slots::RETAINED_CAPACITY);
        assert!(capacity <= bound, "{queued} of {keys:?}: {capacity}");
    };
    check(0, 0..100_000).await;
    check(10_000, 0..100_000).await;
    check(0, 0..500).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_get_loses_neither_a_key_nor_a_deadline() {
    let queue = queue();
    let mut first = Box::pin(queue.get());
    let mut second = Box::pin(queue.get());
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    queue.add("a");
    drop(first);
    assert_eq!(second.await, Some("a"), "the wake-up went to the dropped one");

    let start = clock::now();
    queue.add_after("late", 1000 * MS);
    let mut first = Box::pin(queue.get());
    let mut second = Box::pin(queue.get());
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    queue.add_after("soon", 10 * MS);
    assert!(first.as_mut().now_or_never().is_none(), "it waits for the new deadline");
    drop(first);
    assert_eq!((second.await, clock::now() - start), (Some("soon"), 10 * MS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_between_threads_that_add_get_and_give_up_waiting() {
    const KEYS: usize = 4_000;
    let queue: WorkQueue<usize> = WorkQueue::default();
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let queue = queue.clone();
        workers.spawn(async move {
            let mut seen = Vec::new();
            loop {
                tokio::select! {
                    key = queue.get() => {
                        let Some(key) = key else { return seen };
                        seen.push(key);
                        queue.done(&key);
                    }
                    // Gives up a wait about as often as not.
                    () = tokio::task::yield_now() => {}
                }
            }
        });
    }
    let mut producers = JoinSet::new();
    for producer in 0..4 {
        let queue = queue.clone();
        producers.spawn(async move {
            for key in (producer..KEYS).step_by(4) {
                let delay = Duration::from_micros(if key % 3 == 0 { 50 } else { 0 });
                queue.add_after(key, delay);
                tokio::task::yield_now().await;
            }
        });
    }
    producers.join_all().await;
    // A drain would drop the delayed ones.
    while queue.core().0.next_due().is_some() {
        tokio::task::yield_now().await;
    }
    queue.shut_down_with_drain().await;
    let mut seen: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..KEYS));
}

#[tokio::test(start_paused = true)]
async fn every_waiting_worker_gets_one_of_the_keys_that_came_together() {
    let queue: WorkQueue<u32> = WorkQueue::default();
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let queue = queue.clone();
        workers.spawn(async move { queue.get().await });
    }
    clock::sleep(MS).await;
    for key in 0..4 {
        queue.add(key);
        queue.add_after(key + 4, 5 * MS);
    }
    let mut keys: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    keys.sort_unstable();
    assert_eq!(keys, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test(start_paused = true)]
async fn done_of_a_key_that_nobody_holds_changes_nothing() {
    let queue = queue();
    queue.done(&"a");
    queue.add("a");
    queue.done(&"a");
    assert_eq!(queue.get().await, Some("a"));
    queue.done(&"a");
    queue.done(&"a");
    queue.shut_down_with_drain().await;
}

/// rust.md finding 5: where kube-rs ran 4 of 50 keys that were always due, and the others never.
#[tokio::test(start_paused = true)]
async fn finding_5_keys_that_are_always_due_take_turns() {
    for workers in [1, 4] {
        let queue: WorkQueue<usize> = WorkQueue::default();
        (0..50).for_each(|key| queue.add(key));
        let mut runs: HashMap<usize, u32> = HashMap::new();
        for _ in 0..2000 / workers {
            let mut held = Vec::new();
            for _ in 0..workers {
                held.push(queue.get().await.unwrap());
            }
            for key in held {
                *runs.entry(key).or_default() += 1;
                queue.add(key);
                queue.done(&key);
            }
        }
        assert_eq!(runs.len(), 50);
        assert!(runs.values().all(|&runs| runs == 40), "{workers} workers: {runs:?}");
    }
}
