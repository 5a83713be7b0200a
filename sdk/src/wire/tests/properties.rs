//! Properties of the wire layer over generated bodies, whole and damaged.
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::super::*;
use super::streams::{split_lines, split_list};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1000..1000).prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(text(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z\"\\\\{}\\[\\],:é\n\t ]{0,8}", Just("managedFields".to_owned()), Just("metadata".to_owned())]
}

fn object() -> impl Strategy<Value = Value> {
    (
        "[a-z]{1,8}",
        prop::option::of("[a-z]{1,4}"),
        prop::collection::hash_map(text(), text(), 0..4),
        prop::option::of(value()),
        value(),
        value(),
    )
        .prop_map(|(name, namespace, labels, managed, spec, extra)| {
            let mut object = json!({
                "apiVersion": "v1", "kind": "Pod", "spec": spec, "status": {"metadata": extra},
                "metadata": {"name": name, "namespace": namespace, "labels": labels, "resourceVersion": "5", "extra": extra},
            });
            if let Some(managed) = managed {
                object["metadata"]["managedFields"] = managed;
            }
            object
        })
}

/// Writes `value` compact or over several lines.
fn write(value: &Value, pretty: bool) -> Vec<u8> {
    if pretty { serde_json::to_vec_pretty(value).unwrap() } else { serde_json::to_vec(value).unwrap() }
}

/// Replaces, removes and inserts bytes.
fn damage(mut bytes: Vec<u8>, edits: &[(usize, u8, u8)]) -> Vec<u8> {
    const TELLING: &[u8] = b"{}[],:\"\\ntf0-.e \n\x00\xff/u";
    for (at, how, with) in edits {
        let at = at % (bytes.len() + 1);
        let with = TELLING[usize::from(*with) % TELLING.len()];
        match how % 4 {
            0 if at < bytes.len() => bytes[at] = with,
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 => bytes.truncate(at),
            _ => bytes.insert(at, with),
        }
    }
    bytes
}

/// Bytes, or what looks like JSON here and there.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        " ",
        "null",
        "true",
        "-1.5e3",
        "\"items\":[",
        "\"metadata\":{",
        "\"name\":\"a\"",
        "\"kind\":\"PodList\"",
        "\"type\":\"ADDED\"",
        "\"object\":{",
        "\"managedFields\":[]",
        "\\u00e9",
        "\u{e9}",
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400),
        prop::collection::vec(prop::sample::select(tokens.to_vec()), 0..60)
            .prop_map(|tokens| tokens.concat().into_bytes()),
    ]
}

fn edits() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    prop::collection::vec(any::<(usize, u8, u8)>(), 1..6)
}

