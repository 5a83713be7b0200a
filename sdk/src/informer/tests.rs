//! The Q and I invariants, against a scripted source of deltas.
use std::collections::BTreeMap;
use std::sync::mpsc as std_mpsc;

use k8s_openapi::api::core::v1::ConfigMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::delta::{self, DeltaSender};
use crate::reflector::{Delta, DeltaSink as _};
use crate::reflector::{ReflectorStatus, Target};
use crate::resource::ResourceType;
use crate::store::Options;
use crate::store::fixture::{ConfigMapFixture, config_map, key};
use crate::wire::ManagedFields;

use super::event::{Event, FinalState};
use super::handler::{BUFFER_BOUND, Deleted, Handle};
use super::options::Presence;
use super::*;

mod deltas;

mod failures;

mod filter;

mod handlers;

mod hostile;

mod packing;

mod resync;

/// An informer that runs, and the ends of what feeds it. Dropping it stops everything.
struct Script {
    informer: Informer<ConfigMap>,
    deltas: DeltaSender,
    reflector: watch::Sender<ReflectorStatus>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Script {
    fn new() -> Self {
        let target = Target {
            resource: ResourceType::of::<ConfigMap>(),
            namespace: None,
            labels: None,
            fields: None,
            metadata_only: false,
            managed_fields: ManagedFields::Drop,
        };
        let shared = SharedInformer::numbered(1, target.into(), Options::default());
        shared.require(Presence::Required);
        let (deltas, receiver) = delta::channel();
        let (reflector, status) = watch::channel(ReflectorStatus::default());
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(shared.run(receiver, vec![status], stopped).unwrap());
        Self { informer: Informer::new(shared), deltas, reflector, stop, tasks }
    }

    async fn push(&self, delta: Delta) {
        self.deltas.push(delta).await.unwrap();
    }

    async fn apply(&self, object: &ConfigMapFixture) {
        self.push(Delta::Applied(object.raw())).await;
    }

    async fn delete(&self, object: &ConfigMapFixture) {
        self.push(Delta::Deleted(object.raw())).await;
    }

    async fn list(&self, version: u64, objects: &[ConfigMapFixture]) {
        self.push(Delta::ListStarted).await;
        for object in objects {
            self.push(Delta::Listed(object.raw())).await;
        }
        self.push(Delta::Replaced(ResourceVersion::new(&version.to_string()))).await;
    }

    /// Waits until the store has everything up to `version` and inline handlers were called for it.
    async fn reaches(&self, version: u64) -> InformerStatus {
        let mut status = self.informer.shared().status();
        status.wait_for(|status| status.version.as_str() == version.to_string()).await.unwrap().clone()
    }

    /// Registers an inline handler that writes down what it sees.
    fn record(&self) -> (Registration, mpsc::UnboundedReceiver<Seen>) {
        let (sender, seen) = mpsc::unbounded_channel();
        let registration = self.informer.shared().add_inline_handler(Box::new(move |event| {
            let _ = sender.send(event.map(|object| (object.metadata().key.to_string(), version_of(object.metadata()))));
        }));
        (registration, seen)
    }
}

/// An event with each object as key and version.
type Seen = Event<(String, u64)>;

fn version_of(metadata: &crate::wire::Metadata) -> u64 {
    metadata.resource_version.as_str().parse().unwrap()
}

fn added(key: &str, version: u64) -> Seen {
    Event::Added { object: (key.to_owned(), version), initial: false }
}

fn initial(key: &str, version: u64) -> Seen {
    Event::Added { object: (key.to_owned(), version), initial: true }
}

fn updated(key: &str, old: u64, new: u64) -> Seen {
    Event::Updated { old: (key.to_owned(), old), new: (key.to_owned(), new) }
}

fn deleted(key: &str, last: u64, final_state: FinalState) -> Seen {
    Event::Deleted { last: (key.to_owned(), last), final_state }
}

fn take(seen: &mut mpsc::UnboundedReceiver<Seen>) -> Vec<Seen> {
    std::iter::from_fn(|| seen.try_recv().ok()).collect()
}

/// What a handler knows after the events, each checked against what it knew before.
fn replay(events: impl IntoIterator<Item = Seen>) -> BTreeMap<String, u64> {
    let mut known = BTreeMap::new();
    for event in events {
        match event {
            Event::Added { object: (key, new), .. } => assert_eq!(known.insert(key, new), None, "added once"),
            Event::Updated { old: (key, old), new: (_, new) } => {
                assert_eq!(known.insert(key, new), Some(old), "old is what was seen last");
            }
            Event::Deleted { last: (key, _), .. } => assert!(known.remove(&key).is_some(), "{key} was never added"),
        }
    }
    known
}

/// A user's handler that writes down what it sees, after waiting at `gate` if there is one.
struct Recorder {
    seen: mpsc::UnboundedSender<Seen>,
    gate: Option<(mpsc::UnboundedSender<()>, std_mpsc::Receiver<()>)>,
    panic_on: Option<&'static str>,
}

impl Recorder {
    fn new() -> (Self, mpsc::UnboundedReceiver<Seen>) {
        let (sender, seen) = mpsc::unbounded_channel();
        (Self { seen: sender, gate: None, panic_on: None }, seen)
    }

