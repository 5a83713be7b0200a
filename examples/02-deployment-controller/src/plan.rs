//! What one pass over a Deployment decides: from what is, to what to write. No requests, no clock.
//!
//! [`plan`] is all there is to the controller but for reading and writing. It runs again after every change, until it
//! has nothing to write.
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet};

use crate::conditions::{self, PROGRESSING, reason};
use crate::limits::Limits;
use crate::replicas::{self, DESIRED_REPLICAS, MAX_REPLICAS, Replicas};
use crate::revision;
use crate::rolling::{self, Size};
use crate::scaling::{self, Share};
use crate::status::{self, Judged};

mod member;

use member::Member;
pub(crate) use member::{Change, Write};

/// What a pass looks at.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) deployment: Arc<Deployment>,
    /// The ReplicaSets that the Deployment controls, in any order.
    pub(crate) sets: Vec<Arc<ReplicaSet>>,
    /// Uids of those that have pods which have not ended. Asked for by the strategy `Recreate` alone.
    pub(crate) running: HashSet<String>,
    /// The time, in whole seconds, as the API keeps them.
    pub(crate) now: Timestamp,
}

/// What a pass decides.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What to write, in order. Whoever fails at one leaves the rest for the next pass.
    pub(crate) writes: Vec<Write>,
    /// The status of the Deployment once that is done.
    pub(crate) status: DeploymentStatus,
    /// The revision it says it has.
    pub(crate) revision: Option<String>,
    /// When to look again although nothing has happened: a rollout may be late then.
    pub(crate) look_again_in: Option<Duration>,
}

/// Decides.
pub(crate) fn plan(observed: &Observed) -> Plan {
    let mut draft = Draft::new(observed);
    if observed.deployment.metadata.deletion_timestamp.is_some() {
        return draft.counted();
    }
    draft.note_pause();
    draft.renew_revision();
    let paused = draft.spec.paused.unwrap_or(false);
    if paused || draft.is_scaled() {
        draft.scale();
        if paused {
            draft.clean_up();
        }
        return draft.counted();
    }
    if draft.limits.rolling {
        draft.roll();
    } else {
        draft.recreate();
    }
    draft.judged()
}

/// A plan in the making.
struct Draft<'a> {
    observed: &'a Observed,
    spec: &'a DeploymentSpec,
    limits: Limits,
    /// The status as it was, with conditions that this pass states on the way.
    status: DeploymentStatus,
    revision: Option<String>,
    /// The ReplicaSet with the template of the Deployment.
    new: Option<Member>,
    /// The others, the oldest first.
    old: Vec<Member>,
}

impl<'a> Draft<'a> {
    fn new(observed: &'a Observed) -> Self {
        let deployment = &*observed.deployment;
        let spec = &deployment.spec;
        let mut old: Vec<Member> = observed.sets.iter().map(|set| Member::known(Arc::clone(set))).collect();
        old.sort_by_cached_key(|member| replicas::age(&member.set));
        // Several can have the template, of which the oldest is as good as any, and always the same.
        let new = old.iter().position(|member| member.has_template(&spec.template)).map(|at| old.remove(at));
        Self {
            observed,
            spec,
            limits: Limits::of(spec),
            status: deployment.status.clone().unwrap_or_default(),
            revision: deployment.metadata.annotations.as_ref().and_then(|all| all.get(revision::REVISION)).cloned(),
            new,
            old,
        }
    }

    /// Says that the Deployment is paused or goes on: a rollout that was paused for long is not late. That it was late
    /// before stays.
    fn note_pause(&mut self) {
        let was = |reason: &str| conditions::has_reason(&self.status, PROGRESSING, reason);
        if status::deadline(&self.observed.deployment).is_none() || was(reason::DEADLINE_EXCEEDED) {
            return;
        }
        let (reason, message) = match (self.spec.paused.unwrap_or(false), was(reason::PAUSED)) {
            (true, false) => (reason::PAUSED, "Deployment is paused"),
            (false, true) => (reason::RESUMED, "Deployment is resumed"),
            _ => return,
        };
        self.state("Unknown", reason, message.to_owned());
    }

    /// Makes the new ReplicaSet, where there is one, that of the newest revision, with the annotations of the
    /// Deployment; and the Deployment one of that revision.
    fn renew_revision(&mut self) {
        let Some(new) = &mut self.new else { return };
        let revision = revision::next(self.old.iter().map(|member| &*member.set));
        let annotations = revision::annotations(&self.observed.deployment, &new.set, revision);
        new.change.annotations.extend(annotations);
        if new.min_ready_seconds() != self.spec.min_ready_seconds.unwrap_or(0) {
            new.change.min_ready_seconds = Some(self.spec.min_ready_seconds.unwrap_or(0));
        }
        self.revision = new.annotation(revision::REVISION).map(str::to_owned);
        let found = format!("Found new replica set {:?}", new.set.name());
        if status::deadline(&self.observed.deployment).is_some() && conditions::get(&self.status, PROGRESSING).is_none()
        {
            self.state("True", reason::SET_FOUND, found);
        }
    }

    /// Says whether the size of the Deployment was changed: its ReplicaSets remember the size they were made for.
    fn is_scaled(&self) -> bool {
        let mut active = self.members().filter(|member| member.replicas > 0);
        active.any(|member| member.set.number(DESIRED_REPLICAS).is_some_and(|desired| desired != self.limits.desired))
    }

    /// Brings the ReplicaSets to the size of the Deployment without moving a rollout.
    fn scale(&mut self) {
        let limits = self.limits;
        let only = match self.members().filter(|member| member.replicas > 0).count() {
            0 => self.new.as_mut().or(self.old.last_mut()),
            1 => self.members_mut().find(|member| member.replicas > 0),
            _ => return self.scale_several(),
        };
        // One that has the size already must still learn which it is for, or the change of size never ends: a rollout
        // can grow a ReplicaSet to a size that is only asked for afterwards. Upstream stands still there.
        only.into_iter().for_each(|member| member.resize(limits.desired, &limits));
    }

