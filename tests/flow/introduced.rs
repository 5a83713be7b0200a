//! Children on their way in: what admission makes of them, and what create-only, dry run and deletion do on the real API
//! server.
use std::sync::Arc;

use controlplane::TestScope;
use controlplane::harness;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kubewright::kube::CustomResource;
use kubewright::reconcile::Deletion;
use kubewright::{Action, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};

use super::operators::{Outcome, Reach, Robot, Running, apply, patch, read, wait_for, wait_gone};

/// Has a Deployment that admission changes, and a Secret that is made once.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Guest", namespaced)]
#[operator(owns(Deployment, Secret))]
pub(crate) struct GuestSpec {
    image: String,
    /// The Secret, which several guests may name.
    secret: String,
    /// Whether the Deployment has to go.
    leaving: bool,
}

struct Guests;

impl GuestReconciler for Guests {
    async fn reconcile(&self, guest: Arc<Guest>, cx: GuestContext) -> Result<Action> {
        let form = deployment(cx.key().name(), &guest.spec.image);
        if guest.spec.leaving {
            if let Some(live) = cx.deployments().get(cx.key().name()) {
                let version = live.metadata.resource_version.clone().unwrap_or_default();
                cx.delete_with::<Deployment>(cx.key().name(), Deletion::foreground().if_version(&version)).await?;
            }
            return Ok(Action::await_change());
        }
        let tried = cx.dry_run(from_value::<Deployment>(form.clone())?).await?;
        let applied = cx.apply(from_value::<Deployment>(form)?).await?;
        if tried.spec != applied.spec {
            return Err(kubewright::Error::new("a dry run that tells something else than what happens").terminal());
        }
        let secret = json!({ "metadata": { "name": guest.spec.secret }, "stringData": { "by": cx.key().name() } });
        cx.create(from_value::<Secret>(secret)?).await?;
        Ok(Action::await_change())
    }
}

fn deployment(name: &str, image: &str) -> Value {
    let labels = json!({ "app": name });
    let container = json!({ "name": "main", "image": image, "env": [{ "name": "A", "value": "b" }] });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    json!({ "metadata": { "name": name },
        "spec": { "replicas": 0, "selector": { "matchLabels": labels }, "template": template } })
}

fn guest(name: &str, image: &str, secret: &str) -> Value {
    json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Guest", "metadata": { "name": name },
        "spec": { "image": image, "secret": secret, "leaving": false } })
}

/// A mesh: a container more in every Deployment of the namespace, and every image from a mirror.
fn mesh(scope: &TestScope) -> [Value; 2] {
    let name = format!("mesh-{}", scope.id());
    let container = "Object.spec.template.spec.containers";
    let image = "object.spec.template.spec.containers.filter(c, c.name == 'main')[0].image.replace('mirror/', '')";
    let containers = format!(
        "[{container}{{name: 'mesh', image: 'mesh:1'}}, {container}{{name: 'main', image: 'mirror/' + {image}}}]"
    );
    let expression = format!(
        "Object{{spec: Object.spec{{template: Object.spec.template{{spec: Object.spec.template.spec{{containers: {containers}}}}}}}}}"
    );
    let rule = json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"] });
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": scope.namespace() } });
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": { "name": name },
        "spec": {
            "matchConstraints": { "resourceRules": [rule], "namespaceSelector": selector },
            "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
            "mutations": [{ "patchType": "ApplyConfiguration", "applyConfiguration": { "expression": expression } }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": name }, "spec": { "policyName": name },
    });
    [policy, binding]
}

