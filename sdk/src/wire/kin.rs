//! What objects of the same labels have been like: the one way from labels to a number of something.
use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashMap};

/// How many labels of an object are looked at.
const LABELS: usize = 16;

/// Numbers by label. Labels are known by their hashes: a wrong answer costs time and nothing else.
pub(crate) struct Kin {
    by_label: HashMap<u64, Learned>,
    hasher: DefaultHashBuilder,
    /// Most labels that are remembered: then they are forgotten, and learned again.
    most: usize,
}

/// What is known of a label.
#[derive(Clone, Copy)]
struct Learned {
    /// The last number that was learned for it.
    number: u16,
    /// How many were: a label that all have says nothing.
    count: u16,
}

impl Kin {
    /// Remembers at most so many labels, and those of one object more.
    pub(crate) fn new(most: usize) -> Self {
        Self { by_label: HashMap::new(), hasher: DefaultHashBuilder::default(), most }
    }

    /// Returns the hashes of an object's labels.
    pub(crate) fn hashes<L: Hash>(&self, labels: impl Iterator<Item = L>) -> impl Iterator<Item = u64> {
        labels.take(LABELS).map(|label| self.hasher.hash_one(label))
    }

    /// Returns the number that labels speak for; the fewer numbers a label was learned for, the more it counts.
    pub(crate) fn elect(&self, hashes: impl Iterator<Item = u64>) -> Option<u16> {
        let (mut votes, mut count) = ([(0, 0_u32); LABELS], 0);
        for learned in hashes.take(LABELS).filter_map(|hash| self.by_label.get(&hash)) {
            let known = votes[..count].iter().position(|(number, _)| *number == learned.number);
            let at = known.unwrap_or(count);
            count = count.max(at + 1);
            votes[at] = (learned.number, votes[at].1 + u32::from(u16::MAX / learned.count));
        }
        votes[..count].iter().max_by_key(|(_, votes)| *votes).map(|(number, _)| *number)
    }

    /// Remembers that objects of these labels are like a number.
    pub(crate) fn learn(&mut self, hashes: impl Iterator<Item = u64>, number: u16) {
        if self.by_label.len() >= self.most {
            self.by_label.clear();
        }
        for hash in hashes {
            let learned = self.by_label.entry(hash).or_insert(Learned { number, count: 0 });
            *learned = Learned { number, count: learned.count.saturating_add(1) };
        }
    }

    /// Forgets labels whose numbers mean nothing any more.
    pub(crate) fn retain(&mut self, known: impl Fn(u16) -> bool) {
        self.by_label.retain(|_, learned| known(learned.number));
    }

    pub(crate) fn memory(&self) -> usize {
        self.by_label.capacity() * size_of::<(u64, Learned)>()
    }

    /// Returns how many labels are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_label.len()
    }
}
