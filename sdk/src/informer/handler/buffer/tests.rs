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

/// A state of the object with this name.
type Named = (String, State);

fn buffer(bound: usize) -> Buffer<Named> {
    Buffer::new(bound, |(name, _)| ObjectKey::cluster(name))
}

fn push(buffer: &mut Buffer<Named>, name: &str, event: &Event<State>) {
    buffer.push(event.map(|state| (name.to_owned(), *state)), 0);
}

fn pop<T>(buffer: &mut Buffer<T>) -> Option<Next<T>> {
    let mut batch = VecDeque::new();
    buffer.take(1, &mut batch);
    batch.pop_front()
}

fn drain(buffer: &mut Buffer<Named>) -> Vec<Event<State>> {
    std::iter::from_fn(|| pop(buffer))
        .filter_map(|next| match next {
            Next::Event(event) => Some(event.map(|(_, state)| *state)),
            Next::EndOfInitialList => None,
        })
        .collect()
}

impl<T> Buffer<T> {
    /// Returns how many keys are looked up.
    fn keys(&self) -> usize {
        match &self.waiting {
            Waiting::Line { .. } => 0,
            Waiting::Merging(merging) => merging.keys(),
        }
    }
}

#[test]
fn events_of_one_key_merge_as_the_table_says() {
    let check = |arriving: &[Event<State>], expected: &[Event<State>]| {
        let mut merged = buffer(0);
        let mut kept = buffer(arriving.len());
        for event in arriving {
            push(&mut merged, "one", event);
            push(&mut kept, "one", event);
        }
        assert_eq!(drain(&mut merged), expected, "{arriving:?}");
        assert_eq!(drain(&mut kept), arriving, "below the bound nothing is merged");
        assert!((merged.keys(), kept.keys()) == (0, 0), "nothing stays behind");
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
    let mut buffer = buffer(2);
    push(&mut buffer, "one", &updated(1, 2));
    push(&mut buffer, "two", &updated(10, 11));
    push(&mut buffer, "one", &updated(2, 3));
    assert_eq!(drain(&mut buffer), [updated(1, 3), updated(10, 11)]);
}

#[test]
fn a_stuck_handler_costs_two_events_a_key_above_the_bound() {
    const BOUND: usize = 8;
    let mut buffer = buffer(BOUND);
    for number in 0..1000 {
        push(&mut buffer, "known", &updated(number, number + 1));
    }
    assert_eq!(buffer.len(), BOUND);
    for number in 0..1000 {
        let passing = format!("passing-{number}");
        push(&mut buffer, &passing, &added(number));
        push(&mut buffer, &passing, &updated(number, number));
        push(&mut buffer, &passing, &deleted(number));
        push(&mut buffer, "known", &deleted(1000));
        push(&mut buffer, "known", &added(1000));
    }
    assert_eq!((buffer.len(), buffer.keys()), (BOUND + 1, 1), "objects that came and went leave nothing");
    assert_eq!(drain(&mut buffer).last(), Some(&added(1000)));
}

#[test]
fn the_end_of_the_initial_list_comes_after_its_events_and_before_the_others() {
    let next = |buffer: &mut Buffer<Named>| {
        pop(buffer).map(|next| match next {
            Next::Event(event) => Some(event.map(|(_, state)| *state)),
            Next::EndOfInitialList => None,
        })
    };
    for bound in [0, 10] {
        let mut buffer = buffer(bound);
        push(&mut buffer, "one", &initial(1));
        buffer.end_initial_list();
        assert_eq!(buffer.len(), 1, "the end is no event");
        push(&mut buffer, "two", &added(2));
        assert_eq!(next(&mut buffer), Some(Some(initial(1))));
        assert_eq!(next(&mut buffer), Some(None));
        assert_eq!(next(&mut buffer), Some(Some(added(2))));
        assert_eq!(next(&mut buffer), None);
        buffer.end_initial_list();
        assert_eq!(next(&mut buffer), Some(None), "an empty list ends too");
        assert_eq!(next(&mut buffer), None);
    }
}

#[test]
fn what_was_taken_and_is_not_handled_counts_against_the_bound() {
    const BOUND: usize = 8;
    let mut buffer = buffer(BOUND);
    for number in 0..BOUND as u32 {
        push(&mut buffer, "known", &updated(number, number + 1));
    }
    let mut batch = VecDeque::new();
    buffer.take(5, &mut batch);
    assert_eq!((batch.len(), buffer.len()), (5, 3));
    let event = |number| updated(number, number + 1).map(|state| ("known".to_owned(), *state));
    assert_eq!(buffer.push(event(8), 5), Pushed::Merged);
    assert_eq!(buffer.push(event(9), 4), Pushed::Kept, "one of them was handled");
    assert_eq!(drain(&mut buffer), [updated(5, 6), updated(6, 7), updated(7, 9), updated(9, 10)]);
}

#[test]
fn a_handler_that_catches_up_has_no_keys_looked_up() {
    const BOUND: usize = 8;
    let mut buffer = buffer(BOUND);
    for number in 0..3 * BOUND {
        push(&mut buffer, &number.to_string(), &added(1));
    }
    assert_eq!(buffer.keys(), 3 * BOUND);
    while buffer.len() > BOUND / 2 {
        assert_eq!(buffer.keys(), buffer.len());
        pop(&mut buffer);
    }
    assert_eq!(buffer.keys(), 0);
    push(&mut buffer, "0", &added(2));
    assert_eq!((buffer.len(), buffer.keys()), (BOUND / 2 + 1, 0));
}

/// One step of a server, or of the handler.
#[derive(Clone, Debug)]
enum Step {
    /// The key is created, or changed.
    Put(usize),
    /// The key is deleted, if it exists.
    Delete(usize),
    /// The handler takes up to so many events, if it has none, to handle them one after the other.
    Take(usize),
    /// The handler handles so many of them, and takes more for that.
    Handle(usize),
}

const KEYS: usize = 3;

/// Most events that the handler takes at once.
const TAKEN: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..KEYS).prop_map(Step::Put),
        3 => (0..KEYS).prop_map(Step::Delete),
        1 => (1..=TAKEN).prop_map(Step::Take),
        1 => (1..4_usize).prop_map(Step::Handle),
    ]
}

