//! Who controls which ReplicaSet.
use controlplane::TestScope;
use serde_json::{Value, json};

use super::pair::{Outcome, Pair, web};

/// A ReplicaSet that nobody controls, with the pods of `web` and this image.
fn orphan(name: &str, replicas: u32, image: &str) -> Value {
    let mut set = web(replicas, &json!({}));
    set["kind"] = json!("ReplicaSet");
    set["metadata"] = json!({ "name": name, "labels": { "app": "web" } });
    let labels = json!({ "app": "web", "set": name });
    set["spec"]["selector"]["matchLabels"] = labels.clone();
    set["spec"]["template"]["metadata"]["labels"] = labels;
    set["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    set
}

pub(crate) fn orphans_are_adopted(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&orphan("before", 3, "web:0"))?;
    pair.same("the orphan has pods", |state| state.pods.get("before ready") == Some(&3))?;
    pair.create(&web(3, &json!({})))?;
    let end = pair
        .same("adopted and rolled", |state| state.has_arrived("web", 3) && state.sizes().get("before") == Some(&0))?;
    assert_eq!(end.sets["before"]["metadata"]["ownerReferences"][0]["name"], "web");

    // One that comes later, with pods that nobody asked for.
    pair.create(&orphan("later", 2, "web:00"))?;
    let end = pair.same("adopted and scaled down", |state| {
        state.has_arrived("web", 3) && state.sizes().get("later") == Some(&0)
    })?;
    assert_eq!(end.sets["later"]["metadata"]["ownerReferences"][0]["controller"], true);
    Ok(())
}

pub(crate) fn what_is_no_longer_selected_is_let_go(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(2, &json!({})))?;
    pair.same("created", |state| state.has_arrived("web", 2))?;
    pair.kubectl(&["set", "image", "deployment/web", "web=web:2"])?;
    pair.same("rolled out", |state| state.has_arrived("web", 2) && state.sets.len() == 2)?;

    pair.at_revision("1", &["label", "replicaset/{}", "app=other", "--overwrite"])?;
    pair.same("let go", |state| state.sets["web-r1"]["metadata"].get("ownerReferences").is_none())?;
    pair.at_revision("1", &["label", "replicaset/{}", "app=web", "--overwrite"])?;
    let end = pair.same("adopted again", |state| state.sets["web-r1"]["metadata"].get("ownerReferences").is_some())?;
    assert!(end.has_arrived("web", 2));
    Ok(())
}

pub(crate) fn a_deletion_takes_all_along_or_nothing(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(3, &json!({})))?;
    pair.same("created", |state| state.has_arrived("web", 3))?;
    pair.kubectl(&["delete", "deployment/web", "--cascade=orphan"])?;
    pair.same("orphaned", |state| {
        let orphaned = |set: &Value| set["metadata"].get("ownerReferences").is_none();
        state.deployments.is_empty() && state.sets.len() == 1 && state.sets.values().all(orphaned)
    })?;
    pair.create(&web(2, &json!({})))?;
    let end = pair.same("adopted by its successor", |state| state.has_arrived("web", 2))?;
    assert_eq!(end.sets.len(), 1);

    for cascade in ["foreground", "background"] {
        pair.kubectl(&["delete", "deployment/web", &format!("--cascade={cascade}")])?;
        pair.same("nothing left", |state| {
            state.deployments.is_empty() && state.sets.is_empty() && state.pods.is_empty()
        })?;
        pair.create(&web(1, &json!({})))?;
        pair.same("created anew", |state| state.has_arrived("web", 1))?;
    }
    Ok(())
}

pub(crate) fn a_name_that_is_taken_is_avoided(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    // The name follows from the template, so that who has seen it once knows it.
    pair.create(&web(1, &json!({})))?;
    pair.same("created", |state| state.has_arrived("web", 1))?;
    pair.each(|kubectl| {
        let name = kubectl(&["get", "replicasets", "-o", "jsonpath={.items[0].metadata.name}"], "")?;
        kubectl(&["delete", "deployment/web", "--cascade=foreground"], "")?;
        let mut taken = orphan("taken", 0, "web:0");
        taken["metadata"] = json!({ "name": name, "labels": { "app": "other" } });
        kubectl(&["create", "-f", "-"], &taken.to_string())?;
        kubectl(&["create", "-f", "-"], &web(1, &json!({})).to_string())?;
        let arrived = "--for=condition=Available";
        kubectl(&["wait", arrived, "deployment/web", "--timeout=120s"], "")?;
        // Its name is chance, and it has done its part.
        kubectl(&["delete", "replicaset", &name], "")?;
        Ok(())
    })?;
    let end = pair.same("avoided", |state| state.has_arrived("web", 1))?;
    assert_eq!((&end.status("web")["collisionCount"], end.sets.len()), (&json!(1), 1));
    Ok(())
}
