//! Scans one object: its type, its metadata, and where its managedFields stand.
use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::resource::{ObjectKey, OwnerReference, ResourceVersion};

use super::outline::{Level, Outline};
use super::scan::Scanner;
use super::{Error, MAX_OBJECT_BYTES, ManagedFields, Metadata, RawObject};

/// Marks the bookmark after the last initial event of a watch that began with `sendInitialEvents` (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// One object of a list or a watch, before anybody decided whether it is wanted.
#[derive(Debug)]
pub(crate) struct Scanned<'a> {
    /// The whole object.
    pub(crate) raw: &'a [u8],
    /// `apiVersion`, which items of typed lists lack.
    pub(crate) api_version: Option<Cow<'a, str>>,
    /// `kind`, which items of typed lists lack.
    pub(crate) kind: Option<Cow<'a, str>>,
    fields: Fields<'a>,
    /// Where the value of `metadata` stands.
    metadata: Range<usize>,
    outline: Outline,
}

impl<'a> Scanned<'a> {
    /// Scans one object that stands alone.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, Error> {
        if json.len() > MAX_OBJECT_BYTES {
            return Err(Error::TooLarge { limit: MAX_OBJECT_BYTES });
        }
        let mut scanner = Scanner::new(json);
        let scanned = Self::scan(&mut scanner)?;
        scanner.end()?;
        Ok(scanned)
    }

    /// Scans the object that comes next.
    pub(super) fn scan(scanner: &mut Scanner<'a>) -> Result<Self, Error> {
        let (mut api_version, mut kind, mut fields, mut metadata) = (None, None, None, 0..0);
        let mut outline = Outline::default();
        let range = scanner.members(|scanner, key, name| {
            outline.push(key.start, Level::Member);
            match &*name {
                "apiVersion" => api_version = optional_text(scanner)?,
                "kind" => kind = optional_text(scanner)?,
                "metadata" if fields.is_none() => {
                    let start = scanner.at();
                    fields = Some(Fields::scan(scanner)?);
                    metadata = start..scanner.at();
                }
                "metadata" => return Err(Error::Malformed { problem: "`metadata` stands twice", at: scanner.at() }),
                _ if scanner.peek()? == b'{' => {
                    scanner.members(|scanner, key, _| {
                        outline.push(key.start, Level::MemberOfMember);
                        scanner.skip().map(drop)
                    })?;
                }
                _ => {
                    scanner.skip()?;
                }
            }
            Ok(())
        })?;
        let fields = fields.unwrap_or_default();
        let fields = Fields { cut: fields.cut.map(|cut| shift(cut, range.start)), ..fields };
        let metadata = shift(metadata, range.start);
        outline.cut(&(0..range.start));
        Ok(Self { raw: scanner.slice(range), api_version, kind, fields, metadata, outline })
    }

    /// Returns `metadata.resourceVersion`, empty if there is none.
    pub(crate) fn version(&self) -> ResourceVersion {
        ResourceVersion::new(self.fields.version.as_deref().unwrap_or_default())
    }

    /// Says whether this is the bookmark after the initial events.
    pub(crate) fn ends_initial_events(&self) -> bool {
        self.fields.ends_initial_events
    }

    /// Returns the key if the name is known, for messages.
    pub(crate) fn key(&self) -> Option<ObjectKey> {
        self.fields.key().ok()
    }

    /// Returns the object in memory of its own.
    pub(crate) fn into_object(self, managed_fields: ManagedFields) -> Result<RawObject, Error> {
        let key = self.fields.key()?;
        if let Some(field) = self.fields.unusable {
            return Err(Error::Unusable { field });
        }
        let cut = match managed_fields {
            ManagedFields::Drop => self.fields.cut.clone().unwrap_or_default(),
            ManagedFields::Keep => 0..0,
        };
        let json = [&self.raw[..cut.start], &self.raw[cut.end..]].concat();
        let place = self.metadata.start..self.metadata.end - cut.len();
        let mut outline = self.outline;
        outline.cut(&cut);
        let fields = self.fields;
        let mut labels = fields.labels;
        labels.sort_unstable();
        let metadata = Metadata {
            key,
            uid: fields.uid.unwrap_or_default().into(),
            resource_version: ResourceVersion::new(fields.version.as_deref().unwrap_or_default()),
            generation: fields.generation,
            deleting: fields.deleting,
            labels,
            finalizers: fields.finalizers,
            owners: fields.owners,
        };
        Ok(RawObject { metadata, json: Bytes::from(json), place, outline })
    }
}

