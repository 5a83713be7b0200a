//! What decodes, and what is said when something does not.
use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::CustomResource;
use kube::core::PartialObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Widget", namespaced)]
struct WidgetSpec {
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
struct Part {
    size: i32,
    colour: Option<Colour>,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
enum Colour {
    Red,
}

fn raw(mut object: Value) -> Arc<RawObject> {
    object["metadata"] = json!({ "namespace": "a", "name": "one", "uid": "u", "resourceVersion": "1" });
    Arc::new(RawObject::parse(object.to_string().as_bytes()).unwrap())
}

#[test]
fn items_of_lists_decode_without_api_version_and_kind() {
    let object = raw(json!({ "data": { "a": "b" } }));
    assert_eq!(decode::<ConfigMap>(&object).unwrap().data.unwrap()["a"], "b");
    let object = raw(json!({ "spec": { "parts": [{ "size": 3 }] } }));
    let widget = decode::<Widget>(&object).unwrap();
    assert_eq!((widget.spec.parts[0].size, widget.metadata.name.as_deref()), (3, Some("one")));
}

#[test]
fn objects_decode_as_what_was_asked_for_whatever_they_say_they_are() {
    let partial = json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata" });
    assert_eq!(decode::<Secret>(&raw(partial.clone())).unwrap().metadata.name.as_deref(), Some("one"));
    let types = decode::<PartialObjectMeta<Pod>>(&raw(partial)).unwrap().types.unwrap();
    assert_eq!((types.api_version.as_str(), types.kind.as_str()), ("v1", "Pod"));
    assert!(decode::<ConfigMap>(&raw(json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": null }))).is_ok());
    let escaped = RawObject::parse(br#"{"\u006bind":"Odd","metadata":{"name":"n"}}"#).unwrap();
    assert!(decode::<ConfigMap>(&escaped).is_ok(), "an escaped key is the same key");
}

#[test]
fn bytes_that_are_no_text_are_an_error_where_somebody_reads_them() {
    let json = b"{\"data\":{\"a\":\"\xff\"},\"unknown\":\"\xff\"}";
    let key = || ObjectKey::namespaced("a", "one");
    assert_eq!(decode_json::<ConfigMap>(json, key).unwrap_err().path, "data.a");
    let json = b"{\"metadata\":{\"name\":\"one\"},\"unknown\":\"\xff\"}";
    assert_eq!(decode_json::<ConfigMap>(json, key).unwrap().metadata.name.as_deref(), Some("one"));
}

#[test]
fn a_failure_names_kind_key_and_field() {
    let check = |object: Value, path: &str, source: &str| {
        let error = decode::<Widget>(&raw(object)).unwrap_err();
        assert_eq!(error.to_string(), format!("Widget a/one does not decode at `{path}`"));
        let said = error.source().unwrap().to_string();
        assert!(said.starts_with(source), "{said}");
    };
    check(
        json!({ "spec": { "parts": [{ "size": 1 }, { "size": 2.5 }] } }),
        "spec.parts[1].size",
        "invalid type: floating",
    );
    check(json!({ "spec": { "parts": [{}] } }), "spec.parts[0]", "missing field `size`");
    check(json!({ "spec": { "parts": {} } }), "spec.parts", "invalid type: map, expected a sequence");
    check(json!({ "spec": { "parts": [{ "size": 1, "colour": "Blue" }] } }), "spec.parts[0].colour", "unknown variant");
    check(json!({}), ".", "missing field `spec`");
}

#[test]
fn a_failure_never_repeats_what_the_object_holds() {
    let check = |secret: &str| {
        let error = decode::<Widget>(&raw(json!({ "spec": { "parts": [{ "size": secret }] } }))).unwrap_err();
        let said = format!("{error} {} {error:?}", error.source().unwrap());
        assert!(!said.contains("hunter2"), "{said}");
        assert!(said.contains("string \"…\", expected i32"), "{said}");
    };
    check("hunter2");
    check("hunter2\", expected nothing");
    check("a string \"hunter2");
    for (variant, at) in [("hunter2", "hunter2"), ("hunter2`, expected `Red", "hunter2")] {
        let part = json!({ "size": 1, "colour": variant });
        let error = decode::<Widget>(&raw(json!({ "spec": { "parts": [part] } }))).unwrap_err();
        let said = error.source().unwrap().to_string();
        assert!(said.starts_with("unknown variant `…`, expected") && !said.contains(at), "{said}");
    }
    let said = |object: Value| {
        let error = decode::<Pod>(&raw(object)).unwrap_err();
        (error.path.clone(), error.source().unwrap().to_string())
    };
    let (path, own) = said(json!({ "apiVersion": "v1", "status": { "startTime": "hunter2" } }));
    assert_eq!((path.as_str(), own.as_str()), ("status.startTime", "its type refuses the value"));
    let (path, number) = said(json!({ "apiVersion": "v1", "spec": { "nodeName": 8_675_309 } }));
    assert_eq!(path, "spec.nodeName");
    assert!(number.starts_with("invalid type: integer `…`, expected a string"), "{number}");
    let (_, truth) = said(json!({ "apiVersion": "v1", "spec": { "nodeName": true } }));
    assert!(truth.starts_with("invalid type: boolean `…`"), "{truth}");
}

#[test]
fn an_envelope_decodes_once_for_each_type_in_turn() {
    static DECODED: AtomicUsize = AtomicUsize::new(0);
    #[derive(Serialize, Clone, Debug, JsonSchema)]
    struct Counted {}
    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            DECODED.fetch_add(1, Ordering::Relaxed);
            IgnoredAny::deserialize(deserializer).map(|_| Self {})
        }
    }
    #[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
    #[kube(group = "demo.kubewright.dev", version = "v1", kind = "Gadget", namespaced)]
    struct GadgetSpec {
        #[allow(dead_code)]
        counted: Counted,
    }
    let envelope = Envelope::new(raw(json!({ "spec": { "counted": 1, "parts": [] } })));
    let first = envelope.decode::<Gadget>().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(Arc::ptr_eq(&first, &envelope.decode::<Gadget>().unwrap())));
    });
    assert_eq!(DECODED.load(Ordering::Relaxed), 1);
    assert!(envelope.decode::<Widget>().is_ok(), "another view of the same object decodes on its own");
}

#[test]
fn an_envelope_that_is_kept_for_long_is_packed_while_its_state_is_stored() {
    let (store, mut writer) = Store::new(crate::store::Options::default());
    let object = crate::store::fixture::config_map("a/one").data("k", "v");
    let (first, second) = (Arc::new(object.envelope()), Arc::new(object.version(2).envelope()));
    writer.put(&first);
    let kept = first.compact(&store);
    assert!(matches!(kept.source, Source::Packed { .. }));
    writer.put(&second);
    assert!(matches!(first.compact(&store).source, Source::Raw(_)), "the store has another state by now");
    let packed = second.compact(&store);
    let same = packed.compact(&store);
    assert!(
        matches!(packed.source, Source::Packed { .. }) && Arc::ptr_eq(&packed, &same),
        "it is as small as it can be"
    );
    assert!(!Arc::ptr_eq(&packed, &packed.compact(&store)), "somebody else may open it");
    drop(same);
    packed.decode::<ConfigMap>().unwrap();
    assert!(!Arc::ptr_eq(&packed, &packed.compact(&store)), "somebody has opened it");
    assert_eq!(kept.decode::<ConfigMap>().unwrap().metadata.resource_version.as_deref(), Some("1"));
    assert_eq!(kept.object().json(), first.object().json());
    assert!(Arc::ptr_eq(kept.object(), kept.object()), "unpacked once");
}

#[test]
fn what_was_replaced_keeps_nothing_else_alive_once_it_is_kept_for_long() {
    let (store, mut writer) = Store::new(crate::store::Options::default());
    let object = crate::store::fixture::config_map("a/one").data("k", "v");
    let mut update = |version| writer.put(&object.clone().version(version).envelope());
    assert!(matches!(update(1), crate::store::Put::Added));
    let shares = |envelope: &Arc<Envelope>| match &envelope.source {
        Source::Packed { packed, .. } => packed.shares,
        Source::Raw(_) => panic!("what was stored is packed"),
    };
    for version in 2..4 {
        let crate::store::Put::Updated { old } = update(version) else { panic!("it was stored before") };
        let old = Arc::new(old);
        let kept = old.compact(&store);
        assert_eq!((shares(&old), shares(&kept), kept.object().json()), (true, false, old.object().json()));
    }
}

#[test]
fn what_is_made_for_each_event_is_small() {
    // glibc frees up to 128 bytes, its own and those of the counts included, without the lock of the thread that made them.
    let sizes = [size_of::<Envelope>(), size_of::<RawObject>()];
    assert!(sizes.iter().all(|size| *size <= 96), "{sizes:?}");
}
