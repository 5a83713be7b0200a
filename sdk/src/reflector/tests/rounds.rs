//! What is counted from one request to the next: failures in a row, waits, and what was given up.
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Answers the watches behind the first sync with `answer`, which is given their number from 1; probes find the version.
async fn observe_watches(duration: Duration, answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Seen {
    let watches = AtomicUsize::new(0);
    observe(duration, move |_, asked| match asked {
        Asked::Watch(options) if options.initial_events == InitialEvents::Send => {
            synced_then(5, [Step::Wait(seconds(2))])
        }
        Asked::Watch(_) => answer(watches.fetch_add(1, Ordering::Relaxed) + 1),
        Asked::List(_) => whole(&page(9999, "", &[])),
    })
    .await
}

fn lists_of_everything(seen: &Seen) -> usize {
    seen.requests().iter().filter(|request| request.starts_with("list") && request.ends_with(" 500")).count()
}

#[tokio::test(start_paused = true)]
async fn a_version_is_given_up_only_after_failures_in_a_row() {
    let works: [fn(usize) -> Answer; 2] =
        [|n| whole(&event("MODIFIED", &pod("a", 10 + n as u32))), |_| body([Step::Wait(seconds(2))])];
    for works in works {
        let seen =
            observe_watches(seconds(200), move |n| if n % 2 == 0 { works(n) } else { refuse(500, "InternalError") })
                .await;
        assert_eq!(lists_of_everything(&seen), 0, "{:?}", seen.requests());
        assert!(seen.status.counts.watches > 5, "{:?}", seen.requests());
    }
}

/// How a watch ends, and its name.
type End = (&'static str, fn() -> Step);

#[tokio::test(start_paused = true)]
async fn r20_a_watch_that_lived_starts_the_waits_over_however_it_ends() {
    let lived = || (0..13).flat_map(|_| [Step::Wait(seconds(10)), Step::Send(bookmark(50))]);
    let ends: [End; 4] = [
        ("silence", || Step::Hang),
        ("an expired version", || Step::Send(event("ERROR", &status_json(410, "Expired")))),
        ("a break", || Step::Break),
        ("what is no event", || Step::Send("x\n".to_owned())),
    ];
    for (name, end) in ends {
        // Six failures, a watch that lives for two minutes, and failures again.
        let seen = observe_watches(seconds(900), move |n| match n {
            1..=6 => refuse(429, "TooManyRequests"),
            7 => Answer::Body(lived().chain([end()]).collect()),
            _ => refuse(429, "TooManyRequests"),
        })
        .await;
        let watches = seen.requests().into_iter().zip(&seen.times).filter(|(request, _)| request.starts_with("watch "));
        let again: Vec<Duration> = watches.map(|(_, time)| *time).skip(7).take(2).collect();
        assert!(again[1] - again[0] <= Duration::from_millis(1600), "{name}: {again:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_server_asks_for_is_drawn_too() {
    // Reflectors that are refused together come back apart.
    let slow = || refuse_with(Status { code: 429, retry_after: Some(seconds(60)), ..Status::default() });
    let seen = observe_watches(seconds(3600), move |_| slow()).await;
    let gaps = &seen.gaps()[1..];
    assert!(gaps.iter().all(|gap| *gap >= seconds(60) && *gap <= seconds(90)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap != gaps[0]), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_list_that_was_overdue_is_not_asked_for_again() {
    let seen = observe(seconds(100), |n, asked| match (n, asked) {
        (2, _) => refuse(404, "NotFound"),
        (_, Asked::List(_)) => whole(&page(4, "", &[])),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "" 500"#, r#"list "" 500"#, "watch 4"]);
}

/// As "" does: the server sends what exists, in whatever state of whenever.
#[tokio::test(start_paused = true)]
async fn r16_versions_of_synthetic_events_are_not_adopted_after_zero_either() {
    let seen = observe(seconds(20), |n, _| match n {
        1 => refuse(422, "Invalid"),
        2 => whole(&page(0, "", &[])),
        3 => body([Step::Send(event("ADDED", &pod("a", 90))), Step::Wait(seconds(2))]),
        _ => open(""),
    })
    .await;
    assert_eq!(seen.requests(), ["watch-list", r#"list "" 500"#, "watch 0", "watch 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_what_is_there_is_listed() {
    // The look whether the version is there may be refused, or broken: then only a list tells.
    let answers: [fn() -> Answer; 3] = [|| refuse(400, "BadRequest"), || whole("x"), || refuse(403, "Forbidden")];
    for (answer, lists) in answers.into_iter().zip([1, 1, 0]) {
        let seen = observe(seconds(60), move |n, asked| match asked {
            _ if n == 1 => synced_then(5, [Step::Wait(seconds(2))]),
            _ if n == 2 => unreachable(),
            Asked::List(options) if options.limit == Some(1) => answer(),
            Asked::List(_) => whole(&page(9, "", &[])),
            Asked::Watch(_) => open(""),
        })
        .await;
        assert_eq!(seen.requests()[..3], ["watch-list", "watch 5", r#"list "5" 1"#]);
        assert_eq!(lists_of_everything(&seen), lists, "{:?}", seen.requests());
    }
}

#[tokio::test(start_paused = true)]
async fn faults_are_told_apart_by_what_must_be_done_about_them() {
    let check = async |answer: fn() -> Answer, expected: &[&str]| {
        let seen = observe(seconds(30), move |n, asked| match asked {
            _ if n == 1 => synced_then(5, [Step::Wait(seconds(2))]),
            _ if n == 2 => answer(),
            Asked::List(options) if options.limit == Some(1) => whole(&page(5, "", &[])),
            Asked::List(_) => whole(&page(9, "", &[])),
            Asked::Watch(_) => open(""),
        })
        .await;
        assert_eq!(seen.requests()[2..], *expected);
    };
    let (probe, list) = ([r#"list "5" 1"#, "watch 5"].as_slice(), [r#"list "5" 500"#, "watch 9"].as_slice());
    let same = ["watch 5"].as_slice();
    check(|| refuse(500, "InternalError"), probe).await;
    check(|| refuse(503, "ServiceUnavailable"), probe).await;
    check(|| refuse(504, "Timeout"), probe).await;
    check(|| refuse(408, "Timeout"), probe).await;
    check(|| whole(&event("ERROR", r#"{"kind":"Status","status":"Failure"}"#)), probe).await;
    check(|| whole(&event("ERROR", r#"{"kind":"Pod"}"#)), probe).await;
    check(|| refuse(401, "Unauthorized"), probe).await;
    check(|| refuse(403, "Forbidden"), probe).await;
    check(unreachable, probe).await;
    check(|| refuse(429, "TooManyRequests"), same).await;
    check(|| refuse(400, "BadRequest"), list).await;
    check(|| refuse(404, "NotFound"), list).await;
    check(|| refuse(410, "Gone"), list).await;
    check(|| refuse(501, "NotImplemented"), list).await;
    check(lists::too_large, list).await;
    let corrupt =
        || Answer::Fail(client::Error::Corrupt { method: http::Method::GET, path: String::new(), problem: "x" });
    check(corrupt, list).await;
    let large = || Answer::Fail(client::Error::TooLarge { method: http::Method::GET, path: String::new(), limit: 1 });
    check(large, list).await;
}
