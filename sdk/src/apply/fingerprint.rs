//! What the API server last answered to a write of ours, reduced to what proves the next one unnecessary.
use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use crate::declare::View;
use crate::resource::ResourceVersion;
use crate::wire::RawObject;

use super::fields::FieldSet;

/// A cached object, as far as a decision looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live<'a> {
    pub(crate) uid: &'a str,
    pub(crate) version: &'a ResourceVersion,
    pub(crate) generation: Option<i64>,
    pub(crate) json: &'a [u8],
}

impl<'a> From<&'a RawObject> for Live<'a> {
    fn from(object: &'a RawObject) -> Self {
        let metadata = object.metadata();
        Self {
            uid: &metadata.uid,
            version: &metadata.resource_version,
            generation: metadata.generation,
            json: object.json(),
        }
    }
}

/// One write that is known to have arrived.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprint {
    /// Hash of what was desired.
    desired: u64,
    uid: Box<str>,
    /// The newest version at which the object was seen to be as desired.
    version: ResourceVersion,
    generation: Option<i64>,
    proof: Proof,
}

#[derive(Clone, Debug)]
enum Proof {
    /// We own these paths, and this is what the API server held at them.
    Owned { paths: Arc<FieldSet>, view: View, projection: u64 },
    /// The object holds the desired form; which paths we own is not known.
    Contained,
}

/// What is to be done about a desired form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It must be sent.
    Apply,
    /// The cached object is as desired.
    Current,
    /// The cache has not caught up with our own write. The event of what it misses is still to come, so whatever
    /// happened meanwhile will be seen.
    Behind,
}

/// Decides whether `desired` must be sent. `proven` says of the live object that it is as desired, without any memory.
///
/// Only skips what is proven: a missing object is sent again even if our own create is merely not yet cached, as the
/// cache never shows that an object came and went between two lists.
pub(crate) fn decide(
    remembered: &mut Option<Fingerprint>,
    desired: u64,
    live: Option<Live<'_>>,
    view: View,
    proven: impl FnOnce(&Value) -> bool,
) -> Decision {
    let Some(live) = live else { return Decision::Apply };
    let mut object = Parsed { json: live.json, value: None };
    if let Some(fingerprint) = remembered {
        if fingerprint.desired == desired {
            if let Some(decision) = fingerprint.judge(&live, view, &mut object) {
                return decision;
            }
        } else if !matches!(live.version.compare(&fingerprint.version), Some(Ordering::Equal | Ordering::Greater)) {
            // What is cached may be older than the other form we sent since, so it proves nothing.
            return Decision::Apply;
        }
    }
    if view != View::Full || !object.get().is_some_and(proven) {
        return Decision::Apply;
    }
    *remembered = Some(Fingerprint {
        desired,
        uid: live.uid.into(),
        version: live.version.clone(),
        generation: live.generation,
        proof: Proof::Contained,
    });
    Decision::Current
}

impl Fingerprint {
    /// Remembers that the API server answered `answer` when `desired` was sent; `paths` are ours in it.
    pub(crate) fn of_answer(desired: u64, answer: &Value, paths: Option<Arc<FieldSet>>, view: View) -> Self {
        let text = |pointer| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let proof = match paths {
            Some(paths) => Proof::Owned { projection: project(&paths, answer, view), view, paths },
            None => Proof::Contained,
        };
        Self {
            desired,
            uid: text("/metadata/uid").into(),
            version: ResourceVersion::new(text("/metadata/resourceVersion")),
            generation: answer.pointer("/metadata/generation").and_then(Value::as_i64),
            proof,
        }
    }

    /// Returns the uid of the object that was written.
    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    /// Returns the newest version at which the object was seen to be as desired.
    pub(crate) fn version(&self) -> &ResourceVersion {
        &self.version
    }

    /// Says whether the write came after `version`.
    pub(crate) fn is_newer_than(&self, version: &ResourceVersion) -> bool {
        self.version.compare(version) == Some(Ordering::Greater)
    }

