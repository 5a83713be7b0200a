//! What relations say beyond their kind, on the real server: several namespaces with a Role each, a kind whose CRD comes
//! later, predicates; and a cache that keeps managedFields.
use std::sync::Arc;

use controlplane::harness::{self, Trial};
use controlplane::{TestScope, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use kubewright::controller::Predicate;
use kubewright::informer::options::InformerOptions;
use kubewright::kube::{CustomResource, CustomResourceExt};
use kubewright::wire::ManagedFields;
use kubewright::{Action, InformerFactory, ObjectKey, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::operators::{Outcome, PATIENCE, Reach, Robot, Running, apply, patch};

/// Nothing but a name.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Lamp", namespaced)]
pub(crate) struct LampSpec {}

/// Concerns what ConfigMaps of two namespaces say, and a Lamp, of which there may be no such thing.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Signal", namespaced)]
#[operator(
    watches(ConfigMap, map = signals, namespace = "signal-east", namespace = "signal-west"),
    watches(Lamp, by = spec.lamp, presence = optional),
    predicate = edited
)]
pub(crate) struct SignalSpec {
    lamp: String,
}

fn signals(map: &ConfigMap) -> Vec<ObjectKey> {
    let data = map.data.iter().flatten();
    let key = |(namespace, name): (&String, &String)| ObjectKey::namespaced(namespace, name);
    data.filter(|_| map.metadata.name.as_deref() == Some("switch")).map(key).collect()
}

fn edited() -> Predicate<Signal> {
    Predicate::generation_changed()
}

struct Signals;

impl SignalReconciler for Signals {
    async fn reconcile(&self, _: Arc<Signal>, _: SignalContext) -> Result<Action> {
        Ok(Action::await_change())
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::shared(
            "relations_of_several_namespaces_and_of_a_kind_that_comes_later_are_seen",
            relations_of_several_namespaces_and_of_a_kind_that_comes_later_are_seen,
        ),
        Trial::shared(
            "managed_fields_are_cached_where_they_were_asked_for",
            managed_fields_are_cached_where_they_were_asked_for,
        ),
    ]
}

fn relations_of_several_namespaces_and_of_a_kind_that_comes_later_are_seen(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        for namespace in ["signal-east", "signal-west"] {
            scope.kubectl(&["create", "namespace", namespace], "")?.success()?;
        }
        let operator = Signal::operator(async |_| Ok(Signals));
        let robot = Robot::new(scope, "signal", &[operator.declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator).await?;
        apply(
            scope,
            &[json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Signal", "metadata": { "name": "s" },
                "spec": { "lamp": "l" } })],
        )?;
        let mut seen = running.settled_after(0)?;
        assert_eq!(seen, 1, "the kind that is not there holds nobody up");
        patch(scope, "signal/s", &json!({ "metadata": { "labels": { "a": "b" } } }))?;
        assert_eq!(running.settled()?, seen, "a label asks for nothing new");
        for namespace in ["signal-east", "signal-west"] {
            apply(scope, &[switch(namespace, scope.namespace())])?;
            let now = running.settled_after(seen)?;
            assert_eq!(now, seen + 1, "{namespace}");
            seen = now;
        }
        apply(scope, &[json!(Lamp::crd())])?;
        let established = ["wait", "--for=condition=Established", "crd/lamps.flow.kubewright.dev", "--timeout=60s"];
        scope.kubectl(&established, "")?.success()?;
        let lamp = |name: &str| json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Lamp", "metadata": { "name": name }, "spec": {} });
        apply(scope, &[lamp("other"), lamp("l")])?;
        assert_eq!(running.settled_after(seen)?, seen + 1, "of two lamps it names one");
        running.stop().await
    })
}

fn switch(namespace: &str, of: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": namespace, "name": "switch" },
        "data": { of: "s" } })
}

fn managed_fields_are_cached_where_they_were_asked_for(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let robot = Robot::reader(scope)?;
        // Whoever sets nothing owns nothing.
        let map = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": "b" } });
        apply(scope, &[map("before")])?;
        let factory = InformerFactory::new(robot.client().await?).in_namespace(scope.namespace());
        let kept = factory.informer_with::<ConfigMap>(InformerOptions::default().managed_fields(ManagedFields::Keep));
        let dropped = factory.informer::<ConfigMap>();
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;
        apply(scope, &[map("after")])?;
        for name in ["before", "after"] {
            let key = ObjectKey::namespaced(scope.namespace(), name);
            let cached =
                |lister: kubewright::Lister<ConfigMap>| eventually("the object", PATIENCE, || Ok(lister.get(&key)?));
            let managers = cached(kept.lister())?.metadata.managed_fields.clone().unwrap_or_default();
            let managers: Vec<_> = managers.iter().filter_map(|entry| entry.manager.as_deref()).collect();
            assert_eq!(managers, ["kubectl"], "{name}");
            assert!(cached(dropped.lister())?.metadata.managed_fields.is_none(), "{name}");
        }
        factory.shutdown().await;
        Ok(())
    })
}
