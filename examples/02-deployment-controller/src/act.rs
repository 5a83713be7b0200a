//! Carries a plan out. Every write says what it was decided on, by version or by uid, so that none is made on a state
//! that is no more.
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Event;
use kubewright::kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kubewright::kube::{self, Client};
use serde_json::{Map, Value, json};

use crate::claim::{self, Claim, claim};
use crate::conditions::{self, PROGRESSING, reason};
use crate::error::{Error, answer, code};
use crate::events::{self, Type};
use crate::plan::{Change, Plan, Write};
use crate::replicas::Replicas;
use crate::revision::REVISION;
use crate::{COMPONENT, status, template};

/// The write side for one Deployment.
pub(crate) struct Actor<'a> {
    deployment: &'a Deployment,
    deployments: Api<Deployment>,
    sets: Api<ReplicaSet>,
    events: Api<Event>,
    now: Timestamp,
}

impl<'a> Actor<'a> {
    pub(crate) fn new(client: &Client, deployment: &'a Deployment, now: Timestamp) -> Self {
        let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
        Self {
            deployment,
            deployments: Api::namespaced(client.clone(), namespace),
            sets: Api::namespaced(client.clone(), namespace),
            events: Api::namespaced(client.clone(), namespace),
            now,
        }
    }

    /// Returns those of `candidates` that the Deployment controls, once it has adopted and let go what it should.
    pub(crate) async fn claim(&self, candidates: Vec<Arc<ReplicaSet>>) -> Result<Vec<Arc<ReplicaSet>>, Error> {
        let selector = claim::selector(self.deployment)?;
        let mut claimed = Vec::new();
        let mut may_adopt = false;
        for set in candidates {
            match claim(self.deployment, &selector, &set) {
                Claim::Ignore => {}
                Claim::Keep => claimed.push(set),
                Claim::Release => self.release(&set).await?,
                Claim::Adopt => {
                    if !may_adopt {
                        self.check_alive().await?;
                        may_adopt = true;
                    }
                    claimed.extend(self.adopt(&set).await?);
                }
            }
        }
        Ok(claimed)
    }

    /// Does what the plan says, the status last.
    pub(crate) async fn carry_out(&self, plan: Plan) -> Result<(), Error> {
        for write in plan.writes {
            match write {
                Write::Create(set) => self.create(&set).await?,
                Write::Change(set, change) => self.change(&set, &change).await?,
                Write::Delete(set) => self.delete(&set).await?,
            }
        }
        self.write_status(plan.status, plan.revision).await
    }

    /// A cache may show a Deployment that is gone, and what it adopts would be collected as garbage.
    async fn check_alive(&self) -> Result<(), Error> {
        let name = self.deployment.metadata.name.as_deref().unwrap_or_default();
        let live = self.deployments.get_opt(name).await.map_err(Error::request(format!("read Deployment {name}")))?;
        let same = |live: &Deployment| {
            live.metadata.uid == self.deployment.metadata.uid && live.metadata.deletion_timestamp.is_none()
        };
        if live.as_ref().is_some_and(same) { Ok(()) } else { Err(Error::Gone) }
    }

    async fn adopt(&self, set: &ReplicaSet) -> Result<Option<Arc<ReplicaSet>>, Error> {
        let adopted = self.patch_owners(set, claim::adoption(self.deployment, set)).await;
        match adopted {
            Ok(adopted) => {
                tracing::info!(replica_set = set.name(), "adopted");
                Ok(Some(Arc::new(adopted)))
            }
            Err(error) if code(&error) == Some(404) => Ok(None),
            Err(error) => Err(Error::request(format!("adopt ReplicaSet {}", set.name()))(error)),
        }
    }

    /// 422 says that the reference is gone already, or that it is another ReplicaSet by now.
    async fn release(&self, set: &ReplicaSet) -> Result<(), Error> {
        match self.patch_owners(set, claim::release(self.deployment, set)).await {
            Err(error) if !matches!(code(&error), Some(404 | 422)) => {
                Err(Error::request(format!("let go of ReplicaSet {}", set.name()))(error))
            }
            _ => {
                tracing::info!(replica_set = set.name(), "let go");
                Ok(())
            }
        }
    }

    async fn patch_owners(&self, set: &ReplicaSet, patch: Value) -> Result<ReplicaSet, kube::Error> {
        self.sets.patch(set.name(), &patch_params(), &Patch::Strategic(patch)).await
    }

    async fn create(&self, set: &ReplicaSet) -> Result<(), Error> {
        let parameters = PostParams { field_manager: Some(COMPONENT.to_owned()), ..PostParams::default() };
        match self.sets.create(&parameters, set).await {
            Ok(_) => {
                self.tell_scaled(set, 0, set.desired()).await;
                Ok(())
            }
            Err(error) if code(&error) == Some(409) => self.look_at_namesake(set).await,
            Err(error) => {
                let message = format!("Failed to create new replica set {:?}: {}", set.name(), answer(&error));
                let error = Error::request(format!("create ReplicaSet {}", set.name()))(error);
                if !error.is_namespace_terminating() {
                    self.tell_not_created(message).await;
                }
                Err(error)
            }
        }
    }

