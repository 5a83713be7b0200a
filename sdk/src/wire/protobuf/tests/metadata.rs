//! Metadata alone, which is the same message whatever kind it is of.
use super::*;

const API_VERSION: &str = "meta.k8s.io/v1";

fn schema() -> Arc<Schema> {
    Arc::new(Schema::of_metadata().expect("metadata alone has a schema"))
}

fn listing(managed_fields: ManagedFields) -> Transcoder {
    Transcoder::list(schema(), managed_fields)
}

fn watching() -> Transcoder {
    Transcoder::watch(schema(), ManagedFields::Drop)
}

fn partial_list(items: &[Vec<u8>]) -> Vec<u8> {
    let items: Vec<_> = items.iter().map(|item| field(2, item)).collect();
    envelope(API_VERSION, "PartialObjectMetadataList", &[field(1, field(2, "12")), items.concat()].concat())
}

/// What metadata alone is in JSON, where each says what it is, in a list as well.
fn partial_json(name: &str) -> Value {
    let metadata = config_map_json(name)["metadata"].take();
    json!({"kind": "PartialObjectMetadata", "apiVersion": API_VERSION, "metadata": metadata})
}

#[test]
fn items_of_a_list_say_what_they_are_as_in_json() {
    let body = partial_list(&[field(1, metadata("a")), field(1, metadata("b"))]);
    let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": API_VERSION,
        "metadata": {"resourceVersion": "12"}, "items": [partial_json("a"), partial_json("b")]});
    assert_eq!(whole(listing(ManagedFields::Drop), &body), list);
    let kept = whole(listing(ManagedFields::Keep), &body);
    assert_eq!(kept["items"][1]["metadata"]["managedFields"][0]["manager"], "kubectl");
    assert_eq!(whole(listing(ManagedFields::Drop), &partial_list(&[]))["items"], json!([]));
}

#[test]
fn events_say_it_once() {
    let end = field(12, [field(1, "k8s.io/initial-events-end"), field(2, "true")].concat());
    let body = [
        event("ADDED", API_VERSION, "PartialObjectMetadata", &field(1, metadata("a"))),
        event("BOOKMARK", API_VERSION, "PartialObjectMetadata", &field(1, [field(6, "40"), end].concat())),
        event("ERROR", "v1", "Status", &[field(4, "Expired"), number(6, 410)].concat()),
    ];
    let (json, error) = run(watching(), [&body.concat()[..]]);
    assert_eq!((json.matches("PartialObjectMetadata").count(), error), (2, None), "{json}");
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"type": "ADDED", "object": partial_json("a")}));
    assert_eq!(lines[1]["object"]["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
    assert_eq!((&lines[2]["object"]["kind"], &lines[2]["object"]["code"]), (&json!("Status"), &json!(410)));
}

#[test]
fn whole_objects_and_fields_that_are_not_known_are_refused() {
    assert_eq!(run(listing(ManagedFields::Drop), [&list("ConfigMap", &[])[..]]).1, Some(Error::NotAList));
    problem(watching(), &event("ADDED", "v1", "ConfigMap", &config_map("a")));
    problem(watching(), &event("ADDED", "meta.k8s.io/v1beta1", "PartialObjectMetadata", &field(1, metadata("a"))));
    problem(config_map_events(), &event("ADDED", API_VERSION, "PartialObjectMetadata", &field(1, metadata("a"))));
    // A spec, and a field that metadata got later.
    for item in [config_map("a"), field(1, [metadata("a"), field(40, "new")].concat())] {
        let refused = problem(listing(ManagedFields::Drop), &partial_list(std::slice::from_ref(&item)));
        assert!(refused.contains("a field is not known"), "{refused}");
        problem(watching(), &event("ADDED", API_VERSION, "PartialObjectMetadata", &item));
    }
}
