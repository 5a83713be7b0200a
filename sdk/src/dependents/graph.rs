//! A graph of dependents: what each should be, what it comes after, when it is wanted and when it is ready.
use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use crate::apply::{self, Deletion, Desired, Owner};
use crate::declare::{OwnedBy, Primary};
use crate::reconcile::{Context, Error, Result};
use crate::resource::{Kind, ObjectKey, ResourceType, Scope};
use crate::store::decode::redact;

use super::desired::{DesiredFn, Siblings};
use super::order::{OrderError, Plan};
use super::readiness;

/// Says on a child which dependent it is: `controller/dependent`. What the graph did not make is not its to prune.
pub(super) const DEPENDENT: &str = "kubewright.dev/dependent";

/// The children of a primary `P` as a graph. The derive writes it from `dependents(..)`; it can be put together by hand.
///
/// ```
/// # use kubewright::k8s_openapi::api::core::v1::{ConfigMap, Service};
/// # use kubewright::declare::{OwnedBy, Primary};
/// use kubewright::dependents::{Dependent, Graph};
///
/// # fn graph<P: Primary>(page: fn(&P) -> ConfigMap, service: fn(&P) -> Option<Service>) -> Graph<P>
/// # where ConfigMap: OwnedBy<P>, Service: OwnedBy<P> {
/// Graph::new()
///     .dependent(Dependent::<P, ConfigMap>::new("page", page))
///     .dependent(Dependent::<P, Service>::new("service", service).after("page"))
/// # }
/// ```
pub struct Graph<P> {
    pub(super) nodes: Vec<Box<dyn Node<P>>>,
}

impl<P: Primary> Graph<P> {
    /// Makes a graph without dependents.
    pub fn new() -> Self {
        Self { nodes: Vec::new() }
    }

    /// Adds a dependent. Those it comes after may be added later.
    #[must_use]
    pub fn dependent<C: OwnedBy<P>>(mut self, dependent: Dependent<P, C>) -> Self {
        self.nodes.push(Box::new(dependent));
        self
    }

    pub(super) fn plan(&self) -> Result<Plan, OrderError> {
        let nodes: Vec<_> = self.nodes.iter().map(|node| (node.name(), node.after())).collect();
        Plan::new(&nodes)
    }
}

impl<P: Primary> Default for Graph<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> fmt::Debug for Graph<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.nodes.iter().map(|node| node.name())).finish()
    }
}

/// One dependent: children of kind `C` of a primary `P`.
pub struct Dependent<P, C> {
    name: &'static str,
    desired: Desire<P, C>,
    after: Vec<&'static str>,
    when: Option<Condition<P>>,
    ready: Readiness<C>,
}

type Condition<P> = Box<dyn Fn(&P) -> bool + Send + Sync>;
type Readiness<C> = Arc<dyn Fn(&C) -> bool + Send + Sync>;
type Desire<P, C> = Box<dyn Fn(&P, &Siblings) -> Result<Vec<C>> + Send + Sync>;

impl<P: Primary, C: OwnedBy<P>> Dependent<P, C> {
    /// Makes a dependent of what `desired` returns. The name is unique in its graph and must not change while there are
    /// children: they carry it, and those of a name that is gone are deleted.
    pub fn new<Args>(name: &'static str, desired: impl DesiredFn<P, C, Args>) -> Self {
        Self {
            name,
            desired: Box::new(move |primary, siblings| desired.desired(primary, siblings)),
            after: Vec::new(),
            when: None,
            ready: Arc::new(readiness::is_ready),
        }
    }

    /// Applies it only while all children of the dependent `name` are ready, and deletes it before those.
    #[must_use]
    pub fn after(mut self, name: &'static str) -> Self {
        self.after.push(name);
        self
    }

    /// Wants it only for the primaries for which `when` is true; for others its children are deleted.
    #[must_use]
    pub fn when(mut self, when: impl Fn(&P) -> bool + Send + Sync + 'static) -> Self {
        self.when = Some(Box::new(when));
        self
    }

    /// Says when a live child is ready. One that is being deleted never is.
    #[must_use]
    pub fn ready(mut self, ready: impl Fn(&C) -> bool + Send + Sync + 'static) -> Self {
        self.ready = Arc::new(ready);
        self
    }
}

impl<P, C> fmt::Debug for Dependent<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependent").field("name", &self.name).field("after", &self.after).finish_non_exhaustive()
    }
}

/// A dependent without its kind.
pub(super) trait Node<P>: Send + Sync {
    fn name(&self) -> &'static str;
    fn after(&self) -> &[&'static str];
    /// Tells kinds apart.
    fn kind_id(&self) -> TypeId;
    fn kind(&self) -> String;
    fn is_wanted(&self, primary: &P) -> bool;
    /// Computes the children, marked as made by this dependent of `controller`.
    fn desired(
        &self,
        primary: &P,
        owner: &Owner,
        controller: &str,
        siblings: &Siblings,
    ) -> Result<Vec<Box<dyn Child<P>>>>;
    /// Returns the keys of the cached children of this kind that the primary controls.
    fn cached(&self, cx: &Context<P>) -> Result<Vec<ObjectKey>>;
    /// Returns which dependent of this controller made a cached child, if one did, and how to delete what was looked at.
    fn origin(&self, cx: &Context<P>, key: &ObjectKey) -> Result<Option<(String, Deletion)>>;
    fn delete<'a>(
        &'a self,
        cx: &'a Context<P>,
        key: &'a ObjectKey,
        deletion: &'a Deletion,
    ) -> BoxFuture<'a, Result<()>>;
}

