//! Keys whose reconcile failed, kept from workers until their back-off is over. State only: the time is an argument.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use crate::resource::ObjectKey;

/// What is known of keys that run or were held back.
///
/// No more entries than there are workers and keys that fail, and a key whose object is gone reconciles well.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<HashMap<ObjectKey, State>>);

#[derive(Clone, Copy, Debug)]
enum State {
    /// Its reconcile runs; `lifted` once something happened that a failure of it could not know of.
    Running { lifted: bool },
    /// It failed, and comes back then.
    Until(Instant),
}

impl Holds {
    /// Says that the key's reconcile begins; or, as long as the key is held, how long it still has to wait.
    pub(super) fn begin(&self, key: &ObjectKey, now: Instant) -> Result<(), Duration> {
        let running = State::Running { lifted: false };
        match self.states().entry_ref(key) {
            EntryRef::Vacant(place) => drop(place.insert(running)),
            EntryRef::Occupied(mut place) => match place.get() {
                State::Until(until) if *until > now => return Err(until.saturating_duration_since(now)),
                State::Until(_) | State::Running { .. } => drop(place.insert(running)),
            },
        }
        Ok(())
    }

    /// Says that the reconcile failed and that the key has to wait for so long. Returns false when it need not, because
    /// the hold was lifted while it ran.
    pub(super) fn hold(&self, key: &ObjectKey, now: Instant, delay: Duration) -> bool {
        let mut states = self.states();
        let lifted = matches!(states.remove(key), Some(State::Running { lifted: true }));
        if !lifted && let Some(until) = now.checked_add(delay) {
            states.insert(key.clone(), State::Until(until));
        }
        !lifted
    }

    /// Says that the reconcile ended in a way that holds nothing back.
    pub(super) fn release(&self, key: &ObjectKey) {
        self.states().remove(key);
    }

    /// Lets a held key go, and the one that runs not be held for its failure.
    pub(super) fn lift(&self, key: &ObjectKey) {
        let mut states = self.states();
        match states.get_mut(key) {
            Some(State::Running { lifted }) => *lifted = true,
            Some(State::Until(_)) => drop(states.remove(key)),
            None => {}
        }
    }

    fn states(&self) -> MutexGuard<'_, HashMap<ObjectKey, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_key_is_held_until_its_time_or_until_it_is_let_go() {
        let (holds, key, start) = (Holds::default(), ObjectKey::cluster("a"), crate::clock::now().into_std());
        assert_eq!(holds.begin(&key, start), Ok(()));
        assert!(holds.hold(&key, start, 2 * SECOND));
        assert_eq!(holds.begin(&key, start + SECOND), Err(SECOND));
        assert_eq!(holds.begin(&key, start + 2 * SECOND), Ok(()), "its time has come");
        assert!(holds.hold(&key, start, 2 * SECOND));
        holds.lift(&key);
        assert_eq!(holds.begin(&key, start), Ok(()), "it was let go");
        holds.release(&key);
        holds.lift(&key);
        assert_eq!(holds.states().len(), 0, "nothing is kept of a key that works");
    }

    #[test]
    fn a_failure_that_could_not_know_of_a_change_holds_nothing() {
        let (holds, key, now) = (Holds::default(), ObjectKey::cluster("a"), crate::clock::now().into_std());
        assert_eq!(holds.begin(&key, now), Ok(()));
        holds.lift(&key);
        assert!(!holds.hold(&key, now, SECOND));
        assert_eq!(holds.begin(&key, now), Ok(()));
        assert!(holds.hold(&key, now, SECOND), "it does know of it the next time");
    }
}
