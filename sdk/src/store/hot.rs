//! Decoded objects that are read again and again, in a bounded number of bytes.
use std::any::Any;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::{DefaultHashBuilder, HashMap};

use crate::resource::ObjectKey;

/// Most bytes of decoded objects kept by one store, by estimate: a few hundred pods, more than a busy controller has
/// under its hands at once.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What an object takes here besides itself: its place, its age, and their room to grow.
const OVERHEAD: usize = 2 * size_of::<(ObjectKey, Place)>() + 2 * size_of::<(ObjectKey, u64)>();

/// How many objects that found no room are remembered, so that they get some when they are read again: about as many as
/// have room, in so many rows.
const REMEMBERED: usize = 512;
const ROWS: usize = 8;

/// A decoded object of any type.
pub(super) type Decoded = Arc<dyn Any + Send + Sync>;

/// The hot set. What is evicted when it is full: the oldest object, but one that was read since it became the oldest counts
/// as new again (second chance). What joins when it is full: an object that was turned away not long ago, so that reading
/// every object once, as a controller does after its start, neither pushes out what is in use nor pays for it.
///
/// It answers without the store's lock: the writer takes an object out, under its own lock, before anybody can read the
/// next state of it.
pub(super) struct Hot {
    bound: AtomicUsize,
    set: RwLock<Set>,
    turned_away: TurnedAway,
}

/// The hashes of the objects that found no room last. A wrong answer costs a turn.
///
/// All of a row are looked at. With a place for each hash, two objects of one place would turn each other away for ever,
/// however often both are read.
struct TurnedAway {
    hasher: DefaultHashBuilder,
    rows: Box<[Row]>,
}

struct Row {
    hashes: [AtomicU32; REMEMBERED / ROWS],
    /// Counts them; the next takes the place of the oldest.
    next: AtomicUsize,
}

#[derive(Default)]
struct Set {
    places: HashMap<ObjectKey, Place>,
    /// The oldest first. An entry whose number is not that of its place is of an earlier state.
    ages: VecDeque<(ObjectKey, u64)>,
    next: u64,
    bytes: usize,
}

struct Place {
    number: u64,
    stamp: u32,
    object: Decoded,
    bytes: usize,
    read: AtomicBool,
}

