//! What becomes of protobuf that was written by hand, as the API server writes it.
use std::iter;

use serde_json::{Value, json};

use super::*;

mod metadata;

mod properties;

mod scalars;

/// Writes a varint.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Writes a field with a length.
fn field(number: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [&varint(number << 3 | 2)[..], &varint(value.len() as u64), value].concat()
}

/// Writes a field that is a number.
fn number(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value.cast_unsigned())].concat()
}

/// Writes a `runtime.Unknown`.
fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let r#type = [field(1, api_version), field(2, kind)].concat();
    [b"k8s\0", &field(1, r#type)[..], &field(2, raw), &field(3, ""), &field(4, "")].concat()
}

/// Writes the list of `items`.
fn list(kind: &str, items: &[Vec<u8>]) -> Vec<u8> {
    let metadata = [field(1, ""), field(2, "12"), field(3, "on"), number(4, 7)].concat();
    let items: Vec<_> = items.iter().map(|item| field(2, item)).collect();
    envelope("v1", &format!("{kind}List"), &[field(1, metadata), items.concat()].concat())
}

/// Writes one frame of a watch.
fn event(r#type: &str, api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let object = field(1, envelope(api_version, kind, object));
    let event = [field(1, r#type), field(2, object)].concat();
    [&u32::try_from(event.len()).unwrap().to_be_bytes()[..], &event].concat()
}

/// Writes the metadata of `name`, with managedFields.
fn metadata(name: &str) -> Vec<u8> {
    let label = |key: &str, value: &str| field(11, [field(1, key), field(2, value)].concat());
    let managed = [field(1, "kubectl"), field(7, field(1, r#"{"f:data":{}}"#))].concat();
    let head = [field(1, name), field(2, ""), field(3, "shop"), field(4, ""), field(5, "u-1"), field(6, "9")].concat();
    let times = [number(7, 0), field(8, [number(1, 1_767_225_600), number(2, 0)].concat())].concat();
    [head, times, label("app", "tea"), label("tier", "\"b\""), field(17, managed)].concat()
}

/// Writes a config map.
fn config_map(name: &str) -> Vec<u8> {
    let entry = |key: &str, value: &[u8]| [field(1, key), field(2, value)].concat();
    let data = [field(2, entry("a", b"1")), field(2, entry("b", "é\n".as_bytes()))].concat();
    [field(1, metadata(name)), data, field(3, entry("raw", &[0, 255])), number(4, 1)].concat()
}

/// What a config map is in JSON.
fn config_map_json(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "uid": "u-1", "resourceVersion": "9",
        "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "tea", "tier": "\"b\""}},
        "data": {"a": "1", "b": "é\n"}, "binaryData": {"raw": "AP8="}, "immutable": true})
}

fn schema(api_version: &str, kind: &str) -> Arc<Schema> {
    Arc::new(Schema::of(api_version, kind).unwrap_or_else(|| panic!("no schema of {kind} {api_version}")))
}

fn config_maps() -> Transcoder {
    Transcoder::list(schema("v1", "ConfigMap"), ManagedFields::Drop)
}

fn config_map_events() -> Transcoder {
    Transcoder::watch(schema("v1", "ConfigMap"), ManagedFields::Drop)
}

/// Pushes `chunks` until one fails, and returns everything that came of them.
fn run<'a>(mut transcoder: Transcoder, chunks: impl IntoIterator<Item = &'a [u8]>) -> (String, Option<Error>) {
    let mut json = Vec::new();
    let error = chunks.into_iter().find_map(|chunk| {
        let transcoded = transcoder.push(chunk);
        json.extend_from_slice(&transcoded.json);
        transcoded.error
    });
    (String::from_utf8(json).unwrap(), error)
}

fn whole(transcoder: Transcoder, body: &[u8]) -> Value {
    let (json, error) = run(transcoder, [body]);
    assert_eq!(error, None, "{json}");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn problem(transcoder: Transcoder, body: &[u8]) -> String {
    run(transcoder, [body]).1.expect("it is refused").to_string()
}

#[test]
fn a_list_becomes_its_json() {
    let body = list("ConfigMap", &[config_map("a"), config_map("b")]);
    let expected = json!({"kind": "ConfigMapList", "apiVersion": "v1",
        "metadata": {"resourceVersion": "12", "continue": "on", "remainingItemCount": 7},
        "items": [config_map_json("a"), config_map_json("b")]});
    assert_eq!(whole(config_maps(), &body), expected);
}

#[test]
fn a_list_without_items_is_one() {
    let empty = whole(config_maps(), &list("ConfigMap", &[]));
    assert_eq!(empty["items"], json!([]));
    assert_eq!(whole(config_maps(), &envelope("v1", "ConfigMapList", b""))["items"], json!([]));
}

#[test]
fn events_become_lines() {
    let body = [
        event("ADDED", "v1", "ConfigMap", &config_map("a")),
        event("BOOKMARK", "v1", "ConfigMap", &field(1, field(6, "40"))),
        event(
            "ERROR",
            "v1",
            "Status",
            &[field(2, "Failure"), field(3, "too old"), field(4, "Expired"), number(6, 410)].concat(),
        ),
    ];
    let (json, error) = run(config_map_events(), [&body.concat()[..]]);
    assert_eq!(error, None);
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut added = config_map_json("a");
    added["kind"] = "ConfigMap".into();
    added["apiVersion"] = "v1".into();
    assert_eq!(lines[0], json!({"type": "ADDED", "object": added}));
    assert_eq!(lines[1]["object"]["metadata"]["resourceVersion"], "40");
    assert_eq!((&lines[2]["object"]["kind"], &lines[2]["object"]["code"]), (&json!("Status"), &json!(410)));
    assert!(json.ends_with('\n'), "each is a line");
}

#[test]
fn an_object_within_another_says_what_it_is() {
    // As in JSON, where the API server puts into claims what protobuf has no place for.
    let spec = field(4, field(1, metadata("claim")));
    let metadata_and_items = [field(1, ""), field(2, [field(1, metadata("a")), field(2, spec)].concat())].concat();
    let body = envelope("apps/v1", "StatefulSetList", &metadata_and_items);
    let list = whole(Transcoder::list(schema("apps/v1", "StatefulSet"), ManagedFields::Drop), &body);
    let claim = &list["items"][0]["spec"]["volumeClaimTemplates"][0];
    assert_eq!((&claim["kind"], &claim["apiVersion"]), (&json!("PersistentVolumeClaim"), &json!("v1")));
    assert!(list["items"][0].get("kind").is_none(), "an item says nothing of its type: {list}");
}

#[test]
fn managed_fields_are_cut_unless_they_are_kept() {
    let body = list("ConfigMap", &[config_map("a")]);
    assert!(whole(config_maps(), &body)["items"][0]["metadata"].get("managedFields").is_none());
    let kept = whole(Transcoder::list(schema("v1", "ConfigMap"), ManagedFields::Keep), &body);
    let expected = json!([{"manager": "kubectl", "fieldsV1": {"f:data": {}}}]);
    assert_eq!(kept["items"][0]["metadata"]["managedFields"], expected);
}

#[test]
fn managed_fields_within_an_object_are_left_to_it() {
    let template = field(3, field(1, metadata("template")));
    let deployment = [field(1, metadata("a")), field(2, template)].concat();
    let body = envelope("apps/v1", "DeploymentList", &[field(1, ""), field(2, deployment)].concat());
    let list = whole(Transcoder::list(schema("apps/v1", "Deployment"), ManagedFields::Drop), &body);
    let object = &list["items"][0];
    assert!(object["metadata"].get("managedFields").is_none(), "{object}");
    let expected = json!([{"manager": "kubectl", "fieldsV1": {"f:data": {}}}]);
    assert_eq!(object["spec"]["template"]["metadata"]["managedFields"], expected);
}

#[test]
fn a_field_that_is_not_known_is_refused_and_what_came_before_it_is_kept() {
    let newer = [config_map("b"), field(99, "new")].concat();
    let (json, error) = run(config_maps(), [&list("ConfigMap", &[config_map("a"), newer.clone()])[..]]);
    assert!(json.ends_with("\"immutable\":true}"), "{json}");
    let expected = "the API server sent protobuf that can not be read: a field is not known, or stands twice, in core.v1.ConfigMap";
    assert_eq!(error.unwrap().to_string(), expected);

    let frames = [event("ADDED", "v1", "ConfigMap", &config_map("a")), event("MODIFIED", "v1", "ConfigMap", &newer)];
    let (json, error) = run(config_map_events(), [&frames.concat()[..]]);
    assert_eq!(json.lines().count(), 1, "{json}");
    assert!(matches!(error, Some(Error::Protobuf { within: "core.v1.ConfigMap", .. })), "{error:?}");
}

#[test]
fn what_stands_deeper_is_refused_by_the_name_of_its_message() {
    let body = list("ConfigMap", &[field(1, field(50, "new"))]);
    assert!(problem(config_maps(), &body).ends_with("in meta.v1.ObjectMeta"));
}

#[test]
fn fields_that_stand_twice_or_out_of_order_are_refused() {
    for item in [
        [field(1, metadata("a")), field(1, metadata("a"))].concat(),
        [number(4, 1), field(1, metadata("a"))].concat(),
        field(1, [field(11, field(1, "b")), field(11, field(1, "a"))].concat()),
        field(1, [field(11, field(1, "a")), field(11, field(1, "a"))].concat()),
        field(2, [field(2, "v"), field(1, "k")].concat()),
    ] {
        problem(config_maps(), &list("ConfigMap", &[item]));
    }
}

#[test]
fn another_list_and_another_object_are_refused() {
    assert_eq!(run(config_maps(), [&list("Secret", &[])[..]]).1, Some(Error::NotAList));
    assert_eq!(run(config_maps(), [&envelope("v1", "Status", b"")[..]]).1, Some(Error::NotAList));
    problem(config_map_events(), &event("ADDED", "v1", "Secret", &config_map("a")));
    problem(config_map_events(), &event("ADDED", "v2", "ConfigMap", &config_map("a")));
}

#[test]
fn json_in_place_of_protobuf_is_refused() {
    problem(config_maps(), b"{\"kind\":\"ConfigMapList\"}");
}

#[test]
fn what_is_too_large_is_refused_before_it_is_there() {
    let head = [&varint(2 << 3 | 2)[..], &varint(u64::from(u32::MAX))].concat();
    let item = [&b"k8s\0"[..], &head, &varint(2 << 3 | 2), &varint(MAX_OBJECT_BYTES as u64 + 1)].concat();
    assert_eq!(run(config_maps(), [&item[..]]).1, Some(too_large(MAX_OBJECT_BYTES)));
    let metadata = [&b"k8s\0"[..], &head, &varint(1 << 3 | 2), &varint(MAX_HEAD_BYTES as u64 + 1)].concat();
    assert_eq!(run(config_maps(), [&metadata[..]]).1, Some(too_large(MAX_HEAD_BYTES)));
    let frame = u32::try_from(MAX_OBJECT_BYTES + 1).unwrap().to_be_bytes();
    assert_eq!(run(config_map_events(), [&frame[..]]).1, Some(too_large(MAX_OBJECT_BYTES)));
}

#[test]
fn an_item_that_is_longer_than_its_list_is_refused() {
    let body = [&b"k8s\0"[..], &field(2, varint(2 << 3 | 2)), &varint(40)].concat();
    problem(config_maps(), &body);
}

#[test]
fn a_body_that_ends_early_ends_its_json_early() {
    let body = list("ConfigMap", &[config_map("a"), config_map("b")]);
    for end in 0..body.len() - field(3, "").len() * 2 {
        let (json, error) = run(config_maps(), [&body[..end]]);
        assert_eq!(error, None);
        assert!(serde_json::from_str::<Value>(&json).is_err(), "{json}");
    }
}

#[test]
fn a_large_buffer_is_not_kept() {
    let large = [field(1, metadata("a")), field(2, [field(1, "k"), field(2, vec![b'x'; 4 * KEPT])].concat())].concat();
    let body = list("ConfigMap", &[large, config_map("b")]);
    let mut transcoder = config_maps();
    for chunk in body.chunks(1_000) {
        assert_eq!(transcoder.push(chunk).error, None);
    }
    assert!(transcoder.carry.capacity() <= KEPT, "{}", transcoder.carry.capacity());
}

#[test]
fn the_schema_of_every_kind_is_whole_and_finite() {
    let kinds: Vec<_> = schema::kinds(schema::TEXT).collect();
    assert!(kinds.len() > 50, "{}", kinds.len());
    for (api_version, kind, _) in kinds {
        let schema = schema(api_version, kind);
        assert_eq!(schema.message(schema::Id::LIST_META).name, "meta.v1.ListMeta", "{kind}");
        assert_eq!(schema.message(schema::Id::STATUS).name, "meta.v1.Status", "{kind}");
        // What holds itself would let a few bytes of hostile nesting exhaust the stack.
        assert!(depth(&schema, schema::Id::OBJECT, 0) < 24, "{kind}");
        for message in schema.messages() {
            assert!(message.fields.is_sorted_by(|one, next| one.number < next.number), "{}", message.name);
        }
    }
}

fn depth(schema: &Schema, id: schema::Id, at: u32) -> u32 {
    assert!(at < 64, "{} holds itself", schema.message(id).name);
    let within = schema.message(id).fields.iter().filter_map(|field| match field.r#type {
        schema::Type::Message(id) => Some(depth(schema, id, at + 1)),
        _ => None,
    });
    1 + within.max().unwrap_or(0)
}

#[test]
fn kinds_that_are_not_built_in_or_can_not_be_listed_have_no_schema() {
    for (api_version, kind) in
        [("demo.kubewright.dev/v1", "Website"), ("apps/v1", "Pod"), ("v1", "Status"), ("v2", "Pod")]
    {
        assert!(Schema::of(api_version, kind).is_none(), "{kind} {api_version}");
    }
}
