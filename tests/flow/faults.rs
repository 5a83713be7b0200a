//! Operators behind a proxy that does harm: whatever it does, they end as declared, make nothing twice, lose nothing, and
//! do not run hot.
use std::sync::Arc;
use std::time::Duration;

use ::faults::{Call, Effect, Fault, Proxy, StreamFault, Verb};
use controlplane::harness;
use controlplane::{TestScope, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kubewright::kube::CustomResource;
use kubewright::{Action, Cleanup, InformerFactory, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};

use super::operators::{Outcome, PATIENCE, Reach, Robot, Running, apply, patch};

/// Has two children, a status and a finalizer: every kind of write.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Buoy", namespaced, status = "BuoyStatus")]
#[operator(owns(ConfigMap), cleanup, concurrency = 4)]
pub(crate) struct BuoySpec {
    text: String,
    /// Whether it has its second child.
    second: bool,
}

/// What is known about a buoy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(default)]
pub(crate) struct BuoyStatus {
    conditions: Vec<Condition>,
}

struct Buoys;

impl BuoyReconciler for Buoys {
    async fn reconcile(&self, buoy: Arc<Buoy>, cx: BuoyContext) -> Result<Action> {
        let child = |suffix: &str| {
            let name = format!("{}-{suffix}", cx.key().name());
            from_value::<ConfigMap>(json!({ "metadata": { "name": name }, "data": { "text": buoy.spec.text } }))
        };
        cx.apply(child("first")?).await?;
        if buoy.spec.second {
            cx.apply(child("second")?).await?;
        } else {
            cx.delete::<ConfigMap>(&format!("{}-second", cx.key().name())).await?;
        }
        cx.set_condition("Ready", true, "Applied", &buoy.spec.text).await?;
        Ok(Action::await_change())
    }

    async fn cleanup(&self, _: Arc<Buoy>, cx: BuoyContext) -> Result<Cleanup> {
        // The garbage collector would do it; this way the deletion is one of the writes that go wrong.
        for suffix in ["first", "second"] {
            cx.delete::<ConfigMap>(&format!("{}-{suffix}", cx.key().name())).await?;
        }
        Ok(Cleanup::done())
    }
}

const BUOYS: usize = 6;

/// One request in four goes wrong. Of more, back-off rightly makes minutes.
fn often(rng: &mut fastrand::Rng, fault: impl FnOnce(&mut fastrand::Rng) -> Fault) -> Fault {
    if rng.u8(..4) == 0 { fault(rng) } else { Fault::None }
}

fn effect(rng: &mut fastrand::Rng) -> Effect {
    if rng.bool() { Effect::Done } else { Effect::Lost }
}

pub(crate) fn failures_with_and_without_effect(scope: &TestScope) -> Outcome {
    let plan = |call: &Call, rng: &mut fastrand::Rng| match call.verb {
        Verb::Write => often(rng, |rng| Fault::Fail {
            effect: effect(rng),
            code: 503,
            reason: "ServiceUnavailable",
            retry_after: None,
        }),
        Verb::Read | Verb::Watch => often(rng, |rng| Fault::internal_error(effect(rng))),
    };
    check(scope, "failing", 11, plan)
}

pub(crate) fn cut_connections(scope: &TestScope) -> Outcome {
    let plan = |call: &Call, rng: &mut fastrand::Rng| match call.verb {
        Verb::Write | Verb::Read => often(rng, |rng| Fault::Cut(effect(rng))),
        Verb::Watch => often(rng, |rng| Fault::Stream(StreamFault::Cut(rng.usize(..8)))),
    };
    check(scope, "cut", 12, plan)
}

pub(crate) fn expired_and_late_watches(scope: &TestScope) -> Outcome {
    let plan = |call: &Call, rng: &mut fastrand::Rng| match call.verb {
        Verb::Write | Verb::Read => Fault::None,
        Verb::Watch if rng.bool() => Fault::Stream(StreamFault::Expire(rng.usize(..8))),
        Verb::Watch => Fault::Stream(StreamFault::Delay(Duration::ZERO, Duration::from_millis(400))),
    };
    check(scope, "expired", 13, plan)
}

pub(crate) fn slow_answers_and_too_many_requests(scope: &TestScope) -> Outcome {
    let plan = |_: &Call, rng: &mut fastrand::Rng| match rng.u8(..4) {
        0 => Fault::TOO_MANY_REQUESTS,
        1 => Fault::Delay(Duration::from_millis(rng.u64(..300))),
        _ => Fault::None,
    };
    check(scope, "busy", 14, plan)
}

pub(crate) fn storms_of_conflicts(scope: &TestScope) -> Outcome {
    let plan = |call: &Call, rng: &mut fastrand::Rng| match call.verb {
        Verb::Write if rng.u8(..4) > 0 => Fault::CONFLICT,
        _ => Fault::None,
    };
    check(scope, "conflicts", 15, plan)
}

/// Runs an operator behind a proxy with this plan from before the first list until everything is as declared.
fn check(
    scope: &TestScope,
    name: &str,
    seed: u64,
    plan: impl Fn(&Call, &mut fastrand::Rng) -> Fault + Send + Sync + 'static,
) -> Outcome {
    harness::block_on(async {
        let operator = Buoy::operator(async |_| Ok(Buoys));
        let robot = Robot::new(scope, name, &[operator.declared().clone()], Reach::Namespace)?;
        let proxy = Proxy::start(scope.control_plane().kubeconfig_path(), seed).await?;
        proxy.set_plan(plan);
        let client = robot.client_at(&proxy.url()).await?;
        let factory = InformerFactory::new(client.clone()).in_namespace(scope.namespace());
        let running = Running::with(client, factory, operator).await?;

        apply(scope, &(0..BUOYS).map(|index| buoy(index, "one", true)).collect::<Vec<_>>())?;
        wait_until_declared(scope, &[("one", true); BUOYS])?;
        apply(scope, &(0..BUOYS).map(|index| buoy(index, "two", index % 2 == 0)).collect::<Vec<_>>())?;
        let expected: Vec<_> = (0..BUOYS).map(|index| ("two", index % 2 == 0)).collect();
        wait_until_declared(scope, &expected)?;
        scope.kubectl(&["delete", "buoy/buoy-0", "--wait=false"], "")?.success()?;
        scope.kubectl(&["delete", "configmap/buoy-1-first"], "")?.success()?;
        wait_until_declared(scope, &expected[1..])?;
        assert!(proxy.faults() > 0, "the plan did something");

        // Not one request a key and moment: backing off is what keeps an API server that is in trouble alive.
        let writes = proxy.count(Verb::Write);
        assert!(writes <= BUOYS * MOST_WRITES, "{writes} writes for {BUOYS} buoys");
        proxy.heal();
        let before = running.settled()?;
        let (mark, quiet) = (scope.control_plane().audit_mark()?, proxy.count(Verb::Write));
        patch(scope, "buoy/buoy-2", &json!({ "metadata": { "annotations": { "example.com/note": "seen" } } }))?;
        running.settled_after(before)?;
        assert_eq!((robot.writes(scope.control_plane(), mark)?, proxy.count(Verb::Write)), (vec![], quiet));
        running.stop().await
    })
}

/// Writes of all kinds that one buoy may take over three changes of its spec, failed ones included.
const MOST_WRITES: usize = 60;

fn buoy(index: usize, text: &str, second: bool) -> Value {
    json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Buoy", "metadata": { "name": format!("buoy-{index}") },
        "spec": { "text": text, "second": second } })
}

