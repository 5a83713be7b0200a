//! Keys whose reconcile failed: when they may run again, and what was wrong. State only: the time is an argument.
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::resource::ObjectKey;

/// The keys whose last reconcile failed.
///
/// No more entries than there are objects, as a key whose object is gone reconciles well.
#[derive(Debug, Default)]
pub(super) struct Holds {
    failures: Mutex<HashMap<ObjectKey, Failure>>,
    /// How many there are. Workers hold a key one after the other, by way of the queue's lock, so that one who reads zero
    /// knows that none is noted of its own key: where nothing fails, no lock is taken.
    count: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failure {
    /// The key may not run before.
    until: Option<Instant>,
    /// What was told of it, as a hash.
    told: Option<u64>,
}

/// What is forgotten of a key that reconciled well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// It was told that the key failed.
    Told,
    Silent,
}

impl Holds {
    /// Returns how long the key still has to wait, if it does.
    pub(super) fn wait(&self, key: &ObjectKey, now: Instant) -> Option<Duration> {
        let until = self.known(|failures| failures.get(key)?.until)?;
        Some(until.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Says that the reconcile failed and when the key may run again; `None` where it is not run again for that.
    pub(super) fn fail(&self, key: &ObjectKey, until: Option<Instant>) {
        self.locked(|failures| failures.entry_ref(key).or_default().until = until);
    }

    /// Notes what is told of a failure and says whether it differs from what was told before.
    pub(super) fn tell(&self, key: &ObjectKey, message: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        let told = Some(hasher.finish());
        self.locked(|failures| std::mem::replace(&mut failures.entry_ref(key).or_default().told, told) != told)
    }

    /// Lets a key run that has to wait. Returns whether its last reconcile failed.
    pub(super) fn lift(&self, key: &ObjectKey) -> bool {
        self.known(|failures| failures.get_mut(key).map(|failure| failure.until = None)).is_some()
    }

    /// Forgets a key that reconciled well. Returns what was wrong with it, if anything was.
    pub(super) fn recover(&self, key: &ObjectKey) -> Option<Recovery> {
        let Failure { told, .. } = self.known(|failures| failures.remove(key))?;
        Some(if told.is_some() { Recovery::Told } else { Recovery::Silent })
    }

    /// Looks for what is known of a key, unless nothing is known of any.
    fn known<T>(&self, look: impl FnOnce(&mut HashMap<ObjectKey, Failure>) -> Option<T>) -> Option<T> {
        if self.count.load(Relaxed) == 0 { None } else { self.locked(look) }
    }

    fn locked<T>(&self, change: impl FnOnce(&mut HashMap<ObjectKey, Failure>) -> T) -> T {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut failures);
        self.count.store(failures.len(), Relaxed);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_key_is_held_until_its_time_or_until_it_is_let_go() {
        let (holds, key, start) = (Holds::default(), ObjectKey::cluster("a"), crate::clock::now().into_std());
        assert_eq!((holds.wait(&key, start), holds.lift(&key)), (None, false));
        holds.fail(&key, Some(start + 2 * SECOND));
        assert_eq!(holds.wait(&key, start + SECOND), Some(SECOND));
        assert_eq!(holds.wait(&key, start + 2 * SECOND), None, "its time has come");
        holds.fail(&key, Some(start + 2 * SECOND));
        assert_eq!(holds.wait(&ObjectKey::cluster("b"), start), None);
        assert!(holds.lift(&key));
        assert_eq!(holds.wait(&key, start), None, "it was let go");
        holds.fail(&key, None);
        assert_eq!(holds.wait(&key, start), None, "what fails for good waits for an event");
    }

    #[test]
    fn a_failure_is_news_when_it_begins_changes_or_ends() {
        let (holds, key) = (Holds::default(), ObjectKey::cluster("a"));
        assert!(holds.tell(&key, "refused"));
        assert!(!holds.tell(&key, "refused"));
        assert!(holds.lift(&key) && !holds.tell(&key, "refused"), "which a lift does not change");
        assert!(holds.tell(&key, "timed out"));
        assert!(holds.tell(&ObjectKey::cluster("b"), "timed out"));
        assert_eq!(holds.recover(&key), Some(Recovery::Told));
        assert_eq!(holds.recover(&key), None);
        assert!(holds.tell(&key, "timed out"));
    }

    #[test]
    fn nothing_is_kept_of_a_key_that_works() {
        let (holds, key) = (Holds::default(), ObjectKey::cluster("a"));
        holds.fail(&key, None);
        assert_eq!(holds.count.load(Relaxed), 1);
        assert_eq!(holds.recover(&key), Some(Recovery::Silent), "nobody was told");
        assert_eq!((holds.count.load(Relaxed), holds.locked(|failures| failures.len())), (0, 0));
    }
}
