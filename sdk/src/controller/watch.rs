//! A kind as a source: how its events find the primaries they concern, and which of them do.
use std::fmt;
use std::sync::Arc;

use crate::informer::handler::Handle;
use crate::informer::{Informer, RawEvent};
use crate::resource::{Kind, ObjectKey, ResourceType};
use crate::store::decode::Envelope;
use crate::store::index::Index;

use super::guard::Guard;
use super::inlet::Trigger;
use super::mapping;
use super::predicate::{Filter, Predicate};
use super::source::{Source, describe, primary_trigger, related_trigger};

/// An informer as a source of a controller: a way from its events to keys of primaries, and predicates.
///
/// The mapping runs inside the informer, right after the store took the change, so that a lister knows at least what the
/// event tells. It must be quick and must not block. A panic in it, or in a predicate, loses the event and is reported.
///
/// | source | an event enqueues | controller-runtime |
/// |---|---|---|
/// | [`Watch::primary`] | its object | `For` |
/// | [`Watch::controlled_by`] | the controller owner of the old and of the new object | `Owns` |
/// | [`Watch::owned_by`] | every owner of the old and of the new object | `Owns` with `MatchEveryOwner` |
/// | [`Watch::referenced_by`] | the primaries that have its key in an index | `Watches` with a map function and an index |
/// | [`Watch::mapped`] | what a function says of the old and of the new object | `Watches` with a map function |
///
/// Initial lists and resyncs are of low priority, a primary's new generation and its deletion of high, everything else of
/// normal.
pub struct Watch<K> {
    informer: Informer<K>,
    map: Map,
    trigger: fn(&RawEvent) -> Trigger,
    predicate: Option<Predicate<K>>,
    is_primary: bool,
}

type Map = Box<dyn FnMut(&RawEvent) -> Vec<ObjectKey> + Send>;

impl<K: Kind> Watch<K> {
    /// The primary kind itself: an event enqueues its object. It is what [`Controller::resync`](super::Controller::resync)
    /// repeats.
    pub fn primary(informer: &Informer<K>) -> Self {
        let map = |event: &RawEvent| vec![event.latest().key().clone()];
        Self { trigger: primary_trigger, is_primary: true, ..Self::new(informer, map) }
    }

    /// Children of `P`: an event enqueues the primary that controls the object, and the one that did before.
    ///
    /// Owner references match by group and kind, whatever their version: it is the one their writer used.
    pub fn controlled_by<P: Kind>(informer: &Informer<K>) -> Self {
        let primary = ResourceType::of::<P>();
        Self::new(informer, move |event| {
            of_both(event, |object| mapping::controlling_primary(object, &primary).into_iter().collect())
        })
    }

    /// Objects that `P` owns, controller or not: an event enqueues every owner of the old and of the new object.
    pub fn owned_by<P: Kind>(informer: &Informer<K>) -> Self {
        let primary = ResourceType::of::<P>();
        Self::new(informer, move |event| of_both(event, |object| mapping::owning_primaries(object, &primary)))
    }

    /// Objects that primaries name: an event enqueues the primaries that have its key, as `namespace/name` or `name`, in
    /// `index`. A primary that comes to name the object later is enqueued by its own event.
    ///
    /// # Panics
    /// When `index` was added to another informer than `primaries`.
    pub fn referenced_by<P: Kind>(informer: &Informer<K>, primaries: &Informer<P>, index: &Index<P>) -> Self {
        let (primaries, index) = (primaries.lister(), index.clone());
        // An index of another informer would panic with every event.
        let _ = primaries.keys_by(&index, "");
        Self::new(informer, move |event| primaries.keys_by(&index, event.latest().key().as_str()))
    }

    /// Objects of any kind: `map` names the primaries that an object concerns, and is asked about the old and the new one.
    pub fn mapped<I>(informer: &Informer<K>, map: impl Fn(&Handle<K>) -> I + Send + 'static) -> Self
    where
        I: IntoIterator<Item = ObjectKey>,
    {
        Self::new(informer, move |event| {
            of_both(event, |object| map(&Handle::new(Arc::clone(object))).into_iter().collect())
        })
    }

    /// Lets only those events through that `predicate` passes, and every filter before it.
    #[must_use]
    pub fn filter(mut self, predicate: Predicate<K>) -> Self {
        self.predicate = Some(match self.predicate {
            Some(earlier) => earlier.and(predicate),
            None => predicate,
        });
        self
    }

    /// As [`Watch::filter`], of a predicate that has lost its type.
    pub(crate) fn passing(self, filter: Filter) -> Self {
        self.filter(Predicate::of(filter))
    }

    fn new(informer: &Informer<K>, map: impl FnMut(&RawEvent) -> Vec<ObjectKey> + Send + 'static) -> Self {
        let (informer, map) = (informer.clone(), Box::new(map));
        Self { informer, map, trigger: related_trigger, predicate: None, is_primary: false }
    }
}

/// Joins what `keys` says of the states that an event tells of, each key once.
fn of_both(event: &RawEvent, keys: impl Fn(&Arc<Envelope>) -> Vec<ObjectKey>) -> Vec<ObjectKey> {
    match event {
        RawEvent::Updated { old, new } => mapping::both(keys(old), keys(new)),
        event => mapping::both(Vec::new(), keys(event.latest())),
    }
}

impl<K: Kind> From<Watch<K>> for Source {
    fn from(watch: Watch<K>) -> Self {
        let Watch { informer, mut map, trigger, predicate, is_primary } = watch;
        let mut guard = Guard::new(describe(informer.shared().target()));
        let guarded = move |event: &RawEvent| {
            guard.keys(event.latest().key(), || {
                let passes = predicate.as_ref().is_none_or(|predicate| predicate.passes(event));
                Ok(if passes { map(event) } else { Vec::new() })
            })
        };
        let source = Self::triggered(informer.shared(), guarded, trigger);
        if is_primary { source.resyncing(Arc::new(move || informer.lister().keys())) } else { source }
    }
}

impl<K> fmt::Debug for Watch<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.informer).finish()
    }
}