/// What stands in `metadata`.
#[derive(Debug, Default)]
struct Fields<'a> {
    name: Option<Cow<'a, str>>,
    namespace: Option<Cow<'a, str>>,
    uid: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    generation: Option<i64>,
    deleting: bool,
    labels: Vec<(Box<str>, Box<str>)>,
    finalizers: Vec<Box<str>>,
    owners: Vec<OwnerReference>,
    ends_initial_events: bool,
    /// The bytes to leave out: managedFields and one comma.
    cut: Option<Range<usize>>,
    /// The first field whose value is of another type than the API says.
    unusable: Option<&'static str>,
}

impl<'a> Fields<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Result<Self, Error> {
        let mut fields = Self::default();
        match scanner.peek()? {
            b'{' => {
                scanner.members(|scanner, place, name| fields.member(scanner, &place, &name))?;
            }
            _ => fields.skip_unusable(scanner, "metadata")?,
        }
        Ok(fields)
    }

    fn member(&mut self, scanner: &mut Scanner<'a>, place: &Range<usize>, name: &str) -> Result<(), Error> {
        match name {
            "name" => self.name = self.text(scanner, "metadata.name")?,
            "namespace" => self.namespace = self.text(scanner, "metadata.namespace")?,
            "uid" => self.uid = self.text(scanner, "metadata.uid")?,
            "resourceVersion" => self.version = self.text(scanner, "metadata.resourceVersion")?,
            "generation" => self.generation = self.integer(scanner, "metadata.generation")?,
            "deletionTimestamp" => self.deleting = self.text(scanner, "metadata.deletionTimestamp")?.is_some(),
            "labels" => self.labels(scanner)?,
            "annotations" => self.annotations(scanner)?,
            "finalizers" => self.finalizers(scanner)?,
            "ownerReferences" => self.owners(scanner)?,
            "managedFields" => self.managed_fields(scanner, place)?,
            _ => {
                scanner.skip()?;
            }
        }
        Ok(())
    }

    fn key(&self) -> Result<ObjectKey, Error> {
        // A slash would make one key out of another.
        let part = |value: &Option<Cow<'_, str>>, field| match value.as_deref() {
            Some(text) if text.contains('/') => Err(Error::Unusable { field }),
            text => Ok(text.unwrap_or_default().to_owned()),
        };
        let name = part(&self.name, "metadata.name")?;
        if name.is_empty() {
            return Err(Error::Unusable { field: "metadata.name" });
        }
        Ok(ObjectKey::namespaced(&part(&self.namespace, "metadata.namespace")?, &name))
    }

    fn managed_fields(&mut self, scanner: &mut Scanner<'a>, place: &Range<usize>) -> Result<(), Error> {
        if self.cut.is_some() {
            return Err(Error::Malformed { problem: "`managedFields` stands twice", at: place.start });
        }
        let value = scanner.skip()?;
        // One comma goes with the member: the one that follows, else the one before it.
        self.cut = Some(match scanner.peek()? {
            b',' => place.start..scanner.at() + 1,
            _ if place.end == usize::MAX => place.start..value.end,
            _ => place.end..value.end,
        });
        Ok(())
    }

    fn labels(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        self.map(scanner, "metadata.labels", |fields, key, value| fields.labels.push((key.into(), value.into())))
    }

    fn annotations(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        self.map(scanner, "metadata.annotations", |fields, key, value| {
            fields.ends_initial_events |= key == INITIAL_EVENTS_END && value == "true";
        })
    }

    fn finalizers(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        const FIELD: &str = "metadata.finalizers";
        if scanner.peek()? != b'[' {
            return self.skip_null(scanner, FIELD);
        }
        scanner.elements(|scanner| {
            let finalizer = self.text(scanner, FIELD)?;
            self.finalizers.extend(finalizer.map(Box::from));
            Ok(())
        })
    }

    fn owners(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        const FIELD: &str = "metadata.ownerReferences";
        if scanner.peek()? != b'[' {
            return self.skip_null(scanner, FIELD);
        }
        scanner.elements(|scanner| {
            if scanner.peek()? != b'{' {
                return self.skip_unusable(scanner, FIELD);
            }
            let owner = self.owner(scanner, FIELD)?;
            self.owners.push(owner);
            Ok(())
        })
    }

    fn owner(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<OwnerReference, Error> {
        let (mut api_version, mut kind, mut name, mut uid, mut controller) = (None, None, None, None, false);
        scanner.members(|scanner, _, key| {
            match &*key {
                "apiVersion" => api_version = self.text(scanner, field)?,
                "kind" => kind = self.text(scanner, field)?,
                "name" => name = self.text(scanner, field)?,
                "uid" => uid = self.text(scanner, field)?,
                "controller" => {
                    let value = scanner.skip()?;
                    controller = scanner.slice(value) == b"true";
                }
                _ => {
                    scanner.skip()?;
                }
            }
            Ok(())
        })?;
        let group = api_version.as_deref().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
        let text = |value: Option<Cow<'_, str>>| Box::from(value.unwrap_or_default());
        Ok(OwnerReference { group: group.into(), kind: text(kind), name: text(name), uid: text(uid), controller })
    }

    fn map(
        &mut self,
        scanner: &mut Scanner<'a>,
        field: &'static str,
        mut visit: impl FnMut(&mut Self, &str, &str),
    ) -> Result<(), Error> {
        if scanner.peek()? != b'{' {
            return self.skip_null(scanner, field);
        }
        scanner.members(|scanner, _, key| {
            if let Some(value) = self.text(scanner, field)? {
                visit(self, &key, &value);
            }
            Ok(())
        })?;
        Ok(())
    }

    fn text(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, Error> {
        if scanner.peek()? == b'"' {
            return scanner.string().map(Some);
        }
        self.skip_null(scanner, field)?;
        Ok(None)
    }

    fn integer(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<Option<i64>, Error> {
        let value = scanner.skip()?;
        let text = scanner.slice(value);
        let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        if parsed.is_none() && text != b"null" {
            self.unusable.get_or_insert(field);
        }
        Ok(parsed)
    }

    /// Takes a null, which Go writes for what is empty; anything else is not what the API says.
    fn skip_null(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<(), Error> {
        if scanner.peek()? == b'n' {
            scanner.skip()?;
            return Ok(());
        }
        self.skip_unusable(scanner, field)
    }

    fn skip_unusable(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<(), Error> {
        scanner.skip()?;
        self.unusable.get_or_insert(field);
        Ok(())
    }
}

/// Returns an object that was parsed before with nothing but its type and its metadata; `None` when that is all it has.
pub(super) fn metadata_json(json: &[u8]) -> Option<Vec<u8>> {
    let mut scanner = Scanner::new(json);
    let (mut kept, mut dropped) = (vec![b'{'], false);
    let scanned = scanner.members(|scanner, key, name| {
        let value = scanner.skip()?;
        if matches!(&*name, "apiVersion" | "kind" | "metadata") {
            if kept.len() > 1 {
                kept.push(b',');
            }
            kept.extend_from_slice(scanner.slice(key.start..value.end));
        } else {
            dropped = true;
        }
        Ok(())
    });
    kept.push(b'}');
    (dropped && scanned.is_ok()).then_some(kept)
}

fn optional_text<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, Error> {
    if scanner.peek()? == b'"' {
        return scanner.string().map(Some);
    }
    scanner.skip()?;
    Ok(None)
}

/// Counts positions from somewhere further on.
fn shift(range: Range<usize>, by: usize) -> Range<usize> {
    range.start.saturating_sub(by)..range.end.saturating_sub(by)
}
