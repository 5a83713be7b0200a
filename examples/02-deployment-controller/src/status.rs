//! The status of a Deployment: sums over its ReplicaSets, and whether a rollout moves, has arrived or is late.
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};

use crate::conditions::{self, AVAILABLE, PROGRESSING, REPLICA_FAILURE, reason};
use crate::limits::Limits;
use crate::replicas::Replicas;

/// A ReplicaSet, and how many pods it is to have once this pass has ended.
pub(crate) type Sized<'a> = (&'a ReplicaSet, i32);

/// What is needed to judge a Deployment.
pub(crate) struct Judged<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) limits: &'a Limits,
    /// The ReplicaSet with the template the Deployment asks for.
    pub(crate) new: Option<Sized<'a>>,
    pub(crate) old: Vec<Sized<'a>>,
    pub(crate) now: Timestamp,
}

impl Judged<'_> {
    /// Counts, and says whether enough pods are available. Other conditions stay as they are in `known`.
    pub(crate) fn count(&self, known: &DeploymentStatus) -> DeploymentStatus {
        let available: i32 = self.sets().map(|(set, _)| set.available()).sum();
        let desired: i32 = self.sets().map(|(_, replicas)| replicas).sum();
        let mut status = DeploymentStatus {
            observed_generation: self.deployment.metadata.generation,
            replicas: counted(self.sets().map(|(set, _)| set.actual()).sum()),
            updated_replicas: counted(self.new.map_or(0, |(set, _)| set.actual())),
            ready_replicas: counted(self.sets().map(|(set, _)| set.ready()).sum()),
            available_replicas: counted(available),
            unavailable_replicas: counted(desired - available),
            terminating_replicas: self.terminating(),
            collision_count: known.collision_count,
            conditions: known.conditions.clone(),
        };
        let (is, reason, message) = if available >= self.limits.min_available() {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        conditions::set(&mut status, conditions::new(AVAILABLE, is, reason, message.to_owned(), self.now));
        status
    }

    /// As [`Judged::count`], and says how the rollout goes, and what keeps ReplicaSets from making pods.
    pub(crate) fn judge(&self, known: &DeploymentStatus) -> DeploymentStatus {
        let mut status = self.count(known);
        match deadline(self.deployment) {
            None => conditions::remove(&mut status, PROGRESSING),
            Some(deadline) => self.judge_progress(known, &mut status, deadline),
        }
        // One failure is told, that of the new ReplicaSet before any other.
        let failures = self.sets().flat_map(|(set, _)| set.status.iter().flat_map(|status| &status.conditions));
        let failure = failures.flatten().find(|condition| condition.type_.as_deref() == Some(REPLICA_FAILURE));
        match failure {
            Some(failure) => conditions::set(&mut status, conditions::of_replica_set(failure)),
            None => conditions::remove(&mut status, REPLICA_FAILURE),
        }
        status
    }

    fn judge_progress(&self, known: &DeploymentStatus, status: &mut DeploymentStatus, deadline: Duration) {
        let has_arrived = conditions::has_reason(known, PROGRESSING, reason::SET_AVAILABLE);
        if has_arrived && status.replicas == status.updated_replicas {
            return;
        }
        let say = |is: &str, reason: &str, what: &str| {
            let subject = match self.new {
                Some((set, _)) => format!("ReplicaSet {:?}", set.name()),
                None => format!("Deployment {:?}", self.deployment.metadata.name.as_deref().unwrap_or_default()),
            };
            conditions::new(PROGRESSING, is, reason, format!("{subject} {what}"), self.now)
        };
        if is_complete(self.deployment, status) {
            conditions::set(status, say("True", reason::SET_AVAILABLE, "has successfully progressed."));
        } else if has_progressed(known, status) {
            conditions::renew(status, say("True", reason::SET_UPDATED, "is progressing."));
        } else if has_timed_out(status, deadline, self.now) {
            conditions::set(status, say("False", reason::DEADLINE_EXCEEDED, "has timed out progressing."));
        }
    }

    /// How long until a rollout that does not move is late; `None` where none is under way, or its being late is known.
    pub(crate) fn late_in(&self, status: &DeploymentStatus) -> Option<Duration> {
        let deadline = deadline(self.deployment)?;
        let condition = conditions::get(status, PROGRESSING)?;
        match condition.reason.as_deref() {
            Some(reason::SET_AVAILABLE | reason::DEADLINE_EXCEEDED) => None,
            _ => Some(left(condition.last_update_time.as_ref()?.0, deadline, self.now)),
        }
    }

    /// How many pods are ending; `None` where a ReplicaSet does not tell, as before Kubernetes 1.35.
    fn terminating(&self) -> Option<i32> {
        self.sets()
            .filter_map(|(set, _)| set.status.as_ref())
            .filter(|status| status.observed_generation.unwrap_or(0) != 0 || status.terminating_replicas.is_some())
            .map(|status| status.terminating_replicas)
            .sum()
    }

    /// The new one first.
    fn sets(&self) -> impl Iterator<Item = Sized<'_>> {
        self.new.into_iter().chain(self.old.iter().copied())
    }
}

/// The API server keeps no zeros and takes no negative numbers.
fn counted(number: i32) -> Option<i32> {
    Some(number).filter(|number| *number > 0)
}

/// Says whether all pods are of the newest template and available, and no other is left.
pub(crate) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let desired = deployment.spec.replicas.unwrap_or(1);
    let counts = [status.updated_replicas, status.replicas, status.available_replicas];
    counts.iter().all(|count| count.unwrap_or(0) == desired)
        && status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
}

/// Returns how long a rollout may stand still; `None` where nobody asked, which the largest number says too.
pub(crate) fn deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds = deployment.spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// Says whether there are more new pods, fewer old ones, or more that are ready or available.
fn has_progressed(before: &DeploymentStatus, now: &DeploymentStatus) -> bool {
    let number = |count: Option<i32>| count.unwrap_or(0);
    let old = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(now.updated_replicas) > number(before.updated_replicas)
        || old(now) < old(before)
        || number(now.ready_replicas) > number(before.ready_replicas)
        || number(now.available_replicas) > number(before.available_replicas)
}

/// Says whether nothing has moved for longer than allowed. A rollout that has arrived is never late: what happens to its
/// pods afterwards is no rollout.
fn has_timed_out(status: &DeploymentStatus, deadline: Duration, now: Timestamp) -> bool {
    let Some(condition) = conditions::get(status, PROGRESSING) else { return false };
    match condition.reason.as_deref() {
        Some(reason::SET_AVAILABLE) => false,
        Some(reason::DEADLINE_EXCEEDED) => true,
        _ => condition.last_update_time.as_ref().is_some_and(|since| left(since.0, deadline, now).is_zero()),
    }
}

/// What is left of `deadline` that began at `since`.
fn left(since: Timestamp, deadline: Duration, now: Timestamp) -> Duration {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    deadline.saturating_sub(passed)
}

#[cfg(test)]
mod tests;
