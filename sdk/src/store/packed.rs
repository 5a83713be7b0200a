//! Stored objects as readers take them along: copied under the lock, unpacked outside of it, and only if somebody looks.
use std::sync::Arc;

use bytes::Bytes;

use crate::resource::ObjectKey;
use crate::wire::head::{self, Head};
use crate::wire::{Metadata, RawObject};

use super::codec::Dictionaries;
use super::contents::Contents;
use super::packing::Packing;
use super::record;
use super::splice;

/// One object at one instant.
#[derive(Clone)]
pub(crate) struct Packed {
    pub(super) whole: Bytes,
    pub(super) dictionaries: Arc<Dictionaries>,
    pub(super) stamp: u32,
    /// Whether it shares memory with others that were copied about then: whoever keeps it for long keeps them, too.
    pub(super) shares: bool,
}

/// Many objects of one instant, in one piece of memory.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where each ends, and its stamp.
    ends: Vec<(usize, u32)>,
    dictionaries: Arc<Dictionaries>,
}

/// One object of a [`Batch`], or a [`Packed`].
#[derive(Clone, Copy)]
pub(crate) struct PackedRef<'a> {
    whole: &'a [u8],
    dictionaries: &'a Arc<Dictionaries>,
    /// Which write this state came with.
    pub(super) stamp: u32,
}

impl Packed {
    pub(crate) fn view(&self) -> PackedRef<'_> {
        PackedRef { whole: &self.whole, dictionaries: &self.dictionaries, stamp: self.stamp }
    }

    /// Copies it into memory of its own.
    pub(super) fn to_own(&self) -> Self {
        let dictionaries = Arc::clone(&self.dictionaries);
        Self { whole: Bytes::copy_from_slice(&self.whole), dictionaries, stamp: self.stamp, shares: false }
    }
}

impl Batch {
    /// Adds an entry. All come from one lock.
    pub(super) fn push(&mut self, contents: &Contents, entry: u32) {
        if self.ends.is_empty() {
            self.dictionaries = Arc::clone(&contents.dictionaries);
        }
        contents.write_whole(entry, &mut self.bytes);
        self.ends.push((self.bytes.len(), contents.stamp(entry)));
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the objects in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PackedRef<'_>> {
        (0..self.len()).map(|number| self.object(number))
    }

    /// Returns one object.
    ///
    /// # Panics
    /// When there are fewer.
    pub(crate) fn object(&self, number: usize) -> PackedRef<'_> {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before].0);
        let (end, stamp) = self.ends[number];
        PackedRef { whole: &self.bytes[start..end], dictionaries: &self.dictionaries, stamp }
    }
}

impl<'a> PackedRef<'a> {
    /// Returns the key as text; keys sort as their texts do.
    pub(crate) fn key_text(&self) -> &'a str {
        Head::parse(self.whole).name()
    }

    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::from_text(self.key_text())
    }

    /// Returns the metadata, without unpacking.
    pub(crate) fn metadata(&self) -> Metadata {
        head::metadata(self.whole)
    }

    /// Unpacks the JSON for `read`.
    pub(crate) fn with_json<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        self.dictionaries.with_context(|context| {
            let body = record::open(self.whole, &mut context.parts);
            let text = self.dictionaries.unpack(self.packing(), body, &mut context.unpacker);
            context.json.clear();
            splice::splice(text, &context.parts, &mut context.json);
            read(&context.json)
        })
    }

    /// Unpacks the object as it came from the wire.
    pub(crate) fn object(&self) -> RawObject {
        let head = record::head(self.whole);
        self.with_json(|json| RawObject::from_parts(&head, json))
    }

    /// Appends what was packed: what dictionaries are made from.
    pub(super) fn sample(&self, out: &mut Vec<u8>) {
        self.dictionaries.with_context(|context| {
            let body = record::body(self.whole).1;
            out.extend_from_slice(self.dictionaries.residue(self.packing(), body, &mut context.unpacker));
        });
    }

    /// Appends the text that is to be packed anew.
    pub(super) fn text(&self, out: &mut Vec<u8>) {
        self.dictionaries.with_context(|context| {
            let body = record::body(self.whole).1;
            out.extend_from_slice(self.dictionaries.unpack(self.packing(), body, &mut context.unpacker));
        });
    }

    /// Returns how the body is packed.
    pub(super) fn packing(&self) -> Packing {
        Packing::of(self.whole)
    }

    /// Returns the whole record.
    pub(super) fn record(&self) -> &'a [u8] {
        self.whole
    }

    /// Returns how many bytes the packed body has.
    pub(super) fn packed_len(&self) -> usize {
        record::body(self.whole).1.len()
    }
}
