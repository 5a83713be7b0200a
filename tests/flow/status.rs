//! The status of a primary: who owns which part of it, and what survives whom.
use std::sync::{Arc, Mutex};

use controlplane::harness;
use controlplane::{TestScope, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kubewright::kube::CustomResource;
use kubewright::{Action, ObjectKey, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};

use super::operators::{Outcome, PATIENCE, Reach, Robot, Running, apply, patch, read, wait_for};

/// Says of itself what its spec says.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Gauge", namespaced, status = "GaugeStatus")]
#[operator(owns(ConfigMap))]
pub(crate) struct GaugeSpec {
    ready: bool,
    message: String,
    reading: Option<i32>,
}

/// What is known about a gauge.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct GaugeStatus {
    reading: Option<i32>,
    observed_generation: Option<i64>,
    conditions: Vec<Condition>,
}

/// Remembers the uids it reconciled, and what it was told to forget.
#[derive(Clone, Default)]
struct Gauges(Arc<Mutex<Vec<String>>>);

impl GaugeReconciler for Gauges {
    async fn reconcile(&self, gauge: Arc<Gauge>, cx: GaugeContext) -> Result<Action> {
        self.0.lock().unwrap().push(cx.uid().to_owned());
        let GaugeSpec { ready, message, reading } = &gauge.spec;
        cx.apply(from_value::<ConfigMap>(
            json!({ "metadata": { "name": cx.key().name() }, "data": { "a": message } }),
        )?)
        .await?;
        cx.set_condition("Ready", *ready, "Said", message).await?;
        cx.set_status(GaugeStatus { reading: *reading, ..GaugeStatus::default() }).await?;
        cx.set_condition("Synced", true, "Always", "").await?;
        Ok(Action::await_change())
    }

    fn forget(&self, key: &ObjectKey) {
        self.0.lock().unwrap().push(format!("forgot {}", key.name()));
    }
}

const GAUGE: &str = "gauge/g";

fn gauge() -> Value {
    json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Gauge", "metadata": { "name": "g" },
        "spec": { "ready": true, "message": "one", "reading": 1 } })
}

fn condition(gauge: &Value, kind: &str) -> Value {
    let conditions = gauge["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
}

/// Waits until a condition has `value` in `field`, and returns the condition and its object.
fn wait_condition(scope: &TestScope, kind: &str, field: &str, value: &Value) -> Outcome<(Value, Value)> {
    Ok(eventually(&format!("{field} of {kind} to be {value}"), PATIENCE, || {
        let gauge = read(scope, GAUGE)?.ok_or("it does not exist")?;
        let found = condition(&gauge, kind);
        if found[field] == *value { Ok(Some((found, gauge))) } else { Err(format!("{}", gauge["status"]).into()) }
    })?)
}

/// Moves the transition time of `Ready` far into the past, as the administrator: times have seconds only.
fn age(scope: &TestScope) -> Outcome {
    let gauge = read(scope, GAUGE)?.ok_or("it does not exist")?;
    let mut conditions = gauge["status"]["conditions"].clone();
    for condition in conditions.as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"] = OLD.into();
    }
    let patch = json!({ "status": { "conditions": conditions } }).to_string();
    scope.kubectl(&["patch", GAUGE, "--subresource=status", "--type=merge", "-p", &patch], "")?.success()?;
    Ok(())
}

const OLD: &str = "2020-01-01T00:00:00Z";

fn paths(gauge: &Value, manager: &str) -> Vec<String> {
    let entries = gauge["metadata"]["managedFields"].as_array().into_iter().flatten();
    let ours = entries.filter(|entry| entry["manager"] == manager);
    ours.flat_map(|entry| {
        assert_eq!((&entry["operation"], &entry["subresource"]), (&json!("Apply"), &json!("status")), "{manager}");
        let status = entry["fieldsV1"]["f:status"].as_object().cloned().unwrap_or_default();
        status.into_iter().flat_map(|(name, below)| match below.as_object().filter(|below| !below.is_empty()) {
            Some(below) => below.keys().map(|key| format!("{name} {key}")).collect(),
            None => vec![name],
        })
    })
    .collect()
}

