//! One text as what sets it apart from another one that it is much like.
//!
//! Pods of a ReplicaSet say the same but for a few dozen names, times and addresses; so do most objects that are made
//! from one template. A difference is a list of steps, and behind them all literals: each step takes some literals, then
//! copies a run of the other text, which mostly begins where the last one ended but for what the literals stand for.
use crate::wire::compact::{Cursor, write_number};
use crate::wire::{MAX_OBJECT_BYTES, common};

mod bytes;

use bytes::{FAR, common_end, half_word, position, word};

/// Every so many bytes of the other text are looked up: runs of [`FAR`] and so many more are found, wherever they begin.
const STRIDE: usize = 4;

/// How many places of the other text are known at once, as a power of two.
const BITS: u32 = 12;

/// Longest value that is taken to have nothing in common with another: a digest with its quote.
const SHORT: usize = 72;

/// How far around a place is looked before all of the other text is: an element that only one of two lists has.
const BESIDE: usize = 128;

/// How many times nothing may be found there: then the texts are not alike, and the table of all places is faster.
const MISSES: usize = 4;

/// Shortest rest of a value that may be prose.
const PROSE: usize = 16;

/// A place of which nothing is known.
const NOWHERE: u16 = u16::MAX;

/// Longest text that others can differ from: its places are numbers of 16 bits.
pub(super) const LONGEST: usize = 32 * 1024;

/// Literals of a step that its first byte can count; so many and more are counted behind it.
const FEW: usize = 63;

/// What makes one text of another: steps, one behind the other.
#[derive(Default)]
pub(super) struct Difference {
    steps: Vec<Step>,
    /// Of the steps as bytes.
    bytes: usize,
    literals: usize,
}

/// One step of a difference: literals of the text, then a run of the other one.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// How many.
    pub(super) literals: u32,
    /// How far the run begins from where the last one ended and as many bytes as there are literals were passed.
    pub(super) jump: i32,
    /// Of the run.
    pub(super) length: u32,
}

/// Makes differences; it keeps its buffers.
#[derive(Default)]
pub(super) struct Differ {
    /// Where bytes of the other text stand, once somebody has asked.
    places: Vec<u16>,
    /// The number of that text.
    number: u16,
    /// How many times nothing was found beside.
    misses: usize,
}

/// A place in both texts.
#[derive(Clone, Copy)]
struct At {
    like: usize,
    text: usize,
}

impl Difference {
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns how many bytes [`write`] makes of it.
    pub(super) fn size(&self) -> usize {
        number_size(self.bytes as u64) + self.bytes + self.literals
    }

    /// Returns how many bytes it keeps.
    pub(super) fn memory(&self) -> usize {
        self.steps.capacity() * size_of::<Step>()
    }

    fn clear(&mut self) {
        self.steps.clear();
        (self.bytes, self.literals) = (0, 0);
    }

    #[inline]
    fn push(&mut self, step: Step) {
        self.bytes += step.size();
        self.literals += step.literals as usize;
        self.steps.push(step);
    }
}

impl Step {
    /// Returns how many bytes it takes without its literals.
    #[inline]
    fn size(self) -> usize {
        let Self { literals, jump, length } = self;
        let more = if literals as usize >= FEW { number_size(u64::from(literals) - FEW as u64) } else { 0 };
        let jump = if jump == 0 { 0 } else { number_size(unsigned(jump.into())) };
        1 + more + jump + number_size(u64::from(length))
    }
}

impl Differ {
    /// Finds what makes `text` of `like`, of which nothing beyond [`LONGEST`] is looked at, and which is always the same
    /// under the same number.
    pub(super) fn find(&mut self, number: u16, like: &[u8], text: &[u8], difference: &mut Difference) {
        let like = &like[..like.len().min(LONGEST)];
        if number != self.number {
            self.places.clear();
            self.number = number;
        }
        difference.clear();
        self.misses = 0;
        // What was copied up to here, in both.
        let mut done = At { like: 0, text: 0 };
        let mut same = done;
        loop {
            let behind = common(&like[same.like..], &text[same.text..]);
            // Where the run begins is seen last: no other step waits for it.
            let before = common_end(&like[..same.like], &text[..same.text], same.text - done.text);
            let literals = same.text - before - done.text;
            // No object is longer than these numbers count.
            let jump = (same.like - before) as i32 - (done.like + literals) as i32;
            difference.push(Step { literals: literals as u32, jump, length: (before + behind) as u32 });
            done = At { like: same.like + behind, text: same.text + behind };
            if done.text == text.len() {
                break;
            }
            same = self.next(like, text, done);
        }
    }

