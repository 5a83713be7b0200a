//! The blog of `examples/03-blog` on a real control plane: order, conditions, repair, pruning, deletion, `render`.
use controlplane::harness::{self, Trial};
use controlplane::{AuditEntry, TestScope, eventually};
use kubewright::dependents::render;
use serde_json::{Value, from_value, json};

use super::operators::{Outcome, PATIENCE, Reach, Robot, Running, apply, patch, read, wait_for, wait_gone};

#[path = "../../examples/03-blog/src/blog.rs"]
mod blog;

use blog::Blog;

/// The trials of this file.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::shared(
            "a_dependent_follows_when_all_it_comes_after_are_ready",
            a_dependent_follows_when_all_it_comes_after_are_ready,
        ),
        Trial::shared("a_condition_turns_a_dependent_on_and_off", a_condition_turns_a_dependent_on_and_off),
        Trial::shared(
            "drift_of_a_dependent_is_repaired_and_what_is_no_longer_desired_is_pruned",
            drift_of_a_dependent_is_repaired_and_what_is_no_longer_desired_is_pruned,
        ),
        Trial::shared(
            "dependents_go_in_reverse_order_before_their_primary",
            dependents_go_in_reverse_order_before_their_primary,
        ),
        Trial::shared(
            "what_is_rendered_of_dependents_is_what_the_operator_makes",
            what_is_rendered_of_dependents_is_what_the_operator_makes,
        ),
    ]
}

const CONDITION: &str = "/status/conditions/0";

fn diary(public: bool) -> Value {
    json!({
        "apiVersion": "demo.kubewright.dev/v1", "kind": "Blog", "metadata": { "name": "diary" },
        "spec": { "public": public, "posts": { "monday": "It rained.", "tuesday": "It rained again." } },
    })
}

/// Starts the blog's operator for the namespace of the trial.
async fn start(scope: &TestScope) -> Outcome<(Robot, Running)> {
    let operator = || Blog::operator(async |_| Ok(()));
    let robot = Robot::new(scope, "blog", &[operator().declared().clone()], Reach::Namespace)?;
    let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
    Ok((robot, running))
}

fn wait_ready(scope: &TestScope) -> Outcome {
    let generation = read(scope, "blog/diary")?.ok_or("no blog")?["metadata"]["generation"].clone();
    wait_for(scope, "blog/diary", &format!("{CONDITION}/observedGeneration"), &generation)?;
    wait_for(scope, "blog/diary", &format!("{CONDITION}/status"), &json!("True"))?;
    Ok(())
}

fn a_dependent_follows_when_all_it_comes_after_are_ready(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        // No pod may start, so the server never gets ready.
        let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } });
        apply(scope, &[quota])?;
        wait_for(scope, "resourcequota/none", "/status/hard/pods", &json!("0"))?;
        let (robot, running) = start(scope).await?;
        let mark = scope.control_plane().audit_mark()?;
        apply(scope, &[diary(true)])?;
        let message = "server is not ready (Deployment diary); address waits for server";
        wait_for(scope, "blog/diary", &format!("{CONDITION}/message"), &json!(message))?;
        running.settled()?;
        assert_eq!(read(scope, "service/diary")?, None);

        scope.kubectl(&["delete", "resourcequota/none"], "")?.success()?;
        wait_ready(scope)?;
        let written = |entry: &AuditEntry| entry.resource != "blogs" && entry.subresource.is_empty();
        let mut order: Vec<String> = robot
            .writes(scope.control_plane(), mark)?
            .into_iter()
            .filter(written)
            .map(|entry| entry.resource)
            .collect();
        order.dedup();
        assert_eq!(order, ["configmaps", "deployments", "services"]);
        running.stop().await
    })
}

fn a_condition_turns_a_dependent_on_and_off(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let (_robot, running) = start(scope).await?;
        apply(scope, &[diary(false)])?;
        wait_ready(scope)?;
        assert_eq!(read(scope, "service/diary")?, None);
        let uid = read(scope, "deployment/diary")?.ok_or("no server")?["metadata"]["uid"].clone();
        for _ in 0..2 {
            patch(scope, "blog/diary", &json!({ "spec": { "public": true } }))?;
            wait_for(scope, "service/diary", "/spec/ports/0/targetPort", &json!("http"))?;
            wait_ready(scope)?;
            patch(scope, "blog/diary", &json!({ "spec": { "public": false } }))?;
            wait_gone(scope, "service/diary")?;
            wait_ready(scope)?;
        }
        assert_eq!(read(scope, "deployment/diary")?.ok_or("no server")?["metadata"]["uid"], uid, "it was left alone");
        running.stop().await
    })
}

