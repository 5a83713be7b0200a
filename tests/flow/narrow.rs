//! Relations narrowed by labels, fields, namespace and to metadata, and children that come and go.
use std::sync::Arc;

use controlplane::harness;
use controlplane::{AuditEntry, TestScope};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kubewright::declare::Narrow;
use kubewright::kube::api::{Patch, PatchParams};
use kubewright::kube::{Api, CustomResource};
use kubewright::{Action, InformerFactory, ObjectKey, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};

use super::operators::{Outcome, Reach, Robot, Running, administrator, apply, patch, wait_for, wait_gone};

/// Children of one kind in two parts, a secret that is never read, and three kinds of things it names.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Parcel", namespaced)]
#[operator(owns(front = ConfigMap, labels = "tier=front"), owns(back = ConfigMap, labels = "tier=back"))]
#[operator(owns(Secret, metadata), watches(keys = Secret, fields = "type=example.com/key", metadata, by = spec.key))]
#[operator(watches(shared = ConfigMap, namespace = "kube-public", by = spec.shared))]
pub(crate) struct ParcelSpec {
    back: bool,
    key: String,
    shared: String,
}

struct Parcels;

impl ParcelReconciler for Parcels {
    async fn reconcile(&self, parcel: Arc<Parcel>, cx: ParcelContext) -> Result<Action> {
        let shared = ObjectKey::namespaced("kube-public", &parcel.spec.shared);
        let shared = cx.shared().lister().get(&shared)?.and_then(|map| map.data.clone()).unwrap_or_default();
        let key = cx.keys().get(&parcel.spec.key);
        let rotation: Option<String> =
            key.and_then(|key| key.metadata.labels.clone()).and_then(|mut labels| labels.remove("rotation"));
        let (shared, rotation) = (shared.get("a").cloned().unwrap_or_default(), rotation.unwrap_or_default());
        let part = |name: &str, tier: &str| {
            let metadata = json!({ "name": format!("{}-{name}", cx.key().name()), "labels": { "tier": tier } });
            let data = json!({ "shared": shared, "rotation": rotation });
            from_value::<ConfigMap>(json!({ "metadata": metadata, "data": data }))
        };
        cx.apply(part("front", "front")?).await?;
        if parcel.spec.back {
            cx.apply(part("back", "back")?).await?;
        } else {
            cx.delete::<ConfigMap>(&format!("{}-back", cx.key().name())).await?;
        }
        let secret =
            json!({ "metadata": { "name": format!("{}-seal", cx.key().name()) }, "stringData": { "seal": "wax" } });
        cx.apply(from_value::<Secret>(secret)?).await?;
        Ok(Action::await_change())
    }
}

fn parcel(shared: &str, back: bool) -> Value {
    json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Parcel", "metadata": { "name": "p" },
        "spec": { "back": back, "key": "key", "shared": shared } })
}

fn key(rotation: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "type": "example.com/key",
        "metadata": { "name": "key", "labels": { "rotation": rotation } }, "stringData": { "password": "hunter2" } })
}

fn note(note: &str) -> Value {
    json!({ "metadata": { "annotations": { "example.com/note": note } } })
}

