//! What the wire layer makes of bodies that were written by hand.
use super::*;

mod properties;

mod seeds;

mod streams;

const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7",
  "generation":3,"deletionTimestamp":"2026-01-01T00:00:00Z","labels":{"z":"1","a":"\u00e9"},"annotations":{"k":"v"},
  "finalizers":["f/1","f/2"],"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"ru",
  "controller":true,"blockOwnerDeletion":true},{"apiVersion":"v1","kind":"Node","name":"m","uid":"mu"}],
  "managedFields":[{"manager":"kubelet","fieldsV1":{"f:status":{}}}]},"spec":{"a":[1,2.5e3,-0,true,null,"\"}"]}}"#;

#[test]
fn metadata_is_found_in_a_whole_object() {
    let object = RawObject::parse(POD.as_bytes()).unwrap();
    let metadata = object.metadata();
    assert_eq!(metadata.key, ObjectKey::namespaced("n", "a"));
    assert_eq!((&*metadata.uid, metadata.resource_version.as_str()), ("u", "7"));
    assert_eq!((metadata.generation, metadata.deleting), (Some(3), true));
    assert_eq!(metadata.labels, [("a".into(), "é".into()), ("z".into(), "1".into())]);
    assert_eq!(metadata.finalizers, ["f/1".into(), "f/2".into()]);
    assert_eq!(metadata.owners.len(), 2);
    let owner = metadata.controller().unwrap();
    assert_eq!((&*owner.group, &*owner.kind, &*owner.name, &*owner.uid), ("apps", "ReplicaSet", "r", "ru"));
    assert_eq!(&*metadata.owners[1].group, "");
}

#[test]
fn nulls_stand_for_what_is_empty() {
    let object = RawObject::parse(
        br#"{"metadata":{"name":"a","namespace":null,"labels":null,"finalizers":null,"ownerReferences":null,
        "generation":null,"deletionTimestamp":null,"annotations":null,"uid":null,"resourceVersion":null}}"#,
    )
    .unwrap();
    let metadata = object.metadata();
    assert_eq!(metadata.key, ObjectKey::cluster("a"));
    assert!(!metadata.deleting && metadata.labels.is_empty() && metadata.generation.is_none());
}

