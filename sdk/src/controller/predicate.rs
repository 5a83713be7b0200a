//! Which events of an informer reach a controller.
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use kube::core::{Selector, SelectorExt};
use serde::Deserialize;

use crate::informer::handler::Handle;
use crate::informer::{Event, RawEvent};
use crate::resource::Kind;
use crate::store::decode::Envelope;
use crate::wire::head::{self, Head};

/// Decides which events of kind `K` reach a controller: a value, given to [`Watch::filter`](super::Watch::filter).
///
/// A predicate answers yes, no or nothing, and an event passes unless the answer is no. They answer nothing about what
/// they do not look at, and so **no predicate swallows a deletion** but one made by [`Predicate::new`]:
///
/// | | appeared | changed | gone |
/// |---|---|---|---|
/// | [`generation_changed`](Self::generation_changed), [`labels_changed`](Self::labels_changed), [`annotations_changed`](Self::annotations_changed), [`resource_version_changed`](Self::resource_version_changed), [`update`](Self::update) | nothing | yes or no | nothing |
/// | [`label_selector`](Self::label_selector), [`object`](Self::object) | yes or no | as for both states; nothing where they differ | nothing |
/// | [`new`](Self::new) | yes or no | yes or no | yes or no |
///
/// [`and`](Self::and), [`or`](Self::or) and [`not`](Self::not) join answers as three-valued logic does: the opposite of
/// nothing is nothing, no and nothing is no, yes or nothing is yes, and any other pair with nothing in it is nothing. So
/// `not` never turns a predicate about changes into one that swallows what appears or is gone, as it does in
/// controller-runtime, and an object that leaves a selection is seen leaving.
///
/// Predicates spare reconciles, not memory: the informer caches what it watches. To cache less, narrow the informer.
/// What a predicate drops of a primary does not lift the hold of a failing key either.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kubewright::controller::Predicate;
///
/// let ours = Predicate::<ConfigMap>::object(|map| map.key().namespace() == Some("web"));
/// let _ = ours.and(Predicate::labels_changed().or(Predicate::annotations_changed()));
/// ```
pub struct Predicate<K> {
    judge: Judge,
    kind: PhantomData<fn(&K)>,
}

/// Says whether an event passes, without the type of its objects.
pub(crate) type Filter = Arc<dyn Fn(&RawEvent) -> bool + Send + Sync>;

/// Yes, no or nothing.
type Judge = Arc<dyn Fn(&RawEvent) -> Option<bool> + Send + Sync>;

impl<K: Kind> Predicate<K> {
    /// Asks `passes` about every event, deletions included.
    ///
    /// A deletion that is dropped is lost for good: drop none of a primary whose reconciler keeps state in memory.
    pub fn new(passes: impl Fn(&Event<Handle<K>>) -> bool + Send + Sync + 'static) -> Self {
        Self::judging(move |event| Some(passes(&event.map(|object| Handle::new(Arc::clone(object))))))
    }

    /// Asks `passes` about the old and the new state of what changed.
    pub fn update(passes: impl Fn(&Handle<K>, &Handle<K>) -> bool + Send + Sync + 'static) -> Self {
        let handle = |object: &Arc<Envelope>| Handle::new(Arc::clone(object));
        Self::updates(move |old, new| passes(&handle(old), &handle(new)))
    }

    /// Asks `passes` about each state of an object.
    pub fn object(passes: impl Fn(&Handle<K>) -> bool + Send + Sync + 'static) -> Self {
        Self::states(move |object| passes(&Handle::new(Arc::clone(object))))
    }

    /// Passes changes of what the object asks for: of its generation, the beginning of its deletion, another object under
    /// its name. Where the kind has no generation, every change of the version may be one.
    ///
    /// Not asked, a controller sees changes of status and metadata, too: foreign changes count.
    pub fn generation_changed() -> Self {
        Self::updates(|old, new| asks_anew(old, new))
    }

    /// Passes changes of the labels.
    pub fn labels_changed() -> Self {
        Self::updates(|old, new| !head::labels(old.head()).eq(head::labels(new.head())))
    }

    /// Passes changes of the annotations. The old object is unpacked for it.
    pub fn annotations_changed() -> Self {
        Self::updates(|old, new| annotations(old) != annotations(new))
    }

    /// Drops updates that repeat the version: resyncs.
    pub fn resource_version_changed() -> Self {
        Self::updates(|old, new| !is_resync(old, new))
    }

