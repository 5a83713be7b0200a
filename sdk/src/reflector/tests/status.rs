//! What a reflector tells of itself.
use crate::metrics::Snapshot;

use super::*;

#[tokio::test(start_paused = true)]
async fn lists_watches_events_and_failures_are_counted() {
    let seen = observe(seconds(30), |n, _| match n {
        1 => {
            let events = [event("ADDED", &pod("a", 4)), initial_events_end(5), event("MODIFIED", &pod("a", 6))];
            body([
                Step::Send(events.concat()),
                Step::Wait(seconds(2)),
                Step::Send(event("ERROR", &status_json(410, ""))),
            ])
        }
        2 => unreachable(),
        3 => whole(&page(9, "one", &[pod("a", 6)])),
        4 => whole(&page(9, "", &[pod("b", 9)])),
        5 => whole(""),
        _ => open(&bookmark(10)),
    })
    .await;
    let counts = seen.status.counts;
    assert_eq!((counts.lists, counts.relists()), (2, 1), "a list of two pages is one");
    assert_eq!((counts.watches, counts.watch_restarts(), counts.short_watches), (3, 2, 1));
    assert_eq!((counts.events, counts.failures), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn lag_and_age_grow_from_what_the_server_said_last() {
    let check = async |script: fn() -> Answer, lag: Option<u64>, age: Option<u64>| {
        let status = observe(seconds(100), move |_, _| script()).await.status;
        assert_eq!((status.lag(), status.list_age()), (lag.map(seconds), age.map(seconds)));
    };
    check(unreachable, None, None).await;
    check(|| synced_then(5, [Step::Hang]), Some(100), Some(100)).await;
    check(|| synced_then(5, [Step::Wait(seconds(40)), Step::Send(bookmark(6)), Step::Hang]), Some(60), Some(100)).await;
    let event = || synced_then(5, [Step::Wait(seconds(70)), Step::Send(event("ADDED", &pod("a", 6))), Step::Hang]);
    check(event, Some(30), Some(100)).await;
}

#[tokio::test(start_paused = true)]
async fn metrics_carry_the_name_that_logs_and_readiness_use_and_nothing_of_objects() {
    let target = Target { namespace: Some("shop".to_owned()), labels: Some("a=\"b\"".to_owned()), ..pods() };
    let seen = observe_target(target.clone(), seconds(10), |_, _| {
        synced_then(5, [Step::Send(event("ADDED", &pod("secret-name", 6)) + &event("ADDED", "{}")), Step::Hang])
    })
    .await;
    let text_of = |status: ReflectorStatus| {
        let mut snapshot = Snapshot::default();
        status.collect(&target, &mut snapshot);
        snapshot.text()
    };
    let text = text_of(seen.status.clone());
    let label = r#"{kind="pods/v1 (namespace shop, labels a=\"b\")"}"#;
    for series in [
        "kubewright_reflector_lists_total{} 1",
        "kubewright_reflector_watches_total{} 1",
        "kubewright_reflector_short_watches_total{} 0",
        "kubewright_reflector_events_total{} 1",
        "kubewright_reflector_failures_total{} 0",
        "kubewright_reflector_skipped_objects_total{} 1",
        "kubewright_reflector_synced{} 1",
        "kubewright_reflector_failing{} 0",
        "kubewright_reflector_lag_seconds{} 10",
        "kubewright_reflector_list_age_seconds{} 10",
    ] {
        let series = series.replace("{}", label);
        assert!(text.lines().any(|line| line == series), "{series} in\n{text}");
    }
    assert!(!text.contains("secret-name"), "{text}");

    assert!(!text.contains("_protobuf"), "the source does not say: {text}");
    for (encoding, value) in [(Encoding::Protobuf, 1), (Encoding::Json, 0)] {
        let text = text_of(ReflectorStatus { encoding: Some(encoding), ..seen.status.clone() });
        let series = format!("kubewright_reflector_protobuf{label} {value}");
        assert!(text.lines().any(|line| line == series), "{series} in\n{text}");
    }
}
