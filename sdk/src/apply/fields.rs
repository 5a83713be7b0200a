//! Sets of field paths as the API server reports them in `managedFields` (fieldsV1), and objects seen through them.
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use super::digest::Digest;

/// The fields that one manager owns, as a tree. A set without members owns everything below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct FieldSet {
    /// Whether the node itself is owned (`.`), not only members of it.
    item: bool,
    members: Vec<(Member, FieldSet)>,
}

/// One step of a path. The API server writes `f:name`, `k:{json}`, `v:json` and `i:number`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Member {
    Field(Box<str>),
    /// An item of an associative list, by the fields that identify it.
    Item(Vec<(Box<str>, Scalar)>),
    /// A member of a set.
    Value(Scalar),
    Index(usize),
}

/// A JSON value in its canonical text, which hashes and compares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Scalar(Box<str>);

impl Scalar {
    fn of(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    fn is(&self, value: &Value) -> bool {
        *self == Self::of(value)
    }
}

impl FieldSet {
    /// Reads the set that `manager` applied last, on the object itself or on a subresource.
    pub(crate) fn applied_by(manager: &str, subresource: Option<&str>, object: &Value) -> Option<Self> {
        let entries = object.pointer("/metadata/managedFields")?.as_array()?;
        fn text<'v>(entry: &'v Value, name: &str) -> &'v str {
            entry.get(name).and_then(Value::as_str).unwrap_or_default()
        }
        let entry = entries.iter().find(|entry| {
            text(entry, "manager") == manager
                && text(entry, "operation") == "Apply"
                && text(entry, "subresource") == subresource.unwrap_or_default()
        })?;
        Some(Self::parse(entry.get("fieldsV1")?.as_object()?))
    }

    /// Reads fieldsV1. Steps of a form that is not known are left out: what is not seen is not compared.
    pub(crate) fn parse(fields: &Map<String, Value>) -> Self {
        let mut set = Self::default();
        for (step, below) in fields {
            if step == "." {
                set.item = true;
                continue;
            }
            if let (Some(member), Some(below)) = (Member::parse(step), below.as_object()) {
                set.members.push((member, Self::parse(below)));
            }
        }
        // Maps may iterate in any order; equal sets must be equal to be shared.
        set.members.sort_by_cached_key(|(member, _)| member.sort_key());
        set
    }

    /// Hashes what `value` holds at the paths of this set. Everything else in `value` is invisible.
    pub(crate) fn projection(&self, value: &Value) -> u64 {
        let mut digest = Digest::new();
        self.project(Some(value), &mut digest);
        digest.finish()
    }

    /// Returns the sub-set at a path of field names, where the set has one.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |set, name| {
            set.members
                .iter()
                .find(|(member, _)| matches!(member, Member::Field(field) if **field == **name))
                .map(|(_, below)| below)
        })
    }

    /// Says whether the set owns a whole value rather than parts of it.
    pub(crate) fn is_leaf(&self) -> bool {
        self.members.is_empty()
    }

    /// Says whether the set owns (a part of) the list item whose key field `name` is `value`.
    pub(crate) fn has_item(&self, name: &str, value: &str) -> bool {
        let value = Value::from(value);
        self.members.iter().any(|(member, _)| {
            matches!(member, Member::Item(keys) if keys.iter().any(|(key, scalar)| **key == *name && scalar.is(&value)))
        })
    }

    fn project(&self, value: Option<&Value>, digest: &mut Digest) {
        let Some(value) = value else { return digest.tag(b'-') };
        if self.members.is_empty() && !self.item {
            return digest.value(value);
        }
        // What is owned here is that something of this type exists.
        digest.tag(match value {
            Value::Object(_) => b'{',
            Value::Array(_) => b'[',
            _ => b'.',
        });
        for (member, below) in &self.members {
            below.project(member.find(value), digest);
        }
    }
}

impl Member {
    fn parse(step: &str) -> Option<Self> {
        let (kind, rest) = step.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.into())),
            "k" => {
                let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
                let mut keys: Vec<_> =
                    keys.iter().map(|(name, value)| (name.as_str().into(), Scalar::of(value))).collect();
                keys.sort_by(|(left, _): &(Box<str>, Scalar), (right, _)| left.cmp(right));
                Some(Self::Item(keys))
            }
            "v" => Some(Self::Value(Scalar::of(&serde_json::from_str(rest).ok()?))),
            "i" => Some(Self::Index(rest.parse().ok()?)),
            _ => None,
        }
    }

    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Field(name) => value.get(&**name),
            Self::Item(keys) => value
                .as_array()?
                .iter()
                .find(|item| keys.iter().all(|(name, key)| item.get(&**name).is_some_and(|value| key.is(value)))),
            Self::Value(member) => value.as_array()?.iter().find(|item| member.is(item)),
            Self::Index(index) => value.get(index),
        }
    }

    fn sort_key(&self) -> (u8, String) {
        match self {
            Self::Field(name) => (0, name.to_string()),
            Self::Item(keys) => (1, keys.iter().map(|(name, value)| format!("{name}={}\n", value.0)).collect()),
            Self::Value(value) => (2, value.0.to_string()),
            Self::Index(index) => (3, format!("{index:020}")),
        }
    }
}

/// Shares equal sets: ten thousand children made by one function own the same few paths.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    sets: Mutex<(HashSet<Arc<FieldSet>>, usize)>,
}

