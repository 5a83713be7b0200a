//! Where the records of a store lie: in large segments, which go back to the allocator whole.
//!
//! Records are small, differ in size and are replaced all the time, not least when a better dictionary packs all of them
//! anew. Each in an allocation of its own, they would leave holes that records of other sizes do not fill. Here what is left
//! of a segment moves once a quarter of it is unused.

use super::segment::Segment;

/// Most bytes of one segment: hundreds of records, so that an open one costs little, and little enough to be moved at
/// once. A larger record has a segment of its own.
const SEGMENT: usize = 256 * 1024;

/// Fewest bytes of one segment: each is a quarter of all before it, up to the bound, so that a small store stays small.
const FIRST_SEGMENT: usize = 1024;

/// Bytes before each record: its owner, its length, and how many unused bytes follow.
const HEADER: usize = 8;

/// Most unused bytes behind a record: one that is shorter by more than was there before it moves. A later state of an object
/// is mostly as long as the one before, give or take a few bytes, and to write it in that place leaves no hole.
const MAX_SLACK: usize = 15;

/// How many bits of a length say how long the record is; the others are for what is unused. No object is as large.
const LENGTH_BITS: u32 = 28;

/// The owner of a record that is no longer used.
const NOBODY: u32 = u32::MAX;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    segment: u32,
    offset: u32,
}

/// Records, each with the number of its owner, who is told when it moves.
#[derive(Default)]
pub(super) struct Arena {
    segments: Vec<Records>,
    /// Segments without memory.
    free: Vec<u32>,
    /// Where records are added.
    open: Option<u32>,
    /// A segment of which too much is unused.
    sparse: Option<u32>,
    /// A segment that became free, for the next that is needed: where records are replaced all the time, the system would
    /// take back and clear each of its pages for nothing.
    spare: Option<Segment>,
    /// What the segments take, the spare one included.
    bytes: usize,
}

#[derive(Default)]
struct Records {
    bytes: Segment,
    unused: usize,
}

impl Arena {
    /// Adds a record of `owner`.
    pub(super) fn add(&mut self, owner: u32, record: &[u8]) -> Place {
        let segment = self.room(HEADER + record.len());
        let bytes = &mut self.segments[segment as usize].bytes;
        let offset = bytes.len() as u32;
        bytes.push(&header(owner, record.len(), 0));
        bytes.push(record);
        Place { segment, offset }
    }

    /// Puts a record of `owner` in the place of one it has, or in another if that does not fit, and says where it is.
    pub(super) fn replace(&mut self, place: Place, owner: u32, record: &[u8]) -> Place {
        let Records { bytes, unused } = &mut self.segments[place.segment as usize];
        let bytes = &mut bytes[place.offset as usize..];
        let (length, slack) = size(bytes);
        match (length + slack).checked_sub(record.len()) {
            Some(left @ 0..=MAX_SLACK) => {
                *unused = *unused + left - slack;
                bytes[..HEADER].copy_from_slice(&header(owner, record.len(), left));
                bytes[HEADER..][..record.len()].copy_from_slice(record);
                place
            }
            _ => {
                self.remove(place);
                self.add(owner, record)
            }
        }
    }

    /// Returns the record at a place that [`Arena::add`] gave, or [`Arena::compact`] since.
    pub(super) fn get(&self, Place { segment, offset }: Place) -> &[u8] {
        let bytes = &self.segments[segment as usize].bytes[offset as usize..];
        &bytes[HEADER..HEADER + size(bytes).0]
    }

    /// Gives a record to another owner.
    pub(super) fn assign(&mut self, Place { segment, offset }: Place, owner: u32) {
        self.segments[segment as usize].bytes[offset as usize..][..4].copy_from_slice(&owner.to_le_bytes());
    }

    /// Removes a record.
    pub(super) fn remove(&mut self, place: Place) {
        let size = HEADER + self.get(place).len();
        self.assign(place, NOBODY);
        let Records { bytes, unused } = &mut self.segments[place.segment as usize];
        *unused += size;
        if *unused == bytes.len() {
            self.release(place.segment);
        } else if *unused > bytes.capacity() / 4 {
            self.sparse = Some(place.segment);
        }
    }