    /// Lets numbers stand for other texts.
    pub(super) fn forget(&mut self) {
        self.places.clear();
    }

    /// Returns how many bytes it keeps.
    pub(super) fn memory(&self) -> usize {
        self.places.capacity() * size_of::<u16>()
    }

    /// Finds bytes behind those that differ that are the same: the end of the text where there are none.
    fn next(&mut self, like: &[u8], text: &[u8], done: At) -> At {
        let found = self.behind_value(like, text, done).or_else(|| self.search(like, text, done));
        // No jump is written for a run that copies nothing.
        found.unwrap_or_else(|| {
            let literals = text.len() - done.text;
            At { like: (done.like + literals).min(like.len()), text: text.len() }
        })
    }

    /// Goes on where the value ends in both that differs, if the same bytes follow it, or stand beside: mostly a short value
    /// differs and nothing else. In prose a word is such a value. Long ones may have runs in common.
    fn behind_value(&mut self, like: &[u8], text: &[u8], done: At) -> Option<At> {
        let is_alike = |end: At| word(text, end.text).is_some_and(|bytes| word(like, end.like) == Some(bytes));
        let quote = position(b'"', like, done.like, SHORT)?;
        // Most values are replaced by others of their length.
        let mut end = At { like: quote, text: done.text + (quote - done.like) };
        if !is_alike(end) {
            end.text = position(b'"', text, done.text, SHORT)?;
        }
        // Most are too short for prose, too, and looking for spaces in each would cost as much as it saves.
        if (end.text - done.text).min(end.like - done.like) >= PROSE
            && let Some(word) = behind_word(like, text, done, end)
        {
            return Some(word);
        }
        if is_alike(end) {
            return Some(end);
        }
        let bytes = word(text, end.text).filter(|_| self.misses < MISSES)?;
        let place = beside(like, end.like, bytes);
        self.misses += usize::from(place.is_none());
        Some(At { like: place?, ..end })
    }

    /// Finds the next bytes that stand in the other text, too, wherever.
    fn search(&mut self, like: &[u8], text: &[u8], done: At) -> Option<At> {
        for at in done.text + 1..text.len() {
            let passed = at - done.text;
            let bytes = half_word(text, at)?;
            if half_word(like, done.like + passed) == Some(bytes) {
                return Some(At { like: done.like + passed, text: at });
            }
            let Some(bytes) = word(text, at) else { continue };
            if let Some(place) = self.place(like, bytes) {
                return Some(At { like: place, text: at });
            }
        }
        None
    }

    /// Looks up where in the other text bytes stand.
    fn place(&mut self, like: &[u8], bytes: u64) -> Option<usize> {
        if self.places.is_empty() {
            self.places.resize(1 << BITS, NOWHERE);
            // The first of several places wins.
            for place in (0..like.len()).step_by(STRIDE).rev() {
                if let Some(known) = word(like, place) {
                    self.places[slot(known)] = place as u16;
                }
            }
        }
        let place = usize::from(self.places[slot(bytes)]);
        (word(like, place) == Some(bytes)).then_some(place)
    }
}

/// Where the last run of another text ended that a text is put together of.
pub(super) struct Run<'a> {
    like: &'a [u8],
    end: usize,
}

impl<'a> Run<'a> {
    pub(super) fn of(like: &'a [u8]) -> Self {
        Self { like, end: 0 }
    }

    /// Appends the run of a step whose literals, so many, stand there. `None` if there is no such run.
    pub(super) fn copy(&mut self, literals: usize, jump: i64, length: usize, out: &mut Vec<u8>) -> Option<()> {
        self.end = self.end.saturating_add(literals).saturating_add_signed(jump as isize);
        if length > 0 {
            out.extend_from_slice(self.like.get(self.end..self.end.saturating_add(length))?);
            self.end += length;
        }
        Some(())
    }
}

/// Appends the difference of a text as bytes: its steps, and behind them all literals, as suits a dictionary.
pub(super) fn write(text: &[u8], difference: &Difference, out: &mut Vec<u8>) {
    let Difference { steps, bytes, .. } = difference;
    write_number(out, *bytes as u64);
    for &Step { literals, jump, length } in steps {
        write_step(literals as usize, jump.into(), length as usize, out);
    }
    let mut rest = text;
    for &Step { literals, length, .. } in steps {
        out.extend_from_slice(&rest[..literals as usize]);
        rest = &rest[(literals + length) as usize..];
    }
}