/// Spells a part as the API server does, after what the metadata says.
fn said(metadata: &Metadata, part: u8) -> String {
    let owner = || metadata.controller().unwrap();
    let labels = || metadata.labels.iter().map(|(key, value)| format!(r#""{key}":"{value}""#)).collect::<Vec<_>>();
    let member = |name: &str, value: &str| format!(r#""{name}":"{value}""#);
    match part {
        0 => member("name", metadata.key.name()),
        1 => member("namespace", metadata.key.namespace().unwrap_or_default()),
        2 => member("uid", &metadata.uid),
        3 => member("resourceVersion", metadata.resource_version.as_str()),
        4 => format!(r#""labels":{{{}}}"#, labels().join(",")),
        5 => member("uid", &owner().uid),
        6 => member("name", &owner().name),
        _ => member("generateName", &format!("{}-", owner().name)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cut_leaves_the_same_json_otherwise(mut object in object(), pretty: bool) {
        let raw = RawObject::parse(&write(&object, pretty)).unwrap();
        object["metadata"].as_object_mut().unwrap().remove("managedFields");
        prop_assert_eq!(serde_json::from_slice::<Value>(raw.json()).unwrap(), object.clone());
        for (place, part) in raw.marks() {
            let (said, marked) = (said(raw.metadata(), part), std::str::from_utf8(&raw.json()[place]).unwrap());
            prop_assert_eq!(marked, said);
        }
        prop_assert_eq!(raw.metadata().key.name(), object["metadata"]["name"].as_str().unwrap());
        prop_assert_eq!(raw.metadata().key.namespace(), object["metadata"]["namespace"].as_str());
        prop_assert_eq!(raw.metadata().labels.len(), object["metadata"]["labels"].as_object().unwrap().len());
    }

    #[test]
    fn fields_are_found_by_the_outline_as_by_a_walk(
        object in object(), pretty: bool, names in prop::collection::vec(text(), 1..4),
    ) {
        let raw = RawObject::parse(&write(&object, pretty)).unwrap();
        let mut paths: Vec<String> = ["kind", "spec", "status", "metadata.name", "metadata", "status.metadata", "missing.a"].map(str::to_owned).to_vec();
        for top in ["spec", "status", "status.metadata", "metadata.labels", "metadata.extra"] {
            paths.push(format!("{top}.{}", names.join(".")));
            let inner = object.pointer(&format!("/{}", top.replace('.', "/"))).and_then(Value::as_object);
            paths.extend(inner.into_iter().flat_map(|inner| inner.keys().map(|key| format!("{top}.{key}"))));
        }
        for path in paths {
            let (mut outlined, mut walked) = (Vec::new(), Vec::new());
            raw.field_values(&path, &mut |value| outlined.push(value.to_owned()));
            field_values(raw.json(), &path, &mut |value| walked.push(value.to_owned()));
            prop_assert_eq!(outlined, walked, "{}", path);
        }
    }

    #[test]
    fn what_is_accepted_is_json_and_what_is_json_is_not_malformed(object in object(), pretty: bool, edits in edits()) {
        let bytes = damage(write(&object, pretty), &edits);
        let judge = serde_json::from_slice::<IgnoredAny>(&bytes);
        match RawObject::parse(&bytes) {
            Ok(raw) => {
                prop_assert!(judge.is_ok());
                prop_assert!(serde_json::from_slice::<IgnoredAny>(raw.json()).is_ok());
            }
            // serde_json's judge takes members twice, bytes that are no UTF-8, no objects and lone surrogates; we do not.
            Err(Error::Malformed { problem, .. }) if judge.is_ok() => {
                let stricter = ["twice", "UTF-8", "an object is expected", "stands for no character"];
                prop_assert!(stricter.iter().any(|known| problem.contains(known)), "{}", problem);
            }
            Err(_) => {}
        }
    }

    #[test]
    fn any_split_of_a_list_yields_the_same_items(
        objects in prop::collection::vec(object(), 0..6), size in 1..200usize, pretty: bool,
    ) {
        let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "8"}, "items": objects});
        let (items, head) = split_list(&write(&list, pretty), size).unwrap();
        prop_assert_eq!(head.version.as_str(), "8");
        let parsed: Vec<Value> = items.iter().map(|item| serde_json::from_slice(item).unwrap()).collect();
        prop_assert_eq!(parsed, objects);
    }

    #[test]
    fn any_split_of_a_watch_yields_the_same_events(objects in prop::collection::vec(object(), 0..6), size in 1..200usize) {
        let mut body = Vec::new();
        for object in &objects {
            body.extend(write(&json!({"type": "MODIFIED", "object": object}), false));
            body.push(b'\n');
        }
        let lines = split_lines(&body, size).unwrap();
        prop_assert_eq!(lines.len(), objects.len());
        for (line, object) in lines.iter().zip(&objects) {
            let event = Event::parse(line, &mut Models::default()).unwrap();
            prop_assert_eq!(event.r#type, EventType::Modified);
            prop_assert_eq!(serde_json::from_slice::<Value>(event.object.raw).unwrap(), object.clone());
        }
    }

    #[test]
    fn any_garbage_is_split_alike_and_never_taken_for_what_it_is_not(garbage in garbage()) {
        fuzz::wire(&garbage);
    }

    #[test]
    fn any_damage_is_split_alike_and_never_taken_for_what_it_is_not(
        objects in prop::collection::vec(object(), 0..4), size: u8, edits in edits(), pretty: bool,
    ) {
        let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "8"}, "items": objects});
        fuzz::wire(&damage([vec![size], write(&list, pretty)].concat(), &edits));
    }

    #[test]
    fn damaged_bodies_yield_errors_or_objects(objects in prop::collection::vec(object(), 0..4), size in 1..200usize, edits in edits()) {
        let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "8"}, "items": objects});
        let body = damage(write(&list, false), &edits);
        if let Ok((items, _)) = split_list(&body, size) {
            prop_assert!(items.iter().map(Vec::len).sum::<usize>() <= body.len());
            for item in items {
                let _ = RawObject::parse(&item);
            }
        }
        let events = objects.iter().flat_map(|object| write(&json!({"type": "ADDED", "object": object}), false)).collect();
        for line in split_lines(&damage(events, &edits), size).unwrap() {
            let _ = Event::parse(&line, &mut Models::default()).map(|event| event.object.to_object(ManagedFields::Drop, &mut Buffers::exact()));
        }
    }
}