    /// Moves what is left of a segment that became sparse; `moved` learns of each new place.
    ///
    /// To be called after each removal: there is at most one such segment then, and moving it takes microseconds.
    pub(super) fn compact(&mut self, mut moved: impl FnMut(u32, Place)) {
        let Some(sparse) = self.sparse.take() else { return };
        self.open = self.open.filter(|&open| open != sparse);
        let Records { bytes, .. } = std::mem::take(&mut self.segments[sparse as usize]);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (owner, (length, slack)) = (number(rest, 0), size(rest));
            let (record, behind) = rest[HEADER..].split_at(length);
            rest = &behind[slack..];
            if owner != NOBODY {
                moved(owner, self.add(owner, record));
            }
        }
        self.put_away(bytes);
        self.release(sparse);
    }

    /// Chooses a segment to be moved by [`Arena::compact`] of which an eighth is unused, if there is one. If there is none,
    /// all is as small as it can be, and the spare segment goes back, too.
    pub(super) fn find_sparse(&mut self) -> bool {
        let sparse = |segment: &Records| segment.unused > segment.bytes.capacity() / 8;
        self.sparse = self.segments.iter().position(sparse).map(|found| found as u32);
        if self.sparse.is_none() {
            self.bytes -= self.spare.take().map_or(0, |spare| spare.capacity());
        }
        self.sparse.is_some()
    }

    /// Returns how many bytes are allocated.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.segments.capacity() * size_of::<Records>() + self.free.capacity() * size_of::<u32>()
    }

    /// Returns a segment with room for so many bytes.
    fn room(&mut self, size: usize) -> u32 {
        let fits = |segment: &Records| segment.bytes.capacity() - segment.bytes.len() >= size;
        if let Some(open) = self.open.filter(|&open| fits(&self.segments[open as usize])) {
            return open;
        }
        let bytes = match self.spare.take() {
            Some(spare) if size <= SEGMENT => spare,
            spare => {
                self.spare = spare;
                let new = Segment::with_capacity(size.max((self.bytes / 4).clamp(FIRST_SEGMENT, SEGMENT)));
                self.bytes += new.capacity();
                new
            }
        };
        let segment = Records { bytes, unused: 0 };
        let new = match self.free.pop() {
            Some(free) => {
                self.segments[free as usize] = segment;
                free
            }
            None => {
                self.segments.push(segment);
                self.segments.len() as u32 - 1
            }
        };
        // A record that fills a segment of its own leaves the open one open.
        if size < SEGMENT {
            self.open = Some(new);
        }
        new
    }

    fn release(&mut self, segment: u32) {
        let Records { bytes, .. } = std::mem::take(&mut self.segments[segment as usize]);
        self.put_away(bytes);
        self.free.push(segment);
        self.open = self.open.filter(|&open| open != segment);
        self.sparse = self.sparse.filter(|&sparse| sparse != segment);
        if self.free.len() == self.segments.len() {
            *self = Self::default();
        }
    }

    /// Takes a segment of which nothing is used any more, and keeps one that is as large as the next will be.
    fn put_away(&mut self, mut segment: Segment) {
        if segment.capacity() == SEGMENT && self.spare.is_none() && self.bytes / 4 >= SEGMENT {
            segment.clear();
            self.spare = Some(segment);
        } else {
            self.bytes -= segment.capacity();
        }
    }
}

fn header(owner: u32, length: usize, slack: usize) -> [u8; HEADER] {
    let size = length as u32 | (slack as u32) << LENGTH_BITS;
    (u64::from(size) << u32::BITS | u64::from(owner)).to_le_bytes()
}

/// Returns how long a record is, and how many unused bytes follow.
fn size(record: &[u8]) -> (usize, usize) {
    let size = number(record, 4);
    ((size & ((1 << LENGTH_BITS) - 1)) as usize, (size >> LENGTH_BITS) as usize)
}

