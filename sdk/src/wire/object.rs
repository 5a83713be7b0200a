//! Scans one object: its type, its metadata, and where its managedFields stand.
use std::borrow::Cow;
use std::ops::Range;

use crate::resource::{ObjectKey, ResourceVersion};

use super::buffers::Buffers;
use super::head::{self, Owner, Text};
use super::marks::{Marks, Part};
use super::models::Models;
use super::outline::{Level, Outline};
use super::scan::Scanner;
use super::{Error, MAX_OBJECT_BYTES, ManagedFields, RawObject};

/// Marks the bookmark after the last initial event of a watch that began with `sendInitialEvents` (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Most owners of one object. Sixty thousand that are whole fill the largest request that an API server takes; as `{}` an
/// object of 16 MiB would have five million, of fifty times its size.
const MAX_OWNERS: usize = 1 << 16;

/// As many labels as most objects have.
const LABELS: usize = 8;

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
            outline.push(key.start, Level::Member);
            match &*name {
                b"apiVersion" => api_version = optional_text(scanner)?,
                b"kind" => kind = optional_text(scanner)?,
                b"metadata" if !std::mem::replace(&mut described, true) => fields.scan(scanner, models)?,
                b"metadata" => return Err(Error::Malformed { problem: "`metadata` stands twice", at: scanner.at() }),
                _ if matches!(scanner.peek()?, b'{' | b'[') && models.follow(Some(&*name), scanner, &mut outline) => {}
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

/// What stands in `metadata`.
#[derive(Debug, Default)]
struct Fields<'a> {
    source: head::Source<'a>,
    marks: Marks,
    /// The value of `generateName`, and where the member stands.
    generate_name: Option<(&'a [u8], Range<usize>)>,
    ends_initial_events: bool,
    /// The bytes to leave out: managedFields and one comma.
    cut: Option<Range<usize>>,
    /// The first field whose value is of another type than the API says.
    unusable: Option<&'static str>,
    /// Whether one of the owners is the controller.
    controlled: bool,
}

impl<'a> Fields<'a> {
    fn scan(&mut self, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        match scanner.peek()? {
            b'{' => {
                scanner.members(|scanner, place, name| match &*name {
                    // What tells a template from others stands before it.
                    b"managedFields" => self.managed_fields(scanner, &place, models),
                    name => self.member(scanner, &place, name),
                })?;
            }
            _ => self.skip_unusable(scanner, "metadata")?,
        }
        models.choose(&self.source.labels);
        self.mark_generate_name();
        Ok(())
    }

    /// Counts from where the object begins.
    fn start(&mut self, start: usize) {
        self.marks = self.marks.without(&(0..start));
        self.cut = self.cut.take().map(|cut| cut.start - start..cut.end - start);
    }

    fn member(&mut self, scanner: &mut Scanner<'a>, place: &Range<usize>, name: &[u8]) -> Result<(), Error> {
        let start = place.start;
        match name {
            b"name" => self.source.name = self.part(scanner, start, "metadata.name", Part::Name)?,
            b"namespace" => self.source.namespace = self.part(scanner, start, "metadata.namespace", Part::Namespace)?,
            b"uid" => self.source.uid = self.part(scanner, start, "metadata.uid", Part::Uid)?,
            b"resourceVersion" => {
                self.source.version = self.part(scanner, start, "metadata.resourceVersion", Part::Version)?;
            }
            b"generateName" => {
                let value = scanner.skip()?;
                self.generate_name = Some((scanner.slice(value), start..scanner.at()));
            }
            b"generation" => self.source.generation = self.integer(scanner, "metadata.generation")?,
            b"deletionTimestamp" => {
                self.source.deleting = self.text(scanner, "metadata.deletionTimestamp")?.is_some();
            }
            b"labels" => self.labels(scanner, start)?,
            b"annotations" => self.annotations(scanner)?,
            b"finalizers" => self.finalizers(scanner)?,
            b"ownerReferences" => self.owners(scanner)?,
            _ => {
                scanner.skip()?;
            }
        }
        Ok(())
    }

    /// Checks that it is what the API says.
    fn check(&self) -> Result<(), Error> {
        // A slash would make one key out of another.
        let has_slash =
            |text: &Option<Text<'_>>| text.as_deref().is_some_and(|text| memchr::memchr(b'/', text).is_some());
        let field = if self.source.name.as_deref().unwrap_or_default().is_empty() || has_slash(&self.source.name) {
            Some("metadata.name")
        } else if has_slash(&self.source.namespace) {
            Some("metadata.namespace")
        } else {
            self.unusable
        };
        field.map_or(Ok(()), |field| Err(Error::Unusable { field }))
    }

    fn key(&self) -> ObjectKey {
        let text = |text: &Option<Text<'a>>| String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned();
        ObjectKey::namespaced(&text(&self.source.namespace), &text(&self.source.name))
    }

    /// Takes a text that the head says, and marks where it stands if it is spelled as the API server does.
    fn part(
        &mut self,
        scanner: &mut Scanner<'a>,
        start: usize,
        field: &'static str,
        part: Part,
    ) -> Result<Option<Text<'a>>, Error> {
        let text = self.text(scanner, field)?;
        self.marks.set(part, plain_place(start, part, scanner.at(), text.as_ref()));
        Ok(text)
    }

    fn managed_fields(
        &mut self,
        scanner: &mut Scanner<'a>,
        place: &Range<usize>,
        models: &mut Models,
    ) -> Result<(), Error> {
        if self.cut.is_some() {
            return Err(Error::Malformed { problem: "`managedFields` stands twice", at: place.start });
        }
        models.choose(&self.source.labels);
        if scanner.peek()? != b'[' || !models.follow(None, scanner, &mut Outline::default()) {
            scanner.skip()?;
        }
        let end = scanner.at();
        // One comma goes with the member: the one that follows, else the one before it.
        self.cut = Some(match scanner.peek()? {
            b',' => place.start..scanner.at() + 1,
            _ if place.end == usize::MAX => place.start..end,
            _ => place.end..end,
        });
        Ok(())
    }

    fn labels(&mut self, scanner: &mut Scanner<'a>, start: usize) -> Result<(), Error> {
        let labels = &mut self.source.labels;
        // As the API server spells them: sorted, nothing escaped, and no spaces.
        let (mut plain, mut length) = (labels.is_empty(), Part::Labels.name().len() + 4);
        labels.reserve(LABELS);
        self.map(scanner, "metadata.labels", |fields, key, value| {
            length += key.len() + value.len() + 6;
            plain &= matches!((&key, &value), (Cow::Borrowed(_), Cow::Borrowed(_)));
            fields.source.labels.push((key, value));
        })?;
        let labels = &mut self.source.labels;
        if !labels.is_sorted_by(|(one, _), (other, _)| one < other) {
            plain = false;
            labels.sort_unstable();
        }
        let plain = plain && !labels.is_empty() && scanner.at() - start == length;
        self.marks.set(Part::Labels, if plain { start..scanner.at() } else { 0..0 });
        Ok(())
    }

    fn annotations(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        self.map(scanner, "metadata.annotations", |fields, key, value| {
            fields.ends_initial_events |= *key == *INITIAL_EVENTS_END.as_bytes() && *value == *b"true";
        })
    }

    fn finalizers(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        const FIELD: &str = "metadata.finalizers";
        if scanner.peek()? != b'[' {
            return self.skip_null(scanner, FIELD);
        }
        scanner.elements(|scanner| {
            let finalizer = self.text(scanner, FIELD)?;
            self.source.finalizers.extend(finalizer);
            Ok(())
        })
    }

    fn owners(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        const FIELD: &str = "metadata.ownerReferences";
        if scanner.peek()? != b'[' {
            return self.skip_null(scanner, FIELD);
        }
        scanner.elements(|scanner| {
            if scanner.peek()? != b'{' || self.source.owners.len() == MAX_OWNERS {
                return self.skip_unusable(scanner, FIELD);
            }
            self.owner(scanner, FIELD)
        })
    }

    fn owner(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<(), Error> {
        let (mut owner, mut uid, mut name) = (Owner::default(), 0..0, 0..0);
        scanner.members(|scanner, place, key| {
            match &*key {
                b"apiVersion" => owner.api_version = self.text(scanner, field)?,
                b"kind" => owner.kind = self.text(scanner, field)?,
                b"name" => {
                    owner.name = self.text(scanner, field)?;
                    name = plain_place(place.start, Part::OwnerName, scanner.at(), owner.name.as_ref());
                }
                b"uid" => {
                    owner.uid = self.text(scanner, field)?;
                    uid = plain_place(place.start, Part::OwnerUid, scanner.at(), owner.uid.as_ref());
                }
                b"controller" => {
                    let value = scanner.skip()?;
                    owner.controller = scanner.slice(value) == b"true";
                }
                _ => {
                    scanner.skip()?;
                }
            }
            Ok(())
        })?;
        if owner.controller && !std::mem::replace(&mut self.controlled, true) {
            self.marks.set(Part::OwnerUid, uid);
            self.marks.set(Part::OwnerName, name);
        }
        // Mostly there is one.
        if self.source.owners.is_empty() {
            self.source.owners.reserve_exact(1);
        }
        self.source.owners.push(owner);
        Ok(())
    }

    fn controller(&self) -> Option<&Owner<'a>> {
        self.source.owners.iter().find(|owner| owner.controller)
    }

    /// Marks the `generateName` of a pod: its owner may stand behind it.
    fn mark_generate_name(&mut self) {
        let Some((value, place)) = self.generate_name.take() else { return };
        let owner = self.controller().and_then(|owner| owner.name.as_deref()).unwrap_or_default();
        let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"-\""));
        let length = Part::GenerateName.name().len() + 3 + value.len();
        if inner == Some(owner) && !owner.is_empty() && place.len() == length {
            self.marks.set(Part::GenerateName, place);
        }
    }

    fn map(
        &mut self,
        scanner: &mut Scanner<'a>,
        field: &'static str,
        mut visit: impl FnMut(&mut Self, Text<'a>, Text<'a>),
    ) -> Result<(), Error> {
        if scanner.peek()? != b'{' {
            return self.skip_null(scanner, field);
        }
        scanner.members(|scanner, _, key| {
            if let Some(value) = self.text(scanner, field)? {
                visit(self, key, value);
            }
            Ok(())
        })?;
        Ok(())
    }

    fn text(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<Option<Text<'a>>, Error> {
        if scanner.peek()? == b'"' {
            return scanner.text().map(Some);
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
        if matches!(&*name, b"apiVersion" | b"kind" | b"metadata") {
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

fn optional_text<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Text<'a>>, Error> {
    if scanner.peek()? == b'"' {
        return scanner.text().map(Some);
    }
    scanner.skip()?;
    Ok(None)
}

/// Returns where a member stands if it is spelled as the API server does, else nothing.
fn plain_place(start: usize, part: Part, end: usize, text: Option<&Text<'_>>) -> Range<usize> {
    match text {
        Some(Cow::Borrowed(text)) if end - start == part.name().len() + text.len() + 5 => start..end,
        _ => 0..0,
    }
}
