//! Random schedules against a queue too simple to be wrong.
use proptest::prelude::*;

use crate::queue::Priority;
use crate::queue::core::{Core, Delivery};

/// The documented contract in the plainest form that comes to mind: lists, searched from the front.
#[derive(Debug, Default)]
struct Reference {
    dirty: Vec<(u16, Priority)>,
    processing: Vec<u16>,
    ready: Vec<(u16, Priority)>,
    delayed: Vec<(u64, u16, Priority)>,
    passed_over: [u32; 3],
    closed: bool,
}

impl Reference {
    fn add(&mut self, item: u16, priority: Priority) {
        if self.closed {
            return;
        }
        match self.dirty.iter().position(|(dirty, _)| *dirty == item) {
            None => self.dirty.push((item, priority)),
            Some(at) if self.dirty[at].1 < priority => {
                self.dirty[at].1 = priority;
                self.ready.retain(|(ready, _)| *ready != item);
            }
            Some(_) => return,
        }
        if !self.processing.contains(&item) {
            self.ready.push((item, priority));
        }
        self.rest();
    }

    fn add_at(&mut self, item: u16, due: u64, priority: Priority) {
        if self.closed {
            return;
        }
        match self.delayed.iter().position(|(_, waiting, _)| *waiting == item) {
            Some(at) => {
                let (earlier, _, other) = self.delayed[at];
                self.delayed[at].2 = priority.max(other);
                if due < earlier {
                    self.delayed.remove(at);
                    self.delayed.push((due, item, priority.max(other)));
                }
            }
            None => self.delayed.push((due, item, priority)),
        }
    }

    fn promote(&mut self, now: u64) {
        self.delayed.sort_by_key(|(due, _, _)| *due);
        while self.delayed.first().is_some_and(|(due, _, _)| *due <= now) {
            let (_, item, priority) = self.delayed.remove(0);
            self.add(item, priority);
        }
    }

    fn get(&mut self) -> Option<(u16, Priority)> {
        let priorities = Priority::ALL.into_iter().rev().filter(|priority| self.waits(*priority));
        let overdue = priorities.clone().filter(|priority| self.passed_over[*priority as usize] >= 8);
        let most = overdue.clone().map(|priority| self.passed_over[priority as usize]).max();
        let priority = overdue
            .clone()
            .find(|priority| Some(self.passed_over[*priority as usize]) == most)
            .or_else(|| priorities.clone().next())?;
        let at = self.ready.iter().position(|(_, other)| *other == priority)?;
        for other in Priority::ALL.into_iter().filter(|other| *other != priority) {
            self.passed_over[other as usize] += 1;
        }
        self.passed_over[priority as usize] = 0;
        let (item, _) = self.ready.remove(at);
        self.dirty.retain(|(dirty, _)| *dirty != item);
        self.processing.push(item);
        self.rest();
        Some((item, priority))
    }

    fn done(&mut self, item: u16) {
        let held = self.processing.len();
        self.processing.retain(|processing| *processing != item);
        if held > self.processing.len() {
            self.ready.extend(self.dirty.iter().filter(|(dirty, _)| *dirty == item));
        }
    }

    fn cancel(&mut self, item: u16) {
        self.delayed.retain(|(_, delayed, _)| *delayed != item);
    }

    fn waits(&self, priority: Priority) -> bool {
        self.ready.iter().any(|(_, other)| *other == priority)
    }

    /// Nobody passes over a priority that has nothing ready.
    fn rest(&mut self) {
        for priority in Priority::ALL.into_iter().filter(|priority| !self.waits(*priority)).collect::<Vec<_>>() {
            self.passed_over[priority as usize] = 0;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(u16, Priority),
    AddAfter(u16, u64, Priority),
    Get,
    Done(u16),
    Cancel(u16),
    Pass(u64),
    ShutDown,
    Drain,
    /// Adds so many keys that are named nowhere else, every fifth of them delayed.
    Flood(u16),
    /// Works off so many.
    Work(u16),
}

fn step() -> impl Strategy<Value = Step> {
    // More than are compared one by one when a key that is held is looked for.
    let key = 0_u16..12;
    let priority = prop::sample::select(Priority::ALL.to_vec());
    prop_oneof![
        8 => (key.clone(), priority.clone()).prop_map(|(key, priority)| Step::Add(key, priority)),
        6 => (key.clone(), 0_u64..40, priority).prop_map(|(key, delay, priority)| Step::AddAfter(key, delay, priority)),
        8 => Just(Step::Get),
        8 => key.clone().prop_map(Step::Done),
        1 => key.prop_map(Step::Cancel),
        4 => (1_u64..30).prop_map(Step::Pass),
        1 => prop_oneof![Just(Step::ShutDown), Just(Step::Drain)],
    ]
}

fn flooded_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => step(),
        2 => (1500_u16..2500).prop_map(Step::Flood),
        3 => (500_u16..3000).prop_map(Step::Work),
    ]
}

fn get(core: &mut Core<u16>) -> Option<(u16, Priority)> {
    core.get(0).map(|Delivery { item, priority, .. }| (item, priority))
}