fn number(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// What lies where, as its owners know.
    #[derive(Default)]
    struct Owners(HashMap<u32, (Place, Vec<u8>)>);

    impl Owners {
        fn put(&mut self, arena: &mut Arena, owner: u32, record: Vec<u8>) {
            let place = match self.0.get(&owner) {
                Some(&(place, _)) => arena.replace(place, owner, &record),
                None => arena.add(owner, &record),
            };
            self.0.insert(owner, (place, record));
            self.compact(arena);
        }

        fn remove(&mut self, arena: &mut Arena, owner: u32) {
            if let Some((place, _)) = self.0.remove(&owner) {
                arena.remove(place);
            }
            self.compact(arena);
        }

        fn compact(&mut self, arena: &mut Arena) {
            arena.compact(|owner, place| self.0.get_mut(&owner).unwrap().0 = place);
        }

        fn check(&self, arena: &Arena) {
            for (place, record) in self.0.values() {
                assert_eq!(arena.get(*place), record);
            }
            let unused: usize = arena.segments.iter().map(|segment| segment.unused).sum();
            let filled: usize = arena.segments.iter().map(|segment| segment.bytes.len()).sum();
            assert_eq!(filled - unused, self.bytes());
        }

        fn bytes(&self) -> usize {
            self.0.values().map(|(_, record)| HEADER + record.len()).sum()
        }
    }

    proptest! {
        #[test]
        fn every_record_is_where_its_owner_was_told(
            steps in proptest::collection::vec((0..200_u32, 0..60_000_usize, 0..6_u8), 1..300)
        ) {
            let (mut arena, mut owners) = (Arena::default(), Owners::default());
            for (owner, size, step) in steps {
                match step {
                    0 => owners.remove(&mut arena, owner),
                    1 => owners.put(&mut arena, owner, vec![owner as u8; size / 500]),
                    2 => owners.put(&mut arena, owner, vec![owner as u8; size * 8]),
                    3 => owners.put(&mut arena, owner, vec![step; 40 + size % 40]),
                    _ => owners.put(&mut arena, owner, vec![owner as u8; size]),
                }
                owners.check(&arena);
            }
        }
    }

    #[test]
    fn what_is_about_as_long_as_before_stays_in_its_place() {
        let (mut arena, mut owners) = (Arena::default(), Owners::default());
        (0..1000).for_each(|owner| owners.put(&mut arena, owner, vec![1; 100]));
        let places = |owners: &Owners| (0..1000).map(|owner| owners.0[&owner].0).collect::<Vec<_>>();
        let before = places(&owners);
        for length in [100, 100 - MAX_SLACK, 93, 100] {
            (0..1000).for_each(|owner| owners.put(&mut arena, owner, vec![2; length]));
            assert_eq!(places(&owners), before, "{length}");
            owners.check(&arena);
        }
        for length in [101, 101 - MAX_SLACK - 1] {
            let before = owners.0[&1].0;
            owners.put(&mut arena, 1, vec![3; length]);
            assert_ne!(owners.0[&1].0, before, "{length}");
        }
        owners.check(&arena);
    }

    #[test]
    fn churn_leaves_at_most_a_third_unused() {
        let (mut arena, mut owners) = (Arena::default(), Owners::default());
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200_000 {
            let size = random.usize(100..900);
            owners.put(&mut arena, random.u32(0..10_000), vec![0; size]);
        }
        let (used, taken) = (owners.bytes(), arena.memory());
        assert!(taken < used + used / 3 + 2 * SEGMENT, "{used} bytes lie in {taken}");
    }

    #[test]
    fn one_segment_that_became_free_is_kept_for_the_next_and_goes_back_once_all_is_tidy() {
        let (mut arena, mut owners) = (Arena::default(), Owners::default());
        let in_use = |arena: &Arena| arena.segments.iter().map(|segment| segment.bytes.capacity()).sum::<usize>();
        (0..3000).for_each(|owner| owners.put(&mut arena, owner, vec![1; 700]));
        assert!(arena.spare.is_none());
        // Several become free, and one is kept.
        (0..1500).for_each(|owner| owners.remove(&mut arena, owner));
        assert_eq!((arena.bytes, arena.spare.is_some()), (in_use(&arena) + SEGMENT, true));
        owners.check(&arena);
        let taken = arena.bytes;
        for owner in 0..SEGMENT as u32 / 700 {
            owners.put(&mut arena, owner, vec![2; 700]);
            if arena.spare.is_none() {
                break;
            }
        }
        assert_eq!((arena.bytes, arena.spare.is_some()), (taken, false), "it was used before another one");
        owners.check(&arena);
        (700..1500).for_each(|owner| owners.put(&mut arena, owner, vec![3; 700]));
        (0..1500).for_each(|owner| owners.remove(&mut arena, owner));
        assert!(arena.spare.is_some());
        while arena.find_sparse() {
            arena.compact(|owner, place| owners.0.get_mut(&owner).unwrap().0 = place);
        }
        assert_eq!((arena.bytes, arena.spare.is_some()), (in_use(&arena), false));
        owners.check(&arena);
    }

    #[test]
    fn nothing_is_left_of_an_arena_without_records() {
        let (mut arena, mut owners) = (Arena::default(), Owners::default());
        (0..3000).for_each(|owner| owners.put(&mut arena, owner, vec![1; 700]));
        owners.put(&mut arena, 3000, vec![2; 3 * SEGMENT]);
        assert!(arena.memory() > 5_000_000 * 2 / 5);
        (0..3001).for_each(|owner| owners.remove(&mut arena, owner));
        assert_eq!(arena.memory(), 0);
    }
}
