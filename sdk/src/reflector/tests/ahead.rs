//! The page that is asked for while the one before it is read.
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use proptest::prelude::*;

use super::super::state::{Fault, Machine};
use super::*;

/// Where the head of a page has been said and its first item has not.
fn behind_the_head(page: &str) -> usize {
    page.find(r#""items":["#).unwrap()
}

/// A page that takes ten seconds, and names the next at once.
fn ten_seconds(token: &str, items: &[String]) -> Answer {
    let page = page(8, token, items);
    slow(&page, behind_the_head(&page), seconds(10))
}

/// Answers lists by their token and how often it was asked for, and refuses the watch-list.
async fn observe_pages(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Seen {
    let asked: Mutex<Vec<String>> = Mutex::default();
    observe(seconds(100), move |_, request| match request {
        Asked::List(options) => {
            let mut asked = asked.lock().unwrap();
            let token = options.continue_token.clone().unwrap_or_default();
            asked.push(if options.limit.is_none() { "whole".to_owned() } else { token });
            let token = asked.last().unwrap();
            answer(token, asked.iter().filter(|other| *other == token).count())
        }
        Asked::Watch(options) if options.initial_events == InitialEvents::Send => refuse(422, "Invalid"),
        Asked::Watch(_) => open(""),
    })
    .await
}

/// What was asked for, and in which second.
fn timeline(seen: &Seen) -> Vec<(u64, String)> {
    seen.times.iter().map(Duration::as_secs).zip(seen.requests()).collect()
}

fn at(second: u64, request: &str) -> (u64, String) {
    (second, request.to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_next_page_is_asked_for_once_while_one_is_read_and_no_other() {
    let seen = observe_pages(|token, _| match token {
        "" => ten_seconds("one", &[pod("a", 1), pod("b", 2)]),
        "one" => ten_seconds("two", &[pod("c", 3)]),
        "two" => ten_seconds("", &[pod("d", 4)]),
        other => panic!("nobody asks for {other}"),
    })
    .await;
    // What the page ahead names is known only once its own turn has come: its body is not read before.
    let expected = [
        at(0, "watch-list"),
        at(0, r#"list "" 500"#),
        at(0, r#"list "" 500 one"#),
        at(10, r#"list "" 500 two"#),
        at(30, "watch 8"),
    ];
    assert_eq!(timeline(&seen), expected);
    assert_eq!(seen.deltas, ["started", "listed a@1", "listed b@2", "listed c@3", "listed d@4", "replaced 8"]);
    assert!(seen.status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_page_ahead_that_is_answered_late_is_waited_for_and_not_asked_for_again() {
    let seen = observe_pages(|token, _| match token {
        "" => ten_seconds("one", &[pod("a", 1)]),
        _ => Answer::Late(seconds(25), Box::new(whole(&page(8, "", &[pod("b", 2)])))),
    })
    .await;
    let one = r#"list "" 500 one"#;
    let expected = [at(0, "watch-list"), at(0, r#"list "" 500"#), at(0, one), at(25, "watch 8")];
    assert_eq!(timeline(&seen), expected);
    assert_eq!(seen.deltas, ["started", "listed a@1", "listed b@2", "replaced 8"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_names_the_next_behind_its_items_is_not_read_ahead_of() {
    let seen = observe_pages(|token, _| {
        if !token.is_empty() {
            return whole(&page(8, "", &[pod("b", 2)]));
        }
        let items = format!(r#"{{"kind":"PodList","items":[{}]"#, pod("a", 1));
        let page = items.clone() + r#","metadata":{"resourceVersion":"8","continue":"one"}}"#;
        slow(&page, items.len(), seconds(10))
    })
    .await;
    let expected = [at(0, "watch-list"), at(0, r#"list "" 500"#), at(10, r#"list "" 500 one"#), at(10, "watch 8")];
    assert_eq!(timeline(&seen), expected);
    assert_eq!(seen.deltas, ["started", "listed a@1", "listed b@2", "replaced 8"]);
}

#[tokio::test(start_paused = true)]
async fn r10_a_page_ahead_that_fails_does_so_when_its_turn_comes() {
    let too_many = || refuse_with(Status { code: 429, retry_after: Some(seconds(7)), ..Status::default() });
    let (one, all) = (r#"list "" 500 one"#, r#"list "" all"#);
    let (again, anew) = (["listed b@2"].as_slice(), ["started", "listed a@1", "listed b@2"].as_slice());
    let cases = [
        ((|| refuse(410, "Expired")) as fn() -> Answer, all, 0, anew),
        (lists::too_large, all, 0, anew),
        (too_many, one, 7, again),
        (unreachable, one, 0, again),
        (|| refuse(400, "BadRequest"), "watch-list", 0, anew),
    ];
    for (failure, next, wait, deltas) in cases {
        let seen = observe_pages(move |token, count| match (token, count) {
            ("", 1) => ten_seconds("one", &[pod("a", 1)]),
            ("one", 1) => failure(),
            ("one", _) => whole(&page(8, "", &[pod("b", 2)])),
            _ => whole(&page(8, "", &[pod("a", 1), pod("b", 2)])),
        })
        .await;
        let requests = timeline(&seen);
        assert_eq!(requests[..3], [at(0, "watch-list"), at(0, r#"list "" 500"#), at(0, one)], "{next}");
        assert_eq!(requests[3].1, next);
        assert!(requests[3].0 >= 10 + wait, "{requests:?}: the first page is read to its end before");
        assert_eq!(requests.last().unwrap().1, "watch 8");
        assert_eq!(requests.len(), if next == "watch-list" { 6 } else { 5 }, "{requests:?}");
        let expected = [&["started", "listed a@1"], deltas, &["replaced 8"]].concat();
        assert_eq!(seen.deltas, expected, "{next}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_breaks_lets_go_of_the_page_ahead_at_once() {
    let breaks: [fn() -> Answer; 2] = [
        || {
            let page = page(8, "one", &[pod("a", 1)]);
            let head = page[..behind_the_head(&page)].to_owned();
            body([Step::Send(head), Step::Wait(seconds(10)), Step::Break])
        },
        || ten_seconds("one", &["{]".to_owned()]),
    ];
    for (first, late) in breaks.into_iter().flat_map(|first| [(first, false), (first, true)]) {
        let (held, watched) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
        let (count, body_of_ahead) = (Arc::clone(&held), Arc::clone(&watched));
        let seen = observe_pages(move |token, n| match (token, n) {
            ("", 1) => first(),
            ("one", 1) => {
                let ahead = body([Step::Keep(Arc::clone(&body_of_ahead)), Step::Hang]);
                if late { Answer::Late(seconds(50), Box::new(ahead)) } else { ahead }
            }
            ("", _) => {
                // The script has one, and this test.
                count.store(Arc::strong_count(&body_of_ahead), Relaxed);
                ten_seconds("one", &[pod("a", 1)])
            }
            _ => whole(&page(8, "", &[pod("b", 2)])),
        })
        .await;
        let (first, one) = (r#"list "" 500"#, r#"list "" 500 one"#);
        assert_eq!(seen.requests(), ["watch-list", first, one, first, one, "watch 8"], "its answer is of no use");
        assert_eq!(held.load(Relaxed), 2, "nobody holds it while the list is begun again");
        assert_eq!(seen.deltas, ["started", "started", "listed a@1", "listed b@2", "replaced 8"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_names_itself_is_not_asked_for_ahead() {
    let seen = observe_pages(|token, _| match token {
        "" => whole(&page(8, "one", &[pod("a", 1)])),
        _ => ten_seconds("one", &[pod("b", 2)]),
    })
    .await;
    assert!(seen.failure().message.contains("the same page"), "{}", seen.failure().message);
    let gaps: Vec<u64> = seen.gaps()[2..].iter().map(Duration::as_secs).collect();
    assert!(gaps.len() > 3 && gaps.iter().all(|gap| *gap >= 10), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn r18_a_reflector_that_is_dropped_ends_the_page_ahead_too() {
    let check = async |name: &str, ahead: fn() -> Answer| {
        let seen = observe_pages(move |token, _| match token {
            "" => {
                let page = page(8, "one", &[]);
                body([Step::Send(page[..behind_the_head(&page)].to_owned()), Step::Wait(seconds(59)), Step::Hang])
            }
            _ => ahead(),
        });
        let seen = clock::timeout(seconds(200), seen).await.unwrap();
        assert_eq!(seen.requests()[..3], ["watch-list", r#"list "" 500"#, r#"list "" 500 one"#], "{name}");
        assert_eq!(seen.left_open, 0, "{name}");
    };
    check("answered", || open("")).await;
    check("not answered", || Answer::Late(seconds(1000), Box::new(open("")))).await;
}

#[test]
fn what_follows_a_page_is_known_ahead_within_a_list_alone() {
    let failed = |fault| Input::Failed { fault, lived: Duration::ZERO };
    let page = |token: Option<&str>| Input::Page {
        version: ResourceVersion::new("8"),
        continue_token: token.map(str::to_owned),
    };
    let check = |inputs: Vec<Input>, expected: Option<&str>| {
        let mut machine = Machine::new(FirstSync::WatchList);
        let state = format!("{inputs:?}");
        inputs.into_iter().for_each(|input| drop(machine.step(input)));
        let following = machine.following("next");
        assert_eq!(following.clone().map(|options| Asked::List(options).brief()).as_deref(), expected, "{state}");
        if let Some(following) = following {
            machine.step(page(Some("next")));
            assert_eq!(machine.request(), Request::List(following), "{state}: that is what is asked for then");
        }
    };
    let list = || failed(Fault::Refused);
    check(vec![], None);
    check(vec![list()], Some(r#"list "" 500 next"#));
    check(vec![list(), page(Some("one"))], Some(r#"list "" 500 next"#));
    check(vec![list(), page(Some("next"))], None);
    check(vec![list(), page(Some("one")), failed(Fault::Expired)], Some(r#"list "" all next"#));
    check(vec![list(), failed(Fault::Outside)], None);
    check(vec![list(), page(None)], None);
    // A probe asks for one object, and its list goes on.
    check(vec![list(), page(None), Input::Silent { lived: seconds(300) }], None);
}

/// How one page comes.
#[derive(Debug)]
struct Coming {
    items: usize,
    /// Where it is cut, and for how many seconds.
    cuts: Vec<(usize, u64)>,
    head_first: bool,
}

impl Coming {
    fn names(&self, number: usize) -> impl Iterator<Item = String> {
        (0..self.items).map(move |item| format!("pod-{number}-{item}"))
    }

    /// Writes it as page `number` of `pages`.
    fn write(&self, number: usize, pages: usize) -> Answer {
        let token = if number + 1 < pages { format!("page-{}", number + 1) } else { String::new() };
        let metadata = format!(r#""metadata":{{"resourceVersion":"8","continue":"{token}"}}"#);
        let items: Vec<String> = self.names(number).map(|name| pod(&name, 1)).collect();
        let items = format!(r#""items":[{}]"#, items.join(","));
        let page = if self.head_first { format!("{{{metadata},{items}}}") } else { format!("{{{items},{metadata}}}") };
        let mut cuts: Vec<(usize, u64)> = self.cuts.iter().map(|(at, pause)| (at % page.len(), *pause)).collect();
        cuts.sort_unstable();
        let (mut steps, mut from) = (Vec::new(), 0);
        for (at, pause) in cuts {
            steps.extend([Step::Send(page[from..at].to_owned()), Step::Wait(seconds(pause))]);
            from = at;
        }
        steps.push(Step::Send(page[from..].to_owned()));
        body(steps)
    }
}

fn pages() -> impl Strategy<Value = Vec<Coming>> {
    let cuts = prop::collection::vec((0..2000usize, 0..30u64), 0..5);
    let page = (0..5usize, cuts, any::<bool>());
    prop::collection::vec(page.prop_map(|(items, cuts, head_first)| Coming { items, cuts, head_first }), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_in_any_pieces_hand_on_what_they_would_one_after_the_other(pages in pages()) {
        let mut deltas = vec!["started".to_owned()];
        let mut requests = vec!["watch-list".to_owned()];
        for (number, page) in pages.iter().enumerate() {
            deltas.extend(page.names(number).map(|name| format!("listed {name}@1")));
            let token = if number == 0 { String::new() } else { format!(" page-{number}") };
            requests.push(format!(r#"list "" 500{token}"#));
        }
        deltas.push("replaced 8".to_owned());
        requests.push("watch 8".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        // Five pages of four pauses of half a minute take less, and a silent watch is given up only after three minutes.
        let seen = runtime.block_on(observe(seconds(780), move |n, asked| match asked {
            Asked::List(options) => {
                let number = options.continue_token.as_ref().map_or(0, |token| token[5..].parse().unwrap());
                pages[number].write(number, pages.len())
            }
            Asked::Watch(_) if n == 1 => refuse(422, "Invalid"),
            Asked::Watch(_) => body([Step::Send(bookmark(8)), Step::Hang]),
        }));
        prop_assert_eq!(&seen.deltas[..deltas.len()], deltas);
        prop_assert_eq!(&seen.requests()[..requests.len()], requests);
        prop_assert_eq!(seen.left_open, 0);
    }
}
