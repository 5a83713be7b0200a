//! Two operators in one process: a cluster-scoped primary with children in namespaces, and a kind with an odd schema.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use controlplane::TestScope;
use controlplane::harness;
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kubewright::kube::CustomResource;
use kubewright::{Action, ObjectKey, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{from_value, json};

use super::operators::{Outcome, Reach, Robot, Running, apply, patch, wait_for, wait_gone};

/// A fleet of ships, the same for all namespaces.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Fleet", status = "FleetStatus")]
#[operator(owns(ConfigMap), watches(StorageClass, labels = "fleet", metadata, map = fleets_of), cleanup)]
pub(crate) struct FleetSpec {
    /// Where its ConfigMaps are.
    harbours: Vec<String>,
}

/// What is known about a fleet.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(default)]
pub(crate) struct FleetStatus {
    conditions: Vec<Condition>,
}

fn fleets_of(class: &kubewright::kube::core::PartialObjectMeta<StorageClass>) -> Option<ObjectKey> {
    Some(ObjectKey::cluster(class.metadata.labels.as_ref()?.get("fleet")?))
}

/// Everything that a schema may hold, and that Rust says otherwise than OpenAPI.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Oddity", plural = "oddities", namespaced)]
#[kube(status = "OddityStatus", shortname = "odd")]
#[operator(owns(ConfigMap), watches(Fleet, by = spec.fleet), index(by_size = spec.size))]
#[serde(rename_all = "camelCase")]
pub(crate) struct OdditySpec {
    /// The fleet it belongs to.
    fleet: Option<String>,
    tiny: u8,
    size: u32,
    huge: u64,
    signed: Option<i16>,
    ratio: f32,
    mode: Mode,
    modes: Option<Vec<Mode>>,
    shape: Shape,
    either: Either,
    port: IntOrString,
    named: BTreeMap<String, Option<u16>>,
    nested: BTreeMap<String, Vec<Piece>>,
    letter: char,
    pair: (String, bool),
    triple: [u8; 3],
    set: BTreeSet<String>,
    maybe_mode: Option<Mode>,
    maybe_shape: Option<Shape>,
    quantity: Quantity,
    time: Option<Time>,
    any: Option<serde_json::Value>,
    anything: Vec<serde_json::Value>,
    named_any: BTreeMap<String, serde_json::Value>,
    address: Option<std::net::IpAddr>,
    nonzero: std::num::NonZeroU16,
    wait: std::time::Duration,
    selector: Option<LabelSelector>,
    #[serde(default = "twelve")]
    dozen: u64,
    #[serde(flatten)]
    piece: Piece,
    template: PodTemplateSpec,
    #[serde(default)]
    flag: bool,
}

fn twelve() -> u64 {
    12
}

/// How it works.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// With speed.
    Fast,
    /// With care.
    Slow,
}

/// One of several forms.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Shape {
    /// Given by its side.
    Square { side: u8 },
    /// Given by its radius.
    Circle(Piece),
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(untagged)]
pub(crate) enum Either {
    Number(i32),
    Text(String),
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
pub(crate) struct Piece {
    weight: Option<u32>,
}

/// What is known about an oddity.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OddityStatus {
    observed_generation: Option<i64>,
    conditions: Vec<Condition>,
}

struct Fleets;

impl FleetReconciler for Fleets {
    async fn reconcile(&self, fleet: Arc<Fleet>, cx: FleetContext) -> Result<Action> {
        let name = cx.key().name().to_owned();
        let classes = cx.storage_classes().lister().keys().len().to_string();
        for harbour in &fleet.spec.harbours {
            let metadata = json!({ "name": name, "namespace": harbour });
            cx.apply(from_value::<ConfigMap>(json!({ "metadata": metadata, "data": { "classes": classes } }))?).await?;
        }
        let stray =
            |map: &&Arc<ConfigMap>| !fleet.spec.harbours.iter().any(|it| Some(it) == map.metadata.namespace.as_ref());
        let strays = cx.config_maps().owned().iter().filter(stray).count();
        cx.set_condition("Ready", strays == 0, "Counted", &format!("{strays} where there should be none")).await?;
        Ok(Action::await_change())
    }

    async fn cleanup(&self, _: Arc<Fleet>, cx: FleetContext) -> Result<kubewright::Cleanup> {
        cx.delete::<ConfigMap>(cx.key().name()).await?;
        Ok(if cx.config_maps().owned().is_empty() {
            kubewright::Cleanup::done()
        } else {
            kubewright::Cleanup::await_change()
        })
    }
}

struct Oddities;

impl OddityReconciler for Oddities {
    async fn reconcile(&self, odd: Arc<Oddity>, cx: OddityContext) -> Result<Action> {
        let fleet = odd.spec.fleet.as_deref().and_then(|name| cx.fleets().get(name));
        let harbours = fleet.map_or(0, |fleet| fleet.spec.harbours.len());
        let data = json!({ "harbours": harbours.to_string(), "spec": serde_json::to_string(&odd.spec)? });
        cx.apply(from_value::<ConfigMap>(json!({ "metadata": { "name": cx.key().name() }, "data": data }))?).await?;
        cx.set_condition("Ready", true, "Applied", "").await?;
        Ok(Action::await_change())
    }
}

