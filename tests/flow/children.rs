//! Children that two primaries name, that are made once, tried out, deleted as told, or never to be seen again, and what
//! admission makes of them.
use std::sync::Arc;

use controlplane::harness::{self, Trial};
use controlplane::{AuditEntry, TestScope, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kubewright::kube::CustomResource;
use kubewright::reconcile::Deletion;
use kubewright::reconcile::error::Class;
use kubewright::{Action, Error, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};

use super::operators::{Outcome, PATIENCE, Reach, Robot, Running, apply, patch, read, wait_for, wait_gone};

/// The trials of this file.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::shared(
            "what_admission_injects_and_rewrites_is_no_drift",
            what_admission_injects_and_rewrites_is_no_drift,
        ),
        Trial::shared("a_child_is_created_once_and_never_changed", a_child_is_created_once_and_never_changed),
        Trial::shared(
            "a_child_goes_as_it_was_seen_and_after_what_it_owns",
            a_child_goes_as_it_was_seen_and_after_what_it_owns,
        ),
        Trial::shared(
            "of_two_primaries_that_name_one_child_one_has_it_and_the_other_is_told",
            of_two_primaries_that_name_one_child_one_has_it_and_the_other_is_told,
        ),
        Trial::shared(
            "a_child_outside_of_its_own_selector_is_refused_for_good",
            a_child_outside_of_its_own_selector_is_refused_for_good,
        ),
    ]
}

