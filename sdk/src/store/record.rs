//! The bytes of one object: its metadata in a compact form, then its JSON without that metadata, packed.
//!
//! There are two forms. A *stored* record names shared words by number and leaves to the entry what the entry's links
//! say: its namespace, and the uid of its controller. A *whole* record says everything itself, so it can be read
//! without the store. What differs is the heads; the packed body is the same.
use crate::wire::RawObject;
use crate::wire::compact::{Cursor, write_bytes, write_number};
use crate::wire::head::{
    CONTROLLER, FREE_FLAG, Head, NAME, OwnerView, owner_name, words as spelled, write_owner_name, write_owner_uid,
    write_words,
};
use crate::wire::text::{Text, TextRef};

use super::codec;
use super::names::Names;
use super::packing::Packing;
use super::splice::{self, Parts};

/// Parts were cut out of the body.
const CUT: u8 = FREE_FLAG;

/// The owner's uid is left to the index of controllers.
const INDEXED: u8 = CONTROLLER << 1;

/// Where the upper flags of a stored record begin: which label, counted from 1, has as its value what the name begins with
/// and does not spell out. Most objects are called after what they are labelled with.
const LABEL: u32 = (FREE_FLAG << 1).trailing_zeros();

/// How many labels these flags can tell apart.
const LABELS: usize = (u8::MAX >> LABEL) as usize;

/// What at least a label must say of a name: its words lie elsewhere, which costs a look at two places that are mostly cold
/// where keys of many objects are listed, and is worth a twelfth of a record.
const LEAST_SHARED: usize = 16;

/// Says whether a stored record is of this name: what a table compares.
pub(super) fn is_named(record: &[u8], names: &Names, name: &[u8]) -> bool {
    name.strip_suffix(own_name(record)).is_some_and(|rest| rest == shared_name(record, names))
}

/// Appends the name in a stored record.
pub(super) fn write_name(record: &[u8], names: &Names, out: &mut Vec<u8>) {
    out.extend_from_slice(shared_name(record, names));
    out.extend_from_slice(own_name(record));
}

/// Returns what a stored record spells out of its name.
fn own_name(record: &[u8]) -> &[u8] {
    Cursor(record.get(NAME..).unwrap_or_default()).bytes()
}

/// Returns what a stored record leaves to a label of its name.
fn shared_name<'a>(record: &'a [u8], names: &'a Names) -> &'a [u8] {
    shared_by(record.first().copied().unwrap_or_default(), || Head::parse(record).rest, names)
}

/// Returns what the flags leave to one of the labels, which are looked at only then.
fn shared_by<'a>(flags: u8, labels: impl FnOnce() -> Cursor<'a>, names: &'a Names) -> &'a [u8] {
    let label = flags >> LABEL;
    if label == 0 {
        return &[];
    }
    let mut labels = labels();
    labels.number();
    (1..label).for_each(|_| _ = skip_pair(&mut labels));
    words(&mut labels, names).1
}

/// Returns the flag of the label whose value is most of what `name` begins with, and how much that is.
fn sharing(name: &[u8], mut labels: Cursor<'_>) -> (u8, usize) {
    let mut most = (0, 0);
    for label in 1..=labels.number().min(LABELS as u64) as u8 {
        let value = spelled(&mut labels).1;
        if value.len() >= LEAST_SHARED && value.len() > most.1 && name.starts_with(value) {
            most = (label << LABEL, value.len());
        }
    }
    most
}

/// Returns the value of a label in a stored record.
pub(super) fn label<'a>(record: &'a [u8], names: &'a Names, key: &str) -> Option<&'a str> {
    let mut rest = Head::parse(record).rest;
    let value = (0..rest.number()).map(|_| words(&mut rest, names)).find(|(label, _)| *label == key.as_bytes())?.1;
    std::str::from_utf8(value).ok()
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
    let Scratch { text, whole, .. } = scratch;
    whole.clear();
    whole.extend_from_slice(object.head());
    text.clear();
    if splice::cut(object.json(), object.marks(), text) {
        whole[0] |= CUT;
    }
}

/// Returns the head of a whole record as it came from the wire.
pub(super) fn head(whole: &[u8]) -> Vec<u8> {
    let mut head = whole[..body(whole).0].to_vec();
    head[0] &= !CUT;
    Packing::NONE.write(&mut head);
    head
}

