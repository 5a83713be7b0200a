//! What a reflector does when the server fails, and what it tells people.
use super::*;

#[tokio::test(start_paused = true)]
async fn r3_an_expired_watch_leads_to_a_list_at_the_last_version() {
    let seen = observe(seconds(10), |n, _| match n {
        1 => {
            let gone = event("ERROR", &status_json(410, "Expired"));
            synced_then(5, [Step::Send(event("ADDED", &pod("a", 8)) + &gone), Step::Hang])
        }
        2 => whole(&page(9, "", &[])),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "8" 500"#, "watch 9"]);
    assert!(seen.status.failure.is_none(), "an expired version is nobody's failure");
}

#[tokio::test(start_paused = true)]
async fn finding_2_a_410_as_http_status_leads_to_a_list_too() {
    let seen = observe(seconds(10), |n, _| match n {
        1 => synced_then(5, [Step::Wait(seconds(2))]),
        2 => refuse(410, "Gone"),
        3 => whole(&page(9, "", &[])),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", "watch 5", r#"list "5" 500"#, "watch 9"]);
}

#[tokio::test(start_paused = true)]
async fn watches_that_always_expire_do_not_list_in_a_hot_loop() {
    let seen = observe(seconds(120), |_, asked| match asked {
        Asked::List(_) => whole(&page(9, "", &[])),
        Asked::Watch(options) if options.initial_events == InitialEvents::Send => refuse(422, "Invalid"),
        Asked::Watch(_) => refuse(410, "Expired"),
    })
    .await;
    // Ten on average: pauses are drawn. A hot loop would be thousands.
    assert!(seen.lists() < 20, "{}", seen.lists());
}

#[tokio::test(start_paused = true)]
async fn r4_too_many_requests_waits_as_asked_and_watches_on_at_the_same_version() {
    let seen = observe(seconds(60), |n, _| match n {
        1 => synced_then(5, [Step::Wait(seconds(2))]),
        2 => refuse_with(Status { code: 429, retry_after: Some(seconds(7)), ..Status::default() }),
        3 => {
            let slow = r#"{"kind":"Status","code":429,"reason":"TooManyRequests","details":{"retryAfterSeconds":9}}"#;
            whole(&event("ERROR", slow))
        }
        4..15 => refuse(429, "TooManyRequests"),
        _ => open(""),
    })
    .await;
    assert!(seen.requests()[1..].iter().all(|request| request == "watch 5"), "{:?}", seen.requests());
    assert!(seen.gaps()[1] >= seconds(7) && seen.gaps()[2] >= seconds(9), "{:?}", seen.gaps());
}

#[tokio::test(start_paused = true)]
async fn r5_a_server_that_can_not_be_reached_is_not_listed_anew() {
    // client-go watches on at once; ours asks for one object first, as the server may have been restored from a backup.
    let seen = observe(seconds(300), |n, asked| match asked {
        _ if n == 1 => synced_then(5, [Step::Wait(seconds(2))]),
        _ if n < 12 => unreachable(),
        Asked::List(_) => whole(&page(9, "one", &[pod("a", 8)])),
        Asked::Watch(_) => synced_then(5, [Step::Wait(seconds(20)), Step::Send(bookmark(5)), Step::Hang]),
    })
    .await;
    assert_eq!(seen.requests()[..3], ["watch-list", "watch 5", r#"list "5" 1"#]);
    assert!(seen.requests()[2..11].iter().all(|request| request == r#"list "5" 1"#), "{:?}", seen.requests());
    assert_eq!(seen.requests()[12], "watch 5");
    assert_eq!(seen.deltas[..2], ["started", "replaced 5"]);
    assert!(seen.deltas[2..].iter().all(|delta| delta == "bookmark 5"), "{:?}", seen.deltas);
    assert!(seen.status.failure.is_none(), "it works again");
}

/// A watch at a version that the server has never had is accepted and says nothing, while its history goes another way.
#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_with_an_older_history_is_listed_anew() {
    let lost: [(fn() -> Answer, u64); 2] = [
        (|| synced_then(50, [Step::Send(event("ADDED", &pod("a", 60))), Step::Wait(seconds(2))]), 2),
        (|| synced_then(50, [Step::Send(event("ADDED", &pod("a", 60))), Step::Hang]), 195),
    ];
    let probes: [fn() -> Answer; 3] =
        [lists::too_large, || refuse(410, "Expired"), || whole(&page(3, "", &[pod("a", 2)]))];
    for ((first, silence), probe) in lost.into_iter().flat_map(|lost| probes.map(|probe| (lost, probe))) {
        let seen = observe(seconds(230), move |n, asked| match (n, asked) {
            (1, _) => first(),
            (_, Asked::Watch(options)) if options.resource_version.as_str() == "60" => unreachable(),
            (_, Asked::List(options)) if options.limit == Some(1) => probe(),
            (_, Asked::List(_)) => whole(&page(3, "", &[pod("a", 2)])),
            _ => body([Step::Wait(seconds(60)), Step::Send(bookmark(4)), Step::Hang]),
        })
        .await;
        let requests: Vec<_> = seen.requests().into_iter().filter(|request| request != "watch 60").collect();
        assert_eq!(requests[..4], ["watch-list", r#"list "60" 1"#, r#"list "" 500"#, "watch 3"]);
        assert!(seen.times[1] >= seconds(silence), "{:?}", seen.times);
        assert_eq!(seen.deltas[2..6], ["applied a@60", "started", "listed a@2", "replaced 3"]);
        assert!(seen.status.failure.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_at_which_no_watch_can_begin_is_given_up() {
    let seen = observe(seconds(60), |n, asked| match (n, asked) {
        (1, _) => synced_then(5, [Step::Wait(seconds(2))]),
        (2 | 4 | 6, _) => refuse(500, "InternalError"),
        (_, Asked::List(options)) if options.limit == Some(1) => whole(&page(7, "", &[])),
        (_, Asked::List(_)) => whole(&page(9, "", &[])),
        _ => open(""),
    })
    .await;
    let probe = r#"list "5" 1"#;
    let expected = ["watch-list", "watch 5", probe, "watch 5", probe, "watch 5", r#"list "5" 500"#, "watch 9"];
    assert_eq!(seen.requests(), expected);
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_not_json_lead_to_a_list_because_a_change_may_be_lost() {
    let seen = observe(seconds(10), |n, _| match n {
        1 => synced_then(5, [Step::Send("{\"type\":\"ADDED\",\"object\":{]}\n".to_owned()), Step::Hang]),
        2 => whole(&page(9, "", &[])),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "5" 500"#, "watch 9"]);
}

#[tokio::test(start_paused = true)]
async fn r21_the_deletion_of_a_corrupt_object_leads_to_a_list() {
    let seen = observe(seconds(10), |n, _| match n {
        1 => synced_then(5, [Step::Send(event("ERROR", &status_json(500, "StorageReadError"))), Step::Hang]),
        2 => whole(&page(9, "", &[])),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "5" 500"#, "watch 9"]);
    assert_eq!(seen.deltas, ["started", "replaced 5", "started", "replaced 9"]);
}

#[tokio::test(start_paused = true)]
async fn r18_a_reflector_that_is_dropped_leaves_nothing_behind_whatever_it_was_doing() {
    let check = async |name: &str, answer: fn(usize) -> Answer| {
        let seen = observe(seconds(30), move |n, _| answer(n)).await;
        assert_eq!(seen.left_open, 0, "{name}");
    };
    check("during a watch", |_| synced_then(5, [Step::Hang])).await;
    check("during initial events", |_| open(&event("ADDED", &pod("a", 1)))).await;
    check("during a list", |n| if n == 1 { refuse(422, "Invalid") } else { open("{\"items\":[") }).await;
    check("during a wait", |_| unreachable()).await;
}

#[tokio::test(start_paused = true)]
async fn a_reflector_ends_when_nobody_takes_its_deltas() {
    let server = serving(|_, _| synced_then(5, [Step::Hang]), FirstSync::WatchList);
    let (reflector, _status) = Reflector::new(pods(), server, ClosedSink);
    reflector.run().await;
}

/// What client-go calls full jitter: half of each wait is drawn here, so that no wait exceeds the limit that is announced.
#[tokio::test(start_paused = true)]
async fn r20_waits_grow_from_800_ms_to_30_s() {
    let seen = observe(seconds(600), |_, _| unreachable()).await;
    let mut expected = Duration::from_millis(800);
    for gap in seen.gaps() {
        assert!(gap >= expected / 2 && gap <= expected, "{gap:?} within half of {expected:?}");
        expected = (2 * expected).min(seconds(30));
    }
    assert_eq!(expected, seconds(30));
}

#[tokio::test(start_paused = true)]
async fn r20_waits_start_over_only_after_a_watch_that_lived_for_two_minutes() {
    let check = async |lived: u64, least: Duration, most: Duration| {
        let seen = observe(seconds(400), move |n, _| match n {
            1..6 => unreachable(),
            6 => {
                let minutes = (0..lived / 10).flat_map(|_| [Step::Wait(seconds(10)), Step::Send(bookmark(5))]);
                synced_then(5, minutes)
            }
            7 => unreachable(),
            _ => open(""),
        })
        .await;
        let gap = seen.gaps()[6];
        assert!(gap >= least && gap <= most, "{lived}: {gap:?}");
    };
    check(60, seconds(12), seconds(30)).await;
    check(130, Duration::from_millis(400), Duration::from_millis(800)).await;
}

#[tokio::test(start_paused = true)]
async fn finding_1_a_failing_initial_list_backs_off() {
    let seen =
        observe(seconds(120), |n, _| if n == 1 { refuse(422, "Invalid") } else { refuse(500, "InternalError") }).await;
    assert!(seen.lists() < 12, "{} lists in two minutes", seen.lists());
    assert!(seen.gaps().last().unwrap() >= &seconds(12));
}

#[tokio::test(start_paused = true)]
async fn finding_3_a_watch_that_is_closed_at_once_is_no_hot_loop() {
    for body in [String::new(), bookmark(6), event("MODIFIED", &pod("a", 6))] {
        let seen = observe(seconds(120), move |n, asked| match asked {
            Asked::List(_) => whole(&page(9, "", &[])),
            Asked::Watch(_) if n == 1 => refuse(422, "Invalid"),
            Asked::Watch(_) => whole(&body),
        })
        .await;
        assert!(seen.asked.len() < 20, "{} requests", seen.asked.len());
        assert!(seen.failure().message.contains("too early"), "{}", seen.failure().message);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_say_what_is_missing_and_what_to_do() {
    let check = async |answer: fn() -> Answer, reason: FailureReason, words: &[&str]| {
        let widgets = ResourceType {
            group: "demo.example.com".to_owned(),
            version: "v1".to_owned(),
            kind: "Widget".to_owned(),
            plural: "widgets".to_owned(),
            scope: crate::resource::Scope::Namespaced,
        };
        let target = Target { resource: widgets, namespace: Some("shop".to_owned()), ..pods() };
        let seen = observe_target(target, seconds(20), move |_, _| answer()).await;
        let failure = seen.failure();
        assert_eq!(failure.reason, reason);
        for word in words {
            assert!(failure.message.contains(word), "`{word}` in: {}", failure.message);
        }
        assert!(failure.attempts > 1 && failure.retry_in > Duration::ZERO && failure.retry_in <= seconds(30));
        assert!(!seen.status.synced);
    };
    let forbidden = || refuse(403, "Forbidden");
    let role = ["watch", "widgets.demo.example.com", "namespace shop", "`rbac`"];
    check(forbidden, FailureReason::Forbidden, &role).await;
    let unknown = || refuse(404, "NotFound");
    check(unknown, FailureReason::UnknownKind, &["widgets.demo.example.com", "CRD is not installed", "`crds`"]).await;
    let unauthorized = || refuse(401, "Unauthorized");
    check(unauthorized, FailureReason::Unauthorized, &["credentials were refused", "401"]).await;
    let running = ["https://cluster.example:6443", "is the cluster running, is the kubeconfig right?", "refused"];
    check(unreachable, FailureReason::Unreachable, &running).await;
    let server = || refuse(503, "ServiceUnavailable");
    check(server, FailureReason::Other, &["503 ServiceUnavailable"]).await;
}