/// One desired child without its kind.
pub(super) trait Child<P>: Send {
    fn key(&self) -> &ObjectKey;
    fn apply<'a>(self: Box<Self>, cx: &'a Context<P>) -> BoxFuture<'a, Result<Live>>
    where
        Self: 'a;
    /// Returns what an apply would send.
    fn form(&self, owner: &Owner) -> Result<Value, apply::Error>;
    /// Returns the child as a sibling of those that come after it.
    fn as_sibling(&self) -> Arc<dyn Any + Send + Sync>;
}

/// A child as it is after it was applied.
pub(super) struct Live {
    pub(super) object: Arc<dyn Any + Send + Sync>,
    pub(super) is_ready: bool,
}

struct Typed<C> {
    key: ObjectKey,
    object: C,
    ready: Readiness<C>,
}

impl<P: Primary, C: OwnedBy<P>> Node<P> for Dependent<P, C> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn after(&self) -> &[&'static str] {
        &self.after
    }

    fn kind_id(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn kind(&self) -> String {
        C::kind(&()).into_owned()
    }

    fn is_wanted(&self, primary: &P) -> bool {
        self.when.as_ref().is_none_or(|when| when(primary))
    }

    fn desired(
        &self,
        primary: &P,
        owner: &Owner,
        controller: &str,
        siblings: &Siblings,
    ) -> Result<Vec<Box<dyn Child<P>>>> {
        let mark = format!("{controller}/{}", self.name);
        let child = |mut object: C| -> Box<dyn Child<P>> {
            object.meta_mut().annotations.get_or_insert_default().insert(DEPENDENT.to_owned(), mark.clone());
            Box::new(Typed { key: key_of(&object, &owner.key), object, ready: Arc::clone(&self.ready) })
        };
        Ok((self.desired)(primary, siblings)?.into_iter().map(child).collect())
    }

    fn cached(&self, cx: &Context<P>) -> Result<Vec<ObjectKey>> {
        cx.children::<C>()
    }

    fn origin(&self, cx: &Context<P>, key: &ObjectKey) -> Result<Option<(String, Deletion)>> {
        let Some(live) = cx.child::<C>(key)? else { return Ok(None) };
        let marks: Marked = serde_json::from_slice(live.json()).map_err(redact)?;
        let mark = marks.metadata.annotations.and_then(|annotations| annotations.dependent);
        let own = mark.as_deref().and_then(|mark| mark.strip_prefix(cx.controller())?.strip_prefix('/'));
        let metadata = live.metadata();
        let deletion = || Deletion::background().of(&metadata.uid, metadata.resource_version.clone());
        Ok(own.map(|own| (own.to_owned(), deletion())))
    }

    fn delete<'a>(
        &'a self,
        cx: &'a Context<P>,
        key: &'a ObjectKey,
        deletion: &'a Deletion,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(cx.delete_child::<C>(key, deletion))
    }
}

impl<P: Primary, C: OwnedBy<P>> Child<P> for Typed<C> {
    fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn apply<'a>(self: Box<Self>, cx: &'a Context<P>) -> BoxFuture<'a, Result<Live>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let object = cx.apply(self.object).await?;
            let is_ready = object.meta().deletion_timestamp.is_none() && (self.ready)(&object);
            Ok(Live { object, is_ready })
        })
    }

    fn form(&self, owner: &Owner) -> Result<Value, apply::Error> {
        Ok(Desired::build(&self.object, owner)?.form)
    }

    fn as_sibling(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::new(self.object.clone())
    }
}

/// The key that the child of a primary has, its namespace filled in. What has none is refused when it is applied.
fn key_of<C: Kind>(child: &C, primary: &ObjectKey) -> ObjectKey {
    let meta = child.meta();
    let name = meta.name.as_deref().unwrap_or_default();
    let namespace = meta.namespace.as_deref().or(primary.namespace()).unwrap_or_default();
    match ResourceType::of::<C>().scope {
        Scope::Cluster => ObjectKey::cluster(name),
        Scope::Namespaced => ObjectKey::namespaced(namespace, name),
    }
}

/// The one annotation that is read of a cached child.
#[derive(Deserialize)]
struct Marked {
    #[serde(default)]
    metadata: MarkedMetadata,
}

#[derive(Default, Deserialize)]
struct MarkedMetadata {
    annotations: Option<Marks>,
}

#[derive(Deserialize)]
struct Marks {
    #[serde(rename = "kubewright.dev/dependent")]
    dependent: Option<String>,
}

/// Makes an error that trying again can not help.
pub(super) fn terminal(message: String) -> Error {
    Error::new(message).terminal()
}