fn drift_of_a_dependent_is_repaired_and_what_is_no_longer_desired_is_pruned(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let (robot, running) = start(scope).await?;
        apply(scope, &[diary(true)])?;
        wait_ready(scope)?;
        patch(scope, "deployment/diary", &json!({ "spec": { "replicas": 5 } }))?;
        wait_for(scope, "deployment/diary", "/spec/replicas", &json!(1))?;
        patch(scope, "configmap/diary-monday", &json!({ "data": { "monday.html": "The sun shone." } }))?;
        wait_for(scope, "configmap/diary-monday", "/data/monday.html", &json!("It rained."))?;
        let uid = read(scope, "configmap/diary-tuesday")?.ok_or("no post")?["metadata"]["uid"].clone();
        scope.kubectl(&["delete", "configmap/diary-tuesday"], "")?.success()?;
        eventually("the post to come back", PATIENCE, || {
            Ok(read(scope, "configmap/diary-tuesday")?.filter(|post| post["metadata"]["uid"] != uid))
        })?;
        wait_ready(scope)?;

        // Another controller's child of the same blog, and a copy of a post that belongs to nobody.
        let blog = read(scope, "blog/diary")?.ok_or("no blog")?;
        let mut copy = read(scope, "configmap/diary-monday")?.ok_or("no post")?;
        copy["metadata"] = json!({ "name": "copy", "annotations": copy["metadata"]["annotations"] });
        let owner = json!({ "apiVersion": "demo.kubewright.dev/v1", "kind": "Blog", "name": "diary",
            "uid": blog["metadata"]["uid"], "controller": true });
        let foreign = json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "foreign", "ownerReferences": [owner] } });
        apply(scope, &[copy, foreign])?;

        patch(scope, "blog/diary", &json!({ "spec": { "posts": { "monday": null } } }))?;
        wait_gone(scope, "configmap/diary-monday")?;
        wait_ready(scope)?;
        let before = running.settled()?;
        for kept in ["configmap/diary-tuesday", "configmap/copy", "configmap/foreign"] {
            assert!(read(scope, kept)?.is_some(), "{kept}");
        }
        let mark = scope.control_plane().audit_mark()?;
        patch(scope, "service/diary", &json!({ "metadata": { "labels": { "team": "weather" } } }))?;
        running.settled_after(before)?;
        assert_eq!(robot.writes(scope.control_plane(), mark)?.len(), 0, "a label of another's is no drift");
        running.stop().await
    })
}

fn dependents_go_in_reverse_order_before_their_primary(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let (robot, running) = start(scope).await?;
        apply(scope, &[diary(true)])?;
        wait_ready(scope)?;
        let mark = scope.control_plane().audit_mark()?;
        // It is gone only when this is taken off, and the rest has to wait for that.
        patch(scope, "service/diary", &json!({ "metadata": { "finalizers": ["flow.kubewright.dev/hold"] } }))?;
        scope.kubectl(&["delete", "blog/diary", "--wait=false"], "")?.success()?;
        eventually("the service to be on its way out", PATIENCE, || {
            let service = read(scope, "service/diary")?.ok_or("it is gone")?;
            Ok(service["metadata"]["deletionTimestamp"].is_string().then_some(()))
        })?;
        running.settled()?;
        let server = read(scope, "deployment/diary")?.ok_or("the server went before its address")?;
        assert_eq!(server["metadata"].get("deletionTimestamp"), None);
        patch(scope, "service/diary", &json!({ "metadata": { "finalizers": null } }))?;
        for object in ["blog/diary", "deployment/diary", "configmap/diary-monday", "configmap/diary-tuesday"] {
            wait_gone(scope, object)?;
        }
        let mut order = Vec::new();
        for entry in robot.writes(scope.control_plane(), mark)? {
            if entry.code < 400 && (entry.verb == "delete" || entry.resource == "blogs") {
                order.push(entry.resource);
            }
        }
        order.dedup();
        assert_eq!(order, ["services", "deployments", "configmaps", "blogs"]);
        running.stop().await
    })
}

fn what_is_rendered_of_dependents_is_what_the_operator_makes(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let (_robot, running) = start(scope).await?;
        apply(scope, &[diary(true)])?;
        wait_ready(scope)?;
        running.settled()?;
        let versions = || -> Outcome<Vec<Value>> {
            let objects = ["configmap/diary-monday", "configmap/diary-tuesday", "deployment/diary", "service/diary"];
            let version =
                |object: &&str| Ok(read(scope, object)?.ok_or("it is gone")?["metadata"]["resourceVersion"].clone());
            objects.iter().map(version).collect()
        };
        let before = versions()?;
        running.stop().await?;

        // By the same field manager: an object that differed in anything would get a new version.
        let live: Blog = from_value(read(scope, "blog/diary")?.ok_or("no blog")?)?;
        let children = render(&live).map_err(|error| error.to_string())?;
        assert_eq!(children.len(), 4);
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": children }).to_string();
        let manager = "--field-manager=blog.demo.kubewright.dev";
        scope.kubectl(&["apply", "--server-side", manager, "-f", "-"], &list)?.success()?;
        assert_eq!(versions()?, before);
        Ok(())
    })
}
