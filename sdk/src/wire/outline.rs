//! Where the members of an object stand, and theirs: noted when it is scanned, so that fields are found without a walk.
use std::ops::Range;

use super::Error;
use super::scan::Scanner;

/// Bytes of one position.
const KEY: usize = size_of::<u32>();

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

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Forgets all keys but the first ones.
    pub(super) fn truncate(&mut self, count: usize) {
        self.keys.truncate(count);
    }

    /// Counts from where the object begins.
    pub(super) fn start(&mut self, start: usize) {
        self.keys.iter_mut().for_each(|key| *key -= (start as u32) << 1);
    }

    /// Appends it as bytes, for [`OutlineView`], when some bytes are taken out in which no key stands.
    pub(super) fn write(&self, cut: &Range<usize>, out: &mut Vec<u8>) {
        for key in &self.keys {
            let behind = if *key >> 1 >= cut.end as u32 { (cut.len() as u32) << 1 } else { 0 };
            out.extend_from_slice(&(key - behind).to_le_bytes());
        }
    }
}

/// An outline as it travels behind the object's bytes; empty where nobody has made one.
#[derive(Clone, Copy)]
pub(super) struct OutlineView<'a>(&'a [[u8; KEY]]);

impl<'a> OutlineView<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    /// Says whether it is that of no object: an object that was scanned has metadata.
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Goes to the value where `path` leads into `json`, as far as the outline knows, and returns the rest of the path;
    /// `None` where nothing of that name stands.
    pub(super) fn lead<'j, 'p>(self, json: &'j [u8], path: &'p str) -> Option<(Scanner<'j>, Option<&'p str>)> {
        let (name, rest) = first(path);
        let keys = || self.0.iter().map(|key| u32::from_le_bytes(*key));
        let position = keys().position(|key| key & 1 == 0 && is_named(json, key, name))?;
        let mut members = keys().skip(position + 1).take_while(|key| key & 1 == 1).peekable();
        let inner = rest.filter(|_| members.peek().is_some());
        let Some(inner) = inner else { return value(json, keys().nth(position)?, rest) };
        let (name, rest) = first(inner);
        value(json, members.find(|key| is_named(json, *key, name))?, rest)
    }
}

/// Divides a path into its first name and what follows.
pub(super) fn first(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)))
}

fn is_named(json: &[u8], key: u32, name: &str) -> bool {
    let at = (key >> 1) as usize;
    let spelled = json.get(at + 1..).unwrap_or_default();
    // Up to where the key ends or something in it is escaped.
    let plain = |byte: u8| byte != b'"' && byte != b'\\';
    let same = spelled.iter().zip(name.as_bytes()).take_while(|(one, other)| one == other && plain(**one)).count();
    match spelled.get(same) {
        Some(b'"') => same == name.len(),
        Some(b'\\') => Scanner::new(&json[at..]).text().is_ok_and(|key| *key == *name.as_bytes()),
        _ => false,
    }
}

fn value<'a, 'p>(json: &'a [u8], key: u32, rest: Option<&'p str>) -> Option<(Scanner<'a>, Option<&'p str>)> {
    let mut scanner = Scanner::new(json.get((key >> 1) as usize..)?);
    let passed: Result<(), Error> = scanner.key();
    passed.ok().map(|()| (scanner, rest))
}
