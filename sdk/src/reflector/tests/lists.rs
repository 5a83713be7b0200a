//! Lists: pages, expired tokens and versions.
use super::*;

/// Refuses the watch-list, then answers the following requests in order and leaves the last watch open.
async fn observe_list(answers: Vec<fn() -> Answer>) -> Seen {
    observe(seconds(20), move |n, _| match n {
        1 => refuse(422, "Invalid"),
        n => answers.get(n - 2).map_or_else(|| open(""), |answer| answer()),
    })
    .await
}

pub(super) fn too_large() -> Answer {
    let causes = vec!["ResourceVersionTooLarge".to_owned()];
    refuse_with(Status { code: 504, reason: "Timeout".to_owned(), causes, ..Status::default() })
}

#[tokio::test(start_paused = true)]
async fn r2_a_list_at_a_version_that_is_gone_or_ahead_is_asked_for_once_more_without() {
    for remedy in [(|| refuse(410, "Expired")) as fn() -> Answer, too_large, || refuse(410, "Gone")] {
        let seen = observe(seconds(20), move |n, _| match n {
            1 => synced_then(5, [Step::Send(event("ERROR", &status_json(410, "Expired")))]),
            2 => remedy(),
            3 => whole(&page(9, "", &[])),
            4 => refuse(410, "Expired"),
            5 => whole(&page(11, "", &[])),
            _ => open(""),
        })
        .await;
        let expected = ["watch-list", r#"list "5" 500"#, r#"list "" 500"#, "watch 9", r#"list "9" 500"#, "watch 11"];
        assert_eq!(seen.requests(), expected, "the version counts again after the success");
        assert_eq!(seen.gaps()[1], Duration::ZERO, "in the same round");
        assert!(seen.status.failure.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_always_expired_backs_off() {
    let seen = observe(seconds(60), |n, _| match n {
        1 => synced_then(5, [Step::Send(event("ERROR", &status_json(410, "Expired")))]),
        _ => refuse(410, "Expired"),
    })
    .await;
    assert!(seen.asked.len() < 12, "{:?}", seen.requests());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_gives_the_same_page_for_ever_is_no_hot_loop() {
    let seen = observe_list(vec![|| whole(&page(8, "one", &[pod("a", 1)])); 100]).await;
    assert!(seen.lists() < 12, "{} lists", seen.lists());
    assert!(!seen.status.synced);
    assert!(seen.failure().message.contains("the same page"), "{}", seen.failure().message);
}

#[tokio::test(start_paused = true)]
async fn r9_lists_come_in_pages_of_500_at_any_version() {
    // client-go asks for everything at once at a concrete version, because "limit" and a version together meant "exactly";
    // ours says NotOlderThan, so a list is cut into pages wherever the server can.
    let seen = observe_list(vec![
        || whole(&page(8, "one", &[pod("a", 1)])),
        || whole(&page(8, "two", &[pod("b", 2)])),
        || whole(&page(8, "", &[pod("c", 3)])),
    ])
    .await;
    let expected = ["watch-list", r#"list "" 500"#, r#"list "" 500 one"#, r#"list "" 500 two"#, "watch 8"];
    assert_eq!(seen.requests(), expected);
    assert_eq!(seen.deltas, ["started", "listed a@1", "listed b@2", "listed c@3", "replaced 8"]);
}

#[tokio::test(start_paused = true)]
async fn r10_a_continue_token_that_expires_yields_one_full_list() {
    let seen = observe_list(vec![|| whole(&page(8, "one", &[pod("stale", 1)])), || refuse(410, "Expired"), || {
        whole(&page(9, "", &[pod("a", 2)]))
    }])
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "" 500"#, r#"list "" 500 one"#, r#"list "" all"#, "watch 9"]);
    assert_eq!(seen.gaps()[2], Duration::ZERO);
    assert_eq!(seen.deltas, ["started", "listed stale@1", "started", "listed a@2", "replaced 9"]);
    assert!(seen.status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_full_list_is_at_the_version_that_the_pages_were_asked_at() {
    let seen = observe(seconds(20), |n, _| match n {
        1 => synced_then(5, [Step::Send(event("ERROR", &status_json(410, "Expired")))]),
        2 => whole(&page(8, "one", &[])),
        3 => refuse(410, "Expired"),
        4 => whole(&page(9, "", &[])),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests()[1..4], [r#"list "5" 500"#, r#"list "5" 500 one"#, r#"list "5" all"#]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_is_asked_for_again_and_the_list_goes_on() {
    let seen = observe_list(vec![
        || whole(&page(8, "one", &[pod("a", 1)])),
        || refuse(429, "TooManyRequests"),
        unreachable,
        || body([Step::Send(page(8, "", &[pod("b", 2)])[..120].to_owned()), Step::Break]),
        || whole(&page(8, "", &[pod("b", 2)])),
    ])
    .await;
    let second = r#"list "" 500 one"#;
    assert_eq!(seen.requests(), ["watch-list", r#"list "" 500"#, second, second, second, second, "watch 8"]);
    assert_eq!(seen.deltas.first().map(String::as_str), Some("started"));
    assert_eq!(seen.deltas.iter().filter(|delta| *delta == "started").count(), 1);
    assert_eq!(seen.deltas.last().map(String::as_str), Some("replaced 8"));
}

#[tokio::test(start_paused = true)]
async fn a_first_page_that_breaks_begins_the_list_again() {
    for half in [
        (|| body([Step::Send(page(8, "", &[pod("gone", 1), pod("b", 2)])[..190].to_owned()), Step::Break]))
            as fn() -> Answer,
        || whole(&page(8, "", &[pod("gone", 1), pod("b", 2)])[..190]),
        || whole(&page(8, "", &[pod("gone", 1), "{]".to_owned()])),
        || body([Step::Send(page(8, "", &[pod("gone", 1), pod("b", 2)])[..190].to_owned()), Step::Hang]),
    ] {
        let seen = observe(seconds(100), move |n, _| match n {
            1 => refuse(422, "Invalid"),
            2 => half(),
            3 => whole(&page(9, "", &[pod("a", 3)])),
            _ => open(""),
        })
        .await;
        assert_eq!(seen.deltas, ["started", "listed gone@1", "started", "listed a@3", "replaced 9"]);
    }
}

#[tokio::test(start_paused = true)]
async fn r19_a_table_is_an_error_and_never_stored() {
    let table =
        r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"1"},"rows":[{"object":{}}]}"#;
    let seen = observe(seconds(10), move |n, _| if n == 1 { refuse(422, "Invalid") } else { whole(table) }).await;
    assert!(!seen.status.synced);
    assert_eq!(seen.failure().reason, FailureReason::Other);
    assert!(seen.failure().message.contains("Table"), "{}", seen.failure().message);

    let seen = observe(seconds(10), move |_, _| {
        synced_then(5, [Step::Send(event("ADDED", table)), Step::Send(event("ADDED", &pod("a", 6))), Step::Hang])
    })
    .await;
    assert_eq!(seen.deltas, ["started", "replaced 5", "applied a@6"]);
    assert_eq!(seen.status.skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn items_that_can_not_be_used_are_skipped_and_counted() {
    let seen = observe_list(vec![|| {
        let nameless = r#"{"metadata":{"resourceVersion":"1"}}"#.to_owned();
        let bare = r#"{"metadata":{"name":"bare","resourceVersion":"2"}}"#.to_owned();
        whole(&page(8, "", &[nameless, bare, pod("a", 3)]))
    }])
    .await;
    assert_eq!(seen.deltas, ["started", "listed bare@2", "listed a@3", "replaced 8"]);
    assert_eq!(seen.status.skipped, 1);
}
