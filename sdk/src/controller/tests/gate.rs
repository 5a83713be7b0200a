//! Keys whose own writes the caches do not show: parked, woken by the event, let go at the deadline.
use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use super::*;
use crate::apply::{Change, Foreign, Sight};
use crate::informer::InformerStatus;

/// What the caches show, set by hand.
#[derive(Default)]
struct Caches {
    sights: Mutex<BTreeMap<String, Sight>>,
    /// What a live read finds.
    found: Mutex<Option<Sight>>,
    reads: AtomicUsize,
    change: watch::Sender<InformerStatus>,
}

impl Caches {
    fn with(sights: &[(&str, Sight)]) -> Arc<Self> {
        let sights = sights.iter().map(|(name, sight)| ((*name).to_owned(), *sight)).collect();
        Arc::new(Self { sights: Mutex::new(sights), ..Self::default() })
    }

    /// An event arrives, and with it the key's own write or not.
    fn event(&self, name: &str, sight: Sight) {
        self.sights.lock().unwrap().insert(name.to_owned(), sight);
        self.change.send_modify(|_| {});
    }
}

impl Gate for Caches {
    fn sight(&self, key: &ObjectKey) -> Sight {
        self.sights.lock().unwrap().get(key.name()).copied().unwrap_or(Sight::Clear)
    }

    fn settle<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<()>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let found = *self.found.lock().unwrap();
        let result = match found {
            Some(sight) => {
                self.sights.lock().unwrap().insert(key.name().to_owned(), sight);
                Ok(())
            }
            None => Err(Failed::new("no answer")),
        };
        std::future::ready(result).boxed()
    }

    fn hear(&self, _: &ObjectKey, _: Change<'_>, foreign: Foreign) {
        foreign.act();
    }

    fn overlook(&self, key: &ObjectKey) {
        self.sights.lock().unwrap().remove(key.name());
    }

    fn changes(&self) -> Vec<watch::Receiver<InformerStatus>> {
        vec![self.change.subscribe()]
    }
}

fn gated(caches: &Arc<Caches>) -> Running {
    let gate: Arc<dyn Gate> = Arc::<Caches>::clone(caches);
    Running::synced(controller().gate(gate), done)
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_write_is_not_shown_waits_for_the_event_and_holds_up_no_other() {
    let caches = Caches::with(&[("a", Sight::Behind)]);
    let running = gated(&caches);
    running.hand.add("a");
    running.hand.add("b");
    clock::sleep(10 * MS).await;
    assert_eq!((running.calls("a"), running.calls("b")), (vec![], vec![0]), "the only worker is free");
    caches.event("a", Sight::Behind);
    running.hand.add("a");
    clock::sleep(10 * MS).await;
    assert_eq!(running.calls("a"), [], "another event is not the one it waits for");
    caches.event("a", Sight::Clear);
    clock::sleep(10 * MS).await;
    assert_eq!(running.calls("a"), [20], "at once, and once");
    let stats = running.status.status().read_your_writes;
    assert_eq!((stats.waits.count(), stats.waits.sum(), stats.timeouts), (1, 20 * MS, 0));
    assert_eq!(running.counts().succeeded, 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_never_catches_up_delays_a_key_until_the_deadline_and_is_counted() {
    let caches = Caches::with(&[("a", Sight::Behind)]);
    let running = gated(&caches);
    running.hand.add("a");
    clock::sleep(10 * MS).await;
    running.hand.add("a");
    clock::sleep(2 * DEFAULT_READ_YOUR_WRITES_DEADLINE).await;
    let deadline = DEFAULT_READ_YOUR_WRITES_DEADLINE.as_millis();
    assert_eq!(running.calls("a"), [deadline], "counted from when it was parked first");
    let stats = running.status.status().read_your_writes;
    assert_eq!((stats.waits.count(), stats.timeouts), (1, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_is_looked_up_once_before_the_next_reconcile() {
    let caches = Caches::with(&[("a", Sight::Doubtful)]);
    *caches.found.lock().unwrap() = Some(Sight::Behind);
    let running = gated(&caches);
    running.hand.add("a");
    clock::sleep(10 * MS).await;
    running.hand.add("a");
    clock::sleep(10 * MS).await;
    assert_eq!((running.calls("a"), caches.reads.load(Ordering::SeqCst)), (vec![], 1));
    caches.event("a", Sight::Clear);
    clock::sleep(10 * MS).await;
    assert_eq!((running.calls("a"), caches.reads.load(Ordering::SeqCst)), (vec![20], 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_writes_cannot_be_looked_up_backs_off_and_is_not_reconciled() {
    let caches = Caches::with(&[("a", Sight::Doubtful)]);
    let running = gated(&caches);
    running.hand.add("a");
    clock::sleep(12 * MS).await;
    assert_eq!((running.calls("a"), caches.reads.load(Ordering::SeqCst)), (vec![], 2), "at 0 and 5 ms");
    assert_eq!(running.counts().transient_errors, 2);
    *caches.found.lock().unwrap() = Some(Sight::Clear);
    clock::sleep(10 * MS).await;
    assert_eq!(running.calls("a"), [15]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_without_read_your_writes_never_waits() {
    let caches = Caches::with(&[("a", Sight::Behind)]);
    let gate: Arc<dyn Gate> = Arc::<Caches>::clone(&caches);
    let running = Running::synced(controller().gate(gate).read_your_writes(ReadYourWrites::Off), done);
    running.hand.add("a");
    clock::sleep(MS).await;
    assert_eq!(running.calls("a"), [0]);
    running.stop().await;
}
