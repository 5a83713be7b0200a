//! The table of merges, and a handler that always knows the truth in the end.
use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::informer::event::FinalState;

type State = u32;

fn added(object: State) -> Event<State> {
    Event::Added { object, initial: false }
}

fn initial(object: State) -> Event<State> {
    Event::Added { object, initial: true }
}

fn updated(old: State, new: State) -> Event<State> {
    Event::Updated { old, new }
}

fn deleted(last: State) -> Event<State> {
    Event::Deleted { last, final_state: FinalState::Known }
}

fn drain<T>(buffer: &mut Buffer<T>) -> Vec<Event<T>> {
    std::iter::from_fn(|| buffer.pop())
        .filter_map(|next| match next {
            Next::Event(event) => Some(event),
            Next::EndOfInitialList => None,
        })
        .collect()
}

#[test]
fn events_of_one_key_merge_as_the_table_says() {
    let check = |arriving: &[Event<State>], expected: &[Event<State>]| {
        let key = ObjectKey::cluster("one");
        let mut merged = Buffer::new(0);
        let mut kept = Buffer::new(arriving.len());
        for event in arriving {
            merged.push(&key, event.clone());
            kept.push(&key, event.clone());
        }
        assert_eq!(drain(&mut merged), expected, "{arriving:?}");
        assert_eq!(drain(&mut kept), arriving, "below the bound nothing is merged");
        assert!(merged.newest.is_empty() && kept.newest.is_empty(), "nothing stays behind");
    };
    check(&[added(1)], &[added(1)]);
    check(&[added(1), updated(1, 2)], &[added(2)]);
    check(&[initial(1), updated(1, 2)], &[initial(2)]);
    check(&[added(1), deleted(2)], &[]);
    check(&[updated(1, 2), updated(2, 3)], &[updated(1, 3)]);
    check(&[updated(1, 2), deleted(3)], &[deleted(3)]);
    check(&[deleted(1), added(2)], &[deleted(1), added(2)]);
    check(&[deleted(1), added(2), updated(2, 3)], &[deleted(1), added(3)]);
    check(&[deleted(1), added(2), deleted(3)], &[deleted(1)]);
    check(&[deleted(1), added(2), deleted(3), added(4)], &[deleted(1), added(4)]);
    check(&[added(1), deleted(2), added(3)], &[added(3)]);
    check(&[updated(1, 2), deleted(3), added(4), updated(4, 5)], &[deleted(3), added(5)]);
}

#[test]
fn a_merged_event_keeps_the_place_of_the_first() {
    let [one, two] = ["one", "two"].map(ObjectKey::cluster);
    let mut buffer = Buffer::new(2);
    buffer.push(&one, updated(1, 2));
    buffer.push(&two, updated(10, 11));
    buffer.push(&one, updated(2, 3));
    assert_eq!(drain(&mut buffer), [updated(1, 3), updated(10, 11)]);
}

#[test]
fn a_stuck_handler_costs_two_events_a_key_above_the_bound() {
    const BOUND: usize = 8;
    let mut buffer = Buffer::new(BOUND);
    let known = ObjectKey::cluster("known");
    for number in 0..1000 {
        buffer.push(&known, updated(number, number + 1));
    }
    assert_eq!(buffer.len(), BOUND);
    for number in 0..1000 {
        let passing = ObjectKey::cluster(&format!("passing-{number}"));
        buffer.push(&passing, added(number));
        buffer.push(&passing, updated(number, number));
        buffer.push(&passing, deleted(number));
        buffer.push(&known, deleted(1000));
        buffer.push(&known, added(1000));
    }
    assert_eq!((buffer.len(), buffer.newest.len()), (BOUND + 1, 1), "objects that came and went leave nothing");
    assert_eq!(drain(&mut buffer).last(), Some(&added(1000)));
}

#[test]
fn the_end_of_the_initial_list_comes_after_its_events_and_before_the_others() {
    let [one, two] = ["one", "two"].map(ObjectKey::cluster);
    let mut buffer = Buffer::new(10);
    buffer.push(&one, initial(1));
    buffer.end_initial_list();
    buffer.push(&two, added(2));
    assert_eq!(buffer.pop(), Some(Next::Event(initial(1))));
    assert_eq!(buffer.pop(), Some(Next::EndOfInitialList));
    assert_eq!(buffer.pop(), Some(Next::Event(added(2))));
    assert_eq!(buffer.pop(), None);
    buffer.end_initial_list();
    assert_eq!(buffer.pop(), Some(Next::EndOfInitialList), "an empty list ends too");
    assert_eq!(buffer.pop(), None);
}

