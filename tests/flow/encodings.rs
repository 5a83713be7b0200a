//! Every built-in kind that a real API server serves, read in protobuf and in JSON side by side: the objects are the same.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use controlplane::harness::{self, Trial};
use controlplane::{TestScope, eventually};
use kubewright::Client;
use kubewright::reflector::{
    ApiListerWatcher, Closed, Delta, DeltaSink, Encoding, FirstSync, Reflector, ReflectorStatus, Target,
};
use kubewright::resource::{ResourceType, Scope};
use kubewright::wire::{ManagedFields, RawObject};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::operators::{Outcome, PATIENCE, administrator, apply};

mod metadata;
mod objects;

use objects::{objects, pod};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::shared("every_kind_is_the_same_in_protobuf_and_in_json", every_kind_is_the_same_in_protobuf_and_in_json),
        Trial::shared(
            "metadata_alone_is_the_same_in_protobuf_and_in_json_of_custom_resources_too",
            metadata::metadata_alone_is_the_same_in_protobuf_and_in_json_of_custom_resources_too,
        ),
    ]
}

/// Objects as they came, by key, and whether a whole list came.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(BTreeMap<String, Value>, bool)>>);

impl DeltaSink for Seen {
    async fn push(&self, delta: Delta) -> Result<(), Closed> {
        let mut seen = self.0.lock().unwrap();
        match delta {
            Delta::Listed(object) | Delta::Applied(object) => {
                seen.0.insert(object.key().to_string(), value(&object));
            }
            Delta::Deleted(object) => drop(seen.0.remove(object.key().as_str())),
            Delta::Replaced(_) => seen.1 = true,
            Delta::ListStarted | Delta::Bookmark(_) => {}
        }
        Ok(())
    }
}

impl Seen {
    fn get(&self, key: &str) -> Option<Value> {
        self.0.lock().unwrap().0.get(key).cloned()
    }
}

/// How much of each object is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Whole,
    Metadata,
}

/// One kind, read in both.
struct Pair {
    resource: ResourceType,
    protobuf: (Seen, watch::Receiver<ReflectorStatus>),
    json: (Seen, watch::Receiver<ReflectorStatus>),
}

impl Pair {
    fn start(
        tasks: &mut JoinSet<()>,
        client: &Client,
        (resource, namespace): (&ResourceType, &str),
        view: View,
        first_sync: FirstSync,
        managed_fields: ManagedFields,
    ) -> Self {
        let target = Target {
            resource: resource.clone(),
            // What other trials do in theirs is no concern of this one.
            namespace: (resource.scope == Scope::Namespaced).then(|| namespace.to_owned()),
            labels: None,
            fields: None,
            metadata_only: view == View::Metadata,
            managed_fields,
        };
        let mut read = |encoding| {
            let source = ApiListerWatcher::new(client.clone(), target.clone());
            let source = source.with_first_sync(first_sync).with_encoding(encoding);
            let seen = Seen::default();
            let (reflector, status) = Reflector::new(target.clone(), source, seen.clone());
            tasks.spawn(reflector.run());
            (seen, status)
        };
        let (protobuf, json) = (read(Encoding::Protobuf), read(Encoding::Json));
        Self { resource: resource.clone(), protobuf, json }
    }

    fn synced(&self) -> Outcome {
        for (seen, status) in [&self.protobuf, &self.json] {
            eventually(&format!("a whole list of {}", self.resource), PATIENCE, || {
                if seen.0.lock().unwrap().1 {
                    Ok(Some(()))
                } else {
                    Err(format!("{:?}", status.borrow().failure).into())
                }
            })?;
        }
        Ok(())
    }

    /// Compares what both have seen at the same version, and says whether that is everything.
    fn is_same(&self) -> bool {
        let (protobuf, json) = (self.protobuf.0.0.lock().unwrap(), self.json.0.0.lock().unwrap());
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let mut same = 0;
        for (key, theirs) in &json.0 {
            let Some(ours) = protobuf.0.get(key).filter(|ours| version(ours) == version(theirs)) else { continue };
            let difference = difference(ours, theirs);
            assert!(difference.is_none(), "{} {key}: {difference:?}", self.resource);
            same += 1;
        }
        (same, same) == (protobuf.0.len(), json.0.len())
    }

    /// Returns what answers of the first came in, after a look at both for anything that went wrong.
    fn encoding(&self) -> Option<Encoding> {
        let statuses = [&self.protobuf, &self.json].map(|(_, status)| status.borrow().clone());
        for status in &statuses {
            let wrong = (status.skipped, status.counts.failures, status.failure.as_ref());
            assert!(matches!(wrong, (0, 0, None)), "{}: {status:?}", self.resource);
        }
        assert_eq!(statuses[1].encoding, Some(Encoding::Json), "{}", self.resource);
        statuses[0].encoding
    }
}

/// Returns an object as it came.
pub(crate) fn value(object: &RawObject) -> Value {
    serde_json::from_slice(object.json()).expect("an object is JSON")
}

