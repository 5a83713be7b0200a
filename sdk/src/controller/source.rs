//! Where a controller's keys come from: events of informers, mapped inline and queued.
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::declare::MapFunction;
use crate::informer::{RawEvent, SharedInformer};
use crate::reflector::{Failure, Target};
use crate::resource::{ObjectKey, ResourceType};
use crate::store::decode::Envelope;
use crate::wire::Metadata;

use super::inlet::{Inlet, Trigger};
use super::mapping;

/// One input of a controller: a kind that is watched, and how its events find primaries.
pub(crate) struct Source {
    attach: Box<dyn FnOnce(Inlet) -> Feed + Send>,
}

impl Source {
    /// The primary kind itself: every event enqueues its object.
    pub(crate) fn primary(informer: &Arc<SharedInformer>) -> Self {
        let map = |event: &RawEvent| vec![of_event(event).metadata().key.clone()];
        Self::triggered(informer, map, primary_trigger)
    }

    /// Children of `primary`: an event enqueues the controller owner of the old and of the new object.
    pub(crate) fn owned(child: &Arc<SharedInformer>, primary: ResourceType) -> Self {
        Self::by_metadata(child, move |metadata| mapping::controlling_primary(metadata, &primary))
    }

    /// Objects that primaries name: an event enqueues the primaries that have its key, `namespace/name`, in the index
    /// at `slot`. A primary that comes to name the object later is enqueued by its own event.
    pub(crate) fn references(related: &Arc<SharedInformer>, primary: &Arc<SharedInformer>, slot: usize) -> Self {
        let primary = Arc::clone(primary);
        Self::events(related, move |event| primary.keys_by(slot, of_event(event).metadata().key.as_str()))
    }

    /// Objects of any kind: `map` names the primaries of the old and of the new object, from its JSON.
    pub(crate) fn mapped(informer: &Arc<SharedInformer>, map: MapFunction) -> Self {
        let mut map = Guarded::new(describe(informer.target()), map);
        Self::events(informer, move |event| match event {
            RawEvent::Updated { old, new } => mapping::both(map.keys(old), map.keys(new)),
            RawEvent::Added { object, .. } | RawEvent::Deleted { last: object, .. } => map.keys(object),
        })
    }

    fn by_metadata(
        informer: &Arc<SharedInformer>,
        key: impl Fn(&Metadata) -> Option<ObjectKey> + Send + 'static,
    ) -> Self {
        Self::events(informer, move |event| {
            let key = |object: &Envelope| key(object.metadata()).into_iter().collect();
            match event {
                RawEvent::Updated { old, new } => mapping::both(key(old), key(new)),
                RawEvent::Added { object, .. } | RawEvent::Deleted { last: object, .. } => key(object),
            }
        })
    }

    fn events(informer: &Arc<SharedInformer>, map: impl FnMut(&RawEvent) -> Vec<ObjectKey> + Send + 'static) -> Self {
        Self::triggered(informer, map, related_trigger)
    }

    fn triggered(
        informer: &Arc<SharedInformer>,
        mut map: impl FnMut(&RawEvent) -> Vec<ObjectKey> + Send + 'static,
        trigger: fn(&RawEvent) -> Trigger,
    ) -> Self {
        let informer = Arc::clone(informer);
        Self::new(move |inlet| {
            let handler = move |event: RawEvent| {
                let trigger = trigger(&event);
                map(&event).into_iter().for_each(|key| inlet.add(key, trigger));
            };
            let registration = Arc::new(informer.add_inline_handler(Box::new(handler)));
            // Whoever asks for the status must not keep the handler registered.
            let synced = Arc::downgrade(&registration);
            let waiting = Arc::clone(&registration);
            let status = informer.status();
            Feed {
                _registration: Box::new(registration),
                synced: async move { waiting.synced().await }.boxed(),
                status: Arc::new(move || SourceStatus {
                    kind: describe(informer.target()),
                    synced: synced.upgrade().is_some_and(|registration| registration.has_synced()),
                    failure: status.borrow().failure.clone(),
                }),
            }
        })
    }

