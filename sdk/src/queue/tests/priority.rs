//! The P invariants of controller-runtime's priority queue by name. P1 has the form with aging: there, high goes before low
//! always, so that an endless load at one priority is the end of every lower one (controller-runtime#3496). Here it goes
//! first for eight deliveries in ten, and the other two are what P8 promises. P7 is in `model`.
use super::Priority::{High, Low, Normal};
use super::*;

async fn order(queue: &WorkQueue<&'static str>, count: usize) -> Vec<(&'static str, Priority)> {
    let mut taken = Vec::new();
    for _ in 0..count {
        let (key, priority) = queue.get_with_priority().await.unwrap();
        queue.done(&key);
        taken.push((key, priority));
    }
    assert_eq!(try_get(queue), None, "{taken:?} and more");
    taken
}

#[tokio::test(start_paused = true)]
async fn p1_high_goes_before_normal_before_low_and_first_in_first_out_within_each() {
    let queue = queue();
    for (key, priority) in [("l1", Low), ("n1", Normal), ("h1", High), ("h2", High), ("n2", Normal), ("l2", Low)] {
        queue.add_with(key, When::Now, priority);
    }
    let expected = [("h1", High), ("h2", High), ("n1", Normal), ("n2", Normal), ("l1", Low), ("l2", Low)];
    assert_eq!(order(&queue, 6).await, expected);
}

#[tokio::test(start_paused = true)]
async fn p1_a_raised_key_is_last_in_its_new_priority() {
    let queue = queue();
    for (key, priority) in [("a", Low), ("b", Low), ("c", High), ("a", High), ("b", Normal)] {
        queue.add_with(key, When::Now, priority);
    }
    assert_eq!(order(&queue, 3).await, [("c", High), ("a", High), ("b", Normal)]);
}

#[tokio::test(start_paused = true)]
async fn p2_the_highest_priority_and_the_earliest_time_win_and_nothing_lowers_them() {
    let queue = queue();
    for (key, priority) in [("a", High), ("a", Low), ("b", Low), ("b", Normal), ("b", Low)] {
        queue.add_with(key, When::Now, priority);
    }
    assert_eq!(order(&queue, 2).await, [("a", High), ("b", Normal)]);
    let check = async |first: (u32, Priority), second: (u32, Priority), at: u32, priority: Priority| {
        let (queue, start) = (self::queue(), clock::now());
        for (delay, priority) in [first, second] {
            queue.add_with("a", When::After(delay * MS), priority);
        }
        assert_eq!(queue.get_with_priority().await, Some(("a", priority)), "{first:?} {second:?}");
        assert_eq!(clock::now() - start, at * MS, "{first:?} {second:?}");
        queue.done(&"a");
        clock::sleep(1000 * MS).await;
        assert_eq!(try_get(&queue), None, "{first:?} {second:?}: once");
    };
    check((20, High), (10, Low), 10, High).await;
    check((10, Low), (20, High), 10, High).await;
    check((10, High), (20, Low), 10, High).await;
    check((10, Low), (20, Low), 10, Low).await;
}

#[tokio::test(start_paused = true)]
async fn p2_a_key_added_while_it_is_held_comes_back_at_the_highest_of_those() {
    let queue = queue();
    queue.add_with("a", When::Now, High);
    assert_eq!(queue.get_with_priority().await, Some(("a", High)));
    for priority in [Low, Normal, Low] {
        queue.add_with("a", When::Now, priority);
    }
    queue.done(&"a");
    assert_eq!(order(&queue, 1).await, [("a", Normal)], "what it was delivered at counts no more");
}

#[tokio::test(start_paused = true)]
async fn p3_what_is_not_due_is_neither_delivered_nor_counted() {
    let (queue, start) = (queue(), clock::now());
    queue.add_with("a", When::After(10 * MS), High);
    assert_eq!((queue.len(), try_get(&queue)), (0, None));
    assert_eq!(queue.get().await, Some("a"));
    assert_eq!(clock::now() - start, 10 * MS);
}

#[tokio::test(start_paused = true)]
async fn p4_what_becomes_due_overtakes_lower_keys_that_wait() {
    let queue = queue();
    for key in ["l1", "l2"] {
        queue.add_with(key, When::Now, Low);
    }
    queue.add_with("h", When::After(10 * MS), High);
    assert_eq!(queue.get().await, Some("l1"));
    clock::sleep(10 * MS).await;
    assert_eq!(order(&queue, 2).await, [("h", High), ("l2", Low)]);
}

