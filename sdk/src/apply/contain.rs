//! Whether a live object already holds a desired form: the proof a restarted operator has, before any answer of its own.
use serde_json::Value;

/// A list that server-side apply merges by key, with the fields of the key: what a foreign writer adds to it is not
/// ours.
type MergedList = (&'static str, &'static [&'static str]);

/// From the `x-kubernetes-list-map-keys` of pods, their templates, and services. A list that is missing here costs one
/// apply after a restart, which changes nothing; one that is here and atomic at the server would hide an edit.
const POD_AND_SERVICE: [MergedList; 14] = [
    ("containers", &["name"]),
    ("env", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ports", &["containerPort", "protocol"]),
    ("ports", &["port", "protocol"]),
    ("resourceClaims", &["name"]),
    ("schedulingGates", &["name"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// Its `imagePullSecrets` are atomic, unlike those of a pod.
const SERVICE_ACCOUNT: [MergedList; 1] = [("secrets", &["name"])];

const WEBHOOK_CONFIGURATION: [MergedList; 1] = [("webhooks", &["name"])];

/// Of every kind.
const METADATA: [MergedList; 1] = [("ownerReferences", &["uid"])];

/// A set of `metadata`: its members merge one by one.
const FINALIZERS: &str = "finalizers";

/// Says whether `live` holds every field of `desired`. Never true by mistake: where the meaning of a list is not known,
/// the lists must be equal. A list of a custom resource means what its CRD says, which is not known here.
pub(crate) fn contains(live: &Value, desired: &Value) -> bool {
    let Some(fields) = desired.as_object() else { return live == desired };
    let lists = merged_lists(desired);
    fields.iter().all(|(name, desired)| match (name.as_str(), live.get(name)) {
        // What they are was decided by what was asked for; items of typed lists do not say it again.
        ("apiVersion" | "kind", _) => true,
        ("metadata", Some(live)) => holds(live, desired, &METADATA, name),
        (_, Some(live)) => holds(live, desired, lists, name),
        (_, None) => false,
    })
}

fn merged_lists(desired: &Value) -> &'static [MergedList] {
    let text = |name: &str| desired.get(name).and_then(Value::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    match (group, text("kind")) {
        ("", "ServiceAccount") => &SERVICE_ACCOUNT,
        ("" | "apps" | "batch", _) => &POD_AND_SERVICE,
        ("admissionregistration.k8s.io", _) => &WEBHOOK_CONFIGURATION,
        _ => &[],
    }
}

fn holds(live: &Value, desired: &Value, lists: &[MergedList], name: &str) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            desired.iter().all(|(name, desired)| live.get(name).is_some_and(|live| holds(live, desired, lists, name)))
        }
        (Value::Array(live), Value::Array(desired)) => live == desired || merged(live, desired, lists, name),
        _ => live == desired,
    }
}

fn merged(live: &[Value], desired: &[Value], lists: &[MergedList], name: &str) -> bool {
    if name == FINALIZERS && lists == METADATA {
        return desired.iter().all(|member| live.contains(member));
    }
    let mut keys = lists.iter().filter(|(list, _)| *list == name).map(|(_, keys)| *keys);
    // The first field of a key has no default, so it says which of two lists of one name this is.
    let Some(keys) = keys.find(|keys| desired.iter().all(|item| item.get(keys[0]).is_some())) else { return false };
    let protocol = Value::from("TCP");
    let key_field = |item, key: &str| Value::get(item, key).or((key == "protocol").then_some(&protocol));
    desired.iter().all(|desired| {
        live.iter()
            .find(|live| keys.iter().all(|key| key_field(live, key) == key_field(desired, key)))
            .is_some_and(|live| holds(live, desired, lists, ""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_live_object_contains_what_was_desired() {
        let check = |name: &str, live: Value, desired: Value, expected: bool| {
            assert_eq!(contains(&live, &desired), expected, "{name}");
        };
        check("equal", json!({"a": 1}), json!({"a": 1}), true);
        check("defaulted field", json!({"a": 1, "b": 2}), json!({"a": 1}), true);
        check("missing field", json!({"b": 2}), json!({"a": 1}), false);
        check("edited", json!({"a": 2}), json!({"a": 1}), false);
        check("normalised quantity", json!({"cpu": "1"}), json!({"cpu": "1000m"}), false);
        check("atomic list", json!({"args": ["a"]}), json!({"args": ["a"]}), true);
        check("atomic list grown", json!({"args": ["a", "b"]}), json!({"args": ["a"]}), false);
        check("emptied list", json!({"args": []}), json!({"args": ["a"]}), false);
        let web = json!({"containers": [{"name": "web", "image": "a"}]});
        let mesh = json!({"containers": [{"name": "mesh"}, {"name": "web", "image": "a", "pull": "x"}]});
        check("sidecar", mesh.clone(), web.clone(), true);
        check("container gone", json!({"containers": [{"name": "mesh"}]}), web, false);
        check("removed sidecar of ours", json!({"containers": [{"name": "web", "image": "a"}]}), mesh, false);
        let udp = json!({"ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]});
        check("protocol is part of the key", udp.clone(), json!({"ports": [{"port": 53, "protocol": "UDP"}]}), true);
        check("protocol defaults", udp.clone(), json!({"ports": [{"port": 53}]}), true);
        check("other port", udp, json!({"ports": [{"port": 54}]}), false);
        let named = json!({"ports": [{"containerPort": 80, "protocol": "TCP"}]});
        check("container port", named.clone(), json!({"ports": [{"containerPort": 80}]}), true);
        check("container port gone", named, json!({"ports": [{"containerPort": 81}]}), false);
        let finalizers = |names: Value| json!({"metadata": {"finalizers": names}});
        check("set", finalizers(json!(["b", "a"])), finalizers(json!(["a"])), true);
        check("set member gone", finalizers(json!(["b"])), finalizers(json!(["a"])), false);
        check("type changed", json!({"a": [1]}), json!({"a": {"b": 1}}), false);
    }

    #[test]
    fn an_atomic_list_that_grew_is_drift_whatever_its_name() {
        let check = |api_version: &str, kind: &str, list: &str, item: Value, foreign: Value, expected: bool| {
            let object = |items: Value| json!({"apiVersion": api_version, "kind": kind, "spec": {list: items}});
            let grown = object(json!([item.clone(), foreign]));
            assert_eq!(contains(&grown, &object(json!([item]))), expected, "{kind} {list}");
        };
        let (web, mesh) = (json!({"name": "web"}), json!({"name": "mesh"}));
        check("v1", "Pod", "containers", web.clone(), mesh.clone(), true);
        check("argoproj.io/v1", "Rollout", "containers", web.clone(), mesh.clone(), false);
        check("v1", "ServiceAccount", "imagePullSecrets", web.clone(), mesh.clone(), false);
        check("v1", "ServiceAccount", "secrets", web, mesh, true);
        check("discovery.k8s.io/v1", "EndpointSlice", "ports", json!({"port": 80}), json!({"port": 22}), false);
        check("v1", "Service", "ports", json!({"port": 80}), json!({"port": 22}), true);
        check("v1", "Namespace", "finalizers", json!("kubernetes"), json!("other"), false);
    }

    #[test]
    fn an_item_of_a_typed_list_does_not_repeat_its_type() {
        let desired = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        assert!(contains(&json!({"data": {"a": "b"}}), &desired));
        assert!(!contains(&json!({"data": {"a": "c"}}), &desired));
    }
}
