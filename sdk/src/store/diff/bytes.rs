//! Bytes of texts, as many at once as a number has.

/// Bytes in the same distance from the last run that are enough to go on with: a value was replaced by one of its length.
pub(super) const NEAR: usize = 4;

/// Bytes anywhere that are enough.
pub(super) const FAR: usize = 8;

/// Returns how many bytes two texts end with that are the same, of the last `most`.
#[inline]
pub(super) fn common_end(one: &[u8], other: &[u8], most: usize) -> usize {
    if let (Some(one), Some(other)) = (one.last_chunk(), other.last_chunk()) {
        let differ = u64::from_be_bytes(*one) ^ u64::from_be_bytes(*other);
        if differ != 0 {
            return most.min((differ.trailing_zeros() / u8::BITS) as usize);
        }
    }
    one.iter().rev().zip(other.iter().rev()).take(most).take_while(|(one, other)| one == other).count()
}

/// Returns where a byte is first behind a place, among so many: values are so short that one or two words looked at here
/// beat any search that must be called for.
#[inline]
pub(super) fn position(mark: u8, bytes: &[u8], from: usize, most: usize) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; FAR]);
    let mut at = from;
    while at < from + most {
        let Some(word) = word(bytes, at) else {
            at += bytes[at..].iter().position(|byte| *byte == mark)?;
            break;
        };
        let differ = word ^ (ONES * u64::from(mark));
        // The lowest bit tells the first zero; those above may be borrowed.
        let zeros = differ.wrapping_sub(ONES) & !differ & (ONES << 7);
        if zeros != 0 {
            at += (zeros.trailing_zeros() / u8::BITS) as usize;
            break;
        }
        at += FAR;
    }
    (at < from + most).then_some(at)
}

/// Returns the [`FAR`] bytes at a place, if there are as many.
#[inline]
pub(super) fn word(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..at + FAR)?.try_into().ok().map(u64::from_le_bytes)
}

/// Returns the [`NEAR`] bytes at a place, if there are as many.
#[inline]
pub(super) fn half_word(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + NEAR)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_byte_is_found_where_the_obvious_way_finds_it(
            bytes in prop::collection::vec(prop_oneof![Just(b'"'), Just(b' '), any::<u8>()], 0..90),
            from: prop::sample::Index,
            most in 0..100_usize,
            mark in prop_oneof![Just(b'"'), Just(b' ')],
        ) {
            let from = from.index(bytes.len() + 1);
            let obvious = bytes[from..].iter().take(most).position(|byte| *byte == mark);
            prop_assert_eq!(position(mark, &bytes, from, most), obvious.map(|at| from + at));
        }

        #[test]
        fn what_is_the_same_at_the_end_is_counted_as_the_obvious_way_says(
            one in "[ab]{0,9}",
            other in "[ab]{0,9}",
            same in "[ab]{0,20}",
            most in 0..30_usize,
        ) {
            let (one, other) = (one + &same, other + &same);
            let obvious = one.bytes().rev().zip(other.bytes().rev()).take_while(|(one, other)| one == other).count();
            prop_assert_eq!(common_end(one.as_bytes(), other.as_bytes(), most), obvious.min(most));
        }
    }
}
