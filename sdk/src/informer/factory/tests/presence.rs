//! Kinds that the API server may not know.
use crate::informer::options::Presence;
use crate::informer::presence::GONE_ANSWERS;

use super::*;

impl Stream {
    /// Reports so many answers in a row that the kind is unknown.
    async fn unknown(&self, answers: u32) {
        for attempts in 1..=answers {
            let message = "its CRD is not installed".to_owned();
            let (reason, retry_in) = (FailureReason::UnknownKind, Duration::from_secs(1));
            let failure = Failure { reason, message, attempts, retry_in };
            self.reflector.send_modify(|status| status.failure = Some(Arc::new(failure)));
            // Each is seen before the next.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn works(&self) {
        self.reflector.send_modify(|status| status.failure = None);
    }
}

fn asked(setup: &Setup, presence: Presence) -> Informer<ConfigMap> {
    setup.factory.informer_with(InformerOptions::default().presence(presence))
}

/// An informer that runs, and its stream.
fn started(setup: &mut Setup, presence: Presence) -> (Informer<ConfigMap>, Stream) {
    let informer = asked(setup, presence);
    setup.factory.start();
    let stream = setup.streams().remove(0);
    (informer, stream)
}

/// An informer that has synced with `a/one`, and its stream.
async fn filled(setup: &mut Setup, presence: Presence) -> (Informer<ConfigMap>, Stream) {
    let (informer, stream) = started(setup, presence);
    stream.deltas.push(Delta::ListStarted).await.unwrap();
    stream.deltas.push(Delta::Listed(config_map("a/one").raw())).await.unwrap();
    stream.deltas.push(Delta::Replaced(ResourceVersion::new("3"))).await.unwrap();
    informer.status().wait_for(|status| status.synced).await.unwrap();
    (informer, stream)
}

#[tokio::test(start_paused = true)]
async fn a_required_kind_that_is_unknown_is_a_failure_that_waiting_names() {
    let mut setup = setup();
    let (informer, stream) = started(&mut setup, Presence::Required);
    stream.unknown(5).await;
    let error = setup.factory.wait_for_cache_sync(LIMIT).await.unwrap_err();
    assert_eq!(error.late, ["configmaps/v1: its CRD is not installed"]);
    let status = informer.status().borrow().clone();
    assert_eq!((status.synced, status.failure.is_some(), status.missing.is_some()), (false, true, false));
}

#[tokio::test(start_paused = true)]
async fn an_awaited_kind_that_is_unknown_is_late_and_no_failure() {
    let mut setup = setup();
    let (informer, stream) = started(&mut setup, Presence::Awaited);
    stream.unknown(5).await;
    let error = setup.factory.wait_for_cache_sync(LIMIT).await.unwrap_err();
    assert_eq!(error.late, ["configmaps/v1: its CRD is not installed"]);
    let status = informer.status().borrow().clone();
    assert_eq!((status.synced, status.failure.is_some(), status.missing.is_some()), (false, false, true));
    stream.works();
    stream.sync("4").await;
    setup.factory.wait_for_cache_sync(LIMIT).await.unwrap();
    assert!(informer.status().borrow().missing.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_optional_kind_that_is_unknown_counts_as_synced_and_empty_until_it_comes() {
    let mut setup = setup();
    let informer = asked(&setup, Presence::Optional);
    let (sender, mut seen) = mpsc::unbounded_channel();
    let registration = informer.shared().add_inline_handler(Box::new(move |event| {
        let _ = sender.send(event.map(|object| object.metadata().key.to_string()));
    }));
    setup.factory.start();
    let stream = setup.streams().remove(0);
    stream.unknown(1).await;
    setup.factory.wait_for_cache_sync(Duration::ZERO).await.unwrap();
    registration.synced().await;
    let status = informer.status().borrow().clone();
    assert_eq!((status.failure.is_some(), status.missing.is_some(), status.objects), (false, true, 0));

    stream.works();
    stream.deltas.push(Delta::ListStarted).await.unwrap();
    stream.deltas.push(Delta::Listed(config_map("a/one").raw())).await.unwrap();
    stream.deltas.push(Delta::Replaced(ResourceVersion::new("7"))).await.unwrap();
    informer.status().wait_for(|status| status.version.as_str() == "7").await.unwrap();
    let one = "a/one".to_owned();
    assert_eq!(seen.recv().await, Some(crate::informer::event::Event::Added { object: one, initial: false }));
    assert!(informer.status().borrow().missing.is_none());
}

#[tokio::test(start_paused = true)]
async fn another_failure_of_an_optional_kind_is_a_failure() {
    let mut setup = setup();
    let (informer, stream) = started(&mut setup, Presence::Optional);
    stream.fail("the role does not allow it");
    let error = setup.factory.wait_for_cache_sync(LIMIT).await.unwrap_err();
    assert_eq!(error.late, ["configmaps/v1: the role does not allow it"]);
    assert!(!informer.status().borrow().synced);
}

#[tokio::test]
async fn the_strictest_caller_says_what_to_make_of_a_missing_kind() {
    let mut setup = setup();
    let optional = asked(&setup, Presence::Optional);
    setup.factory.start();
    let stream = setup.streams().remove(0);
    stream.unknown(1).await;
    optional.status().wait_for(|status| status.missing.is_some()).await.unwrap();
    let required = setup.factory.informer::<ConfigMap>();
    assert!(Arc::ptr_eq(required.shared(), optional.shared()));
    optional.status().wait_for(|status| status.failure.is_some() && status.missing.is_none()).await.unwrap();
    asked(&setup, Presence::Awaited);
    stream.deltas.push(Delta::Bookmark(ResourceVersion::new("7"))).await.unwrap();
    let mut status = optional.status();
    let after = status.wait_for(|status| status.version.as_str() == "7").await.unwrap();
    assert!(after.failure.is_some() && after.missing.is_none(), "nobody can take that back");
}

#[tokio::test]
async fn what_was_cached_of_a_kind_that_vanishes_is_deleted_unless_the_kind_is_required() {
    for presence in [Presence::Optional, Presence::Awaited] {
        let mut setup = setup();
        let (informer, stream) = filled(&mut setup, presence).await;
        stream.unknown(GONE_ANSWERS - 1).await;
        assert_eq!(informer.lister().len(), 1, "it may be a server that is behind");
        stream.works();
        stream.unknown(GONE_ANSWERS).await;
        informer.status().wait_for(|status| status.objects == 0 && status.synced).await.unwrap();
        stream.works();
        stream.deltas.push(Delta::Applied(config_map("a/two").version(9).raw())).await.unwrap();
        informer.status().wait_for(|status| status.objects == 1).await.unwrap();
    }
    let mut setup = setup();
    let (informer, stream) = filled(&mut setup, Presence::Required).await;
    stream.unknown(3 * GONE_ANSWERS).await;
    assert_eq!(informer.lister().len(), 1, "a failure is no news about objects");
    assert!(informer.status().borrow().failure.is_some());
}