/// Appends the text of which `difference` is the difference to `like`. False for bytes that are none.
pub(super) fn read(like: &[u8], difference: &[u8], out: &mut Vec<u8>) -> bool {
    let mut literals = Cursor(difference);
    let (mut steps, mut run) = (Cursor(literals.bytes()), Run::of(like));
    while !steps.0.is_empty() {
        let tag = steps.byte();
        let mut count = usize::from(tag >> 1);
        if count == FEW {
            count = count.saturating_add(steps.number() as usize);
        }
        let some = literals.take(count);
        out.extend_from_slice(some);
        let jump = if tag & 1 == 0 { 0 } else { signed(steps.number()) };
        if run.copy(some.len(), jump, steps.number() as usize, out).is_none() {
            return false;
        }
    }
    literals.0.is_empty()
}

/// Appends a step without its literals.
pub(super) fn write_step(literals: usize, jump: i64, length: usize, steps: &mut Vec<u8>) {
    steps.push((literals.min(FEW) as u8) << 1 | u8::from(jump != 0));
    if literals >= FEW {
        write_number(steps, (literals - FEW) as u64);
    }
    if jump != 0 {
        write_number(steps, unsigned(jump));
    }
    write_number(steps, length as u64);
}

/// Appends a difference of these steps and all of their literals.
pub(super) fn join(steps: &[u8], literals: &[u8], out: &mut Vec<u8>) {
    write_number(out, steps.len() as u64);
    out.extend_from_slice(steps);
    out.extend_from_slice(literals);
}

/// Returns how many bytes [`write_number`] takes for a number that counts bytes of an object, or twice as many.
#[inline]
fn number_size(number: u64) -> usize {
    const { assert!(MAX_OBJECT_BYTES < 1 << 26) };
    1 + usize::from(number >= 1 << 7) + usize::from(number >= 1 << 14) + usize::from(number >= 1 << 21)
}

