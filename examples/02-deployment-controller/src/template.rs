//! Pod templates: which ReplicaSet has the one the Deployment asks for, and how a new one is named and made.
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// The label that keeps the pods of two ReplicaSets of one Deployment apart.
pub(crate) const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Longest name of an object.
const MAX_NAME: usize = 253;

/// Letters and digits that form no words: what Kubernetes writes hashes with.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Says whether two templates make the same pods. Both are as the API server normalised them, so that equal means equal.
///
/// The label that the controller itself adds does not count, and with it how the hash is computed: a ReplicaSet of
/// another release of this controller, or of the built-in one, is recognised all the same.
pub(crate) fn is_same(left: &PodTemplateSpec, right: &PodTemplateSpec) -> bool {
    let metadata = |template: &PodTemplateSpec| {
        let mut metadata = template.metadata.clone().unwrap_or_default();
        metadata.labels.get_or_insert_default().remove(POD_TEMPLATE_HASH);
        metadata
    };
    left.spec == right.spec && metadata(left) == metadata(right)
}

/// Hashes a template. `collisions` counts how often another template was found under the name that the hash gave.
pub(crate) fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    // A template serialises as it came in, with its maps in order.
    let mut bytes = serde_json::to_vec(template).unwrap_or_default();
    bytes.extend(collisions.into_iter().flat_map(i32::to_le_bytes));
    let sum = fnv1a(&bytes).to_string();
    sum.bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Makes the ReplicaSet of the Deployment's present template, without pods. Its name follows from the template, so that
/// whoever does not see it yet can not make a second one.
pub(crate) fn new_replica_set(deployment: &Deployment, collisions: Option<i32>) -> ReplicaSet {
    let spec = &deployment.spec;
    let hash = hash(&spec.template, collisions);
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(POD_TEMPLATE_HASH.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_with(BTreeMap::new).insert(POD_TEMPLATE_HASH.to_owned(), hash.clone());
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(replica_set_name(name, &hash)),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    }
}

/// The reference that makes a Deployment the controller of a ReplicaSet: garbage collection takes it along with it.
pub(crate) fn controller_reference(deployment: &Deployment) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: deployment.metadata.name.clone().unwrap_or_default(),
        uid: deployment.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn replica_set_name(deployment: &str, hash: &str) -> String {
    let kept = deployment.len().min(MAX_NAME - 1 - hash.len());
    format!("{}-{hash}", &deployment[..kept])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(labels: &serde_json::Value, image: &str) -> PodTemplateSpec {
        let containers = json!([{ "name": "web", "image": image }]);
        serde_json::from_value(json!({ "metadata": { "labels": labels }, "spec": { "containers": containers } }))
            .unwrap()
    }

    #[test]
    fn templates_are_the_same_whatever_their_hash() {
        let check = |left: &PodTemplateSpec, right: &PodTemplateSpec, expected: bool| {
            assert_eq!(is_same(left, right), expected, "{left:?} {right:?}");
        };
        let plain = template(&json!({ "app": "web" }), "web:1");
        check(&plain, &template(&json!({ "app": "web", POD_TEMPLATE_HASH: "x" }), "web:1"), true);
        check(&plain, &template(&json!({ "app": "web" }), "web:2"), false);
        check(&plain, &template(&json!({ "app": "other" }), "web:1"), false);
    }

    #[test]
    fn a_hash_follows_template_and_collisions_and_is_a_label() {
        let one = template(&json!({ "app": "web" }), "web:1");
        assert_eq!(hash(&one, None), hash(&one.clone(), None));
        let others =
            [hash(&template(&json!({ "app": "web" }), "web:2"), None), hash(&one, Some(1)), hash(&one, Some(2))];
        for other in &others {
            assert_ne!(*other, hash(&one, None));
            assert!(other.len() <= 10 && other.bytes().all(|byte| ALPHABET.contains(&byte)), "{other}");
        }
        assert_ne!(others[1], others[2]);
    }

    #[test]
    fn names_fit_however_long_the_deployment_is_called() {
        assert_eq!(replica_set_name("web", "5d4f"), "web-5d4f");
        let name = replica_set_name(&"w".repeat(MAX_NAME), "5d4f");
        assert!(name.len() == MAX_NAME && name.ends_with("w-5d4f"), "{name}");
    }

    #[test]
    fn a_new_set_selects_its_own_pods_and_belongs_to_its_deployment() {
        let labels = json!({ "app": "web" });
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "shop", "uid": "u-1" },
            "spec": { "selector": { "matchLabels": labels }, "minReadySeconds": 7, "template": template(&labels, "web:1") },
        }))
        .unwrap();
        let set = new_replica_set(&deployment, None);
        let hash = hash(&deployment.spec.template, None);
        let labels = json!({ "app": "web", POD_TEMPLATE_HASH: hash });
        let set = json!(set);
        assert_eq!(set["metadata"]["name"], format!("web-{hash}"));
        for path in ["/metadata/labels", "/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
            assert_eq!(set.pointer(path), Some(&labels), "{path}");
        }
        assert_eq!(set["metadata"]["ownerReferences"][0]["uid"], "u-1");
        assert_eq!((&set["spec"]["replicas"], &set["spec"]["minReadySeconds"]), (&json!(0), &json!(7)));
    }
}
