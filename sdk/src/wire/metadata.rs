//! Reads the metadata of one object: what its head says, where that stands, and where its managedFields do.
use std::borrow::Cow;
use std::ops::Range;

use crate::resource::ObjectKey;

use super::Error;
use super::head::{self, Owner, Text};
use super::marks::{Marks, Part};
use super::models::Models;
use super::outline::Outline;
use super::scan::Scanner;
use super::template::{Role, Step, Templates, Trail};

/// Marks the bookmark after the last initial event of a watch that began with `sendInitialEvents` (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// As many labels as most objects have.
const LABELS: usize = 8;

/// What is unusable of an owner.
const OWNERS: &str = "metadata.ownerReferences";

/// What stands in `metadata`.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) source: head::Source<'a>,
    pub(super) marks: Marks,
    /// What stands between the quotes of `generateName`, and where the member stands.
    generate_name: Option<(&'a [u8], Range<usize>)>,
    /// Where the first labels begin.
    labels_at: Option<usize>,
    /// Where name and uid of the last owner stand.
    owner_at: (Range<usize>, Range<usize>),
    pub(super) ends_initial_events: bool,
    /// The bytes to leave out: managedFields and one comma.
    pub(super) cut: Option<Range<usize>>,
    /// The first field whose value is of another type than the API says.
    unusable: Option<&'static str>,
    /// How it is laid out, where that is to be learned.
    trail: Option<Trail>,
}

impl<'a> Fields<'a> {
    pub(super) fn scan(&mut self, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        match scanner.peek()? {
            b'{' => self.read(scanner, models)?,
            _ => self.skip_unusable(scanner, "metadata")?,
        }
        models.choose(&self.source.labels);
        self.mark_generate_name();
        Ok(())
    }

    /// Counts from where the object begins.
    pub(super) fn start(&mut self, start: usize) {
        self.marks = self.marks.without(&(0..start));
        self.cut = self.cut.take().map(|cut| cut.start - start..cut.end - start);
    }