    /// The seam under all of the above: `attach` gets the controller's inlet and feeds it from then on.
    pub(crate) fn new(attach: impl FnOnce(Inlet) -> Feed + Send + 'static) -> Self {
        Self { attach: Box::new(attach) }
    }

    pub(super) fn attach(self, inlet: Inlet) -> Feed {
        (self.attach)(inlet)
    }
}

/// A source that feeds a queue; dropping it ends that.
pub(crate) struct Feed {
    /// Keeps the handler registered.
    pub(crate) _registration: Box<dyn Any + Send + Sync>,
    /// Ends once the handler has seen its whole initial list.
    pub(crate) synced: BoxFuture<'static, ()>,
    /// Tells how the source is doing.
    pub(crate) status: Arc<dyn Fn() -> SourceStatus + Send + Sync>,
}

/// How one watched kind is doing.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// The kind, as in `deployments.apps/v1`, and which part of it is watched.
    pub kind: String,
    /// Whether the first whole list has been taken in.
    pub synced: bool,
    /// What fails now, and what to do about it.
    pub failure: Option<Arc<Failure>>,
}

/// Names what is watched: the kind, and what narrows it.
pub(crate) fn describe(target: &Target) -> String {
    target.to_string()
}

/// A user's map function, which runs inside the informer and must not be able to stop it.
struct Guarded {
    kind: String,
    map: MapFunction,
    failing: bool,
}

impl Guarded {
    fn new(kind: String, map: MapFunction) -> Self {
        Self { kind, map, failing: false }
    }

    fn keys(&mut self, object: &Envelope) -> Vec<ObjectKey> {
        self.keys_of(&object.metadata().key, object.object().json())
    }

    /// Maps one object; one that cannot be mapped concerns no primary, and is reported.
    fn keys_of(&mut self, key: &ObjectKey, json: &[u8]) -> Vec<ObjectKey> {
        let reason = match catch_unwind(AssertUnwindSafe(|| (self.map)(json))) {
            Ok(Ok(keys)) => {
                self.failing = false;
                return keys;
            }
            // The error's own text may quote the object, which may be a Secret.
            Ok(Err(error)) => format!("it does not decode at column {}", error.column()),
            Err(panic) => format!("the map function panicked: {}", super::panic_message(&*panic)),
        };
        let kind = &self.kind;
        // Once for each run of failures: one bad object may change many times a second.
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(%kind, object = %key, "event dropped, {reason}");
        } else {
            tracing::warn!(%kind, object = %key, "event dropped, {reason}");
        }
        Vec::new()
    }
}

/// What an event of a related object means for its primaries.
fn related_trigger(event: &RawEvent) -> Trigger {
    match event {
        RawEvent::Added { initial: true, .. } => Trigger::Known,
        RawEvent::Updated { old, new } if is_resync(old.metadata(), new.metadata()) => Trigger::Known,
        _ => Trigger::Changed,
    }
}

/// What an event of a primary means for itself.
fn primary_trigger(event: &RawEvent) -> Trigger {
    match event {
        RawEvent::Updated { old, new } if asks_anew(old.metadata(), new.metadata()) => Trigger::Asked,
        RawEvent::Added { initial: false, .. } | RawEvent::Deleted { .. } => Trigger::Asked,
        event => related_trigger(event),
    }
}

/// controller-runtime's test, too: a resync repeats the version.
fn is_resync(old: &Metadata, new: &Metadata) -> bool {
    !new.resource_version.is_empty() && old.resource_version == new.resource_version
}

/// Says whether what the object asks for changed. Kinds without a generation may ask with any field.
fn asks_anew(old: &Metadata, new: &Metadata) -> bool {
    let generation = match (old.generation, new.generation) {
        (None, None) => !is_resync(old, new),
        (old, new) => old != new,
    };
    generation || old.deleting != new.deleting || old.uid != new.uid
}

