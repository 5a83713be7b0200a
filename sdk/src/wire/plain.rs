//! Finds the ends of runs of plain text, many bytes at a time.

/// How many bytes are looked at together: one bit each.
const BLOCK: usize = u64::BITS as usize;

/// Where in some bytes anything but plain text stands: a quote, a backslash, a control character, or a byte of a character
/// beyond ASCII. Made for asking from the front to the back.
#[derive(Clone, Debug)]
pub(super) struct Plain<'a> {
    bytes: &'a [u8],
    /// Where the block begins that was looked at last.
    block: usize,
    /// What in it is not plain, the first byte in the lowest bit.
    odd: u64,
}

impl<'a> Plain<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, block: usize::MAX, odd: 0 }
    }

    /// Returns where the first byte at `at` or behind it stands that is not plain; the length where there is none.
    #[inline]
    pub(super) fn end(&mut self, at: usize) -> usize {
        let odd = self.odd >> (at % BLOCK);
        // Behind the end everything is odd.
        let near = at - at % BLOCK == self.block && odd != 0;
        if near { (at + odd.trailing_zeros() as usize).min(self.bytes.len()) } else { self.far_end(at) }
    }

    #[inline(never)]
    fn far_end(&mut self, mut at: usize) -> usize {
        while at < self.bytes.len() {
            if at - at % BLOCK != self.block {
                self.look(at - at % BLOCK);
            }
            let odd = self.odd >> (at % BLOCK);
            if odd != 0 {
                return at + odd.trailing_zeros() as usize;
            }
            at += BLOCK - at % BLOCK;
        }
        self.bytes.len()
    }

    fn look(&mut self, block: usize) {
        let rest = &self.bytes[block..];
        self.block = block;
        self.odd = rest.first_chunk().map_or_else(
            || {
                // What is missing counts as odd, so that no run goes on behind the end.
                let mut last = [0; BLOCK];
                last[..rest.len()].copy_from_slice(rest);
                odd(&last)
            },
            odd,
        );
    }
}

/// Returns one bit for each byte that is not plain. Written so that the compiler compares many bytes at once, and then
/// gathers eight flags with one multiplication.
#[inline]
fn odd(block: &[u8; BLOCK]) -> u64 {
    /// Moves the lowest bit of byte n to bit n of the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let flags = block.map(|byte| {
        // Signed, what is beyond ASCII is below the space, too.
        u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from((byte as i8) < b' ' as i8)
    });
    let (words, _) = flags.as_chunks();
    words.iter().rev().fold(0, |odd, word| odd << 8 | u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is promised, byte by byte.
    fn slowly(bytes: &[u8], at: usize) -> usize {
        let plain = |byte: u8| (b' '..0x80).contains(&byte) && byte != b'"' && byte != b'\\';
        (at..bytes.len()).find(|&at| !plain(bytes[at])).unwrap_or(bytes.len())
    }

    #[test]
    fn each_byte_in_each_place_is_told_as_what_it_is() {
        for byte in 0..=u8::MAX {
            for at in 0..2 * BLOCK {
                let mut bytes = [b'x'; 2 * BLOCK + 7];
                bytes[at] = byte;
                let mut plain = Plain::new(&bytes);
                for from in [0, at.saturating_sub(1), at, at + 1] {
                    assert_eq!(plain.end(from), slowly(&bytes, from), "{byte} at {at} from {from}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn runs_end_where_the_obvious_way_says(
            text in "([a-z ]{0,90}[\"\\\\é\n]?){0,5}", bytes in prop::collection::vec(any::<u8>(), 0..200), steps in prop::collection::vec(1..70usize, 1..20),
        ) {
            for bytes in [text.as_bytes(), &bytes] {
                let (mut plain, mut at) = (Plain::new(bytes), 0);
                for step in &steps {
                    let end = plain.end(at);
                    prop_assert_eq!(end, slowly(bytes, at).max(at.min(bytes.len())));
                    at = at.max(end) + step;
                    if at > bytes.len() {
                        prop_assert_eq!(plain.end(at), bytes.len());
                        break;
                    }
                }
            }
        }
    }
}
