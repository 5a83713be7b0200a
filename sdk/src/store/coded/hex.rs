//! Hexadecimal digits, eight at a time.
use super::bits::first_word;

/// A digit of the value 0.
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

const ONES: u64 = u64::from_le_bytes([1; 8]);

/// Returns the first `count` bytes, eight at most, of those that there are, and zeros as digits behind them.
#[inline]
pub(super) fn padded(bytes: &[u8], count: usize) -> u64 {
    let others = u64::MAX.unbounded_shl(u8::BITS * count as u32);
    first_word(bytes) & !others | ZEROS & others
}

/// Returns the values of eight digits, the first in the lowest bits; `None` if one is none.
#[inline]
pub(super) fn values(digits: u64) -> Option<u64> {
    // Of letters the bit of 64 is set, and the lower half counts from one. No sum reaches the next byte.
    let values = (digits & (15 * ONES)) + 9 * (digits >> 6 & ONES);
    // What comes of other bytes is no value, or has another digit.
    if (written(values) ^ digits) | (values & (0xf0 * ONES)) != 0 {
        return None;
    }
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some((fours | fours >> 16) & 0xffff_ffff)
}

/// Returns the digits of eight values in the lowest bits.
#[inline]
pub(super) fn digits(values: u64) -> [u8; 8] {
    let values = values & 0xffff_ffff;
    let fours = (values | values << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (fours | fours << 8) & 0x00ff_00ff_00ff_00ff;
    written((pairs | pairs << 4) & (15 * ONES)).to_le_bytes()
}

/// Returns the digits of values that have a byte each.
#[inline]
fn written(values: u64) -> u64 {
    let letters = ((values + 6 * ONES) >> 4) & ONES;
    values + ZEROS + u64::from(b'a' - b'9' - 1) * letters
}

/// Says whether all bytes are digits.
pub(super) fn is_all(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    words.iter().all(|word| values(u64::from_le_bytes(*word)).is_some()) && values(padded(rest, rest.len())).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn obvious(bytes: &[u8]) -> Option<u64> {
        let value = |byte: &u8| b"0123456789abcdef".iter().position(|digit| digit == byte);
        bytes.iter().rev().try_fold(0, |values, byte| Some(values << 4 | value(byte)? as u64))
    }

    proptest! {
        #[test]
        fn digits_have_the_values_that_they_have_one_by_one(
            digits in "[0-9a-f]{8}",
            other: u8,
            at in 0..8_usize,
            count in 0..9_usize,
        ) {
            let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
            let mut bytes = digits.into_bytes();
            prop_assert_eq!(values(word(&bytes)), obvious(&bytes));
            prop_assert_eq!(super::digits(values(word(&bytes)).unwrap_or_default()).to_vec(), &*bytes);
            prop_assert_eq!(values(padded(&bytes, count)), obvious(&bytes[..count]));
            prop_assert_eq!(padded(&bytes, count), padded(&bytes[..count], count));
            bytes[at] = other;
            prop_assert_eq!(values(word(&bytes)), obvious(&bytes));
            prop_assert_eq!(is_all(&bytes[..count]), obvious(&bytes[..count]).is_some());
            prop_assert_eq!(is_all(&bytes.repeat(3)), obvious(&bytes).is_some());
        }
    }

    #[test]
    fn every_byte_is_told_from_a_digit_at_every_place() {
        for (byte, at) in (0..=u8::MAX).flat_map(|byte| (0..8).map(move |at| (byte, at))) {
            for others in [b'0', b'9', b'a', b'f'] {
                let mut bytes = [others; 8];
                bytes[at] = byte;
                assert_eq!(values(u64::from_le_bytes(bytes)), obvious(&bytes), "{bytes:?}");
            }
        }
    }
}
