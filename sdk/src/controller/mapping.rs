//! From an event to the keys of the primaries it concerns. Pure functions of metadata, as it comes and is stored.
use crate::resource::{ObjectKey, ResourceType, Scope};
use crate::store::decode::Envelope;
use crate::wire::head::{self, OwnerView};

/// Returns the key of the `primary` that controls the object.
///
/// Group and kind must match; the version is ignored, as a reference keeps the version its writer used while the
/// objects move on. The key of a cluster-scoped primary has no namespace. controller-runtime's `OwnerHandler` is the
/// model.
pub(super) fn controlling_primary(child: &Envelope, primary: &ResourceType) -> Option<ObjectKey> {
    owner_key(&head::controller(child.head())?, child, primary)
}

/// Returns the keys of all the `primary`s that own the object, controller or not.
pub(super) fn owning_primaries(child: &Envelope, primary: &ResourceType) -> Vec<ObjectKey> {
    head::owners(child.head()).filter_map(|owner| owner_key(&owner, child, primary)).collect()
}

fn owner_key(owner: &OwnerView<'_>, child: &Envelope, primary: &ResourceType) -> Option<ObjectKey> {
    if !owner.is_of(&primary.group, &primary.kind) {
        return None;
    }
    let name = std::str::from_utf8(owner.name).ok()?;
    match primary.scope {
        Scope::Cluster => Some(ObjectKey::cluster(name)),
        // A cluster-scoped object can not be owned from a namespace: the API server's garbage collector would call
        // such a reference invalid, and there is no key to enqueue.
        Scope::Namespaced => child.key().namespace().map(|namespace| ObjectKey::namespaced(namespace, name)),
    }
}

/// Joins the keys of the old and of the new object of an update, each key once.
pub(super) fn both(mut old: Vec<ObjectKey>, new: Vec<ObjectKey>) -> Vec<ObjectKey> {
    for key in new {
        if !old.contains(&key) {
            old.push(key);
        }
    }
    old
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::RawObject;

    fn primary(scope: Scope) -> ResourceType {
        ResourceType {
            group: "demo.kubewright.dev".into(),
            version: "v1".into(),
            kind: "Website".into(),
            plural: "websites".into(),
            scope,
        }
    }

    fn owner(group: &str, kind: &str, name: &str, controller: bool) -> String {
        format!(
            r#"{{"apiVersion":"{group}/v1alpha1","kind":"{kind}","name":"{name}","uid":"uid","controller":{controller}}}"#
        )
    }

    fn child(namespace: &str, owners: &[String]) -> Envelope {
        let owners = owners.join(",");
        let metadata = format!(r#""name":"child","namespace":"{namespace}","ownerReferences":[{owners}]"#);
        let json = format!(r#"{{"metadata":{{"labels":{{"a":"b"}},"finalizers":["f"],{metadata}}}}}"#);
        Envelope::new(Arc::new(RawObject::parse(json.as_bytes()).unwrap()))
    }

    #[test]
    fn h2_owner_matches_by_group_and_kind_and_only_as_controller() {
        let check = |namespace: &str, owners: Vec<String>, scope: Scope, expected: Option<ObjectKey>| {
            let message = format!("{namespace} {owners:?} {scope:?}");
            assert_eq!(controlling_primary(&child(namespace, &owners), &primary(scope)), expected, "{message}");
        };
        let (group, kind) = ("demo.kubewright.dev", "Website");
        let (namespaced, cluster) = (Scope::Namespaced, Scope::Cluster);
        check("web", vec![owner(group, kind, "a", true)], namespaced, Some(ObjectKey::namespaced("web", "a")));
        check("web", vec![owner(group, kind, "a", true)], cluster, Some(ObjectKey::cluster("a")));
        check("", vec![owner(group, kind, "a", true)], cluster, Some(ObjectKey::cluster("a")));
        check("", vec![owner(group, kind, "a", true)], namespaced, None);
        check("web", vec![owner(group, kind, "a", false)], namespaced, None);
        check("web", vec![owner("apps", kind, "a", true)], namespaced, None);
        check("web", vec![owner(group, "Shop", "a", true)], namespaced, None);
        check("web", vec![], namespaced, None);
        let second = vec![owner(group, kind, "a", false), owner(group, kind, "b", true)];
        check("web", second.clone(), namespaced, Some(ObjectKey::namespaced("web", "b")));
        let every = owning_primaries(&child("web", &second), &primary(namespaced));
        assert_eq!(every, ["a", "b"].map(|name| ObjectKey::namespaced("web", name)));
    }

    #[test]
    fn h1_old_and_new_are_both_mapped_and_each_key_comes_once() {
        let key = ObjectKey::cluster;
        let check = |old: &[&str], new: &[&str], expected: &[&str]| {
            let keys = |names: &[&str]| names.iter().map(|name| key(name)).collect::<Vec<_>>();
            assert_eq!(both(keys(old), keys(new)), keys(expected));
        };
        check(&["a"], &["a"], &["a"]);
        check(&["a"], &["b"], &["a", "b"]);
        check(&[], &["b"], &["b"]);
        check(&["a"], &[], &["a"]);
        check(&["a", "b"], &["b", "c"], &["a", "b", "c"]);
    }
}
