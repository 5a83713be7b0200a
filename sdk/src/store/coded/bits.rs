//! Numbers of any width, one behind the other, the lowest bits first.

/// Appends bits to bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Fewer than 64 bits that are not in `out` yet.
    waiting: u64,
    count: u32,
}

/// How numbers are written of which small ones are frequent: those below `1 << order` take `order` bits and one, and each that
/// is about twice as large takes two more (an exponential Golomb code).
pub(super) struct Code {
    order: u32,
    /// The bits of small numbers, and how many there are: most numbers are small, and the logarithm takes as long as all else.
    known: [(u16, u16); 256],
}

impl Code {
    pub(super) const fn new(order: u32) -> Self {
        let mut known = [(0, 0); 256];
        let mut number = 0;
        while number < known.len() {
            let (longer, rest) = split(number as u32, order);
            let bits = ((1 << longer) - 1) | (rest << (longer + 1));
            known[number] = (bits as u16, 2 * longer as u16 + order as u16 + 1);
            number += 1;
        }
        Self { order, known }
    }
}

/// Returns how many ones a number begins with, and the bits behind them and a zero, which are `order` more.
const fn split(number: u32, order: u32) -> (u32, u64) {
    let shifted = number as u64 + (1 << order);
    let longer = shifted.ilog2() - order;
    (longer, shifted ^ 1 << (order + longer))
}

impl<'a> BitWriter<'a> {
    /// The most bits that are written at once.
    pub(super) const MOST: u32 = 56;

    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, waiting: 0, count: 0 }
    }

    /// Appends the lowest `width` bits of a number that has no others; at most [`Self::MOST`].
    #[inline]
    pub(super) fn push(&mut self, bits: u64, width: u32) {
        debug_assert!(width <= Self::MOST && bits >> width == 0, "{bits} has more than {width} bits");
        self.waiting |= bits << self.count;
        self.count += width;
        if self.count >= u64::BITS {
            self.out.extend_from_slice(&self.waiting.to_le_bytes());
            self.count -= u64::BITS;
            self.waiting = bits >> (width - self.count);
        }
    }

    /// Appends a few bits, and a number behind them.
    #[inline]
    pub(super) fn number(&mut self, (bits, width): (u64, u32), number: u32, code: &Code) {
        match code.known.get(number as usize) {
            Some(&(known, more)) => self.push(bits | u64::from(known) << width, width + u32::from(more)),
            None => self.long_number((bits, width), number, code.order),
        }
    }

    #[cold]
    fn long_number(&mut self, (bits, width): (u64, u32), number: u32, order: u32) {
        let (longer, rest) = split(number, order);
        self.push(bits, width);
        self.push((1 << longer) - 1, longer + 1);
        self.push(rest, order + longer);
    }

    /// Appends what waits, and zeros up to a whole byte.
    pub(super) fn finish(self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.waiting.to_le_bytes()[..bytes]);
    }
}

/// Returns the first eight bytes, and zeros for those that are not there.
#[inline]
pub(super) fn first_word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        word
    }))
}

/// Takes bits from bytes; behind their end are zeros without an end.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the next bits, of which as many are right as a [`BitWriter`] writes at once.
    pub(super) fn peek(&self) -> u64 {
        first_word(self.bytes.get(self.at / 8..).unwrap_or_default()) >> (self.at % 8)
    }

    pub(super) fn skip(&mut self, width: u32) {
        self.at += width as usize;
    }

    /// Takes a number of so many bits, at most 32.
    pub(super) fn take(&mut self, width: u32) -> usize {
        self.take_wide(width) as usize
    }

    /// Takes a number of as many bits as a [`BitWriter`] writes at once, or fewer.
    pub(super) fn take_wide(&mut self, width: u32) -> u64 {
        let bits = self.peek() & ((1 << width) - 1);
        self.skip(width);
        bits
    }

    /// Takes a number that [`BitWriter::number`] wrote; `None` for what it never writes.
    pub(super) fn number(&mut self, code: &Code) -> Option<usize> {
        let longer = self.peek().trailing_ones();
        let more = code.order + longer;
        if more > 32 {
            return None;
        }
        self.skip(longer + 1);
        Some((self.take(more) | 1 << more) - (1 << code.order))
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
            numbers in prop::collection::vec((any::<u64>(), 0..57_u32, any::<u32>(), 0..32_u32, 0..8_u32), 0..50),
        ) {
            let mut bytes = vec![7];
            let mut writer = BitWriter::new(&mut bytes);
            let cut = |bits: u64, width: u32| bits & ((1 << width) - 1);
            // Small numbers as often as large ones.
            let small = |number: u32, shift: u32, order: u32| (number >> shift).min(u32::MAX - (1 << order));
            for &(bits, width, number, shift, order) in &numbers {
                writer.push(cut(bits, width), width);
                writer.number((cut(bits, width / 2), width / 2), small(number, shift, order), &Code::new(order));
            }
            writer.finish();
            prop_assert_eq!(bytes[0], 7, "what was there stays");
            let mut reader = BitReader::new(&bytes[1..]);
            for &(bits, width, number, shift, order) in &numbers {
                let mut take = |width: u32| {
                    let low = reader.take(width.min(32)) as u64;
                    low | (reader.take(width.saturating_sub(32)) as u64) << 32
                };
                prop_assert_eq!(take(width), cut(bits, width));
                prop_assert_eq!(take(width / 2), cut(bits, width / 2));
                prop_assert_eq!(reader.number(&Code::new(order)), Some(small(number, shift, order) as usize));
            }
            prop_assert!(reader.is_at_end());
        }
    }

    #[test]
    fn small_numbers_take_few_bits_and_what_is_none_is_told() {
        let code = Code::new(2);
        let bits = |number| {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            (0..8).for_each(|_| writer.number((0, 0), number, &code));
            writer.finish();
            bytes.len()
        };
        assert_eq!((bits(0), bits(3), bits(4), bits(11), bits(12)), (3, 3, 5, 5, 7));
        assert_eq!((bits(251), bits(252), bits(255), bits(256), bits(508)), (13, 15, 15, 15, 17));
        assert_eq!(BitReader::new(&[0xff; 9]).number(&code), None);
        let mut reader = BitReader::new(&[0, 1]);
        assert_eq!(reader.take(8), 0);
        assert!(!reader.is_at_end(), "a bit is left");
        assert_eq!(reader.take(9), 1);
        assert!(!reader.is_within() && !reader.is_at_end());
    }
}
