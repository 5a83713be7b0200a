//! What a controller asks of its queue beyond client-go's contract: two steps in one, and a mark on a delivery.
use super::*;

fn delivered<T: Clone + Eq + Hash + Send>(queue: &WorkQueue<T>) -> Option<(T, bool)> {
    queue.deliver().now_or_never().flatten().map(|Delivery { item, anew, .. }| (item, anew))
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
                (exchanged.exchange(&delivery, clock::now().into_std()), ended.take())
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
    let now = clock::now().into_std();
    let last = queue.exchange(&first, now).unwrap();
    assert_eq!((first.item, last.item), ("a", "b"));
    assert!(drain.as_mut().now_or_never().is_none());
    assert_eq!(queue.exchange(&last, now), None);
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
    let now = clock::now().into_std();
    last.iter().for_each(|delivery| assert_eq!(queue.exchange(delivery, now), None));
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
