//! Scans one object: its type, its metadata, and where its members stand.

use crate::resource::{ObjectKey, ResourceVersion};

use super::buffers::Buffers;
use super::head::Text;
use super::metadata::Fields;
use super::models::Models;
use super::outline::{Level, Outline};
use super::scan::Scanner;
use super::{Error, MAX_OBJECT_BYTES, ManagedFields, RawObject};

/// One object of a list or a watch, before anybody decided whether it is wanted.
#[derive(Debug)]
pub(crate) struct Scanned<'a> {
    /// The whole object.
    pub(crate) raw: &'a [u8],
    /// `apiVersion`, which items of typed lists lack.
    pub(crate) api_version: Option<Text<'a>>,
    /// `kind`, which items of typed lists lack.
    pub(crate) kind: Option<Text<'a>>,
    fields: Fields<'a>,
    outline: Outline,
}

impl<'a> Scanned<'a> {
    /// Scans one object that stands alone.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, Error> {
        if json.len() > MAX_OBJECT_BYTES {
            return Err(Error::TooLarge { limit: MAX_OBJECT_BYTES });
        }
        Self::parse_by(json, &mut Models::default())
    }

    /// Scans one object that stands alone, by the models of those before it.
    pub(super) fn parse_by(json: &'a [u8], models: &mut Models) -> Result<Self, Error> {
        let mut scanner = Scanner::new(json);
        let scanned = Self::scan(&mut scanner, models)?;
        scanner.end()?;
        Ok(scanned)
    }

    /// Scans the object that comes next.
    pub(super) fn scan(scanner: &mut Scanner<'a>, models: &mut Models) -> Result<Self, Error> {
        models.begin();
        let (mut api_version, mut kind, mut fields) = (None, None, Fields::default());
        let (mut outline, mut described) = (Outline::default(), false);
        let range = scanner.members(|scanner, key, name| {
            outline.push(key, Level::Member);
            match &*name {
                b"apiVersion" => api_version = optional_text(scanner)?,
                b"kind" => kind = optional_text(scanner)?,
                b"metadata" if !std::mem::replace(&mut described, true) => fields.scan(scanner, models)?,
                b"metadata" => return Err(Error::Malformed { problem: "`metadata` stands twice", at: scanner.at() }),
                _ if matches!(scanner.peek()?, b'{' | b'[') && models.follow(Some(&*name), scanner, &mut outline) => {}
                _ if scanner.peek()? == b'{' => {
                    scanner.members(|scanner, key, _| {
                        outline.push(key, Level::MemberOfMember);
                        scanner.skip().map(drop)
                    })?;
                }
                _ => {
                    scanner.skip()?;
                }
            }
            Ok(())
        })?;
        models.end(scanner.slice(range.clone()));
        if range.start > 0 {
            fields.start(range.start);
            outline.start(range.start);
        }
        Ok(Self { raw: scanner.slice(range), api_version, kind, fields, outline })
    }

    /// Returns `metadata.resourceVersion`, empty if there is none.
    pub(crate) fn version(&self) -> ResourceVersion {
        ResourceVersion::new(&String::from_utf8_lossy(self.fields.source.version.as_deref().unwrap_or_default()))
    }

    /// Says whether this is the bookmark after the initial events.
    pub(crate) fn ends_initial_events(&self) -> bool {
        self.fields.ends_initial_events
    }

    /// Returns the key if the name is known, for messages.
    pub(crate) fn key(&self) -> Option<ObjectKey> {
        self.fields.check().is_ok().then(|| self.fields.key())
    }

    /// Returns the object in memory that `buffers` gives.
    pub(crate) fn to_object(&self, managed_fields: ManagedFields, buffers: &mut Buffers) -> Result<RawObject, Error> {
        self.fields.check()?;
        let cut = match managed_fields {
            ManagedFields::Drop => self.fields.cut.clone().unwrap_or_default(),
            ManagedFields::Keep => 0..0,
        };
        let mut scratch = std::mem::take(&mut buffers.scratch);
        scratch.clear();
        self.fields.source.write(&mut scratch);
        let head = scratch.len();
        self.fields.marks.without(&cut).write(&mut scratch);
        let marks = scratch.len() - head;
        self.outline.write(&cut, &mut scratch);
        let pieces = [&scratch[..head], &self.raw[..cut.start], &self.raw[cut.end..], &scratch[head..]];
        let bytes = buffers.join(pieces);
        buffers.scratch = scratch;
        Ok(RawObject::of(bytes, head, self.raw.len() - cut.len(), marks))
    }
}

/// Returns an object that was parsed before with nothing but its type and its metadata; `None` when that is all it has.
pub(super) fn metadata_json(json: &[u8]) -> Option<Vec<u8>> {
    let mut scanner = Scanner::new(json);
    let (mut kept, mut dropped) = (vec![b'{'], false);
    let scanned = scanner.members(|scanner, key, name| {
        let value = scanner.skip()?;
        if matches!(&*name, b"apiVersion" | b"kind" | b"metadata") {
            if kept.len() > 1 {
                kept.push(b',');
            }
            kept.extend_from_slice(scanner.slice(key..value.end));
        } else {
            dropped = true;
        }
        Ok(())
    });
    kept.push(b'}');
    (dropped && scanned.is_ok()).then_some(kept)
}

fn optional_text<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Text<'a>>, Error> {
    if scanner.peek()? == b'"' {
        return scanner.text().map(Some);
    }
    scanner.skip()?;
    Ok(None)
}
