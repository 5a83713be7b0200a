//! Servers, and what stands between them and us, that send what no API server does.
use super::*;

/// Answers the watch-list with `first`, then requests in order, and leaves the last watch open.
async fn observe_after(first: fn() -> Answer, answers: Vec<fn() -> Answer>) -> Seen {
    observe(seconds(60), move |n, _| match n {
        1 => first(),
        n => answers.get(n - 2).map_or_else(|| open(""), |answer| answer()),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_server_refuses_is_not_asked_for_for_ever() {
    let odd: [fn() -> Answer; 2] = [
        || synced_then(5, [Step::Send(bookmark_at("18446744073709551616")), Step::Wait(seconds(2))]),
        || {
            synced_then(
                5,
                [Step::Send(event("MODIFIED", &pod("a", 6).replace("\"6\"", "\"x\""))), Step::Wait(seconds(2))],
            )
        },
    ];
    for first in odd {
        let seen = observe(seconds(60), move |n, asked| match (n, asked) {
            (1, _) => first(),
            (_, Asked::List(options)) if options.resource_version.is_empty() => whole(&page(9, "", &[])),
            (_, Asked::Watch(options)) if options.resource_version.as_str() == "9" => open(""),
            _ => refuse(400, "BadRequest"),
        })
        .await;
        assert_eq!(seen.requests()[3..], [r#"list "" 500"#, "watch 9"], "{:?}", seen.requests());
        assert!(seen.status.failure.is_none());
    }
}

fn bookmark_at(version: &str) -> String {
    bookmark(6).replace("\"6\"", &format!("{version:?}"))
}

/// What can not be asked for is refused before it is sent.
#[tokio::test(start_paused = true)]
async fn a_version_that_makes_no_request_is_not_asked_for_for_ever() {
    let unsendable = || Answer::Fail(http::Request::get("\u{7f}").body(()).unwrap_err().into());
    let seen = observe(seconds(60), move |n, asked| match (n, asked) {
        (1, _) => synced_then(5, [Step::Send(bookmark_at(&"9".repeat(70_000))), Step::Wait(seconds(2))]),
        (_, Asked::List(options)) if options.resource_version.is_empty() => whole(&page(9, "", &[])),
        (_, Asked::Watch(options)) if options.resource_version.as_str() == "9" => open(""),
        _ => unsendable(),
    })
    .await;
    assert_eq!(seen.requests()[3..], [r#"list "" 500"#, "watch 9"]);
}

/// As client-go's pager does. What changed while the pages were read would be missed otherwise.
#[tokio::test(start_paused = true)]
async fn a_list_whose_pages_are_of_several_versions_is_as_old_as_the_first() {
    let seen = observe_after(
        || refuse(422, "Invalid"),
        vec![|| whole(&page(8, "one", &[pod("a", 1)])), || whole(&page(9, "two", &[pod("b", 2)])), || {
            whole(&page(10, "", &[pod("c", 3)]))
        }],
    )
    .await;
    assert_eq!(seen.requests().last().map(String::as_str), Some("watch 8"));
    assert_eq!(seen.deltas.last().map(String::as_str), Some("replaced 8"));

    let begun_again: Vec<fn() -> Answer> =
        vec![|| whole(&page(8, "one", &[pod("a", 1)])), || refuse(410, "Expired"), || {
            whole(&page(9, "", &[pod("a", 1)]))
        }];
    let seen = observe_after(|| refuse(422, "Invalid"), begun_again).await;
    assert_eq!(seen.requests().last().map(String::as_str), Some("watch 9"));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_expired_whatever_is_asked_for_is_a_failure_that_is_told() {
    let seen = observe(seconds(60), |n, _| if n == 1 { refuse(422, "Invalid") } else { refuse(410, "Expired") }).await;
    assert!(seen.failure().message.contains("410 Expired"), "{}", seen.failure().message);
    assert!(seen.asked.len() < 12, "{:?}", seen.requests());
}

#[tokio::test(start_paused = true)]
async fn initial_events_that_are_always_expired_give_way_to_a_list() {
    for gone in [|| refuse(410, "Expired"), || whole(&event("ERROR", &status_json(410, "Expired"))), lists::too_large] {
        let seen = observe(seconds(30), move |_, asked| match asked {
            Asked::Watch(options) if options.initial_events == InitialEvents::Send => gone(),
            Asked::List(_) => whole(&page(4, "", &[pod("a", 3)])),
            Asked::Watch(_) => open(""),
        })
        .await;
        assert!(seen.status.synced && seen.status.failure.is_none());
        assert_eq!(seen.requests(), ["watch-list", "watch-list", "watch-list", r#"list "" 500"#, "watch 4"]);
    }
}

#[tokio::test(start_paused = true)]
async fn r15_initial_events_that_changes_keep_coming_between_have_a_deadline() {
    // A server that does not know the parameter, and a kind of which something changes all the time.
    let seen = observe(seconds(200), |_, asked| match asked {
        Asked::List(_) => whole(&page(4, "", &[pod("a", 3)])),
        Asked::Watch(options) if options.initial_events == InitialEvents::Send => {
            body((0..1000).flat_map(|n| [Step::Send(event("MODIFIED", &pod("a", n))), Step::Wait(seconds(5))]))
        }
        Asked::Watch(_) => open(""),
    })
    .await;
    assert_eq!(seen.requests()[..3], ["watch-list", r#"list "" 500"#, "watch 4"]);
    assert_eq!(seen.times[1], watch::INITIAL_EVENTS_LIMIT);
}

/// A byte at a time, for ever.
fn trickle(text: &str, pause: u64) -> Vec<Step> {
    text.bytes().flat_map(|byte| [Step::Send(char::from(byte).to_string()), Step::Wait(seconds(pause))]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_trickles_is_given_up_as_one_that_is_silent_is() {
    let seen = observe(seconds(1000), |n, _| match n {
        1 => synced_then(5, trickle(&event("ADDED", &pod("a", 6)), 60)),
        2 => whole(&page(6, "", &[])),
        _ => open(&bookmark(6)),
    })
    .await;
    assert_eq!(seen.requests()[..3], ["watch-list", r#"list "5" 1"#, "watch 5"]);
    assert_eq!(seen.times[1], watch::WATCH_SILENCE);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_trickles_is_given_up_and_told_of() {
    let seen = observe(seconds(1000), |n, _| match n {
        1 => refuse(422, "Invalid"),
        _ => Answer::Body(trickle(&page(6, "", &[pod("a", 6)]), 50)),
    })
    .await;
    let lived = seen.gaps()[1];
    assert!(lived > list::LIST_LIMIT && lived < list::LIST_LIMIT + seconds(1), "{lived:?}");
    assert!(seen.failure().message.contains("too slow"), "{}", seen.failure().message);
}

#[tokio::test(start_paused = true)]
async fn pages_that_name_each_other_in_a_circle_are_no_hot_loop() {
    for circle in [2, 3, 7] {
        let seen = observe(seconds(60), move |n, _| match n {
            1 => refuse(422, "Invalid"),
            n if n < 5000 => whole(&page(8, &format!("t{}", n % circle), &[pod("a", 1)])),
            _ => body([Step::Hang]),
        })
        .await;
        assert!(seen.lists() < 400, "{} lists", seen.lists());
        assert!(seen.failure().message.contains("the same page"), "{}", seen.failure().message);
    }
}

/// An answer, and what it is.
type Case = (&'static str, fn() -> Answer);

#[tokio::test(start_paused = true)]
async fn answers_that_are_no_kubernetes_are_failures_that_back_off() {
    let answers: [Case; 9] = [
        ("a page of a proxy", || whole("<html><body>hunter2</body></html>")),
        ("a page of many lines", || whole("<html>\n<body>hunter2</body>\n</html>")),
        ("nothing", || whole("")),
        ("a byte order mark", || whole("\u{feff}{\"kind\":\"PodList\",\"items\":[]}")),
        ("a NUL", || whole("\0")),
        ("a status", || whole(r#"{"kind":"Status","status":"Failure","message":"hunter2","code":500}"#)),
        ("a redirect", || refuse(302, "")),
        ("another redirect", || refuse(308, "")),
        ("no such status", || refuse(999, "")),
    ];
    for (name, answer) in answers {
        let seen = observe(seconds(120), move |_, _| answer()).await;
        assert!(!seen.status.synced && seen.asked.len() < 30, "{name}: {:?}", seen.requests());
        let said = format!("{:?}", seen.status);
        assert!(!said.contains("hunter2") && said.contains("pods"), "{name}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_are_none_do_not_stop_a_watch() {
    let odd = [
        event("ADDED", &status_json(500, "InternalError")),
        event("added", &pod("a", 6)),
        event("", &pod("a", 6)),
        event("MODIFIED", r#"{"metadata":{}}"#),
        event("DELETED", r#"{}"#),
        event("ADDED", r#"{"kind":"Pod","metadata":null}"#),
        event("ADDED", r#"{"kind":"Pod","metadata":[]}"#),
        event("BOOKMARK", r#"{}"#),
        event("BOOKMARK", r#"{"metadata":{"resourceVersion":7}}"#),
        event("BOOKMARK", r#"{"metadata":{"resourceVersion":null}}"#),
    ];
    let seen = observe(seconds(5), move |n, _| match n {
        1 => synced_then(5, [Step::Send(odd.concat()), Step::Wait(seconds(2))]),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", "watch 6"], "no version is no step back");
    assert!(
        seen.status.failure.is_none() && seen.deltas.iter().all(|delta| !delta.contains('a') || !delta.contains('@'))
    );
}