/// Makes small numbers of those near zero.
pub(super) fn unsigned(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// Undoes [`unsigned`].
pub(super) fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Goes on at the next space before the ends of values.
fn behind_word(like: &[u8], text: &[u8], done: At, end: At) -> Option<At> {
    let space = At {
        like: position(b' ', like, done.like, end.like - done.like)?,
        text: position(b' ', text, done.text, end.text - done.text)?,
    };
    (half_word(text, space.text) == half_word(like, space.like)).then_some(space)
}

/// Looks for bytes around a place, first behind it: one more element, or one less, is all that differs of many lists.
fn beside(like: &[u8], place: usize, bytes: u64) -> Option<usize> {
    let is_there = |window: &[u8]| word(window, 0) == Some(bytes);
    let behind = &like[place..like.len().min(place + BESIDE)];
    let found = behind.windows(FAR).position(is_there).map(|at| place + at);
    found.or_else(|| {
        let start = place.saturating_sub(BESIDE);
        let before = &like[start..like.len().min(place + FAR - 1)];
        before.windows(FAR).rposition(is_there).map(|at| start + at)
    })
}

fn slot(word: u64) -> usize {
    (mix(word) >> (64 - BITS)) as usize
}

/// Makes a number whose upper bits depend on all of a word, by the multiplier of Fibonacci hashing.
#[inline]
pub(super) fn mix(word: u64) -> u64 {
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(like: &[u8], text: &[u8]) -> Difference {
        let mut difference = Difference::default();
        Differ::default().find(1, like, text, &mut difference);
        difference
    }

    fn diff(like: &[u8], text: &[u8]) -> Vec<u8> {
        let (difference, mut out) = (find(like, text), Vec::new());
        write(text, &difference, &mut out);
        assert_eq!(out.len(), difference.size(), "the size is told before it is written");
        out
    }

    fn read_back(like: &[u8], diff: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        read(like, diff, &mut out).then_some(out)
    }

    /// Texts that have runs in common: words of few.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            Just("\"name\":\"web-".to_owned()),
            Just("\"image\":\"registry.example.com/web:1\",".to_owned()),
            "[a-c]{0,9}",
            "\\PC{0,70}",
        ];
        prop::collection::vec(word, 0..30).prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_difference_to_any_other(like in text(), text in text()) {
            prop_assert_eq!(read_back(&like, &diff(&like, &text)), Some(text));
        }

        #[test]
        fn what_is_known_of_one_text_is_not_taken_for_another(texts in prop::collection::vec((1..3_u16, text()), 1..6)) {
            let (mut differ, mut known) = (Differ::default(), std::collections::HashMap::new());
            for (number, text) in texts {
                let like = known.entry(number).or_insert_with(|| text.clone());
                let (mut difference, mut diff) = (Difference::default(), Vec::new());
                differ.find(number, like, &text, &mut difference);
                write(&text, &difference, &mut diff);
                prop_assert_eq!(read_back(like, &diff), Some(text));
            }
        }

        #[test]
        fn bytes_that_are_no_difference_are_told(like in text(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            // Whatever comes of it: no panic, and no more than runs of the other text.
            let mut out = Vec::new();
            read(&like, &bytes, &mut out);
            prop_assert!(out.len() <= 40 * (like.len() + 40));
        }
    }

    #[test]
    fn what_differs_is_all_that_is_written() {
        let like = br#"{"name":"web-1","node":"ip-10-0-0-1","image":"registry.example.com/web:1","phase":"Running"}"#;
        let text = br#"{"name":"web-2","node":"ip-10-0-22-1","image":"registry.example.com/web:1","phase":"Pending"}"#;
        let diff = diff(like, text);
        assert!(diff.len() < 30, "{} {:?}", diff.len(), String::from_utf8_lossy(&diff));
        assert_eq!(self::diff(like, like).len(), 3, "one step that copies all");
    }

    #[test]
    fn prose_differs_in_its_words() {
        let text = |ready: u32, all: u32, address: &str| {
            format!(r#"{{"message":"{ready} of {all} parts answer at 10.96.{address}","status":"True"}}"#).into_bytes()
        };
        let (like, text) = (text(4, 5, "58.46"), text(10, 12, "137.78"));
        // The literals are behind all steps.
        let diff = String::from_utf8_lossy(&diff(&like, &text)).into_owned();
        assert!(diff.ends_with("1012137.78"), "{diff}");
    }

    #[test]
    fn what_stands_in_the_middle_of_a_long_value_is_found() {
        let line = |number: usize| format!("upstream backend-{number} {{ server 10.0.{number}.1:8080 weight=5; }}\\n");
        let value =
            |changed: usize| (0..40).map(|at| line(if at % 9 == 1 { at + changed } else { at })).collect::<String>();
        let text = |changed: usize| format!(r#"{{"data":{{"config":"{}","other":"x"}}}}"#, value(changed)).into_bytes();
        let diff = diff(&text(0), &text(100));
        assert!(diff.len() < 300 && text(0).len() > 2000, "{}", diff.len());
    }

    #[test]
    fn one_element_more_or_less_is_all_that_is_written() {
        let text = |parts: &[u32]| {
            let parts: Vec<String> = parts.iter().map(|part| format!(r#"{{"name":"part-{part}","size":1}}"#)).collect();
            format!(r#"{{"spec":{{"parts":[{}],"paused":false}}}}"#, parts.join(",")).into_bytes()
        };
        let (some, more) = (text(&[10, 20]), text(&[10, 25, 30]));
        let mut differ = Differ::default();
        for (like, text, literals) in [(&some, &more, "5},{30"), (&more, &some, "0")] {
            let mut difference = Difference::default();
            differ.find(1, like, text, &mut difference);
            let diff = diff(like, text);
            assert_eq!(read_back(like, &diff).as_deref(), Some(&**text));
            assert!(differ.places.is_empty(), "what is beside is found without all of the other text");
            assert!(difference.literals <= literals.len(), "{}", String::from_utf8_lossy(&diff));
        }
    }

    #[test]
    fn texts_that_are_not_alike_are_soon_not_looked_at_beside() {
        // The same elements in another order, each longer than what is beside.
        let element =
            |at: u64| format!(r#""{:x}":"{}","#, at * 0x9e37_79b9, format!("{:x}", at * 0x7f4a_7c15).repeat(30));
        let some = (1..20).map(element).collect::<String>().into_bytes();
        let others = (1..20).rev().map(element).collect::<String>().into_bytes();
        let (mut differ, mut difference) = (Differ::default(), Difference::default());
        for _ in 0..2 {
            differ.find(1, &some, &others, &mut difference);
            assert_eq!(differ.misses, MISSES);
            assert!(difference.size() < others.len() / 10, "what is anywhere is found");
        }
        differ.find(1, &some, &some, &mut difference);
        assert_eq!(differ.misses, 0, "of each text they are counted anew");
    }

    #[test]
    fn numbers_take_as_many_bytes_as_is_told() {
        for number in (0..26).flat_map(|bit| [(1 << bit) - 1, 1 << bit]) {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            assert_eq!(bytes.len(), number_size(number), "{number}");
        }
    }

    #[test]
    fn a_long_text_is_found_in_the_part_that_is_looked_at() {
        let like = b"0123456789abcdef".repeat(LONGEST / 8);
        assert_eq!(read_back(&like, &diff(&like, &like)).as_deref(), Some(&*like));
        let text = [&vec![b'x'; 100_000], &like[..1000], &vec![b'y'; 100_000]].concat();
        assert_eq!(read_back(&like, &diff(&like, &text)), Some(text));
    }
}