/// A buffer as the table of merges is read: it looks through all that waits.
struct Plain {
    bound: usize,
    waiting: Vec<Next<(usize, State)>>,
}

impl Plain {
    fn push(&mut self, arriving: Event<(usize, State)>, taken: usize) {
        let name = arriving.latest().0;
        let same = |next: &Next<(usize, State)>| matches!(next, Next::Event(event) if event.latest().0 == name);
        let events = self.waiting.iter().filter(|next| matches!(next, Next::Event(_))).count();
        let newest = self.waiting.iter().rposition(same).filter(|_| events + taken >= self.bound);
        let Some(newest) = newest else { return self.waiting.push(Next::Event(arriving)) };
        let Next::Event(waiting) = self.waiting[newest].clone() else { unreachable!() };
        let merged = match (waiting, arriving) {
            (Event::Added { initial, .. }, Event::Updated { new, .. }) => Event::Added { object: new, initial },
            (Event::Added { .. }, Event::Deleted { .. }) => {
                self.waiting.remove(newest);
                return;
            }
            (Event::Updated { old, .. }, Event::Updated { new, .. }) => Event::Updated { old, new },
            (Event::Updated { .. }, deleted @ Event::Deleted { .. }) => deleted,
            (_, arriving) => return self.waiting.push(Next::Event(arriving)),
        };
        self.waiting[newest] = Next::Event(merged);
    }

    fn take(&mut self, most: usize) -> Vec<Next<(usize, State)>> {
        self.waiting.drain(..most.min(self.waiting.len())).collect()
    }
}

