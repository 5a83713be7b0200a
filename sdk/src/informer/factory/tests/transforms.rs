//! Objects that are changed before they are cached.
use std::sync::Mutex;

use crate::informer::event::Event;

use super::*;

/// Drops `data` and counts its calls by key and version.
fn counting() -> (Transform, Arc<Mutex<Vec<String>>>) {
    let calls = Arc::<Mutex<Vec<String>>>::default();
    let counted = Arc::clone(&calls);
    let transform = Transform::new(move |object| {
        let metadata = &object["metadata"];
        let name = format!("{}@{}", metadata["name"], metadata["resourceVersion"]).replace('"', "");
        counted.lock().unwrap().push(name);
        object.as_object_mut().unwrap().remove("data");
    });
    (transform, calls)
}

#[tokio::test]
async fn q8_an_object_is_transformed_once_however_it_comes_and_never_when_only_its_absence_shows() {
    let mut setup = setup();
    let (transform, calls) = counting();
    let options = || InformerOptions::default().transform(transform.clone());
    let informer = setup.factory.informer_with::<ConfigMap>(options());
    assert!(Arc::ptr_eq(informer.shared(), setup.factory.informer_with::<ConfigMap>(options()).shared()));
    assert!(!Arc::ptr_eq(informer.shared(), setup.factory.informer::<ConfigMap>().shared()));
    let (sender, mut seen) = mpsc::unbounded_channel();
    let _registration = informer.shared().add_inline_handler(Box::new(move |event| {
        let _ = sender.send(event.map(|object| String::from_utf8(object.object().json().to_vec()).unwrap()));
    }));
    setup.factory.start();
    let stream = setup.streams().remove(0);
    let object = |key: &str, version: u64| config_map(key).version(version).data("secret", "value").raw();
    for delta in [
        // A list, or the initial events of a watch: the same deltas.
        Delta::ListStarted,
        Delta::Listed(object("a/one", 1)),
        Delta::Listed(object("a/two", 2)),
        Delta::Replaced(ResourceVersion::new("3")),
        Delta::Applied(object("a/one", 4)),
        Delta::Deleted(object("a/one", 5)),
        Delta::ListStarted,
        Delta::Replaced(ResourceVersion::new("6")),
    ] {
        stream.deltas.push(delta).await.unwrap();
    }
    informer.status().wait_for(|status| status.version.as_str() == "6").await.unwrap();
    assert_eq!(*calls.lock().unwrap(), ["one@1", "two@2", "one@4", "one@5"]);
    let mut events = 0;
    while let Ok(event) = seen.try_recv() {
        events += 1;
        assert!(!event.latest().contains("secret"), "{event:?}");
        if let Event::Updated { old, .. } = &event {
            assert!(!old.contains("secret"));
        }
    }
    assert_eq!(events, 5);
}

#[tokio::test]
async fn what_a_transform_must_not_change_is_cached_as_it_came() {
    let changes: [fn(&mut serde_json::Value); 10] = [
        |object| object["metadata"]["name"] = "other".into(),
        |object| object["metadata"]["namespace"] = "other".into(),
        |object| object["metadata"]["uid"] = "other".into(),
        |object| object["metadata"]["resourceVersion"] = "9".into(),
        |object| object["metadata"]["finalizers"] = serde_json::json!(["ours"]),
        |object| object["metadata"]["generation"] = 9.into(),
        |object| {
            let owner = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": "other" });
            object["metadata"]["ownerReferences"] = serde_json::json!([owner]);
        },
        |object| object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
        |object| *object = serde_json::Value::Null,
        |_| panic!("as the test wants"),
    ];
    for (position, change) in changes.into_iter().enumerate() {
        let object = config_map("a/one").data("k", "v").raw();
        let transform = Transform::new(move |object| {
            object["data"]["k"] = "changed".into();
            change(object);
        });
        let came = transform.apply(Arc::clone(&object));
        assert!(Arc::ptr_eq(&came, &object), "change {position}");
    }
    let labelled = config_map("a/one").label("keep", "me").data("k", "v").raw();
    let transform = Transform::new(|object| object["metadata"]["labels"] = serde_json::json!({ "short": "yes" }));
    let came = transform.apply(labelled);
    assert_eq!(came.metadata().labels.len(), 1, "everything else it may change, and what stands on it follows");
    assert_eq!(&*came.metadata().labels[0].0, "short");
}