/// Has a Deployment that admission changes, a Secret that is made once, and a ConfigMap that must be labelled.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Guest", namespaced, status = "GuestStatus")]
#[operator(owns(Deployment, Secret), owns(ConfigMap, labels = "room"))]
pub(crate) struct GuestSpec {
    image: String,
    /// A ConfigMap, which several guests may name.
    #[serde(default)]
    room: Option<String>,
    /// Whether the ConfigMap is labelled.
    #[serde(default)]
    labelled: bool,
    /// Whether the Deployment has to go, and as which state of it.
    #[serde(default)]
    leaves: Option<Leave>,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Leave {
    /// As it is cached.
    AsSeen,
    /// As it never was.
    AsNeverSeen,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
pub(crate) struct GuestStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

struct Guests;

impl GuestReconciler for Guests {
    async fn reconcile(&self, guest: Arc<Guest>, cx: GuestContext) -> Result<Action> {
        let done = serve(&guest, &cx).await;
        let (reason, message) = match &done {
            Ok(()) => ("Served", String::new()),
            Err(error) => (if error.class() == Class::Conflict { "Conflict" } else { "Refused" }, error.to_string()),
        };
        cx.set_condition("Ready", done.is_ok(), reason, &message).await?;
        match done {
            // It would be run again soon, and again.
            Err(error) if error.class() != Class::Conflict => Err(error),
            _ => Ok(Action::await_change()),
        }
    }
}

async fn serve(guest: &Guest, cx: &GuestContext) -> Result<()> {
    let name = cx.key().name();
    if let Some(leave) = guest.spec.leaves {
        let Some(live) = cx.deployments().get(name) else { return Ok(()) };
        let mut seen = (*live).clone();
        if leave == Leave::AsNeverSeen {
            seen.metadata.resource_version = Some("1".to_owned());
        }
        return cx.delete_with::<Deployment>(name, Deletion::foreground().if_unchanged(&seen)).await;
    }
    let tried = cx.dry_run(from_value::<Deployment>(deployment(name, &guest.spec.image))?).await?;
    let applied = cx.apply(from_value::<Deployment>(deployment(name, &guest.spec.image))?).await?;
    if tried.spec != applied.spec {
        return Err(Error::new("the dry run told something else than what happened").terminal());
    }
    let seen: Vec<_> = cx.deployments().owned().iter().map(|child| child.metadata.uid.clone()).collect();
    if seen != std::slice::from_ref(&applied.metadata.uid) {
        return Err(Error::new("it does not see what it has just applied").terminal());
    }
    let password =
        json!({ "metadata": { "name": format!("{name}-password") }, "stringData": { "by": guest.spec.image } });
    cx.create(from_value::<Secret>(password)?).await?;
    if let Some(room) = &guest.spec.room {
        let labels = if guest.spec.labelled { json!({ "room": "double" }) } else { json!({}) };
        let room = json!({ "metadata": { "name": room, "labels": labels }, "data": { "guest": name } });
        cx.apply(from_value::<ConfigMap>(room)?).await?;
    }
    Ok(())
}

fn deployment(name: &str, image: &str) -> Value {
    let labels = json!({ "app": name });
    let container = json!({ "name": "main", "image": image, "env": [{ "name": "A", "value": "b" }] });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    let spec = json!({ "replicas": 0, "selector": { "matchLabels": labels }, "template": template });
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": spec })
}

fn guest(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Guest", "metadata": { "name": name }, "spec": spec })
}

const READY: &str = "/status/conditions/0";

/// Starts the operator for the namespace of the trial.
async fn start(scope: &TestScope) -> Outcome<(Robot, Running)> {
    let operator = || Guest::operator(async |_| Ok(Guests));
    let robot = Robot::new(scope, "guest", &[operator().declared().clone()], Reach::Namespace)?;
    let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
    Ok((robot, running))
}

/// Waits until a guest says so of its present generation.
fn wait_told(scope: &TestScope, name: &str, reason: &str) -> Outcome<Value> {
    let object = format!("guest/{name}");
    let generation = read(scope, &object)?.ok_or("no guest")?["metadata"]["generation"].clone();
    wait_for(scope, &object, &format!("{READY}/observedGeneration"), &generation)?;
    wait_for(scope, &object, &format!("{READY}/reason"), &json!(reason))
}

/// What the operator stored, its statuses left out.
fn stored(robot: &Robot, scope: &TestScope, mark: controlplane::audit::AuditMark) -> Outcome<Vec<AuditEntry>> {
    let mut writes = robot.writes(scope.control_plane(), mark)?;
    assert!(writes.iter().all(|entry| entry.code != 403), "{writes:#?}");
    writes.retain(|entry| !entry.uri.contains("dryRun=All") && entry.resource != "guests");
    Ok(writes)
}

/// A mesh: a container more in every Deployment of the namespace, and every image from a mirror.
fn mesh(scope: &TestScope) -> [Value; 2] {
    let name = format!("mesh-{}", scope.id());
    let pod = "Object.spec.template.spec";
    let image = "object.spec.template.spec.containers.filter(c, c.name == 'main')[0].image.replace('mirror/', '')";
    let containers = format!(
        "[{pod}.containers{{name: 'mesh', image: 'mesh:1'}}, {pod}.containers{{name: 'main', image: 'mirror/' + {image}}}]"
    );
    let template = format!("Object.spec.template{{spec: {pod}{{containers: {containers}}}}}");
    let expression = format!("Object{{spec: Object.spec{{template: {template}}}}}");
    let rule = json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments"] });
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": scope.namespace() } });
    let mutation = json!({ "patchType": "ApplyConfiguration", "applyConfiguration": { "expression": expression } });
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": { "name": name },
        "spec": {
            "matchConstraints": { "resourceRules": [rule], "namespaceSelector": selector },
            "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded", "mutations": [mutation],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": name }, "spec": { "policyName": name },
    });
    [policy, binding]
}

/// Policies take effect a moment after they are stored.
fn wait_injected(scope: &TestScope) -> Outcome {
    let probe = deployment("probe", "main:1").to_string();
    eventually("the policy to take effect", PATIENCE, || {
        let tried = scope.kubectl(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &probe)?.success()?;
        let tried: Value = serde_json::from_str(&tried)?;
        let containers = tried["spec"]["template"]["spec"]["containers"].as_array().map_or(0, Vec::len);
        Ok((containers == 2).then_some(()))
    })?;
    Ok(())
}

fn what_admission_injects_and_rewrites_is_no_drift(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let policies = mesh(scope);
        apply(scope, &policies)?;
        wait_injected(scope)?;
        let (robot, running) = start(scope).await?;
        apply(scope, &[guest("g", json!({ "image": "main:1" }))])?;
        wait_told(scope, "g", "Served")?;
        let mut seen = running.settled()?;
        let live = read(scope, "deployment/g")?.ok_or("it is gone")?;
        let containers = live["spec"]["template"]["spec"]["containers"].as_array().ok_or("no containers")?;
        let mut images: Vec<_> = containers.iter().filter_map(|container| container["image"].as_str()).collect();
        images.sort_unstable();
        assert_eq!(images, ["mesh:1", "mirror/main:1"]);

        let mark = scope.control_plane().audit_mark()?;
        for object in ["guest/g", "deployment/g", "guest/g"] {
            let note = json!({ "metadata": { "annotations": { "example.com/note": seen.to_string() } } });
            patch(scope, object, &note)?;
            seen = running.settled_after(seen)?;
        }
        assert_eq!(stored(&robot, scope, mark)?, [], "what was injected and rewritten is no drift");
        // What is ours is still changed and repaired through it.
        patch(scope, "guest/g", &json!({ "spec": { "image": "main:2" } }))?;
        let image = |live: &Value| {
            let containers = live["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
            containers.iter().any(|container| container["image"] == "mirror/main:2")
        };
        eventually("the new image", PATIENCE, || Ok(read(scope, "deployment/g")?.filter(image)))?;
        running.settled_after(seen)?;
        running.stop().await?;

        let live = read(scope, "deployment/g")?.ok_or("it is gone")?;
        let mark = scope.control_plane().audit_mark()?;
        let running = Running::start(&robot, Some(scope.namespace()), Guest::operator(async |_| Ok(Guests))).await?;
        running.settled_after(0)?;
        let writes = stored(&robot, scope, mark)?;
        assert!(writes.len() <= 1, "at most one apply after a restart: {writes:#?}");
        let now = read(scope, "deployment/g")?.ok_or("it is gone")?;
        assert_eq!(now["metadata"]["generation"], live["metadata"]["generation"]);
        running.stop().await?;
        for policy in &policies {
            let kind = policy["kind"].as_str().unwrap_or_default().to_lowercase();
            scope.kubectl(&["delete", &kind, &format!("mesh-{}", scope.id())], "")?.success()?;
        }
        Ok(())
    })
}