/// Appends the stored form of a whole record: shared words become numbers. Returns what it leaves to the index of
/// controllers.
pub(super) fn intern(whole: &[u8], names: &mut Names, out: &mut Vec<u8>) -> Option<Text> {
    let head = Head::parse(whole);
    let object = object_name(&head);
    let (label, shared) = sharing(object, head.rest);
    write_prefix(&head, whole, head.flags | label, object.len() - shared, out, |out| {
        out.extend_from_slice(&object[shared..]);
    });
    let mut rest = head.rest;
    // Children are mostly called after their owner, with something behind it.
    let owner = |rest: &mut Cursor<'_>, out: &mut Vec<u8>| {
        let name = owner_name(rest);
        let prefix = if object.starts_with(name) { name.len() } else { 0 };
        write_number(out, prefix as u64);
        if prefix == 0 {
            write_bytes(out, name);
        }
    };
    let controller = copy(&mut rest, out, Uids::Dropped, owner, |rest, out| {
        let (first, second) = spelled(rest);
        // Asking counts as a use.
        let half = |names: &mut Names| if second.is_empty() { None } else { names.intern(first, b"") };
        if let Some(id) = names.intern(first, second) {
            write_number(out, (u64::from(id) + 1) << 1);
        } else if let Some(id) = half(names) {
            write_number(out, (u64::from(id) + 1) << 1 | 1);
            write_bytes(out, second);
        } else {
            write_words(out, first, second);
        }
    });
    out.extend_from_slice(rest.0);
    controller
}

/// What a record replaces: what was stored under the key before, in both forms.
pub(super) struct Before<'a> {
    pub(super) whole: &'a [u8],
    pub(super) stored: &'a [u8],
}

/// Appends the stored form of a whole record whose head ends at `end`, if it has the labels, finalizers and owners of what it
/// replaces, as nearly all updates have: then it takes over the words of that, which need not be looked up. Appends nothing
/// otherwise.
pub(super) fn intern_like(before: Before<'_>, whole: &[u8], end: usize, out: &mut Vec<u8>) -> bool {
    let (old, new) = (Head::parse(before.whole), Head::parse(whole));
    let (shared, body) = new.rest.0.split_at(new.rest.0.len() - (whole.len() - end));
    // They end by themselves, so nothing else can begin with the same bytes.
    if old.name != new.name || !old.rest.0.starts_with(shared) {
        return false;
    }
    let stored = Head::parse(before.stored);
    let label = stored.flags >> LABEL << LABEL;
    write_prefix(&new, whole, new.flags | label, stored.name.len(), out, |out| out.extend_from_slice(stored.name));
    let mut behind = stored.rest;
    pass(&mut behind, |_| {});
    out.extend_from_slice(&stored.rest.0[..stored.rest.0.len() - behind.0.len()]);
    out.extend_from_slice(body);
    true
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
    let body = expand_head(record, namespace, controller, names, out);
    out.extend_from_slice(body);
}

/// Appends the head of the whole form of a stored record, and returns its body.
pub(super) fn expand_head<'a>(
    record: &'a [u8],
    namespace: Option<&Text>,
    controller: Option<&Text>,
    names: &'a Names,
    out: &mut Vec<u8>,
) -> &'a [u8] {
    let head = Head::parse(record);
    let before = namespace.map_or(0, |namespace| namespace.len() + 1);
    let shared = shared_by(head.flags, || head.rest, names);
    let (mut at, length) = (0, shared.len() + head.name.len());
    write_prefix(&head, record, head.flags & !(u8::MAX << LABEL), before + length, out, |out| {
        if let Some(namespace) = namespace {
            namespace.write(out);
            out.push(b'/');
        }
        at = out.len();
        out.extend_from_slice(shared);
        out.extend_from_slice(head.name);
    });
    let owner = |rest: &mut Cursor<'_>, out: &mut Vec<u8>| match rest.number() {
        0 => write_owner_name(out, rest.bytes()),
        prefix => {
            write_number(out, 0);
            write_number(out, prefix);
            out.extend_from_within(at..at + length.min(prefix as usize));
        }
    };
    let mut rest = head.rest;
    copy(&mut rest, out, Uids::Known(controller), owner, |rest, out| {
        let (first, second) = words(rest, names);
        write_words(out, first, second);
    });
    rest.0
}

