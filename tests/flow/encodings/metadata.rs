//! Metadata alone, in protobuf and in JSON side by side: of a built-in kind, of one that this library knows no fields of, and
//! of a custom resource.
use std::time::Duration;

use controlplane::{TestScope, eventually, harness};
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResource;
use kubewright::declare::Primary;
use kubewright::reflector::{
    ApiListerWatcher, Encoding, FirstSync, InitialEvents, ListerWatcher, Target, WatchOptions,
};
use kubewright::resource::{ResourceType, ResourceVersion};
use kubewright::wire::ManagedFields;
use kubewright::{Client, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::objects::pod;
use super::{Pair, View};
use crate::operators::{Outcome, PATIENCE, Reach, Robot, administrator, apply};

/// A kind with more than metadata.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Sprout", namespaced)]
#[operator(name = "sprout")]
pub(crate) struct SproutSpec {
    secret: String,
}

fn sprout(name: &str) -> Value {
    let text = "<&> \"quoted\" \\ \n \u{1f331}";
    json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Sprout", "metadata": {
            "name": name, "labels": { "a": "b" }, "annotations": { "text": text, "empty": "" },
            "finalizers": if name == "late" { json!(["flow.kubewright.dev/later"]) } else { json!([]) },
        }, "spec": { "secret": "hunter2" } })
}

pub(crate) fn metadata_alone_is_the_same_in_protobuf_and_in_json_of_custom_resources_too(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        // An account of its own is not needed, but the CRD is.
        Robot::new(scope, "sprout", &[Sprout::declaration().erase()], Reach::Namespace)?;
        let client = administrator(scope).await?;
        apply(scope, &[sprout("before"), sprout("still"), pod("before"), pod("still")])?;
        let crds = ResourceType::of::<CustomResourceDefinition>();
        let resources = [ResourceType::of::<Pod>(), ResourceType::of::<Sprout>(), crds.clone()];
        let mut tasks = JoinSet::new();
        let pairs = synced_pairs(&mut tasks, &client, scope, &resources)?;

        apply(scope, &[sprout("late"), pod("late")])?;
        scope.kubectl(&["label", "pods,sprouts", "--all", "changed=yes"], "")?.success()?;
        scope.kubectl(&["delete", "pod/before", "sprout/before", "--now"], "")?.success()?;
        // It stays until its finalizer goes.
        scope.kubectl(&["delete", "sprout/late", "--wait=false"], "")?.success()?;
        let key = |name: &str| format!("{}/{name}", scope.namespace());
        for pair in &pairs {
            if pair.resource != crds {
                for (seen, _) in [&pair.protobuf, &pair.json] {
                    eventually("the later changes", PATIENCE, || {
                        let (still, late) = (seen.get(&key("still")), seen.get(&key("late")));
                        let changed = |object: Option<Value>| {
                            object.is_some_and(|object| object["metadata"]["labels"]["changed"] == "yes")
                        };
                        Ok((seen.get(&key("before")).is_none() && changed(still) && changed(late)).then_some(()))
                    })?;
                }
            }
            eventually(&format!("both to see the same {}", pair.resource), PATIENCE, || {
                Ok(pair.is_same().then_some(()))
            })?;
            assert_eq!(pair.encoding(), Some(Encoding::Protobuf), "{} came in protobuf", pair.resource);
            for object in pair.protobuf.0.0.lock().unwrap().0.values() {
                assert_eq!((&object["kind"], object.get("spec")), (&"PartialObjectMetadata".into(), None), "{object}");
            }
        }
        let name = format!("sprouts.{}", ResourceType::of::<Sprout>().group);
        assert!(pairs.iter().any(|pair| pair.protobuf.0.get(&name).is_some()), "{name} was seen");
        let late = pairs.iter().filter_map(|pair| pair.protobuf.0.get(&key("late")));
        assert!(late.clone().any(|late| late["metadata"]["deletionTimestamp"].is_string()), "one is on its way out");
        assert!(late.clone().any(|late| late["metadata"]["managedFields"].is_array()), "and says who owns its fields");

        scope
            .kubectl(&["patch", "sprout/late", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#], "")?
            .success()?;
        for pair in pairs.iter().filter(|pair| pair.resource.kind == "Sprout") {
            eventually("the last of them to go", PATIENCE, || {
                Ok((pair.protobuf.0.get(&key("late")).is_none() && pair.is_same()).then_some(()))
            })?;
        }
        an_expired_version_is_told_alike(&client, scope).await
    })
}

/// Reads the metadata of each in every way, and waits until all of it is there.
fn synced_pairs(
    tasks: &mut JoinSet<()>,
    client: &Client,
    scope: &TestScope,
    resources: &[ResourceType],
) -> Outcome<Vec<Pair>> {
    let mut pairs = Vec::new();
    for resource in resources {
        for first_sync in [FirstSync::WatchList, FirstSync::List] {
            for managed_fields in [ManagedFields::Keep, ManagedFields::Drop] {
                let place = (resource, scope.namespace());
                pairs.push(Pair::start(tasks, client, place, View::Metadata, first_sync, managed_fields));
            }
        }
    }
    for pair in &pairs {
        pair.synced()?;
    }
    Ok(pairs)
}

/// What the server remembers of the kind begins with its CRD.
async fn an_expired_version_is_told_alike(client: &Client, scope: &TestScope) -> Outcome {
    let target = Target {
        resource: ResourceType::of::<Sprout>(),
        namespace: Some(scope.namespace().to_owned()),
        labels: None,
        fields: None,
        metadata_only: true,
        managed_fields: ManagedFields::Drop,
    };
    let options = WatchOptions {
        resource_version: ResourceVersion::new("1"),
        initial_events: InitialEvents::Skip,
        timeout: Duration::from_secs(60),
    };
    let mut told = Vec::new();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let source = ApiListerWatcher::new(client.clone(), target.clone()).with_encoding(encoding);
        let mut body = source.watch(options.clone()).await?;
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.extend_from_slice(&body.next().await.ok_or("the watch says nothing")??);
        }
        assert_eq!(source.encoding(), Some(encoding));
        let event: Value = serde_json::from_slice(&line)?;
        assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)), "{event}");
        told.push(event);
    }
    assert_eq!(told[0], told[1]);
    Ok(())
}
