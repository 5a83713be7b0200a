//! Rollouts that do not arrive.
use controlplane::TestScope;
use serde_json::json;

use super::pair::{Outcome, Pair, template, web};

pub(crate) fn a_rollout_that_stands_still_is_late(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(2, &json!({ "progressDeadlineSeconds": 3 })))?;
    pair.same("created", |state| state.has_arrived("web", 2))?;

    pair.patch("deployment/web", &template("no:image", false))?;
    let late = |state: &super::state::State| state.reason("web", "Progressing") == "ProgressDeadlineExceeded";
    let end = pair.same("late", |state| late(state) && state.is_observed("web"))?;
    assert_eq!(end.reason("web", "Available"), "MinimumReplicasAvailable");
    // That it was late outlasts a pause.
    pair.kubectl(&["rollout", "pause", "deployment/web"])?;
    pair.same("paused", |state| late(state) && state.is_observed("web"))?;
    pair.kubectl(&["rollout", "resume", "deployment/web"])?;
    pair.same("resumed", |state| late(state) && state.is_observed("web"))?;

    pair.kubectl(&["rollout", "undo", "deployment/web"])?;
    pair.same("undone", |state| state.has_arrived("web", 2))?;

    pair.patch("deployment/web", &json!({ "spec": { "progressDeadlineSeconds": i32::MAX } }))?;
    pair.same("nobody asks for progress", |state| {
        state.is_observed("web") && state.reason("web", "Progressing").is_empty()
    })?;
    Ok(())
}

pub(crate) fn a_set_that_can_not_be_made_is_told_of(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.kubectl(&["create", "quota", "none", "--hard=count/replicasets.apps=0"])?;
    pair.create(&web(2, &json!({})))?;
    pair.same("refused", |state| state.reason("web", "Progressing") == "ReplicaSetCreateError")?;
    pair.kubectl(&["delete", "quota", "none"])?;
    // Nothing tells that it would work by now but trying again.
    pair.same("made", |state| state.has_arrived("web", 2))?;
    Ok(())
}

pub(crate) fn a_failing_replica_set_is_told_of(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.kubectl(&["create", "quota", "few", "--hard=pods=2"])?;
    pair.create(&web(4, &json!({ "progressDeadlineSeconds": 3 })))?;
    let end = pair.same("failing", |state| {
        state.reason("web", "ReplicaFailure") == "FailedCreate"
            && state.reason("web", "Progressing") == "ProgressDeadlineExceeded"
            && state.status("web")["availableReplicas"] == 2
    })?;
    assert_eq!(end.reason("web", "Available"), "MinimumReplicasUnavailable");

    pair.kubectl(&["delete", "quota", "few"])?;
    pair.kubectl(&["scale", "deployment/web", "--replicas=3"])?;
    pair.same("no longer", |state| state.has_arrived("web", 3) && state.reason("web", "ReplicaFailure").is_empty())?;
    Ok(())
}
