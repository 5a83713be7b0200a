//! What is compared: everything of the Deployments, ReplicaSets and pods of a namespace that is not chance.
use std::collections::BTreeMap;

use controlplane::ControlPlane;
use serde_json::{Map, Value, json};

use super::pair::Outcome;

/// The state of a namespace: names, uids and times of chance taken out. A ReplicaSet is known by its Deployment and its
/// revision, as `web-r2`, since the built-in controller hashes templates in its own way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) deployments: BTreeMap<String, Value>,
    pub(crate) sets: BTreeMap<String, Value>,
    /// How many pods there are, by their ReplicaSet and whether they are ready.
    pub(crate) pods: BTreeMap<String, usize>,
    /// Events about Deployments: type, reason and message.
    pub(crate) events: Vec<String>,
}

impl State {
    pub(crate) fn read(cluster: &ControlPlane, namespace: &str) -> Outcome<Self> {
        let kinds = "deployments,replicasets,pods,events";
        let text = cluster.kubectl(&["get", kinds, "-n", namespace, "-o", "json"], "")?.success()?;
        let mut all: Value = serde_json::from_str(&without_hashes(text)?)?;
        let mut state =
            Self { deployments: BTreeMap::new(), sets: BTreeMap::new(), pods: BTreeMap::new(), events: Vec::new() };
        for mut item in all["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
            let name = text_at(&item, "/metadata/name");
            match text_at(&item, "/kind").as_str() {
                "Deployment" => {
                    normalise(&mut item);
                    state.deployments.insert(name, item);
                }
                "ReplicaSet" => {
                    let observed = item["status"]["observedGeneration"] == item["metadata"]["generation"];
                    normalise(&mut item);
                    // It counts writes, which depend on timing.
                    remove(&mut item["metadata"], &["generation"]);
                    item["status"]["observedGeneration"] = json!(observed);
                    state.sets.insert(name, item);
                }
                "Pod" => {
                    let owner = text_at(&item, "/metadata/ownerReferences/0/name");
                    let ready = item["status"]["conditions"].as_array().into_iter().flatten();
                    let ready = ready.filter(|condition| condition["type"] == "Ready").any(|it| it["status"] == "True");
                    let ready = if ready { "ready" } else { "unready" };
                    *state.pods.entry(format!("{owner} {ready}")).or_default() += 1;
                }
                _ if item["involvedObject"]["kind"] == "Deployment" => {
                    let part = |path: &str| text_at(&item, path);
                    state.events.push(format!("{} {} {}", part("/type"), part("/reason"), part("/message")));
                }
                _ => {}
            }
        }
        state.events.sort();
        state.events.dedup();
        Ok(state)
    }

    /// Says whether a Deployment has this many pods, all of its newest template and available, and the rollout is over.
    pub(crate) fn has_arrived(&self, name: &str, replicas: i64) -> bool {
        let counts = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"];
        let status = self.status(name);
        let arrived = counts.iter().all(|count| status[count].as_i64().unwrap_or(0) == replicas);
        arrived
            && status["unavailableReplicas"].is_null()
            && self.is_observed(name)
            && self.reason(name, "Progressing") == "NewReplicaSetAvailable"
    }

    /// Says whether the controller has seen the Deployment as it is.
    pub(crate) fn is_observed(&self, name: &str) -> bool {
        let deployment = self.deployments.get(name).unwrap_or(&Value::Null);
        deployment["metadata"]["generation"] == deployment["status"]["observedGeneration"] && !deployment.is_null()
    }

    pub(crate) fn status(&self, name: &str) -> &Value {
        self.deployments.get(name).map_or(&Value::Null, |deployment| &deployment["status"])
    }

    /// Returns the reason of a condition, or nothing.
    pub(crate) fn reason(&self, name: &str, condition: &str) -> &str {
        let conditions = self.status(name)["conditions"].as_array();
        let found = conditions.into_iter().flatten().find(|it| it["type"] == condition);
        found.and_then(|it| it["reason"].as_str()).unwrap_or_default()
    }

    /// Returns how many pods each ReplicaSet should have.
    pub(crate) fn sizes(&self) -> BTreeMap<&str, i64> {
        self.sets.iter().map(|(name, set)| (name.as_str(), set["spec"]["replicas"].as_i64().unwrap_or(-1))).collect()
    }
}

/// Puts revisions in the place of hashes, everywhere.
fn without_hashes(mut text: String) -> Outcome<String> {
    let all: Value = serde_json::from_str(&text)?;
    for set in all["items"].as_array().into_iter().flatten().filter(|item| item["kind"] == "ReplicaSet") {
        let hash = text_at(set, "/metadata/labels/pod-template-hash");
        let revision = text_at(set, "/metadata/annotations/deployment.kubernetes.io~1revision");
        if !hash.is_empty() && !revision.is_empty() {
            text = text.replace(&hash, &format!("r{revision}"));
        }
    }
    Ok(text)
}

fn normalise(object: &mut Value) {
    let chance = ["uid", "resourceVersion", "creationTimestamp", "managedFields"];
    remove(&mut object["metadata"], &chance);
    for owner in object["metadata"]["ownerReferences"].as_array_mut().into_iter().flatten() {
        remove(owner, &["uid"]);
    }
    let conditions = object["status"]["conditions"].as_array_mut();
    if let Some(conditions) = conditions {
        conditions.sort_by_key(|condition| text_at(condition, "/type"));
        for condition in conditions {
            remove(condition, &["lastUpdateTime", "lastTransitionTime"]);
            // The built-in controller writes its conditions in several steps, and which of them it skips after a conflict
            // decides which ReplicaSet the message names in the end.
            if condition["type"] == "Progressing" {
                remove(condition, &["message"]);
            }
            // The pod that could not be made has a name of chance.
            let message = text_at(condition, "/message");
            if let Some((before, (_, after))) =
                message.split_once("pods \"").and_then(|(before, rest)| Some((before, rest.split_once('"')?)))
            {
                condition["message"] = json!(format!("{before}pods{after}"));
            }
        }
    }
    // Indexing has put a null where there is none.
    if object["metadata"]["ownerReferences"].is_null() {
        remove(&mut object["metadata"], &["ownerReferences"]);
    }
    if object["status"]["conditions"].is_null() {
        remove(&mut object["status"], &["conditions"]);
    }
}

fn remove(object: &mut Value, names: &[&str]) {
    let fields = object.as_object_mut().map(|fields| fields as &mut Map<String, Value>);
    if let Some(fields) = fields {
        names.iter().for_each(|name| drop(fields.remove(*name)));
    }
}

fn text_at(value: &Value, path: &str) -> String {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}