#[derive(Debug)]
struct Pair {
    core: Core<u16>,
    reference: Reference,
    now: u64,
    forced: bool,
    moves: usize,
}

impl Pair {
    fn new() -> Self {
        Self { core: Core::new(), reference: Reference::default(), now: 0, forced: false, moves: 0 }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let Self { core, reference, now, forced, .. } = self;
        match step {
            Step::Add(item, priority) => {
                core.add(item, priority, 0);
                reference.add(item, priority);
            }
            Step::AddAfter(item, delay, priority) => {
                core.add_at(item, *now + delay, priority);
                reference.add_at(item, *now + delay, priority);
            }
            Step::Get => prop_assert_eq!(get(core), reference.get()),
            Step::Done(item) => {
                core.done(&item, 0);
                reference.done(item);
            }
            Step::Cancel(item) => {
                core.cancel(&item);
                reference.cancel(item);
            }
            Step::Pass(time) => {
                *now += time;
            }
            Step::ShutDown | Step::Drain => {
                *forced |= matches!(step, Step::ShutDown);
                if *forced {
                    core.shut_down()
                } else {
                    core.drain()
                }
                reference.closed = true;
                reference.delayed.clear();
            }
            Step::Flood(count) => {
                for item in 100..100 + count {
                    let priority = Priority::ALL[usize::from(item % 3)];
                    match item % 5 {
                        0 => self.step(Step::AddAfter(item, 20 + u64::from(item % 7), priority))?,
                        _ => self.step(Step::Add(item, priority))?,
                    }
                }
            }
            Step::Work(count) => {
                let before = core.capacity();
                for _ in 0..count {
                    let taken = get(&mut self.core);
                    prop_assert_eq!(taken, self.reference.get());
                    let Some((item, _)) = taken else { break };
                    self.step(Step::Done(item))?;
                }
                self.moves += usize::from(self.core.capacity() < before);
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let Self { core, reference, now, forced, .. } = self;
        core.promote(*now);
        reference.promote(*now);
        prop_assert_eq!(core.len(), reference.ready.len());
        prop_assert_eq!(core.is_shutting_down(), reference.closed);
        prop_assert_eq!(core.next_due(), reference.delayed.iter().map(|(due, _, _)| *due).min());
        let empty = reference.ready.is_empty() && reference.processing.is_empty();
        prop_assert_eq!(core.is_drained(), reference.closed && (*forced || empty));
        Ok(())
    }
}

fn agree(steps: Vec<Step>) -> Result<usize, TestCaseError> {
    let mut pair = Pair::new();
    for step in steps {
        pair.step(step)?;
        pair.check()?;
    }
    // Whatever is left comes out in the same order, too.
    pair.now += 1000;
    pair.check()?;
    while let Some(taken) = get(&mut pair.core) {
        prop_assert_eq!(Some(taken), pair.reference.get());
        pair.step(Step::Done(taken.0))?;
    }
    prop_assert_eq!(pair.reference.get(), None);
    Ok(pair.moves)
}

proptest! {
    #[test]
    fn p7_random_schedules_agree_with_the_reference_queue(steps in prop::collection::vec(step(), 1..120)) {
        agree(steps)?;
    }
}

/// Keys that stay while the queue shrinks around them get other slots, and nothing else changes.
#[test]
fn p7_random_schedules_agree_while_the_queue_gives_back_its_room() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let moves = std::cell::Cell::new(0);
    let steps = prop::collection::vec(flooded_step(), 1..40);
    let agreed = runner.run(&steps, |steps| {
        moves.set(moves.get() + agree(steps)?);
        Ok(())
    });
    agreed.unwrap();
    assert!(moves.get() > 0, "the room was never given back while there were keys");
}

/// Says how long the keys at each priority were passed over while they were ready, in a row and at most.
fn longest_pass(loads: &[Priority], deliveries: usize) -> [usize; 3] {
    let mut core = Core::new();
    let (mut passed, mut most) = ([0; 3], [0; 3]);
    for (key, priority) in loads.iter().enumerate() {
        core.add(key, *priority, 0);
    }
    for _ in 0..deliveries {
        let Delivery { item: key, priority, .. } = core.get(0).unwrap();
        // Always ready again: the load never ends.
        core.add(key, loads[key], 0);
        core.done(&key, 0);
        for other in Priority::ALL {
            passed[other as usize] = if other == priority { 0 } else { passed[other as usize] + 1 };
            most[other as usize] = passed[other as usize].max(most[other as usize]);
        }
    }
    most
}

#[test]
fn p8_every_priority_has_one_of_any_ten_deliveries_under_endless_load_above_it() {
    use Priority::{High, Low, Normal};
    let check = |loads: &[Priority], expected: [usize; 3]| {
        assert_eq!(longest_pass(loads, 1000), expected, "{loads:?}");
    };
    check(&[High, High, Normal, Low], [9, 8, 2]);
    check(&[Normal, Low, Low, Low], [8, 1, 1000]);
    check(&[High, Low], [8, 1000, 1]);
}
