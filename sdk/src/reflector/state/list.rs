//! A list under way: which page comes next, and which ways out of an expired version are left.
use crate::resource::ResourceVersion;

use super::{ListOptions, PAGE, Remedy};

/// A list under way.
#[derive(Clone, Debug)]
pub(super) struct List {
    /// What is asked for now.
    pub(super) options: ListOptions,
    /// Of the first page: later ones may be of later versions, and what changed between them must come again.
    version: ResourceVersion,
    /// How many pages were read.
    pages: u32,
    /// The token of a page that was read before. It moves on when the number of pages has doubled, so that a circle of
    /// whatever length comes by it (Brent's algorithm).
    passed: Option<String>,
    /// When a continue token expires: everything at once, at the version asked for first.
    whole: Remedy,
    /// When that version expires or lies ahead: the most recent one.
    recent: Remedy,
}

impl List {
    /// Begins with the first page, at no older version than this.
    pub(super) fn new(version: ResourceVersion) -> Self {
        let options = ListOptions { resource_version: version, limit: Some(PAGE), continue_token: None };
        let (version, whole, recent) = (ResourceVersion::default(), Remedy::Available, Remedy::Available);
        Self { options, version, pages: 0, passed: None, whole, recent }
    }

    /// Returns what asks for the page of that token, unless the list never ends with it.
    pub(super) fn following(&self, token: &str) -> Option<ListOptions> {
        let following = || ListOptions { continue_token: Some(token.to_owned()), ..self.options.clone() };
        (!self.has_passed(token)).then(following)
    }

    /// Says whether the page of that token is this one, or was read before: then the list never ends.
    pub(super) fn has_passed(&self, token: &str) -> bool {
        [&self.options.continue_token, &self.passed].into_iter().any(|passed| passed.as_deref() == Some(token))
    }

    /// Takes a page that is complete. Returns the version of the list if it was the last.
    pub(super) fn take(&mut self, version: ResourceVersion, next: Option<String>) -> Option<ResourceVersion> {
        if self.options.continue_token.is_none() {
            (self.version, self.pages, self.passed) = (version, 0, None);
        }
        self.pages = self.pages.saturating_add(1);
        if self.pages.is_power_of_two() {
            self.passed.clone_from(&self.options.continue_token);
        }
        let is_last = next.is_none();
        self.options.continue_token = next;
        is_last.then(|| self.version.clone())
    }

    /// Goes on at a version that may still be there, or already; false when none is left to try.
    pub(super) fn evade(&mut self) -> bool {
        if self.options.continue_token.is_some() && self.whole == Remedy::Available {
            self.whole = Remedy::Used;
            self.options.limit = None;
        } else if !self.options.resource_version.is_empty() && self.recent == Remedy::Available {
            self.recent = Remedy::Used;
            self.options.resource_version = ResourceVersion::default();
        } else {
            return false;
        }
        self.options.continue_token = None;
        true
    }
}