fn of_event(event: &RawEvent) -> &Envelope {
    match event {
        RawEvent::Added { object, .. } | RawEvent::Updated { new: object, .. } => object,
        RawEvent::Deleted { last, .. } => last,
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("status", &(self.status)()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrowed_kind_says_so_in_its_name() {
        let resource = ResourceType::of::<k8s_openapi::api::apps::v1::Deployment>();
        let mut target = Target { resource, namespace: None, labels: None, fields: None, metadata_only: false };
        assert_eq!(describe(&target), "deployments.apps/v1");
        target.namespace = Some("web".into());
        target.labels = Some("app=front".into());
        assert_eq!(describe(&target), "deployments.apps/v1 (namespace web, labels app=front)");
        target.metadata_only = true;
        assert_eq!(describe(&target), "deployments.apps/v1 (namespace web, labels app=front, metadata only)");
    }

    fn event(old: Option<&str>, new: &str) -> RawEvent {
        let envelope = |metadata: &str| {
            let json =
                format!(r#"{{"apiVersion":"v1","kind":"Widget","metadata":{{"name":"a","uid":"u",{metadata}}}}}"#);
            Arc::new(Envelope::new(Arc::new(crate::wire::RawObject::parse(json.as_bytes()).unwrap())))
        };
        match old {
            Some(old) => RawEvent::Updated { old: envelope(old), new: envelope(new) },
            None => RawEvent::Added { object: envelope(new), initial: false },
        }
    }

    #[test]
    fn h3_only_initial_lists_and_repeated_versions_are_of_low_priority() {
        let version = |version: u32| format!(r#""resourceVersion":"{version}","generation":1"#);
        let (old, new) = (version(1), version(2));
        assert_eq!(related_trigger(&event(Some(&old), &old)), Trigger::Known);
        assert_eq!(primary_trigger(&event(Some(&old), &old)), Trigger::Known);
        assert_eq!(related_trigger(&event(Some(&old), &new)), Trigger::Changed);
        assert_eq!(primary_trigger(&event(Some(&old), &new)), Trigger::Changed, "a status or an annotation");
        assert_eq!(related_trigger(&event(None, &new)), Trigger::Changed);
        assert_eq!(primary_trigger(&event(None, &new)), Trigger::Asked);
        let RawEvent::Added { object, .. } = event(None, &new) else { unreachable!() };
        let initial = RawEvent::Added { object, initial: true };
        assert_eq!((related_trigger(&initial), primary_trigger(&initial)), (Trigger::Known, Trigger::Known));
    }

    #[test]
    fn a_primary_asks_anew_by_its_generation_its_deletion_or_any_change_where_it_has_no_generation() {
        let check = |old: &str, new: &str, expected: Trigger| {
            assert_eq!(primary_trigger(&event(Some(old), new)), expected, "{old} {new}");
        };
        let base = r#""resourceVersion":"1","generation":1"#;
        check(base, r#""resourceVersion":"2","generation":2"#, Trigger::Asked);
        let deleting = r#""resourceVersion":"2","generation":1,"deletionTimestamp":"2026-01-01T00:00:00Z""#;
        check(base, deleting, Trigger::Asked);
        check(r#""resourceVersion":"1""#, r#""resourceVersion":"2""#, Trigger::Asked);
        check(r#""resourceVersion":"1""#, r#""resourceVersion":"1""#, Trigger::Known);
        check(base, r#""resourceVersion":"2","generation":1"#, Trigger::Changed);
    }

    #[test]
    fn h4_an_object_that_cannot_be_mapped_is_dropped_and_the_next_one_is_not() {
        let map: MapFunction = Arc::new(|json| match json {
            b"panic" => panic!("map function"),
            json => Ok(vec![ObjectKey::cluster(&serde_json::from_slice::<String>(json)?)]),
        });
        let mut map = Guarded::new("configmaps/v1".into(), map);
        let key = ObjectKey::namespaced("web", "front");
        let check = |map: &mut Guarded, json: &str, expected: &[&str], failing: bool| {
            let expected: Vec<_> = expected.iter().map(|name| ObjectKey::cluster(name)).collect();
            assert_eq!((map.keys_of(&key, json.as_bytes()), map.failing), (expected, failing), "{json}");
        };
        check(&mut map, "\"a\"", &["a"], false);
        check(&mut map, "17", &[], true);
        check(&mut map, "panic", &[], true);
        check(&mut map, "\"b\"", &["b"], false);
    }
}
