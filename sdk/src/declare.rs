//! What an operator declares, as data: its primary kind, its relations, its indexes, and the RBAC rules they add up to.
//!
//! The derive writes a [`Declaration`] with the builder methods below; everything else (informers, mapping of events,
//! the role, what a context may touch) follows from it.
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::resource::{Kind, ObjectKey, ObjectScope, ResourceType};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

pub mod crd;

pub mod path;

pub mod rbac;

/// The kind an operator reconciles. Implemented by `#[derive(Operator)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the primary kind of an operator",
    note = "add `#[derive(Operator)]` and `#[operator(..)]` beside `#[derive(CustomResource)]`"
)]
pub trait Primary: Kind {
    /// Returns what the operator declares.
    fn declaration() -> Declaration<Self>;
}

/// Marks a kind that `P` declares as `owns(..)`: what a context of `P` may apply and delete.
#[diagnostic::on_unimplemented(
    message = "`{P}` does not declare `owns({Self})`",
    label = "not declared by `{P}`",
    note = "write `owns({Self})` in `#[operator(..)]` of `{P}`: the role, the cache and the watch follow from it"
)]
pub trait OwnedBy<P: Primary>: Kind + OwnableIn<P::Scope> {}

/// Says that objects of scope `Self` can own objects of scope `C`.
#[diagnostic::on_unimplemented(
    message = "a namespaced resource cannot own a cluster-scoped one",
    note = "owner references never cross from a namespace to the cluster: use `watches(..)` and a cleanup, or make the primary cluster-scoped"
)]
pub trait CanOwn<C> {}

impl CanOwn<k8s_openapi::NamespaceResourceScope> for k8s_openapi::NamespaceResourceScope {}
impl<C: ObjectScope> CanOwn<C> for k8s_openapi::ClusterResourceScope {}

/// A kind whose objects can be owned by objects of scope `S`: [`CanOwn`] seen from the child, so that the error sits on
/// the child that an attribute names.
pub trait OwnableIn<S> {}

impl<S: CanOwn<C::Scope>, C: Kind> OwnableIn<S> for C {}

/// Everything one operator declares about its primary kind `P`.
pub struct Declaration<P> {
    /// Name of the controller: in logs, field managers and status.
    pub name: &'static str,
    /// The primary kind.
    pub primary: ResourceType,
    /// Makes the CRD of the primary kind.
    pub crd: fn() -> CustomResourceDefinition,
    /// Whether the primary has a status subresource.
    pub status: bool,
    /// The finalizer that holds deletion until `cleanup` is done, if the operator has a cleanup.
    pub finalizer: Option<String>,
    /// How many reconciles may run at once; one key never runs twice at once.
    pub concurrency: usize,
    /// How long a reconcile may take, if there is a limit.
    pub deadline: Option<Duration>,
    /// How often every primary is reconciled again, if it is.
    pub resync: Option<Duration>,
    /// Owned and watched kinds, in the order of the attribute; the position is the slot that generated code names.
    pub relations: Vec<Relation<P>>,
    /// Declared indexes of the primary, in the order of the attribute.
    pub indexes: Vec<IndexDeclaration<P>>,
}

/// How many reconciles run at once where the attribute does not say: enough to hide a slow API call, few enough to
/// leave a small API server in peace.
pub const DEFAULT_CONCURRENCY: usize = 4;

impl<P: Kind> Declaration<P> {
    /// Starts a declaration with no relations.
    pub fn new(name: &'static str, crd: fn() -> CustomResourceDefinition) -> Self {
        Self {
            name,
            primary: ResourceType::of::<P>(),
            crd,
            status: false,
            finalizer: None,
            concurrency: DEFAULT_CONCURRENCY,
            deadline: None,
            resync: None,
            relations: Vec::new(),
            indexes: Vec::new(),
        }
    }

    /// Says that the primary has a status subresource.
    #[must_use]
    pub fn status(mut self) -> Self {
        self.status = true;
        self
    }

    /// Sets the finalizer that holds deletion until `cleanup` is done.
    #[must_use]
    pub fn finalizer(mut self, finalizer: &str) -> Self {
        self.finalizer = Some(finalizer.to_owned());
        self
    }

    /// Sets how many reconciles may run at once.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Drops a reconcile that takes longer, as [`Controller::deadline`](crate::controller::Controller::deadline) says.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Reconciles every primary again each `period`, as [`Controller::resync`](crate::controller::Controller::resync) says.
    #[must_use]
    pub fn resync(mut self, period: Duration) -> Self {
        self.resync = Some(period);
        self
    }

    /// Adds children of kind `C`: watched, cached, and mapped to the primary that controls them.
    #[must_use]
    pub fn owns<C: Kind>(mut self, narrow: Narrow) -> Self {
        let resource = ResourceType::of::<C>();
        self.relations.push(Relation { resource, role: Role::Owns, narrow, mapping: Mapping::ControllerOwner });
        self
    }

    /// Adds another kind: watched, cached, and mapped to the primaries that `mapping` finds.
    #[must_use]
    pub fn watches<C: Kind>(mut self, narrow: Narrow, mapping: Mapping<P>) -> Self {
        self.relations.push(Relation { resource: ResourceType::of::<C>(), role: Role::Watches, narrow, mapping });
        self
    }

    /// Adds an index of the primary: `project` calls its second argument once for each value.
    #[must_use]
    pub fn index(mut self, name: &'static str, project: Projection<P>) -> Self {
        self.indexes.push(IndexDeclaration { name, project });
        self
    }
}

