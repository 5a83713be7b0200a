//! The metadata of one object in a compact form, without an allocation of its own for each word.
//!
//! A head says what [`Metadata`] says: a UUID in 16 bytes, a version as a number, texts behind their length. It travels in
//! front of the JSON, stores begin their records with it, and only who looks at metadata makes a [`Metadata`] of it.
use std::borrow::Cow;

use crate::resource::{ObjectKey, OwnerReference, ResourceVersion};

use super::Metadata;
use super::compact::{Cursor, write_bytes, write_number};
use super::text::{TextRef, Version, parse_uuid, write_uuid};

/// The uid is a UUID of 16 bytes.
const UUID: u8 = 1;
/// The version is a number.
const NUMBER: u8 = 2;
/// There is a generation.
const GENERATION: u8 = 4;
/// There is a deletion timestamp.
const DELETING: u8 = 8;
/// The first flag that whoever stores a head may set, in its first byte.
pub(crate) const FREE_FLAG: u8 = 16;

/// How many bytes behind the flags are left to whoever stores a head.
pub(crate) const RESERVED: usize = 3;

/// Where the name begins.
pub(crate) const NAME: usize = 1 + RESERVED;

/// The owner is the controller.
pub(crate) const CONTROLLER: u8 = 1;

/// The first part of a head, and a cursor at the rest.
pub(crate) struct Head<'a> {
    pub(crate) flags: u8,
    pub(crate) reserved: &'a [u8],
    /// The key; in a store, which knows namespaces otherwise, the name.
    pub(crate) name: &'a [u8],
    uid: &'a [u8],
    version: Version<'a>,
    generation: Option<i64>,
    /// Labels, finalizers and owners.
    pub(crate) rest: Cursor<'a>,
}

impl<'a> Head<'a> {
    pub(crate) fn parse(head: &'a [u8]) -> Self {
        let mut rest = Cursor(head);
        let (flags, reserved) = (rest.byte(), rest.take(RESERVED));
        let name = rest.bytes();
        let uid = if flags & UUID == 0 { rest.bytes() } else { rest.take(16) };
        let version = if flags & NUMBER == 0 { Version::Other(rest.text()) } else { Version::Number(rest.number()) };
        // As unsigned: generations count from 1.
        let generation = (flags & GENERATION != 0).then(|| rest.number() as i64);
        Self { flags, reserved, name, uid, version, generation, rest }
    }

    /// Returns the name as text.
    pub(crate) fn name(&self) -> &'a str {
        std::str::from_utf8(self.name).unwrap_or_default()
    }

    /// Returns the generation, where the kind has one.
    pub(crate) fn generation(&self) -> Option<i64> {
        self.generation
    }

    /// Says whether the object is being deleted.
    pub(crate) fn is_deleting(&self) -> bool {
        self.flags & DELETING != 0
    }

    /// Says whether the API server has given it a version.
    pub(crate) fn has_version(&self) -> bool {
        self.version != Version::Other("")
    }

    /// Returns the uid as the API server spelled it.
    pub(crate) fn uid(&self) -> String {
        let mut uid = Vec::with_capacity(36);
        self.write_uid(&mut uid);
        String::from_utf8(uid).unwrap_or_default()
    }

    /// Says whether this is the uid.
    pub(crate) fn is_of_uid(&self, uid: &str) -> bool {
        match parse_uuid(uid.as_bytes()) {
            Some(uuid) => self.flags & UUID != 0 && self.uid == uuid,
            None => self.flags & UUID == 0 && self.uid == uid.as_bytes(),
        }
    }

    /// Returns the version as the API server spelled it.
    pub(crate) fn version(&self) -> ResourceVersion {
        self.version.with_text(ResourceVersion::new)
    }

    /// Says whether both are of one life of an object.
    pub(crate) fn has_uid_of(&self, other: &Head<'_>) -> bool {
        self.flags & UUID == other.flags & UUID && self.uid == other.uid
    }

    /// Says whether both are of one version.
    pub(crate) fn has_version_of(&self, other: &Head<'_>) -> bool {
        self.version == other.version
    }

    /// Says whether this is for certain a later version than another.
    pub(crate) fn is_later_than(&self, other: &ResourceVersion) -> bool {
        if let (Version::Number(own), Version::Number(other)) = (self.version, Version::of(other.as_str())) {
            return own > other && other > 0;
        }
        self.version().compare(other).is_some_and(std::cmp::Ordering::is_gt)
    }

    /// Appends the uid as the API server spelled it.
    pub(crate) fn write_uid(&self, out: &mut Vec<u8>) {
        if self.flags & UUID == 0 { out.extend_from_slice(self.uid) } else { write_uuid(self.uid, out) }
    }

    /// Lends the version as the API server spelled it to `read`.
    pub(crate) fn with_version<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        self.version.with_text(read)
    }
}

