//! Numbers of any width, one behind the other, the lowest bits first.

/// Appends bits to bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Fewer than 32 bits that are not in `out` yet.
    waiting: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, waiting: 0, count: 0 }
    }

    /// Appends the lowest `width` bits of a number that has no others; at most 32.
    #[inline]
    pub(super) fn push(&mut self, bits: u64, width: u32) {
        debug_assert!(width <= 32 && bits >> width == 0, "{bits} has more than {width} bits");
        self.waiting |= bits << self.count;
        self.count += width;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.waiting as u32).to_le_bytes());
            self.waiting >>= 32;
            self.count -= 32;
        }
    }

    /// Appends a number of which small ones are frequent: those below `1 << order` take `order` bits and one, and each that
    /// is about twice as large takes two more (an exponential Golomb code).
    #[inline]
    pub(super) fn number(&mut self, number: usize, order: u32) {
        let shifted = number as u64 + (1 << order);
        let longer = shifted.ilog2() - order;
        let (prefix, rest) = ((1 << longer) - 1, shifted ^ 1 << (order + longer));
        if 2 * longer + order < 32 {
            return self.push(prefix | rest << (longer + 1), 2 * longer + order + 1);
        }
        self.push(prefix, longer + 1);
        self.push(rest, order + longer);
    }

    /// Appends what waits, and zeros up to a whole byte.
    pub(super) fn finish(self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.waiting.to_le_bytes()[..bytes]);
    }
}

/// Takes bits from bytes; behind their end are zeros without an end.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    /// How many bits can be seen at once.
    pub(super) const SEEN: u32 = 57;

    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the next bits, of which [`Self::SEEN`] are right.
    pub(super) fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let seen = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut seen = [0; 8];
            seen[..rest.len()].copy_from_slice(rest);
            seen
        });
        u64::from_le_bytes(seen) >> (self.at % 8)
    }

    pub(super) fn skip(&mut self, width: u32) {
        self.at += width as usize;
    }

    /// Takes a number of so many bits, at most 32.
    pub(super) fn take(&mut self, width: u32) -> usize {
        let bits = self.peek() & ((1 << width) - 1);
        self.skip(width);
        bits as usize
    }

    /// Takes what [`BitWriter::number`] wrote; `None` for what it never writes.
    pub(super) fn number(&mut self, order: u32) -> Option<usize> {
        let longer = self.peek().trailing_ones();
        if longer + order > 32 {
            return None;
        }
        self.skip(longer + 1);
        Some((self.take(order + longer) | 1 << (order + longer)) - (1 << order))
    }

    /// Returns how many bits were not taken yet.
    pub(super) fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    /// Says whether there was as much as was taken.
    pub(super) fn is_within(&self) -> bool {
        self.at <= self.bytes.len() * 8
    }

    /// Says whether all was taken, but for the zeros of the last byte.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_within() && self.left() < 8 && self.peek() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_of_any_width_come_back_in_order(
            numbers in prop::collection::vec((0..1_usize << 31, 0..33_u32, 0..8_u32), 0..50),
        ) {
            let mut bytes = vec![7];
            let mut writer = BitWriter::new(&mut bytes);
            for (number, width, order) in &numbers {
                writer.push(*number as u64 & ((1 << width) - 1), *width);
                writer.number(*number >> (width % 31), *order);
            }
            writer.finish();
            prop_assert_eq!(bytes[0], 7, "what was there stays");
            let mut reader = BitReader::new(&bytes[1..]);
            for (number, width, order) in &numbers {
                prop_assert_eq!(reader.take(*width) as u64, *number as u64 & ((1 << width) - 1));
                prop_assert_eq!(reader.number(*order), Some(*number >> (width % 31)));
            }
            prop_assert!(reader.is_at_end());
        }
    }

    #[test]
    fn small_numbers_take_few_bits_and_what_is_none_is_told() {
        let bits = |number| {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            (0..8).for_each(|_| writer.number(number, 2));
            writer.finish();
            bytes.len()
        };
        assert_eq!((bits(0), bits(3), bits(4), bits(11), bits(12)), (3, 3, 5, 5, 7));
        assert_eq!(BitReader::new(&[0xff; 9]).number(2), None);
        let mut reader = BitReader::new(&[0, 1]);
        assert_eq!(reader.take(8), 0);
        assert!(!reader.is_at_end(), "a bit is left");
        assert_eq!(reader.take(9), 1);
        assert!(!reader.is_within() && !reader.is_at_end());
    }
}
