//! From one template to another, and back.
use controlplane::TestScope;
use serde_json::json;

use super::pair::{Outcome, Pair, template, web};

pub(crate) fn a_new_template_is_rolled_out(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(4, &json!({})))?;
    pair.same("created", |state| state.has_arrived("web", 4))?;
    for (image, replicas) in [("web:2", 4), ("web:3", 4)] {
        pair.kubectl(&["set", "image", "deployment/web", &format!("web={image}")])?;
        pair.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
        pair.same(image, |state| state.has_arrived("web", replicas))?;
    }
    let history = pair.prints_the_same(&["rollout", "history", "deployment/web"])?;
    assert_eq!(history.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count(), 3);

    // Another template before the one before has arrived, with one pod at a time.
    let one = json!({ "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } });
    pair.patch("deployment/web", &json!({ "spec": { "strategy": one } }))?;
    pair.patch("deployment/web", &template("web:4", false))?;
    pair.same("stuck", |state| state.sizes().get("web-r4") == Some(&1) && state.sizes().get("web-r3") == Some(&3))?;
    pair.patch("deployment/web", &template("web:5", true))?;
    pair.same("rolled over", |state| state.has_arrived("web", 4) && state.sizes().get("web-r5") == Some(&4))?;
    Ok(())
}

pub(crate) fn a_rollout_is_undone(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(3, &json!({})))?;
    pair.same("created", |state| state.has_arrived("web", 3))?;
    for image in ["web:2", "web:3"] {
        pair.kubectl(&["set", "image", "deployment/web", &format!("web={image}")])?;
        pair.same(image, |state| state.has_arrived("web", 3) && image_of(state) == image)?;
    }
    let undo = |arguments: &[&str], image: &str| {
        pair.kubectl(&[&["rollout", "undo", "deployment/web"], arguments].concat())?;
        pair.same(image, |state| state.has_arrived("web", 3) && image_of(state) == image)
    };
    undo(&[], "web:2")?;
    undo(&["--to-revision=1"], "web:1")?;
    let end = undo(&[], "web:2")?;
    let history = &end.sets["web-r6"]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"];
    assert_eq!(history, "2,4");
    pair.prints_the_same(&["rollout", "history", "deployment/web"])?;
    Ok(())
}

pub(crate) fn a_paused_deployment_waits(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(3, &json!({})))?;
    pair.same("created", |state| state.has_arrived("web", 3))?;
    pair.kubectl(&["rollout", "pause", "deployment/web"])?;
    pair.same("paused", |state| state.reason("web", "Progressing") == "DeploymentPaused" && state.is_observed("web"))?;

    pair.kubectl(&["set", "image", "deployment/web", "web=web:2"])?;
    pair.kubectl(&["scale", "deployment/web", "--replicas=5"])?;
    let waiting = pair.same("scaled and not rolled out", |state| {
        state.is_observed("web") && state.status("web")["availableReplicas"] == 5
    })?;
    assert_eq!(waiting.sizes(), [("web-r1", 5)].into());

    pair.kubectl(&["rollout", "resume", "deployment/web"])?;
    pair.same("resumed", |state| state.has_arrived("web", 5) && state.sizes().get("web-r2") == Some(&5))?;
    Ok(())
}

pub(crate) fn recreating_waits_for_the_end_of_the_old(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(3, &json!({ "strategy": { "type": "Recreate" } })))?;
    pair.same("created", |state| state.has_arrived("web", 3))?;

    pair.kubectl(&["set", "image", "deployment/web", "web=web:2"])?;
    pair.same("recreated", |state| state.has_arrived("web", 3) && state.sizes().get("web-r2") == Some(&3))?;
    let events = pair.same_events()?;
    assert!(events.iter().any(|event| event.ends_with("Scaled down replica set web-r1 from 3 to 0")), "{events:?}");

    // A pod that takes its time holds it up: the kubelet does not end what a finalizer holds, and that still runs.
    let hold = |finalizers: &str| {
        pair.each(|kubectl| {
            let names = kubectl(&["get", "pods", "-l", "app=web", "-o", "name"], "")?;
            for pod in names.lines() {
                let patch = format!(r#"{{"metadata": {{"finalizers": {finalizers}}}}}"#);
                kubectl(&["patch", pod, "--type=merge", "-p", &patch], "")?;
            }
            Ok(())
        })
    };
    hold(r#"["example.com/hold"]"#)?;
    pair.kubectl(&["set", "image", "deployment/web", "web=web:3"])?;
    pair.same("held up", |state| {
        state.is_observed("web")
            && state.status("web")["replicas"].is_null()
            && state.sizes().get("web-r2") == Some(&0)
            && state.pods.values().sum::<usize>() == 3
    })?;
    hold("null")?;
    pair.same("recreated again", |state| state.has_arrived("web", 3) && state.sizes().get("web-r3") == Some(&3))?;
    Ok(())
}

pub(crate) fn old_revisions_are_cleaned_up(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(2, &json!({ "revisionHistoryLimit": 1 })))?;
    pair.same("created", |state| state.has_arrived("web", 2))?;
    for image in ["web:2", "web:3", "web:4"] {
        pair.kubectl(&["set", "image", "deployment/web", &format!("web={image}")])?;
        pair.same(image, |state| state.has_arrived("web", 2) && image_of(state) == image && state.sets.len() == 2)?;
    }
    pair.patch("deployment/web", &json!({ "spec": { "revisionHistoryLimit": 0 } }))?;
    pair.same("none kept", |state| state.has_arrived("web", 2) && state.sets.len() == 1)?;
    Ok(())
}

/// The image that the pods of the newest template have.
fn image_of(state: &super::state::State) -> &str {
    state.deployments["web"]["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}
