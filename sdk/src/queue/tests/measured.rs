//! W11 by name: what a queue tells of itself.
use super::*;

/// The series whose name starts with `prefix`, without the labels that all of them have.
fn series(queue: &WorkQueue<&'static str>, prefix: &str) -> Vec<String> {
    let mut snapshot = Snapshot::default();
    queue.collect("q", &mut snapshot);
    let text = snapshot.text().replace("name=\"q\",controller=\"q\"", "");
    let lines = text.lines().filter_map(|line| line.strip_prefix("workqueue_")?.strip_prefix(prefix));
    lines.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn w11_depth_is_told_by_priority_and_deduplicated_adds_are_not_counted() {
    let queue = queue().measured();
    for (key, priority) in [("a", Priority::Low), ("b", Priority::Low), ("c", Priority::High), ("a", Priority::Low)] {
        queue.add_with(key, When::Now, priority);
    }
    queue.add_after("later", MS);
    let depth = |low: u32, normal: u32, high: u32| {
        [("-100", low), ("0", normal), ("100", high)].map(|(label, depth)| format!("{{,priority=\"{label}\"}} {depth}"))
    };
    assert_eq!(series(&queue, "depth"), depth(2, 0, 1));
    assert_eq!(series(&queue, "adds_total"), ["{} 3"]);
    queue.add_with("a", When::Now, Priority::Normal);
    assert_eq!((series(&queue, "depth"), series(&queue, "adds_total")), (depth(1, 1, 1).into(), vec!["{} 3".into()]));
    clock::sleep(MS).await;
    assert_eq!(series(&queue, "depth"), depth(1, 2, 1));
    assert_eq!(series(&queue, "adds_total"), ["{} 4"], "a delayed key is added when it is due");
    while let Some(Some(key)) = try_get(&queue) {
        queue.add(key);
        queue.add(key);
    }
    assert_eq!(series(&queue, "depth"), depth(0, 0, 0));
    assert_eq!(series(&queue, "adds_total"), ["{} 8"], "once for each key that was held");
}

#[tokio::test(start_paused = true)]
async fn w11_times_in_the_queue_and_at_work_are_told_and_advance_while_a_worker_hangs() {
    let queue = queue().measured();
    queue.add("a");
    queue.add("b");
    clock::sleep(20 * MS).await;
    assert_eq!(queue.get().await, Some("a"));
    clock::sleep(30 * MS).await;
    assert_eq!(queue.get().await, Some("b"));
    clock::sleep(40 * MS).await;
    assert_eq!(series(&queue, "queue_duration_seconds_sum"), ["{} 0.07"]);
    assert_eq!(series(&queue, "queue_duration_seconds_count"), ["{} 2"]);
    assert_eq!(series(&queue, "work_duration_seconds_count"), ["{} 0"]);
    let hanging = |unfinished: &str, longest: &str| {
        assert_eq!(series(&queue, "unfinished_work_seconds"), [unfinished]);
        assert_eq!(series(&queue, "longest_running_processor_seconds"), [longest]);
    };
    hanging("{} 0.11", "{} 0.07");
    clock::sleep(100 * MS).await;
    hanging("{} 0.31", "{} 0.17");
    queue.done(&"a");
    hanging("{} 0.14", "{} 0.14");
    queue.done(&"b");
    hanging("{} 0", "{} 0");
    assert_eq!(series(&queue, "work_duration_seconds_sum"), ["{} 0.31"]);
    let buckets = series(&queue, "work_duration_seconds_bucket");
    assert_eq!(buckets[7..9], ["{,le=\"0.1\"} 0", "{,le=\"1\"} 2"]);
}

#[tokio::test(start_paused = true)]
async fn w11_every_addition_with_a_delay_is_a_retry() {
    let queue = queue().measured();
    queue.add("a");
    queue.add_after("b", MS);
    queue.add_after("b", MS);
    queue.add_after("c", Duration::ZERO);
    queue.add_rate_limited("d");
    assert_eq!(series(&queue, "retries_total"), ["{} 4"]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_not_measured_tells_nothing() {
    let queue = queue();
    queue.add("a");
    assert_eq!(series(&queue, ""), Vec::<String>::new());
}
