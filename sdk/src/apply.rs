//! Writes: server-side apply of children, status, conditions and finalizers, each skipped when it is proven a no-op.
use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use crate::client::Client;
use crate::clock;
use crate::declare::View;
use crate::declare::crd::StatusSchema;
use crate::resource::{ObjectKey, ResourceType, ResourceVersion};
use crate::wire::RawObject;

mod child;
mod contain;
mod deletion;
mod desired;
mod digest;
mod echo;
pub mod error;
mod fields;
mod finalizer;
mod fingerprint;
mod memory;
mod own;
mod request;
mod select;
mod send;
mod status;
mod views;

pub(crate) use child::{Applied, Caches, Made};
pub use deletion::Deletion;
pub(crate) use desired::{DESIRED_HASH, Desired, Owner};
pub(crate) use echo::Change;
pub use error::Error;
pub(crate) use finalizer::{Held, Holder};
pub(crate) use memory::{Foreign, PrimaryMemory};
pub(crate) use own::Sight;
pub(crate) use select::{Labels, Selected, selects};
pub(crate) use status::Statement;
pub(crate) use views::Views;

use digest::Digest;
use fields::{FieldSet, Interner};
use fingerprint::{Decision, Fingerprint, Live, decide};
use memory::{FinalizerMemory, FinalizerWrite, Memory};
use send::Write;

/// Returns a short hash of `value`: the same in every process and for every build, whatever the order of its keys.
///
/// Meant for annotations of pod templates, so that pods are rolled when what they mount changes. Not cryptographic:
/// equal values hash the same, different ones practically never, and nothing is hidden.
///
/// # Errors
/// When `value` has no form in JSON, such as a map with keys that are no strings.
///
/// ```
/// let content = std::collections::BTreeMap::from([("index.html", "hello")]);
/// assert_eq!(kubewright::checksum(&content)?, kubewright::checksum(&serde_json::json!({ "index.html": "hello" }))?);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn checksum(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    Ok(format!("{:016x}", Digest::of(&serde_json::to_value(value)?)))
}

/// How often the removal of a finalizer is tried again on the live object before it counts as a conflict.
const REMOVAL_ATTEMPTS: u32 = 3;

/// All writes of one controller.
#[derive(Debug)]
pub(crate) struct Writer {
    client: Client,
    /// Owns the fields of children; its derivatives own the status.
    manager: String,
    schema: StatusSchema,
    memory: Memory,
    views: Views,
    sets: Interner,
}

/// The primary whose status is written.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) primary: &'a Owner,
    /// The generation that was reconciled.
    pub(crate) generation: Option<i64>,
    /// The primary as it is cached now.
    pub(crate) cached: Option<Arc<RawObject>>,
}

impl Writer {
    /// Makes the writer of the controller `name` of `resource`.
    pub(crate) fn new(client: Client, name: &str, resource: &ResourceType, schema: StatusSchema) -> Self {
        let manager = request::field_manager(name, &resource.group);
        let (memory, views, sets) = (Memory::default(), Views::default(), Interner::default());
        Self { client, manager, schema, memory, views, sets }
    }

    /// Names the caches that the reconciles read, which will show what is written.
    #[must_use]
    pub(crate) fn shown_by(mut self, views: Views) -> Self {
        self.views = views;
        self
    }

    /// Returns the client that the writes go through.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Says whether the status of the primary has conditions to set.
    pub(crate) fn has_conditions(&self) -> bool {
        self.schema.subresource && self.schema.conditions
    }

    /// Says whether another life of the primary was remembered under this key, and forgets it.
    pub(crate) fn is_reborn(&self, primary: &ObjectKey, uid: &str) -> bool {
        self.memory.is_reborn(primary, uid)
    }

    /// Drops what is remembered of a primary that is gone.
    pub(crate) fn forget(&self, primary: &ObjectKey) {
        self.memory.forget(primary);
    }

    /// States one condition; the others that this controller stated stay.
    pub(crate) async fn set_condition(&self, subject: &Subject<'_>, statement: &Statement<'_>) -> Result<(), Error> {
        let Subject { primary, cached, .. } = subject;
        self.check_status(primary, true)?;
        let manager = format!("{}-conditions", self.manager);
        let memory = self.memory.of(&primary.key);
        let mut memory = memory.status.lock().await;
        memory.about(&primary.uid);
        let version = cached.as_deref().map(|live| &live.metadata().resource_version);
        let mut current = memory.newest(version, subject.cached_status());
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(clock::timestamp());
        let now = json!(now).as_str().unwrap_or_default().to_owned();
        if memory.state(&current, statement, &now).is_none() {
            return Ok(());
        }
        if memory.needs_read(&current, statement) {
            let live = self.read(&primary.resource, &primary.key).await?;
            memory.learn(&live, &manager, Vec::new());
            current = live.get("status").cloned().unwrap_or_default();
        }
        let Some(conditions) = memory.state(&current, statement, &now) else { return Ok(()) };
        let form = status_form(primary, json!({ "conditions": conditions }));
        memory.doubt();
        let answer = self.apply_status(primary, &manager, &form).await?;
        memory.learn(&answer, &manager, conditions);
        Ok(())
    }