/// Below this many sets nothing is gained by looking for unused ones.
const SWEEP_FROM: usize = 64;

impl Interner {
    /// Returns the one copy of `set`. Sets that nobody holds any longer are dropped as the table doubles.
    pub(crate) fn intern(&self, set: FieldSet) -> Arc<FieldSet> {
        let mut guard = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let (sets, sweep_at) = &mut *guard;
        if let Some(known) = sets.get(&set) {
            return Arc::clone(known);
        }
        if sets.len() >= (*sweep_at).max(SWEEP_FROM) {
            sets.retain(|set| Arc::strong_count(set) > 1);
            *sweep_at = sets.len() * 2;
        }
        let set = Arc::new(set);
        sets.insert(Arc::clone(&set));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(fields: &Value) -> FieldSet {
        FieldSet::parse(fields.as_object().expect("a map"))
    }

    #[test]
    fn a_projection_sees_owned_paths_and_nothing_else() {
        let check = |name: &str, fields: Value, left: Value, right: Value, same: bool| {
            let set = set(&fields);
            assert_eq!(set.projection(&left) == set.projection(&right), same, "{name}");
        };
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        check("equal", replicas.clone(), json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 1}}), true);
        check("edited", replicas.clone(), json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}), false);
        check("removed", replicas.clone(), json!({"spec": {"replicas": 1}}), json!({"spec": {}}), false);
        check("parent removed", replicas.clone(), json!({"spec": {"replicas": null}}), json!({}), false);
        check("foreign", replicas, json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 1, "x": 2}}), true);
        let items = json!({"f:c": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}}}});
        let web = json!({"c": [{"name": "web", "image": "a"}]});
        check(
            "sidecar",
            items.clone(),
            web.clone(),
            json!({"c": [{"name": "mesh"}, {"name": "web", "image": "a"}]}),
            true,
        );
        check("default", items.clone(), web.clone(), json!({"c": [{"name": "web", "image": "a", "pull": "x"}]}), true);
        check("image", items.clone(), web.clone(), json!({"c": [{"name": "web", "image": "b"}]}), false);
        check("gone", items, web, json!({"c": []}), false);
        let ports = json!({"f:p": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}});
        let tcp = json!({"p": [{"port": 80, "protocol": "TCP"}]});
        check("other protocol", ports, tcp.clone(), json!({"p": [{"port": 80, "protocol": "UDP"}]}), false);
        let members = json!({"f:f": {"v:\"a\"": {}}});
        check("set", members.clone(), json!({"f": ["a"]}), json!({"f": ["b", "a"]}), true);
        check("set member gone", members, json!({"f": ["a"]}), json!({"f": ["b"]}), false);
        let index = json!({"f:f": {"i:1": {}}});
        check("index", index.clone(), json!({"f": [1, 2]}), json!({"f": [3, 2]}), true);
        check("index edited", index, json!({"f": [1, 2]}), json!({"f": [1, 3]}), false);
        let atomic = json!({"f:selector": {}});
        check("atomic", atomic, json!({"selector": {"a": "b"}}), json!({"selector": {"a": "b", "c": "d"}}), false);
        let itself = json!({"f:labels": {".": {}}});
        check("itself", itself.clone(), json!({"labels": {}}), json!({"labels": {"a": "b"}}), true);
        check("itself gone", itself, json!({"labels": {}}), json!({}), false);
    }

    #[test]
    fn only_the_apply_entry_of_the_manager_counts() {
        let object = json!({"metadata": {"managedFields": [
            {"manager": "a", "operation": "Update", "fieldsV1": {"f:x": {}}},
            {"manager": "a", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "b", "operation": "Apply", "fieldsV1": {"f:y": {}}},
            {"manager": "a", "operation": "Apply", "fieldsV1": {"f:z": {}}},
        ]}});
        assert_eq!(FieldSet::applied_by("a", None, &object), Some(set(&json!({"f:z": {}}))));
        assert_eq!(FieldSet::applied_by("a", Some("status"), &object), Some(set(&json!({"f:status": {}}))));
        assert_eq!(FieldSet::applied_by("c", None, &object), None);
        assert_eq!(FieldSet::applied_by("a", None, &json!({})), None);
    }

    #[test]
    fn malformed_sets_are_read_without_a_panic() {
        for fields in [json!({"": {}}), json!({"k:": {}}), json!({"i:x": {}}), json!({"z:1": {}}), json!({"f:a": 1})] {
            assert!(set(&fields).members.is_empty(), "{fields}");
        }
    }

    #[test]
    fn equal_sets_are_shared_and_unused_ones_dropped() {
        let interner = Interner::default();
        let one = interner.intern(set(&json!({"f:a": {}, "f:b": {}})));
        assert!(Arc::ptr_eq(&one, &interner.intern(set(&json!({"f:b": {}, "f:a": {}})))));
        for index in 0..10 * SWEEP_FROM {
            let name = format!("f:{index}");
            let _ = interner.intern(set(&json!({ name: {} })));
        }
        let held = interner.sets.lock().unwrap().0.len();
        assert!(held <= SWEEP_FROM + 1, "{held}");
        assert!(Arc::ptr_eq(&one, &interner.intern(set(&json!({"f:a": {}, "f:b": {}})))));
    }
}