pub(crate) fn narrowed_relations_are_seen_repaired_and_quiet(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let cluster = scope.control_plane();
        let operator = || Parcel::operator(async |_| Ok(Parcels));
        let robot = Robot::new(scope, "parcels", &[operator().declared().clone()], Reach::Namespace)?;
        let shared = format!("shared-{}", scope.id());
        let shared_map = |text: &str| {
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": text },
                "metadata": { "name": shared, "namespace": "kube-public" } })
        };
        let mark = cluster.audit_mark()?;
        let client = robot.client().await?;
        let factory = InformerFactory::new(client.clone()).in_namespace(scope.namespace());
        // The operator's own caches, read as what they would be if they held whole secrets.
        let (seals, keys) = (Narrow::default().metadata(), Narrow::default().fields("type=example.com/key").metadata());
        let secrets = [factory.narrowed::<Secret>(&seals).lister(), factory.narrowed::<Secret>(&keys).lister()];
        let running = Running::with(client, factory, operator()).await?;
        apply(scope, &[parcel(&shared, true), key("1")])?;
        apply(scope, &[shared_map("one")])?;
        for child in ["configmap/p-front", "configmap/p-back"] {
            wait_for(scope, child, "/data/shared", &json!("one"))?;
            wait_for(scope, child, "/data/rotation", &json!("1"))?;
        }
        // What another namespace or the metadata of a secret says reaches every part.
        apply(scope, &[shared_map("two")])?;
        apply(scope, &[key("2")])?;
        for child in ["configmap/p-front", "configmap/p-back"] {
            wait_for(scope, child, "/data/shared", &json!("two"))?;
            wait_for(scope, child, "/data/rotation", &json!("2"))?;
        }
        let seen = running.settled()?;
        for (lister, name) in secrets.iter().zip(["p-seal", "key"]) {
            let cached = lister.get(&ObjectKey::namespaced(scope.namespace(), name))?.ok_or("it is cached")?;
            assert_eq!((&cached.data, &cached.type_), (&None, &None), "{name}");
        }

        let quiet = cluster.audit_mark()?;
        patch(scope, "parcel/p", &note("seen"))?;
        let seen = running.settled_after(seen)?;
        for child in ["configmap/p-front", "configmap/p-back"] {
            patch(scope, child, &note("seen"))?;
        }
        running.settled_after(seen)?;
        let writes = robot.writes(cluster, quiet)?;
        assert!(writes.is_empty(), "nothing was to be done: {writes:#?}");

        for child in ["configmap/p-front", "configmap/p-back"] {
            patch(scope, child, &json!({ "data": { "shared": "edited" } }))?;
            wait_for(scope, child, "/data/shared", &json!("two"))?;
            scope.kubectl(&["delete", child], "")?.success()?;
            wait_for(scope, child, "/data/shared", &json!("two"))?;
        }
        patch(scope, "secret/p-seal", &json!({ "stringData": { "seal": "broken" } }))?;
        wait_for(scope, "secret/p-seal", "/data/seal", &json!("d2F4"))?;
        patch(scope, "parcel/p", &json!({ "spec": { "back": false } }))?;
        wait_gone(scope, "configmap/p-back")?;

        watched_once_a_part(scope, &robot.requests(cluster, mark)?);
        cluster.kubectl(&["delete", "configmap", &shared, "-n", "kube-public"], "")?.success()?;
        running.stop().await
    })
}

/// One watch for each part, and each as narrow as declared.
fn watched_once_a_part(scope: &TestScope, requests: &[AuditEntry]) {
    // While the server still prepares the storage of a new kind, it refuses its watches with 429, and is asked again.
    let accepted = |entry: &&AuditEntry| entry.verb == "watch" && entry.code != 429;
    let watches: Vec<_> = requests.iter().filter(accepted).collect();
    let here = watches.iter().filter(|entry| entry.namespace == scope.namespace()).count();
    let narrowed = watches.iter().filter(|entry| entry.uri.contains("Selector=")).count();
    assert_eq!((watches.len(), here, narrowed), (6, 5, 3), "{watches:#?}");
    assert!(requests.iter().all(|entry| entry.code != 403), "{requests:#?}");
}

/// How often the child is wished for and not.
const CHANGES: usize = 30;

pub(crate) fn a_child_that_comes_and_goes_ends_as_last_declared(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let operator = Parcel::operator(async |_| Ok(Parcels));
        let robot = Robot::new(scope, "fickle", &[operator.declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator).await?;
        apply(scope, &[parcel("none", false)])?;
        wait_for(scope, "secret/p-seal", "/data/seal", &json!("d2F4"))?;
        let parcels = Api::<Parcel>::namespaced(administrator(scope).await?.kube(), scope.namespace());
        for last in [true, false, true] {
            for change in 0..CHANGES {
                let patch = Patch::Merge(json!({ "spec": { "back": change % 2 == 0 } }));
                parcels.patch("p", &PatchParams::default(), &patch).await?;
            }
            patch(scope, "parcel/p", &json!({ "spec": { "back": last } }))?;
            running.settled()?;
            if last {
                wait_for(scope, "configmap/p-back", "/metadata/labels/tier", &json!("back"))?;
            } else {
                wait_gone(scope, "configmap/p-back")?;
            }
        }

        // One that others hold back is made anew once they let go.
        patch(scope, "configmap/p-back", &json!({ "metadata": { "finalizers": ["example.com/theirs"] } }))?;
        let held = wait_for(scope, "configmap/p-back", "/metadata/finalizers", &json!(["example.com/theirs"]))?;
        scope.kubectl(&["delete", "configmap/p-back", "--wait=false"], "")?.success()?;
        running.settled()?;
        patch(scope, "configmap/p-back", &json!({ "metadata": { "finalizers": null } }))?;
        let back = wait_for(scope, "configmap/p-back", "/metadata/deletionTimestamp", &Value::Null)?;
        assert_ne!(back["metadata"]["uid"], held["metadata"]["uid"]);
        running.stop().await
    })
}
