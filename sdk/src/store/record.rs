//! The bytes of one object: its metadata in a compact form, then its JSON without that metadata, packed.
//!
//! There are two forms. A *stored* record names shared words by number and leaves to the entry what the entry's links
//! say: its namespace, and the uid of its controller. A *whole* record says everything itself, so it can be read
//! without the store. What differs is the heads; the packed body is the same.
use crate::resource::{ObjectKey, OwnerReference, ResourceVersion};
use crate::wire::{Metadata, RawObject};

use super::bytes::{Cursor, write_bytes, write_number};
use super::codec;
use super::names::Names;
use super::packing::{END, Packing};
use super::splice::{self, Parts};
use super::text::{Text, TextRef, Version, write_uuid};

/// The uid is a UUID of 16 bytes.
const UUID: u8 = 1;
/// The version is a number.
const NUMBER: u8 = 2;
/// There is a generation.
const GENERATION: u8 = 4;
/// There is a deletion timestamp.
const DELETING: u8 = 8;
/// Parts were cut out of the body.
const CUT: u8 = 16;

/// The owner is the controller.
const CONTROLLER: u8 = 1;
/// The owner's uid is left to the index of controllers.
const INDEXED: u8 = 2;

/// The first part of a record: what needs no words.
pub(super) struct Head<'a> {
    flags: u8,
    /// How the body is packed.
    pub(super) packing: Packing,
    /// The name in a stored record, the whole key in a whole one.
    pub(super) name: &'a str,
    uid: &'a [u8],
    version: Version<'a>,
    generation: Option<i64>,
    rest: Cursor<'a>,
}

impl<'a> Head<'a> {
    pub(super) fn parse(record: &'a [u8]) -> Self {
        let mut rest = Cursor(record);
        let (flags, packing) = (rest.byte(), Packing::parse(&mut rest));
        let name = rest.text();
        let uid = if flags & UUID == 0 { rest.bytes() } else { rest.take(16) };
        let version = if flags & NUMBER == 0 { Version::Other(rest.text()) } else { Version::Number(rest.number()) };
        // As unsigned: generations count from 1.
        let generation = (flags & GENERATION != 0).then(|| rest.number() as i64);
        Self { flags, packing, name, uid, version, generation, rest }
    }

    /// Says whether this is an object of that uid.
    pub(super) fn has_uid(&self, uid: &Text) -> bool {
        match uid {
            Text::Uuid(bytes) => self.flags & UUID != 0 && self.uid == bytes,
            Text::Other(text) => self.flags & UUID == 0 && self.uid == text.as_bytes(),
        }
    }

    /// Says whether this is that version of an object.
    pub(super) fn has_version(&self, version: &ResourceVersion) -> bool {
        self.version == Version::of(version.as_str())
    }

    /// Says whether this is for certain a later version than another.
    pub(super) fn is_later_than(&self, other: &ResourceVersion) -> bool {
        if let (Version::Number(own), Version::Number(other)) = (self.version, Version::of(other.as_str())) {
            return own > other && other > 0;
        }
        let mut own = String::new();
        self.version.write(&mut own);
        ResourceVersion::new(&own).compare(other).is_some_and(std::cmp::Ordering::is_gt)
    }

    fn write_uid(&self, out: &mut Vec<u8>) {
        if self.flags & UUID == 0 { out.extend_from_slice(self.uid) } else { write_uuid(self.uid, out) }
    }
}

/// Returns the name in a stored record: what a table compares.
pub(super) fn name(record: &[u8]) -> &[u8] {
    Cursor(record.get(END..).unwrap_or_default()).bytes()
}

/// Returns the value of a label in a stored record.
pub(super) fn label<'a>(record: &'a [u8], names: &'a Names, key: &str) -> Option<&'a str> {
    let mut rest = Head::parse(record).rest;
    let value =
        (0..rest.number()).map(|_| words(&mut rest, Some(names))).find(|(label, _)| *label == key.as_bytes())?.1;
    std::str::from_utf8(value).ok()
}

