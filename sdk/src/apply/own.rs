//! What was written for one primary and no cache shows yet. State only: what caches show is an argument.
use std::collections::VecDeque;

use crate::resource::{ObjectKey, ResourceType, ResourceVersion};

/// How many deletions of one primary are remembered until caches show them, and how many writes of unknown outcome
/// until they are looked at. As many as a reconcile may reasonably have children; of more, the oldest are forgotten.
/// Deletions show in the order in which they were sent, so of those nothing is lost unless they were sent side by side.
pub(crate) const MAX_OWN_WRITES: usize = 1024;

/// Writes of one primary, as far as its next reconcile has to wait for them. Views are told apart by number.
#[derive(Debug, Default)]
pub(crate) struct OwnWrites {
    /// The newest version written, for each view that will show it.
    written: Vec<(usize, ResourceVersion)>,
    deleted: VecDeque<(usize, Deleted)>,
    doubtful: VecDeque<Doubt>,
}

/// An object that was deleted, or is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deleted {
    pub(crate) key: ObjectKey,
    pub(crate) uid: Box<str>,
}

/// A write of which nobody knows whether it took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) resource: ResourceType,
    pub(crate) key: ObjectKey,
    /// The uid of what was to be deleted.
    pub(crate) uid: Option<Box<str>>,
}

/// What a view still has to show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need<'a> {
    /// Everything up to this version.
    Version(&'a ResourceVersion),
    /// That the object is gone or going.
    Deleted(&'a Deleted),
}

/// Whether a primary may be reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everything that was written for it can be read.
    Clear,
    /// Some of it can not be read yet.
    Behind,
    /// Of some of it nobody knows whether it took effect.
    Doubtful,
}

impl OwnWrites {
    /// Notes that `version` was written and that `view` is going to show it. A version that does not compare is no use.
    pub(crate) fn wrote(&mut self, view: usize, version: &ResourceVersion) {
        if version.compare(version).is_none() {
            return;
        }
        match self.written.iter_mut().find(|(written, _)| *written == view) {
            Some((_, newest)) if newest.compare(version).is_some_and(|order| order.is_lt()) => {
                *newest = version.clone()
            }
            Some(_) => {}
            None => self.written.push((view, version.clone())),
        }
    }

    /// Notes that an object was deleted and that `view` is going to show it.
    pub(crate) fn deleted(&mut self, view: usize, deleted: Deleted) {
        push(&mut self.deleted, (view, deleted));
    }

    /// Notes that a write was sent and that nothing is known of its outcome.
    pub(crate) fn doubt(&mut self, doubt: Doubt) {
        if !self.doubtful.contains(&doubt) {
            push(&mut self.doubtful, doubt);
        }
    }

    /// Takes doubts about an object back: it was read or written since.
    pub(crate) fn settle(&mut self, resource: &ResourceType, key: &ObjectKey) {
        self.doubtful.retain(|doubt| doubt.key != *key || doubt.resource != *resource);
    }

    /// Returns the writes of unknown outcome.
    pub(crate) fn doubts(&self) -> Vec<Doubt> {
        self.doubtful.iter().cloned().collect()
    }

