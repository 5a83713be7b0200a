//! How a child is deleted.
use serde_json::{Value, json};

/// Conditions of a deletion. The uid is always one: what took the name since stays.
///
/// ```
/// use kubewright::reconcile::Deletion;
///
/// // Together with what the child owns, and only as it was seen.
/// let deletion = Deletion::foreground().if_version("4711");
/// # let _ = deletion;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    propagation: &'static str,
    version: Option<String>,
}

impl Deletion {
    /// Deletes the child now, and what it owns afterwards.
    pub const fn background() -> Self {
        Self { propagation: "Background", version: None }
    }

    /// Deletes what the child owns first: it stays, terminating, until that is gone.
    pub const fn foreground() -> Self {
        Self { propagation: "Foreground", version: None }
    }

    /// Deletes the child and leaves what it owns.
    pub const fn orphan() -> Self {
        Self { propagation: "Orphan", version: None }
    }

    /// Deletes the child only if its `metadata.resourceVersion` is still this one; otherwise it is a conflict.
    #[must_use]
    pub fn if_version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// Returns the options to send for the object with this uid.
    pub(super) fn options(&self, uid: &str) -> Value {
        let mut preconditions = json!({ "uid": uid });
        if let Some(version) = &self.version {
            preconditions["resourceVersion"] = version.as_str().into();
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

    #[test]
    fn the_uid_is_always_a_condition() {
        let check = |deletion: Deletion, propagation: &str, preconditions: Value| {
            let options = deletion.options("u");
            assert_eq!(
                (&options["propagationPolicy"], &options["preconditions"]),
                (&json!(propagation), &preconditions)
            );
        };
        check(Deletion::default(), "Background", json!({ "uid": "u" }));
        check(Deletion::orphan(), "Orphan", json!({ "uid": "u" }));
        check(Deletion::foreground().if_version("7"), "Foreground", json!({ "uid": "u", "resourceVersion": "7" }));
    }
}