    /// Sets the status but for its conditions.
    pub(crate) async fn set_status(&self, subject: &Subject<'_>, status: Value) -> Result<(), Error> {
        let Subject { primary, generation, cached } = subject;
        self.check_status(primary, false)?;
        let manager = format!("{}-status", self.manager);
        let rest = status::rest(status, self.schema, *generation);
        let digest = digest::Digest::of(&rest);
        let memory = self.memory.of(&primary.key);
        let mut memory = memory.status.lock().await;
        memory.about(&primary.uid);
        let live = cached.as_deref().map(Live::from);
        let decision = decide(&mut memory.rest, digest, live, View::Full, |live| status::is_rest(live, &rest));
        if decision != Decision::Apply {
            return Ok(());
        }
        memory.rest = None;
        let answer = self.apply_status(primary, &manager, &status_form(primary, rest)).await?;
        let paths = FieldSet::applied_by(&manager, Some("status"), &answer).map(|set| self.sets.intern(set));
        memory.learn_rest(&answer, Fingerprint::of_answer(digest, &answer, paths, View::Full));
        Ok(())
    }

    /// Says whether `finalizer` holds the primary, our own last write included.
    pub(crate) fn finalizer(&self, holder: &Holder, finalizer: &str) -> Held {
        let memory = self.memory.of(&holder.key);
        let written = lock(&memory.finalizer);
        finalizer::held(holder, finalizer, written.as_ref())
    }

    /// Adds a finalizer and returns the primary as it is then.
    pub(crate) async fn add_finalizer(
        &self,
        resource: &ResourceType,
        holder: &Holder,
        finalizer: &str,
    ) -> Result<Value, Error> {
        let patch = finalizer::addition(holder, finalizer);
        let request = request::merge_patch(resource, &holder.key, &self.manager, &patch);
        let answer = self.send(Write::to("add the finalizer to", resource, &holder.key), request).await?;
        let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        self.wrote_finalizer(holder, FinalizerWrite::Added(ResourceVersion::new(version)));
        Ok(answer)
    }

    /// Removes a finalizer; a primary that is gone has none.
    pub(crate) async fn remove_finalizer(
        &self,
        resource: &ResourceType,
        holder: &Holder,
        finalizer: &str,
    ) -> Result<(), Error> {
        let mut holder = holder.clone();
        let mut attempts = 0;
        while holder.finalizers.iter().any(|name| name == finalizer) {
            let patch = finalizer::removal(&holder, finalizer);
            let request = request::merge_patch(resource, &holder.key, &self.manager, &patch);
            match self.send(Write::to("remove the finalizer from", resource, &holder.key), request).await {
                Ok(_) => break,
                Err(Error::Request { source, .. }) if source.is_not_found() => break,
                Err(Error::Request { source, .. }) if source.is_conflict() && attempts < REMOVAL_ATTEMPTS => {}
                Err(error) => return Err(error),
            }
            attempts += 1;
            // A cleanup may well have written the status itself, so the cache is expected to be behind here.
            match self.read(resource, &holder.key).await.map(|live| holder.renewed(&live)) {
                Ok(Some(live)) => holder = live,
                Ok(None) => break,
                Err(Error::Request { source, .. }) if source.is_not_found() => break,
                Err(error) => return Err(error),
            }
        }
        self.wrote_finalizer(&holder, FinalizerWrite::Removed);
        Ok(())
    }

    fn wrote_finalizer(&self, holder: &Holder, done: FinalizerWrite) {
        let memory = self.memory.of(&holder.key);
        *lock(&memory.finalizer) = Some(FinalizerMemory { uid: holder.uid.clone(), done });
    }

    fn check_status(&self, primary: &Owner, conditions: bool) -> Result<(), Error> {
        let kind = || primary.resource.kind.clone();
        if !self.schema.subresource {
            return Err(Error::NoStatus { kind: kind() });
        }
        if conditions && !self.schema.conditions {
            return Err(Error::NoConditions { kind: kind() });
        }
        Ok(())
    }

    async fn apply_status(&self, primary: &Owner, manager: &str, form: &Value) -> Result<Value, Error> {
        let Owner { resource, key, .. } = primary;
        let request = request::apply(resource, key, Some("status"), manager, form);
        self.send(Write::to("apply the status of", resource, key), request).await
    }
}

impl Subject<'_> {
    fn cached_status(&self) -> Value {
        let object = self.cached.as_deref().and_then(|live| serde_json::from_slice::<Value>(live.json()).ok());
        object.and_then(|mut object| object.get_mut("status").map(Value::take)).unwrap_or_default()
    }
}

fn status_form(primary: &Owner, status: Value) -> Value {
    let mut metadata = json!({"name": primary.key.name(), "uid": primary.uid});
    if let Some(namespace) = primary.key.namespace() {
        metadata["namespace"] = namespace.into();
    }
    json!({
        "apiVersion": primary.resource.api_version(),
        "kind": primary.resource.kind,
        "metadata": metadata,
        "status": status,
    })
}

/// What the locks guard is valid after any panic: single values, replaced whole.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