    /// Passes objects whose labels match, those that come to match, and those that cease to.
    pub fn label_selector(selector: Selector) -> Self {
        Self::states(move |object| {
            let labels = object.metadata().labels.iter();
            let labels: BTreeMap<_, _> = labels.map(|(name, value)| (name.to_string(), value.to_string())).collect();
            selector.matches(&labels)
        })
    }

    /// Passes what both pass.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let Self { judge: left, .. } = self;
        Self::judging(move |event| match left(event) {
            Some(false) => Some(false),
            left => match ((other.judge)(event), left) {
                (Some(false), _) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
        })
    }

    /// Passes what either passes.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    /// Passes what it drops, and drops what it passes.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it stands beside `and` and `or`, which are no operators")]
    pub fn not(self) -> Self {
        let Self { judge, .. } = self;
        Self::judging(move |event| judge(event).map(|passes| !passes))
    }

    /// Says whether the event reaches the controller.
    pub(super) fn passes(&self, event: &RawEvent) -> bool {
        (self.judge)(event) != Some(false)
    }

    /// Gives a filter the type of what it was made for.
    pub(super) fn of(filter: Filter) -> Self {
        // Whether it passed for a yes or for nothing makes no difference to what is joined by `and`.
        Self::judging(move |event| (!filter(event)).then_some(false))
    }

    /// Drops the type.
    pub(crate) fn erased(self) -> Filter {
        Arc::new(move |event| self.passes(event))
    }

    fn updates(passes: impl Fn(&Arc<Envelope>, &Arc<Envelope>) -> bool + Send + Sync + 'static) -> Self {
        Self::judging(move |event| match event {
            Event::Updated { old, new } => Some(passes(old, new)),
            Event::Added { .. } | Event::Deleted { .. } => None,
        })
    }

    fn states(passes: impl Fn(&Arc<Envelope>) -> bool + Send + Sync + 'static) -> Self {
        Self::judging(move |event| match event {
            Event::Added { object, .. } => Some(passes(object)),
            Event::Updated { old, new } => Some(passes(new)).filter(|new| *new == passes(old)),
            Event::Deleted { .. } => None,
        })
    }

    fn judging(judge: impl Fn(&RawEvent) -> Option<bool> + Send + Sync + 'static) -> Self {
        Self { judge: Arc::new(judge), kind: PhantomData }
    }
}

/// controller-runtime's test, too: a resync repeats the version.
pub(super) fn is_resync(old: &Envelope, new: &Envelope) -> bool {
    repeats(&Head::parse(old.head()), &Head::parse(new.head()))
}

fn repeats(old: &Head<'_>, new: &Head<'_>) -> bool {
    new.has_version() && old.has_version_of(new)
}

/// Says whether what the object asks for changed. Kinds without a generation may ask with any field.
pub(super) fn asks_anew(old: &Envelope, new: &Envelope) -> bool {
    let (old, new) = (Head::parse(old.head()), Head::parse(new.head()));
    let generation = match (old.generation(), new.generation()) {
        (None, None) => !repeats(&old, &new),
        (old, new) => old != new,
    };
    generation || old.is_deleting() != new.is_deleting() || !old.has_uid_of(&new)
}

/// The part of an object that metadata in the cache leaves out.
#[derive(Deserialize)]
struct Annotated {
    metadata: Annotations,
}

#[derive(Deserialize)]
struct Annotations {
    annotations: Option<BTreeMap<String, String>>,
}

/// Returns the annotations; always, as `wire` refuses objects whose annotations are of another type.
fn annotations(object: &Envelope) -> Option<BTreeMap<String, String>> {
    let annotated: Annotated = serde_json::from_slice(object.object().json()).ok()?;
    Some(annotated.metadata.annotations.unwrap_or_default())
}

impl<K> Clone for Predicate<K> {
    fn clone(&self) -> Self {
        Self { judge: Arc::clone(&self.judge), kind: PhantomData }
    }
}

