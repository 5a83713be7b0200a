//! Which events are echoes of a primary's own writes. State only: what arrives and what is answered are arguments.
//!
//! The API server's watch tells every version of an object once and in order, so an event whose version was answered to one
//! of our writes tells of that write and of nothing else; what others wrote before it came in events of its own. That is
//! not true of a list, which skips versions: what it brings is never an echo, and callers do not ask.
use std::collections::VecDeque;

use crate::resource::{ObjectKey, ResourceType, ResourceVersion};

/// How many answered versions of one primary wait for their events. More than the writes of an ordinary reconcile; an
/// older one that is forgotten costs a reconcile that finds nothing to do.
const MAX_ECHOES: usize = 32;

/// The writes of one primary, by what their events will say. `D` is what is done about an event that is no echo.
#[derive(Debug)]
pub(crate) struct Echoes<D> {
    answered: VecDeque<(ResourceType, ObjectKey, ResourceVersion)>,
    flights: Vec<Flight<D>>,
    next: u64,
}

/// A write that is on its way: its event may be here before its answer.
#[derive(Debug)]
struct Flight<D> {
    id: u64,
    resource: ResourceType,
    key: ObjectKey,
    /// An event that came meanwhile. One for each flight at most: no write makes two.
    heard: Option<(ResourceVersion, D)>,
}

/// A change of an object as an event tells of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) resource: &'a ResourceType,
    pub(crate) key: &'a ObjectKey,
    pub(crate) version: &'a ResourceVersion,
}

impl<D> Default for Echoes<D> {
    fn default() -> Self {
        Self { answered: VecDeque::new(), flights: Vec::new(), next: 0 }
    }
}

impl<D> Echoes<D> {
    /// Notes that a write is sent. Ends with [`Echoes::land`].
    pub(crate) fn depart(&mut self, resource: &ResourceType, key: &ObjectKey) -> u64 {
        self.next += 1;
        let flight = Flight { id: self.next, resource: resource.clone(), key: key.clone(), heard: None };
        self.flights.push(flight);
        self.next
    }

    /// Notes the version that was answered to a write, or that there is none. Returns what is to be done about an event that
    /// turns out to be no echo.
    pub(crate) fn land(&mut self, id: u64, version: Option<&ResourceVersion>) -> Option<D> {
        let position = self.flights.iter().position(|flight| flight.id == id)?;
        let Flight { resource, key, mut heard, .. } = self.flights.swap_remove(position);
        let mut others = self.flights.iter_mut().filter(|flight| flight.resource == resource && flight.key == key);
        if let Some(version) = version.filter(|version| !version.is_empty()) {
            if heard.as_ref().is_some_and(|(heard, _)| heard == version) {
                return None;
            }
            // The events of two writes to one object may have come in the other order.
            let other = others.find(|other| other.heard.as_ref().is_some_and(|(heard, _)| heard == version));
            match other {
                Some(other) => {
                    other.heard = heard.take();
                    return None;
                }
                None => self.await_event(resource.clone(), key.clone(), version.clone()),
            }
        }
        let (version, foreign) = heard?;
        let free = |flight: &&mut Flight<D>| flight.resource == resource && flight.key == key && flight.heard.is_none();
        match self.flights.iter_mut().find(free) {
            Some(other) => {
                other.heard = Some((version, foreign));
                None
            }
            None => Some(foreign),
        }
    }

    /// Takes in an event. Returns what is to be done about it if it is no echo; if that is not known yet, `foreign` is kept
    /// until it is.
    pub(crate) fn hear(&mut self, change: Change<'_>, foreign: D) -> Option<D> {
        let Change { resource, key, version } = change;
        let same = |(its, at, _): &(ResourceType, ObjectKey, ResourceVersion)| at == key && its == resource;
        if let Some(position) = self.answered.iter().position(|echo| same(echo) && echo.2 == *version) {
            self.answered.remove(position);
            return None;
        }
        let free =
            |flight: &&mut Flight<D>| flight.key == *key && flight.resource == *resource && flight.heard.is_none();
        match self.flights.iter_mut().find(free) {
            Some(flight) => {
                flight.heard = Some((version.clone(), foreign));
                None
            }
            None => Some(foreign),
        }
    }