/// Returns the labels in a whole record.
pub(super) fn labels(whole: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Head::parse(whole).rest;
    (0..rest.number()).map(move |_| pair(&mut rest, None))
}

/// Returns the packed body of a record of either form, and where it begins.
pub(super) fn body(record: &[u8]) -> (usize, &[u8]) {
    let mut rest = Head::parse(record).rest;
    pass(&mut rest, |_| {});
    (record.len() - rest.0.len(), rest.0)
}

/// Appends to nothing a record with another body.
pub(super) fn write_with_body(record: &[u8], packing: Packing, body: &[u8], out: &mut Vec<u8>) {
    let (head, _) = record.split_at(self::body(record).0);
    out.extend_from_slice(head);
    out.extend_from_slice(body);
    packing.write(out);
}

/// Buffers for writing records.
#[derive(Default)]
pub(super) struct Scratch {
    parts: Parts,
    pub(super) text: Vec<u8>,
    pub(super) whole: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Scratch {
    /// Gives back what one large object has left behind.
    pub(super) fn shrink(&mut self) {
        codec::shrink(&mut self.text);
        codec::shrink(&mut self.whole);
        codec::shrink(&mut self.body);
    }
}

/// Writes the whole record of `object` into `scratch`, without its body; the text is what is to be packed for that.
pub(super) fn write(object: &RawObject, scratch: &mut Scratch) {
    let Scratch { parts, text, whole, .. } = scratch;
    whole.clear();
    write_head(object.metadata(), whole);
    fill(whole, parts);
    text.clear();
    if splice::cut(object.json(), object.metadata_place(), parts, text) {
        whole[0] |= CUT;
    } else {
        text.extend_from_slice(object.json());
    }
}

fn write_head(metadata: &Metadata, out: &mut Vec<u8>) {
    let (uid, version) = (TextRef::of(&metadata.uid), Version::of(metadata.resource_version.as_str()));
    let flag = |flag: u8, set: bool| if set { flag } else { 0 };
    out.push(
        flag(UUID, matches!(uid, TextRef::Uuid(_)))
            | flag(NUMBER, matches!(version, Version::Number(_)))
            | flag(GENERATION, metadata.generation.is_some())
            | flag(DELETING, metadata.deleting),
    );
    out.extend(Packing::NONE.bytes());
    write_bytes(out, metadata.key.as_str().as_bytes());
    write_uid(out, uid);
    match version {
        Version::Number(number) => write_number(out, number),
        Version::Other(text) => write_bytes(out, text.as_bytes()),
    }
    if let Some(generation) = metadata.generation {
        write_number(out, generation as u64);
    }
    write_number(out, metadata.labels.len() as u64);
    metadata.labels.iter().for_each(|(key, value)| write_pair(out, key, value));
    write_number(out, metadata.finalizers.len() as u64);
    metadata.finalizers.iter().for_each(|finalizer| write_pair(out, finalizer, ""));
    write_number(out, metadata.owners.len() as u64);
    for owner in &metadata.owners {
        out.push(flag(CONTROLLER, owner.controller));
        write_pair(out, &owner.group, &owner.kind);
        write_number(out, 0);
        write_bytes(out, owner.name.as_bytes());
        write_owner_uid(out, TextRef::of(&owner.uid));
    }
}

fn write_uid(out: &mut Vec<u8>, uid: TextRef<'_>) {
    match uid {
        TextRef::Uuid(bytes) => out.extend_from_slice(&bytes),
        TextRef::Other(text) => write_bytes(out, text.as_bytes()),
    }
}

/// Appends a uid behind a byte that says of which form it is.
fn write_owner_uid(out: &mut Vec<u8>, uid: TextRef<'_>) {
    out.push(u8::from(matches!(uid, TextRef::Uuid(_))));
    write_uid(out, uid);
}

/// Appends the stored form of a whole record: shared words become numbers.
pub(super) fn intern(whole: &[u8], names: &mut Names, out: &mut Vec<u8>) {
    let head = Head::parse(whole);
    write_prefix(&head, whole, None, head.name.rsplit('/').next().unwrap_or_default(), out);
    let mut rest = head.rest;
    copy(&head, &mut rest, out, Uids::Dropped, |rest, out| {
        let (first, second) = pair(rest, None);
        // Asking counts as a use.
        let half = |names: &mut Names| if second.is_empty() { None } else { names.intern(first, "") };
        if let Some(id) = names.intern(first, second) {
            write_number(out, (u64::from(id) + 1) << 1);
        } else if let Some(id) = half(names) {
            write_number(out, (u64::from(id) + 1) << 1 | 1);
            write_bytes(out, second.as_bytes());
        } else {
            write_pair(out, first, second);
        }
    });
    out.extend_from_slice(rest.0);
}

/// Takes back the uses of words of a stored record.
pub(super) fn release(record: &[u8], names: &mut Names) {
    pass(&mut Head::parse(record).rest, |id| names.release(id));
}

/// Appends the whole form of a stored record.
pub(super) fn expand(
    record: &[u8],
    namespace: Option<&Text>,
    controller: Option<&Text>,
    names: &Names,
    out: &mut Vec<u8>,
) {
    let head = Head::parse(record);
    write_prefix(&head, record, namespace, head.name, out);
    let mut rest = head.rest;
    copy(&head, &mut rest, out, Uids::Known(controller), |rest, out| {
        let (first, second) = words(rest, Some(names));
        out.push(0);
        write_bytes(out, first);
        write_bytes(out, second);
    });
    out.extend_from_slice(rest.0);
}

/// Appends the first part of a record under another name.
fn write_prefix(head: &Head<'_>, record: &[u8], namespace: Option<&Text>, name: &str, out: &mut Vec<u8>) {
    let mut behind_name = Cursor(record.get(END..).unwrap_or_default());
    behind_name.bytes();
    let fixed = behind_name.0.len() - head.rest.0.len();
    out.push(head.flags);
    out.extend(head.packing.bytes());
    write_number(out, (namespace.map_or(0, |namespace| namespace.len() + 1) + name.len()) as u64);
    if let Some(namespace) = namespace {
        namespace.write(out);
        out.push(b'/');
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&behind_name.0[..fixed]);
}

/// Returns the uid of the controller in a whole record.
pub(super) fn controller_uid(whole: &[u8]) -> Option<Text> {
    controller(whole).map(|owner| owner.uid.to_text())
}

fn controller(whole: &[u8]) -> Option<OwnerView<'_>> {
    let mut rest = Head::parse(whole).rest;
    for _ in 0..2 {
        (0..rest.number()).for_each(|_| _ = skip_pair(&mut rest));
    }
    (0..rest.number()).map(|_| OwnerView::parse(&mut rest)).find(|owner| owner.controller)
}