fn oddity() -> serde_json::Value {
    let container = json!({
        "name": "c", "image": "d", "resources": { "limits": { "cpu": 1, "memory": "1Gi" } },
        "ports": [{ "containerPort": 80 }], "livenessProbe": { "httpGet": { "port": 80 } },
    });
    let mut spec = json!({
        "fleet": "armada", "tiny": 255, "size": u32::MAX, "huge": i64::MAX, "signed": null, "ratio": 0.5,
        "mode": "Fast", "modes": ["Slow"], "shape": { "circle": { "weight": 1 } }, "either": "text", "port": "http",
        "named": { "a": 65535 }, "nested": { "b": [{ "weight": null }, {}] }, "letter": "x", "pair": ["y", true],
        "template": { "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [container] } },
    });
    let more = json!({
        "triple": [1, 2, 3], "set": ["a", "b"], "maybeMode": "Slow",
        "quantity": 1, "time": "2026-01-01T00:00:00Z", "any": { "b": [1, null] },
        "anything": [1, "a"], "namedAny": { "c": [] }, "weight": 5,
        "address": "::1", "nonzero": 1, "wait": { "secs": 1, "nanos": 2 }, "selector": { "matchLabels": { "a": "b" } },
    });
    spec.as_object_mut().into_iter().for_each(|spec| spec.extend(more.as_object().cloned().unwrap_or_default()));
    json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Oddity", "metadata": { "name": "odd" }, "spec": spec })
}

pub(crate) fn two_operators_of_both_scopes_run_under_their_roles_alone(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let operators = || (Fleet::operator(async |_| Ok(Fleets)), Oddity::operator(async |_| Ok(Oddities)));
        let declared = [operators().0.declared().clone(), operators().1.declared().clone()];
        let robot = Robot::new(scope, "pair", &declared, Reach::Cluster)?;
        for (path, word) in [
            ("fleet.spec.harbours", "Where its ConfigMaps are"),
            ("oddity.spec.shape.circle.weight", "integer"),
            ("oddity.spec.template.spec.containers.livenessProbe", "Object"),
            ("odd.status.conditions", "Condition"),
        ] {
            let explained = scope.kubectl(&["explain", path], "")?.success()?;
            assert!(explained.contains(word), "{path}: {explained}");
        }
        let other = format!("{}-far", scope.namespace());
        scope.kubectl(&["create", "namespace", &other], "")?.success()?;
        let mark = scope.control_plane().audit_mark()?;
        let running = Running::start(&robot, None, operators()).await?;

        let fleet = json!({
            "apiVersion": "flow.kubewright.dev/v1", "kind": "Fleet", "metadata": { "name": "armada" },
            "spec": { "harbours": [scope.namespace(), other] },
        });
        apply(scope, &[fleet, oddity()])?;
        let (near, far) = ("configmap/armada", format!("--namespace={other}"));
        wait_for(scope, near, "/data/classes", &json!("0"))?;
        wait_for(scope, near, "/metadata/ownerReferences/0/kind", &json!("Fleet"))?;
        wait_for(scope, "fleet/armada", "/status/conditions/0/status", &json!("True"))?;
        wait_for(scope, "oddity/odd", "/status/conditions/0/status", &json!("True"))?;
        wait_for(scope, "configmap/odd", "/data/harbours", &json!("2"))?;

        // A kind without a namespace, found by a function.
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.com/none",
            "metadata": { "name": format!("class-{}", scope.id()), "labels": { "fleet": "armada" } },
        });
        apply(scope, &[class])?;
        wait_for(scope, near, "/data/classes", &json!("1"))?;
        let data = scope.kubectl(&["get", near, &far, "-o", "jsonpath={.data.classes}"], "")?.success()?;
        assert!(["0", "1"].contains(&&*data), "the far child exists: {data}");
        scope.kubectl(&["delete", near, &far], "")?.success()?;
        scope.kubectl(&["wait", "--for=create", near, &far, "--timeout=60s"], "")?.success()?;

        // The one operator's primary is what the other watches.
        patch(scope, "fleet/armada", &json!({ "spec": { "harbours": [scope.namespace()] } }))?;
        wait_for(scope, "configmap/odd", "/data/harbours", &json!("1"))?;
        wait_for(scope, "fleet/armada", "/status/conditions/0/status", &json!("False"))?;

        scope.kubectl(&["delete", "fleet/armada", "--wait=false"], "")?.success()?;
        wait_gone(scope, "fleet/armada")?;
        wait_gone(scope, near)?;
        scope.kubectl(&["wait", "--for=delete", near, &far, "--timeout=60s"], "")?.success()?;
        wait_for(scope, "configmap/odd", "/data/harbours", &json!("0"))?;
        running.stop().await?;
        let refused: Vec<_> = robot.requests(scope.control_plane(), mark)?;
        let refused: Vec<_> = refused.iter().filter(|entry| entry.code == 403).collect();
        assert!(refused.is_empty(), "{refused:#?}");
        scope.kubectl(&["delete", "namespace", &other, "--wait=false"], "")?.success()?;
        Ok(())
    })
}