/// Waits until there are exactly these buoys, by their last names, with exactly the children they declare.
fn wait_until_declared(scope: &TestScope, buoys: &[(&str, bool)]) -> Outcome {
    let first = BUOYS - buoys.len();
    let mut wanted: Vec<_> = buoys
        .iter()
        .enumerate()
        .flat_map(|(index, (text, second))| {
            let name = format!("buoy-{}", first + index);
            let ready = format!("Buoy {name} {text}");
            let second = second.then(|| format!("ConfigMap {name}-second {text}"));
            [Some(ready), Some(format!("ConfigMap {name}-first {text}")), second].into_iter().flatten()
        })
        .collect();
    wanted.sort();
    eventually("everything to be as declared", 2 * PATIENCE, || {
        let text = scope.kubectl(&["get", "buoys,configmaps", "-o", "json"], "")?.success()?;
        let list: Value = serde_json::from_str(&text)?;
        let mut found: Vec<_> = list["items"].as_array().into_iter().flatten().filter_map(describe).collect();
        found.sort();
        if found == wanted { Ok(Some(())) } else { Err(format!("there is {found:#?}, not {wanted:#?}").into()) }
    })?;
    Ok(())
}

/// Names an object and what it says; of a buoy what its condition says of the present generation.
fn describe(object: &Value) -> Option<String> {
    let (kind, name) = (object["kind"].as_str()?, object["metadata"]["name"].as_str()?);
    let text = match kind {
        "Buoy" => {
            let condition = &object["status"]["conditions"][0];
            let current = condition["observedGeneration"] == object["metadata"]["generation"];
            if current { condition["message"].as_str().unwrap_or("?") } else { "of an old generation" }
        }
        _ if object["metadata"]["ownerReferences"].is_null() => return None,
        _ => object["data"]["text"].as_str().unwrap_or("?"),
    };
    Some(format!("{kind} {name} {text}"))
}
