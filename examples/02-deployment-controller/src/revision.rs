//! Revisions: which ReplicaSet is of which rollout, in the annotations that `kubectl rollout history` and `undo` read.
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use crate::replicas::{DESIRED_REPLICAS, MAX_REPLICAS, Replicas};

/// The number of a rollout, on the ReplicaSet and on the Deployment.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

/// The earlier revisions of a ReplicaSet that a roll-back made the newest again.
pub(crate) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";

/// Longest history kept, in characters, as upstream: roll-backs must not grow an object for ever.
const MAX_HISTORY: usize = 2000;

/// What is the business of the Deployment or of the ReplicaSet alone, and not handed down from the one to the other.
const NOT_HANDED_DOWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
];

/// Returns the revision of a ReplicaSet; 0 where it has none that is a number.
pub(crate) fn of(set: &ReplicaSet) -> i64 {
    set.annotation(REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

/// Returns the revision that follows those of the old ReplicaSets.
pub(crate) fn next<'a>(old: impl IntoIterator<Item = &'a ReplicaSet>) -> i64 {
    old.into_iter().map(of).max().unwrap_or(0) + 1
}

/// Returns the annotations that the new ReplicaSet lacks: those of its Deployment, and its revision if that is newer
/// than the one it has. The one it had joins its history.
pub(crate) fn annotations(deployment: &Deployment, set: &ReplicaSet, revision: i64) -> BTreeMap<String, String> {
    let handed_down = deployment.metadata.annotations.iter().flatten();
    let mut lacking: BTreeMap<String, String> = handed_down
        .filter(|(name, value)| !NOT_HANDED_DOWN.contains(&name.as_str()) && set.annotation(name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let had = set.annotation(REVISION);
    let is_number = had.is_none_or(|had| had.is_empty() || had.parse::<i64>().is_ok());
    if is_number && of(set) < revision {
        lacking.insert(REVISION.to_owned(), revision.to_string());
        if let Some(history) = had.and_then(|had| history(set.annotation(REVISION_HISTORY), had)) {
            lacking.insert(REVISION_HISTORY.to_owned(), history);
        }
    }
    lacking
}

/// Appends a revision to a history and drops the oldest ones where it becomes too long.
fn history(known: Option<&str>, revision: &str) -> Option<String> {
    let mut revisions: Vec<&str> = known.unwrap_or_default().split(',').filter(|known| !known.is_empty()).collect();
    revisions.push(revision);
    let length = |revisions: &[&str]| revisions.iter().map(|revision| revision.len() + 1).sum::<usize>() - 1;
    while !revisions.is_empty() && length(&revisions) > MAX_HISTORY {
        revisions.remove(0);
    }
    (!revisions.is_empty()).then(|| revisions.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(annotations: &serde_json::Value) -> ReplicaSet {
        serde_json::from_value(json!({ "metadata": { "annotations": annotations } })).unwrap()
    }

    #[test]
    fn the_next_revision_follows_the_highest_of_the_old_ones() {
        let check = |revisions: &[&str], expected: i64| {
            let sets: Vec<ReplicaSet> = revisions.iter().map(|revision| set(&json!({ REVISION: revision }))).collect();
            assert_eq!(next(&sets), expected, "{revisions:?}");
        };
        check(&[], 1);
        check(&["1", "7", "3"], 8);
        check(&["1", "many"], 2);
    }

    #[test]
    fn a_new_revision_keeps_the_one_before_in_its_history() {
        let check = |has: serde_json::Value, revision: i64, expected: serde_json::Value| {
            let deployment = serde_json::from_value(json!({ "spec": null })).unwrap();
            let found = annotations(&deployment, &set(&has), revision);
            assert_eq!(json!(found), expected, "{has} {revision}");
        };
        check(json!({}), 1, json!({ REVISION: "1" }));
        check(json!({ REVISION: "3" }), 3, json!({}));
        check(json!({ REVISION: "5" }), 3, json!({}));
        check(json!({ REVISION: "1" }), 3, json!({ REVISION: "3", REVISION_HISTORY: "1" }));
        check(json!({ REVISION: "3", REVISION_HISTORY: "1" }), 5, json!({ REVISION: "5", REVISION_HISTORY: "1,3" }));
        check(json!({ REVISION: "many" }), 3, json!({}));
    }

    #[test]
    fn a_history_is_bounded_and_loses_the_oldest_first() {
        let known = (1000..1500).map(|revision| revision.to_string()).collect::<Vec<_>>().join(",");
        let history = history(Some(&known), "1500").unwrap();
        assert!(history.len() <= MAX_HISTORY && history.ends_with(",1499,1500"), "{history}");
        assert!(MAX_HISTORY - history.len() < 5, "{}", history.len());
    }

    #[test]
    fn annotations_are_handed_down_but_for_those_of_one_object_alone() {
        let annotations_of = json!({
            "kubernetes.io/change-cause": "a new image", "kept": "yes", REVISION: "9", DESIRED_REPLICAS: "4",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        });
        let deployment = serde_json::from_value(json!({ "metadata": { "annotations": annotations_of } })).unwrap();
        let found = annotations(&deployment, &set(&json!({ "kept": "yes", REVISION: "2" })), 2);
        assert_eq!(json!(found), json!({ "kubernetes.io/change-cause": "a new image" }));
    }
}
