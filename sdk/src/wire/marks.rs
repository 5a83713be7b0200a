//! Which parts of an object's JSON its head says as well, byte for byte, so that a store need not keep them twice.
use std::ops::Range;

use super::MAX_OBJECT_BYTES;

/// One of these parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `"name":"…"`
    Name,
    /// `"namespace":"…"`
    Namespace,
    /// `"uid":"…"`
    Uid,
    /// `"resourceVersion":"…"`
    Version,
    /// `"labels":{…}`
    Labels,
    /// `"uid":"…"` of the owner that manages the object.
    OwnerUid,
    /// `"name":"…"` of that owner.
    OwnerName,
    /// `"generateName":"…"` where it is the name of that owner and a dash, as pods are called after what made them.
    GenerateName,
}

impl Part {
    /// Returns the name of the member.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name | Self::OwnerName => "name",
            Self::Namespace => "namespace",
            Self::Uid | Self::OwnerUid => "uid",
            Self::Version => "resourceVersion",
            Self::Labels => "labels",
            Self::GenerateName => "generateName",
        }
    }
}

/// How many parts there are.
pub(crate) const PARTS: usize = Part::GenerateName as usize + 1;

/// A mark as it travels: where the part ends in the lower half, above it which one it is, above that where it begins. No
/// object is longer than 29 bits can say.
const TO: u64 = u32::MAX as u64;
const PART: u32 = 32;
const PART_OF: u8 = PARTS as u8 - 1;
const FROM: u32 = PART + PARTS.ilog2();
const _: () = assert!(PARTS.is_power_of_two() && MAX_OBJECT_BYTES < 1 << (u64::BITS - FROM));

/// Where they stand. A part that is missing, or spelled in another way than the API server does, is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks([(u32, u32); PARTS]);

impl Marks {
    /// No object is longer than 32 bits can say.
    pub(super) fn set(&mut self, part: Part, place: Range<usize>) {
        self.0[part as usize] = (place.start as u32, place.end as u32);
    }

    /// Returns them as they are without some bytes in which none stands.
    pub(super) fn without(&self, cut: &Range<usize>) -> Self {
        let (end, length) = (cut.end as u32, cut.len() as u32);
        // Those that are empty stand at 0, before any cut that takes something.
        Self(self.0.map(|(from, to)| if from >= end { (from - length, to - length) } else { (from, to) }))
    }

    /// Appends those that stand somewhere, as they follow each other, for [`read`].
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut places: [u64; PARTS] = std::array::from_fn(|part| {
            let (from, to) = self.0[part];
            u64::from(from) << FROM | (part as u64) << PART | u64::from(to)
        });
        places.sort_unstable();
        let marks = places.iter().filter(|place| **place & TO != 0);
        marks.for_each(|place| out.extend_from_slice(&place.to_le_bytes()));
    }
}

/// Returns marks that were written: where each part stands, and its number, as they follow each other.
pub(super) fn read(bytes: &[u8]) -> impl Iterator<Item = (Range<usize>, u8)> {
    bytes.as_chunks().0.iter().map(|place| {
        let place = u64::from_le_bytes(*place);
        ((place >> FROM) as usize..(place & TO) as usize, (place >> PART) as u8 & PART_OF)
    })
}