pub(crate) fn what_admission_injects_and_rewrites_is_no_drift(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let cluster = scope.control_plane();
        let operator = || Guest::operator(async |_| Ok(Guests));
        let robot = Robot::new(scope, "guest", &[operator().declared().clone()], Reach::Namespace)?;
        apply(scope, &mesh(scope))?;
        wait_until_injected(scope)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
        apply(scope, &[guest("g", "main:1", "s")])?;
        wait_for(scope, "deployment/g", "/metadata/name", &json!("g"))?;
        let seen = running.settled()?;
        let live = read(scope, "deployment/g")?.ok_or("it is gone")?;
        let containers = live["spec"]["template"]["spec"]["containers"].as_array().ok_or("no containers")?;
        let mut images: Vec<_> = containers.iter().filter_map(|container| container["image"].as_str()).collect();
        images.sort_unstable();
        assert_eq!(images, ["mesh:1", "mirror/main:1"]);

        let mark = cluster.audit_mark()?;
        patch(scope, "guest/g", &json!({ "metadata": { "annotations": { "example.com/note": "a" } } }))?;
        let seen = running.settled_after(seen)?;
        patch(scope, "deployment/g", &json!({ "metadata": { "annotations": { "example.com/note": "a" } } }))?;
        running.settled_after(seen)?;
        let stored = |entries: Vec<controlplane::AuditEntry>| {
            entries.into_iter().filter(|entry| !entry.uri.contains("dryRun")).collect::<Vec<_>>()
        };
        assert_eq!(stored(robot.writes(cluster, mark)?), [], "what was injected and rewritten is no drift");
        running.stop().await?;

        let mark = cluster.audit_mark()?;
        let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
        running.settled_after(0)?;
        let writes = stored(robot.writes(cluster, mark)?);
        assert!(writes.len() <= 1, "at most one apply after a restart: {writes:#?}");
        assert_eq!(
            read(scope, "deployment/g")?.ok_or("it is gone")?["metadata"]["generation"],
            live["metadata"]["generation"]
        );
        running.stop().await?;
        for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
            scope.kubectl(&["delete", kind, &format!("mesh-{}", scope.id())], "")?.success()?;
        }
        Ok(())
    })
}

/// Policies take effect a moment after they are stored.
fn wait_until_injected(scope: &TestScope) -> Outcome {
    let mut probe = deployment("probe", "main:1");
    (probe["apiVersion"], probe["kind"]) = ("apps/v1".into(), "Deployment".into());
    controlplane::eventually("the policy to take effect", super::operators::PATIENCE, || {
        let tried =
            scope.kubectl(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &probe.to_string())?.success()?;
        let tried: Value = serde_json::from_str(&tried)?;
        let containers = tried["spec"]["template"]["spec"]["containers"].as_array().map_or(0, Vec::len);
        Ok((containers == 2).then_some(()))
    })?;
    Ok(())
}

pub(crate) fn children_are_created_once_tried_out_and_deleted_as_told(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let operator = Guest::operator(async |_| Ok(Guests));
        let robot = Robot::new(scope, "made", &[operator.declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator).await?;
        // Two at once that name one Secret: exactly one of them makes it, and the other leaves it alone.
        apply(scope, &[guest("one", "main:1", "shared"), guest("two", "main:1", "shared")])?;
        let secret = wait_for(scope, "secret/shared", "/kind", &json!("Secret"))?;
        wait_for(scope, "deployment/one", "/metadata/name", &json!("one"))?;
        wait_for(scope, "deployment/two", "/metadata/name", &json!("two"))?;
        let owner = secret["metadata"]["ownerReferences"][0]["name"].clone();
        let again = read(scope, "secret/shared")?.ok_or("it is gone")?;
        assert_eq!((&again["metadata"]["ownerReferences"][0]["name"], &again["data"]), (&owner, &secret["data"]));
        assert_eq!(again["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(1));

        // What somebody makes of it stays.
        patch(scope, "secret/shared", &json!({ "stringData": { "by": "rotation" } }))?;
        let name = format!("guest/{}", owner.as_str().unwrap_or_default());
        patch(scope, &name, &json!({ "spec": { "image": "main:2" } }))?;
        let object = format!("deployment/{}", owner.as_str().unwrap_or_default());
        wait_for(scope, &object, "/spec/template/spec/containers/0/image", &json!("main:2"))?;
        let kept = read(scope, "secret/shared")?.ok_or("it is gone")?;
        assert_eq!(kept["data"]["by"], json!("cm90YXRpb24="));

        patch(scope, &name, &json!({ "spec": { "leaving": true } }))?;
        wait_gone(scope, &object)?;
        running.stop().await
    })
}
