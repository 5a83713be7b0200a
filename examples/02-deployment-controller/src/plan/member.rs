//! One ReplicaSet in a plan: what it is, and what becomes of it.
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::limits::Limits;
use crate::replicas::{self, DESIRED_REPLICAS, Replicas};
use crate::rolling::Size;
use crate::{revision, template};

use super::Observed;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    /// Make this ReplicaSet.
    Create(Box<ReplicaSet>),
    /// Change this one, if it is still as it was seen.
    Change(Arc<ReplicaSet>, Change),
    /// Delete this one, if it is still as it was seen.
    Delete(Arc<ReplicaSet>),
}

/// What is to be different about a ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) replicas: Option<i32>,
    pub(crate) min_ready_seconds: Option<i32>,
    /// Those to set. None is ever taken away.
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Keep,
    Create,
    Delete,
}

/// One ReplicaSet in a plan.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) set: Arc<ReplicaSet>,
    /// How many pods it is to have.
    pub(super) replicas: i32,
    pub(super) change: Change,
    fate: Fate,
}

impl Member {
    /// One that exists.
    pub(super) fn known(set: Arc<ReplicaSet>) -> Self {
        let replicas = set.desired();
        Self { set, replicas, change: Change::default(), fate: Fate::Keep }
    }

    /// The one that the template of the Deployment lacks, without pods yet.
    pub(super) fn missing(observed: &Observed, old: &[Self]) -> Self {
        let deployment = &observed.deployment;
        let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
        let set = template::new_replica_set(deployment, collisions);
        let revision = revision::next(old.iter().map(|member| &*member.set));
        let mut change = Change::default();
        let limits = Limits::of(&deployment.spec);
        change.annotations = revision::annotations(deployment, &set, revision);
        change.annotations.extend(replicas::sizes(&set, limits.desired, limits.max_total()));
        Self { set: Arc::new(set), replicas: 0, change, fate: Fate::Create }
    }

    /// Gives it this many pods, if it has not as many.
    pub(super) fn scale(&mut self, replicas: i32, limits: &Limits) {
        if replicas != self.replicas {
            self.resize(replicas, limits);
        }
    }

    /// Gives it this many pods, and lets it remember for which size of the Deployment.
    pub(super) fn resize(&mut self, replicas: i32, limits: &Limits) {
        self.replicas = replicas;
        self.change.replicas = Some(replicas).filter(|replicas| *replicas != self.set.desired());
        self.change.annotations.extend(replicas::sizes(&self.set, limits.desired, limits.max_total()));
    }

    /// Ends it.
    pub(super) fn delete(&mut self) {
        self.fate = Fate::Delete;
    }

    /// Says whether it is to be made.
    pub(super) fn is_missing(&self) -> bool {
        self.fate == Fate::Create
    }

    /// Says whether it has this template.
    pub(super) fn has_template(&self, wanted: &PodTemplateSpec) -> bool {
        self.set.spec.template.as_ref().is_some_and(|template| template::is_same(template, wanted))
    }

    /// Returns an annotation as it is to be.
    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.change.annotations.get(name).map(String::as_str).or_else(|| self.set.annotation(name))
    }

    pub(super) fn min_ready_seconds(&self) -> i32 {
        self.set.spec.min_ready_seconds.unwrap_or(0)
    }

    pub(super) fn size(&self) -> Size {
        Size { desired: self.replicas, available: self.set.available() }
    }

    /// Says whether it has all the pods of the Deployment, was made to have them, and all of them are available.
    pub(super) fn is_saturated(&self, limits: &Limits) -> bool {
        let meant = self.set.number(DESIRED_REPLICAS);
        self.replicas == limits.desired && meant == Some(limits.desired) && self.set.available() == limits.desired
    }

    /// Says whether it has no pods, is to have none, and its own controller knows.
    pub(super) fn is_idle(&self) -> bool {
        let observed = self.set.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
        let generation = self.set.metadata.generation.unwrap_or(0);
        self.set.actual() == 0 && self.replicas == 0 && generation <= observed
    }

    pub(super) fn into_write(self) -> Option<Write> {
        match self.fate {
            Fate::Delete => Some(Write::Delete(self.set)),
            Fate::Keep if self.change == Change::default() => None,
            Fate::Keep => Some(Write::Change(self.set, self.change)),
            Fate::Create => {
                let mut set = Arc::unwrap_or_clone(self.set);
                set.spec.replicas = Some(self.replicas);
                set.metadata.annotations = Some(self.change.annotations);
                Some(Write::Create(Box::new(set)))
            }
        }
    }
}
