//! The parts of a kind that one store holds, each listed and watched on its own: one namespace each, or everything.
use std::cmp::Ordering;

use crate::resource::ResourceVersion;

/// Which lists are under way, and how far each part has come.
#[derive(Debug)]
pub(super) struct Parts {
    parts: Vec<Part>,
    /// The part that the writer works on.
    at: usize,
    /// Number of the last list that began.
    lists: u32,
}

#[derive(Debug, Default)]
struct Part {
    /// `None` for everything.
    namespace: Option<String>,
    /// Number of its list; an entry that carries another one was not listed by it.
    epoch: u32,
    listing: bool,
    version: ResourceVersion,
}

impl Parts {
    /// One part for each namespace, or one for everything.
    pub(super) fn new(namespaces: Vec<Option<String>>) -> Self {
        let parts = namespaces.into_iter().map(|namespace| Part { namespace, ..Part::default() });
        Self { parts: parts.collect(), at: 0, lists: 0 }
    }

    /// Works on another part from here on.
    pub(super) fn enter(&mut self, part: usize) {
        debug_assert!(part < self.parts.len(), "parts are fixed");
        self.at = part;
    }

    /// Returns the number that what is put now is marked with.
    pub(super) fn epoch(&self) -> u32 {
        self.parts[self.at].epoch
    }

    /// Says whether any list is under way.
    pub(super) fn is_listing(&self) -> bool {
        self.parts.iter().any(|part| part.listing)
    }

    /// Returns the namespace of the part, if others have other ones.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.parts[self.at].namespace.as_deref().filter(|_| self.parts.len() > 1)
    }

    /// Returns the version of each part if there are several.
    pub(super) fn versions(&self) -> Vec<ResourceVersion> {
        let several = self.parts.iter().filter(|_| self.parts.len() > 1);
        several.map(|part| part.version.clone()).collect()
    }

    /// Returns the version that the part was last complete at if its list is under way; `store` is that of the store.
    pub(super) fn complete<'a>(&'a self, store: &'a ResourceVersion) -> Option<&'a ResourceVersion> {
        let part = &self.parts[self.at];
        let own = if self.parts.len() == 1 { store } else { &part.version };
        part.listing.then_some(own)
    }

    pub(super) fn begin_list(&mut self) {
        self.lists = self.lists.wrapping_add(1);
        let part = &mut self.parts[self.at];
        (part.epoch, part.listing) = (self.lists, true);
    }

    /// Ends the list of the part. Says whether it had begun.
    pub(super) fn end_list(&mut self) -> bool {
        std::mem::replace(&mut self.parts[self.at].listing, false)
    }

    /// Moves the part to wherever the server says, and returns where the store is then.
    pub(super) fn set(&mut self, version: ResourceVersion) -> ResourceVersion {
        self.parts[self.at].version = version;
        self.earliest().cloned().unwrap_or_default()
    }

    /// Moves the part forward unless its list is under way, and returns how far the store is then, if that is known.
    pub(super) fn moved<'a>(&'a mut self, version: &'a ResourceVersion) -> Option<&'a ResourceVersion> {
        let alone = self.parts.len() == 1;
        let part = &mut self.parts[self.at];
        if part.listing {
            return None;
        }
        if alone {
            return Some(version);
        }
        if !version.is_empty() && version.compare(&part.version) != Some(Ordering::Less) {
            part.version = version.clone();
        }
        self.earliest()
    }

    /// Returns the version that every part has come to; `None` while one has none.
    fn earliest(&self) -> Option<&ResourceVersion> {
        let earlier = |a, b: &'_ _| -> Ordering { ResourceVersion::compare(a, b).unwrap_or(Ordering::Equal) };
        let earliest = self.parts.iter().map(|part| &part.version).min_by(|a, b| earlier(a, b));
        earliest.filter(|_| self.parts.iter().all(|part| !part.version.is_empty()))
    }
}
