//! Finalizers: one name added or removed, the others left alone.
use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::resource::{ObjectKey, ResourceVersion};

use super::memory::{FinalizerMemory, FinalizerWrite};

/// An object as far as its finalizers go.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub(crate) key: ObjectKey,
    pub(crate) uid: Box<str>,
    pub(crate) version: ResourceVersion,
    pub(crate) finalizers: Vec<String>,
}

impl Holder {
    /// Describes `object`.
    pub(crate) fn of<K: kube::Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self {
            key: ObjectKey::of(object),
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            version: ResourceVersion::new(meta.resource_version.as_deref().unwrap_or_default()),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
        }
    }

    /// Describes the object of the same key as the API server has it, if that is still the same life of it.
    pub(crate) fn renewed(&self, live: &Value) -> Option<Self> {
        let metadata = live.get("metadata")?;
        let text = |name| metadata.get(name).and_then(Value::as_str);
        let finalizers = metadata.get("finalizers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let finalizers = finalizers.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let version = ResourceVersion::new(text("resourceVersion")?);
        (text("uid") == Some(&*self.uid)).then(|| Self { version, finalizers, ..self.clone() })
    }
}

/// What the cached primary says about a finalizer, given what we did to it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It holds the deletion.
    Yes,
    /// It is not there.
    No,
    /// We removed it: this life of the object is over for us, whatever the cache still shows.
    Released,
}

/// Says whether `finalizer` holds the object. The cache may be older than our own write.
pub(crate) fn held(holder: &Holder, finalizer: &str, written: Option<&FinalizerMemory>) -> Held {
    let cached = holder.finalizers.iter().any(|name| name == finalizer);
    match written.filter(|written| written.uid == holder.uid).map(|written| &written.done) {
        Some(FinalizerWrite::Removed) => Held::Released,
        Some(FinalizerWrite::Added(version)) if holder.version.compare(version) == Some(Ordering::Less) => Held::Yes,
        _ if cached => Held::Yes,
        _ => Held::No,
    }
}

/// Builds the patch that adds `finalizer` to the object as cached; a change since then makes it a conflict.
pub(crate) fn addition(holder: &Holder, finalizer: &str) -> Value {
    let mut finalizers: Vec<&str> = holder.finalizers.iter().map(String::as_str).collect();
    finalizers.push(finalizer);
    patch(holder, &finalizers)
}

/// Builds the patch that removes `finalizer` from the object as cached; a change since then makes it a conflict.
pub(crate) fn removal(holder: &Holder, finalizer: &str) -> Value {
    let kept: Vec<&str> = holder.finalizers.iter().map(String::as_str).filter(|name| *name != finalizer).collect();
    patch(holder, &kept)
}

fn patch(holder: &Holder, finalizers: &[&str]) -> Value {
    // Of another life of the object the server refuses both.
    json!({"metadata": {
        "finalizers": finalizers,
        "uid": holder.uid,
        "resourceVersion": holder.version.as_str(),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(version: &str, finalizers: &[&str]) -> Holder {
        Holder {
            key: ObjectKey::namespaced("a", "b"),
            uid: "u".into(),
            version: ResourceVersion::new(version),
            finalizers: finalizers.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn foreign_finalizers_stay() {
        let both = holder("5", &["theirs", "ours"]);
        let expected = |names: Value| json!({"metadata": {"finalizers": names, "uid": "u", "resourceVersion": "5"}});
        assert_eq!(removal(&both, "ours"), expected(json!(["theirs"])));
        assert_eq!(addition(&holder("5", &["theirs"]), "ours"), expected(json!(["theirs", "ours"])));
    }

    #[test]
    fn our_own_write_is_known_before_the_cache_shows_it() {
        let check = |cached: &[&str], version: &str, written: Option<(&str, FinalizerWrite)>, expected: Held| {
            let written = written.map(|(uid, done)| FinalizerMemory { uid: uid.into(), done });
            assert_eq!(held(&holder(version, cached), "ours", written.as_ref()), expected);
        };
        let added = || FinalizerWrite::Added(ResourceVersion::new("5"));
        check(&[], "4", None, Held::No);
        check(&["ours"], "4", None, Held::Yes);
        check(&[], "4", Some(("u", added())), Held::Yes);
        check(&[], "6", Some(("u", added())), Held::No);
        check(&[], "4", Some(("v", added())), Held::No);
        check(&["ours"], "4", Some(("u", FinalizerWrite::Removed)), Held::Released);
        check(&["ours"], "4", Some(("v", FinalizerWrite::Removed)), Held::Yes);
    }

    #[test]
    fn only_the_same_life_is_renewed() {
        let live = |uid: &str| json!({"metadata": {"uid": uid, "resourceVersion": "9", "finalizers": ["x"]}});
        let renewed = holder("5", &["ours"]).renewed(&live("u")).unwrap();
        assert_eq!((renewed.version.as_str(), &*renewed.finalizers), ("9", &["x".to_owned()][..]));
        assert!(holder("5", &[]).renewed(&live("v")).is_none());
        assert!(holder("5", &[]).renewed(&json!({})).is_none());
    }
}
