//! Metadata alone, which comes in protobuf of every kind.
use super::*;

const AS_METADATA: &str = "as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Metadata alone of a custom resource.
fn websites() -> Target {
    let mut target = Target { metadata_only: true, ..pods() };
    target.resource.group = "demo.example.com".into();
    target.resource.kind = "Website".into();
    target.resource.plural = "websites".into();
    target
}

fn partial_list(version: u32, token: &str, items: &[Vec<u8>]) -> Vec<u8> {
    envelope("meta.k8s.io/v1", "PartialObjectMetadataList", &list_message(version, token, items))
}

fn partial_event(r#type: &str, message: &[u8]) -> Vec<u8> {
    frame(r#type, envelope("meta.k8s.io/v1", "PartialObjectMetadata", message))
}

fn partial_end(version: u32) -> Vec<u8> {
    partial_event("BOOKMARK", &message("", version, "k8s.io/initial-events-end", b""))
}

/// The same in JSON.
fn partial(name: &str, version: u32) -> String {
    let metadata = format!(r#"{{"name":"{name}","resourceVersion":"{version}"}}"#);
    format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#)
}

/// Metadata with a field that nothing knows.
fn newer_metadata(name: &str, version: u32) -> Vec<u8> {
    field(1, [field(1, name), field(6, version.to_string()), field(1000, "hunter2")].concat())
}

fn asked_in(api: &Api) -> Vec<bool> {
    api.asked().iter().map(Request::accepts_protobuf).collect()
}

#[tokio::test]
async fn metadata_alone_is_asked_for_in_protobuf_whatever_the_kind() {
    let check = async |target: Target, encoding: Encoding, forms: &[&str]| {
        let api = Api::new(|_, _| Reply::new("application/json", ""));
        let source = api.source(target).with_encoding(encoding);
        drop((source.list(all()).await.unwrap(), source.watch(from_nothing()).await.unwrap()));
        let asked = api.asked();
        for (request, kind) in asked.iter().zip(["PartialObjectMetadataList", "PartialObjectMetadata"]) {
            let expected: Vec<_> =
                forms.iter().map(|form| form.replace("METADATA", &format!("as={kind};g=meta.k8s.io;v=v1"))).collect();
            assert_eq!(request.accept.split(", ").collect::<Vec<_>>(), expected);
        }
    };
    let protobuf = [
        "application/vnd.kubernetes.protobuf;METADATA;drop=metadata.managedFields",
        "application/vnd.kubernetes.protobuf;METADATA",
    ];
    let json =
        ["application/json;METADATA;drop=metadata.managedFields", "application/json;METADATA", "application/json"];
    for target in [Target { metadata_only: true, ..pods() }, websites()] {
        check(target.clone(), Encoding::Protobuf, &[&protobuf[..], &json].concat()).await;
        check(target.clone(), Encoding::Json, &json).await;
        let keep = Target { managed_fields: ManagedFields::Keep, ..target };
        check(keep, Encoding::Protobuf, &[protobuf[1], json[1], json[2]]).await;
    }
}

#[tokio::test]
async fn metadata_alone_in_protobuf_is_the_json_that_would_have_come() {
    let api = Api::new(|_, request| match request.is_watch() {
        true => {
            let expired = [field(2, "Failure"), field(3, "too old"), field(4, "Expired")].concat();
            let expired = frame("ERROR", envelope("v1", "Status", &expired));
            Reply::new(PROTOBUF_WATCH, [partial_event("DELETED", &pod_message("a", 5)), expired].concat())
        }
        false => Reply::new(PROTOBUF, partial_list(9, "next", &[pod_message("a", 5), pod_message("b", 7)])),
    });
    let source = api.source(websites());
    let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
    let object = |name: &str, version: u32| {
        let mut object = value(&partial(name, version));
        object["metadata"]["annotations"] = serde_json::json!({"a": "true"});
        object
    };

    let (json, error) = drain(source.list(all()).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    let list = value(&json);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&"PartialObjectMetadataList".into(), &"meta.k8s.io/v1".into()));
    assert_eq!(list["metadata"]["continue"], "next");
    assert_eq!(list["items"], serde_json::json!([object("a", 5), object("b", 7)]));

    let (json, error) = drain(source.watch(from_nothing()).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    let events: Vec<_> = json.lines().map(value).collect();
    assert_eq!((&events[0]["type"], &events[0]["object"]), (&"DELETED".into(), &object("a", 5)));
    assert_eq!(events[1]["object"]["reason"], "Expired");
    assert_eq!(source.encoding(), Some(Encoding::Protobuf));
}

#[tokio::test(start_paused = true)]
async fn metadata_alone_is_reflected_from_protobuf_by_a_watch_and_by_a_list() {
    for first_sync in [FirstSync::WatchList, FirstSync::List] {
        let api = Api::new(move |_, request| match (request.is_watch(), first_sync) {
            (true, FirstSync::WatchList) => {
                let listed = [partial_event("ADDED", &pod_message("a", 5)), partial_end(9)];
                let later =
                    [partial_event("MODIFIED", &pod_message("a", 10)), partial_event("DELETED", &pod_message("a", 11))];
                Reply::new(PROTOBUF_WATCH, [listed.concat(), later.concat()].concat()).open()
            }
            (true, FirstSync::List) => {
                Reply::new(PROTOBUF_WATCH, partial_event("MODIFIED", &pod_message("a", 10))).open()
            }
            (false, _) => Reply::new(PROTOBUF, partial_list(9, "", &[pod_message("a", 5)])),
        });
        let (deltas, status) = api.reflect_on(websites(), seconds(30), first_sync).await;
        let expected = ["started", "listed a@5", "replaced 9", "applied a@10", "deleted a@11"];
        assert_eq!(deltas, if first_sync == FirstSync::WatchList { &expected[..] } else { &expected[..4] });
        assert_eq!((status.skipped, status.encoding), (0, Some(Encoding::Protobuf)));
        assert!(status.failure.is_none(), "{:?}", status.failure);
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_that_can_not_be_read_is_asked_for_in_json_and_nothing_is_lost() {
    let api = Api::new(|_, request| match request.accepts_protobuf() {
        true => {
            let body = [
                partial_event("ADDED", &pod_message("a", 5)),
                partial_event("ADDED", &newer_metadata("b", 6)),
                partial_end(9),
            ];
            Reply::new(PROTOBUF_WATCH, body.concat()).open()
        }
        false => {
            let body = event("ADDED", &partial("a", 5))
                + &event("ADDED", &partial("b", 6))
                + &initial_events_end(9).replace("Pod", "Website").replace("v1", "demo.example.com/v1");
            Reply::new("application/json", body).open()
        }
    });
    let (deltas, status) = api.reflect_on(websites(), seconds(60), FirstSync::WatchList).await;
    assert_eq!(deltas, ["started", "listed a@5", "started", "listed a@5", "listed b@6", "replaced 9"]);
    assert_eq!(asked_in(&api), [true, false]);
    assert!(api.asked()[1].accept.contains(AS_METADATA), "metadata is still enough: {:?}", api.asked()[1]);
    assert_eq!((status.skipped, status.counts.failures, status.encoding), (0, 1, Some(Encoding::Json)));
}

/// As one that does not know the parameter, and takes it for any.
#[tokio::test(start_paused = true)]
async fn whole_objects_in_protobuf_where_metadata_was_asked_for_are_asked_for_in_json() {
    for first_sync in [FirstSync::WatchList, FirstSync::List] {
        let api = Api::new(|_, request| match (request.accepts_protobuf(), request.is_watch()) {
            (true, true) => {
                Reply::new(PROTOBUF_WATCH, [event_of("ADDED", &pod_message("a", 5)), end_of(9)].concat()).open()
            }
            (true, false) => Reply::new(PROTOBUF, list_of(9, "", &[pod_message("a", 5)])),
            (false, true) => {
                Reply::new("application/json", event("ADDED", &pod("a", 5)) + &initial_events_end(9)).open()
            }
            (false, false) => Reply::new("application/json", page(9, "", &[pod("a", 5)])),
        });
        let target = Target { metadata_only: true, ..pods() };
        let (deltas, status) = api.reflect_on(target, seconds(30), first_sync).await;
        assert_eq!(deltas.iter().filter(|delta| *delta == "replaced 9").count(), 1, "{deltas:?}");
        assert_eq!(
            deltas.iter().filter(|delta| *delta == "listed a@5").count(),
            1,
            "nothing of another kind: {deltas:?}"
        );
        assert_eq!(asked_in(&api)[..2], [true, false]);
        assert_eq!(asked_in(&api)[1..].iter().filter(|protobuf| **protobuf).count(), 0, "it is remembered");
        assert!(status.failure.is_none(), "{:?}", status.failure);
        assert_eq!((status.skipped, status.encoding), (0, Some(Encoding::Json)));
    }
}

#[tokio::test]
async fn metadata_alone_is_taken_in_json_from_who_chooses_it_and_from_who_refuses_protobuf() {
    let body = page(5, "", &[partial("a", 4)]);
    let json = body.clone();
    let api = Api::new(move |_, _| Reply::new("application/json", json.clone()));
    let source = api.source(websites());
    for _ in 0..2 {
        assert_eq!(drain(source.list(all()).await.unwrap()).await.0, body);
    }
    assert_eq!(asked_in(&api), [true, true], "it was the server's choice");
    assert_eq!(source.encoding(), Some(Encoding::Json));

    for code in [406, 415] {
        let json = body.clone();
        let api = Api::new(move |_, request| match request.accepts_protobuf() {
            true => Reply { code, ..Reply::new("text/plain", "only JSON here") },
            false => Reply::new("application/json", json.clone()),
        });
        let source = api.source(websites());
        for _ in 0..2 {
            assert_eq!(drain(source.list(all()).await.unwrap()).await.0, body);
        }
        assert_eq!(asked_in(&api), [true, false, false]);
        assert!(api.asked()[1].accept.contains("application/json;as=PartialObjectMetadataList;"));
    }
}
