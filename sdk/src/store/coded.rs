//! Differences in few bits.
//!
//! What sets the objects of one family apart is mostly not prose: digests and uids are hexadecimal, times, addresses and
//! counts are digits and a few marks, generated names leave letters out, and much of it stands in several places. So each
//! literal of a difference is written in the smallest alphabet that has all of its bytes, as a number where it is a time, or
//! as the number of an earlier one. That takes about as much as zstd with a dictionary makes of such differences, and a
//! fraction of its time.
use std::array;

use super::diff::{self, Difference, Run, Step};

mod bits;
mod hex;
mod moments;

use bits::{BitReader, BitWriter, Code};
use moments::Moment;

/// How the numbers in a difference are written, by what 50,000 pods and as many widgets have most.
static COUNT: Code = Code::new(2);
static LENGTH: Code = Code::new(SHORT);
static JUMP: Code = Code::new(4);

/// The bits of a short run, without the one that says so.
const SHORT: u32 = 5;

/// How a literal is written, in so many bits.
const FORM: u32 = 3;

/// The fewest bits of a step: no literal, no jump, a short run. As they are more than fill the last byte, no number says how
/// many steps there are.
const LEAST: u32 = FORM + 1 + SHORT + 1;

/// No literal, then one form for each alphabet, and for what is in none.
const EMPTY: usize = 0;
const HEX: usize = 1;
const BYTES: usize = ALPHABETS.len() + 1;
/// One of the literals before.
const AGAIN: usize = BYTES + 1;
/// A time.
const MOMENT: usize = AGAIN + 1;

/// How many literals are remembered, as a power of two.
const REMEMBERED: u32 = 3;

/// Bytes that are written in few bits.
struct Alphabet {
    width: u32,
    /// As many as there are codes, and nothing behind them.
    bytes: [u8; 64],
    /// The position of each byte.
    codes: [u8; 256],
}

/// The smaller ones first.
static ALPHABETS: [Alphabet; 4] = [
    Alphabet::new(4, b"0123456789abcdef"),
    // Times, addresses, numbers.
    Alphabet::new(4, b"0123456789-:.TZ/"),
    // With the letters and digits of generated names (rand.String of apimachinery), and the vowels of words.
    Alphabet::new(5, b"bcdfghjklmnpqrstvwxz2456789aeiou"),
    // Of the capitals those that conditions, quantities and times begin with.
    Alphabet::new(6, b"abcdefghijklmnopqrstuvwxyz0123456789-./:\",{}[]_ =@+*TZFSRPAEICNO"),
];

/// In which alphabets each byte is, a bit for each; all are in the form for what is in none.
static MEMBERS: [u8; 256] = {
    let mut members = [1 << ALPHABETS.len(); 256];
    let mut alphabet = 0;
    while alphabet < ALPHABETS.len() {
        let mut at = 0;
        while at < 1 << ALPHABETS[alphabet].width {
            members[ALPHABETS[alphabet].bytes[at] as usize] |= 1 << alphabet;
            at += 1;
        }
        alphabet += 1;
    }
    members
};

impl Alphabet {
    const fn new(width: u32, all: &[u8]) -> Self {
        assert!(all.len() == 1 << width, "an alphabet uses all of its bits");
        let (mut bytes, mut codes) = ([0; 64], [0; 256]);
        let mut at = 0;
        while at < all.len() {
            bytes[at] = all[at];
            codes[all[at] as usize] = at as u8;
            at += 1;
        }
        Self { width, bytes, codes }
    }

    /// Returns the bytes of the eight lowest codes.
    #[inline]
    fn bytes_of(&self, codes: u64) -> [u8; 8] {
        let code = |at: usize| (codes >> (at as u32 * self.width)) as usize & ((1 << self.width) - 1);
        array::from_fn(|at| self.bytes[code(at) % self.bytes.len()])
    }
}

/// The last few literals of a difference, and the last time.
struct Remembered<T> {
    last: [T; 1 << REMEMBERED],
    count: usize,
    moment: Option<Moment>,
}

impl<T: Copy> Remembered<T> {
    fn new(nothing: T) -> Self {
        Self { last: [nothing; 1 << REMEMBERED], count: 0, moment: None }
    }

    #[inline]
    fn push(&mut self, literal: T) {
        self.last[self.count % (1 << REMEMBERED)] = literal;
        self.count += 1;
    }
}

