//! Where a controller's keys come from: events of informers, mapped inline and queued.
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::apply::Change;
use crate::declare::MapFunction;
use crate::informer::{RawEvent, SharedInformer};
use crate::reflector::{Failure, Target};
use crate::resource::{ObjectKey, ResourceType, ResourceVersion};
use crate::store::decode::Envelope;
use crate::wire::head::Head;

use super::guard::Guard;
use super::inlet::{Inlet, Trigger};
use super::mapping;
use super::predicate::{Filter, asks_anew, is_resync};
use super::timer::KeysFn;

/// One input of a controller, as a value: a [`Watch`](super::Watch) of a kind, a [`channel`](Source::channel), a
/// [timer](Source::interval).
pub struct Source {
    attach: Attach,
    /// Lists what a resync of the controller repeats.
    primaries: Option<KeysFn>,
}

/// What starts when the controller is attached, or runs as long as the controller does.
enum Attach {
    Feed(Box<dyn FnOnce(Inlet) -> Feed + Send>),
    Driver(Box<dyn FnOnce(Inlet) -> BoxFuture<'static, ()> + Send>),
}

/// A source that was attached.
pub(super) enum Attached {
    /// A kind that has to sync first.
    Feed(Feed),
    /// What has to be polled for the source to do anything. Its end is that of the source.
    Driver(BoxFuture<'static, ()>),
}

impl Source {
    /// Children of `primary`: an event enqueues the controller owner of the old and of the new object.
    pub(crate) fn owned(child: &Arc<SharedInformer>, filter: Option<Filter>, primary: ResourceType) -> Self {
        Self::events(child, filter, move |event| {
            let key = |object: &Envelope| mapping::controlling_primary(object, &primary).into_iter().collect();
            match event {
                RawEvent::Updated { old, new } => mapping::both(key(old), key(new)),
                RawEvent::Added { object, .. } | RawEvent::Deleted { last: object, .. } => key(object),
            }
        })
    }

    /// Objects that primaries name: an event enqueues the primaries that have its key, `namespace/name`, in the index
    /// at `slot`. A primary that comes to name the object later is enqueued by its own event.
    pub(crate) fn references(
        related: &Arc<SharedInformer>,
        filter: Option<Filter>,
        primary: &Arc<SharedInformer>,
        slot: usize,
    ) -> Self {
        let primary = Arc::clone(primary);
        Self::events(related, filter, move |event| primary.keys_by(slot, event.latest().key().as_str()))
    }

    /// Objects of any kind: `map` names the primaries of the old and of the new object, from its JSON.
    pub(crate) fn mapped(informer: &Arc<SharedInformer>, filter: Option<Filter>, map: MapFunction) -> Self {
        let mut guard = Guard::new(describe(informer.target()));
        let mut keys = move |object: &Envelope| {
            // The error's own text may quote the object, which may be a Secret.
            let reason = |error: serde_json::Error| format!("it does not decode at column {}", error.column());
            guard.keys(object.key(), || map(object.object().json()).map_err(reason))
        };
        Self::events(informer, filter, move |event| match event {
            RawEvent::Updated { old, new } => mapping::both(keys(old), keys(new)),
            RawEvent::Added { object, .. } | RawEvent::Deleted { last: object, .. } => keys(object),
        })
    }

    fn events(
        informer: &Arc<SharedInformer>,
        filter: Option<Filter>,
        mut map: impl FnMut(&RawEvent) -> Vec<ObjectKey> + Send + 'static,
    ) -> Self {
        let Some(passes) = filter else { return Self::triggered(informer, map, related_trigger) };
        let mut guard = Guard::new(describe(informer.target()));
        let filtered = move |event: &RawEvent| {
            guard.keys(event.latest().key(), || Ok(if passes(event) { map(event) } else { Vec::new() }))
        };
        Self::triggered(informer, filtered, related_trigger)
    }

    /// Every event of an informer comes through here on its way to a queue.
    pub(super) fn triggered(
        informer: &Arc<SharedInformer>,
        mut map: impl FnMut(&RawEvent) -> Vec<ObjectKey> + Send + 'static,
        trigger: fn(&RawEvent) -> Trigger,
    ) -> Self {
        let informer = Arc::clone(informer);
        Self::new(move |inlet| {
            let (resource, listing) = (informer.target().resource.clone(), informer.listing());
            let handler = move |event: RawEvent| {
                let trigger = trigger(&event);
                let mut keys = map(&event).into_iter().peekable();
                let news = keys.peek().is_some() && trigger != Trigger::Known && !listing.load(SeqCst);
                let Some((object, version)) = (if news { change(&event) } else { None }) else {
                    return keys.for_each(|key| inlet.add(key, trigger));
                };
                let change = Change { resource: &resource, key: object, version: &version };
                keys.for_each(|key| inlet.hear(key, trigger, change));
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
        Self { attach: Attach::Feed(Box::new(attach)), primaries: None }
    }

    /// A source without a kind: what `drive` returns gets the controller's inlet and is polled while the controller runs.
    pub(super) fn driven(drive: impl FnOnce(Inlet) -> BoxFuture<'static, ()> + Send + 'static) -> Self {
        Self { attach: Attach::Driver(Box::new(drive)), primaries: None }
    }

    /// Says what a resync of the controller repeats.
    pub(super) fn resyncing(mut self, primaries: KeysFn) -> Self {
        self.primaries = Some(primaries);
        self
    }

    pub(super) fn primaries(&self) -> Option<&KeysFn> {
        self.primaries.as_ref()
    }

    pub(super) fn attach(self, inlet: Inlet) -> Attached {
        match self.attach {
            Attach::Feed(attach) => Attached::Feed(attach(inlet)),
            Attach::Driver(drive) => Attached::Driver(drive(inlet)),
        }
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

/// The object that changed and its version, where the event may be an echo. What appears or vanishes always counts: it
/// changes what a reconcile finds.
fn change(event: &RawEvent) -> Option<(&ObjectKey, ResourceVersion)> {
    let RawEvent::Updated { new, .. } = event else { return None };
    Some((new.key(), Head::parse(new.head()).version()))
}

/// What an event of a related object means for its primaries.
pub(super) fn related_trigger(event: &RawEvent) -> Trigger {
    match event {
        RawEvent::Added { initial: true, .. } => Trigger::Known,
        RawEvent::Updated { old, new } if is_resync(old, new) => Trigger::Known,
        _ => Trigger::Changed,
    }
}

/// What an event of a primary means for itself.
pub(super) fn primary_trigger(event: &RawEvent) -> Trigger {
    match event {
        RawEvent::Updated { old, new } if asks_anew(old, new) => Trigger::Asked,
        RawEvent::Added { initial: false, .. } | RawEvent::Deleted { .. } => Trigger::Asked,
        event => related_trigger(event),
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
        let mut target = Target {
            resource,
            namespace: None,
            labels: None,
            fields: None,
            metadata_only: false,
            managed_fields: crate::wire::ManagedFields::Drop,
        };
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
}
