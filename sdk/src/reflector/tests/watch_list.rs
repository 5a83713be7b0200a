//! The first sync: WatchList, and LIST where the server does not offer it.
use super::*;

#[tokio::test(start_paused = true)]
async fn r1_the_first_sync_is_a_consistent_watch_list_and_a_relist_asks_for_the_last_version() {
    // client-go begins with a LIST at "0", which may travel back in time after a restart; ours begins at the most recent
    // version, which the watch cache has served since Kubernetes 1.34.
    let seen = observe(seconds(10), |n, _| match n {
        1 => synced_then(5, [Step::Send(event("ERROR", &status_json(410, "Expired")))]),
        2 => whole(&page(9, "", &[])),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "5" 500"#, "watch 9"]);
    let Asked::Watch(first) = &seen.asked[0] else { panic!("the first request is a watch") };
    assert!(first.resource_version.is_empty());
}

#[tokio::test(start_paused = true)]
async fn r11_nothing_counts_as_synced_before_the_bookmark_that_ends_the_initial_events() {
    let initial = [event("ADDED", &pod("a", 3)), event("ADDED", &pod("b", 2)), bookmark(4)].concat();
    let early = observe(seconds(5), {
        let initial = initial.clone();
        move |_, _| open(&initial)
    })
    .await;
    assert_eq!(early.deltas, ["started", "listed a@3", "listed b@2"]);
    assert!(!early.status.synced);

    let whole = observe(seconds(5), move |_, _| open(&(initial.clone() + &initial_events_end(4)))).await;
    assert_eq!(whole.deltas, ["started", "listed a@3", "listed b@2", "replaced 4"]);
    assert!(whole.status.synced);
    assert_eq!(whole.status.last_version.as_str(), "4");
    assert_eq!(whole.requests(), ["watch-list"], "the same stream goes on as the watch");
}

#[tokio::test(start_paused = true)]
async fn changes_that_come_among_the_initial_events_are_kept() {
    let seen = observe(seconds(5), |_, _| {
        let events = [event("ADDED", &pod("a", 3)), event("MODIFIED", &pod("a", 6)), event("DELETED", &pod("b", 7))];
        open(&(events.concat() + &initial_events_end(7)))
    })
    .await;
    assert_eq!(seen.deltas, ["started", "listed a@3", "listed a@6", "deleted b@7", "replaced 7"]);
}

#[tokio::test(start_paused = true)]
async fn r12_a_watch_list_cut_before_its_end_begins_again() {
    let seen = observe(seconds(5), |n, _| match n {
        1 => body([Step::Send(event("ADDED", &pod("gone", 1))), Step::Wait(seconds(2)), Step::Break]),
        _ => open(&(event("ADDED", &pod("a", 3)) + &initial_events_end(4))),
    })
    .await;
    assert_eq!(seen.deltas, ["started", "listed gone@1", "started", "listed a@3", "replaced 4"]);
    assert_eq!(seen.requests(), ["watch-list", "watch-list"]);
    assert!(seen.status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_is_not_taken_for_a_server_that_is_silent() {
    let seen = observe(seconds(60), |_, _| {
        let first = Step::Send(event("ADDED", &pod("slow", 1)));
        body([first, Step::Wait(seconds(1)), Step::Send(initial_events_end(4)), Step::Hang])
    })
    .await;
    assert_eq!(seen.deltas, ["started", "listed slow@1", "replaced 4"]);
    assert_eq!(seen.requests(), ["watch-list"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_list_that_never_comes_to_its_end_gives_way_to_a_list() {
    let seen = observe(seconds(30), |_, asked| match asked {
        Asked::Watch(options) if options.initial_events == InitialEvents::Send => {
            body([Step::Send(event("ADDED", &pod("a", 1))), Step::Wait(seconds(2)), Step::Break])
        }
        Asked::List(_) => whole(&page(4, "", &[pod("a", 3)])),
        Asked::Watch(_) => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", "watch-list", "watch-list", r#"list "" 500"#, "watch 4"]);
    assert!(seen.status.synced && seen.status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn r13_a_watch_list_that_is_refused_gives_way_to_a_list_for_good() {
    // client-go asks again in each round; a server that refuses will go on refusing, so ours remembers.
    for code in [400, 404, 405, 406, 415, 422, 501] {
        let seen = observe(seconds(10), move |n, asked| match (n, asked) {
            (1, _) => refuse(code, "Invalid"),
            (3, _) => refuse(410, "Expired"),
            (_, Asked::List(_)) => whole(&page(4, "", &[pod("a", 3)])),
            _ => open(""),
        })
        .await;
        let expected = ["watch-list", r#"list "" 500"#, "watch 4", r#"list "4" 500"#, "watch 4"];
        assert_eq!(seen.requests(), expected, "{code}");
        assert_eq!(seen.gaps()[0], Duration::ZERO, "{code}: the list follows at once");
        assert!(seen.status.failure.is_none(), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_list_first_never_asks_for_a_watch_list() {
    let script = |n: usize, asked: &Asked| match (n, asked) {
        (1, _) => refuse(400, "BadRequest"),
        (2, _) => unreachable(),
        (4, _) => refuse(410, "Expired"),
        (_, Asked::List(_)) => whole(&page(4, "", &[pod("a", 3)])),
        _ => open(""),
    };
    let seen = observe_server(pods(), seconds(20), serving(script, FirstSync::List)).await;
    let (first, again) = (r#"list "" 500"#, r#"list "4" 500"#);
    assert_eq!(seen.requests(), [first, first, first, "watch 4", again, "watch 4"]);
    assert_eq!(seen.deltas, ["started", "listed a@3", "replaced 4", "started", "listed a@3", "replaced 4"]);
    assert!(seen.status.synced && seen.status.failure.is_none());

    let script = |_: usize, asked: &Asked| match asked {
        Asked::List(_) => whole(&page(4, "", &[])),
        Asked::Watch(_) => open(""),
    };
    let seen = observe_server(pods(), seconds(20), serving(script, FirstSync::List)).await;
    assert_eq!(seen.requests(), [first, "watch 4"]);
    assert_eq!(seen.status.counts.failures, 0, "nothing was refused");
}

#[tokio::test(start_paused = true)]
async fn failures_that_pass_do_not_give_up_the_watch_list() {
    for (name, answer) in [
        ("401", (|| refuse(401, "Unauthorized")) as fn() -> Answer),
        ("403", || refuse(403, "Forbidden")),
        ("429", || refuse(429, "TooManyRequests")),
        ("503", || refuse(503, "ServiceUnavailable")),
        ("unreachable", unreachable),
    ] {
        let seen = observe(seconds(10), move |n, _| if n < 3 { answer() } else { synced_then(4, [Step::Hang]) }).await;
        assert_eq!(seen.requests(), ["watch-list", "watch-list", "watch-list"], "{name}");
        assert!(seen.status.synced && seen.status.failure.is_none(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_known_yet_is_watched_once_it_is() {
    let seen =
        observe(seconds(30), |n, _| if n < 5 { refuse(404, "NotFound") } else { synced_then(4, [Step::Hang]) }).await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "" 500"#, "watch-list", r#"list "" 500"#, "watch-list"]);
    assert!(seen.status.synced && seen.status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn r14_watch_list_and_list_hand_on_the_same() {
    let items = [pod("a", 3), pod("b", 2)];
    let listed = observe(seconds(5), {
        let items = items.clone();
        move |_, asked| match asked {
            Asked::List(_) => whole(&page(4, "", &items)),
            Asked::Watch(options) if options.initial_events == InitialEvents::Send => refuse(422, "Invalid"),
            Asked::Watch(_) => open(""),
        }
    })
    .await;
    let events: String = items.iter().map(|item| event("ADDED", item)).collect();
    let watched = observe(seconds(5), move |_, _| open(&(events.clone() + &initial_events_end(4)))).await;
    assert_eq!(listed.deltas, watched.deltas);
    assert_eq!(listed.status.last_version, watched.status.last_version);
}

#[tokio::test(start_paused = true)]
async fn r15_a_server_that_never_ends_the_initial_events_is_listed() {
    // client-go only reports it, every 10 s; a server that does not know the parameter would keep it waiting for ever.
    let seen = observe(seconds(60), |_, asked| match asked {
        Asked::List(_) => whole(&page(4, "", &[pod("a", 3)])),
        Asked::Watch(options) if options.initial_events == InitialEvents::Send => {
            // Each event starts the wait anew.
            body([Step::Wait(seconds(8)), Step::Send(event("ADDED", &pod("a", 3))), Step::Hang])
        }
        Asked::Watch(_) => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "" 500"#, "watch 4"]);
    assert_eq!(seen.times[1], seconds(18));
    assert_eq!(seen.deltas, ["started", "listed a@3", "started", "listed a@3", "replaced 4"]);
}

#[tokio::test(start_paused = true)]
async fn r16_versions_of_synthetic_events_are_not_adopted() {
    // A server whose list carries no version makes the watch begin with what exists, in the order of keys.
    let seen = observe(seconds(20), |n, _| match n {
        1 => refuse(422, "Invalid"),
        2 => whole(r#"{"kind":"PodList","metadata":{},"items":[]}"#),
        3 => {
            let added = event("ADDED", &pod("a", 90))
                + &event("ADDED", r#"{"kind":"Node","metadata":{"resourceVersion":"91"}}"#);
            body([Step::Send(added), Step::Wait(seconds(2))])
        }
        4 => body([Step::Send(event("MODIFIED", &pod("a", 7))), Step::Wait(seconds(2))]),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "" 500"#, "watch ", "watch ", "watch 7"]);
    assert_eq!(seen.status.last_version.as_str(), "7");
}