    fn await_event(&mut self, resource: ResourceType, key: ObjectKey, version: ResourceVersion) {
        if self.answered.len() >= MAX_ECHOES {
            self.answered.pop_front();
        }
        self.answered.push_back((resource, key, version));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use proptest::prelude::*;

    fn resource() -> ResourceType {
        ResourceType::of::<ConfigMap>()
    }

    fn version(version: u64) -> ResourceVersion {
        ResourceVersion::new(&version.to_string())
    }

    impl Echoes<u64> {
        fn is_empty(&self) -> bool {
            self.answered.is_empty() && self.flights.is_empty()
        }

        fn sent(&mut self) -> u64 {
            self.depart(&resource(), &ObjectKey::cluster("a"))
        }

        fn heard(&mut self, at: u64) -> Option<u64> {
            let (resource, key, version) = (resource(), ObjectKey::cluster("a"), version(at));
            self.hear(Change { resource: &resource, key: &key, version: &version }, at)
        }

        fn answered(&mut self, id: u64, at: u64) -> Option<u64> {
            self.land(id, Some(&version(at)))
        }
    }

    #[test]
    fn the_event_of_an_own_write_is_an_echo_before_and_after_its_answer() {
        let mut echoes = Echoes::default();
        let first = echoes.sent();
        assert_eq!((echoes.answered(first, 5), echoes.heard(5)), (None, None));
        let second = echoes.sent();
        assert_eq!((echoes.heard(6), echoes.answered(second, 6)), (None, None));
        assert!(echoes.is_empty());
        assert_eq!(echoes.heard(6), Some(6), "it comes once");
    }

    #[test]
    fn what_others_wrote_counts_before_between_and_after() {
        let mut echoes = Echoes::default();
        assert_eq!(echoes.heard(4), Some(4));
        let id = echoes.sent();
        assert_eq!(echoes.heard(5), None, "it may be ours");
        assert_eq!(echoes.heard(6), Some(6), "one of the two is not ours");
        assert_eq!(echoes.answered(id, 6), Some(5));
        let id = echoes.sent();
        assert_eq!((echoes.heard(7), echoes.land(id, None)), (None, Some(7)), "nobody knows whose it is");
        assert_eq!(echoes.heard(8), Some(8));
    }

    #[test]
    fn events_of_two_writes_at_once_find_their_answers_in_any_order() {
        let mut echoes = Echoes::default();
        let (first, second) = (echoes.sent(), echoes.sent());
        assert_eq!((echoes.heard(5), echoes.heard(6)), (None, None));
        assert_eq!((echoes.answered(first, 6), echoes.answered(second, 5)), (None, None));
        assert!(echoes.is_empty() || echoes.heard(7) == Some(7));
        let (first, second) = (echoes.sent(), echoes.sent());
        assert_eq!(echoes.heard(8), None);
        assert_eq!((echoes.answered(first, 9), echoes.answered(second, 8)), (None, None));
        assert_eq!(echoes.heard(9), None);
    }

    #[test]
    fn another_object_is_never_an_echo() {
        let mut echoes = Echoes::default();
        let id = echoes.sent();
        let key = ObjectKey::cluster("b");
        let (resource, at) = (resource(), version(5));
        assert_eq!(echoes.hear(Change { resource: &resource, key: &key, version: &at }, 1), Some(1));
        assert_eq!(echoes.answered(id, 5), None);
        assert_eq!(echoes.hear(Change { resource: &resource, key: &key, version: &at }, 2), Some(2));
    }

    #[test]
    fn answers_whose_events_never_come_are_forgotten_when_there_are_many() {
        let mut echoes = Echoes::default();
        for at in 1..=MAX_ECHOES as u64 + 1 {
            let id = echoes.sent();
            echoes.answered(id, at);
        }
        assert_eq!(echoes.answered.len(), MAX_ECHOES);
        assert_eq!((echoes.heard(1), echoes.heard(2)), (Some(1), None));
    }

    /// What happens next, as long as it can.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// A write of ours is sent.
        Send,
        /// The oldest write on its way takes effect.
        Commit,
        /// The oldest write that took effect is answered.
        Answer,
        /// The answer of the oldest write that took effect is lost.
        Lose,
        /// Somebody else writes.
        Foreign,
        /// The oldest event that is due arrives.
        Event,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Send), 3 => Just(Step::Commit), 3 => Just(Step::Answer), 1 => Just(Step::Lose),
            2 => Just(Step::Foreign), 4 => Just(Step::Event),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn a_foreign_write_is_never_lost_and_an_own_one_never_counts(steps in steps()) {
            let (mut echoes, mut server) = (Echoes::default(), 0);
            let (mut sent, mut committed, mut events) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
            let (mut foreign, mut lost, mut woken) = (Vec::new(), Vec::new(), Vec::new());
            let rest = [Step::Commit, Step::Answer, Step::Event].into_iter().cycle().take(3 * (steps.len() + 1));
            for step in steps.into_iter().chain(rest) {
                match step {
                    Step::Send if sent.len() + committed.len() < 3 => sent.push_back(echoes.sent()),
                    Step::Commit => if let Some(id) = sent.pop_front() {
                        server += 1;
                        committed.push_back((id, server));
                        events.push_back(server);
                    },
                    Step::Answer => if let Some((id, at)) = committed.pop_front() {
                        woken.extend(echoes.answered(id, at));
                    },
                    Step::Lose => if let Some((id, at)) = committed.pop_front() {
                        lost.push(at);
                        woken.extend(echoes.land(id, None));
                    },
                    Step::Foreign => {
                        server += 1;
                        foreign.push(server);
                        events.push_back(server);
                    }
                    Step::Event => if let Some(at) = events.pop_front() {
                        woken.extend(echoes.heard(at));
                    },
                    Step::Send => {}
                }
            }
            prop_assert!(foreign.iter().all(|at| woken.contains(at)), "{foreign:?} {woken:?}");
            prop_assert!(lost.iter().all(|at| woken.contains(at)), "{lost:?} {woken:?}");
            // Where others write at the same time, an event of ours may count with theirs.
            prop_assert!(!foreign.is_empty() || !lost.is_empty() || woken.is_empty(), "{woken:?}");
        }
    }
}