fn a_child_is_created_once_and_never_changed(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let (robot, running) = start(scope).await?;
        // One that was there before anybody looked.
        let theirs = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "late-password" }, "stringData": { "by": "hand" } });
        apply(scope, &[theirs])?;
        let mark = scope.control_plane().audit_mark()?;
        apply(scope, &[guest("early", json!({ "image": "main:1" })), guest("late", json!({ "image": "main:1" }))])?;
        for name in ["early", "late"] {
            wait_told(scope, name, "Served")?;
        }
        let made = read(scope, "secret/early-password")?.ok_or("no secret")?;
        assert_eq!(made["data"]["by"], json!("bWFpbjox"));
        assert_eq!(made["metadata"]["ownerReferences"][0]["name"], json!("early"));
        let theirs = read(scope, "secret/late-password")?.ok_or("no secret")?;
        assert_eq!((&theirs["data"]["by"], theirs["metadata"].get("ownerReferences")), (&json!("aGFuZA=="), None));

        // What somebody makes of it stays, and what is created once is made anew once it is gone.
        patch(scope, "secret/early-password", &json!({ "stringData": { "by": "rotation" } }))?;
        patch(scope, "guest/early", &json!({ "spec": { "image": "main:2" } }))?;
        wait_for(scope, "deployment/early", "/spec/template/spec/containers/0/image", &json!("main:2"))?;
        wait_told(scope, "early", "Served")?;
        running.settled()?;
        assert_eq!(read(scope, "secret/early-password")?.ok_or("no secret")?["data"]["by"], json!("cm90YXRpb24="));
        let mut secrets = stored(&robot, scope, mark)?;
        secrets.retain(|entry| entry.resource == "secrets" && entry.code < 400);
        assert_eq!(secrets.len(), 1, "one create, and nothing after it: {secrets:#?}");
        scope.kubectl(&["delete", "secret/early-password"], "")?.success()?;
        wait_for(scope, "secret/early-password", "/data/by", &json!("bWFpbjoy"))?;
        running.stop().await
    })
}