#[test]
fn managed_fields_go_with_one_comma_and_nothing_else_changes() {
    let check = |json: &str, expected: &str| {
        let object = RawObject::parse(json.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(object.json()).unwrap(), expected, "{json}");
    };
    check(r#"{"metadata":{"managedFields":[{}],"name":"a"}}"#, r#"{"metadata":{"name":"a"}}"#);
    check(r#"{"metadata":{"name":"a","managedFields":[{}]}}"#, r#"{"metadata":{"name":"a"}}"#);
    check(r#"{"metadata":{"name":"a","managedFields":null,"uid":"u"}}"#, r#"{"metadata":{"name":"a","uid":"u"}}"#);
    check(
        r#"{"metadata":{"name":"a" , "managedFields" : [ ] , "uid":"u"}}"#,
        r#"{"metadata":{"name":"a" ,  "uid":"u"}}"#,
    );
    check(r#"{"metadata":{"name":"a" , "managedFields" : [ ] } }"#, r#"{"metadata":{"name":"a"  } }"#);
    check(r#"{"metadata":{"name":"a","\u006danagedFields":[1]}}"#, r#"{"metadata":{"name":"a"}}"#);
    // Only that of the object itself: a template's is part of the spec.
    let nested = r#"{"spec":{"metadata":{"managedFields":[1]}},"metadata":{"name":"a"},"managedFields":[2]}"#;
    check(nested, nested);
    // What stands before the object, as in an event with its members in the other order, does not shift the cut.
    let line = br#"{"object":{"metadata":{"name":"a","managedFields":[1]}},"type":"ADDED"}"#;
    let event = Event::parse(line, &mut Models::default()).unwrap();
    assert_eq!(
        event.object.to_object(ManagedFields::Drop, &mut Buffers::exact()).unwrap().json(),
        br#"{"metadata":{"name":"a"}}"#
    );
}

#[test]
fn objects_without_usable_metadata_name_the_field() {
    let check = |json: &str, field: &str| match RawObject::parse(json.as_bytes()) {
        Err(Error::Unusable { field: found }) => assert_eq!(found, field, "{json}"),
        other => panic!("{json}: {other:?}"),
    };
    check("{}", "metadata.name");
    check(r#"{"metadata":{}}"#, "metadata.name");
    check(r#"{"metadata":{"name":""}}"#, "metadata.name");
    check(r#"{"metadata":{"name":5}}"#, "metadata.name");
    check(r#"{"metadata":{"name":"a/b"}}"#, "metadata.name");
    check(r#"{"metadata":{"name":"a","namespace":"b/c"}}"#, "metadata.namespace");
    check(r#"{"metadata":{"name":"a","labels":["x"]}}"#, "metadata.labels");
    check(r#"{"metadata":{"name":"a","labels":{"x":1}}}"#, "metadata.labels");
    check(r#"{"metadata":{"name":"a","ownerReferences":["x"]}}"#, "metadata.ownerReferences");
    check(r#"{"metadata":{"name":"a","generation":1.5}}"#, "metadata.generation");
}

#[test]
fn bytes_that_are_not_one_json_object_are_malformed() {
    let deep = "[".repeat(scan::MAX_NESTING) + "0" + &"]".repeat(scan::MAX_NESTING);
    for json in [
        "",
        " ",
        "[]",
        "null",
        "{",
        r#"{"metadata""#,
        r#"{"metadata":{"name":"a"}"#,
        r#"{"metadata":{"name":"a"}}}"#,
        r#"{"metadata":{"name":"a"},}"#,
        r#"{"metadata":{"name":"a"},"metadata":{"name":"b"}}"#,
        r#"{"metadata":{"name":"a","managedFields":[],"managedFields":[]}}"#,
        r#"{"metadata":{"name":"\ud800"}}"#,
        r#"{"metadata":{"name":"a"},"spec":{"x":01}}"#,
        r#"{"metadata":{"name":"a"},"spec":{"x":tru}}"#,
        r#"{"metadata":{"name":"a"},"spec":[1,]}"#,
        r#"{"metadata":{"name":"a"},"spec":[1}]"#,
        "{\"metadata\":{\"name\":\"a\"},\"spec\":\"\n\"}",
        r#"{"metadata":{"name":"a"},"spec":"\x"}"#,
        &format!(r#"{{"metadata":{{"name":"a"}},"spec":[{deep}]}}"#),
    ] {
        assert!(matches!(RawObject::parse(json.as_bytes()), Err(Error::Malformed { .. })), "{json}");
    }
    assert!(matches!(RawObject::parse(b"{\"a\":\"\xff\"}"), Err(Error::Malformed { .. })));
    assert!(RawObject::parse(format!(r#"{{"metadata":{{"name":"a"}},"spec":{deep}}}"#).as_bytes()).is_ok());
}

/// As the API server nests: whoever may write one object must not be able to stop the cache of all.
#[test]
fn what_the_api_server_accepts_is_not_nested_too_deeply() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = 9_998 / close.len();
        let json = format!(r#"{{"metadata":{{"name":"a"}},"spec":{}0{}}}"#, open.repeat(levels), close.repeat(levels));
        assert_eq!(RawObject::parse(json.as_bytes()).unwrap().json(), json.as_bytes());
        let wrong = json.replacen('0', close, 1);
        assert!(RawObject::parse(wrong.as_bytes()).is_err());
    }
}

#[test]
fn more_owners_than_a_request_has_room_for_are_not_kept() {
    let owned = |owners: usize| {
        let owners = vec![r#"{"controller":true}"#; owners].join(",");
        format!(r#"{{"metadata":{{"name":"a","ownerReferences":[{owners}]}}}}"#)
    };
    assert!(RawObject::parse(owned(1 << 16).as_bytes()).is_ok());
    let error = RawObject::parse(owned((1 << 16) + 1).as_bytes()).unwrap_err();
    assert_eq!(error, Error::Unusable { field: "metadata.ownerReferences" });
}

#[test]
fn nesting_and_text_of_any_size_cost_no_stack() {
    let deep = |open: &str, times: usize| format!(r#"{{"metadata":{{"name":"a"}},"spec":{}"#, open.repeat(times));
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let error = RawObject::parse(deep(open, 100_000).as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Malformed { problem: "it is nested too deeply", .. }), "{error}");
    }
    let text = format!(r#"{{"metadata":{{"name":"a"}},"data":"{}"}}"#, "\\n\\u00e9x".repeat(100_000));
    assert_eq!(RawObject::parse(text.as_bytes()).unwrap().json(), text.as_bytes());
    let name = format!(r#"{{"metadata":{{"name":"{}"}}}}"#, "x".repeat(1_000_000));
    assert_eq!(RawObject::parse(name.as_bytes()).unwrap().metadata().key.name().len(), 1_000_000);
}

#[test]
fn an_object_above_the_bound_is_refused_before_it_is_read() {
    let json = format!(r#"{{"metadata":{{"name":"a"}},"data":"{}"}}"#, "x".repeat(MAX_OBJECT_BYTES));
    assert_eq!(RawObject::parse(json.as_bytes()).unwrap_err(), Error::TooLarge { limit: MAX_OBJECT_BYTES });
    assert_eq!(
        Event::parse(json.as_bytes(), &mut Models::default()).unwrap_err(),
        Error::TooLarge { limit: MAX_OBJECT_BYTES }
    );
}

#[test]
fn r22_keeping_one_object_does_not_keep_the_chunk_it_came_in() {
    let chunk = Bytes::from(POD.as_bytes().to_vec());
    let item = chunk.slice(..);
    let object = RawObject::parse(&item).unwrap();
    drop(item);
    assert!(chunk.is_unique());
    assert!(object.size() > object.json().len());
}

#[test]
fn only_what_the_head_says_is_marked() {
    let check = |json: &str, marked: &[&str]| {
        let object = RawObject::parse(format!(r#"{{"metadata":{json}}}"#).as_bytes()).unwrap();
        let text = |place: Range<usize>| String::from_utf8_lossy(&object.json()[place]).into_owned();
        assert_eq!(object.marks().map(|(place, _)| text(place)).collect::<Vec<_>>(), marked, "{json}");
    };
    let (name, labels) = (r#""name":"a""#, r#""labels":{"a":"b","c":""}"#);
    check(&format!("{{{name},{labels}}}"), &[name, labels]);
    check(&format!("{{{labels},{name},{labels}}}"), &[name]);
    check(&format!("{{{labels},{name},\"labels\":null}}"), &[name]);
    check(r#"{"labels":{"":""},"name":"a","labels":{      "b":"c"}}"#, &[name]);
    check(&format!("{{\"labels\":{{}},{name},{labels}}}"), &[name, labels]);
    check(r#"{"name":"a","name" :"a"}"#, &[]);
    check(r#"{"name":"a","labels":{"c":"","a":"b"}}"#, &[name]);
    let owner =
        |name: &str, controller: bool| format!(r#"{{"name":"{name}","uid":"u{name}","controller":{controller}}}"#);
    let owners =
        |owners: [String; 3]| format!(r#"{{"generateName":"x-",{name},"ownerReferences":[{}]}}"#, owners.join(","));
    let of_x = [r#""generateName":"x-""#, name, r#""name":"x""#, r#""uid":"ux""#];
    check(&owners([owner("w", false), owner("x", true), owner("y", true)]), &of_x);
    check(&owners([owner("w", true), owner("x", true), owner("y", true)]), &[name, r#""name":"w""#, r#""uid":"uw""#]);
    check(&owners([owner("x", false), owner("x", false), owner("y", false)]), &[name]);
}