impl Hot {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound: AtomicUsize::new(bound), set: RwLock::default(), turned_away: TurnedAway::new() }
    }

    /// Sets another bound, and returns what has to go for it, to be dropped outside of locks.
    pub(super) fn bound(&self, bound: usize) -> Vec<Decoded> {
        self.bound.store(bound, Relaxed);
        if self.memory() <= bound { Vec::new() } else { self.write().shrink(bound) }
    }

    /// Returns the object as a `K`, if it is hot as that.
    pub(super) fn get<K: Any + Send + Sync>(&self, key: &ObjectKey) -> Option<Arc<K>> {
        let set = self.read();
        let place = set.places.get(key)?;
        let object = Arc::clone(&place.object).downcast::<K>().ok()?;
        place.mark();
        Some(object)
    }

    /// Returns that very state of the object, if it is hot.
    pub(super) fn get_at<K: Any + Send + Sync>(&self, key: &ObjectKey, stamp: u32) -> Option<Arc<K>> {
        let set = self.read();
        let place = set.places.get(key)?;
        let object = Arc::clone(&place.object).downcast::<K>().ok().filter(|_| place.stamp == stamp)?;
        place.mark();
        Some(object)
    }

    /// Says whether a decoded object that takes so many bytes is to be kept: while there is room for it, or when it was
    /// turned away not long ago.
    pub(super) fn welcomes(&self, key: &str, bytes: usize) -> bool {
        let needed = self.memory().saturating_add(with_overhead(key, bytes));
        needed <= self.bound.load(Relaxed) || self.turned_away.replace(key)
    }

    /// Keeps a decoded object that takes so many bytes. The caller makes sure that it is the present state, and drops
    /// what had to go for it outside of its locks.
    pub(super) fn insert(&self, key: &ObjectKey, stamp: u32, object: Decoded, bytes: usize) -> Vec<Decoded> {
        let bytes = with_overhead(key.as_str(), bytes);
        let bound = self.bound.load(Relaxed);
        // A single object does not push everything else out.
        if bytes > bound / 4 {
            return vec![object];
        }
        let mut set = self.write();
        let before = set.remove(key.as_str()).map(|place| place.object);
        let mut evicted = set.shrink(bound - bytes);
        evicted.extend(before);
        set.insert(key, stamp, object, bytes);
        evicted
    }

    /// Takes an object out, because it changes or goes. The caller drops it outside of its locks.
    pub(super) fn remove(&self, key: &str) -> Option<Decoded> {
        // Nearly all writes are to objects that nobody reads.
        self.read().places.get(key)?;
        self.write().remove(key).map(|place| place.object)
    }

    /// Returns about how many bytes it takes.
    pub(super) fn memory(&self) -> usize {
        self.read().bytes
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Set> {
        self.set.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Set> {
        self.set.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how many bytes an object of so many takes here.
fn with_overhead(key: &str, bytes: usize) -> usize {
    bytes + OVERHEAD + key.len()
}

impl TurnedAway {
    fn new() -> Self {
        let row = || Row { hashes: std::array::from_fn(|_| AtomicU32::default()), next: AtomicUsize::new(0) };
        Self { hasher: DefaultHashBuilder::default(), rows: std::iter::repeat_with(row).take(ROWS).collect() }
    }

    /// Remembers an object, and says whether it was remembered already.
    fn replace(&self, key: &str) -> bool {
        let hash = self.hasher.hash_one(key);
        let Row { hashes, next } = &self.rows[(hash >> 32) as usize % ROWS];
        let hash = hash as u32;
        let known = hashes.iter().any(|known| known.load(Relaxed) == hash);
        if !known {
            hashes[next.fetch_add(1, Relaxed) % hashes.len()].store(hash, Relaxed);
        }
        known
    }
}

impl Set {
    fn insert(&mut self, key: &ObjectKey, stamp: u32, object: Decoded, bytes: usize) {
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.places.insert(key.clone(), Place { number, stamp, object, bytes, read: AtomicBool::new(false) });
        self.ages.push_back((key.clone(), number));
        // Entries of objects that changed are dropped once they outnumber the others.
        if self.ages.len() > 2 * self.places.len() + 16 {
            let Self { places, ages, .. } = self;
            ages.retain(|(key, number)| places.get(key).is_some_and(|place| place.number == *number));
        }
    }

    fn remove(&mut self, key: &str) -> Option<Place> {
        let place = self.places.remove(key)?;
        self.bytes -= place.bytes;
        Some(place)
    }

    /// Takes objects out until the others take at most so many bytes.
    fn shrink(&mut self, bound: usize) -> Vec<Decoded> {
        let mut evicted = Vec::new();
        while self.bytes > bound
            && let Some(place) = self.evict()
        {
            evicted.push(place.object);
        }
        evicted
    }

    /// Takes out the oldest object that was not read since it became the oldest.
    fn evict(&mut self) -> Option<Place> {
        while let Some((key, number)) = self.ages.pop_front() {
            match self.places.get(&key) {
                Some(place) if place.number == number && place.read.swap(false, Relaxed) => {
                    self.ages.push_back((key, number));
                }
                Some(place) if place.number == number => return self.remove(key.as_str()),
                _ => {}
            }
        }
        None
    }
}

impl Place {
    fn mark(&self) {
        // Written only when needed: readers on other cores keep their copy of the line.
        if !self.read.load(Relaxed) {
            self.read.store(true, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> ObjectKey {
        ObjectKey::namespaced("a", &number.to_string())
    }

    fn keep(hot: &Hot, number: usize) {
        hot.insert(&key(number), number as u32, Arc::new(number), 800);
    }

    /// Reads an object as a lister does.
    fn read(hot: &Hot, number: usize) {
        if hot.get::<usize>(&key(number)).is_none() && hot.welcomes(key(number).as_str(), 800) {
            keep(hot, number);
        }
    }

    #[test]
    fn a_pass_over_everything_pushes_nothing_out_and_what_is_read_again_joins() {
        let hot = Hot::new(20_000);
        let is_hot = |number: usize| hot.read().places.contains_key(&key(number));
        (0..10_000).for_each(|number| read(&hot, number));
        let kept = (0..10_000).filter(|&number| is_hot(number)).count();
        assert!((10..=20).contains(&kept) && (0..kept).all(is_hot), "the first {kept}, as long as there was room");
        read(&hot, 5_000);
        assert!(!is_hot(5_000), "it was turned away long ago");
        read(&hot, 5_000);
        assert!(is_hot(5_000));
    }

    #[test]
    fn whatever_few_objects_are_read_in_turns_join_all_of_them() {
        for start in 0..200 {
            let hot = Hot::new(20_000);
            (0..100).for_each(|number| read(&hot, number));
            let turns = 1_000 + start * 10..1_010 + start * 10;
            (0..2).for_each(|_| turns.clone().for_each(|number| read(&hot, number)));
            assert!(turns.clone().all(|number| hot.get::<usize>(&key(number)).is_some()), "{turns:?}");
        }
    }

    #[test]
    fn the_bytes_are_bounded_and_what_is_read_stays_longest() {
        let hot = Hot::new(20_000);
        keep(&hot, 0);
        for number in 1..200 {
            assert_eq!(hot.get::<usize>(&key(0)).as_deref(), Some(&0), "read every time");
            keep(&hot, number);
            assert!(hot.read().bytes <= 20_000);
        }
        let kept = (0..200).filter(|&number| hot.get::<usize>(&key(number)).is_some()).count();
        assert!((10..=20).contains(&kept), "{kept}");
        assert!(hot.get::<usize>(&key(1)).is_none());
        assert!(
            (195..200).all(|number| hot.get::<usize>(&key(number)).is_some()),
            "the youngest are not the first to go"
        );
        hot.insert(&key(1), 1, Arc::new(1_usize), 8_000);
        assert!(hot.get::<usize>(&key(1)).is_none(), "one large object does not push the others out");
    }

    #[test]
    fn an_object_is_hot_as_what_it_was_decoded_as_and_until_it_changes() {
        let hot = Hot::new(MAX_BYTES);
        (0..100).for_each(|number| keep(&hot, number));
        assert!(hot.get::<String>(&key(7)).is_none());
        assert_eq!(hot.get_at::<usize>(&key(7), 7).as_deref(), Some(&7));
        assert!(hot.get_at::<usize>(&key(7), 8).is_none());
        (0..100).filter(|number| number % 3 == 0).for_each(|number| _ = hot.remove(key(number).as_str()));
        for number in 0..100 {
            assert_eq!(hot.get::<usize>(&key(number)).is_some(), number % 3 != 0, "{number}");
        }
        (0..100).for_each(|number| _ = hot.remove(key(number).as_str()));
        assert_eq!((hot.read().bytes, hot.read().places.len()), (0, 0));
        for _ in 0..1000 {
            keep(&hot, 1);
            let _ = hot.remove(key(1).as_str());
        }
        assert!(hot.read().ages.len() < 20, "an object that changes all the time leaves nothing behind");
    }
}