/// A text as it is scanned: UTF-8.
pub(super) type Text<'a> = Cow<'a, [u8]>;

/// What a head is written of.
#[derive(Debug, Default)]
pub(super) struct Source<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) namespace: Option<Text<'a>>,
    pub(super) uid: Option<Text<'a>>,
    pub(super) version: Option<Text<'a>>,
    pub(super) generation: Option<i64>,
    pub(super) deleting: bool,
    /// Sorted by key.
    pub(super) labels: Vec<(Text<'a>, Text<'a>)>,
    pub(super) finalizers: Vec<Text<'a>>,
    pub(super) owners: Vec<Owner<'a>>,
}

/// An owner reference as it is read.
#[derive(Debug, Default)]
pub(super) struct Owner<'a> {
    pub(super) api_version: Option<Text<'a>>,
    pub(super) kind: Option<Text<'a>>,
    pub(super) name: Option<Text<'a>>,
    pub(super) uid: Option<Text<'a>>,
    pub(super) controller: bool,
}

impl Source<'_> {
    /// Appends the head.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (uid, version) = (words_of(&self.uid), words_of(&self.version));
        let (uuid, number) = (parse_uuid(uid), std::str::from_utf8(version).map_or(Version::Other(""), Version::of));
        let flag = |flag: u8, set: bool| if set { flag } else { 0 };
        out.push(
            flag(UUID, uuid.is_some())
                | flag(NUMBER, matches!(number, Version::Number(_)))
                | flag(GENERATION, self.generation.is_some())
                | flag(DELETING, self.deleting),
        );
        out.extend([0; RESERVED]);
        let (namespace, name) = (words_of(&self.namespace), words_of(&self.name));
        let slash: &[u8] = if namespace.is_empty() { b"" } else { b"/" };
        write_number(out, (namespace.len() + slash.len() + name.len()) as u64);
        [namespace, slash, name].into_iter().for_each(|part| out.extend_from_slice(part));
        write_uid(out, uuid, uid);
        match number {
            Version::Number(number) => write_number(out, number),
            Version::Other(_) => write_bytes(out, version),
        }
        if let Some(generation) = self.generation {
            write_number(out, generation as u64);
        }
        write_number(out, self.labels.len() as u64);
        self.labels.iter().for_each(|(key, value)| write_words(out, key, value));
        write_number(out, self.finalizers.len() as u64);
        self.finalizers.iter().for_each(|finalizer| write_words(out, finalizer, b""));
        write_number(out, self.owners.len() as u64);
        self.owners.iter().for_each(|owner| owner.write(out));
    }
}

impl Owner<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let version = words_of(&self.api_version);
        let group = &version[..memchr::memchr(b'/', version).unwrap_or_default()];
        out.push(if self.controller { CONTROLLER } else { 0 });
        write_words(out, group, words_of(&self.kind));
        write_owner_name(out, words_of(&self.name));
        let uid = words_of(&self.uid);
        write_told_uid(out, parse_uuid(uid), uid);
    }
}

fn words_of<'a>(text: &'a Option<Text<'_>>) -> &'a [u8] {
    text.as_deref().unwrap_or_default()
}

fn write_uid(out: &mut Vec<u8>, uuid: Option<[u8; 16]>, text: &[u8]) {
    match uuid {
        Some(bytes) => out.extend_from_slice(&bytes),
        None => write_bytes(out, text),
    }
}

/// Appends a uid behind a byte that says of which form it is.
fn write_told_uid(out: &mut Vec<u8>, uuid: Option<[u8; 16]>, text: &[u8]) {
    out.push(u8::from(uuid.is_some()));
    write_uid(out, uuid, text);
}

