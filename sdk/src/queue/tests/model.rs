//! Random schedules against a queue too simple to be wrong.
use std::time::Duration;

use proptest::prelude::*;

use crate::clock;
use crate::queue::core::Core;

/// The documented contract in the plainest form that comes to mind: lists, searched from the front.
#[derive(Debug, Default)]
struct Reference {
    dirty: Vec<u8>,
    processing: Vec<u8>,
    ready: Vec<u8>,
    delayed: Vec<(u64, u8)>,
    closed: bool,
}

impl Reference {
    fn add(&mut self, item: u8) {
        if self.closed || self.dirty.contains(&item) {
            return;
        }
        self.dirty.push(item);
        if !self.processing.contains(&item) {
            self.ready.push(item);
        }
    }

    fn add_at(&mut self, item: u8, due: u64) {
        if self.closed {
            return;
        }
        match self.delayed.iter().position(|(_, waiting)| *waiting == item) {
            Some(at) if self.delayed[at].0 <= due => return,
            Some(at) => {
                self.delayed.remove(at);
            }
            None => {}
        }
        self.delayed.push((due, item));
    }

    fn promote(&mut self, now: u64) {
        self.delayed.sort_by_key(|(due, _)| *due);
        while self.delayed.first().is_some_and(|(due, _)| *due <= now) {
            let (_, item) = self.delayed.remove(0);
            self.add(item);
        }
    }

    fn get(&mut self) -> Option<u8> {
        if self.ready.is_empty() {
            return None;
        }
        let item = self.ready.remove(0);
        self.dirty.retain(|dirty| *dirty != item);
        self.processing.push(item);
        Some(item)
    }

    fn done(&mut self, item: u8) {
        let held = self.processing.len();
        self.processing.retain(|processing| *processing != item);
        if held > self.processing.len() && self.dirty.contains(&item) {
            self.ready.push(item);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8),
    AddAfter(u8, u64),
    Get,
    Done(u8),
    Pass(u64),
    ShutDown,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0_u8..6;
    prop_oneof![
        8 => key.clone().prop_map(Step::Add),
        6 => (key.clone(), 0_u64..40).prop_map(|(key, delay)| Step::AddAfter(key, delay)),
        8 => Just(Step::Get),
        8 => key.prop_map(Step::Done),
        4 => (1_u64..30).prop_map(Step::Pass),
        1 => prop_oneof![Just(Step::ShutDown), Just(Step::Drain)],
    ]
}

proptest! {
    #[test]
    fn random_schedules_agree_with_the_reference_queue(steps in prop::collection::vec(step(), 1..120)) {
        let start = clock::now().into_std();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let (mut core, mut reference, mut now, mut forced) = (Core::new(), Reference::default(), 0, false);
        for step in steps {
            match step {
                Step::Add(item) => {
                    core.add(item);
                    reference.add(item);
                }
                Step::AddAfter(item, delay) => {
                    core.add_at(item, at(now + delay));
                    reference.add_at(item, now + delay);
                }
                Step::Get => prop_assert_eq!(core.get(), reference.get()),
                Step::Done(item) => {
                    core.done(&item);
                    reference.done(item);
                }
                Step::Pass(time) => {
                    now += time;
                }
                Step::ShutDown | Step::Drain => {
                    forced |= matches!(step, Step::ShutDown);
                    if forced { core.shut_down() } else { core.drain() }
                    reference.closed = true;
                    reference.delayed.clear();
                }
            }
            core.promote(at(now));
            reference.promote(now);
            prop_assert_eq!(core.len(), reference.ready.len());
            prop_assert_eq!(core.is_shutting_down(), reference.closed);
            let next = reference.delayed.iter().map(|(due, _)| at(*due)).min();
            prop_assert_eq!(core.next_due(), next);
            let empty = reference.ready.is_empty() && reference.processing.is_empty();
            prop_assert_eq!(core.is_drained(), reference.closed && (forced || empty));
        }
    }
}
