//! How the body of a record is packed, and where the record says it.
use crate::wire::compact::Cursor;
use crate::wire::head;

use super::codec;
use super::exemplars;

/// Where it ends in a record: behind a byte of flags.
const END: usize = head::NAME;

/// What is needed to unpack a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packing {
    /// Number of the dictionary.
    pub(super) dictionary: u8,
    /// Number of the text that the unpacked bytes are the difference to; with none they are all there is.
    pub(super) exemplar: u16,
}

impl Packing {
    /// As it is.
    pub(super) const NONE: Self = Self { dictionary: codec::PLAIN, exemplar: exemplars::NONE };

    pub(super) fn parse(record: &mut Cursor<'_>) -> Self {
        let dictionary = record.byte();
        Self { dictionary, exemplar: u16::from_le_bytes([record.byte(), record.byte()]) }
    }

    /// Returns the packing of a record.
    pub(super) fn of(record: &[u8]) -> Self {
        Self::parse(&mut Cursor(record.get(1..).unwrap_or_default()))
    }

    fn bytes(self) -> [u8; END - 1] {
        let [low, high] = self.exemplar.to_le_bytes();
        [self.dictionary, low, high]
    }

    /// Says in a record how its body is packed.
    pub(super) fn write(self, record: &mut [u8]) {
        record[1..END].copy_from_slice(&self.bytes());
    }
}