/// Returns the metadata in a whole record.
pub(super) fn metadata(whole: &[u8]) -> Metadata {
    let head = Head::parse(whole);
    let (mut uid, mut version) = (Vec::with_capacity(36), String::new());
    head.write_uid(&mut uid);
    head.version.write(&mut version);
    let mut rest = head.rest;
    let labels = (0..rest.number()).map(|_| pair(&mut rest, None)).map(|(key, value)| (key.into(), value.into()));
    let labels = labels.collect();
    let finalizers = (0..rest.number()).map(|_| pair(&mut rest, None).0.into()).collect();
    let owners = (0..rest.number()).map(|_| OwnerView::parse(&mut rest).to_reference()).collect();
    Metadata {
        key: ObjectKey::from_text(head.name),
        uid: String::from_utf8_lossy(&uid).into(),
        resource_version: ResourceVersion::new(&version),
        generation: head.generation,
        deleting: head.flags & DELETING != 0,
        labels,
        finalizers,
        owners,
    }
}

/// Returns the packed body of a whole record, and collects the parts that are to be spliced into it.
pub(super) fn open<'a>(whole: &'a [u8], parts: &mut Parts) -> &'a [u8] {
    if whole.first().is_some_and(|flags| flags & CUT == 0) {
        parts.clear();
        return body(whole).1;
    }
    fill(whole, parts)
}

