//! Own echoes on the real API server: what an operator wrote itself does not wake it, what others wrote always does.
use std::sync::Arc;

use controlplane::TestScope;
use controlplane::harness;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kubewright::kube::CustomResource;
use kubewright::kube::api::{Api, Patch, PatchParams};
use kubewright::{Action, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{from_value, json};

use super::operators::{Outcome, Reach, Robot, Running, administrator, apply, patch, wait_for};

/// Writes a child and a status, and reads neither from a cache.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Beacon", namespaced, status = "BeaconStatus")]
#[operator(owns(ConfigMap))]
pub(crate) struct BeaconSpec {
    text: String,
}

/// What is known about a beacon.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(default)]
pub(crate) struct BeaconStatus {
    conditions: Vec<Condition>,
}

struct Beacons;

const NOTE: &str = "example.com/note";

impl BeaconReconciler for Beacons {
    async fn reconcile(&self, beacon: Arc<Beacon>, cx: BeaconContext) -> Result<Action> {
        let note = beacon.metadata.annotations.as_ref().and_then(|notes| notes.get(NOTE)).cloned().unwrap_or_default();
        let child = json!({ "metadata": { "name": cx.key().name() }, "data": { "text": beacon.spec.text } });
        cx.apply(from_value::<ConfigMap>(child)?).await?;
        cx.set_condition("Ready", true, "Seen", &format!("{} {note}", beacon.spec.text)).await?;
        Ok(Action::await_change())
    }
}

const EDITS: usize = 60;

pub(crate) fn own_writes_wake_nobody_and_those_of_others_always_do(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let operator = Beacon::operator(async |_| Ok(Beacons));
        let robot = Robot::new(scope, "beacon", &[operator.declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator).await?;
        let beacon = |text: &str| {
            json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Beacon", "metadata": { "name": "b" },
                "spec": { "text": text } })
        };
        apply(scope, &[beacon("one")])?;
        wait_for(scope, "beacon/b", "/status/conditions/0/message", &json!("one "))?;
        assert_eq!(running.settled()?, 2, "it appeared, and its child did; its status is its own");
        apply(scope, &[beacon("two")])?;
        wait_for(scope, "beacon/b", "/status/conditions/0/message", &json!("two "))?;
        assert_eq!(running.settled()?, 3, "one edit, one reconcile, though it wrote the child and the status");

        patch(scope, "configmap/b", &json!({ "metadata": { "labels": { "foreign": "too" } } }))?;
        assert_eq!(running.settled_after(3)?, 4, "of the child");
        patch(scope, "beacon/b", &json!({ "metadata": { "annotations": { NOTE: "first" } } }))?;
        assert_eq!(running.settled_after(4)?, 5, "of the primary");
        patch(scope, "configmap/b", &json!({ "data": { "text": "drift" } }))?;
        wait_for(scope, "configmap/b", "/data/text", &json!("two"))?;
        assert_eq!(running.settled()?, 6, "drift is repaired, and the repair is no news");

        // Between, during and after the writes of the operator: each note is one more status that it writes.
        let beacons = Api::<Beacon>::namespaced(administrator(scope).await?.kube(), scope.namespace());
        for edit in 0..EDITS {
            let note = Patch::Merge(json!({ "metadata": { "annotations": { NOTE: edit.to_string() } } }));
            beacons.patch("b", &PatchParams::default(), &note).await?;
        }
        wait_for(scope, "beacon/b", "/status/conditions/0/message", &json!(format!("two {}", EDITS - 1)))?;
        let total = running.settled()?;
        assert!(total <= 6 + EDITS, "{total} reconciles: an edit each at the most");
        running.stop().await
    })
}
