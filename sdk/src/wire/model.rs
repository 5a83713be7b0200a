//! Objects that others are read by.
//!
//! What is made from one template differs in values and not in structure. So an object is compared with one that was
//! scanned before: where both have the same bytes nothing is to be checked, and where they differ only the string or the
//! number that stands there. Where a list is longer or an object has other members, what is left of it is scanned, and the
//! two are compared again behind it. A bad choice costs time and nothing else.
use std::ops::Range;

use super::Error;
use super::outline::{Level, Outline};
use super::scan::Scanner;

/// Largest object that can be one: its places are numbers of 16 bits.
pub(super) const LARGEST: usize = u16::MAX as usize;

/// How often a value may leave the structure of its model and come back: each time costs a search in the model.
const MOST_DETOURS: usize = 16;

/// One object that others are read by.
#[derive(Default)]
pub(super) struct Model {
    text: Box<[u8]>,
    /// What of it others are read by: objects and lists.
    members: Vec<Member>,
    /// Where strings, keys among them, numbers and literals stand, in their order.
    tokens: Box<[(u16, u16)]>,
    /// Objects and lists, in the order in which they begin.
    containers: Box<[Container]>,
    /// Where keys stand that belong into an outline.
    keys: Box<[u16]>,
    /// Whether an object was read by it since somebody looked for one to replace.
    pub(super) used: bool,
}

/// A member of an object: its name, which managedFields have none of, and where its value stands.
struct Member {
    name: Option<Box<[u8]>>,
    value: Range<usize>,
}

/// An object or a list: where it stands, brackets included, and the number of the one around it; the outermost is its own.
#[derive(Clone, Copy)]
struct Container {
    start: u16,
    end: u16,
    around: u16,
}

/// A value that is read by another one: where we are in both, and what comes next.
struct Follower<'m> {
    model: &'m Model,
    /// Where in the model the value stands.
    value: Range<usize>,
    /// Up to here both agree.
    at: usize,
    /// The next token that may differ.
    token: usize,
    /// The next key that is not noted yet.
    key: usize,
    detours: usize,
    /// How many bytes were scanned on these.
    scanned: usize,
}

impl Model {
    /// Makes a model of an object that was scanned before.
    pub(super) fn of(text: &[u8]) -> Result<Self, Error> {
        let (mut members, mut keys) = (Vec::new(), Vec::new());
        let mut scanner = Scanner::new(text);
        scanner.members(|scanner, _, name| {
            match (&*name, scanner.peek()?) {
                (b"metadata", b'{') => scanner.members(|scanner, _, name| {
                    let value = scanner.skip()?;
                    if *name == *b"managedFields" {
                        members.push(Member { name: None, value });
                    }
                    Ok(())
                }),
                (_, b'{') => {
                    let value = scanner.members(|scanner, key, _| {
                        keys.push(key.start as u16);
                        scanner.skip().map(drop)
                    })?;
                    members.push(Member { name: Some(Box::from(&*name)), value: value.clone() });
                    Ok(value)
                }
                _ => {
                    let value = scanner.skip()?;
                    members.push(Member { name: Some(Box::from(&*name)), value: value.clone() });
                    Ok(value)
                }
            }
            .map(drop)
        })?;
        members.retain(|member| matches!(text[member.value.start], b'{' | b'['));
        let (tokens, containers) = structure(text);
        let (tokens, containers) = (tokens.into(), containers.into());
        Ok(Self { text: text.into(), members, tokens, containers, keys: keys.into(), used: true })
    }

    pub(super) fn memory(&self) -> usize {
        self.text.len() + size_of_val(&*self.tokens) + size_of_val(&*self.containers) + size_of_val(&*self.keys)
    }