/// Appends the uid of an owner.
pub(crate) fn write_owner_uid(out: &mut Vec<u8>, uid: TextRef<'_>) {
    match uid {
        TextRef::Uuid(bytes) => write_told_uid(out, Some(bytes), &[]),
        TextRef::Other(text) => write_told_uid(out, None, text.as_bytes()),
    }
}

/// Appends two words as they are: stores write numbers for those that many objects share.
pub(crate) fn write_words(out: &mut Vec<u8>, first: &[u8], second: &[u8]) {
    out.push(0);
    write_bytes(out, first);
    write_bytes(out, second);
}

/// Reads two words that stand as they are.
pub(crate) fn words<'a>(rest: &mut Cursor<'a>) -> (&'a [u8], &'a [u8]) {
    rest.byte();
    (rest.bytes(), rest.bytes())
}

/// Appends the name of an owner as it is: stores write how much it is of the name of the object.
pub(crate) fn write_owner_name(out: &mut Vec<u8>, name: &[u8]) {
    out.push(0);
    write_bytes(out, name);
}

/// Reads the name of an owner that stands as it is.
pub(crate) fn owner_name<'a>(rest: &mut Cursor<'a>) -> &'a [u8] {
    rest.byte();
    rest.bytes()
}

/// One owner in a head.
pub(crate) struct OwnerView<'a> {
    pub(crate) controller: bool,
    group: &'a [u8],
    kind: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) uid: TextRef<'a>,
}

impl<'a> OwnerView<'a> {
    pub(crate) fn parse(rest: &mut Cursor<'a>) -> Self {
        let controller = rest.byte() & CONTROLLER != 0;
        let (group, kind) = words(rest);
        Self { controller, group, kind, name: owner_name(rest), uid: rest.uid() }
    }

    /// Says whether the owner is of this group and kind.
    pub(crate) fn is_of(&self, group: &str, kind: &str) -> bool {
        self.group == group.as_bytes() && self.kind == kind.as_bytes()
    }

    pub(crate) fn to_reference(&self) -> OwnerReference {
        let Self { controller, group, kind, name, .. } = *self;
        let mut uid = Vec::with_capacity(36);
        self.uid.write(&mut uid);
        OwnerReference { group: boxed(group), kind: boxed(kind), name: boxed(name), uid: boxed(&uid), controller }
    }
}

/// Returns the labels, in the order of their keys.
pub(crate) fn labels(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Head::parse(head).rest;
    (0..rest.number()).map(move |_| words(&mut rest))
}

/// Returns the owners, in the order of their references.
pub(crate) fn owners(head: &[u8]) -> impl Iterator<Item = OwnerView<'_>> {
    let mut rest = Head::parse(head).rest;
    for _ in 0..2 {
        (0..rest.number()).for_each(|_| _ = words(&mut rest));
    }
    (0..rest.number()).map(move |_| OwnerView::parse(&mut rest))
}

/// Returns the owner that manages the object.
pub(crate) fn controller(head: &[u8]) -> Option<OwnerView<'_>> {
    owners(head).find(|owner| owner.controller)
}

/// Texts come from JSON, so they are UTF-8.
fn boxed(text: &[u8]) -> Box<str> {
    std::str::from_utf8(text).unwrap_or_default().into()
}

/// Returns what a head says.
pub(crate) fn metadata(head: &[u8]) -> Metadata {
    metadata_of(head, ObjectKey::from_text(Head::parse(head).name()))
}

/// Returns what the head of the object with this key says.
pub(crate) fn metadata_of(head: &[u8], key: ObjectKey) -> Metadata {
    let view = Head::parse(head);
    let mut rest = view.rest;
    let labels = (0..rest.number()).map(|_| words(&mut rest)).map(|(key, value)| (boxed(key), boxed(value)));
    let labels = labels.collect();
    let finalizers = (0..rest.number()).map(|_| boxed(words(&mut rest).0)).collect();
    let owners = (0..rest.number()).map(|_| OwnerView::parse(&mut rest).to_reference()).collect();
    Metadata {
        key,
        uid: view.uid().into(),
        resource_version: view.version(),
        generation: view.generation,
        deleting: view.is_deleting(),
        labels,
        finalizers,
        owners,
    }
}
