//! Whether a live object already holds a desired form: the proof a restarted operator has, before any answer of its own.
use serde_json::Value;

/// Lists that server-side apply merges by key, with the fields of the key: what a foreign writer adds to them is not
/// ours. From the `x-kubernetes-list-map-keys` of the built-in kinds; a list that is missing here costs one apply
/// after a restart, which changes nothing.
const MERGED_LISTS: [(&str, &[&str]); 17] = [
    ("containers", &["name"]),
    ("env", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ownerReferences", &["uid"]),
    ("ports", &["containerPort", "protocol"]),
    ("ports", &["port", "protocol"]),
    ("resourceClaims", &["name"]),
    ("schedulingGates", &["name"]),
    ("secrets", &["name"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
    ("webhooks", &["name"]),
];

/// Sets: lists whose members merge one by one.
const SETS: [&str; 1] = ["finalizers"];

/// Says whether `live` holds every field of `desired`. Never true by mistake: where the meaning of a list is not known,
/// the lists must be equal.
pub(crate) fn contains(live: &Value, desired: &Value) -> bool {
    holds(live, desired, "")
}

fn holds(live: &Value, desired: &Value, name: &str) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            desired.iter().all(|(name, desired)| live.get(name).is_some_and(|live| holds(live, desired, name)))
        }
        (Value::Array(live), Value::Array(desired)) => live == desired || merged(live, desired, name),
        _ => live == desired,
    }
}

fn merged(live: &[Value], desired: &[Value], name: &str) -> bool {
    if SETS.contains(&name) {
        return desired.iter().all(|member| live.contains(member));
    }
    let mut keys = MERGED_LISTS.iter().filter(|(list, _)| *list == name).map(|(_, keys)| *keys);
    // The first field of a key has no default, so it says which of two lists of one name this is.
    let Some(keys) = keys.find(|keys| desired.iter().all(|item| item.get(keys[0]).is_some())) else { return false };
    let protocol = Value::from("TCP");
    let key_field = |item, key: &str| Value::get(item, key).or((key == "protocol").then_some(&protocol));
    desired.iter().all(|desired| {
        live.iter()
            .find(|live| keys.iter().all(|key| key_field(live, key) == key_field(desired, key)))
            .is_some_and(|live| holds(live, desired, ""))
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
        check("set", json!({"finalizers": ["b", "a"]}), json!({"finalizers": ["a"]}), true);
        check("set member gone", json!({"finalizers": ["b"]}), json!({"finalizers": ["a"]}), false);
        check("type changed", json!({"a": [1]}), json!({"a": {"b": 1}}), false);
    }
}