    /// Takes the value of the member of that name, which comes next, if it is about of the structure that it has here, and
    /// returns how many bytes had to be scanned; takes nothing otherwise.
    pub(super) fn follow(
        &self,
        name: Option<&[u8]>,
        scanner: &mut Scanner<'_>,
        outline: &mut Outline,
    ) -> Option<usize> {
        let value = self.members.iter().find(|member| member.name.as_deref() == name)?.value.clone();
        let (at, token, key) = (value.start, self.token_behind(value.start), self.key_at(value.start));
        let follower = Follower { model: self, value, at, token, key, detours: 0, scanned: 0 };
        let (before, noted) = (scanner.at(), outline.len());
        let followed = follower.go(scanner, outline);
        if followed.is_none() {
            scanner.go_to(before);
            outline.truncate(noted);
        }
        followed
    }

    /// Returns the number of the first token that ends behind `at`.
    fn token_behind(&self, at: usize) -> usize {
        self.tokens.partition_point(|(_, end)| usize::from(*end) <= at)
    }

    /// Returns the number of the first key at `at` or behind it.
    fn key_at(&self, at: usize) -> usize {
        self.keys.partition_point(|key| usize::from(*key) < at)
    }
}

impl Follower<'_> {
    fn go(mut self, scanner: &mut Scanner<'_>, outline: &mut Outline) -> Option<usize> {
        loop {
            // Comparing on behind the value costs less than ending there.
            let same = common(&self.model.text[self.at..], scanner.rest()).min(self.value.end - self.at);
            self.note(same, scanner.at(), outline);
            self.at += same;
            scanner.go_to(scanner.at() + same);
            if self.at == self.value.end {
                return Some(self.scanned);
            }
            let differs = scanner.at();
            if !self.pass_token(scanner) {
                scanner.go_to(differs);
                self.pass_container(scanner, outline)?;
                self.scanned += scanner.at() - differs;
            }
        }
    }

    /// Notes the keys in a run of bytes that both have.
    #[inline]
    fn note(&mut self, same: usize, at: usize, outline: &mut Outline) {
        while let Some(key) = self.model.keys.get(self.key).map(|key| usize::from(*key)) {
            if key >= self.at + same {
                break;
            }
            outline.push(at + key - self.at, Level::MemberOfMember);
            self.key += 1;
        }
    }

    /// Passes a token that differs, in both. False where something else differs.
    #[inline]
    fn pass_token(&mut self, scanner: &mut Scanner<'_>) -> bool {
        let (start, end) = loop {
            let Some(&(start, end)) = self.model.tokens.get(self.token) else { return false };
            if usize::from(end) >= self.at {
                break (usize::from(start), usize::from(end));
            }
            self.token += 1;
        };
        // A number may go on where that of the model ends.
        if start > self.at {
            return false;
        }
        let differs = scanner.at();
        scanner.go_to(differs - (self.at - start));
        // It may be a key, and these are strings.
        let alike = self.model.text[start] != b'"' || scanner.is_at(b'"');
        if !alike || !scanner.skip_token() || (scanner.at() == differs && self.at == end) {
            return false;
        }
        self.token += 1;
        self.at = end;
        true
    }

    /// Passes what is left of the innermost container in both, where they differ in more than a token.
    fn pass_container(&mut self, scanner: &mut Scanner<'_>, outline: &mut Outline) -> Option<()> {
        self.detours += 1;
        let (model, at) = (self.model, self.at);
        let within = model.tokens.get(model.token_behind(at)).is_some_and(|(start, _)| usize::from(*start) < at);
        if self.detours > MOST_DETOURS || within {
            return None;
        }
        let place = match model.text[..at].trim_ascii_end().last()? {
            b'{' | b'[' => Place::Begin,
            b',' => Place::BehindComma,
            b':' => Place::BehindColon,
            // It was a key.
            _ if model.text[at..].trim_ascii_start().first() == Some(&b':') => return None,
            _ => Place::BehindValue,
        };
        let (container, around) = self.innermost()?;
        let list = |start: usize| model.text[start] == b'[';
        let (start, end) = (usize::from(container.start), usize::from(container.end));
        // As deep as without a model, where members of an object are taken one by one, and a list as a whole.
        let depth = around + usize::from(list(self.value.start));
        let of_member = around == 0 && !list(start);
        let passed = finish(list(start), place, scanner, depth, |key| {
            if of_member {
                outline.push(key, Level::MemberOfMember);
            }
        });
        (self.at, self.token, self.key) = (end, model.token_behind(end), model.key_at(end));
        passed.ok()
    }

    /// Returns the innermost container of the value that is open here, and how many are around it.
    fn innermost(&self) -> Option<(Container, usize)> {
        let all = &self.model.containers;
        let around = |container: &Container| all[usize::from(container.around)];
        let is_open = |container: &Container| usize::from(container.end) > self.at;
        let begun = all.partition_point(|container| usize::from(container.start) < self.at);
        let mut innermost = *all.get(begun.checked_sub(1)?)?;
        while !is_open(&innermost) {
            innermost = around(&innermost);
        }
        let (mut outer, mut count) = (innermost, 0);
        while usize::from(outer.start) > self.value.start {
            (outer, count) = (around(&outer), count + 1);
        }
        (usize::from(outer.start) == self.value.start).then_some((innermost, count))
    }
}

