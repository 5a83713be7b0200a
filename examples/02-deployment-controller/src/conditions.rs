//! Conditions of a Deployment: set without moving times that should stay.
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus, ReplicaSetCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Whether enough pods are available.
pub(crate) const AVAILABLE: &str = "Available";
/// Whether the newest rollout moves, or has arrived.
pub(crate) const PROGRESSING: &str = "Progressing";
/// Whether a ReplicaSet can not make or delete pods.
pub(crate) const REPLICA_FAILURE: &str = "ReplicaFailure";

/// Reasons of [`PROGRESSING`].
pub(crate) mod reason {
    pub(crate) const SET_CREATED: &str = "NewReplicaSetCreated";
    pub(crate) const SET_FOUND: &str = "FoundNewReplicaSet";
    pub(crate) const SET_UPDATED: &str = "ReplicaSetUpdated";
    pub(crate) const SET_AVAILABLE: &str = "NewReplicaSetAvailable";
    pub(crate) const SET_CREATE_ERROR: &str = "ReplicaSetCreateError";
    pub(crate) const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
    pub(crate) const PAUSED: &str = "DeploymentPaused";
    pub(crate) const RESUMED: &str = "DeploymentResumed";
}

/// Makes a condition that changed now.
pub(crate) fn new(kind: &str, status: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(kind.to_owned()),
        status: Some(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// Makes the condition of a ReplicaSet one of its Deployment.
pub(crate) fn of_replica_set(condition: &ReplicaSetCondition) -> DeploymentCondition {
    DeploymentCondition {
        type_: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_update_time: condition.last_transition_time.clone(),
        last_transition_time: condition.last_transition_time.clone(),
    }
}

/// Returns the condition of this type.
pub(crate) fn get<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some(kind))
}

/// Says whether there is a condition of this type with this reason.
pub(crate) fn has_reason(status: &DeploymentStatus, kind: &str, reason: &str) -> bool {
    get(status, kind).is_some_and(|condition| condition.reason.as_deref() == Some(reason))
}

/// States a condition. One that says the same already stays as it is, times and message included; the time of the
/// transition moves with the status alone.
pub(crate) fn set(status: &mut DeploymentStatus, condition: DeploymentCondition) {
    let known = get(status, kind_of(&condition));
    if known.is_some_and(|known| known.status == condition.status && known.reason == condition.reason) {
        return;
    }
    renew(status, condition);
}

/// As [`set`], and renews what says the same already: how progress is told from standstill.
pub(crate) fn renew(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(known) = get(status, kind_of(&condition)).filter(|known| known.status == condition.status) {
        condition.last_transition_time.clone_from(&known.last_transition_time);
    }
    remove(status, kind_of(&condition));
    status.conditions.get_or_insert_default().push(condition);
}

/// Takes back the condition of this type.
pub(crate) fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| kind_of(condition) != kind);
    }
}

fn kind_of(condition: &DeploymentCondition) -> &str {
    condition.type_.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// States conditions as (status, reason, second) one after the other and compares what stands then.
    fn check(state: fn(&mut DeploymentStatus, DeploymentCondition), second: (&str, &str), expected: (i64, i64)) {
        let mut status = DeploymentStatus::default();
        set(&mut status, new(PROGRESSING, "True", reason::SET_CREATED, String::new(), at(1)));
        state(&mut status, new(PROGRESSING, second.0, second.1, String::new(), at(2)));
        let stands = get(&status, PROGRESSING).unwrap();
        let seconds = |time: &Option<Time>| time.as_ref().map_or(0, |time| time.0.as_second());
        assert_eq!((seconds(&stands.last_update_time), seconds(&stands.last_transition_time)), expected, "{second:?}");
        assert_eq!(status.conditions.unwrap().len(), 1);
    }

    #[test]
    fn a_transition_is_a_change_of_the_status_alone() {
        check(set, ("True", reason::SET_CREATED), (1, 1));
        check(set, ("True", reason::SET_UPDATED), (2, 1));
        check(set, ("False", reason::DEADLINE_EXCEEDED), (2, 2));
        check(renew, ("True", reason::SET_CREATED), (2, 1));
        check(renew, ("Unknown", reason::PAUSED), (2, 2));
    }
}