/// One owned or watched kind.
pub struct Relation<P> {
    /// The kind.
    pub resource: ResourceType,
    /// What may be done with it.
    pub role: Role,
    /// Which part of the kind is watched.
    pub narrow: Narrow,
    /// How an event of it finds primaries.
    pub mapping: Mapping<P>,
}

/// What an operator may do with a related kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Children: read, applied and deleted.
    Owns,
    /// Read only.
    Watches,
}

/// Which objects of a kind are watched, and how much of each is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Narrow {
    /// Label selector, as `kubectl -l` takes it.
    pub labels: Option<String>,
    /// Field selector, as `kubectl --field-selector` takes it.
    pub fields: Option<String>,
    /// The only namespaces that are watched; all that the operator watches if there are none.
    pub namespaces: BTreeSet<String>,
    /// How much of each object is asked for.
    pub view: View,
    /// What to make of it when the API server does not know the kind.
    pub presence: Presence,
}

impl Narrow {
    /// Keeps only objects whose labels match `selector`.
    #[must_use]
    pub fn labels(mut self, selector: &str) -> Self {
        self.labels = Some(selector.to_owned());
        self
    }

    /// Keeps only objects whose fields match `selector`.
    #[must_use]
    pub fn fields(mut self, selector: &str) -> Self {
        self.fields = Some(selector.to_owned());
        self
    }

    /// Keeps only objects of this namespace, and of others that are named so.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespaces.insert(namespace.to_owned());
        self
    }

    /// Asks for metadata only.
    #[must_use]
    pub fn metadata(mut self) -> Self {
        self.view = View::Metadata;
        self
    }

    /// Says what to make of a kind that the API server does not know.
    #[must_use]
    pub fn presence(mut self, presence: Presence) -> Self {
        self.presence = presence;
        self
    }
}

/// How much of each object is asked for and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// Whole objects.
    #[default]
    Full,
    /// `PartialObjectMetadata`: no spec, no status, no secrets.
    Metadata,
}

/// What to make of a kind that the API server does not know, because its CRD is not installed (yet).
///
/// The kind is asked for again and again, each time after a longer wait up to 30 s, so that it is cached within half a
/// minute once it is there. Where callers of one informer differ, the strictest counts: the order is that of the variants.
///
/// A kind may also vanish: deleting a CRD deletes its objects first, and what the watch tells of that is applied as ever.
/// If the watch missed it, a required kind keeps what was cached, and fails. Any other is gone with all its objects: after
/// three answers in a row that the kind is unknown they are deleted, with an unknown final state. What has synced stays
/// synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Presence {
    /// The informer counts as synced, with no objects, while the kind is unknown; objects that come later are added as
    /// new ones.
    Optional,
    /// The informer does not sync before the kind is known, and that is no failure.
    Awaited,
    /// A kind that is unknown is a failure, which readiness and the error of a wait name.
    #[default]
    Required,
}

/// How an event of a related kind finds the primaries to reconcile.
pub enum Mapping<P> {
    /// The controller owner reference of the object.
    ControllerOwner,
    /// An index over the primaries: `project` calls its second argument once for each object a primary names.
    References(fn(&P, &mut dyn FnMut(Reference))),
    /// A function of the related object's JSON to the primaries.
    Function(MapFunction),
}

impl<P> Mapping<P> {
    /// Maps by a function that calls its second argument once for each primary a related object concerns.
    pub fn function<C: Kind>(map: fn(&C, &mut dyn FnMut(ObjectKey))) -> Self {
        Self::Function(Arc::new(move |json| {
            let object: C = serde_json::from_slice(json)?;
            let mut keys = Vec::new();
            map(&object, &mut |key| keys.push(key));
            Ok(keys)
        }))
    }
}

impl<P> Clone for Mapping<P> {
    fn clone(&self) -> Self {
        match self {
            Self::ControllerOwner => Self::ControllerOwner,
            Self::References(project) => Self::References(*project),
            Self::Function(map) => Self::Function(Arc::clone(map)),
        }
    }
}

/// Maps the JSON of a related object to the primaries it concerns.
pub type MapFunction = Arc<dyn Fn(&[u8]) -> Result<Vec<ObjectKey>, serde_json::Error> + Send + Sync>;

/// Calls its second argument once for each value of an object.
pub type Projection<P> = fn(&P, &mut dyn FnMut(&str));

/// An object that a primary names in its spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Namespace, where the primary names one; otherwise the primary's own.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

/// One declared index of the primary kind.
pub struct IndexDeclaration<P> {
    /// Its name: the lister method that queries it.
    pub name: &'static str,
    /// Calls its second argument once for each value of an object.
    pub project: Projection<P>,
}

impl<P> fmt::Debug for Declaration<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declaration")
            .field("name", &self.name)
            .field("primary", &self.primary)
            .field("relations", &self.relations)
            .finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for Relation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relation")
            .field("resource", &self.resource)
            .field("role", &self.role)
            .field("narrow", &self.narrow)
            .field("mapping", &self.mapping)
            .finish()
    }
}

impl<P> fmt::Debug for Mapping<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControllerOwner => "ControllerOwner",
            Self::References(_) => "References",
            Self::Function(_) => "Function",
        })
    }
}

impl<P> fmt::Debug for IndexDeclaration<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IndexDeclaration").field(&self.name).finish()
    }
}