/// A server, a buffer and a handler that checks every event against what it knows.
struct Model {
    buffer: Buffer<(usize, State)>,
    plain: Plain,
    /// What the handler took and has not handled.
    batch: VecDeque<Next<(usize, State)>>,
    next: State,
    server: HashMap<usize, State>,
    handler: HashMap<usize, State>,
    /// What was there when the initial list ended, and what of it was deleted since.
    listed: HashMap<usize, State>,
    deleted_since: HashSet<usize>,
    ended: bool,
    pushed: Vec<Event<(usize, State)>>,
    handled: Vec<Event<(usize, State)>>,
}

impl Model {
    fn new(bound: usize) -> Self {
        Self {
            buffer: Buffer::new(bound, |(name, _)| ObjectKey::cluster(&name.to_string())),
            plain: Plain { bound, waiting: Vec::new() },
            batch: VecDeque::new(),
            next: 0,
            server: HashMap::new(),
            handler: HashMap::new(),
            listed: HashMap::new(),
            deleted_since: HashSet::new(),
            ended: false,
            pushed: Vec::new(),
            handled: Vec::new(),
        }
    }

    fn push(&mut self, event: Event<(usize, State)>) {
        self.pushed.push(event.clone());
        let taken = self.taken();
        self.plain.push(event.clone(), taken);
        self.buffer.push(event, taken);
    }

    /// Returns how many events the handler took and has not handled.
    fn taken(&self) -> usize {
        self.batch.iter().filter(|next| matches!(next, Next::Event(_))).count()
    }

    fn take(&mut self, most: usize) {
        let before = self.batch.len();
        self.buffer.take(most, &mut self.batch);
        assert_eq!(self.batch.range(before..).cloned().collect::<Vec<_>>(), self.plain.take(most));
    }

    fn step(&mut self, step: &Step) {
        self.next += 1;
        match *step {
            Step::Put(name) => {
                let new = (name, self.next);
                match self.server.insert(name, self.next) {
                    Some(old) => self.push(Event::Updated { old: (name, old), new }),
                    None => self.push(Event::Added { object: new, initial: self.listed.is_empty() }),
                }
            }
            Step::Delete(name) => {
                if self.server.remove(&name).is_some() {
                    self.deleted_since.insert(name);
                    self.push(Event::Deleted { last: (name, self.next), final_state: FinalState::Known });
                }
            }
            Step::Take(most) if self.batch.is_empty() => self.take(most),
            Step::Take(_) => {}
            Step::Handle(count) => (0..count).for_each(|_| {
                self.handle();
            }),
        }
    }

    fn end_initial_list(&mut self) {
        self.listed = self.server.clone();
        self.deleted_since.clear();
        self.plain.waiting.push(Next::EndOfInitialList);
        self.buffer.end_initial_list();
    }

    fn handle(&mut self) -> bool {
        if self.batch.is_empty() {
            self.take(1);
        }
        match self.batch.pop_front() {
            None => return false,
            Some(Next::EndOfInitialList) => {
                self.ended = true;
                for (name, listed) in &self.listed {
                    let seen = self.handler.get(name).is_some_and(|seen| seen >= listed);
                    assert!(seen || self.deleted_since.contains(name), "{name} was listed and not handled");
                }
            }
            Some(Next::Event(event)) => {
                self.handled.push(event.clone());
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
        bound in 0..12_usize,
        before in proptest::collection::vec(step(), 0..40),
        after in proptest::collection::vec(step(), 0..40),
    ) {
        let mut model = Model::new(bound);
        before.iter().for_each(|step| model.step(step));
        model.end_initial_list();
        after.iter().for_each(|step| {
            model.step(step);
            let waiting = model.buffer.len() + model.taken();
            assert!(waiting <= bound + 2 * KEYS + TAKEN, "bounded by the bound, the keys and what is taken at once");
        });
        while model.handle() {}
        prop_assert!(model.ended);
        prop_assert_eq!(&model.handler, &model.server);
        prop_assert_eq!(model.buffer.keys(), 0);
    }

    #[test]
    fn below_the_bound_a_handler_sees_every_event_in_order(steps in proptest::collection::vec(step(), 0..60)) {
        let mut model = Model::new(steps.len());
        steps.iter().for_each(|step| model.step(step));
        while model.handle() {}
        prop_assert_eq!(model.handled, model.pushed);
    }
}