/// Returns the first place where two values differ, and what stands there in both: of large ones the whole helps nobody.
pub(crate) fn difference(ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            // Each name once: of what nests deeply, looking twice at each level takes for ever.
            let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
            names.into_iter().find_map(|name| {
                let inner = match (ours.get(name), theirs.get(name)) {
                    (Some(ours), Some(theirs)) => difference(ours, theirs)?,
                    (ours, theirs) => format!(": {ours:?}, not {theirs:?}"),
                };
                Some(format!(".{name}{inner}"))
            })
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let mut pairs = ours.iter().zip(theirs).enumerate();
            pairs.find_map(|(at, (ours, theirs))| Some(format!("[{at}]{}", difference(ours, theirs)?)))
        }
        _ => (ours != theirs).then(|| format!(": {ours}, not {theirs}")),
    }
}

/// Returns every kind that comes with the API server and can be listed and watched, in every version.
async fn served(client: &Client) -> Outcome<Vec<ResourceType>> {
    let kube = client.kube();
    let mut lists = vec![kube.list_core_api_resources("v1").await?];
    for group in kube.list_api_groups().await?.groups {
        // Other trials add kinds of their own, and take them away again.
        if group.name.contains('.') && !group.name.ends_with(".k8s.io") {
            continue;
        }
        for version in &group.versions {
            lists.push(kube.list_api_group_resources(&version.group_version).await?);
        }
    }
    let mut resources = Vec::new();
    for list in lists {
        let (group, version) = list.group_version.split_once('/').unwrap_or(("", &list.group_version));
        for resource in &list.resources {
            if !["list", "watch"].iter().all(|verb| resource.verbs.iter().any(|known| known == verb)) {
                continue;
            }
            resources.push(ResourceType {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: resource.kind.clone(),
                plural: resource.name.clone(),
                scope: if resource.namespaced { Scope::Namespaced } else { Scope::Cluster },
            });
        }
    }
    Ok(resources)
}

fn every_kind_is_the_same_in_protobuf_and_in_json(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let client = administrator(scope).await?;
        apply(scope, &objects(scope))?;
        apply(scope, &[pod("before")])?;
        let resources = served(&client).await?;
        let mut tasks = JoinSet::new();
        let mut pairs = Vec::new();
        for resource in &resources {
            let place = (resource, scope.namespace());
            let ways = [(FirstSync::WatchList, ManagedFields::Keep), (FirstSync::List, ManagedFields::Drop)];
            for (first_sync, managed_fields) in ways {
                pairs.push(Pair::start(&mut tasks, &client, place, View::Whole, first_sync, managed_fields));
            }
        }
        for pair in &pairs {
            pair.synced()?;
        }

        // Events: of everything in the namespace, of something new, and of something deleted.
        apply(scope, &[pod("after")])?;
        let namespaced = "pods,services,configmaps,secrets,deployments,statefulsets,jobs,ingresses,roles,leases";
        scope.kubectl(&["label", namespaced, "--all", "changed=yes"], "")?.success()?;
        scope.kubectl(&["delete", "pod/before", "--now"], "")?.success()?;
        let key = |name: &str| format!("{}/{name}", scope.namespace());
        for pair in pairs.iter().filter(|pair| pair.resource.plural == "pods") {
            for (seen, _) in [&pair.protobuf, &pair.json] {
                eventually("the later changes", PATIENCE, || {
                    let (before, after) = (seen.get(&key("before")), seen.get(&key("after")));
                    let labelled = after.is_some_and(|pod| pod["metadata"]["labels"]["changed"] == "yes");
                    Ok((before.is_none() && labelled).then_some(()))
                })?;
            }
        }
        let (mut in_protobuf, mut in_json) = (BTreeSet::new(), BTreeSet::new());
        for pair in &pairs {
            eventually(&format!("both to see the same {}", pair.resource), PATIENCE, || {
                Ok(pair.is_same().then_some(()))
            })?;
            let list = if pair.encoding() == Some(Encoding::Protobuf) { &mut in_protobuf } else { &mut in_json };
            list.insert(pair.resource.to_string());
        }
        println!("{} kinds came in protobuf; in JSON, for want of a schema: {in_json:?}", in_protobuf.len());
        for made in objects(scope).iter().chain([&pod("after")]) {
            let (version, kind) = (made["apiVersion"].as_str().unwrap_or_default(), made["kind"].as_str());
            let of = |pair: &&Pair| pair.resource.api_version() == version && Some(&*pair.resource.kind) == kind;
            let found: Vec<_> = pairs.iter().filter(of).collect();
            assert_eq!(found.len(), 2, "{made} is compared");
            for pair in found {
                let namespace = match pair.resource.scope {
                    Scope::Namespaced => format!("{}/", scope.namespace()),
                    Scope::Cluster => String::new(),
                };
                let key = format!("{namespace}{}", made["metadata"]["name"].as_str().unwrap_or_default());
                assert!(pair.protobuf.0.get(&key).is_some() && pair.json.0.get(&key).is_some(), "{key} was seen");
                assert_eq!(pair.encoding(), Some(Encoding::Protobuf), "{} came in protobuf", pair.resource);
            }
        }
        Ok(())
    })
}
