//! Words that many objects share: label pairs, finalizers, kinds of owners. Each is stored once and counted.
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::slab::Slab;

/// How many texts are remembered as seen once. Objects come in the order of their keys, so that what repeats does so
/// within a few hundred objects, and 8 KiB are enough.
const SEEN: usize = 4096;

/// Pairs of texts by number. A single text is a pair with an empty second half.
#[derive(Default)]
pub(super) struct Names {
    table: HashTable<u32>,
    words: Slab<Word>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
    /// Fingerprints of what was seen once: a text that never repeats costs 45 bytes more here than in its record.
    seen: Vec<u16>,
    heap: usize,
}

struct Word {
    text: Box<[u8]>,
    /// Where the second half begins.
    split: u32,
    /// How many records name it; none for a free place.
    count: u32,
}

impl Names {
    /// Counts one use of a pair and returns its number; `None` for a pair that has not been met lately.
    pub(super) fn intern(&mut self, first: &[u8], second: &[u8]) -> Option<u32> {
        let hash = hash(&self.hasher, first, second);
        if let Some(&known) = self.table.find(hash, |&id| self.words[id as usize].is(first, second)) {
            self.words[known as usize].count += 1;
            return Some(known);
        }
        if !self.has_seen(hash) {
            return None;
        }
        let word = Word { text: [first, second].concat().into(), split: u32::try_from(first.len()).ok()?, count: 1 };
        self.heap += word.text.len();
        let id = match self.free.pop() {
            Some(id) => {
                self.words[id as usize] = word;
                id
            }
            None => {
                self.words.push(word);
                u32::try_from(self.words.len() - 1).ok()?
            }
        };
        let Self { table, words, hasher, .. } = self;
        table.insert_unique(hash, id, |&id| words[id as usize].hash(hasher));
        Some(id)
    }

    /// Takes back one use.
    pub(super) fn release(&mut self, id: u32) {
        let word = &mut self.words[id as usize];
        word.count -= 1;
        if word.count > 0 {
            return;
        }
        let hash = word.hash(&self.hasher);
        let text = std::mem::take(&mut word.text);
        self.heap -= text.len();
        if let Ok(entry) = self.table.find_entry(hash, |&known| known == id) {
            entry.remove();
        }
        self.free.push(id);
        if self.table.is_empty() {
            *self = Self { hasher: self.hasher.clone(), ..Self::default() };
        }
    }

    /// Returns the pair of a number.
    pub(super) fn get(&self, id: u32) -> (&[u8], &[u8]) {
        let word = &self.words[id as usize];
        word.text.split_at(word.split as usize)
    }

    /// Returns how many bytes it takes.
    pub(super) fn memory(&self) -> usize {
        self.heap
            + self.table.allocation_size()
            + self.words.memory()
            + self.free.capacity() * size_of::<u32>()
            + self.seen.capacity() * size_of::<u16>()
    }

    /// Says whether a text of this hash was seen before, and remembers it.
    fn has_seen(&mut self, hash: u64) -> bool {
        if self.seen.is_empty() {
            self.seen = vec![0; SEEN];
        }
        // Zero stands for nothing.
        let fingerprint = ((hash >> 32) as u16).max(1);
        std::mem::replace(&mut self.seen[hash as usize % SEEN], fingerprint) == fingerprint
    }

    /// Returns how many pairs are stored.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}

impl Word {
    fn is(&self, first: &[u8], second: &[u8]) -> bool {
        self.split as usize == first.len()
            && self.text.len() == first.len() + second.len()
            && self.text.starts_with(first)
            && self.text.ends_with(second)
    }

    fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        let (first, second) = self.text.split_at(self.split as usize);
        hash(hasher, first, second)
    }
}

fn hash(hasher: &DefaultHashBuilder, first: &[u8], second: &[u8]) -> u64 {
    hasher.hash_one((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_stored_from_its_second_use_to_its_last() {
        let mut names = Names::default();
        assert_eq!(names.intern(b"app", b"web"), None, "it may never come again");
        let id = names.intern(b"app", b"web").unwrap();
        assert_eq!(names.intern(b"app", b"web"), Some(id));
        assert_eq!((names.get(id), names.len()), ((&b"app"[..], &b"web"[..]), 1));
        for second in ["we", "web2", ""] {
            names.intern(b"app", second.as_bytes());
            assert_ne!(names.intern(b"app", second.as_bytes()), Some(id), "{second}");
        }
        names.intern(b"appw", b"eb");
        assert_ne!(names.intern(b"appw", b"eb"), Some(id), "the halves are part of the pair");
        names.release(id);
        assert_eq!((names.get(id), names.len()), ((&b"app"[..], &b"web"[..]), 5));
        names.release(id);
        assert_eq!(names.len(), 4);
        names.intern(b"tier", b"back");
        assert_eq!(names.intern(b"tier", b"back"), Some(id), "places are used again");
    }

    #[test]
    fn nothing_is_left_when_nothing_is_used() {
        let mut names = Names::default();
        let mut used = Vec::new();
        for round in 0..3 {
            for number in 0..2000 {
                used.extend(names.intern(b"key", format!("value-{number}-{}", round / 2).as_bytes()));
            }
        }
        assert!(names.len() > 1000 && names.memory() > 40_000);
        used.into_iter().for_each(|id| names.release(id));
        assert_eq!((names.len(), names.memory()), (0, 0));
    }
}
