//! Walks through many objects of a store in short locks, without missing one or meeting one twice.
//!
//! Between two slices the writer goes on. It tells the places where walks stand of every object that moves or leaves, so
//! that a walk meets each object that is there from its first slice to its last exactly once. What comes or goes
//! meanwhile may be met or not. A walk of one slice sees one instant.
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Store;
use super::chains::NONE;
use super::condition::{Condition, Source};
use super::contents::Contents;
use super::packed::Batch;

/// Most objects of one slice: a fifth of a millisecond of copying.
const SLICE: usize = 256;

/// Most entries looked at in one slice.
const LOOKED_AT: usize = 4096;

/// A reader on its way.
pub(super) struct Walk {
    start: Option<Vec<Condition>>,
    /// What is still to be walked, the next at the end.
    ways: Vec<Way>,
    filter: Vec<Condition>,
    left: usize,
}

struct Way {
    source: Source,
    /// Where it goes on after a pause.
    place: Option<Place>,
}

enum Place {
    Slab(Arc<SlabPlace>),
    Chain(Arc<ChainPlace>),
}

/// How a slice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// There may be more.
    Slice,
    /// There is no more.
    All,
}

impl Walk {
    /// Begins a walk through at most `limit` of the objects that satisfy all conditions.
    pub(super) fn new(conditions: Vec<Condition>, limit: usize) -> Self {
        Self { start: Some(conditions), ways: Vec::new(), filter: Vec::new(), left: limit }
    }

    /// Visits the next objects under one lock.
    pub(super) fn slice(&mut self, store: &Store, mut visit: impl FnMut(&Contents, u32)) -> Walked {
        let contents = store.read();
        self.plan(&contents);
        let (mut looked_at, mut found) = (0, 0);
        while self.left > 0
            && let Some(way) = self.ways.last_mut()
        {
            let mut at = way.resume(&contents);
            while let Some(entry) = way.step(&contents, &mut at) {
                looked_at += 1;
                if self.filter.iter().all(|condition| condition.holds(&contents, entry)) {
                    visit(&contents, entry);
                    found += 1;
                    self.left -= 1;
                }
                if self.left == 0 {
                    return Walked::All;
                }
                if found == SLICE || looked_at == LOOKED_AT {
                    way.pause(&contents, at);
                    return Walked::Slice;
                }
            }
            self.ways.pop();
        }
        Walked::All
    }

    /// Copies the next objects out.
    pub(super) fn batch(&mut self, store: &Store) -> (Batch, Walked) {
        let mut batch = Batch::default();
        let walked = self.slice(store, |contents, entry| batch.push(contents, entry));
        (batch, walked)
    }

    fn plan(&mut self, contents: &Contents) {
        let Some(conditions) = self.start.take() else { return };
        let (sources, filter) = super::condition::plan(contents, conditions);
        self.ways = sources.into_iter().map(|source| Way { source, place: None }).collect();
        self.filter = filter;
    }
}

impl Way {
    /// Returns where to go on.
    fn resume(&self, contents: &Contents) -> u32 {
        match (&self.place, &self.source) {
            (Some(Place::Slab(place)), _) => place.left.load(Relaxed).min(contents.len() as u32),
            (Some(Place::Chain(place)), _) => place.next.load(Relaxed),
            (None, Source::All) => contents.len() as u32,
            (None, Source::Value(slot, value)) => contents.first(*slot, value.view()),
        }
    }

    /// Returns the next entry. The slab is walked from its end: entries that move, move to the front.
    fn step(&self, contents: &Contents, at: &mut u32) -> Option<u32> {
        match (&self.source, &self.place) {
            (Source::Value(..), _) if *at == NONE => None,
            (Source::Value(slot, _), _) => Some(contents.follow(*slot, at)),
            (Source::All, place) => loop {
                *at = at.checked_sub(1)?;
                let met = matches!(place, Some(Place::Slab(place)) if place.met().contains(at));
                if !met {
                    return Some(*at);
                }
            },
        }
    }

    /// Leaves the lock for a moment.
    fn pause(&mut self, contents: &Contents, at: u32) {
        match (&self.place, &self.source) {
            (Some(Place::Slab(place)), _) => place.left.store(at, Relaxed),
            (Some(Place::Chain(place)), _) => place.next.store(at, Relaxed),
            (None, Source::All) => self.place = Some(Place::Slab(contents.slab_walks.stand(SlabPlace::new(at)))),
            (None, Source::Value(slot, _)) => {
                let place = ChainPlace { next: AtomicU32::new(at) };
                self.place = contents.indexes.chains(*slot).map(|chains| Place::Chain(chains.walks.stand(place)));
            }
        }
    }
}

/// The walks that pause somewhere.
pub(super) struct Paused<P>(Mutex<Vec<Weak<P>>>);

impl<P> Paused<P> {
    /// Registers a place; it is forgotten when the walk drops it.
    fn stand(&self, place: P) -> Arc<P> {
        let place = Arc::new(place);
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|place| place.strong_count() > 0);
        places.push(Arc::downgrade(&place));
        place
    }

    /// Tells all of them something. Called by the writer, so that no walk is under way meanwhile.
    pub(super) fn tell(&mut self, mut tell: impl FnMut(&P)) {
        let places = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !places.is_empty() {
            places.retain(|place| place.upgrade().inspect(|place| tell(place)).is_some());
        }
    }
}

impl<P> Default for Paused<P> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Where a walk through the slab stands: what lies below is still to be met, but for some.
pub(super) struct SlabPlace {
    left: AtomicU32,
    /// Entries below that moved there after they had been met.
    met: Mutex<HashSet<u32>>,
}

impl SlabPlace {
    fn new(left: u32) -> Self {
        Self { left: AtomicU32::new(left), met: Mutex::default() }
    }

    /// Takes note that the entry at `to` is gone, and that the one at `from` stands there now, unless it is the same.
    pub(super) fn moved(&self, from: u32, to: u32) {
        let left = self.left.load(Relaxed);
        let mut met = self.met();
        let known = met.remove(&from) || from >= left;
        met.remove(&to);
        if known && from != to && to < left {
            met.insert(to);
        }
    }

    fn met(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a walk through a chain stands: at the member that it meets next. Those that join do so before it.
pub(super) struct ChainPlace {
    next: AtomicU32,
}

impl ChainPlace {
    /// Takes note that who stood at `member` is to be sought at `other`.
    pub(super) fn moved(&self, member: u32, other: u32) {
        if self.next.load(Relaxed) == member {
            self.next.store(other, Relaxed);
        }
    }
}