    /// Decides from what is remembered; `None` where it does not reach.
    fn judge(&mut self, live: &Live<'_>, view: View, object: &mut Parsed<'_>) -> Option<Decision> {
        if live.version == &self.version && live.uid == &*self.uid {
            return Some(Decision::Current);
        }
        if live.version.compare(&self.version) == Some(Ordering::Less) {
            return Some(Decision::Behind);
        }
        let Proof::Owned { paths, view: seen_in, projection } = &self.proof else { return None };
        // Of another life, or of another part of the object than the one that was hashed, it says nothing.
        if live.uid != &*self.uid || *seen_in != view {
            return None;
        }
        // Of an object cached as metadata only the generation speaks for the rest, where the kind has one.
        let comparable = view == View::Full || (live.generation.is_some() && live.generation == self.generation);
        if !comparable || project(paths, object.get()?, view) != *projection {
            return Some(Decision::Apply);
        }
        self.version = live.version.clone();
        self.generation = live.generation;
        Some(Decision::Current)
    }
}

fn project(paths: &FieldSet, object: &Value, view: View) -> u64 {
    match (view, paths.at(&["metadata"]), object.get("metadata")) {
        (View::Full, ..) => paths.projection(object),
        (View::Metadata, Some(paths), Some(metadata)) => paths.projection(metadata),
        (View::Metadata, ..) => 0,
    }
}

/// JSON that is parsed when it is first looked at.
struct Parsed<'a> {
    json: &'a [u8],
    value: Option<Option<Value>>,
}