    /// Says whether the primary may be reconciled, and forgets what `shown` says of.
    pub(crate) fn sight(&mut self, shown: impl Fn(usize, Need<'_>) -> bool) -> Sight {
        let Self { written, deleted, doubtful } = self;
        written.retain(|(view, version)| !shown(*view, Need::Version(version)));
        // A view that is behind may not show yet that the object came, so that it is not there says nothing.
        let is_behind = |view: usize| written.iter().any(|(written, _)| *written == view);
        deleted.retain(|(view, deleted)| is_behind(*view) || !shown(*view, Need::Deleted(deleted)));
        match (doubtful.is_empty(), written.is_empty() && deleted.is_empty()) {
            (false, _) => Sight::Doubtful,
            (true, false) => Sight::Behind,
            (true, true) => Sight::Clear,
        }
    }

    /// Forgets everything: it was waited for long enough.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn push<T>(log: &mut VecDeque<T>, entry: T) {
    if log.len() >= MAX_OWN_WRITES {
        log.pop_front();
    }
    log.push_back(entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: u32) -> ResourceVersion {
        ResourceVersion::new(&version.to_string())
    }

    fn gone(name: &str) -> Deleted {
        Deleted { key: ObjectKey::cluster(name), uid: "u".into() }
    }

    fn doubt(name: &str) -> Doubt {
        let resource = ResourceType::of::<k8s_openapi::api::core::v1::ConfigMap>();
        Doubt { resource, key: ObjectKey::cluster(name), uid: None }
    }

    /// Views that have reached these versions and show none of what was deleted.
    fn reached(versions: &'static [u32]) -> impl Fn(usize, Need<'_>) -> bool {
        move |view, need| match need {
            Need::Version(wanted) => version(versions[view]).compare(wanted).is_some_and(|order| order.is_ge()),
            Need::Deleted(_) => true,
        }
    }

    #[test]
    fn every_view_has_to_show_the_newest_of_what_it_sees() {
        let mut own = OwnWrites::default();
        assert_eq!(own.sight(reached(&[0, 0])), Sight::Clear);
        for (view, written) in [(0, 7), (0, 5), (1, 9), (0, 8)] {
            own.wrote(view, &version(written));
        }
        assert_eq!(own.sight(reached(&[7, 9])), Sight::Behind);
        assert_eq!(own.sight(reached(&[8, 0])), Sight::Clear, "what was shown once is not asked for again");
    }

    #[test]
    fn versions_that_do_not_compare_are_not_waited_for() {
        let mut own = OwnWrites::default();
        for opaque in ["", "0", "abc", "01"] {
            own.wrote(0, &ResourceVersion::new(opaque));
        }
        assert_eq!(own.sight(|_, _| false), Sight::Clear);
    }

    #[test]
    fn a_deletion_is_waited_for_by_itself() {
        let mut own = OwnWrites::default();
        own.deleted(0, gone("a"));
        own.deleted(1, gone("b"));
        let shows = |visible: &'static str| move |_: usize, need: Need<'_>| !matches!(need, Need::Deleted(it) if it.key.name() == visible);
        assert_eq!(own.sight(shows("b")), Sight::Behind);
        assert_eq!(own.sight(shows("")), Sight::Clear);
    }

    #[test]
    fn an_object_that_is_not_there_yet_does_not_count_as_gone() {
        let mut own = OwnWrites::default();
        own.wrote(0, &version(5));
        own.deleted(0, gone("a"));
        assert_eq!(own.sight(reached(&[4])), Sight::Behind);
        assert_eq!(own.sight(|_, need| matches!(need, Need::Version(_))), Sight::Behind, "it came, and is still there");
        assert_eq!(own.sight(reached(&[6])), Sight::Clear);
    }

    #[test]
    fn a_doubt_holds_until_it_is_settled() {
        let mut own = OwnWrites::default();
        own.doubt(doubt("a"));
        own.doubt(doubt("a"));
        own.wrote(0, &version(3));
        assert_eq!((own.doubts(), own.sight(reached(&[0]))), (vec![doubt("a")], Sight::Doubtful));
        own.settle(&doubt("a").resource, &doubt("a").key);
        assert_eq!(own.sight(reached(&[0])), Sight::Behind);
        own.clear();
        assert_eq!(own.sight(reached(&[0])), Sight::Clear);
    }

    #[test]
    fn a_log_that_is_full_forgets_the_oldest() {
        let mut own = OwnWrites::default();
        for index in 0..=MAX_OWN_WRITES {
            own.wrote(index % 2, &version(index as u32 + 1));
            own.deleted(0, gone(&index.to_string()));
            own.doubt(doubt(&index.to_string()));
        }
        assert_eq!((own.written.len(), own.deleted.len(), own.doubtful.len()), (2, MAX_OWN_WRITES, MAX_OWN_WRITES));
        assert_eq!((&own.deleted[0].1, &own.doubtful[0]), (&gone("1"), &doubt("1")));
    }
}
