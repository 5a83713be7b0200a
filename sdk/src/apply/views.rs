//! The caches that reconciles of one controller read: which of them will show a write, and whether they do.
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use crate::informer::{InformerStatus, SharedInformer};
use crate::reflector::Target;
use crate::resource::{ObjectKey, ResourceType, ResourceVersion};

use super::own::Need;
use super::select::{Labels, Selected, labels, selects};

/// The informers of one controller, by number: each namespace of one that holds several is a view of its own, because it
/// has a watch of its own.
#[derive(Debug, Default)]
pub(crate) struct Views(Vec<View>);

#[derive(Debug)]
struct View {
    informer: Arc<SharedInformer>,
    /// Which of its targets.
    part: usize,
}

impl View {
    fn target(&self) -> &Target {
        &self.informer.targets()[self.part]
    }

    /// Says whether an object is among what is watched, unless it is of another kind.
    fn selects(&self, resource: &ResourceType, key: &ObjectKey, labels: &Labels) -> Option<Selected> {
        (self.target().resource == *resource).then(|| selects(self.target(), key, labels))
    }
}

impl Views {
    /// Takes the informers, each once.
    pub(crate) fn new<'a>(informers: impl IntoIterator<Item = &'a Arc<SharedInformer>>) -> Self {
        let mut views = Vec::<View>::new();
        for informer in informers {
            if !views.iter().any(|known| Arc::ptr_eq(&known.informer, informer)) {
                let parts = 0..informer.targets().len();
                views.extend(parts.map(|part| View { informer: Arc::clone(informer), part }));
            }
        }
        Self(views)
    }

    /// Returns the views that are going to show a write of `object`, the API server's answer to it.
    ///
    /// Those of which this is not certain are left out: nobody may wait for what never comes.
    pub(super) fn showing(&self, resource: &ResourceType, key: &ObjectKey, object: &Value) -> Vec<usize> {
        let labels = labels(object);
        self.numbers(|view| match view.selects(resource, key, &labels) {
            Some(Selected::Yes) => true,
            Some(Selected::Elsewhere(_)) | None => false,
            // A change of what is cached shows in any case, be it as a deletion.
            Some(Selected::Unlabelled(_) | Selected::Perhaps) => view.informer.uid(key).is_some(),
        })
    }

    /// Returns the views that may show an object under `key`.
    pub(super) fn watching(&self, resource: &ResourceType, key: &ObjectKey) -> Vec<usize> {
        let is_elsewhere = |selected| matches!(selected, Selected::Elsewhere(_));
        self.numbers(|view| view.selects(resource, key, &Labels::new()).is_some_and(|selected| !is_elsewhere(selected)))
    }

    /// Returns the views that hold an object under `key`.
    pub(super) fn holding(&self, resource: &ResourceType, key: &ObjectKey) -> Vec<usize> {
        let mut watching = self.watching(resource, key);
        watching.retain(|&view| self.uid(view, key).is_some());
        watching
    }

    /// Says whether a view shows every change up to `version`. Of a version that does not compare nobody can tell: yes.
    pub(super) fn has_passed(&self, view: usize, version: &ResourceVersion) -> bool {
        self.shows(view, Need::Version(version))
    }

    /// Returns the views of an informer.
    pub(super) fn of_informer<'a>(&'a self, informer: &'a Arc<SharedInformer>) -> impl Iterator<Item = usize> + 'a {
        (0..self.0.len()).filter(|&number| Arc::ptr_eq(&self.0[number].informer, informer))
    }

    /// Returns the uid of the object that a view shows under `key`.
    pub(super) fn uid(&self, view: usize, key: &ObjectKey) -> Option<Box<str>> {
        self.0[view].informer.uid(key)
    }

    /// Says whether a view shows it. A version that does not compare with the cache's counts as shown.
    pub(super) fn shows(&self, view: usize, need: Need<'_>) -> bool {
        let View { informer, part } = &self.0[view];
        match need {
            Need::Version(version) => informer.has_reached(*part, version),
            Need::Deleted(deleted) => !informer.has_alive(&deleted.key, &deleted.uid),
        }
    }

    /// Returns the number of the first view of an informer.
    pub(crate) fn number(&self, informer: &Arc<SharedInformer>) -> Option<usize> {
        self.0.iter().position(|known| Arc::ptr_eq(&known.informer, informer))
    }

    /// Returns the views of a kind.
    pub(super) fn of<'a>(&'a self, resource: &'a ResourceType) -> impl Iterator<Item = usize> + 'a {
        (0..self.0.len()).filter(|&number| self.0[number].target().resource == *resource)
    }

    /// Returns what tells of every change of the views.
    pub(crate) fn changes(&self) -> Vec<watch::Receiver<InformerStatus>> {
        self.0.iter().filter(|view| view.part == 0).map(|view| view.informer.status()).collect()
    }

    fn numbers(&self, wanted: impl Fn(&View) -> bool) -> Vec<usize> {
        (0..self.0.len()).filter(|&number| wanted(&self.0[number])).collect()
    }
}
