//! What a controller asks of its queue beyond client-go's contract: two steps in one, and a mark on a delivery.
use super::*;

fn delivered<T: Clone + Eq + Hash + Send>(queue: &WorkQueue<T>) -> Option<(T, bool)> {
    queue.deliver().now_or_never().flatten().map(|Delivery { item, anew, .. }| (item, anew))
}

const ONE: Share = Share { keys: 1, workers: 1 };

fn ended<T>(delivery: Delivery<T>) -> Ended<T> {
    let now = clock::now().into_std();
    Ended { delivery, begun: now, ended: now }
}

fn exchange<T: Clone + Eq + Hash + Send>(queue: &WorkQueue<T>, delivery: Delivery<T>) -> Option<Delivery<T>> {
    let mut next = VecDeque::new();
    queue.exchange(&mut vec![ended(delivery)], clock::now().into_std(), ONE, &mut next);
    next.pop_front()
}

fn take<T: Clone + Eq + Hash + Send>(queue: &WorkQueue<T>, keys: usize, workers: usize) -> VecDeque<Delivery<T>> {
    let mut taken = VecDeque::new();
    queue.exchange(&mut Vec::new(), clock::now().into_std(), Share { keys, workers }, &mut taken);
    taken
}

/// The same keys come and are worked on, once with `exchange` and once with `done` and `get`, at random priorities, some
/// of them again while they are held and some with a delay.
#[tokio::test(start_paused = true)]
async fn an_exchange_is_done_and_get_in_one_look() {
    let (exchanged, ended) = (WorkQueue::<u64>::default(), WorkQueue::<u64>::default());
    let mut random = fastrand::Rng::with_seed(7);
    let mut held: Option<Delivery<u64>> = None;
    for _ in 0..5_000 {
        for _ in 0..random.usize(0..3) {
            let (key, priority) = (random.u64(0..20), Priority::ALL[random.usize(0..3)]);
            let when = if random.u8(0..4) == 0 { When::After(random.u32(1..9) * MS) } else { When::Now };
            [&exchanged, &ended].into_iter().for_each(|queue| queue.add_with(key, when, priority));
        }
        clock::sleep(random.u32(0..3) * MS).await;
        let (next, expected) = match held.take() {
            Some(delivery) => {
                ended.done(&delivery.item);
                (exchange(&exchanged, delivery), ended.take())
            }
            None => (exchanged.take(), ended.take()),
        };
        assert_eq!(next, expected);
        assert_eq!(exchanged.len(), ended.len());
        held = next;
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_of_the_last_key_ends_a_drain() {
    let queue = queue();
    queue.add("a");
    queue.add("b");
    let first = queue.take().unwrap();
    let mut drain = pin!(queue.shut_down_with_drain());
    assert!(drain.as_mut().now_or_never().is_none());
    let last = exchange(&queue, first.clone()).unwrap();
    assert_eq!((first.item, last.item), ("a", "b"));
    assert!(drain.as_mut().now_or_never().is_none());
    assert_eq!(exchange(&queue, last), None);
    assert!(drain.as_mut().now_or_never().is_some());
}

/// What is left of many keys moves together, and what was held before is held elsewhere then.
#[tokio::test(start_paused = true)]
async fn an_exchange_finds_a_key_that_was_moved_since_it_was_delivered() {
    let queue = WorkQueue::<usize>::default();
    (0..8 * slots::RETAINED_CAPACITY).for_each(|key| queue.add(key));
    let mut held: Vec<_> = (0..8 * slots::RETAINED_CAPACITY).map(|_| queue.take().unwrap()).collect();
    let last = held.split_off(held.len() - 2);
    held.iter().for_each(|delivery| queue.done(&delivery.item));
    assert!(queue.lock().capacity() < 4 * slots::RETAINED_CAPACITY, "they were moved");
    last.into_iter().for_each(|delivery| assert_eq!(exchange(&queue, delivery), None));
    queue.shut_down_with_drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_says_once_that_its_key_was_asked_for_anew() {
    let check = |add: fn(&WorkQueue<&'static str>), expected: &[bool]| {
        let queue = queue();
        add(&queue);
        for anew in expected {
            assert_eq!(queue.is_anew(&"a"), *anew);
            assert_eq!(delivered(&queue), Some(("a", *anew)), "{expected:?}");
            assert!(!queue.is_anew(&"a"));
            queue.done(&"a");
        }
        assert_eq!(delivered(&queue), None, "{expected:?}");
    };
    check(|queue| queue.add("a"), &[false]);
    check(|queue| queue.add_anew("a", Priority::High), &[true]);
    check(
        |queue| {
            queue.add("a");
            queue.add_anew("a", Priority::High);
            queue.add("a");
        },
        &[true],
    );
    // While it is held.
    check(
        |queue| {
            queue.add("a");
            assert_eq!(delivered(queue), Some(("a", false)));
            queue.add_anew("a", Priority::Low);
            queue.done(&"a");
        },
        &[true],
    );
    check(
        |queue| {
            queue.add_anew("a", Priority::High);
            assert_eq!(delivered(queue), Some(("a", true)));
            queue.add("a");
            queue.done(&"a");
        },
        &[false],
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_anew_wakes_a_get_and_is_refused_after_shut_down() {
    let queue = queue();
    let (got, ()) = tokio::join!(queue.get(), async { queue.add_anew("a", Priority::High) });
    assert_eq!(got, Some("a"));
    queue.done(&"a");
    queue.shut_down();
    queue.add_anew("b", Priority::High);
    assert_eq!(delivered(&queue), None);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_takes_no_more_than_a_share_of_what_is_ready_and_at_least_one() {
    let check = |ready: usize, keys: usize, workers: usize, expected: usize| {
        let queue = WorkQueue::<usize>::default();
        (0..ready).for_each(|key| queue.add(key));
        let taken = take(&queue, keys, workers);
        assert_eq!(taken.len(), expected, "{ready} {keys} {workers}");
        assert!(taken.iter().map(|delivery| delivery.item).eq(0..expected), "in their order");
    };
    check(0, 16, 2, 0);
    check(1, 16, 2, 1);
    check(10, 16, 2, 5);
    check(10, 3, 2, 3);
    check(10, 0, 0, 1);
}

/// Keys are taken in bulk, some are worked on and the rest goes back: the order is that of one by one.
#[tokio::test(start_paused = true)]
async fn what_is_put_back_keeps_its_place() {
    let (bulk, single) = (WorkQueue::<u64>::default(), WorkQueue::<u64>::default());
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..2_000 {
        for _ in 0..random.usize(0..10) {
            let key = random.u64(0..40);
            [&bulk, &single].into_iter().for_each(|queue| queue.add(key));
        }
        let (keys, begun) = (random.usize(1..9), random.usize(0..9));
        let mut taken = take(&bulk, keys, 1);
        let mut ends = Vec::new();
        for delivery in taken.drain(..begun.min(taken.len())) {
            assert_eq!(single.take().map(|delivery| delivery.item), Some(delivery.item));
            single.done(&delivery.item);
            ends.push(ended(delivery));
        }
        bulk.put_back(&mut ends, &mut taken);
        assert!(ends.is_empty() && taken.is_empty());
        assert_eq!(bulk.len(), single.len());
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_key_is_in_hand_is_part_of_what_is_put_back() {
    let check = |add: fn(&WorkQueue<&'static str>), expected: (Priority, bool)| {
        let queue = queue();
        queue.add_with("a", When::Now, Priority::Normal);
        let taken = queue.take().unwrap();
        add(&queue);
        queue.put_back(&mut Vec::new(), &mut VecDeque::from([taken]));
        let Delivery { priority, anew, .. } = queue.take().unwrap();
        assert_eq!((priority, anew), expected);
        queue.done(&"a");
        assert_eq!(delivered(&queue), None, "once");
    };
    check(|_| {}, (Priority::Normal, false));
    check(|queue| queue.add_with("a", When::Now, Priority::Low), (Priority::Normal, false));
    check(|queue| queue.add_with("a", When::Now, Priority::High), (Priority::High, false));
    check(|queue| queue.add_anew("a", Priority::Low), (Priority::Normal, true));
}

#[tokio::test(start_paused = true)]
async fn what_is_put_back_wakes_a_get_and_is_measured_once() {
    let queue = queue().measured();
    ["a", "b"].into_iter().for_each(|key| queue.add(key));
    clock::sleep(MS).await;
    let mut taken = take(&queue, 2, 1);
    assert_eq!(taken.pop_front().unwrap().item, "a");
    clock::sleep(MS).await;
    let (got, ()) = tokio::join!(queue.get(), async {
        queue.put_back(&mut Vec::new(), &mut taken);
    });
    assert_eq!(got, Some("b"));
    queue.done(&"a");
    queue.done(&"b");
    let mut snapshot = Snapshot::default();
    queue.collect("q", &mut snapshot);
    let text = snapshot.text().replace("{name=\"q\",controller=\"q\"}", "");
    for line in [
        "workqueue_queue_duration_seconds_count 2",
        "workqueue_queue_duration_seconds_sum 0.003",
        "workqueue_work_duration_seconds_count 2",
        "workqueue_unfinished_work_seconds 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} {text}");
    }
}
