//! What is sent: a typed child as the JSON of a server-side apply, with what the SDK fills in.
use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use crate::resource::{Kind, ObjectKey, ResourceType, Scope};

use super::digest::Digest;
use super::error::Error;

/// Carries the hash of the desired form, so that a restarted operator knows what the last one wanted.
pub(crate) const DESIRED_HASH: &str = "kubewright.dev/desired-hash";

/// The primary, as its children refer to it.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) resource: ResourceType,
    pub(crate) key: ObjectKey,
    pub(crate) uid: Box<str>,
}

/// A child as it should be.
#[derive(Clone, Debug)]
pub(crate) struct Desired {
    pub(crate) key: ObjectKey,
    /// The body of the apply, [`DESIRED_HASH`] included.
    pub(crate) form: Value,
    /// Hash of the form without that annotation.
    pub(crate) digest: u64,
}

/// Fields of `metadata` that belong to the API server; a child made from a live object still carries them.
const SERVER_OWNED: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
];

impl Desired {
    /// Builds what to send for `child` of `owner`.
    ///
    /// Nulls are dropped wherever they are a field: server-side apply would claim the field.
    pub(crate) fn build<C: Kind>(child: &C, owner: &Owner) -> Result<Self, Error> {
        let resource = ResourceType::of::<C>();
        let kind = || resource.kind.clone();
        let mut form = serde_json::to_value(child).map_err(|source| Error::Serialize { kind: kind(), source })?;
        prune(&mut form);
        let Value::Object(mut object) = form else {
            let source = serde::de::Error::custom("expected an object");
            return Err(Error::Serialize { kind: kind(), source });
        };
        object.insert("apiVersion".to_owned(), resource.api_version().into());
        object.insert("kind".to_owned(), kind().into());
        object.remove("status");
        if resource.group.is_empty() && resource.kind == "Secret" {
            fold_string_data(&mut object);
        }
        let mut metadata = match object.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        for field in SERVER_OWNED {
            metadata.remove(field);
        }
        let key = place(&resource, &mut metadata, owner)?;
        own(&resource, &key, &mut metadata, owner)?;
        remove_hash(&mut metadata);
        object.insert("metadata".to_owned(), metadata.into());
        let mut form = Value::Object(object);
        let digest = Digest::of(&form);
        form["metadata"]["annotations"][DESIRED_HASH] = format!("{digest:016x}").into();
        Ok(Self { key, form, digest })
    }
}

/// Drops null fields and empty nested metadata, which the API server drops or fills as well.
pub(crate) fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|name, value| match value {
                Value::Null => false,
                Value::Object(fields) => name != "metadata" || !fields.is_empty(),
                _ => true,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

/// `stringData` is write-only: the API server moves it into `data`, and neither drift of it nor ownership would be
/// seen. Moving it here makes the desired form what the live one will be.
fn fold_string_data(secret: &mut Map<String, Value>) {
    let Some(plain) = secret.remove("stringData") else { return };
    let Ok(plain) = serde_json::from_value::<BTreeMap<String, String>>(plain) else { return };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    for (name, text) in plain {
        data[name] = json!(ByteString(text.into_bytes()));
    }
}

fn place(resource: &ResourceType, metadata: &mut Map<String, Value>, owner: &Owner) -> Result<ObjectKey, Error> {
    let kind = || resource.kind.clone();
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, namespace) = (text("name"), text("namespace"));
    if !is_path_segment(&name) {
        return Err(Error::Name { kind: kind(), name });
    }
    if resource.scope == Scope::Cluster {
        metadata.remove("namespace");
        return Ok(ObjectKey::cluster(&name));
    }
    let namespace = match (owner.key.namespace(), &*namespace) {
        (Some(home), "") => home.to_owned(),
        (Some(home), given) if home != given => {
            return Err(Error::Namespace { kind: kind(), name, namespace: given.to_owned(), owner: home.to_owned() });
        }
        (_, given) if !is_path_segment(given) => return Err(Error::NoNamespace { kind: kind(), name }),
        (_, given) => given.to_owned(),
    };
    metadata.insert("namespace".to_owned(), namespace.clone().into());
    Ok(ObjectKey::namespaced(&namespace, &name))
}

/// What the API server accepts as a name at the least: something that stays one segment of a URL.
pub(crate) fn is_path_segment(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:@~!$&'()*+,;=".contains(&byte))
}

fn own(
    resource: &ResourceType,
    key: &ObjectKey,
    metadata: &mut Map<String, Value>,
    owner: &Owner,
) -> Result<(), Error> {
    let mut owners = match metadata.remove("ownerReferences") {
        Some(Value::Array(owners)) => owners,
        _ => Vec::new(),
    };
    owners.retain(|reference| reference.get("uid").and_then(Value::as_str) != Some(&*owner.uid));
    if let Some(other) = controller(&owners).map(named) {
        return Err(Error::ControlledByOther { kind: resource.kind.clone(), key: key.clone(), owner: other });
    }
    owners.push(json!({
        "apiVersion": owner.resource.api_version(),
        "kind": owner.resource.kind,
        "name": owner.key.name(),
        "uid": owner.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    }));
    metadata.insert("ownerReferences".to_owned(), owners.into());
    Ok(())
}

/// Returns the owner reference that says it is the controller.
pub(super) fn controller(owners: &[Value]) -> Option<&Value> {
    owners.iter().find(|reference| reference.get("controller") == Some(&Value::Bool(true)))
}

