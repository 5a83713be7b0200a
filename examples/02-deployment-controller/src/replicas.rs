//! What a ReplicaSet says, without the options around it, and the orders that matter.
use std::cmp::Reverse;
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ReplicaSet;

use crate::revision;

/// The size that the Deployment had when this ReplicaSet was last scaled: tells a scaled Deployment from a rollout.
pub(crate) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";

/// The most pods that the Deployment could have then: what proportional scaling measures shares against.
pub(crate) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Short names for what is read again and again.
pub(crate) trait Replicas {
    /// Says how many pods it should have.
    fn desired(&self) -> i32;
    /// Says how many pods it has.
    fn actual(&self) -> i32;
    /// Says how many of them are ready.
    fn ready(&self) -> i32;
    /// Says how many of them have been ready for long enough.
    fn available(&self) -> i32;
    /// Returns a number from an annotation; one that is negative or none at all counts as absent.
    fn number(&self, annotation: &str) -> Option<i32>;
    /// Returns an annotation.
    fn annotation(&self, name: &str) -> Option<&str>;
    /// Returns its name.
    fn name(&self) -> &str;
    /// Returns its uid.
    fn uid(&self) -> &str;
}

impl Replicas for ReplicaSet {
    fn desired(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    fn actual(&self) -> i32 {
        self.status.as_ref().map_or(0, |status| status.replicas)
    }

    fn ready(&self) -> i32 {
        self.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
    }

    fn available(&self) -> i32 {
        self.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
    }

    fn number(&self, annotation: &str) -> Option<i32> {
        self.annotation(annotation)?.parse().ok().filter(|number| *number >= 0)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }
}

/// Orders from the oldest to the newest, by name where two are of the same second.
pub(crate) fn age(set: &ReplicaSet) -> impl Ord + use<> {
    let created = set.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (created, set.name().to_owned())
}

/// Orders from the oldest revision to the newest.
pub(crate) fn revision_then_age(set: &ReplicaSet) -> impl Ord + use<> {
    (revision::of(set), age(set))
}

/// Orders from the largest to the smallest; the newest first among equals, as they should grow first.
pub(crate) fn size_then_newest(set: &ReplicaSet) -> impl Ord + use<> {
    (Reverse(set.desired()), Reverse(age(set)))
}

/// Orders from the largest to the smallest; the oldest first among equals, as they should shrink first.
pub(crate) fn size_then_oldest(set: &ReplicaSet) -> impl Ord + use<> {
    (Reverse(set.desired()), age(set))
}

/// Returns what must be written so that the annotations tell of `desired` and `max` replicas.
pub(crate) fn sizes(set: &ReplicaSet, desired: i32, max: i32) -> BTreeMap<String, String> {
    let wanted = [(DESIRED_REPLICAS, desired.to_string()), (MAX_REPLICAS, max.to_string())];
    let missing = wanted.into_iter().filter(|(name, value)| set.annotation(name) != Some(value));
    missing.map(|(name, value)| (name.to_owned(), value)).collect()
}