    fn scale_several(&mut self) {
        let limits = self.limits;
        if self.new.as_ref().is_some_and(|new| new.is_saturated(&limits)) {
            // As after the adoption of a ReplicaSet with pods: there is nothing to roll, the old ones just go.
            return self.old.iter_mut().for_each(|member| member.scale(0, &limits));
        }
        if !limits.rolling {
            return;
        }
        let fallback = self.status.replicas.unwrap_or(0);
        let mut members: Vec<&mut Member> = self.members_mut().filter(|member| member.replicas > 0).collect();
        let missing = scaling::missing(&limits, members.iter().map(|member| member.replicas).sum());
        if missing > 0 {
            members.sort_by_cached_key(|member| replicas::size_then_newest(&member.set));
        } else {
            members.sort_by_cached_key(|member| replicas::size_then_oldest(&member.set));
        }
        let share = |member: &&mut Member| Share {
            desired: member.replicas,
            max_before: member.set.number(MAX_REPLICAS).filter(|max| *max != 0).unwrap_or(fallback),
        };
        let shares: Vec<Share> = members.iter().map(share).collect();
        for (member, size) in members.into_iter().zip(scaling::distribute(&limits, missing, &shares)) {
            member.resize(size, &limits);
        }
    }

    /// Moves a rolling update on by one step: first the new ReplicaSet grows, and where it can not, the old ones shrink.
    fn roll(&mut self) {
        let limits = self.limits;
        let others: i32 = self.old.iter().map(|member| member.replicas).sum();
        let new = self.new.get_or_insert_with(|| Member::missing(self.observed, &self.old));
        let before = new.replicas;
        new.scale(rolling::grow(&limits, before, others + before), &limits);
        let new = new.size();
        if !self.create_if_missing() && new.desired != before {
            return;
        }
        let sizes: Vec<Size> = self.old.iter().map(Member::size).collect();
        let shrunk = rolling::shrink(&limits, new, &sizes);
        let mut moved = false;
        for (member, size) in self.old.iter_mut().zip(shrunk) {
            moved |= member.replicas != size;
            member.scale(size, &limits);
        }
        if !moved {
            self.clean_up_if_complete();
        }
    }

    /// Ends the old pods, waits until they are gone, and makes the new ones.
    fn recreate(&mut self) {
        let limits = self.limits;
        let mut moved = false;
        for member in &mut self.old {
            moved |= member.replicas != 0;
            member.scale(0, &limits);
        }
        let running = |member: &Member| member.set.actual() > 0 || self.observed.running.contains(member.set.uid());
        if moved || self.old.iter().any(running) {
            return;
        }
        let new = self.new.get_or_insert_with(|| Member::missing(self.observed, &self.old));
        new.scale(limits.desired, &limits);
        self.create_if_missing();
        self.clean_up_if_complete();
    }

    /// States what follows from making the new ReplicaSet, and says whether it is to be made.
    fn create_if_missing(&mut self) -> bool {
        let Some(new) = self.new.as_ref().filter(|new| new.is_missing()) else { return false };
        self.revision = new.annotation(revision::REVISION).map(str::to_owned);
        let message = format!("Created new replica set {:?}", new.set.name());
        if status::deadline(&self.observed.deployment).is_some() {
            self.state("True", reason::SET_CREATED, message);
        }
        true
    }

    fn clean_up_if_complete(&mut self) {
        if status::is_complete(&self.observed.deployment, &self.status) {
            self.clean_up();
        }
    }

    /// Deletes the oldest revisions beyond those that are kept to roll back to.
    fn clean_up(&mut self) {
        let Some(kept) = self.spec.revision_history_limit.filter(|limit| *limit != i32::MAX) else { return };
        let alive = |member: &&mut Member| member.set.metadata.deletion_timestamp.is_none();
        let mut members: Vec<&mut Member> = self.old.iter_mut().filter(alive).collect();
        let surplus = members.len().saturating_sub(usize::try_from(kept).unwrap_or(0));
        members.sort_by_cached_key(|member| replicas::revision_then_age(&member.set));
        for member in members.into_iter().take(surplus).filter(|member| member.is_idle()) {
            member.delete();
        }
    }

    fn state(&mut self, status: &str, reason: &str, message: String) {
        conditions::set(&mut self.status, conditions::new(PROGRESSING, status, reason, message, self.observed.now));
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.new.iter().chain(&self.old)
    }

    fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.new.iter_mut().chain(&mut self.old)
    }

    /// The plan where no rollout is to be judged: it is paused, being scaled or being deleted.
    fn counted(self) -> Plan {
        let status = self.judgement().count(&self.status);
        self.done(status, None)
    }

    fn judged(self) -> Plan {
        let judgement = self.judgement();
        let status = judgement.judge(&self.status);
        let late_in = judgement.late_in(&status);
        self.done(status, late_in)
    }

    fn judgement(&self) -> Judged<'_> {
        Judged {
            deployment: &self.observed.deployment,
            limits: &self.limits,
            new: self.new.as_ref().map(|new| (&*new.set, new.replicas)),
            old: self.old.iter().map(|old| (&*old.set, old.replicas)).collect(),
            now: self.observed.now,
        }
    }

    fn done(self, status: DeploymentStatus, look_again_in: Option<Duration>) -> Plan {
        let writes = self.new.into_iter().chain(self.old).filter_map(Member::into_write).collect();
        Plan { writes, status, revision: self.revision, look_again_in }
    }
}

#[cfg(test)]
mod tests;