/// A literal.
#[derive(Clone, Copy)]
struct Literal<'a> {
    bytes: &'a [u8],
    /// The first eight of them, or all with zeros as digits behind them.
    first: u64,
    /// What hardly another literal has.
    tag: u32,
}

impl<'a> Literal<'a> {
    /// Takes the first bytes of what is left of a text.
    #[inline]
    fn of(rest: &'a [u8], count: usize) -> Self {
        let (bytes, first) = (&rest[..count], hex::padded(rest, count));
        let last = bytes.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
        let mixed = diff::mix(first ^ last.rotate_left(23)) >> 32;
        Self { bytes, first, tag: (mixed as u32).wrapping_add(count as u32) }
    }
}

/// Appends the difference of a text, in few bits.
pub(super) fn write(text: &[u8], difference: &Difference, out: &mut Vec<u8>) {
    out.reserve(difference.size());
    let (mut bits, mut remembered) = (BitWriter::new(out), Remembered::new(Literal::of(&[], 0)));
    let mut rest = text;
    for &Step { literals, jump, length } in difference.steps() {
        write_literal(Literal::of(rest, literals as usize), &mut bits, &mut remembered);
        rest = &rest[(literals + length) as usize..];
        if jump == 0 {
            bits.number((0, 1), length, &LENGTH);
        } else {
            bits.number((1, 1), diff::unsigned(jump.into()) as u32, &JUMP);
            bits.number((0, 0), length, &LENGTH);
        }
    }
    bits.finish();
}

#[inline]
fn write_literal<'a>(literal: Literal<'a>, bits: &mut BitWriter<'_>, remembered: &mut Remembered<Literal<'a>>) {
    let Literal { bytes, first, tag } = literal;
    if bytes.is_empty() {
        return bits.push(EMPTY as u64, FORM);
    }
    let known = remembered.last.iter().position(|last| last.tag == tag);
    if let Some(number) = known.filter(|number| remembered.last[*number].bytes == bytes) {
        return bits.push((AGAIN | number << FORM) as u64, FORM + REMEMBERED);
    }
    remembered.push(literal);
    let count = bytes.len() as u32;
    if count <= 8 {
        if let Some(values) = hex::values(first) {
            bits.number((HEX as u64, FORM), count - 1, &COUNT);
            return bits.push(values, 4 * count);
        }
    } else if hex::is_all(bytes) {
        bits.number((HEX as u64, FORM), count - 1, &COUNT);
        let (words, rest) = bytes.as_chunks();
        for word in words {
            bits.push(hex::values(u64::from_le_bytes(*word)).unwrap_or_default(), 32);
        }
        let rest = hex::padded(rest, rest.len());
        return bits.push(hex::values(rest).unwrap_or_default(), 4 * (count % 8));
    }
    match Moment::parse(bytes) {
        Some(moment) => moment.write(remembered.moment.replace(moment), (MOMENT as u64, FORM), bits),
        None => write_by_byte(bytes, bits),
    }
}

/// Appends a literal of any bytes, with its form.
#[inline]
fn write_by_byte(bytes: &[u8], bits: &mut BitWriter<'_>) {
    let members = bytes.iter().fold(u8::MAX, |members, byte| members & MEMBERS[usize::from(*byte)]);
    let form = members.trailing_zeros() as usize + 1;
    bits.number((form as u64, FORM), bytes.len() as u32 - 1, &COUNT);
    let Some(Alphabet { width, codes, .. }) = ALPHABETS.get(form - 1) else {
        return write_all::<7>(bytes, 8, bits, u64::from);
    };
    let code = |byte| u64::from(codes[usize::from(byte)]);
    match width {
        4 => write_all::<8>(bytes, 4, bits, code),
        5 => write_all::<8>(bytes, 5, bits, code),
        width => write_all::<8>(bytes, *width, bits, code),
    }
}

/// Appends `AT_ONCE` at once.
#[inline]
fn write_all<const AT_ONCE: usize>(bytes: &[u8], width: u32, bits: &mut BitWriter<'_>, code: impl Fn(u8) -> u64) {
    for some in bytes.chunks(AT_ONCE) {
        let codes = some.iter().rev().fold(0, |codes, byte| codes << width | code(*byte));
        bits.push(codes, some.len() as u32 * width);
    }
}

