//! One text as what sets it apart from another one that it is much like.
//!
//! Pods of a ReplicaSet say the same but for a few dozen names, times and addresses; so do most objects that are made
//! from one template. A difference is a list of steps, and behind them all literals: each step takes some literals, then
//! copies a run of the other text, which mostly begins where the last one ended but for what the literals stand for.
use crate::wire::common;
use crate::wire::compact::{Cursor, write_number};

/// Bytes in the same distance from the last run that are enough to go on with: a value was replaced by one of its length.
const NEAR: usize = 4;

/// Bytes anywhere that are enough.
const FAR: usize = 8;

/// Every so many bytes of the other text are looked up: runs of [`FAR`] and so many more are found, wherever they begin.
const STRIDE: usize = 4;

/// How many places of the other text are known at once, as a power of two.
const BITS: u32 = 12;

/// Longest value that is taken to have nothing in common with another: a digest with its quote.
const SHORT: usize = 72;

/// Shortest rest of a value that may be prose.
const PROSE: usize = 16;

/// A place of which nothing is known.
const NOWHERE: u16 = u16::MAX;

/// Longest text that others can differ from: its places are numbers of 16 bits.
pub(super) const LONGEST: usize = 32 * 1024;

/// Literals of a step that its first byte can count; so many and more are counted behind it.
const FEW: usize = 63;

/// Makes differences; it keeps its buffers.
#[derive(Default)]
pub(super) struct Differ {
    /// Where bytes of the other text stand, once somebody has asked.
    places: Vec<u16>,
    /// The number of that text.
    number: u16,
    steps: Vec<u8>,
    literals: Vec<u8>,
}

/// Where the next run begins, in both texts.
#[derive(Clone, Copy)]
struct At {
    like: usize,
    text: usize,
}

impl Differ {
    /// Appends what makes `text` of `like`, of which nothing beyond [`LONGEST`] is looked at, and which is always the same
    /// under the same number.
    pub(super) fn write(&mut self, number: u16, like: &[u8], text: &[u8], out: &mut Vec<u8>) {
        let like = &like[..like.len().min(LONGEST)];
        if number != self.number {
            self.places.clear();
            self.number = number;
        }
        self.steps.clear();
        self.literals.clear();
        // What was copied up to here, in both.
        let mut done = At { like: 0, text: 0 };
        let mut run = done;
        loop {
            let length = common(&like[run.like..], &text[run.text..]);
            self.literals.extend_from_slice(&text[done.text..run.text]);
            self.step(done, run, length);
            done = At { like: run.like + length, text: run.text + length };
            if done.text == text.len() {
                break;
            }
            run = self.next(like, text, done);
        }
        join(&self.steps, &self.literals, out);
    }

    /// Lets numbers stand for other texts.
    pub(super) fn forget(&mut self) {
        self.places.clear();
    }

    /// Returns how many bytes it keeps.
    pub(super) fn memory(&self) -> usize {
        self.places.capacity() * size_of::<u16>() + self.steps.capacity() + self.literals.capacity()
    }

    fn step(&mut self, done: At, run: At, length: usize) {
        let literals = run.text - done.text;
        let jump = run.like as i64 - (done.like + literals) as i64;
        write_step(literals, jump, length, &mut self.steps);
    }

    /// Finds where to go on behind bytes that differ: an empty run at the end where nothing is found.
    fn next(&mut self, like: &[u8], text: &[u8], done: At) -> At {
        let found = behind_value(like, text, done).or_else(|| self.search(like, text, done));
        let Some(mut run) = found else {
            // No jump is written for a run that copies nothing.
            let literals = text.len() - done.text;
            return At { like: (done.like + literals).min(like.len()), text: text.len() };
        };
        while run.text > done.text && run.like > 0 && like[run.like - 1] == text[run.text - 1] {
            run = At { like: run.like - 1, text: run.text - 1 };
        }
        run
    }

    /// Finds the next bytes that stand in the other text, too.
    fn search(&mut self, like: &[u8], text: &[u8], done: At) -> Option<At> {
        let found = (done.text + 1..text.len()).map_while(|at| {
            let same = done.like + (at - done.text);
            let bytes = half_word(text, at)?;
            let place = if half_word(like, same) == Some(bytes) { Some(same) } else { self.place(like, text, at) };
            Some(place.map(|place| At { like: place, text: at }))
        });
        found.flatten().next()
    }

