//! What one informer holds, and how: options as a value.
use std::collections::BTreeSet;
use std::time::Duration;

pub use crate::declare::Presence;
use crate::declare::{Narrow, View};
use crate::store::{Budget, Storage};
use crate::wire::ManagedFields;

use super::handler::HandlerOptions;
use super::transform::Transform;

/// What one informer holds, and how. The default is every object of the kind that the factory's namespaces have.
///
/// Callers whose namespaces, selectors, view, managed fields, storage and transform are the same share one informer, and so one watch and
/// one copy; what else they say is settled as each method tells.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kubewright::informer::options::{InformerOptions, Presence};
/// use kubewright::{Informer, InformerFactory};
///
/// fn settings(factory: &InformerFactory) -> Informer<ConfigMap> {
///     factory.informer_with(InformerOptions::default().namespaces(["shop", "bank"]).labels("app=settings"))
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct InformerOptions {
    pub(super) namespaces: BTreeSet<String>,
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
    pub(super) view: View,
    pub(super) managed_fields: ManagedFields,
    pub(super) storage: Storage,
    pub(super) budget: Budget,
    pub(super) presence: Presence,
    pub(super) transform: Option<Transform>,
    pub(super) handlers: HandlerOptions,
}

impl InformerOptions {
    /// Keeps only objects of these namespaces, by one watch each into one cache; all that the factory allows if there are
    /// none. Cluster-scoped kinds are not limited.
    ///
    /// The informer is synced once every namespace is. A namespace need not exist.
    #[must_use]
    pub fn namespaces<N: Into<String>>(mut self, namespaces: impl IntoIterator<Item = N>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).filter(|name| !name.is_empty()).collect();
        self
    }

    /// Keeps only objects whose labels match `selector`, as `kubectl -l` takes it.
    #[must_use]
    pub fn labels(mut self, selector: &str) -> Self {
        self.labels = given(selector);
        self
    }

    /// Keeps only objects whose fields match `selector`, as `kubectl --field-selector` takes it.
    #[must_use]
    pub fn fields(mut self, selector: &str) -> Self {
        self.fields = given(selector);
        self
    }

    /// Asks for metadata only: no spec, no status, no secrets. It comes in [protobuf](crate::reflector::Encoding), of custom
    /// resources, too.
    ///
    /// Ask for the informer of [`PartialObjectMeta<K>`](kube::core::PartialObjectMeta), or read it by
    /// [`Lister::partial`](crate::Lister::partial): as a `K` its objects are empty, or do not decode where `K` must have a
    /// spec.
    #[must_use]
    pub fn metadata(mut self) -> Self {
        self.view = View::Metadata;
        self
    }

    /// Says whether `metadata.managedFields` are kept: for those who read who owns which field. They are part of the metadata
    /// view, too.
    ///
    /// An informer that keeps them is another one, with a watch of its own, than one that does not.
    #[must_use]
    pub fn managed_fields(mut self, managed_fields: ManagedFields) -> Self {
        self.managed_fields = managed_fields;
        self
    }

    /// Keeps objects in this form.
    #[must_use]
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Limits what the cache may take. Where callers of one informer differ, the smallest budget counts, for as long as the
    /// informer lives: no caller is given more than it can afford.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Says what to make of a kind that the API server does not know.
    #[must_use]
    pub fn presence(mut self, presence: Presence) -> Self {
        self.presence = presence;
        self
    }

    /// Changes every object before it is cached. Callers share an informer if they pass clones of one [`Transform`].
    #[must_use]
    pub fn transform(mut self, transform: Transform) -> Self {
        self.transform = Some(transform);
        self
    }

    /// Sets the resync period of handlers that are added through the returned informer and have none of their own; see
    /// [`HandlerOptions::resync_period`].
    #[must_use]
    pub fn resync_period(mut self, period: Duration) -> Self {
        self.handlers = self.handlers.resync_period(period);
        self
    }
}

impl From<&Narrow> for InformerOptions {
    fn from(narrow: &Narrow) -> Self {
        Self {
            namespaces: narrow.namespaces.iter().filter_map(|namespace| given(namespace)).collect(),
            labels: narrow.labels.as_deref().and_then(given),
            fields: narrow.fields.as_deref().and_then(given),
            view: narrow.view,
            presence: narrow.presence,
            ..Self::default()
        }
    }
}

/// Reads an empty restriction as none, so that both name the same informer.
fn given(restriction: &str) -> Option<String> {
    (!restriction.is_empty()).then(|| restriction.to_owned())
}