/// Returns the name of an object whose head begins with its name or with its key.
fn object_name<'a>(head: &Head<'a>) -> &'a [u8] {
    memchr::memchr(b'/', head.name).map_or(head.name, |slash| &head.name[slash + 1..])
}

/// Appends the first part of a record with other flags and another name, of this length.
fn write_prefix(
    head: &Head<'_>,
    record: &[u8],
    flags: u8,
    length: usize,
    out: &mut Vec<u8>,
    name: impl FnOnce(&mut Vec<u8>),
) {
    let mut behind_name = Cursor(record.get(NAME..).unwrap_or_default());
    behind_name.bytes();
    let fixed = behind_name.0.len() - head.rest.0.len();
    out.push(flags);
    out.extend_from_slice(head.reserved);
    write_number(out, length as u64);
    name(out);
    out.extend_from_slice(&behind_name.0[..fixed]);
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
    let slash = memchr::memchr(b'/', head.name);
    let (namespace, name) = slash.map_or((&b""[..], head.name), |at| (&head.name[..at], &head.name[at + 1..]));
    let member = |out: &mut Vec<u8>, key: &[u8], value: &[u8]| {
        [b"\"", key, b"\":\"", value, b"\""].into_iter().for_each(|piece| out.extend_from_slice(piece));
    };
    parts.clear();
    parts.push(|out| member(out, b"name", name));
    parts.push(|out| member(out, b"namespace", namespace));
    parts.push(|out| {
        out.extend_from_slice(b"\"uid\":\"");
        head.write_uid(out);
        out.push(b'"');
    });
    parts.push(|out| head.with_version(|version| member(out, b"resourceVersion", version.as_bytes())));
    let mut rest = head.rest;
    parts.push(|out| {
        let count = rest.number();
        if count == 0 {
            return;
        }
        out.extend_from_slice(b"\"labels\":");
        for position in 0..count {
            let (key, value) = spelled(&mut rest);
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
                let pieces = [b"\"", key, b"\":\"", owner.name, suffix, b"\""];
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

/// Copies labels, finalizers and owners; `owner` copies the name of one, and `word` a pair of words. Returns the
/// controller's uid if it is dropped.
fn copy<'a>(
    rest: &mut Cursor<'a>,
    out: &mut Vec<u8>,
    uids: Uids<'_>,
    owner: impl Fn(&mut Cursor<'a>, &mut Vec<u8>),
    mut word: impl FnMut(&mut Cursor<'a>, &mut Vec<u8>),
) -> Option<Text> {
    for _ in 0..2 {
        let count = rest.number();
        write_number(out, count);
        (0..count).for_each(|_| word(rest, out));
    }
    let count = rest.number();
    write_number(out, count);
    let (mut controlled, mut dropped) = (false, None);
    for _ in 0..count {
        let flags = rest.byte();
        let first = flags & CONTROLLER != 0 && !controlled;
        controlled |= first;
        let at = out.len();
        out.push(flags & CONTROLLER);
        word(rest, out);
        owner(rest, out);
        let uid = (flags & INDEXED == 0).then(|| rest.uid());
        match (uids, uid) {
            (Uids::Dropped, uid) if first => {
                out[at] |= INDEXED;
                dropped = uid.map(TextRef::to_text);
            }
            (Uids::Known(Some(uid)), None) => write_owner_uid(out, uid.view()),
            (_, Some(uid)) => write_owner_uid(out, uid),
            (_, None) => out[at] |= INDEXED,
        }
    }
    dropped
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

/// Reads a pair of words: by number, half by number, or as it is. As bytes, since most of them are only copied.
fn words<'a>(rest: &mut Cursor<'a>, names: &'a Names) -> (&'a [u8], &'a [u8]) {
    let tag = rest.number();
    match u32::try_from((tag >> 1).wrapping_sub(1)).ok().map(|id| names.get(id)) {
        Some((first, _)) if tag & 1 == 1 => (first, rest.bytes()),
        Some(words) => words,
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
