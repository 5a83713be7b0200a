//! Writes of children that are told apart by whether the child exists: the first apply, create-only, dry run.
use std::sync::Arc;

use serde_json::Value;

use crate::resource::{Kind, ResourceType};
use crate::store::decode::redact;
use crate::wire::RawObject;

use super::desired::{Desired, Owner};
use super::error::Error;
use super::send::{Effect, Write};
use super::{Writer, refuse_foreign, request};

/// A version that no object has: etcd counts from 1, and its first write makes 2. An apply that asks for it creates, or is
/// refused with a conflict.
///
/// A create by POST would do the same and own the fields as an update, which later applies could not give up.
const ABSENT: &str = "1";

/// Whether a child was there before.
#[derive(Debug)]
pub(super) enum Introduced {
    Created(Value),
    /// It exists, and this owner or nobody controls it.
    Exists(Value),
}

impl Writer {
    /// Applies a child that neither a cache nor this writer's memory knows.
    ///
    /// Two primaries that name one child share a field manager, so that the second would take over in silence what the
    /// first made a moment ago. It is refused here instead.
    pub(super) async fn apply_unknown(
        &self,
        owner: &Owner,
        resource: &ResourceType,
        desired: &Desired,
    ) -> Result<Value, Error> {
        match self.introduce(owner, resource, desired).await? {
            Introduced::Created(answer) => Ok(answer),
            Introduced::Exists(_) => self.apply_known(owner, resource, desired).await,
        }
    }

    /// Applies a child, whoever made it.
    pub(super) async fn apply_known(
        &self,
        owner: &Owner,
        resource: &ResourceType,
        desired: &Desired,
    ) -> Result<Value, Error> {
        let request = request::apply(resource, &desired.key, None, &self.manager, &desired.form);
        self.send(child("apply", owner, resource, desired), request).await
    }

    /// Creates a child of `owner` unless it exists, and returns it as it is then.
    pub(crate) async fn create<C: Kind>(&self, owner: &Owner, child: &C) -> Result<Arc<C>, Error> {
        let (resource, desired) = (ResourceType::of::<C>(), Desired::build(child, owner)?);
        let (Introduced::Created(object) | Introduced::Exists(object)) =
            self.introduce(owner, &resource, &desired).await?;
        typed("create", &resource, &desired, object)
    }

    /// Asks the API server what an apply would make of a child, with everything it validates and admits. Changes nothing.
    pub(crate) async fn dry_run<C: Kind>(&self, owner: &Owner, child: &C) -> Result<Arc<C>, Error> {
        let (resource, desired) = (ResourceType::of::<C>(), Desired::build(child, owner)?);
        let request = request::dry_run(&resource, &desired.key, &self.manager, &desired.form);
        let object = self.try_out(self::child("try to apply", owner, &resource, &desired), request).await?;
        typed("try to apply", &resource, &desired, object)
    }

    async fn introduce(&self, owner: &Owner, resource: &ResourceType, desired: &Desired) -> Result<Introduced, Error> {
        let mut form = desired.form.clone();
        form["metadata"]["resourceVersion"] = ABSENT.into();
        let request = request::apply(resource, &desired.key, None, &self.manager, &form);
        let conflict = match self.send(child("create", owner, resource, desired), request).await {
            Err(Error::Request { source, .. }) if source.is_conflict() || source.is_already_exists() => source,
            result => return result.map(Introduced::Created),
        };
        let live = match self.get(child("read", owner, resource, desired)).await {
            // It came and went: a race that the next reconcile sees the end of.
            Err(Error::Request { source, .. }) if source.is_not_found() => {
                return Err(child("create", owner, resource, desired).failed(*conflict));
            }
            live => live?,
        };
        if let Ok(object) = RawObject::parse(live.to_string().as_bytes()) {
            refuse_foreign(resource, owner, &object)?;
        }
        Ok(Introduced::Exists(live))
    }
}

fn child<'a>(verb: &'static str, owner: &'a Owner, resource: &'a ResourceType, desired: &'a Desired) -> Write<'a> {
    Write { verb, resource, key: &desired.key, primary: &owner.key, effect: Effect::Child }
}

fn typed<C: Kind>(
    verb: &'static str,
    resource: &ResourceType,
    desired: &Desired,
    object: Value,
) -> Result<Arc<C>, Error> {
    let answer =
        |source| Error::Answer { verb, kind: resource.kind.clone(), key: desired.key.clone(), source: redact(source) };
    serde_json::from_value(object).map(Arc::new).map_err(answer)
}