impl<K> fmt::Debug for Predicate<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predicate")
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::Expression;

    use super::*;
    use crate::informer::handler::FinalState;
    use crate::wire::RawObject;

    type Of = Predicate<ConfigMap>;

    /// A ConfigMap `web/a`, with these fields of its metadata besides.
    fn envelope(metadata: &str) -> Arc<Envelope> {
        let json = format!(r#"{{"metadata":{{"name":"a","namespace":"web","uid":"u"{metadata}}}}}"#);
        Arc::new(Envelope::new(Arc::new(RawObject::parse(json.as_bytes()).unwrap())))
    }

    fn added(metadata: &str) -> RawEvent {
        RawEvent::Added { object: envelope(metadata), initial: false }
    }

    fn updated(old: &str, new: &str) -> RawEvent {
        RawEvent::Updated { old: envelope(old), new: envelope(new) }
    }

    fn deleted(metadata: &str) -> RawEvent {
        RawEvent::Deleted { last: envelope(metadata), final_state: FinalState::Known }
    }

    fn check(predicate: &Of, event: &RawEvent, expected: Option<bool>) {
        assert_eq!((predicate.judge)(event), expected, "{event:?}");
        assert_eq!(predicate.passes(event), expected != Some(false));
        assert_eq!((predicate.clone().not().judge)(event), expected.map(|passes| !passes), "not {event:?}");
    }

    const BASE: &str = r#","resourceVersion":"1","generation":1"#;

    #[test]
    fn predicates_about_changes_judge_changes_alone() {
        let check = |predicate: fn() -> Of, new: &str, expected: bool| {
            check(&predicate(), &updated(BASE, new), Some(expected));
            check(&predicate(), &added(new), None);
            check(&predicate(), &deleted(new), None);
        };
        let status = r#","resourceVersion":"2","generation":1"#;
        check(Of::generation_changed, status, false);
        check(Of::generation_changed, r#","resourceVersion":"2","generation":2"#, true);
        let deleting = r#","resourceVersion":"2","generation":1,"deletionTimestamp":"2026-01-01T00:00:00Z""#;
        check(Of::generation_changed, deleting, true);
        check(Of::resource_version_changed, status, true);
        check(Of::resource_version_changed, BASE, false);
        check(Of::labels_changed, status, false);
        check(Of::labels_changed, r#","resourceVersion":"2","labels":{"a":"b"}"#, true);
        check(Of::annotations_changed, status, false);
        check(Of::annotations_changed, r#","resourceVersion":"2","annotations":{}"#, false);
        check(Of::annotations_changed, r#","resourceVersion":"2","annotations":{"a":"b"}"#, true);
        check(|| Of::update(|old, new| old.key() != new.key()), status, false);
    }

    #[test]
    fn a_kind_without_a_generation_asks_with_any_change() {
        let version = |version: u32| format!(r#","resourceVersion":"{version}""#);
        check(&Of::generation_changed(), &updated(&version(1), &version(2)), Some(true));
        check(&Of::generation_changed(), &updated(&version(1), &version(1)), Some(false));
    }

    #[test]
    fn a_selection_is_seen_entered_and_left_and_its_deletions_are_never_swallowed() {
        let selector: Selector = Expression::Equal("app".into(), "front".into()).into();
        let (inside, outside) = (r#","labels":{"app":"front"}"#, r#","labels":{"app":"back"}"#);
        let by_hand = Of::object(|map| map.metadata().labels.iter().any(|(_, value)| **value == *"front"));
        for predicate in [Of::label_selector(selector), by_hand] {
            check(&predicate, &added(inside), Some(true));
            check(&predicate, &added(outside), Some(false));
            check(&predicate, &updated(inside, inside), Some(true));
            check(&predicate, &updated(outside, outside), Some(false));
            check(&predicate, &updated(outside, inside), None);
            check(&predicate, &updated(inside, outside), None);
            check(&predicate, &deleted(inside), None);
            check(&predicate, &deleted(outside), None);
        }
    }

    #[test]
    fn only_a_predicate_that_asks_for_them_swallows_deletions() {
        let nothing = || Of::new(|_| false);
        check(&nothing(), &deleted(""), Some(false));
        let known = Of::new(|event| matches!(event, Event::Deleted { final_state: FinalState::Known, .. }));
        check(&known, &deleted(""), Some(true));
        check(&known, &added(""), Some(false));
    }

    #[test]
    fn and_or_and_not_join_answers_as_three_valued_logic_does() {
        // On a deletion: yes, no and nothing.
        let of = |answer: Option<bool>| answer.map_or_else(Of::labels_changed, |answer| Of::new(move |_| answer));
        let answers = [Some(true), Some(false), None];
        let and = [Some(true), Some(false), None, Some(false), Some(false), Some(false), None, Some(false), None];
        let or = [Some(true), Some(true), Some(true), Some(true), Some(false), None, Some(true), None, None];
        let pairs = answers.iter().flat_map(|left| answers.iter().map(move |right| (*left, *right)));
        for ((left, right), (and, or)) in pairs.zip(and.into_iter().zip(or)) {
            check(&of(left).and(of(right)), &deleted(""), and);
            check(&of(left).or(of(right)), &deleted(""), or);
        }
    }
}