impl Parsed<'_> {
    fn get(&mut self) -> Option<&Value> {
        self.value.get_or_insert_with(|| serde_json::from_slice(self.json).ok()).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    struct Given {
        remembered: Option<Fingerprint>,
        view: View,
    }

    impl Given {
        fn answered(desired: u64, answer: &Value, fields: &Value) -> Self {
            let paths = Arc::new(FieldSet::parse(fields.as_object().unwrap()));
            let remembered = Some(Fingerprint::of_answer(desired, answer, Some(paths), View::Full));
            Self { remembered, view: View::Full }
        }

        fn restarted() -> Self {
            Self { remembered: None, view: View::Full }
        }

        fn decide(&mut self, desired: u64, live: &Value, proven: bool) -> Decision {
            let json = serde_json::to_vec(live).unwrap();
            let version = ResourceVersion::new(live["metadata"]["resourceVersion"].as_str().unwrap());
            let live = Live {
                uid: live["metadata"]["uid"].as_str().unwrap(),
                version: &version,
                generation: live["metadata"]["generation"].as_i64(),
                json: &json,
            };
            decide(&mut self.remembered, desired, Some(live), self.view, |_| proven)
        }
    }

    fn object(uid: &str, version: u64, spec: Value) -> Value {
        json!({"metadata": {"uid": uid, "resourceVersion": version.to_string(), "generation": 1}, "spec": spec})
    }

    fn owned() -> Value {
        json!({"f:spec": {"f:cpu": {}, "f:c": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}}}}})
    }

    fn web(extra: Value) -> Value {
        let mut spec = json!({"cpu": "1", "c": [{"name": "web", "image": "a", "pull": "IfNotPresent"}]});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        spec
    }

    #[test]
    fn only_a_change_of_what_we_own_is_sent_again() {
        let answer = object("u", 5, web(json!({})));
        let check = |name: &str, desired: u64, live: Value, expected: Decision| {
            assert_eq!(Given::answered(1, &answer, &owned()).decide(desired, &live, false), expected, "{name}");
        };
        check("the answer itself", 1, answer.clone(), Decision::Current);
        check("another desired form", 2, answer.clone(), Decision::Apply);
        check("older than the answer", 1, object("u", 4, json!({})), Decision::Behind);
        check("older and of another life", 1, object("v", 4, json!({})), Decision::Behind);
        check("a foreign field", 1, object("u", 6, web(json!({"replicas": 3}))), Decision::Current);
        let sidecar = json!({"c": [{"name": "mesh"}, {"name": "web", "image": "a"}]});
        check("a sidecar", 1, object("u", 6, web(sidecar)), Decision::Current);
        check("an owned field edited", 1, object("u", 6, web(json!({"cpu": "2"}))), Decision::Apply);
        check("an owned item removed", 1, object("u", 6, web(json!({"c": []}))), Decision::Apply);
        let stolen = json!({"c": [{"name": "web", "image": "b"}]});
        check("a stolen field", 1, object("u", 6, web(stolen)), Decision::Apply);
        check("created anew by another", 1, object("v", 6, web(json!({}))), Decision::Apply);
    }

    #[test]
    fn a_missing_object_is_sent_whatever_is_remembered() {
        let mut remembered = Given::answered(1, &object("u", 5, json!({})), &owned()).remembered;
        assert_eq!(decide(&mut remembered, 1, None, View::Full, |_| true), Decision::Apply);
    }

    #[test]
    fn a_stale_cache_does_not_prove_the_form_before_last() {
        // Sent 1, then 2 (version 5); the cache still holds 1 (version 3) when 1 is wanted again.
        let mut given = Given::answered(2, &object("u", 5, json!({})), &owned());
        assert_eq!(given.decide(1, &object("u", 3, json!({})), true), Decision::Apply);
        assert_eq!(given.decide(1, &object("u", 6, json!({})), true), Decision::Current);
    }

    #[test]
    fn a_restart_needs_the_live_object_as_proof_each_time_it_changes() {
        let mut given = Given::restarted();
        assert_eq!(given.decide(1, &object("u", 5, json!({})), false), Decision::Apply);
        assert_eq!(given.decide(1, &object("u", 5, json!({})), true), Decision::Current);
        assert_eq!(given.decide(1, &object("u", 5, json!({})), false), Decision::Current, "the version is proof");
        assert_eq!(given.decide(1, &object("u", 6, json!({})), false), Decision::Apply);
        assert_eq!(given.decide(2, &object("u", 5, json!({})), false), Decision::Apply);
    }

    #[test]
    fn versions_that_do_not_compare_are_judged_by_content() {
        let mut given = Given::answered(1, &object("u", 5, web(json!({}))), &owned());
        let mut live = object("u", 0, web(json!({})));
        live["metadata"]["resourceVersion"] = json!("opaque");
        assert_eq!(given.decide(1, &live, false), Decision::Current);
        live["metadata"]["resourceVersion"] = json!("opaque-2");
        live["spec"]["cpu"] = json!("2");
        assert_eq!(given.decide(1, &live, false), Decision::Apply);
    }

    #[test]
    fn metadata_alone_proves_only_under_the_same_generation() {
        let fields = json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:cpu": {}}});
        let paths = Arc::new(FieldSet::parse(fields.as_object().unwrap()));
        let mut answer = object("u", 5, json!({"cpu": "1"}));
        answer["metadata"]["labels"] = json!({"a": "b"});
        let check = |name: &str, generation: Value, label: &str, expected: Decision| {
            let fingerprint = Fingerprint::of_answer(1, &answer, Some(Arc::clone(&paths)), View::Metadata);
            let mut given = Given { remembered: Some(fingerprint), view: View::Metadata };
            let live = json!({"metadata": {"uid": "u", "resourceVersion": "6", "generation": generation,
                "labels": {"a": label, "foreign": "x"}}});
            assert_eq!(given.decide(1, &live, true), expected, "{name}");
        };
        check("same", json!(1), "b", Decision::Current);
        check("spec changed", json!(2), "b", Decision::Apply);
        check("label edited", json!(1), "c", Decision::Apply);
        check("kind without generations", json!(null), "b", Decision::Apply);
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::btree_map("[a-d]", inner.clone(), 0..4).prop_map(|map| json!(map)),
                prop::collection::vec(inner, 0..3).prop_map(Value::from),
            ]
        })
    }

    fn sets_of(value: &Value) -> Value {
        match value.as_object() {
            Some(map) => map.iter().map(|(name, below)| (format!("f:{name}"), sets_of(below))).collect(),
            None => json!({}),
        }
    }

    proptest! {
        #[test]
        fn adding_foreign_fields_never_sends_and_changing_an_owned_leaf_always_does(
            spec in prop::collection::btree_map("[a-d]", json_value(), 1..4), edited in json_value(),
        ) {
            let spec = json!(spec);
            let answer = object("u", 5, spec.clone());
            let fields = json!({"f:spec": sets_of(&spec)});
            let mut foreign = object("u", 6, spec.clone());
            foreign["spec"]["foreign"] = edited.clone();
            prop_assert_eq!(Given::answered(1, &answer, &fields).decide(1, &foreign, false), Decision::Current);
            for name in spec.as_object().unwrap().keys() {
                if !spec[name].is_object() && spec[name] != edited {
                    let mut drifted = object("u", 6, spec.clone());
                    drifted["spec"][name] = edited.clone();
                    prop_assert_eq!(Given::answered(1, &answer, &fields).decide(1, &drifted, false), Decision::Apply);
                }
                let mut removed = object("u", 6, spec.clone());
                removed["spec"].as_object_mut().unwrap().remove(name);
                prop_assert_eq!(Given::answered(1, &answer, &fields).decide(1, &removed, false), Decision::Apply);
            }
        }
    }
}
