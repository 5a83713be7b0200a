//! Times as API servers write them, which are most of what objects of one family say differently: as numbers.
use super::super::diff;
use super::bits::{BitReader, BitWriter, Code};

/// A time in the one form that Kubernetes uses, up to its seconds.
const FORM: [u8; LONGEST] = *b"0000-00-00T00:00:00";
const LONGEST: usize = 19;

/// The hour is there, the minute and the second.
const SHORTEST: usize = 8;

/// Where each number stands in [`FORM`], the last first, and what it is less than, as it is divided here: months and days
/// are no more than their digits say.
const PARTS: [(usize, usize, u64); 6] = [(17, 2, 60), (14, 2, 60), (11, 2, 24), (8, 2, 32), (5, 2, 16), (0, 4, 10_000)];

/// How far a moment is from one of the same length before it: a condition is mostly younger than its object by minutes.
static FAR: Code = Code::new(8);

/// So far and further, it takes fewer bits to say when it is.
const FURTHEST: u64 = 1 << 13;

/// The bits of a length.
const LENGTH: u32 = 4;

/// The end of a time: what a text has in common with another one at its beginning belongs to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Of the text.
    length: usize,
    /// What its numbers amount to.
    seconds: u64,
}

/// How many bits the seconds of a moment of each length take.
const WIDTHS: [u32; LONGEST - SHORTEST + 1] = {
    let mut widths = [0; LONGEST - SHORTEST + 1];
    let mut length = SHORTEST;
    while length <= LONGEST {
        let (mut seconds, mut part) = (1_u64, 0);
        while part < PARTS.len() {
            let (start, digits, limit) = PARTS[part];
            let there = (start + digits).saturating_sub(LONGEST - length);
            seconds *= if there >= digits { limit } else { 10_u64.pow(there as u32) };
            part += 1;
        }
        widths[length - SHORTEST] = u64::BITS - (seconds - 1).leading_zeros();
        length += 1;
    }
    widths
};

