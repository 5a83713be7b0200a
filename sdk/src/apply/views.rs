//! The caches that reconciles of one controller read: which of them will show a write, and whether they do.
use std::sync::Arc;

use kube::core::SelectorExt as _;
use serde_json::Value;
use tokio::sync::watch;

use crate::informer::{InformerStatus, SharedInformer};
use crate::reflector::Target;
use crate::resource::{ObjectKey, ResourceType, ResourceVersion};

use crate::store::selector::parse_labels;

use super::own::Need;

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
}

/// Whether the object at a key is among what an informer watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Yes,
    No,
    /// Only the API server could tell.
    Perhaps,
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
        self.numbers(|view| match watched(view.target(), resource, key, object) {
            Watched::Yes => true,
            Watched::No => false,
            // A change of what is cached shows in any case, be it as a deletion.
            Watched::Perhaps => view.informer.uid(key).is_some(),
        })
    }

    /// Returns the views that may show an object under `key`.
    pub(super) fn watching(&self, resource: &ResourceType, key: &ObjectKey) -> Vec<usize> {
        self.numbers(|view| watched(view.target(), resource, key, &Value::Null) != Watched::No)
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

    /// Says whether an informer is going to show this version of an object, and does not yet.
    pub(super) fn is_behind(&self, informer: &Arc<SharedInformer>, key: &ObjectKey, version: &ResourceVersion) -> bool {
        let mut views = self.0.iter().filter(|view| Arc::ptr_eq(&view.informer, informer));
        views.any(|view| {
            let shows = match watched(view.target(), &view.target().resource, key, &Value::Null) {
                Watched::Yes => true,
                Watched::No => false,
                Watched::Perhaps => informer.uid(key).is_some(),
            };
            shows && !informer.has_reached(view.part, version)
        })
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

fn watched(target: &Target, resource: &ResourceType, key: &ObjectKey, object: &Value) -> Watched {
    let elsewhere = target.namespace.as_deref().is_some_and(|namespace| key.namespace() != Some(namespace));
    if target.resource != *resource || elsewhere {
        return Watched::No;
    }
    match (&target.labels, &target.fields) {
        (None, None) => Watched::Yes,
        // A version that does not match any longer shows as a deletion, where the object is cached.
        (Some(labels), None) if is_selected(object, labels) => Watched::Yes,
        _ => Watched::Perhaps,
    }
}

fn is_selected(object: &Value, labels: &str) -> bool {
    let of_object = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    let of_object = of_object.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    parse_labels(labels).is_ok_and(|selector| selector.matches(&of_object))
}
