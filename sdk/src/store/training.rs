//! When a store's dictionary is made, and when it is made again.
//!
//! The first one comes from the first objects, so that the first list is packed while it arrives. A list is ordered by
//! key, so its first objects are all of a kind: once it is complete, samples are taken from all over the store, and the
//! new dictionary is adopted if it packs objects that it was not made of clearly smaller. The same happens when new
//! objects pack worse than they used to.
//!
//! Only objects that a dictionary packs, or may pack, count for all of this: not those that are short differences. Where
//! these take nearly all there is, no dictionary is made.
use std::sync::{Arc, Mutex, PoisonError};

use super::Store;
use super::codec::{self, Packer, Samples};

/// How many objects the first dictionary is made of: what was 20 ms of work, and enough for a ratio within a few percent
/// of the best for objects of the same make. A store with fewer stays as it is: it is small.
pub(super) const FIRST_OBJECTS: usize = 34;

/// How few a complete list may have to get a dictionary.
pub(super) const FEWEST_OBJECTS: usize = 30;

/// A dictionary is made where what it is for takes one byte in so many. Making it takes a few MB for the moment, which the
/// allocator keeps, and it takes some itself: less would not save that.
const SHARE: usize = 8;

/// Most bytes of the first dictionary.
const FIRST_SIZE: usize = 16 * 1024;

/// How many objects a better dictionary is made of.
const OBJECTS: usize = 500;

/// How many objects make a better dictionary worth the work.
const WORTH_IT: usize = 256;

/// Most bytes of a better dictionary: above this, the fastest level no longer finds all that is in it.
const SIZE: usize = 64 * 1024;

/// Most of one object that is looked at. What a dictionary can give is in the first kilobytes.
const SAMPLE: usize = 8 * 1024;

/// One object in so many is held out of the samples, to judge the dictionary by.
const HELD_OUT: usize = 5;

/// A better dictionary packs to at most this many percent.
const BETTER: usize = 95;

/// Objects pack worse than they used to above this many times the size after training.
const DRIFT: f32 = 1.25;

/// How many writes the mean size looks back on.
const WINDOW: f32 = 256.0;

/// What a writer knows of its dictionary.
#[derive(Default)]
pub(super) struct Training {
    /// How many objects there were when it was last made, or could not be made.
    objects: usize,
    /// Writes since, and what they took.
    writes: usize,
    bytes: usize,
    /// Moving mean of packed by whole size.
    mean: f32,
    /// The mean a window after training.
    settled: Option<f32>,
    /// Where the one that is being made will be found.
    making: Option<Arc<Mutex<Made>>>,
}

/// What became of a [`Refinement`].
#[derive(Default)]
enum Made {
    #[default]
    NotYet,
    Nothing,
    Better(Vec<u8>),
}

impl Training {
    /// Says whether the first dictionary is to be made now: so many objects want one, and all records take so many bytes.
    pub(super) fn wants_first(&self, objects: usize, records: usize, enough: usize) -> bool {
        // Of the objects, and not of the writes: some that change often are not more for that.
        let bytes = objects * self.bytes / self.writes.max(1);
        // Where none could be made, try again when there is twice as much.
        objects >= enough.max(self.objects * 2) && bytes * SHARE >= records
    }

    /// Makes the first dictionary.
    pub(super) fn first(&mut self, store: &Store, objects: usize) -> Option<Vec<u8>> {
        self.made(objects);
        let (samples, _) = sample(store, FIRST_OBJECTS);
        // Of little data a dictionary of full size would be a copy.
        codec::train(&samples, FIRST_SIZE.min(samples.bytes.len() / 4))
    }

    /// Takes note of one packed object.
    pub(super) fn record(&mut self, whole: usize, packed: usize) {
        let ratio = packed as f32 / whole.max(1) as f32;
        self.writes += 1;
        self.bytes += packed;
        // The first writes after training are averaged, the later ones push out the earlier.
        self.mean += (ratio - self.mean) / (self.writes as f32).min(WINDOW);
        if self.settled.is_none() && self.writes as f32 >= WINDOW {
            self.settled = Some(self.mean);
        }
    }

    /// Returns the work of making a better dictionary when it is time for that: four times as many objects as the last
    /// one knew of; or worse packing, and since the last one as many writes as there are objects.
    pub(super) fn refinement(&mut self, store: &Arc<Store>) -> Option<Refinement> {
        let objects = store.read().wanting();
        let grown = objects >= self.objects.saturating_mul(4);
        let drifted = self.settled.is_some_and(|settled| self.mean > settled * DRIFT) && self.writes >= objects;
        if self.making.is_some() || objects < WORTH_IT || !(grown || drifted) {
            return None;
        }
        let made = Arc::default();
        self.making = Some(Arc::clone(&made));
        Some(Refinement { store: Arc::clone(store), made })
    }

    /// Takes the better dictionary, if one has been made since the last call.
    pub(super) fn better(&mut self, objects: usize) -> Option<Vec<u8>> {
        let made = {
            let mut made = self.making.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *made)
        };
        let better = match made {
            Made::NotYet => return None,
            Made::Nothing => None,
            Made::Better(dictionary) => Some(dictionary),
        };
        self.making = None;
        self.made(objects);
        better
    }

    fn made(&mut self, objects: usize) {
        *self = Self { objects, making: self.making.take(), ..Self::default() };
    }
}

/// The work of making a better dictionary: about a tenth of a second, on a thread that may block.
pub(crate) struct Refinement {
    store: Arc<Store>,
    made: Arc<Mutex<Made>>,
}

impl Refinement {
    /// Does it. The writer finds the result when it looks next.
    pub(crate) fn run(self) {
        let made = self.make().map_or(Made::Nothing, Made::Better);
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = made;
    }

    fn make(&self) -> Option<Vec<u8>> {
        let (samples, held_out) = sample(&self.store, OBJECTS);
        let dictionary = codec::train(&samples, SIZE.min(samples.bytes.len() / 8))?;
        let mut packer = Packer::default();
        if !packer.load(codec::PLAIN + 1, &dictionary) {
            return None;
        }
        let (mut now, mut then, mut packed) = (0, 0, Vec::new());
        for (text, size) in &held_out {
            packed.clear();
            packer.pack(text, &mut packed);
            now += size;
            then += packed.len();
        }
        (then * 100 <= now * BETTER).then_some(dictionary)
    }
}

/// Takes samples from all over a store, and besides them texts to judge by, each with its packed size.
fn sample(store: &Store, objects: usize) -> (Samples, Vec<(Vec<u8>, usize)>) {
    let (mut samples, mut held_out) = (Samples::default(), Vec::new());
    for (number, packed) in store.spread(objects).iter().enumerate() {
        let start = samples.bytes.len();
        packed.view().sample(&mut samples.bytes);
        let end = samples.bytes.len();
        // With few samples each is needed.
        if objects > FIRST_OBJECTS && number % HELD_OUT == 0 {
            held_out.push((samples.bytes.split_off(start), packed.view().packed_len()));
        } else {
            samples.bytes.truncate(end.min(start + SAMPLE));
            samples.sizes.push(samples.bytes.len() - start);
        }
    }
    (samples, held_out)
}