pub(crate) fn conditions_and_status_belong_to_whoever_set_them(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let cluster = scope.control_plane();
        let operator = || Gauge::operator(async |_| Ok(Gauges::default()));
        let robot = Robot::new(scope, "gauge", &[operator().declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
        apply(scope, &[gauge()])?;
        let live = wait_for(scope, GAUGE, "/status/reading", &json!(1))?;
        wait_condition(scope, "Synced", "status", &json!("True"))?;
        assert_eq!(live["status"]["observedGeneration"], live["metadata"]["generation"]);

        // Another controller states a condition of its own, as it should.
        let theirs =
            json!({ "type": "Theirs", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": OLD });
        let foreign = json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Gauge", "metadata": { "name": "g" },
            "status": { "conditions": [theirs] } });
        let arguments = ["apply", "--server-side", "--subresource=status", "--field-manager=theirs", "-f", "-"];
        scope.kubectl(&arguments, &foreign.to_string())?.success()?;
        age(scope)?;
        let seen = running.settled()?;
        patch(scope, GAUGE, &json!({ "spec": { "message": "two" } }))?;
        let (ready, live) = wait_condition(scope, "Ready", "message", &json!("two"))?;
        assert_eq!((&ready["lastTransitionTime"], &ready["status"]), (&json!(OLD), &json!("True")), "{live:#}");
        assert_eq!(ready["observedGeneration"], live["metadata"]["generation"]);
        running.settled_after(seen)?;
        patch(scope, GAUGE, &json!({ "spec": { "ready": false, "reading": null } }))?;
        let (ready, _) = wait_condition(scope, "Ready", "status", &json!("False"))?;
        assert_ne!(ready["lastTransitionTime"], OLD);
        let live = wait_for(scope, GAUGE, "/status/reading", &Value::Null)?;
        assert_eq!(condition(&live, "Theirs"), theirs);
        let seen = running.settled()?;

        let live = read(scope, GAUGE)?.ok_or("it does not exist")?;
        let conditions = ["f:conditions k:{\"type\":\"Ready\"}", "f:conditions k:{\"type\":\"Synced\"}"];
        assert_eq!(paths(&live, "gauge.flow.kubewright.dev-conditions"), conditions, "{live:#}");
        assert_eq!(paths(&live, "gauge.flow.kubewright.dev-status"), ["f:observedGeneration"], "{live:#}");

        // Nobody fights: looking again costs nothing, and a restart neither.
        let mark = cluster.audit_mark()?;
        patch(scope, GAUGE, &json!({ "metadata": { "annotations": { "example.com/note": "seen" } } }))?;
        running.settled_after(seen)?;
        running.stop().await?;
        let before = read(scope, GAUGE)?.ok_or("it does not exist")?;
        let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
        running.settled_after(0)?;
        assert_eq!(read(scope, GAUGE)?.as_ref(), Some(&before));
        let status: Vec<_> = robot.writes(cluster, mark)?;
        let status: Vec<_> = status.iter().filter(|entry| entry.subresource == "status").collect();
        assert!(status.is_empty(), "{status:#?}");

        // What the last process stated is still ours, and what others stated still theirs.
        patch(scope, GAUGE, &json!({ "spec": { "ready": true } }))?;
        let (_, live) = wait_condition(scope, "Ready", "status", &json!("True"))?;
        assert_eq!((condition(&live, "Theirs"), &condition(&live, "Synced")["status"]), (theirs, &json!("True")));
        running.stop().await
    })
}

pub(crate) fn a_primary_created_anew_while_nobody_looked_is_another_one(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let gauges = Gauges::default();
        let operator = || {
            let gauges = gauges.clone();
            Gauge::operator(async |_| Ok(gauges))
        };
        let robot = Robot::new(scope, "anew", &[operator().declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
        apply(scope, &[gauge()])?;
        let (_, old) = wait_condition(scope, "Synced", "status", &json!("True"))?;
        age(scope)?;
        running.settled()?;
        running.stop().await?;

        scope.kubectl(&["delete", GAUGE], "")?.success()?;
        apply(scope, &[gauge()])?;
        let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
        let (synced, new) = wait_condition(scope, "Synced", "status", &json!("True"))?;
        let uid = new["metadata"]["uid"].as_str().ok_or("no uid")?;
        assert_ne!(uid, old["metadata"]["uid"]);
        assert_ne!(synced["lastTransitionTime"], OLD);
        wait_for(scope, "configmap/g", "/metadata/ownerReferences/0/uid", &json!(uid))?;
        wait_for(scope, "configmap/g", "/metadata/ownerReferences/1", &Value::Null)?;

        // And under its eyes.
        scope.kubectl(&["delete", GAUGE], "")?.success()?;
        apply(scope, &[gauge()])?;
        let (_, newest) = wait_condition(scope, "Synced", "status", &json!("True"))?;
        wait_for(scope, "configmap/g", "/metadata/ownerReferences/0/uid", &newest["metadata"]["uid"])?;
        running.settled()?;
        running.stop().await?;
        let told = gauges.0.lock().unwrap().clone();
        let forgot = told.iter().position(|line| line == "forgot g").ok_or("it was never told to forget")?;
        assert!(told[..forgot].iter().any(|line| line == uid), "{told:?}");
        assert!(!told[forgot..].iter().any(|line| line == uid), "{told:?}");
        Ok(())
    })
}