    /// The name is taken: by what the cache does not show yet, or by another template with the same hash.
    async fn look_at_namesake(&self, set: &ReplicaSet) -> Result<(), Error> {
        let name = set.name().to_owned();
        let live = self.sets.get(&name).await.map_err(Error::request(format!("read ReplicaSet {name}")))?;
        let mut owners = live.metadata.owner_references.iter().flatten();
        let is_ours = owners
            .any(|owner| owner.controller == Some(true) && Some(&owner.uid) == self.deployment.metadata.uid.as_ref());
        let template = |set: &ReplicaSet| set.spec.template.clone().unwrap_or_default();
        if is_ours && template::is_same(&template(&live), &template(set)) {
            return Err(Error::Stale(name));
        }
        let mut status = self.deployment.status.clone().unwrap_or_default();
        *status.collision_count.get_or_insert(0) += 1;
        self.write_status(status, self.revision()).await?;
        Err(Error::Collision(name))
    }

    async fn tell_not_created(&self, message: String) {
        if status::deadline(self.deployment).is_some() {
            let mut status = self.deployment.status.clone().unwrap_or_default();
            let condition = conditions::new(PROGRESSING, "False", reason::SET_CREATE_ERROR, message.clone(), self.now);
            conditions::set(&mut status, condition);
            if let Err(error) = self.write_status(status, self.revision()).await {
                tracing::debug!(%error, "the failure is not in the status");
            }
        }
        self.tell(Type::Warning, reason::SET_CREATE_ERROR, message).await;
    }

    async fn change(&self, set: &ReplicaSet, change: &Change) -> Result<(), Error> {
        let patch = Patch::Merge(change_patch(set, change));
        let changed = self.sets.patch(set.name(), &patch_params(), &patch).await;
        changed.map_err(Error::request(format!("change ReplicaSet {}", set.name())))?;
        if let Some(replicas) = change.replicas {
            self.tell_scaled(set, set.desired(), replicas).await;
        }
        Ok(())
    }

    async fn delete(&self, set: &ReplicaSet) -> Result<(), Error> {
        let preconditions =
            Preconditions { uid: set.metadata.uid.clone(), resource_version: set.metadata.resource_version.clone() };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        match self.sets.delete(set.name(), &parameters).await {
            Err(error) if code(&error) != Some(404) => {
                Err(Error::request(format!("delete ReplicaSet {}", set.name()))(error))
            }
            _ => {
                tracing::info!(replica_set = set.name(), "deleted, as too old to roll back to");
                Ok(())
            }
        }
    }

    /// Writes the status and the annotation with the revision, unless both are as they were. The API server takes
    /// annotations along with a status; anything else in it is ignored.
    async fn write_status(&self, status: DeploymentStatus, revision: Option<String>) -> Result<(), Error> {
        if self.deployment.status.as_ref() == Some(&status) && self.revision() == revision {
            return Ok(());
        }
        let mut deployment = self.deployment.clone();
        deployment.status = Some(status);
        if let Some(revision) = revision {
            deployment.metadata.annotations.get_or_insert_default().insert(REVISION.to_owned(), revision);
        }
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let parameters = PostParams { field_manager: Some(COMPONENT.to_owned()), ..PostParams::default() };
        let written = self.deployments.replace_status(name, &parameters, &deployment).await;
        written.map(|_| ()).map_err(Error::request(format!("write the status of Deployment {name}")))
    }

    fn revision(&self) -> Option<String> {
        self.deployment.metadata.annotations.as_ref()?.get(REVISION).cloned()
    }

    async fn tell_scaled(&self, set: &ReplicaSet, from: i32, to: i32) {
        if from == to {
            return;
        }
        let direction = if from < to { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {from} to {to}", set.name());
        tracing::info!("{message}");
        self.tell(Type::Normal, "ScalingReplicaSet", message).await;
    }

    async fn tell(&self, kind: Type, reason: &str, message: String) {
        events::send(&self.events, &events::event(self.deployment, kind, reason, message, self.now)).await;
    }
}

fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(COMPONENT.to_owned()), ..PatchParams::default() }
}

/// The version in it makes the API server refuse the patch where the ReplicaSet has changed since it was seen. Fields
/// that this program does not know stay as they are, which a whole object would not promise.
fn change_patch(set: &ReplicaSet, change: &Change) -> Value {
    let mut spec = Map::new();
    spec.extend(change.replicas.map(|replicas| ("replicas".to_owned(), json!(replicas))));
    spec.extend(change.min_ready_seconds.map(|seconds| ("minReadySeconds".to_owned(), json!(seconds))));
    json!({
        "metadata": { "resourceVersion": set.metadata.resource_version, "annotations": change.annotations },
        "spec": spec,
    })
}
