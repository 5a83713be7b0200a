//! Handlers behind a filter.
use crate::informer::handler::FilteringEventHandler;

use super::*;

/// Passes what is labelled so.
fn is_ours(object: &Handle<ConfigMap>) -> bool {
    object.metadata().labels.iter().any(|(key, _)| &**key == "ours")
}

fn ours(key: &str) -> ConfigMapFixture {
    config_map(key).label("ours", "yes")
}

#[tokio::test]
async fn i14_what_comes_to_pass_is_added_and_what_no_longer_does_is_deleted() {
    let script = Script::new();
    let (recorder, mut seen) = Recorder::new();
    let registration = script.informer.add_event_handler(FilteringEventHandler::new(is_ours, recorder));
    script.list(1, &[config_map("a/other"), ours("a/one")]).await;
    registration.synced().await;
    script.apply(&config_map("a/other").version(2)).await;
    script.apply(&ours("a/other").version(3)).await;
    script.apply(&ours("a/other").version(4)).await;
    script.apply(&config_map("a/other").version(5)).await;
    script.delete(&config_map("a/other").version(6)).await;
    script.delete(&ours("a/one").version(7)).await;
    let expected = [
        initial("a/one", 1),
        added("a/other", 3),
        updated("a/other", 3, 4),
        deleted("a/other", 4, FinalState::Known),
        deleted("a/one", 7, FinalState::Known),
    ];
    for event in expected {
        assert_eq!(seen.recv().await.unwrap(), event);
    }
    registration.remove().await;
    assert_eq!(seen.recv().await, None, "nothing else");
}

#[tokio::test]
async fn i14_the_end_of_an_object_is_told_whatever_the_final_state_passes() {
    let script = Script::new();
    let (recorder, mut seen) = Recorder::new();
    let registration = script.informer.add_event_handler(FilteringEventHandler::new(is_ours, recorder));
    script.list(1, &[ours("a/one"), config_map("a/two"), ours("a/three")]).await;
    registration.synced().await;
    script.delete(&config_map("a/one").version(2)).await;
    script.delete(&ours("a/two").version(3)).await;
    script.list(4, &[]).await;
    let mut initials = [seen.recv().await.unwrap(), seen.recv().await.unwrap()];
    initials.sort_by(|a, b| a.latest().cmp(b.latest()));
    assert_eq!(initials, [initial("a/one", 1), initial("a/three", 1)]);
    assert_eq!(seen.recv().await.unwrap(), deleted("a/one", 2, FinalState::Known), "it was told of before");
    assert_eq!(seen.recv().await.unwrap(), deleted("a/three", 1, FinalState::Unknown), "a/two never was");
}