/// Appends the text of which `coded` is the difference to `like`. False for bytes that are none.
pub(super) fn read(like: &[u8], coded: &[u8], out: &mut Vec<u8>) -> bool {
    let mut run = Run::of(like);
    read_steps(coded, out, |out, literals, jump, length| run.copy(literals, jump, length, out)).is_some()
}

/// Appends a difference as it was before it was written in few bits. False for bytes that are none.
pub(super) fn open(coded: &[u8], out: &mut Vec<u8>) -> bool {
    let (mut steps, mut all) = (Vec::new(), Vec::new());
    let read = read_steps(coded, &mut all, |_, literals, jump, length| {
        diff::write_step(literals, jump, length, &mut steps);
        Some(())
    });
    diff::join(&steps, &all, out);
    read.is_some()
}

/// Appends the literals of each step, and then calls `visit` for its run. `None` for bytes that are no difference.
fn read_steps(
    coded: &[u8],
    out: &mut Vec<u8>,
    mut visit: impl FnMut(&mut Vec<u8>, usize, i64, usize) -> Option<()>,
) -> Option<()> {
    let mut bits = BitReader::new(coded);
    let mut remembered = Remembered::new((0, 0));
    while bits.left() >= LEAST as usize {
        let literals = read_literals(&mut bits, out, &mut remembered)?;
        let jump = if bits.take(1) == 0 { 0 } else { bits.number(&JUMP)? };
        let length = bits.number(&LENGTH)?;
        if !bits.is_within() {
            return None;
        }
        visit(out, literals, diff::signed(jump as u64), length)?;
    }
    bits.is_at_end().then_some(())
}

/// Appends the literals of a step, and returns how many there are.
fn read_literals(
    bits: &mut BitReader<'_>,
    out: &mut Vec<u8>,
    remembered: &mut Remembered<(usize, usize)>,
) -> Option<usize> {
    let start = out.len();
    match bits.take(FORM) {
        EMPTY => return Some(0),
        AGAIN => {
            let (from, to) = remembered.last[bits.take(REMEMBERED)];
            out.extend_from_within(from..to);
            return Some(to - from);
        }
        MOMENT => {
            let moment = Moment::read(remembered.moment, bits)?;
            remembered.moment = Some(moment);
            moment.spell(out);
        }
        form => {
            let count = bits.number(&COUNT)? + 1;
            match ALPHABETS.get(form - 1) {
                Some(_) if form == HEX => read_all::<8>(count, 4, bits, out, hex::digits)?,
                Some(alphabet) => read_all::<8>(count, alphabet.width, bits, out, |codes| alphabet.bytes_of(codes))?,
                None => read_all::<7>(count, 8, bits, out, u64::to_le_bytes)?,
            }
        }
    }
    remembered.push((start, out.len()));
    Some(out.len() - start)
}

