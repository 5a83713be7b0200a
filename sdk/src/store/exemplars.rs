//! Texts that others are stored as differences from, and which of them an object is likely to be like.
//!
//! Objects come in families: the pods of a ReplicaSet, the ReplicaSets of a chart. The first of a family becomes its
//! exemplar, the others are stored as what sets them apart from it. Nobody says what a family is: an object is compared
//! with what its last state was like, with what objects of its labels are like, and, if it is new, with what the last
//! object was like. If it is not like any, it is the first of another family, as long as exemplars are a small part of the
//! store.
use std::sync::Arc;

use crate::wire::{Kin, head};

use super::diff::{self, Differ, Difference};

/// The number of no exemplar.
pub(super) const NONE: u16 = 0;

/// Shortest text that a difference is worth while for.
const SHORTEST: usize = 128;

/// A difference is as good as any up to so many times the usual one.
const GOOD: f32 = 1.25;

/// A text that differs this many times as much as usual from all that is known may become an exemplar.
const POOR: f32 = 1.5;

/// The part of a text that usually differs, before anything is known of that.
const UNKNOWN: f32 = 0.15;

/// The least that it is taken for: what one value says more or less is no other family.
const LEAST: f32 = 0.03;

/// How fast the usual follows a smaller difference, and a larger one: it is what one in seventeen stays below. A list comes in
/// the order of keys, so that some hundred objects of one family follow each other; those that are like none must not
/// pass for the usual before one of them became an exemplar.
const DOWN: f32 = 0.04;
const UP: f32 = 0.0025;

/// Exemplars take at most one byte in so many of the records, so that a store of objects that are not alike is not much
/// larger for them.
const SHARE: usize = 8;

/// Exemplars may take so much in any case: a dozen families.
const FREE: usize = 64 * 1024;

/// Most exemplars: readers take the list of them along.
const MOST: usize = 4096;

/// Most labels that are remembered.
const MOST_LABELS: usize = 4 * MOST;

/// The texts by number.
#[derive(Clone, Default)]
pub(super) struct Exemplars {
    /// `None` where one is no longer used.
    texts: Vec<Option<Arc<[u8]>>>,
    bytes: usize,
}

impl Exemplars {
    pub(super) fn get(&self, number: u16) -> Option<&Arc<[u8]>> {
        self.texts.get(usize::from(number.checked_sub(1)?))?.as_ref()
    }

    /// Returns the numbers in use.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u16> {
        (1..).zip(&self.texts).filter(|(_, text)| text.is_some()).map(|(number, _)| number)
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes + self.texts.capacity() * size_of::<Option<Arc<[u8]>>>()
    }

    /// Adds a text, and returns its number; `None` when there are as many as there may be.
    fn add(&mut self, text: &[u8]) -> Option<u16> {
        let free = self.texts.iter().position(Option::is_none);
        let at = free.or_else(|| (self.texts.len() < MOST).then_some(self.texts.len()))?;
        if at == self.texts.len() {
            self.texts.push(None);
        }
        self.texts[at] = Some(text.into());
        self.bytes += text.len();
        u16::try_from(at + 1).ok()
    }

    fn remove(&mut self, number: u16) {
        let removed = usize::from(number).checked_sub(1).and_then(|at| self.texts.get_mut(at)?.take());
        self.bytes -= removed.map_or(0, |text| text.len());
        while matches!(self.texts.last(), Some(None)) {
            self.texts.pop();
        }
    }
}

/// Finds exemplars, and makes new ones: the writer's side.
pub(super) struct Families {
    exemplars: Exemplars,
    differ: Differ,
    /// The exemplars by the labels of their objects.
    kin: Kin,
    /// What the last object was like.
    last: u16,
    /// The part of a text that differs where it is like its family.
    usual: f32,
    /// The best difference so far, and another.
    best: Difference,
    trial: Difference,
}

/// What a text is like.
#[derive(Clone, Copy)]
pub(super) struct Likeness {
    /// The exemplar, or [`NONE`].
    pub(super) exemplar: u16,
    /// Whether the exemplar was added for it.
    pub(super) is_new: bool,
}

impl Families {
    pub(super) fn new() -> Self {
        Self {
            exemplars: Exemplars::default(),
            differ: Differ::default(),
            kin: Kin::new(MOST_LABELS),
            last: NONE,
            usual: UNKNOWN,
            best: Difference::default(),
            trial: Difference::default(),
        }
    }

    /// Returns what readers need to take along.
    pub(super) fn exemplars(&self) -> &Exemplars {
        &self.exemplars
    }

