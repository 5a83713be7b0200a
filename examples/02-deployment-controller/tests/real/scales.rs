//! Sizes.
use controlplane::TestScope;
use serde_json::json;

use super::pair::{Outcome, Pair, template, web};

pub(crate) fn a_deployment_is_created_and_scaled(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(3, &json!({})))?;
    pair.same("created", |state| state.has_arrived("web", 3))?;
    for replicas in [5, 1, 0, 2] {
        pair.kubectl(&["scale", "deployment/web", "--replicas", &replicas.to_string()])?;
        pair.same("scaled", |state| state.has_arrived("web", replicas))?;
    }
    let events = pair.same_events()?;
    assert!(events.iter().any(|event| event == "Normal ScalingReplicaSet Scaled up replica set web-r1 from 0 to 3"));

    pair.patch("deployment/web", &json!({ "spec": { "minReadySeconds": 1 } }))?;
    let end = pair.same("minReadySeconds", |state| state.sets["web-r1"]["spec"]["minReadySeconds"] == 1)?;
    assert_eq!(end.sets.len(), 1);
    pair.kubectl(&["annotate", "deployment/web", "kubernetes.io/change-cause=a reason"])?;
    pair.same("annotated", |state| {
        state.sets["web-r1"]["metadata"]["annotations"]["kubernetes.io/change-cause"] == "a reason"
    })?;
    Ok(())
}

pub(crate) fn a_scale_in_a_rollout_is_proportional(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 3, "maxUnavailable": 2 } });
    pair.create(&web(10, &json!({ "strategy": rolling })))?;
    pair.same("created", |state| state.has_arrived("web", 10))?;

    pair.patch("deployment/web", &template("web:2", false))?;
    pair.same("stuck", |state| state.sizes() == [("web-r1", 8), ("web-r2", 5)].into())?;
    let check = |replicas: u32, old: i64, new: i64| {
        pair.kubectl(&["scale", "deployment/web", "--replicas", &replicas.to_string()])?;
        let what = format!("{replicas}: {old} and {new}");
        pair.same(&what, |state| state.sizes() == [("web-r1", old), ("web-r2", new)].into() && state.is_observed("web"))
    };
    check(15, 11, 7)?;
    // Once scaled, the rollout goes on as far as it may.
    check(5, 3, 5)?;

    pair.kubectl(&["rollout", "undo", "deployment/web"])?;
    pair.same("undone", |state| state.has_arrived("web", 5))?;
    Ok(())
}