    /// Checks that it is what the API says.
    pub(super) fn check(&self) -> Result<(), Error> {
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

    pub(super) fn key(&self) -> ObjectKey {
        let text = |text: &Option<Text<'a>>| String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned();
        ObjectKey::namespaced(&text(&self.source.namespace), &text(&self.source.name))
    }

    /// Reads metadata as others were laid out, else member by member.
    fn read(&mut self, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        let start = scanner.at();
        if let Ok(true) = self.follow(scanner, models) {
            models.templates.earn();
            return Ok(());
        }
        // From the beginning, also to say what is wrong.
        scanner.go_to(start);
        *self = Self { trail: models.trail(start), ..Self::default() };
        self.walk(scanner, models)?;
        if let Some(trail) = self.trail.take() {
            models.templates.learn(scanner.slice(0..scanner.at()), &trail);
        }
        Ok(())
    }

    /// Reads metadata that is laid out as some before it, and whose texts are plain. False where they are not.
    fn follow(&mut self, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<bool, Error> {
        let mut at = Templates::START;
        while let Some(next) = models.templates.follow(at, scanner.rest()) {
            at = next;
            let &Step { role, back, length, .. } = models.templates.step(at);
            let behind = scanner.at() + usize::from(length);
            let key = behind - usize::from(back);
            scanner.go_to(behind);
            if role.is_text() {
                let Some(text) = scanner.short_text() else { return Ok(false) };
                let text = Some(Cow::Borrowed(text));
                match role {
                    Role::Label => self.label(label_key(scanner, key, behind), text),
                    _ => self.set(role, key..scanner.at(), text),
                }
                continue;
            }
            match role {
                Role::End => return Ok(true),
                _ if role.is_turn() => self.turn(role, key, behind),
                Role::Other if scanner.short_text().is_some() => {}
                _ => self.take(role, key, scanner, models)?,
            }
        }
        Ok(false)
    }

    fn walk(&mut self, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        scanner.members(|scanner, key, name| {
            let role = match &*name {
                b"name" => Role::Name,
                b"namespace" => Role::Namespace,
                b"uid" => Role::Uid,
                b"resourceVersion" => Role::Version,
                b"generateName" => Role::GenerateName,
                b"generation" => Role::Generation,
                b"deletionTimestamp" => Role::DeletionTimestamp,
                b"labels" => return self.labels(key, scanner, models),
                b"annotations" => return self.annotations(scanner, models),
                b"finalizers" => return self.finalizers(scanner, models),
                b"ownerReferences" => return self.owners(scanner, models),
                b"managedFields" => Role::ManagedFields,
                _ => Role::Other,
            };
            self.note(role, key, scanner, models)
        })?;
        self.note(Role::End, scanner.at(), scanner, models)
    }

    fn labels(&mut self, key: usize, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        if scanner.peek()? != b'{' {
            // There may have been others before.
            self.marks.set(Part::Labels, 0..0);
            return self.skip_odd(scanner, field_of(Role::Label));
        }
        self.trail_to(Role::Labels, key, scanner.at() + 1);
        self.take(Role::Labels, key, scanner, models)?;
        scanner.members(|scanner, key, name| {
            if matches!(name, Cow::Borrowed(_)) && scanner.at() - key == name.len() + 3 {
                return self.note(Role::Label, key, scanner, models);
            }
            self.trail = None;
            let value = self.text(scanner, field_of(Role::Label))?;
            self.label(name, value);
            Ok(())
        })?;
        self.note(Role::LabelsEnd, scanner.at(), scanner, models)
    }

    fn annotations(&mut self, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        if scanner.peek()? != b'{' {
            return self.skip_odd(scanner, field_of(Role::Annotation));
        }
        scanner.members(|scanner, key, name| {
            let ends = *name == *INITIAL_EVENTS_END.as_bytes();
            self.note(if ends { Role::InitialEventsEnd } else { Role::Annotation }, key, scanner, models)
        })?;
        Ok(())
    }

    fn finalizers(&mut self, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        if scanner.peek()? != b'[' {
            return self.skip_odd(scanner, field_of(Role::Finalizer));
        }
        scanner.elements(|scanner| self.note(Role::Finalizer, scanner.at(), scanner, models))
    }

    fn owners(&mut self, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        if scanner.peek()? != b'[' {
            return self.skip_odd(scanner, OWNERS);
        }
        scanner.elements(|scanner| {
            if scanner.peek()? != b'{' {
                self.trail = None;
                return self.skip_unusable(scanner, OWNERS);
            }
            self.owner(scanner, models)
        })
    }

    fn owner(&mut self, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        self.trail_to(Role::Owner, scanner.at(), scanner.at() + 1);
        self.take(Role::Owner, scanner.at(), scanner, models)?;
        scanner.members(|scanner, key, name| {
            let role = match &*name {
                b"apiVersion" => Role::OwnerApiVersion,
                b"kind" => Role::OwnerKind,
                b"name" => Role::OwnerName,
                b"uid" => Role::OwnerUid,
                b"controller" => Role::OwnerController,
                _ => Role::Other,
            };
            self.note(role, key, scanner, models)
        })?;
        self.note(Role::OwnerEnd, scanner.at(), scanner, models)
    }

    /// Takes what comes next, and notes what it is.
    fn note(&mut self, role: Role, key: usize, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        self.trail_to(role, key, scanner.at());
        self.take(role, key, scanner, models)?;
        self.trail_at(scanner.at());
        Ok(())
    }

    fn trail_to(&mut self, role: Role, key: usize, end: usize) {
        if let Some(trail) = &mut self.trail {
            trail.note(role, key, end);
        }
    }

    fn trail_at(&mut self, at: usize) {
        if let Some(trail) = &mut self.trail {
            trail.pass(at);
        }
    }

    /// Takes what is of this role; `key` is where the key stands that says so.
    fn take(&mut self, role: Role, key: usize, scanner: &mut Scanner<'a>, models: &mut Models) -> Result<(), Error> {
        match role {
            _ if role.is_turn() => self.turn(role, key, scanner.at()),
            Role::OwnerController => {
                let value = scanner.skip()?;
                let controls = scanner.slice(value) == b"true";
                self.source.owners.last_mut().into_iter().for_each(|owner| owner.controller = controls);
            }
            Role::GenerateName => {
                let value = scanner.skip()?;
                let text = scanner.slice(value).strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
                self.generate_name = text.map(|text| (text, key..scanner.at()));
            }
            Role::Generation => self.source.generation = self.integer(scanner, "metadata.generation")?,
            Role::ManagedFields => self.managed_fields(scanner, key, models)?,
            Role::Other => _ = scanner.skip()?,
            Role::End => {}
            Role::Label => {
                let name = label_key(scanner, key, scanner.at());
                let value = self.text(scanner, field_of(role))?;
                self.label(name, value);
            }
            _ => {
                let text = self.text(scanner, field_of(role))?;
                self.set(role, key..scanner.at(), text);
            }
        }
        Ok(())
    }

    /// Says that labels or an owner begin with a key, or end.
    #[inline]
    fn turn(&mut self, role: Role, key: usize, end: usize) {
        match role {
            Role::Labels => {
                // Labels before these might make up for spaces in them.
                self.labels_at = self.source.labels.is_empty().then_some(key);
                self.source.labels.reserve(LABELS);
            }
            Role::LabelsEnd => self.end_labels(end),
            Role::Owner => {
                self.owner_at = (0..0, 0..0);
                // Mostly there is one.
                self.source.owners.reserve_exact(1);
                self.source.owners.push(Owner::default());
            }
            _ => self.end_owner(),
        }
    }

    /// Says that a text is of this role; `place` is where the member stands.
    #[inline(always)]
    fn set(&mut self, role: Role, place: Range<usize>, text: Option<Text<'a>>) {
        let part = |part: Part| plain_place(&place, part, text.as_ref());
        match role {
            Role::Name => {
                self.marks.set(Part::Name, part(Part::Name));
                self.source.name = text;
            }
            Role::Namespace => {
                self.marks.set(Part::Namespace, part(Part::Namespace));
                self.source.namespace = text;
            }
            Role::Uid => {
                self.marks.set(Part::Uid, part(Part::Uid));
                self.source.uid = text;
            }
            Role::Version => {
                self.marks.set(Part::Version, part(Part::Version));
                self.source.version = text;
            }
            Role::DeletionTimestamp => self.source.deleting = text.is_some(),
            Role::InitialEventsEnd => self.ends_initial_events |= text.as_deref() == Some(b"true"),
            Role::Finalizer => self.source.finalizers.extend(text),
            Role::OwnerApiVersion | Role::OwnerKind | Role::OwnerName | Role::OwnerUid => {
                let Some(owner) = self.source.owners.last_mut() else { return };
                match role {
                    Role::OwnerApiVersion => owner.api_version = text,
                    Role::OwnerKind => owner.kind = text,
                    Role::OwnerName => {
                        self.owner_at.0 = part(Part::OwnerName);
                        owner.name = text;
                    }
                    _ => {
                        self.owner_at.1 = part(Part::OwnerUid);
                        owner.uid = text;
                    }
                }
            }
            // Nobody looks at other annotations, and the rest is no text.
            _ => {}
        }
    }

    #[inline]
    fn label(&mut self, key: Text<'a>, value: Option<Text<'a>>) {
        self.source.labels.extend(value.map(|value| (key, value)));
    }

    /// Sorts the labels, and marks where they stand if that is as the API server spells them: sorted, nothing escaped, and
    /// no spaces.
    fn end_labels(&mut self, end: usize) {
        let labels = &mut self.source.labels;
        let (mut plain, mut length) = (!labels.is_empty(), Part::Labels.name().len() + 4);
        for (key, value) in &*labels {
            length += key.len() + value.len() + 6;
            plain &= matches!((key, value), (Cow::Borrowed(_), Cow::Borrowed(_)));
        }
        if !labels.is_sorted_by(|(one, _), (other, _)| one < other) {
            plain = false;
            labels.sort_unstable();
        }
        let start = self.labels_at.filter(|start| plain && end - start == length);
        self.marks.set(Part::Labels, start.map_or(0..0, |start| start..end));
    }

    fn end_owner(&mut self) {
        let (name, uid) = std::mem::take(&mut self.owner_at);
        let mut controllers = self.source.owners.iter().map(|owner| owner.controller);
        if controllers.next_back() == Some(true) && !controllers.any(|controller| controller) {
            self.marks.set(Part::OwnerName, name);
            self.marks.set(Part::OwnerUid, uid);
        }
    }

    fn managed_fields(&mut self, scanner: &mut Scanner<'a>, key: usize, models: &mut Models) -> Result<(), Error> {
        if self.cut.is_some() {
            return Err(Error::Malformed { problem: "`managedFields` stands twice", at: key });
        }
        // What tells a template from others stands before it.
        models.choose(&self.source.labels);
        if scanner.peek()? != b'[' || !models.follow(None, scanner, &mut Outline::default()) {
            scanner.skip()?;
        }
        let end = scanner.at();
        // One comma goes with the member: the one that follows, else the one before it.
        self.cut = Some(match scanner.peek()? {
            b',' => key..scanner.at() + 1,
            _ => scanner.comma_before(key).unwrap_or(key)..end,
        });
        Ok(())
    }

    /// Marks the `generateName` of a pod: its owner may stand behind it.
    fn mark_generate_name(&mut self) {
        let Some((value, place)) = self.generate_name.take() else { return };
        let owner = self.source.owners.iter().find(|owner| owner.controller);
        let owner = owner.and_then(|owner| owner.name.as_deref()).unwrap_or_default();
        let length = Part::GenerateName.name().len() + 5 + value.len();
        if value.strip_suffix(b"-") == Some(owner) && !owner.is_empty() && place.len() == length {
            self.marks.set(Part::GenerateName, place);
        }
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

    /// Takes a null, or what is not what the API says, where a list or an object is expected. None is learned from.
    fn skip_odd(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<(), Error> {
        self.trail = None;
        self.skip_null(scanner, field)
    }

    fn skip_unusable(&mut self, scanner: &mut Scanner<'a>, field: &'static str) -> Result<(), Error> {
        scanner.skip()?;
        self.unusable.get_or_insert(field);
        Ok(())
    }
}

/// Returns the key that ends with a colon at `end`, where that is all between.
fn label_key<'a>(scanner: &Scanner<'a>, start: usize, end: usize) -> Text<'a> {
    Cow::Borrowed(scanner.slice(start + 1..end - 2))
}

/// Returns the field that is unusable where something else stands for a text.
fn field_of(role: Role) -> &'static str {
    match role {
        Role::Name => "metadata.name",
        Role::Namespace => "metadata.namespace",
        Role::Uid => "metadata.uid",
        Role::Version => "metadata.resourceVersion",
        Role::DeletionTimestamp => "metadata.deletionTimestamp",
        Role::Label => "metadata.labels",
        Role::Annotation | Role::InitialEventsEnd => "metadata.annotations",
        Role::Finalizer => "metadata.finalizers",
        _ => OWNERS,
    }
}

/// Returns where a member stands if it is spelled as the API server does, else nothing.
#[inline]
fn plain_place(place: &Range<usize>, part: Part, text: Option<&Text<'_>>) -> Range<usize> {
    match text {
        Some(Cow::Borrowed(text)) if place.len() == part.name().len() + text.len() + 5 => place.clone(),
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests;
