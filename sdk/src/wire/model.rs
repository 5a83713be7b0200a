//! Objects that others are read by.
//!
//! What is made from one template differs in values and not in structure. So an object is compared with one that was
//! scanned before: where both have the same bytes nothing is to be checked, and where they differ only the string or the
//! number that stands there. What differs in more is scanned as if there was no model, so a bad choice costs time and nothing else.
use std::ops::Range;

use super::Error;
use super::outline::{Level, Outline};
use super::scan::Scanner;

/// Largest object that can be one: its places are numbers of 16 bits.
pub(super) const LARGEST: usize = u16::MAX as usize;

/// One object that others are read by.
#[derive(Default)]
pub(super) struct Model {
    text: Box<[u8]>,
    /// What of it others are read by: objects and lists.
    members: Vec<Member>,
    /// Where strings, keys among them, numbers and literals stand, in their order.
    tokens: Box<[(u16, u16)]>,
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

/// A value that is read by another one: where we are in both, and what comes next.
struct Follower<'m> {
    model: &'m Model,
    /// Up to here both agree.
    at: usize,
    /// The next token that may differ.
    token: usize,
    /// The next key that is not noted yet.
    key: usize,
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
        Ok(Self { text: text.into(), members, tokens: tokens(text).collect(), keys: keys.into(), used: true })
    }

    pub(super) fn memory(&self) -> usize {
        self.text.len() + size_of_val(&*self.tokens) + size_of_val(&*self.keys)
    }

    /// Takes the value of the member of that name, which comes next, if it is of the structure that it has here; takes
    /// nothing otherwise.
    pub(super) fn follow(&self, name: Option<&[u8]>, scanner: &mut Scanner<'_>, outline: &mut Outline) -> bool {
        let member = self.members.iter().find(|member| member.name.as_deref() == name);
        let Some(Range { start, end }) = member.map(|member| member.value.clone()) else { return false };
        let follower = Follower {
            model: self,
            at: start,
            token: self.tokens.partition_point(|(_, end)| usize::from(*end) <= start),
            key: self.keys.partition_point(|key| usize::from(*key) < start),
        };
        let (before, noted) = (scanner.at(), outline.len());
        let followed = follower.go(end, scanner, outline);
        if !followed {
            scanner.go_to(before);
            outline.truncate(noted);
        }
        followed
    }
}

impl Follower<'_> {
    fn go(mut self, end: usize, scanner: &mut Scanner<'_>, outline: &mut Outline) -> bool {
        loop {
            let same = common(&self.model.text[self.at..end], scanner.rest());
            self.note(same, scanner.at(), outline);
            self.at += same;
            scanner.go_to(scanner.at() + same);
            if self.at == end {
                return true;
            }
            if !self.pass_token(scanner) {
                return false;
            }
        }
    }

    /// Notes the keys in a run of bytes that both have.
    fn note(&mut self, same: usize, at: usize, outline: &mut Outline) {
        while let Some(key) =
            self.model.keys.get(self.key).map(|key| usize::from(*key)).filter(|key| *key < self.at + same)
        {
            outline.push(at + key - self.at, Level::MemberOfMember);
            self.key += 1;
        }
    }

    /// Passes a token that differs, in both. False where something else differs.
    fn pass_token(&mut self, scanner: &mut Scanner<'_>) -> bool {
        let tokens = &self.model.tokens[self.token..];
        let passed = tokens.iter().take_while(|(_, end)| usize::from(*end) < self.at).count();
        let Some(&(start, end)) = tokens.get(passed) else { return false };
        let (start, end) = (usize::from(start), usize::from(end));
        // A number may go on where that of the model ends.
        if start > self.at {
            return false;
        }
        let differs = scanner.at();
        scanner.go_to(differs - (self.at - start));
        // It may be a key, and these are strings.
        let alike = self.model.text[start] != b'"' || scanner.rest().first() == Some(&b'"');
        if !alike || !scanner.skip_token() || (scanner.at() == differs && self.at == end) {
            return false;
        }
        self.token += passed + 1;
        self.at = end;
        true
    }
}

/// Finds the tokens of a text that is JSON.
fn tokens(text: &[u8]) -> impl Iterator<Item = (u16, u16)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let between =
            |byte: &u8| matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r');
        at += text[at..].iter().position(|byte| !between(byte))?;
        let start = at;
        if text[at] == b'"' {
            at += 1;
            while text.get(at).is_some_and(|byte| *byte != b'"') {
                at += if text[at] == b'\\' { 2 } else { 1 };
            }
            at += 1;
        } else {
            at += text[at..].iter().position(between).unwrap_or(text.len() - at);
        }
        Some((start as u16, at as u16))
    })
}

/// Returns how many bytes two texts begin with that are the same.
pub(crate) fn common(one: &[u8], other: &[u8]) -> usize {
    const WIDE: usize = 32;
    let (ones, _) = one.as_chunks::<WIDE>();
    let (others, _) = other.as_chunks::<WIDE>();
    let same = WIDE * ones.iter().zip(others).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[same..], &other[same..]);
    let (ones, _) = one.as_chunks::<8>();
    let (others, _) = other.as_chunks::<8>();
    for (position, (one, other)) in ones.iter().zip(others).enumerate() {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return same + position * 8 + (differ.trailing_zeros() / 8) as usize;
        }
    }
    let narrow = 8 * ones.len().min(others.len());
    same + narrow + one[narrow..].iter().zip(&other[narrow..]).take_while(|(one, other)| one == other).count()
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