    /// Looks up where in the other text the bytes at a place of this one stand.
    fn place(&mut self, like: &[u8], text: &[u8], at: usize) -> Option<usize> {
        let bytes = word(text, at)?;
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

/// One step of a difference: literals, then a run of the other text.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) literals: &'a [u8],
    /// How far the run begins from where the last one ended and as many bytes as there are literals were passed.
    pub(super) jump: i64,
    /// Of the run.
    pub(super) length: usize,
}

/// The steps of a difference.
pub(super) struct Steps<'a> {
    steps: Cursor<'a>,
    literals: Cursor<'a>,
}

impl<'a> Steps<'a> {
    pub(super) fn of(difference: &'a [u8]) -> Self {
        let mut literals = Cursor(difference);
        Self { steps: Cursor(literals.bytes()), literals }
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        if self.steps.0.is_empty() {
            return None;
        }
        let tag = self.steps.byte();
        let mut count = usize::from(tag >> 1);
        if count == FEW {
            count = count.saturating_add(self.steps.number() as usize);
        }
        let literals = self.literals.take(count);
        let jump = if tag & 1 == 0 { 0 } else { self.steps.number() };
        Some(Step { literals, jump: signed(jump), length: self.steps.number() as usize })
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

/// Appends the text of which `difference` is the difference to `like`. False for bytes that are none.
pub(super) fn read(like: &[u8], difference: &[u8], out: &mut Vec<u8>) -> bool {
    let (mut steps, mut run) = (Steps::of(difference), Run::of(like));
    for Step { literals, jump, length } in &mut steps {
        out.extend_from_slice(literals);
        if run.copy(literals.len(), jump, length, out).is_none() {
            return false;
        }
    }
    steps.literals.0.is_empty()
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

/// Makes small numbers of those near zero.
pub(super) fn unsigned(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// Undoes [`unsigned`].
pub(super) fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Goes on where the value ends in both that differs, if the same bytes follow it: mostly a short value differs and nothing
/// else. In prose a word is such a value. Long ones may have runs in common.
fn behind_value(like: &[u8], text: &[u8], done: At) -> Option<At> {
    let next = |mark: u8, to: At| {
        let find = |bytes: &[u8], from: usize, to: usize| {
            let value = &bytes[from..bytes.len().min(to)];
            memchr::memchr(mark, value).map(|found| from + found)
        };
        Some(At { like: find(like, done.like, to.like)?, text: find(text, done.text, to.text)? })
    };
    let quote = next(b'"', At { like: done.like + SHORT, text: done.text + SHORT })?;
    // Most values are too short for prose, and looking for spaces in each would cost as much as it saves.
    let prose = quote.text - done.text >= PROSE && quote.like - done.like >= PROSE;
    let space = if prose { next(b' ', quote) } else { None };
    let space = space.filter(|run| half_word(text, run.text) == half_word(like, run.like));
    space.or_else(|| (word(text, quote.text)? == word(like, quote.like)?).then_some(quote))
}

fn word(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..at + FAR)?.try_into().ok().map(u64::from_le_bytes)
}

fn half_word(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + NEAR)?.try_into().ok().map(u32::from_le_bytes)
}

fn slot(word: u64) -> usize {
    // The multiplier of Fibonacci hashing: the upper bits depend on all of the word.
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn diff(like: &[u8], text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Differ::default().write(1, like, text, &mut out);
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
                let mut diff = Vec::new();
                differ.write(number, like, &text, &mut diff);
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
        let literals: Vec<u8> = Steps::of(&diff(&like, &text)).flat_map(|step| step.literals.to_vec()).collect();
        assert_eq!(String::from_utf8_lossy(&literals), "1012137.78");
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
    fn a_long_text_is_found_in_the_part_that_is_looked_at() {
        let like = b"0123456789abcdef".repeat(LONGEST / 8);
        assert_eq!(read_back(&like, &diff(&like, &like)).as_deref(), Some(&*like));
        let text = [&vec![b'x'; 100_000], &like[..1000], &vec![b'y'; 100_000]].concat();
        assert_eq!(read_back(&like, &diff(&like, &text)), Some(text));
    }
}