fn a_child_goes_as_it_was_seen_and_after_what_it_owns(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let (robot, running) = start(scope).await?;
        let mark = scope.control_plane().audit_mark()?;
        apply(scope, &[guest("g", json!({ "image": "main:1" }))])?;
        wait_told(scope, "g", "Served")?;
        // What the Deployment owns stays until this is taken off.
        let set = eventually("the ReplicaSet", PATIENCE, || {
            let name = scope.kubectl(&["get", "replicasets", "-o", "name"], "")?.success()?;
            Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty()))
        })?;
        patch(scope, &set, &json!({ "metadata": { "finalizers": ["flow.kubewright.dev/hold"] } }))?;

        patch(scope, "guest/g", &json!({ "spec": { "leaves": "AsNeverSeen" } }))?;
        let told = wait_told(scope, "g", "Conflict")?;
        let message = told.pointer(&format!("{READY}/message")).and_then(Value::as_str).unwrap_or_default();
        assert!(message.starts_with("cannot delete Deployment") && message.contains("409 Conflict"), "{message}");
        let live = read(scope, "deployment/g")?.ok_or("it went as it never was")?;
        assert_eq!(live["metadata"].get("deletionTimestamp"), None);

        patch(scope, "guest/g", &json!({ "spec": { "leaves": "AsSeen" } }))?;
        wait_for(scope, "deployment/g", "/metadata/finalizers", &json!(["foregroundDeletion"]))?;
        running.settled()?;
        patch(scope, &set, &json!({ "metadata": { "finalizers": null } }))?;
        wait_gone(scope, "deployment/g")?;
        let deletes = stored(&robot, scope, mark)?.into_iter().filter(|entry| entry.verb == "delete");
        let codes: Vec<_> = deletes.map(|entry| entry.code).collect();
        assert!(codes.ends_with(&[200]) && codes[..codes.len() - 1].iter().all(|code| *code == 409), "{codes:?}");
        running.stop().await
    })
}

fn of_two_primaries_that_name_one_child_one_has_it_and_the_other_is_told(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let (robot, running) = start(scope).await?;
        let mark = scope.control_plane().audit_mark()?;
        let spec = json!({ "image": "main:1", "room": "twelve", "labelled": true });
        apply(scope, &[guest("one", spec.clone()), guest("two", spec)])?;
        let room = eventually("somebody to have the room", PATIENCE, || read(scope, "configmap/twelve"))?;
        let owner = room["metadata"]["ownerReferences"][0]["name"].as_str().ok_or("it has no owner")?.to_owned();
        let other = if owner == "one" { "two" } else { "one" };
        wait_told(scope, &owner, "Served")?;
        let told = wait_told(scope, other, "Refused")?;
        let message = told.pointer(&format!("{READY}/message")).and_then(Value::as_str).unwrap_or_default();
        let expected = format!("ConfigMap {}/twelve is controlled by Guest {owner} (uid ", scope.namespace());
        assert!(message.starts_with(&expected), "{message}");

        // Neither takes it from the other, whoever is reconciled.
        for name in ["one", "two"] {
            patch(
                scope,
                &format!("guest/{name}"),
                &json!({ "metadata": { "annotations": { "example.com/a": "b" } } }),
            )?;
        }
        running.settled()?;
        let now = read(scope, "configmap/twelve")?.ok_or("no room")?;
        assert_eq!(now["metadata"]["resourceVersion"], room["metadata"]["resourceVersion"]);
        let rooms = stored(&robot, scope, mark)?.into_iter().filter(|entry| entry.resource == "configmaps");
        let mut codes: Vec<_> = rooms.map(|entry| entry.code).collect();
        codes.sort_unstable();
        assert!(codes == [201] || codes == [201, 409], "made once, and asked for once more at the most: {codes:?}");

        scope.kubectl(&["delete", &format!("guest/{owner}")], "")?.success()?;
        wait_for(scope, "configmap/twelve", "/metadata/ownerReferences/0/name", &json!(other))?;
        wait_told(scope, other, "Served")?;
        running.stop().await
    })
}

fn a_child_outside_of_its_own_selector_is_refused_for_good(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let (robot, running) = start(scope).await?;
        let mark = scope.control_plane().audit_mark()?;
        apply(scope, &[guest("g", json!({ "image": "main:1", "room": "twelve", "labelled": false }))])?;
        let told = wait_told(scope, "g", "Refused")?;
        let message = told.pointer(&format!("{READY}/message")).and_then(Value::as_str).unwrap_or_default();
        let expected = format!("ConfigMap {}/twelve would never be seen again", scope.namespace());
        assert!(message.starts_with(&expected) && message.contains("labels `room`"), "{message}");
        running.settled()?;
        assert_eq!(read(scope, "configmap/twelve")?, None);
        let writes = stored(&robot, scope, mark)?;
        assert!(writes.iter().all(|entry| entry.resource != "configmaps"), "{writes:#?}");

        patch(scope, "guest/g", &json!({ "spec": { "labelled": true } }))?;
        wait_told(scope, "g", "Served")?;
        wait_for(scope, "configmap/twelve", "/data/guest", &json!("g"))?;
        running.stop().await
    })
}