    /// Makes every call tell that it has begun, then wait at `gate`.
    fn behind(self, gate: std_mpsc::Receiver<()>) -> (Self, mpsc::UnboundedReceiver<()>) {
        let (sender, began) = mpsc::unbounded_channel();
        (Self { gate: Some((sender, gate)), ..self }, began)
    }

    fn panicking_on(self, key: &'static str) -> Self {
        Self { panic_on: Some(key), ..self }
    }

    fn see(&self, event: Event<Handle<ConfigMap>>) {
        // Once the test has let go of its end, the gate is open.
        if let Some((began, gate)) = &self.gate {
            let _ = began.send(());
            let _ = gate.recv();
        }
        assert!(self.panic_on != Some(event.latest().key().as_str()), "as the test wants");
        let _ = self.seen.send(event.map(|object| (object.key().to_string(), version_of(object.metadata()))));
    }
}

impl ResourceEventHandler<ConfigMap> for Recorder {
    fn on_add(&mut self, object: Handle<ConfigMap>, initial: bool) {
        self.see(Event::Added { object, initial });
    }
    fn on_update(&mut self, old: Handle<ConfigMap>, new: Handle<ConfigMap>) {
        self.see(Event::Updated { old, new });
    }
    fn on_delete(&mut self, object: Deleted<ConfigMap>) {
        let Deleted { last, final_state } = object;
        self.see(Event::Deleted { last, final_state });
    }
}

#[tokio::test]
async fn q1_events_arrive_in_order_across_keys() {
    let script = Script::new();
    let (_registration, mut seen) = script.record();
    let (recorder, mut buffered) = Recorder::new();
    let _buffered = script.informer.add_event_handler(recorder);
    script.list(1, &[]).await;
    script.apply(&config_map("a/one").version(2)).await;
    script.apply(&config_map("a/two").version(3)).await;
    script.apply(&config_map("a/one").version(4)).await;
    script.delete(&config_map("a/two").version(5)).await;
    script.reaches(5).await;
    let expected =
        [added("a/one", 2), added("a/two", 3), updated("a/one", 2, 4), deleted("a/two", 5, FinalState::Known)];
    assert_eq!(take(&mut seen), expected);
    for event in expected {
        assert_eq!(buffered.recv().await.unwrap(), event);
    }
}

#[tokio::test]
async fn q2_i2_synced_means_that_this_handler_has_handled_the_whole_first_list() {
    let script = Script::new();
    let (inline, mut seen) = script.record();
    let (gate, closed) = std_mpsc::channel::<()>();
    let (recorder, mut buffered) = Recorder::new();
    let (recorder, _began) = recorder.behind(closed);
    let slow = script.informer.add_event_handler(recorder);
    script.push(Delta::ListStarted).await;
    script.push(Delta::Listed(config_map("a/one").raw())).await;
    assert_eq!(seen.recv().await.unwrap(), initial("a/one", 1));
    assert!(!inline.has_synced() && !script.informer.shared().status().borrow().synced, "the list has not ended");
    script.push(Delta::Replaced(ResourceVersion::new("9"))).await;
    inline.synced().await;
    assert!(script.reaches(9).await.synced);
    assert!(!slow.has_synced(), "the slow one has not handled it");
    drop(gate);
    slow.synced().await;
    assert!(slow.has_synced() && inline.has_synced());
    assert_eq!(buffered.try_recv().unwrap(), initial("a/one", 1), "handled before synced");
}

#[tokio::test]
async fn q3_an_empty_first_list_syncs_once_it_was_processed() {
    let script = Script::new();
    let (inline, _seen) = script.record();
    let buffered = script.informer.add_event_handler(Recorder::new().0);
    script.push(Delta::ListStarted).await;
    script.push(Delta::Bookmark(ResourceVersion::new("3"))).await;
    tokio::task::yield_now().await;
    assert!(!inline.has_synced() && !buffered.has_synced());
    script.push(Delta::Replaced(ResourceVersion::new("4"))).await;
    inline.synced().await;
    buffered.synced().await;
    let status = script.reaches(4).await;
    assert_eq!((status.synced, status.objects), (true, 0));
}

#[tokio::test]
async fn q10_the_store_has_what_a_handler_is_told_of() {
    let script = Script::new();
    let informer = script.informer.clone();
    let by_data = informer.add_index(|object: &ConfigMap| object.data.clone().unwrap_or_default().into_values());
    let (sender, mut seen) = mpsc::unbounded_channel();
    let _registration = informer.shared().add_inline_handler({
        let lister = informer.lister();
        Box::new(move |event| {
            let metadata = event.latest().metadata().clone();
            let stored = lister.raw(&metadata.key).map(|object| version_of(object.metadata()));
            let _ = sender.send((stored, lister.keys_by(&by_data, "x").len(), version_of(&metadata)));
        })
    });
    script.list(1, &[]).await;
    script.apply(&config_map("a/one").version(2)).await;
    script.apply(&config_map("a/one").version(3).data("k", "x")).await;
    script.delete(&config_map("a/one").version(4)).await;
    for expected in [(Some(2), 0, 2), (Some(3), 1, 3), (None, 0, 4)] {
        assert_eq!(seen.recv().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn q12_a_storm_ends_with_store_and_handlers_knowing_what_the_server_has() {
    let script = Script::new();
    let (_registration, mut seen) = script.record();
    let (recorder, mut buffered) = Recorder::new();
    let registration = script.informer.add_event_handler(recorder);
    let mut server: BTreeMap<String, ConfigMapFixture> = BTreeMap::new();
    script.list(1, &[]).await;
    // A fixed walk over few keys: creations, changes, missed deletions, other uids, re-lists.
    let mut walk = 7_u64;
    for version in 2..3000_u64 {
        walk = walk.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let name = format!("a/{}", (walk >> 33) % 20);
        let fresh = config_map(&name).uid(&format!("{name}-{}", (walk >> 40) % 2)).version(version);
        match (walk >> 48) % 10 {
            0 => {
                server.remove(&name);
            }
            1 => {
                let objects: Vec<_> = server.values().cloned().collect();
                script.list(version, &objects).await;
            }
            2 | 3 => {
                if server.remove(&name).is_some() {
                    script.delete(&fresh).await;
                }
            }
            _ => {
                script.apply(&fresh).await;
                server.insert(name, fresh);
            }
        }
    }
    script.list(3000, &server.values().cloned().collect::<Vec<_>>()).await;
    script.apply(&config_map("z/last").version(3001)).await;
    script.reaches(3001).await;
    server.insert("z/last".to_owned(), config_map("z/last").version(3001));
    let expected: BTreeMap<_, _> =
        server.iter().map(|(key, object)| (key.clone(), version_of(object.raw().metadata()))).collect();
    let keys: Vec<_> = script.informer.lister().keys().iter().map(ToString::to_string).collect();
    assert_eq!(keys, server.keys().cloned().collect::<Vec<_>>());
    assert_eq!(replay(take(&mut seen)), expected);
    let mut events = Vec::new();
    while events.last() != Some(&added("z/last", 3001)) {
        events.push(buffered.recv().await.unwrap());
    }
    assert_eq!(replay(events), expected);
    drop(registration);
}

#[tokio::test]
async fn i1_a_late_handler_sees_every_object_once_and_then_every_change() {
    let script = Script::new();
    script.list(1, &[config_map("a/1"), config_map("a/2")]).await;
    let mut handlers = Vec::new();
    for version in 2..400_u64 {
        let object = config_map(&format!("a/{}", version % 17)).version(version);
        if version % 5 == 0 {
            script.delete(&object).await
        } else {
            script.apply(&object).await
        }
        if version % 40 == 0 {
            let (recorder, buffered) = Recorder::new();
            handlers.push((script.record(), script.informer.add_event_handler(recorder), buffered));
            tokio::task::yield_now().await;
        }
    }
    script.apply(&config_map("z/last").version(400)).await;
    script.reaches(400).await;
    let lister = script.informer.lister();
    let keys = lister.keys();
    let expected: BTreeMap<_, _> =
        keys.iter().map(|key| (key.to_string(), version_of(lister.raw(key).unwrap().metadata()))).collect();
    for ((inline, mut seen), registration, mut buffered) in handlers {
        assert!(inline.has_synced());
        registration.synced().await;
        let events = take(&mut seen);
        let replayed = events.iter().take_while(|event| matches!(event, Event::Added { initial: true, .. })).count();
        let late = events[replayed..].iter().any(|event| matches!(event, Event::Added { initial: true, .. }));
        assert!(replayed > 0 && !late, "the replay comes first and is marked");
        assert_eq!(replay(events), expected);
        let mut received: Vec<Seen> = Vec::new();
        while received.last().is_none_or(|event| event.latest().0 != "z/last") {
            received.push(buffered.recv().await.unwrap());
        }
        assert_eq!(replay(received), expected);
    }
}

#[tokio::test]
async fn i3_a_disrupted_watch_shows_as_the_difference() {
    let script = Script::new();
    let (_registration, mut seen) = script.record();
    let objects = ["a/same", "a/changed", "a/gone"].map(config_map);
    script.list(10, &objects).await;
    script.reaches(10).await;
    take(&mut seen);
    let [same, changed, _] = objects;
    script.list(20, &[same.clone(), changed.version(15), config_map("a/new").version(16)]).await;
    script.apply(&same).await;
    script.apply(&config_map("a/new").version(21)).await;
    script.reaches(21).await;
    assert_eq!(
        take(&mut seen),
        [
            updated("a/changed", 1, 15),
            added("a/new", 16),
            deleted("a/gone", 1, FinalState::Unknown),
            updated("a/new", 16, 21)
        ],
        "what is the same is not told again, on the list or on the watch"
    );
}

#[tokio::test]
async fn i13_an_informer_runs_once() {
    let script = Script::new();
    let (_deltas, receiver) = delta::channel();
    let (_, status) = watch::channel(ReflectorStatus::default());
    assert!(script.informer.shared().run(receiver, vec![status], script.stop.subscribe()).is_none());
}

#[tokio::test]
async fn i16_another_uid_is_a_deletion_and_an_addition() {
    let script = Script::new();
    let (_registration, mut seen) = script.record();
    script.list(1, &[config_map("a/one")]).await;
    script.apply(&config_map("a/one").uid("other").version(2)).await;
    script.reaches(2).await;
    assert_eq!(take(&mut seen), [initial("a/one", 1), deleted("a/one", 1, FinalState::Unknown), added("a/one", 2)]);
}
