//! The user's code inside an informer: it must not be able to stop it.
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::resource::ObjectKey;

/// Runs predicates and map functions, and reports those that fail.
#[derive(Debug)]
pub(super) struct Guard {
    kind: String,
    failing: bool,
}

impl Guard {
    /// Names the kind in what is reported.
    pub(super) fn new(kind: String) -> Self {
        Self { kind, failing: false }
    }

    /// Returns what `map` makes of the event of the object with this key; none where it fails, which is reported.
    pub(super) fn keys(
        &mut self,
        key: &ObjectKey,
        map: impl FnOnce() -> Result<Vec<ObjectKey>, String>,
    ) -> Vec<ObjectKey> {
        let reason = match catch_unwind(AssertUnwindSafe(map)) {
            Ok(Ok(keys)) => {
                self.failing = false;
                return keys;
            }
            Ok(Err(reason)) => reason,
            Err(panic) => format!("a predicate or map function panicked: {}", super::panic_message(&*panic)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h4_an_object_that_cannot_be_mapped_is_dropped_and_the_next_one_is_not() {
        let (mut guard, key) = (Guard::new("configmaps/v1".into()), ObjectKey::namespaced("web", "front"));
        let a = ObjectKey::cluster("a");
        assert_eq!(guard.keys(&key, || Ok(vec![a.clone()])), std::slice::from_ref(&a));
        for fails in [|| Err("it does not decode".to_owned()), || panic!("map function")] {
            assert_eq!((guard.keys(&key, fails), guard.failing), (vec![], true));
        }
        assert_eq!((guard.keys(&key, || Ok(vec![a.clone()])), guard.failing), (vec![a], false));
    }
}
