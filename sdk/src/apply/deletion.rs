//! How a child is deleted.
use serde_json::{Value, json};

use crate::resource::ResourceVersion;

/// How a child is deleted. That it is still the same object, by its uid, is always a condition.
///
/// ```
/// # use kubewright::k8s_openapi::api::apps::v1::Deployment;
/// use kubewright::reconcile::Deletion;
///
/// # fn deletion(deployment: &Deployment) -> Deletion {
/// // After what it owns, and only as it was looked at.
/// Deletion::foreground().if_unchanged(deployment)
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    propagation: &'static str,
    seen: Option<Seen>,
}

/// The state of an object that somebody decided to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    uid: Box<str>,
    version: ResourceVersion,
}

impl Deletion {
    /// Deletes the child, and afterwards what it owns.
    pub const fn background() -> Self {
        Self { propagation: "Background", seen: None }
    }

    /// Deletes the child after what it owns with `blockOwnerDeletion`: until then it stays, terminating.
    pub const fn foreground() -> Self {
        Self { propagation: "Foreground", seen: None }
    }

    /// Deletes the child, and leaves what it owns without it.
    pub const fn orphan() -> Self {
        Self { propagation: "Orphan", seen: None }
    }

    /// Deletes the child only if it is still `seen`, in its version: if it has changed since, that is a conflict and the
    /// reconcile, which runs again soon, can look at what it is now.
    #[must_use]
    pub fn if_unchanged<C: kube::Resource>(self, seen: &C) -> Self {
        let meta = seen.meta();
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        self.of(&text(&meta.uid), ResourceVersion::new(&text(&meta.resource_version)))
    }

    /// Deletes the child only if it still has this uid and this version.
    pub(crate) fn of(self, uid: &str, version: ResourceVersion) -> Self {
        Self { seen: Some(Seen { uid: uid.into(), version }), ..self }
    }

    /// Returns the uid that was seen.
    pub(super) fn uid(&self) -> Option<&str> {
        self.seen.as_ref().map(|seen| &*seen.uid)
    }

    /// Returns the options to send for the object with this uid.
    pub(super) fn options(&self, uid: &str) -> Value {
        let mut preconditions = json!({ "uid": uid });
        if let Some(seen) = &self.seen {
            preconditions["resourceVersion"] = seen.version.as_str().into();
        }
        json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": self.propagation,
        })
    }
}

impl Default for Deletion {
    fn default() -> Self {
        Self::background()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[test]
    fn the_uid_is_always_a_condition_and_the_version_where_one_was_seen() {
        let check = |deletion: Deletion, propagation: &str, preconditions: Value| {
            let options = deletion.options("u");
            assert_eq!(
                (&options["propagationPolicy"], &options["preconditions"]),
                (&json!(propagation), &preconditions)
            );
        };
        let seen: ConfigMap =
            serde_json::from_value(json!({"metadata": {"uid": "u", "resourceVersion": "7"}})).unwrap();
        check(Deletion::default(), "Background", json!({ "uid": "u" }));
        check(Deletion::orphan(), "Orphan", json!({ "uid": "u" }));
        let foreground = Deletion::foreground().if_unchanged(&seen);
        assert_eq!(foreground.uid(), Some("u"));
        check(foreground, "Foreground", json!({ "uid": "u", "resourceVersion": "7" }));
    }
}