/// Appends so many bytes, `AT_ONCE` at once, of which `bytes` has the codes in the lowest bits.
#[inline]
fn read_all<const AT_ONCE: usize>(
    count: usize,
    width: u32,
    bits: &mut BitReader<'_>,
    out: &mut Vec<u8>,
    bytes: impl Fn(u64) -> [u8; 8],
) -> Option<()> {
    // Nothing is appended that is not there.
    if bits.left() / (width as usize) < count {
        return None;
    }
    let end = out.len() + count;
    while out.len() < end {
        let some = AT_ONCE.min(end - out.len());
        // Eight bytes are copied faster than as many as there are.
        let start = out.len();
        out.extend_from_slice(&bytes(bits.peek()));
        out.truncate(start + some);
        bits.skip(width * some as u32);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::diff::Differ;

    fn difference(like: &[u8], text: &[u8]) -> Difference {
        let mut difference = Difference::default();
        Differ::default().find(1, like, text, &mut difference);
        difference
    }

    fn coded(like: &[u8], text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(text, &difference(like, text), &mut out);
        out
    }

    fn read_back(like: &[u8], coded: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        read(like, coded, &mut out).then(|| out.split_off(6))
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            Just("\"name\":\"web-".to_owned()),
            Just("\"image\":\"registry.example.com/web:1\",".to_owned()),
            "[0-9a-f]{0,70}",
            "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z",
            "[bcdf2456]{1,12}",
            "[a-z0-9 {}\",]{0,40}",
            "\\PC{0,70}",
        ];
        prop::collection::vec(word, 0..30).prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_coded_difference_to_any_other(like in text(), text in text()) {
            prop_assert_eq!(read_back(&like, &coded(&like, &text)), Some(text));
        }

        #[test]
        fn a_difference_is_opened_as_it_was(like in text(), text in text()) {
            let (mut bytes, mut opened) = (Vec::new(), Vec::new());
            diff::write(&text, &difference(&like, &text), &mut bytes);
            prop_assert!(open(&coded(&like, &text), &mut opened));
            prop_assert_eq!(opened, bytes);
        }

        #[test]
        fn bytes_that_are_no_coded_difference_are_told(like in text(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            // Whatever comes of it: no panic, and no more than runs of the other text and what is repeated.
            let mut out = Vec::new();
            read(&like, &bytes, &mut out);
            open(&bytes, &mut Vec::new());
            prop_assert!(out.len() <= 40 * (like.len() + 40), "{}", out.len());
        }

        #[test]
        fn a_coded_difference_that_was_cut_is_told(like in text(), text in text(), at: prop::sample::Index) {
            prop_assume!(!text.is_empty());
            let coded = coded(&like, &text);
            let cut = &coded[..at.index(coded.len())];
            prop_assert_ne!(read_back(&like, cut), Some(text));
        }
    }

    #[test]
    fn literals_take_the_bits_of_the_smallest_alphabet_they_are_in() {
        let bytes = |value: &str| {
            let text = |value: &str| format!(r#"{{"before":"x","value":"{value}","behind":"y"}}"#).into_bytes();
            coded(&text("ÄÖÜ"), &text(value)).len()
        };
        let nothing = bytes("ÄÖÜ");
        // So many bits for each byte, and a few for their number.
        for (value, width) in [
            ("d2859c5eedc5a369f9cbedfe82e6490f31fcca70d04d8dfc2c9f48923db98d07", 4),
            ("2026-05-02T05:22:41Z", 4),
            ("zv6npmvlpsqdvtlpbhrj", 5),
            ("answers at port http-metrics", 6),
            ("ÜÖÄÜÖÄÜÖÄÜÖÄÜÖÄ", 8),
        ] {
            let least = value.len() * width / 8;
            let more = bytes(value) - nothing;
            assert!((least..least + 6).contains(&more), "{value}: {more}, at least {least}");
        }
    }

    #[test]
    fn what_stands_there_again_is_written_once() {
        let text = |time: &str| {
            let member = |number| format!(r#""transition-{number}":"{time}","#);
            (0..20).map(member).collect::<String>().into_bytes()
        };
        let (like, again) = (text("2026-05-02T05:22:41Z"), text("2027-11-23T17:38:06Z"));
        let one = coded(&text("")[..30], &text("2027-11-23T17:38:06Z")[..50]).len();
        let all = coded(&like, &again).len();
        assert!(all < 20 * 3 + one, "{all} {one}");
        // Of those that are remembered the oldest is forgotten first.
        let different: Vec<u8> =
            (0..40).flat_map(|n| format!(r#""m":"{:x}","#, 0xabc0_0000_u32 + n % 9).into_bytes()).collect();
        let like: Vec<u8> = (0..40).flat_map(|_| br#""m":"zzzzzzzz","#.to_vec()).collect();
        assert_eq!(read_back(&like, &coded(&like, &different)), Some(different));
    }

    #[test]
    fn what_begins_and_ends_like_an_earlier_literal_is_not_taken_for_it() {
        let text = |values: &[&str]| -> Vec<u8> {
            values.iter().flat_map(|value| format!(r#""member":"{value}","#).into_bytes()).collect()
        };
        let like = text(&["z"; 20]);
        let eights = text(&["first-eight-X-last-eight", "first-eight-Y-last-eight"]);
        assert_eq!(read_back(&like, &coded(&like, &eights)), Some(eights));
        let in_turns = |values: [&str; 2]| coded(&like, &text(&values.repeat(10))).len();
        assert_eq!(in_turns(["3", "30"]), in_turns(["3", "47"]), "zeros are no part of what is remembered");
    }

    #[test]
    fn of_a_literal_that_is_cut_nothing_is_written() {
        for form in HEX..=BYTES {
            let (mut coded, mut out) = (Vec::new(), Vec::new());
            let mut bits = BitWriter::new(&mut coded);
            bits.number((form as u64, FORM), 1 << 30, &COUNT);
            bits.push(0, 32);
            bits.finish();
            assert!(!read(b"", &coded, &mut out) && out.is_empty(), "{form}");
        }
    }
}