/// Where in a container we are.
enum Place {
    Begin,
    BehindComma,
    BehindColon,
    BehindValue,
}

/// Takes what is left of a container around which so many stand; `note` is told where keys stand.
fn finish(
    list: bool,
    mut place: Place,
    scanner: &mut Scanner<'_>,
    depth: usize,
    mut note: impl FnMut(usize),
) -> Result<(), Error> {
    let close = if list { b']' } else { b'}' };
    loop {
        match place {
            Place::Begin if scanner.take(close) => return Ok(()),
            Place::BehindValue if !scanner.take(b',') => {
                return scanner.close(close, "the end of a container is expected");
            }
            Place::BehindColon => {}
            _ if list => {}
            _ => {
                scanner.peek()?;
                note(scanner.at());
                scanner.key()?;
            }
        }
        scanner.skip_within(depth)?;
        place = Place::BehindValue;
    }
}

/// Finds tokens and containers of a text that is JSON.
fn structure(text: &[u8]) -> (Vec<(u16, u16)>, Vec<Container>) {
    let between = |byte: &u8| matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r');
    let (mut tokens, mut containers, mut at, mut open) = (Vec::new(), Vec::<Container>::new(), 0, 0);
    while let Some(byte) = text.get(at) {
        let start = at as u16;
        at += 1;
        match byte {
            b'{' | b'[' => {
                containers.push(Container { start, end: 0, around: open });
                open = (containers.len() - 1) as u16;
            }
            b'}' | b']' => {
                let container = &mut containers[usize::from(open)];
                (container.end, open) = (at as u16, container.around);
            }
            b'"' => {
                while text.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                tokens.push((start, at as u16));
            }
            byte if between(byte) => {}
            _ => {
                at += text[at..].iter().position(between).unwrap_or(text.len() - at);
                tokens.push((start, at as u16));
            }
        }
    }
    (tokens, containers)
}

/// Returns how many bytes two texts begin with that are the same.
pub(crate) fn common(one: &[u8], other: &[u8]) -> usize {
    const WIDE: usize = size_of::<u128>();
    let (ones, _) = one.as_chunks::<WIDE>();
    let (others, _) = other.as_chunks::<WIDE>();
    for (position, (one, other)) in ones.iter().zip(others).enumerate() {
        let differ = u128::from_le_bytes(*one) ^ u128::from_le_bytes(*other);
        if differ != 0 {
            return position * WIDE + (differ.trailing_zeros() / u8::BITS) as usize;
        }
    }
    let wide = WIDE * ones.len().min(others.len());
    wide + one[wide..].iter().zip(&other[wide..]).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_counted_as_the_obvious_way_says(one in "[ab]{0,100}", other in "[ab]{0,100}", same in "[ab]{0,100}") {
            let (one, other) = (same.clone() + &one, same + &other);
            let obvious = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
            prop_assert_eq!(common(one.as_bytes(), other.as_bytes()), obvious);
        }
    }
}