/// Names an owner as messages do.
pub(super) fn named(owner: &Value) -> String {
    let text = |name: &str| owner.get(name).and_then(Value::as_str).unwrap_or("?");
    format!("{} {} (uid {})", text("kind"), text("name"), text("uid"))
}

fn remove_hash(metadata: &mut Map<String, Value>) {
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else { return };
    annotations.remove(DESIRED_HASH);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
    use k8s_openapi::api::rbac::v1::ClusterRole;
    use kube::core::ObjectMeta;

    fn owner(key: ObjectKey) -> Owner {
        Owner { resource: ResourceType::of::<ConfigMap>(), key, uid: "u1".into() }
    }

    fn namespaced() -> Owner {
        owner(ObjectKey::namespaced("web", "site"))
    }

    fn config_map(meta: Value) -> ConfigMap {
        serde_json::from_value(json!({"metadata": meta})).expect("a config map")
    }

    #[test]
    fn namespace_owner_and_hash_are_filled_in() {
        let desired = Desired::build(&config_map(json!({"name": "a", "labels": {"x": "y"}})), &namespaced()).unwrap();
        assert_eq!(desired.key, ObjectKey::namespaced("web", "a"));
        let mut form = desired.form;
        assert_eq!(form["metadata"]["annotations"][DESIRED_HASH], format!("{:016x}", desired.digest));
        form["metadata"].as_object_mut().unwrap().remove("annotations");
        assert_eq!(
            form,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                "name": "a", "namespace": "web", "labels": {"x": "y"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "site", "uid": "u1",
                    "controller": true, "blockOwnerDeletion": true}],
            }})
        );
    }

    #[test]
    fn a_child_made_from_a_live_object_builds_the_same_form() {
        let plain = Desired::build(&config_map(json!({"name": "a"})), &namespaced()).unwrap();
        let mut live = plain.form.clone();
        for (field, value) in [("uid", json!("u2")), ("resourceVersion", json!("7")), ("generation", json!(3))] {
            live["metadata"][field] = value;
        }
        live["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        live["metadata"]["managedFields"] = json!([{"manager": "x"}]);
        let child: ConfigMap = serde_json::from_value(live).unwrap();
        let again = Desired::build(&child, &namespaced()).unwrap();
        assert_eq!((again.digest, again.form), (plain.digest, plain.form));
    }

    #[test]
    fn the_hash_changes_with_any_field() {
        let base = Desired::build(&config_map(json!({"name": "a"})), &namespaced()).unwrap().digest;
        let mut other = namespaced();
        other.uid = "u2".into();
        let labelled = config_map(json!({"name": "a", "labels": {"x": ""}}));
        assert_ne!(base, Desired::build(&labelled, &namespaced()).unwrap().digest);
        assert_ne!(base, Desired::build(&config_map(json!({"name": "a"})), &other).unwrap().digest);
    }

    #[test]
    fn misplaced_children_are_refused_with_the_way_out() {
        let check = |result: Result<Desired, Error>, terminal: bool, expected: &str| {
            let error = result.expect_err(expected);
            assert_eq!(error.is_terminal(), terminal, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(Desired::build(&config_map(json!({})), &namespaced()), true, "metadata.name");
        check(Desired::build(&config_map(json!({"generateName": "a-"})), &namespaced()), true, "generateName");
        check(Desired::build(&config_map(json!({"name": "../x"})), &namespaced()), true, "metadata.name");
        check(Desired::build(&config_map(json!({"name": "a", "namespace": "b"})), &namespaced()), true, "namespace");
        let cluster = owner(ObjectKey::cluster("site"));
        check(Desired::build(&config_map(json!({"name": "a"})), &cluster), true, "set metadata.namespace");
        let foreign = json!({"name": "a", "ownerReferences": [
            {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u9", "controller": true}]});
        check(Desired::build(&config_map(foreign), &namespaced()), false, "Pod p (uid u9)");
    }

    #[test]
    fn cluster_scoped_owners_place_children_where_they_say() {
        let cluster = owner(ObjectKey::cluster("site"));
        let placed = Desired::build(&config_map(json!({"name": "a", "namespace": "b"})), &cluster).unwrap();
        assert_eq!(placed.key, ObjectKey::namespaced("b", "a"));
        let role = ClusterRole {
            metadata: ObjectMeta { name: Some("x:y".into()), ..Default::default() },
            ..Default::default()
        };
        assert_eq!(Desired::build(&role, &cluster).unwrap().key, ObjectKey::cluster("x:y"));
    }

    #[test]
    fn status_and_nulls_are_not_claimed() {
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Active"}
        }))
        .unwrap();
        let form = Desired::build(&namespace, &owner(ObjectKey::cluster("site"))).unwrap().form;
        assert_eq!(form.get("status"), None);
        let mut nulls = json!({"a": null, "b": [{"c": null, "metadata": {}}], "d": {}});
        prune(&mut nulls);
        assert_eq!(nulls, json!({"b": [{}], "d": {}}));
    }

    #[test]
    fn string_data_becomes_the_data_the_server_stores() {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": "a"}, "data": {"b": "Yg=="}, "stringData": {"a": "hello"}
        }))
        .unwrap();
        let form = Desired::build(&secret, &namespaced()).unwrap().form;
        assert_eq!(form["data"], json!({"a": "aGVsbG8=", "b": "Yg=="}));
        assert_eq!(form.get("stringData"), None);
    }
}