/// One step of a server, or of the handler.
#[derive(Clone, Debug)]
enum Step {
    /// The key is created, or changed.
    Put(usize),
    /// The key is deleted, if it exists.
    Delete(usize),
    /// The handler takes some events.
    Take(usize),
}

const KEYS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..KEYS).prop_map(Step::Put),
        3 => (0..KEYS).prop_map(Step::Delete),
        1 => (1..4_usize).prop_map(Step::Take),
    ]
}

/// A server, a buffer and a handler that checks every event against what it knows.
struct Model {
    buffer: Buffer<(usize, State)>,
    next: State,
    server: HashMap<usize, State>,
    handler: HashMap<usize, State>,
    /// What was there when the initial list ended, and what of it was deleted since.
    listed: HashMap<usize, State>,
    deleted_since: HashSet<usize>,
    ended: bool,
    pushed: Vec<Event<(usize, State)>>,
    taken: Vec<Event<(usize, State)>>,
}

impl Model {
    fn new(bound: usize) -> Self {
        Self {
            buffer: Buffer::new(bound),
            next: 0,
            server: HashMap::new(),
            handler: HashMap::new(),
            listed: HashMap::new(),
            deleted_since: HashSet::new(),
            ended: false,
            pushed: Vec::new(),
            taken: Vec::new(),
        }
    }

    fn push(&mut self, name: usize, event: Event<(usize, State)>) {
        self.pushed.push(event.clone());
        self.buffer.push(&ObjectKey::cluster(&name.to_string()), event);
    }

    fn step(&mut self, step: &Step) {
        self.next += 1;
        match *step {
            Step::Put(name) => {
                let new = (name, self.next);
                match self.server.insert(name, self.next) {
                    Some(old) => self.push(name, Event::Updated { old: (name, old), new }),
                    None => self.push(name, Event::Added { object: new, initial: self.listed.is_empty() }),
                }
            }
            Step::Delete(name) => {
                if self.server.remove(&name).is_some() {
                    self.deleted_since.insert(name);
                    self.push(name, Event::Deleted { last: (name, self.next), final_state: FinalState::Known });
                }
            }
            Step::Take(count) => (0..count).for_each(|_| {
                self.take();
            }),
        }
    }

    fn end_initial_list(&mut self) {
        self.listed = self.server.clone();
        self.deleted_since.clear();
        self.buffer.end_initial_list();
    }

    fn take(&mut self) -> bool {
        match self.buffer.pop() {
            None => return false,
            Some(Next::EndOfInitialList) => {
                self.ended = true;
                for (name, listed) in &self.listed {
                    let seen = self.handler.get(name).is_some_and(|seen| seen >= listed);
                    assert!(seen || self.deleted_since.contains(name), "{name} was listed and not handled");
                }
            }
            Some(Next::Event(event)) => {
                self.taken.push(event.clone());
                match event {
                    Event::Added { object: (name, new), .. } => {
                        assert_eq!(self.handler.insert(name, new), None, "added once");
                    }
                    Event::Updated { old: (name, old), new: (_, new) } => {
                        assert_eq!(self.handler.insert(name, new), Some(old), "old is what the handler saw last");
                    }
                    Event::Deleted { last: (name, _), .. } => {
                        assert!(self.handler.remove(&name).is_some(), "only what was added is deleted");
                    }
                }
            }
        }
        true
    }
}

proptest! {
    #[test]
    fn a_handler_ends_with_what_the_server_has(
        bound in 0..6_usize,
        before in proptest::collection::vec(step(), 0..40),
        after in proptest::collection::vec(step(), 0..40),
    ) {
        let mut model = Model::new(bound);
        before.iter().for_each(|step| model.step(step));
        model.end_initial_list();
        after.iter().for_each(|step| {
            model.step(step);
            assert!(model.buffer.len() <= bound + 2 * KEYS, "bounded by the bound and the keys");
        });
        while model.take() {}
        prop_assert!(model.ended);
        prop_assert_eq!(&model.handler, &model.server);
        prop_assert!(model.buffer.newest.is_empty());
    }

    #[test]
    fn below_the_bound_a_handler_sees_every_event_in_order(steps in proptest::collection::vec(step(), 0..60)) {
        let mut model = Model::new(steps.len());
        steps.iter().for_each(|step| model.step(step));
        while model.take() {}
        prop_assert_eq!(model.taken, model.pushed);
    }
}
