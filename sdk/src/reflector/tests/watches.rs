//! What comes on a watch that works.
use super::*;

#[tokio::test(start_paused = true)]
async fn events_come_in_order_with_what_they_say() {
    let seen = observe(seconds(5), |_, _| {
        let events = [event("ADDED", &pod("a", 6)), event("MODIFIED", &pod("a", 7)), event("DELETED", &pod("a", 8))];
        synced_then(5, [Step::Send(events.concat()), Step::Hang])
    })
    .await;
    assert_eq!(seen.deltas, ["started", "replaced 5", "applied a@6", "applied a@7", "deleted a@8"]);
    assert_eq!(seen.status.last_version.as_str(), "8");
}

#[tokio::test(start_paused = true)]
async fn r6_each_watch_asks_for_a_timeout_of_five_to_ten_minutes() {
    let seen = observe(seconds(60), |_, _| synced_then(5, [Step::Wait(seconds(2))])).await;
    let timeouts: Vec<Duration> = seen
        .asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Watch(options) => Some(options.timeout),
            Asked::List(_) => None,
        })
        .collect();
    assert!(timeouts.len() > 20);
    assert!(timeouts.iter().all(|timeout| (seconds(300)..=seconds(600)).contains(timeout)), "{timeouts:?}");
    assert!(timeouts.iter().any(|timeout| *timeout != timeouts[0]), "they are drawn");
}

#[tokio::test(start_paused = true)]
async fn r7_bookmarks_move_the_version_and_nothing_else() {
    let seen = observe(seconds(5), |n, _| match n {
        1 => synced_then(5, [Step::Send(bookmark(20)), Step::Wait(seconds(2))]),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.deltas, ["started", "replaced 5", "bookmark 20"]);
    assert_eq!(seen.requests(), ["watch-list", "watch 20"]);
    assert_eq!(seen.status.last_version.as_str(), "20");
}

#[tokio::test(start_paused = true)]
async fn r8_objects_of_another_kind_are_dropped_and_the_watch_goes_on() {
    let seen = observe(seconds(5), |n, _| match n {
        1 => {
            let other = r#"{"kind":"Node","apiVersion":"v1","metadata":{"name":"n","resourceVersion":"6"}}"#;
            let group = r#"{"kind":"Pod","apiVersion":"else/v1","metadata":{"name":"n","resourceVersion":"7"}}"#;
            let events = [event("ADDED", other), event("ADDED", group), event("FUTURE", &pod("x", 8))];
            synced_then(5, [Step::Send(events.concat()), Step::Wait(seconds(2))])
        }
        _ => open(&event("ADDED", &pod("a", 9))),
    })
    .await;
    assert_eq!(seen.deltas, ["started", "replaced 5", "applied a@9"]);
    assert_eq!(seen.requests(), ["watch-list", "watch 8"], "their versions count");
    assert_eq!(seen.status.skipped, 2);
    assert!(seen.status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn objects_without_usable_metadata_are_skipped_while_the_version_moves_on() {
    let seen = observe(seconds(5), |n, _| match n {
        1 => {
            let bad = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","labels":5,"resourceVersion":"6"}}"#;
            synced_then(5, [Step::Send(event("MODIFIED", bad)), Step::Wait(seconds(2))])
        }
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", "watch 6"]);
    assert_eq!(seen.status.skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn metadata_only_takes_partial_objects_and_whole_ones() {
    let target = Target { metadata_only: true, ..pods() };
    let seen = observe_target(target, seconds(5), |_, _| {
        let partial = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","resourceVersion":"6"}}"#;
        let other = partial.replace("meta.k8s.io/v1", "else/v1");
        let events = [event("ADDED", partial), event("ADDED", &other), event("ADDED", &pod("b", 7))];
        synced_then(5, [Step::Send(events.concat()), Step::Hang])
    })
    .await;
    assert_eq!(seen.deltas, ["started", "replaced 5", "applied a@6", "applied b@7"]);
    assert_eq!(seen.status.skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fell_silent_is_given_up_and_watched_again_at_the_same_version() {
    let seen = observe(seconds(250), |n, _| match n {
        1 => synced_then(5, [Step::Wait(seconds(40)), Step::Send(bookmark(6)), Step::Hang]),
        2 => whole(&page(6, "", &[])),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "6" 1"#, "watch 6"], "once the server has shown that it has it");
    assert_eq!(seen.times[1], seconds(40) + watch::WATCH_SILENCE);
    assert!(seen.status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_the_server_ends_is_followed_by_another_at_once() {
    let seen = observe(seconds(700), |n, _| match n {
        1 => synced_then(
            5,
            [Step::Wait(seconds(100)), Step::Send(event("ADDED", &pod("a", 8))), Step::Wait(seconds(100))],
        ),
        2 => body([Step::Wait(seconds(90)), Step::Break]),
        4 => whole(&page(9, "", &[])),
        _ => body([Step::Send(bookmark(9)), Step::Wait(seconds(100)), Step::Send(bookmark(9)), Step::Hang]),
    })
    .await;
    assert_eq!(seen.requests()[..3], ["watch-list", "watch 8", "watch 8"]);
    assert_eq!(seen.times[1], seconds(200));
    assert_eq!(seen.times[2], seconds(290));
    assert!(seen.status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_line_end_counts_and_half_an_event_does_not() {
    let seen = observe(seconds(5), |n, _| match n {
        1 => {
            let last = event("ADDED", &pod("a", 6));
            synced_then(5, [Step::Wait(seconds(2)), Step::Send(last.trim_end().to_owned())])
        }
        2 => {
            let half = event("ADDED", &pod("b", 7));
            body([Step::Wait(seconds(1)), Step::Send(half[..half.len() / 2].to_owned())])
        }
        _ => open(""),
    })
    .await;
    assert_eq!(seen.deltas, ["started", "replaced 5", "applied a@6"]);
    assert_eq!(seen.requests(), ["watch-list", "watch 6", "watch 6"]);
}

// R17, resync: there is none. A store that diffs re-lists needs no periodic replay, so there is nothing that could send.
#[tokio::test(start_paused = true)]
async fn r17_a_quiet_hour_sends_nothing_but_watches() {
    let seen = observe(seconds(3600), |_, _| {
        let minutes = (0..7).flat_map(|n| [Step::Wait(seconds(60)), Step::Send(bookmark(6 + n))]);
        synced_then(5, minutes)
    })
    .await;
    assert_eq!(seen.lists(), 0);
    assert!(seen.asked.len() <= 10, "{:?}", seen.requests());
}
