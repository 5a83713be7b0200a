//! How long an informer lives.
use crate::informer::handler::{Handle, Registration, ResourceEventHandler};

use super::*;

impl Setup {
    /// Waits until so many streams run.
    async fn runs(&self, streams: usize) {
        while self.running.load(Ordering::Relaxed) != streams {
            tokio::task::yield_now().await;
        }
    }
}

/// Writes down the keys of what is added, and holds whatever it is given.
struct Holding<T> {
    added: mpsc::UnboundedSender<String>,
    _held: T,
}

impl<T: Send + 'static> ResourceEventHandler<ConfigMap> for Holding<T> {
    fn on_add(&mut self, object: Handle<ConfigMap>, _: bool) {
        let _ = self.added.send(object.key().to_string());
    }
}

fn hold<T: Send + 'static>(informer: &Informer<ConfigMap>, held: T) -> (Registration, mpsc::UnboundedReceiver<String>) {
    let (added, seen) = mpsc::unbounded_channel();
    (informer.add_event_handler(Holding { added, _held: held }), seen)
}

#[tokio::test]
async fn the_last_holder_ends_the_watch_and_asking_again_starts_anew() {
    let mut setup = setup();
    let (first, other) = (setup.factory.informer::<ConfigMap>(), setup.factory.informer::<Pod>());
    let (clone, status) = (first.clone(), first.status());
    setup.factory.start();
    let stream = setup.streams().remove(0);
    stream.sync("1").await;
    setup.factory.wait_for_cache_sync(Duration::ZERO).await.unwrap_err();
    drop(first);
    stream.deltas.push(Delta::Applied(config_map("a/one").version(2).raw())).await.unwrap();
    clone.status().wait_for(|status| status.objects == 1).await.unwrap();
    let lister = clone.lister();
    drop(clone);
    stream.deltas.push(Delta::Applied(config_map("a/three").version(3).raw())).await.unwrap();
    let mut status = status;
    status.wait_for(|status| status.objects == 2).await.unwrap();
    let partial = lister.partial();
    drop(lister);
    assert_eq!(partial.len(), 2, "a lister and what is made of it keep it");
    drop(partial);
    setup.runs(1).await;
    assert!(status.wait_for(|status| status.stopped).await.unwrap().synced);
    assert!(stream.deltas.push(Delta::ListStarted).await.is_err(), "the store takes no more");
    assert_eq!(setup.factory.status().len(), 1, "only the other is left");

    let again = setup.factory.informer::<ConfigMap>();
    assert!(again.lister().is_empty(), "a new cache");
    assert_eq!(setup.streams().len(), 0, "to be started like any other");
    setup.factory.start();
    let anew = setup.streams().remove(0);
    anew.deltas.push(Delta::ListStarted).await.unwrap();
    anew.deltas.push(Delta::Listed(config_map("a/two").raw())).await.unwrap();
    anew.deltas.push(Delta::Replaced(ResourceVersion::new("5"))).await.unwrap();
    again.status().wait_for(|status| status.synced).await.unwrap();
    assert_eq!(again.lister().keys(), [key("a/two")]);
    assert!(!other.is_stopped());
}

#[tokio::test]
async fn a_registration_keeps_its_informer_and_lets_it_go() {
    let mut setup = setup();
    let informer = setup.factory.informer::<ConfigMap>();
    let (registration, mut seen) = hold(&informer, ());
    drop(informer);
    setup.factory.start();
    let stream = setup.streams().remove(0);
    stream.sync("1").await;
    stream.deltas.push(Delta::Applied(config_map("a/one").version(2).raw())).await.unwrap();
    assert_eq!(seen.recv().await.as_deref(), Some("a/one"));
    drop(registration);
    setup.runs(0).await;
    assert_eq!(seen.recv().await, None);
}

#[tokio::test]
async fn a_handler_that_holds_its_informer_keeps_it_only_while_it_is_registered() {
    let mut setup = setup();
    let informer = setup.factory.informer::<ConfigMap>();
    let (registration, mut seen) = hold(&informer, informer.clone());
    drop(informer);
    setup.factory.start();
    setup.streams().remove(0).sync("1").await;
    registration.synced().await;
    drop(registration);
    setup.runs(0).await;
    assert_eq!(seen.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn i15_nobody_waits_for_an_informer_that_nobody_holds() {
    let mut setup = setup();
    let (kept, dropped) = (setup.factory.informer::<Pod>(), setup.factory.informer::<ConfigMap>());
    setup.factory.start();
    let streams = setup.streams();
    let waiting = setup.factory.wait_for_cache_sync(LIMIT);
    let letting_go = async {
        drop(dropped);
        streams[0].sync("1").await;
    };
    let (waited, ()) = tokio::join!(waiting, letting_go);
    waited.unwrap();
    assert!(kept.status().borrow().synced);
}

#[tokio::test]
async fn what_was_dropped_before_the_start_is_never_opened() {
    let mut setup = setup();
    drop(setup.factory.informer::<ConfigMap>());
    setup.factory.start();
    assert_eq!(setup.streams().len(), 0);
}