impl Moment {
    /// Returns the moment that a text is the end of.
    #[inline]
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let length = text.len();
        if !(SHORTEST..=LONGEST).contains(&length) || text[length - 3] != b':' || text[length - 6] != b':' {
            return None;
        }
        let mut whole = FORM;
        whole[LONGEST - length..].copy_from_slice(text);
        let mut seconds = 0;
        for (start, digits, limit) in PARTS.into_iter().rev() {
            let mut number = 0;
            for digit in &mut whole[start..start + digits] {
                number = number * 10 + u64::from(digit.wrapping_sub(b'0'));
                // What is left is compared to the form; what was no digit is too large, or none of it.
                *digit = if digit.is_ascii_digit() { b'0' } else { 0 };
            }
            if number >= limit {
                return None;
            }
            seconds = seconds * limit + number;
        }
        (whole == FORM).then_some(Self { length, seconds })
    }

    /// Appends a moment behind a few bits; `before` is the one before.
    #[inline]
    pub(super) fn write(self, before: Option<Self>, (form, bits_of_form): (u64, u32), bits: &mut BitWriter<'_>) {
        let same = before.filter(|before| before.length == self.length);
        let far = same.map(|before| diff::unsigned(self.seconds.wrapping_sub(before.seconds) as i64));
        if let Some(far) = far.filter(|far| *far < FURTHEST) {
            return bits.number((form | 1 << bits_of_form, bits_of_form + 1), far as u32, &FAR);
        }
        let length = self.length - SHORTEST;
        bits.push(form | (length as u64) << (bits_of_form + 1), bits_of_form + 1 + LENGTH);
        bits.push(self.seconds, WIDTHS[length]);
    }

    /// Takes a moment that [`Moment::write`] wrote; `None` for what it never writes.
    pub(super) fn read(before: Option<Self>, bits: &mut BitReader<'_>) -> Option<Self> {
        if bits.take(1) == 1 {
            let (far, before) = (bits.number(&FAR)?, before?);
            return Some(Self { seconds: before.seconds.wrapping_add(diff::signed(far as u64) as u64), ..before });
        }
        let length = bits.take(LENGTH);
        let seconds = bits.take_wide(*WIDTHS.get(length)?);
        Some(Self { length: length + SHORTEST, seconds })
    }

    /// Appends the text.
    pub(super) fn spell(self, out: &mut Vec<u8>) {
        let (mut whole, mut rest) = (FORM, self.seconds);
        for (start, digits, limit) in PARTS {
            let mut number = rest % limit;
            rest /= limit;
            for digit in whole[start..start + digits].iter_mut().rev() {
                *digit += (number % 10) as u8;
                number /= 10;
            }
        }
        out.extend_from_slice(&whole[LONGEST - self.length..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled(moment: Moment) -> Vec<u8> {
        let mut out = Vec::new();
        moment.spell(&mut out);
        out
    }

    /// Returns how many bits a text takes behind another one, and what comes back.
    fn behind(before: &str, text: &str) -> (usize, Option<Vec<u8>>) {
        let (before, mut coded) = (Moment::parse(before.as_bytes()), Vec::new());
        let mut bits = BitWriter::new(&mut coded);
        Moment::parse(text.as_bytes()).unwrap().write(before, (0, 0), &mut bits);
        bits.push(1, 1);
        bits.finish();
        let mut bits = BitReader::new(&coded);
        let (all, read) = (bits.left(), Moment::read(before, &mut bits));
        let took = all - bits.left();
        assert_eq!(bits.take(1), 1, "as much is read as was written");
        (took, read.map(spelled))
    }

    /// Any text of a time, or nearly.
    fn time() -> impl Strategy<Value = String> {
        "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
    }

    proptest! {
        #[test]
        fn a_moment_comes_back_as_it_was(time in time(), before in time(), length in 8..=19_usize, near in 0..2000_u64) {
            let (text, before) = (&time[19 - length..], &before[19 - length..]);
            if let Some(moment) = Moment::parse(text.as_bytes()) {
                prop_assert_eq!(&spelled(moment), text.as_bytes());
                prop_assert_eq!(behind(before, text).1, Some(text.as_bytes().to_vec()));
                let near = spelled(Moment { seconds: moment.seconds.saturating_sub(near), ..moment });
                prop_assert_eq!(behind(text, std::str::from_utf8(&near).unwrap()).1, Some(near));
            }
        }

        #[test]
        fn what_is_no_moment_is_told(text in "[0-9TZ:.-]{8,19}", at: prop::sample::Index, time in time(), byte: u8) {
            prop_assert!(Moment::parse(text.as_bytes()).is_none_or(|moment| spelled(moment) == text.as_bytes()));
            let mut other = time.into_bytes();
            let at = at.index(other.len());
            other[at] = byte;
            prop_assert!(Moment::parse(&other).is_none_or(|moment| spelled(moment) == other));
        }

        #[test]
        fn any_bits_make_a_text_of_the_length_they_say_or_none(bytes in prop::collection::vec(any::<u8>(), 0..9), time in time()) {
            let read = Moment::read(Moment::parse(time.as_bytes()), &mut BitReader::new(&bytes));
            prop_assert!(read.is_none_or(|moment| spelled(moment).len() == moment.length && moment.length <= LONGEST));
        }
    }

    #[test]
    fn a_moment_takes_as_many_bits_as_its_numbers_need() {
        for (text, bits) in [
            ("23:59:59", 17),
            ("T23:59:59", 17),
            ("9T23:59:59", 20),
            ("31T23:59:59", 22),
            ("9-31T23:59:59", 25),
            ("12-31T23:59:59", 26),
            ("2026-12-31T23:59:59", 39),
        ] {
            assert_eq!(behind("", text).0, 5 + bits, "{text}");
        }
    }

    #[test]
    fn moments_that_are_near_each_other_take_half_as_many() {
        assert_eq!(behind("12T23:59:59", "13T00:00:58"), (10, Some(b"13T00:00:58".to_vec())));
        assert_eq!(behind("12T23:59:59", "12T23:57:59").0, 10);
        assert_eq!(behind("12T23:59:59", "12T23:41:21").0, 16);
        assert_eq!(behind("12T23:59:59", "11T23:59:59").0, 27, "too far");
        assert_eq!(behind("2T23:59:59", "02T23:59:58"), (27, Some(b"02T23:59:58".to_vec())), "of another length");
    }

    #[test]
    fn times_that_are_none_are_none() {
        let (all, none) =
            (["00:00:00", "15-31T23:59:59"], ["24:00:00", "00:60:00", "00:00:60", "16-01T00:00:00", "1-32T00:00:00"]);
        assert!(all.iter().all(|text| Moment::parse(text.as_bytes()).is_some()));
        assert!(none.iter().all(|text| Moment::parse(text.as_bytes()).is_none()));
        let others =
            ["0:00:00", "12026-12-31T23:59:59", "2026-12-31 23:59:59", "00:00:0x", "00;00:00", "1/31T23:59:59"];
        assert!(others.iter().all(|text| Moment::parse(text.as_bytes()).is_none()));
    }
}