#[tokio::test(start_paused = true)]
async fn p5_a_held_key_is_handed_out_at_once_when_it_is_done_and_not_before() {
    let queue = queue();
    queue.add("a");
    assert_eq!(queue.get().await, Some("a"));
    queue.add_with("a", When::Now, High);
    assert_eq!((queue.len(), try_get(&queue)), (0, None));
    queue.done(&"a");
    assert_eq!(order(&queue, 1).await, [("a", High)]);
}

#[tokio::test(start_paused = true)]
async fn p6_shut_down_ends_a_get_that_waits_at_once_and_for_a_time() {
    for delay in [None, Some(1000 * MS)] {
        let (queue, start) = (queue(), clock::now());
        delay.into_iter().for_each(|delay| queue.add_after("later", delay));
        let ((), got) = tokio::join!(
            async {
                clock::sleep(MS).await;
                queue.shut_down();
            },
            queue.get()
        );
        assert_eq!((got, clock::now() - start), (None, MS), "{delay:?}");
    }
}

/// The shutdown meets workers in whatever they do: waiting, taking, adding again, ending.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p6_shut_down_never_deadlocks_while_keys_are_handed_out() {
    for round in 0..200 {
        let queue: WorkQueue<usize> = WorkQueue::default();
        (0..round % 8).for_each(|key| queue.add_with(key, When::Now, Priority::ALL[key % 3]));
        let mut workers = JoinSet::new();
        for _ in 0..4 {
            let queue = queue.clone();
            workers.spawn(async move {
                while let Some(key) = queue.get().await {
                    queue.add_with(key, When::After(MS / 100), High);
                    queue.add(key);
                    queue.done(&key);
                }
            });
        }
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        queue.shut_down();
        // Hangs where it deadlocks.
        workers.join_all().await;
        queue.shut_down_with_drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_added_with_a_delay_can_be_taken_back() {
    let queue = queue();
    queue.add_after("a", 10 * MS);
    queue.add_after("b", 10 * MS);
    queue.add("b");
    queue.add_rate_limited("c");
    for key in ["a", "b", "unknown"] {
        queue.cancel_after(&key);
    }
    clock::sleep(100 * MS).await;
    assert_eq!(order(&queue, 2).await, [("b", Normal), ("c", Normal)]);
}

/// The bound as the documentation of [`Priority`] states it: 49 others ahead, so within 500 deliveries.
#[tokio::test(start_paused = true)]
async fn p8_a_low_key_is_delivered_within_its_bound_under_an_endless_high_load() {
    const LOW: usize = 50;
    let queue: WorkQueue<usize> = WorkQueue::default();
    (0..LOW).for_each(|key| queue.add_with(key, When::Now, Low));
    (LOW..2 * LOW).for_each(|key| queue.add_with(key, When::Now, High));
    let mut last = None;
    for delivery in 1..=1000 {
        let (key, priority) = queue.get_with_priority().await.unwrap();
        if key == LOW - 1 {
            last.get_or_insert(delivery);
        }
        if priority == High {
            queue.add_with(key, When::Now, High);
        }
        queue.done(&key);
    }
    let last = last.unwrap();
    assert!((LOW..=10 * LOW).contains(&last), "{last}");
}

/// rust.md finding 5, at its worst: how long the unluckiest of equal keys waits, compared with the luckiest.
#[tokio::test(start_paused = true)]
async fn finding_5_the_worst_wait_ratio_between_equal_keys_that_are_always_due_is_at_most_two() {
    let check = async |keys: usize, workers: usize, priority: fn(usize) -> Priority| {
        let queue: WorkQueue<usize> = WorkQueue::default();
        (0..keys).for_each(|key| queue.add_with(key, When::Now, priority(key)));
        let (mut since, mut longest) = (vec![0; keys], vec![0; keys]);
        for round in 1..=40 * keys / workers {
            let mut held = Vec::new();
            for _ in 0..workers {
                held.push(queue.get().await.unwrap());
            }
            for key in held {
                longest[key] = longest[key].max(round - since[key]);
                since[key] = round;
                queue.add_with(key, When::Now, priority(key));
                queue.done(&key);
            }
        }
        for equal in Priority::ALL {
            let waits = || (0..keys).filter(|key| priority(*key) == equal).map(|key| longest[key]);
            let (Some(worst), Some(best)) = (waits().max(), waits().min()) else { continue };
            assert!(worst <= 2 * best, "{keys} keys, {workers} workers, {equal:?}: {worst} to {best}");
        }
    };
    for workers in [1, 4] {
        check(50, workers, |_| Normal).await;
        check(60, workers, |key| Priority::ALL[key % 3]).await;
    }
}
