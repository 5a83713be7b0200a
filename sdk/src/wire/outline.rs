//! Where the members of an object stand, and theirs: noted when it is scanned, so that fields are found without a walk.
use std::ops::Range;

use super::Error;
use super::scan::Scanner;

/// Positions of keys, in the order in which they stand. Those of the members of `metadata` are left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    /// The position above, the level in the lowest bit: no object is longer than 31 bits can say.
    keys: Vec<u32>,
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Of a member of the object.
    Member,
    /// Of a member of the member before it.
    MemberOfMember,
}

impl Outline {
    /// Adds the key that stands next.
    pub(super) fn push(&mut self, at: usize, level: Level) {
        if self.keys.is_empty() {
            // Enough for most kinds; a pod has 35.
            self.keys.reserve(40);
        }
        self.keys.push((at as u32) << 1 | u32::from(level == Level::MemberOfMember));
    }

    /// Takes note that bytes are taken out, in which no key stands.
    pub(super) fn cut(&mut self, cut: &Range<usize>) {
        let behind = self.keys.partition_point(|key| (key >> 1) < cut.end as u32);
        self.keys[behind..].iter_mut().for_each(|key| *key -= (cut.len() as u32) << 1);
    }

    /// Says whether it is that of no object: an object that was scanned has metadata.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Says how many bytes it takes.
    pub(super) fn heap(&self) -> usize {
        self.keys.capacity() * size_of::<u32>()
    }

    /// Goes to the value where `path` leads into `json`, as far as the outline knows, and returns the rest of the path;
    /// `None` where nothing of that name stands.
    pub(super) fn lead<'a, 'p>(&self, json: &'a [u8], path: &'p str) -> Option<(Scanner<'a>, Option<&'p str>)> {
        let (name, rest) = first(path);
        let position = self.keys.iter().position(|key| key & 1 == 0 && is_named(json, *key, name))?;
        let members = &self.keys[position + 1..];
        let members = &members[..members.iter().position(|key| key & 1 == 0).unwrap_or(members.len())];
        let Some(rest) = rest.filter(|_| !members.is_empty()) else { return value(json, self.keys[position], rest) };
        let (name, rest) = first(rest);
        value(json, *members.iter().find(|key| is_named(json, **key, name))?, rest)
    }
}

/// Divides a path into its first name and what follows.
pub(super) fn first(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)))
}

fn is_named(json: &[u8], key: u32, name: &str) -> bool {
    let at = (key >> 1) as usize;
    // Nearly all are told apart by their first letter.
    match (json.get(at + 1), name.as_bytes().first()) {
        (Some(b'\\'), _) => {}
        (Some(b'"'), None) => return true,
        (letter, first) if letter != first => return false,
        _ => {}
    }
    Scanner::new(&json[at..]).string().is_ok_and(|key| key == name)
}

fn value<'a, 'p>(json: &'a [u8], key: u32, rest: Option<&'p str>) -> Option<(Scanner<'a>, Option<&'p str>)> {
    let mut scanner = Scanner::new(json.get((key >> 1) as usize..)?);
    let passed: Result<(), Error> = scanner.key();
    passed.ok().map(|()| (scanner, rest))
}
