//! Objects that no user means to write.
use std::sync::Arc;

use crate::wire::RawObject;

use super::*;

/// As deep as the API server takes them: whoever may write one object must not be able to stop the cache of all.
#[tokio::test]
async fn an_object_that_is_nested_as_deeply_as_can_be_is_one_of_many() {
    let script = Script::new();
    let by_data = script.informer.add_index(|object: &ConfigMap| object.data.clone().unwrap_or_default().into_values());
    let (_registration, mut seen) = script.record();
    script.list(1, &[config_map("a/good").data("k", "v")]).await;
    let levels = 9_990;
    let mut raws = Vec::new();
    for (version, place) in (2..).zip(["data", "extra", "data", "extra", "extra"]) {
        let (open, close) = if version > 3 { ("{\"a\":", "}") } else { ("[", "]") };
        let deep = [&open.repeat(levels), "0", &close.repeat(levels)].concat();
        let metadata =
            format!(r#"{{"namespace":"a","name":"deep-{place}","uid":"{place}","resourceVersion":"{version}"}}"#);
        let json = format!(r#"{{"metadata":{metadata},"data":{{"k":"v"}},"{place}":{{"x":{deep}}}}}"#);
        let json = if place == "data" { json.replace(r#""data":{"k":"v"},"#, "") } else { json };
        let raw = Arc::new(RawObject::parse(json.as_bytes()).unwrap());
        script.push(Delta::Applied(Arc::clone(&raw))).await;
        raws.push(raw);
    }
    script.apply(&config_map("a/last").version(9).data("k", "v")).await;
    script.reaches(9).await;
    assert_eq!(take(&mut seen).len(), 7);
    let lister = script.informer.lister();
    let error = lister.get(&key("a/deep-data")).unwrap_err();
    assert!(error.to_string().contains("a/deep-data"), "{error}");
    assert!(lister.get(&key("a/deep-extra")).unwrap().is_some(), "what nobody reads may be as it likes");
    assert!(lister.json().get(&key("a/deep-extra")).is_err());
    let mut indexed = lister.keys_by(&by_data, "v");
    indexed.sort();
    assert_eq!(indexed, [key("a/deep-extra"), key("a/good"), key("a/last")]);
    script.list(20, &[]).await;
    script.reaches(20).await;
    assert!(lister.is_empty());
}
