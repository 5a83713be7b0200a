//! The events one handler has not taken yet: in order up to a bound, one state a key above it. No clock, no IO.
//!
//! Below the bound every event is kept, in the order of arrival across all keys. At the bound and above, an event is
//! merged into the newest event of the same key that still waits, and takes its place in the order. What becomes of the
//! two stands in the table at [`ResourceEventHandler`](super::ResourceEventHandler). A deletion and the addition after it
//! are both kept, as client-go's queue delivers both.
//!
//! So above the bound a key waits with at most two events more, deleted and added; and only keys wait that the
//! handler has heard of or that exist now. A stuck handler therefore costs what the cache costs, not what happened. What
//! it has taken and not handled is merged with nothing, and counts against the bound.
//!
//! Which event is the newest of its key is looked up only where events are merged: a handler that keeps up takes from
//! a plain line.
use std::collections::VecDeque;

use crate::informer::event::Event;
use crate::resource::ObjectKey;

mod merging;

use merging::Merging;

/// What a handler takes next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next<T> {
    /// Something happened to an object.
    Event(Event<T>),
    /// Everything of the initial list has been taken.
    EndOfInitialList,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits.
    Kept,
    /// It is part of an event that waited, or nothing is left of both.
    Merged,
}

/// Events that wait.
pub(super) struct Buffer<T> {
    bound: usize,
    key: fn(&T) -> ObjectKey,
    waiting: Waiting<T>,
}

enum Waiting<T> {
    /// Few events wait; `ends` says that the end of the initial list is among them.
    Line { line: VecDeque<Next<T>>, ends: bool },
    /// Many do, or did not long ago.
    Merging(Merging<T>),
}

impl<T> Buffer<T> {
    /// Makes an empty buffer that merges when `bound` events wait of which `key` tells the objects.
    pub(super) fn new(bound: usize, key: fn(&T) -> ObjectKey) -> Self {
        Self { bound, key, waiting: Waiting::Line { line: VecDeque::new(), ends: false } }
    }

    /// Adds what happened to an object, while `taken` events that were taken are not handled yet: they count against the
    /// bound, and nothing is merged into them.
    pub(super) fn push(&mut self, event: Event<T>, taken: usize) -> Pushed {
        let full = self.len() + taken >= self.bound;
        if full && let Waiting::Line { line, .. } = &mut self.waiting {
            self.waiting = Waiting::Merging(Merging::of(std::mem::take(line), self.key));
        }
        match &mut self.waiting {
            Waiting::Line { line, .. } => line.push_back(Next::Event(event)),
            Waiting::Merging(merging) if full => return merging.merge((self.key)(event.latest()), event),
            Waiting::Merging(merging) => merging.append((self.key)(event.latest()), event),
        }
        Pushed::Kept
    }

    /// Marks, once, that what comes from here on does not belong to the initial list.
    pub(super) fn end_initial_list(&mut self) {
        match &mut self.waiting {
            Waiting::Line { line, ends } => {
                line.push_back(Next::EndOfInitialList);
                *ends = true;
            }
            Waiting::Merging(merging) => merging.end_initial_list(),
        }
    }

    /// Takes the oldest events into `batch`, up to `most`.
    pub(super) fn take(&mut self, most: usize, batch: &mut VecDeque<Next<T>>) {
        match &mut self.waiting {
            Waiting::Line { line, ends } => {
                let taken = batch.len();
                batch.extend(line.drain(..most.min(line.len())));
                *ends &= !batch.range(taken..).any(|next| matches!(next, Next::EndOfInitialList));
            }
            Waiting::Merging(merging) => batch.extend(std::iter::from_fn(|| merging.pop()).take(most)),
        }
        self.relax();
    }

    /// Returns how many events wait.
    pub(super) fn len(&self) -> usize {
        match &self.waiting {
            Waiting::Line { line, ends } => line.len() - usize::from(*ends),
            Waiting::Merging(merging) => merging.len(),
        }
    }

    /// Goes back to a line once half of the bound is free: going there and back costs each event a little, and only once
    /// for half a bound of them.
    fn relax(&mut self) {
        if let Waiting::Merging(merging) = &mut self.waiting
            && merging.len() <= self.bound / 2
        {
            let ends = merging.has_end();
            let line = std::iter::from_fn(|| merging.pop()).collect();
            self.waiting = Waiting::Line { line, ends };
        }
    }
}

#[cfg(test)]
mod tests;