    /// Returns what the text of an object is like, whose whole record says its labels. Its last state was like `before`;
    /// all records together take `records` bytes.
    pub(super) fn liken(
        &mut self,
        whole: &[u8],
        text: &[u8],
        before: u16,
        records: impl FnOnce() -> usize,
    ) -> Likeness {
        if text.len() < SHORTEST {
            return Likeness { exemplar: NONE, is_new: false };
        }
        let mut exemplar = self.nearest(whole, text, before);
        let part = if exemplar == NONE { 1.0 } else { self.best.size() as f32 / text.len() as f32 };
        let poor = part > self.usual * POOR;
        let added = if poor && self.has_room(text, records) { self.exemplars.add(text) } else { None };
        if added.is_none() && exemplar != NONE {
            let pace = if part < self.usual { DOWN } else { UP };
            self.usual = (self.usual + (part - self.usual) * pace).max(LEAST);
        }
        if let Some(added) = added {
            exemplar = added;
            self.learn(whole, added);
            self.differ.find(added, text, text, &mut self.best);
        }
        if exemplar == NONE || self.best.size() >= text.len() {
            return Likeness { exemplar: NONE, is_new: false };
        }
        self.last = exemplar;
        Likeness { exemplar, is_new: added.is_some() }
    }

    /// Returns the difference of the text that was likened last to its exemplar, if it has one.
    pub(super) fn difference(&self) -> &Difference {
        &self.best
    }

    /// Forgets exemplars that nothing stored needs.
    pub(super) fn forget(&mut self, unused: impl Fn(u16) -> bool) {
        let numbers: Vec<u16> = self.exemplars.numbers().filter(|&number| unused(number)).collect();
        numbers.into_iter().for_each(|number| self.exemplars.remove(number));
        self.differ.forget();
        let known = &self.exemplars;
        self.kin.retain(|number| known.get(number).is_some());
    }

    /// Returns how many bytes it takes besides the exemplars.
    pub(super) fn memory(&self) -> usize {
        self.kin.memory() + self.differ.memory() + self.best.memory() + self.trial.memory()
    }

    fn has_room(&self, text: &[u8], records: impl FnOnce() -> usize) -> bool {
        let all = self.exemplars.bytes + text.len();
        text.len() <= diff::LONGEST && (all <= FREE || all <= records() / SHARE)
    }

    /// Finds an exemplar that a text is like, and leaves the difference in `best`.
    fn nearest(&mut self, whole: &[u8], text: &[u8], before: u16) -> u16 {
        let (mut tried, mut nearest) = ([NONE; 3], NONE);
        for at in 0..tried.len() {
            let candidate = match at {
                0 => before,
                1 => self.relative(whole),
                // Lists come in the order of keys. Of what was here before, the last object says nothing: in 40,000 updates
                // of widgets and pods it was looked at for one in seven, and never the nearest.
                _ if before == NONE => self.last,
                _ => break,
            };
            let Some(exemplar) = self.exemplars.get(candidate).filter(|_| !tried.contains(&candidate)) else {
                continue;
            };
            tried[at] = candidate;
            self.differ.find(candidate, exemplar, text, &mut self.trial);
            if nearest == NONE || self.trial.size() < self.best.size() {
                nearest = candidate;
                std::mem::swap(&mut self.best, &mut self.trial);
            }
            if self.best.size() as f32 <= self.usual * GOOD * text.len() as f32 {
                break;
            }
        }
        nearest
    }

    /// Returns what the labels of an object speak for.
    fn relative(&self, whole: &[u8]) -> u16 {
        self.kin.elect(self.kin.hashes(head::labels(whole))).unwrap_or(NONE)
    }

    fn learn(&mut self, whole: &[u8], number: u16) {
        let hashes: Vec<u64> = self.kin.hashes(head::labels(whole)).collect();
        self.kin.learn(hashes.into_iter(), number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::config_map;
    use crate::store::record;

    #[test]
    fn labels_are_forgotten_when_there_are_too_many_and_learned_again() {
        let (mut families, mut scratch, mut most) = (Families::new(), record::Scratch::default(), 0);
        for number in 0..MOST_LABELS + 10 {
            record::write(&config_map("a/b").label("app", &number.to_string()).raw(), &mut scratch);
            families.learn(&scratch.whole, 1);
            most = most.max(families.kin.len());
        }
        assert_eq!((most, families.kin.len()), (MOST_LABELS, 10));
        assert_eq!(families.relative(&scratch.whole), 1, "the last one was learned");
    }
}
