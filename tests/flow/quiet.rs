//! Children whose form the server changes: none of that is drift.
use std::sync::Arc;

use controlplane::TestScope;
use controlplane::harness;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kubewright::kube::CustomResource;
use kubewright::{Action, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};

use super::operators::{Outcome, Reach, Robot, Running, apply, patch, read, wait_for};

/// One of each kind that the server defaults, normalises or allocates in.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Zoo", namespaced)]
#[operator(owns(Deployment, StatefulSet, Service, CronJob, Ingress, Secret, NetworkPolicy))]
#[operator(owns(HorizontalPodAutoscaler, PersistentVolumeClaim))]
pub(crate) struct ZooSpec {
    greeting: String,
}

const CHILDREN: [&str; 9] = [
    "deployment",
    "statefulset",
    "service",
    "cronjob",
    "ingress",
    "secret",
    "networkpolicy",
    "horizontalpodautoscaler",
    "persistentvolumeclaim",
];

struct Zoos;

impl ZooReconciler for Zoos {
    async fn reconcile(&self, zoo: Arc<Zoo>, cx: ZooContext) -> Result<Action> {
        let greeting = zoo.spec.greeting.as_str();
        cx.apply(from_value::<Deployment>(deployment(greeting))?).await?;
        cx.apply(from_value::<StatefulSet>(stateful_set())?).await?;
        cx.apply(from_value::<Service>(service())?).await?;
        cx.apply(from_value::<CronJob>(cron_job())?).await?;
        cx.apply(from_value::<Ingress>(ingress())?).await?;
        let secret = json!({ "metadata": name(), "stringData": { "greeting": greeting, "empty": "" } });
        cx.apply(from_value::<Secret>(secret)?).await?;
        cx.apply(from_value::<NetworkPolicy>(network_policy())?).await?;
        cx.apply(from_value::<HorizontalPodAutoscaler>(autoscaler())?).await?;
        cx.apply(from_value::<PersistentVolumeClaim>(claim("0.5Gi"))?).await?;
        Ok(Action::await_change())
    }
}

fn name() -> Value {
    json!({ "name": "child" })
}

fn labels() -> Value {
    json!({ "app": "child" })
}

fn pod(greeting: &str) -> Value {
    json!({
        "metadata": { "labels": labels() },
        "spec": {
            "volumes": [
                { "name": "scratch", "emptyDir": { "sizeLimit": "1024Mi" } },
                { "name": "files", "configMap": { "name": "absent", "optional": true } },
            ],
            "containers": [{
                "name": "main",
                "image": "main:1",
                "command": [],
                "env": [
                    { "name": "EMPTY", "value": "" },
                    { "name": "GREETING", "value": greeting },
                    { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
                ],
                "ports": [{ "containerPort": 80 }, { "containerPort": 80, "protocol": "UDP" }],
                "resources": {
                    "requests": { "cpu": "0.5", "memory": "1024Mi" }, "limits": { "cpu": "1000m", "memory": "2048Mi" },
                },
                "readinessProbe": { "httpGet": { "port": 80 } },
                "securityContext": {},
                "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
            }],
            "securityContext": {},
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": { "matchLabels": labels() },
            }],
            "tolerations": [{ "key": "a", "operator": "Exists" }],
        },
    })
}

fn deployment(greeting: &str) -> Value {
    json!({
        "metadata": { "name": "child", "labels": labels(), "annotations": { "a": "" } },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": labels() }, "template": pod(greeting),
            "strategy": { "rollingUpdate": { "maxSurge": "25%" } },
        },
    })
}

fn stateful_set() -> Value {
    json!({
        "metadata": name(),
        "spec": {
            "replicas": 0, "serviceName": "child", "selector": { "matchLabels": labels() }, "template": pod("hello"),
            "volumeClaimTemplates": [claim("1024Mi")],
        },
    })
}

fn claim(size: &str) -> Value {
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } });
    json!({ "metadata": name(), "spec": spec })
}

fn service() -> Value {
    let ports =
        json!([{ "name": "a", "port": 80 }, { "name": "b", "port": 80, "protocol": "UDP", "targetPort": "main" }]);
    json!({ "metadata": name(), "spec": { "type": "NodePort", "selector": labels(), "ports": ports } })
}

