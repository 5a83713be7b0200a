//! Controller references: which ReplicaSets are a Deployment's, which it adopts and which it lets go.
//!
//! Upstream calls this the controller reference manager.
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kubewright::kube::core::{Selector, SelectorExt};
use serde_json::{Value, json};

use crate::error::Error;
use crate::replicas::Replicas;
use crate::template::controller_reference;

/// What to do about a ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is the Deployment's.
    Keep,
    /// It is nobody's and is selected: make it the Deployment's, after a look whether that still exists.
    Adopt,
    /// It is the Deployment's and is no longer selected: make it nobody's.
    Release,
    /// It is another's, or nobody's business.
    Ignore,
}

/// Decides. A Deployment that is being deleted keeps what it has and takes no more.
pub(crate) fn claim(deployment: &Deployment, selector: &Selector, set: &ReplicaSet) -> Claim {
    let deleting = deployment.metadata.deletion_timestamp.is_some();
    let selected = set.metadata.labels.as_ref().is_some_and(|labels| selector.matches(labels));
    let mut owners = set.metadata.owner_references.iter().flatten();
    match owners.find(|owner| owner.controller == Some(true)) {
        Some(owner) if Some(&owner.uid) != deployment.metadata.uid.as_ref() => Claim::Ignore,
        Some(_) if selected => Claim::Keep,
        Some(_) if !deleting => Claim::Release,
        None if selected && !deleting && set.metadata.deletion_timestamp.is_none() => Claim::Adopt,
        _ => Claim::Ignore,
    }
}

/// Returns what the Deployment selects.
///
/// # Errors
/// For a selector that is empty, which would select everything, or not valid. The API server accepts neither.
pub(crate) fn selector(deployment: &Deployment) -> Result<Selector, Error> {
    let selector =
        Selector::try_from(deployment.spec.selector.clone()).map_err(|error| Error::Selector(error.to_string()))?;
    if selector.selects_all() { Err(Error::Selector("it is empty".to_owned())) } else { Ok(selector) }
}

/// The patch that adopts. The uid in it makes the API server refuse it for another ReplicaSet of the same name, and the
/// API server itself refuses a second controller.
pub(crate) fn adoption(deployment: &Deployment, set: &ReplicaSet) -> Value {
    json!({ "metadata": { "uid": set.uid(), "ownerReferences": [controller_reference(deployment)] } })
}

/// The patch that lets go.
pub(crate) fn release(deployment: &Deployment, set: &ReplicaSet) -> Value {
    let reference = json!({ "$patch": "delete", "uid": deployment.metadata.uid });
    json!({ "metadata": { "uid": set.uid(), "ownerReferences": [reference] } })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `owner` is the uid of the set's controller; `deleted` names which of the two is being deleted.
    fn check(owner: Option<&str>, labels: &Value, deleted: &str, expected: Claim) {
        let deleted_at = |which: &str| (deleted == which).then_some("2026-01-01T00:00:00Z");
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "uid": "u-1", "deletionTimestamp": deleted_at("deployment") },
        }))
        .unwrap();
        let owners = owner.map(|uid| {
            json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid, "controller": true }])
        });
        let set: ReplicaSet = serde_json::from_value(json!({ "metadata": {
            "labels": labels, "ownerReferences": owners, "deletionTimestamp": deleted_at("set"),
        } }))
        .unwrap();
        let selector = Selector::from_iter([("app", "web")]);
        assert_eq!(claim(&deployment, &selector, &set), expected, "{owner:?} {labels} {deleted}");
    }

    #[test]
    fn what_is_selected_is_adopted_and_what_is_not_is_let_go() {
        let (ours, others) = (json!({ "app": "web", "tier": "1" }), json!({ "app": "shop" }));
        check(Some("u-1"), &ours, "", Claim::Keep);
        check(Some("u-1"), &others, "", Claim::Release);
        check(None, &ours, "", Claim::Adopt);
        check(None, &others, "", Claim::Ignore);
        check(Some("u-2"), &ours, "", Claim::Ignore);
    }

    #[test]
    fn nothing_changes_hands_while_it_is_being_deleted() {
        let (ours, others) = (json!({ "app": "web" }), json!({}));
        check(Some("u-1"), &ours, "deployment", Claim::Keep);
        check(Some("u-1"), &others, "deployment", Claim::Ignore);
        check(None, &ours, "deployment", Claim::Ignore);
        check(None, &ours, "set", Claim::Ignore);
        check(Some("u-1"), &ours, "set", Claim::Keep);
    }
}