/// Collects the texts that are cut out of the body of a whole record, as the API server spells them, and returns what
/// stands behind its head. One pass: this is a part of every read.
fn fill<'a>(whole: &'a [u8], parts: &mut Parts) -> &'a [u8] {
    let head = Head::parse(whole);
    let (namespace, name) = head.name.split_once('/').unwrap_or(("", head.name));
    let member = |out: &mut Vec<u8>, key: &[u8], value: &[u8]| {
        [b"\"", key, b"\":\"", value, b"\""].into_iter().for_each(|piece| out.extend_from_slice(piece));
    };
    parts.clear();
    parts.push(|out| member(out, b"name", name.as_bytes()));
    parts.push(|out| member(out, b"namespace", namespace.as_bytes()));
    parts.push(|out| {
        out.extend_from_slice(b"\"uid\":\"");
        head.write_uid(out);
        out.push(b'"');
    });
    let mut version = String::with_capacity(20);
    head.version.write(&mut version);
    parts.push(|out| member(out, b"resourceVersion", version.as_bytes()));
    let mut rest = head.rest;
    parts.push(|out| {
        let count = rest.number();
        if count == 0 {
            return;
        }
        out.extend_from_slice(b"\"labels\":");
        for position in 0..count {
            let (key, value) = words(&mut rest, None);
            out.push(if position == 0 { b'{' } else { b',' });
            member(out, key, value);
        }
        out.push(b'}');
    });
    (0..rest.number()).for_each(|_| _ = skip_pair(&mut rest));
    let owners = (0..rest.number()).map(|_| OwnerView::parse(&mut rest));
    // All of them, as the body stands behind the last.
    let owner = owners.fold(None, |found, owner| found.or(owner.controller.then_some(owner)));
    parts.push(|out| {
        if let Some(owner) = &owner {
            out.extend_from_slice(b"\"uid\":\"");
            owner.uid.write(out);
            out.push(b'"');
        }
    });
    let mut named = |key: &[u8], suffix: &[u8]| {
        parts.push(|out| {
            if let Some(owner) = &owner {
                let pieces = [b"\"", key, b"\":\"", owner.name.as_bytes(), suffix, b"\""];
                pieces.into_iter().for_each(|piece| out.extend_from_slice(piece));
            }
        });
    };
    named(b"name", b"");
    // Pods are called after what made them.
    named(b"generateName", b"-");
    rest.0
}

/// What becomes of the controller's uid when a head is copied.
#[derive(Clone, Copy)]
enum Uids<'a> {
    /// It goes to the index.
    Dropped,
    /// It comes from the index.
    Known(Option<&'a Text>),
}