fn cron_job() -> Value {
    let mut pod = pod("hello");
    pod["spec"]["restartPolicy"] = "Never".into();
    let spec = json!({ "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": { "spec": { "template": pod } } });
    json!({ "metadata": name(), "spec": spec })
}

fn ingress() -> Value {
    let backend = json!({ "service": { "name": "child", "port": { "number": 80 } } });
    let paths = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
    json!({ "metadata": name(), "spec": { "rules": [{ "host": "a.example", "http": { "paths": paths } }] } })
}

fn network_policy() -> Value {
    let ingress = json!([{ "ports": [{ "port": 80 }], "from": [{ "podSelector": {} }] }]);
    json!({ "metadata": name(), "spec": { "podSelector": {}, "ingress": ingress } })
}

fn autoscaler() -> Value {
    let target = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "child" });
    let resource =
        |name: &str, target: Value| json!({ "type": "Resource", "resource": { "name": name, "target": target } });
    let metrics = json!([
        resource("memory", json!({ "type": "AverageValue", "averageValue": "1024Mi" })),
        resource("cpu", json!({ "type": "Utilization", "averageUtilization": 50 })),
    ]);
    json!({ "metadata": name(), "spec": { "scaleTargetRef": target, "maxReplicas": 3, "metrics": metrics } })
}

/// What changes with every write to a child.
fn versions(scope: &TestScope) -> Outcome<Vec<(String, Value)>> {
    let version = |kind: &&str| {
        let live = read(scope, &format!("{kind}/child"))?.ok_or_else(|| format!("{kind} is missing"))?;
        let mut metadata = live["metadata"].clone();
        if *kind == "horizontalpodautoscaler" {
            // Its controller writes the status now and then.
            metadata["resourceVersion"].take();
            let fields = metadata["managedFields"].as_array_mut().ok_or("no managed fields")?;
            fields.retain(|entry| entry["subresource"] != "status");
        }
        Ok(((*kind).to_owned(), metadata))
    };
    CHILDREN.iter().map(version).collect()
}

pub(crate) fn what_the_server_normalises_is_no_drift(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let cluster = scope.control_plane();
        let operator = || Zoo::operator(async |_| Ok(Zoos));
        let robot = Robot::new(scope, "zoo", &[operator().declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
        let zoo = json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Zoo", "metadata": { "name": "zoo" },
            "spec": { "greeting": "hello" } });
        apply(scope, &[zoo])?;
        wait_for(scope, "deployment/child", "/status/readyReplicas", &json!(1))?;
        let mut seen = running.settled_after(0)?;

        let mark = cluster.audit_mark()?;
        let note = |object: &str, note: u32| {
            patch(scope, object, &json!({ "metadata": { "annotations": { "example.com/note": note.to_string() } } }))
        };
        for round in 0..2 {
            note("zoo/zoo", round)?;
            seen = running.settled_after(seen)?;
        }
        for child in CHILDREN {
            note(&format!("{child}/child"), 7)?;
        }
        seen = running.settled_after(seen)?;
        let writes = robot.writes(cluster, mark)?;
        assert!(writes.is_empty(), "nothing was to be done: {writes:#?}");

        // What is ours is still repaired, and only that.
        patch(scope, "zoo/zoo", &json!({ "spec": { "greeting": "bye" } }))?;
        wait_for(scope, "deployment/child", "/spec/template/spec/containers/0/env/1/value", &json!("bye"))?;
        running.settled_after(seen)?;
        let changed: Vec<_> = robot.writes(cluster, mark)?.into_iter().map(|entry| entry.resource).collect();
        assert_eq!(changed, ["deployments", "secrets"]);
        running.stop().await?;

        let (before, mark) = (versions(scope)?, cluster.audit_mark()?);
        let running = Running::start(&robot, Some(scope.namespace()), operator()).await?;
        running.settled_after(0)?;
        assert!(versions(scope)? == before, "a restart changed an object");
        let writes = robot.writes(cluster, mark)?;
        let mut resources: Vec<_> = writes.iter().map(|entry| &entry.resource).collect();
        resources.sort();
        let all = resources.len();
        resources.dedup();
        assert_eq!(resources.len(), all, "one apply a child at the most: {writes:#?}");
        running.stop().await
    })
}