/// Copies labels, finalizers and owners; `word` copies one pair of words.
fn copy<'a>(
    head: &Head<'a>,
    rest: &mut Cursor<'a>,
    out: &mut Vec<u8>,
    uids: Uids<'_>,
    mut word: impl FnMut(&mut Cursor<'a>, &mut Vec<u8>),
) {
    for _ in 0..2 {
        let count = rest.number();
        write_number(out, count);
        (0..count).for_each(|_| word(rest, out));
    }
    let count = rest.number();
    write_number(out, count);
    let mut controlled = false;
    for _ in 0..count {
        let flags = rest.byte();
        let first = flags & CONTROLLER != 0 && !controlled;
        controlled |= first;
        let at = out.len();
        out.push(flags & CONTROLLER);
        word(rest, out);
        let object = head.name.rsplit('/').next().unwrap_or_default().as_bytes();
        let name = rest.owner_name(object);
        // Children are mostly called after their owner, with something behind it.
        let prefix = if object.starts_with(name) && matches!(uids, Uids::Dropped) { name.len() } else { 0 };
        write_number(out, prefix as u64);
        if prefix == 0 {
            write_bytes(out, name);
        }
        let uid = (flags & INDEXED == 0).then(|| rest.uid());
        match (uids, uid) {
            (Uids::Dropped, _) if first => out[at] |= INDEXED,
            (Uids::Known(Some(uid)), None) => write_owner_uid(out, uid.view()),
            (_, Some(uid)) => write_owner_uid(out, uid),
            (_, None) => out[at] |= INDEXED,
        }
    }
}

/// Passes labels, finalizers and owners; `word` gets the number of each word that has one.
fn pass(rest: &mut Cursor<'_>, mut word: impl FnMut(u32)) {
    for _ in 0..2 {
        (0..rest.number()).filter_map(|_| skip_pair(rest)).for_each(&mut word);
    }
    for _ in 0..rest.number() {
        let flags = rest.byte();
        skip_pair(rest).into_iter().for_each(&mut word);
        if rest.number() == 0 {
            rest.bytes();
        }
        if flags & INDEXED == 0 {
            rest.uid();
        }
    }
}

/// One owner in a whole record.
struct OwnerView<'a> {
    controller: bool,
    group: &'a str,
    kind: &'a str,
    name: &'a str,
    uid: TextRef<'a>,
}

impl<'a> OwnerView<'a> {
    fn parse(rest: &mut Cursor<'a>) -> Self {
        let controller = rest.byte() & CONTROLLER != 0;
        let (group, kind) = pair(rest, None);
        let name = rest.owner_name(b"");
        Self { controller, group, kind, name: std::str::from_utf8(name).unwrap_or_default(), uid: rest.uid() }
    }

    fn to_reference(&self) -> OwnerReference {
        let Self { controller, group, kind, name, .. } = *self;
        let mut uid = Vec::with_capacity(36);
        self.uid.write(&mut uid);
        let uid = String::from_utf8_lossy(&uid).into();
        OwnerReference { group: group.into(), kind: kind.into(), name: name.into(), uid, controller }
    }
}

/// Reads a pair of words as text.
fn pair<'a>(rest: &mut Cursor<'a>, names: Option<&'a Names>) -> (&'a str, &'a str) {
    let (first, second) = words(rest, names);
    let text = |word| std::str::from_utf8(word).unwrap_or_default();
    (text(first), text(second))
}

/// Reads a pair of words: by number, half by number, or as it is. As bytes, since most of them are only copied.
fn words<'a>(rest: &mut Cursor<'a>, names: Option<&'a Names>) -> (&'a [u8], &'a [u8]) {
    let tag = rest.number();
    let known = u32::try_from((tag >> 1).wrapping_sub(1)).ok().zip(names).map(|(id, names)| names.get(id));
    match known {
        Some((first, _)) if tag & 1 == 1 => (first.as_bytes(), rest.bytes()),
        Some((first, second)) => (first.as_bytes(), second.as_bytes()),
        None => (rest.bytes(), rest.bytes()),
    }
}

/// Passes a pair of words, and returns the number it has.
fn skip_pair(rest: &mut Cursor<'_>) -> Option<u32> {
    let tag = rest.number();
    let texts = if tag == 0 { 2 } else { tag & 1 };
    (0..texts).for_each(|_| _ = rest.bytes());
    u32::try_from((tag >> 1).wrapping_sub(1)).ok()
}

fn write_pair(out: &mut Vec<u8>, first: &str, second: &str) {
    out.push(0);
    write_bytes(out, first.as_bytes());
    write_bytes(out, second.as_bytes());
}
