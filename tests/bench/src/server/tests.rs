//! The server pages, watches and changes as an API server does.
use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::Value;

use super::query::Query;
use super::{Collection, watch};
use crate::objects::{LIST_VERSION, ObjectKind, SEED};

#[test]
fn pages_hold_every_object_once_and_in_order() {
    let collection = Collection::new(ObjectKind::Pods, 25, SEED);
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let page: Value = serde_json::from_slice(&collection.page(&Query::parse(&format!("limit=10{token}")))).unwrap();
        let items = page["items"].as_array().unwrap();
        names.extend(items.iter().map(|item| item["metadata"]["uid"].to_string()));
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = format!("&continue={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = ObjectKind::Pods.render(25, SEED).iter().map(uid).collect();
    assert_eq!(names, expected);
}

fn uid(object: &crate::objects::Rendered) -> String {
    serde_json::from_str::<Value>(object.json()).unwrap()["metadata"]["uid"].to_string()
}

#[tokio::test]
async fn a_watch_sends_what_exists_then_changes_then_that_its_version_is_gone() {
    let collection = Arc::new(Collection::new(ObjectKind::Widgets, 40, SEED));
    let stream = watch::stream(Arc::clone(&collection), true);
    collection.modify(3);
    collection.modify(1);
    collection.expire();
    let body: Vec<u8> = stream.map(Result::unwrap).collect::<Vec<_>>().await.concat();
    let events: Vec<Value> =
        body.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [vec!["ADDED"; 40], vec!["BOOKMARK"], vec!["MODIFIED"; 4], vec!["ERROR"]].concat();
    assert_eq!(types, expected);
    let version =
        |event: &Value| event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    let changes: Vec<u64> = events[41..45].iter().map(version).collect();
    assert_eq!(changes, [1, 2, 3, 4].map(|step| LIST_VERSION + step));
    assert_eq!(version(&events[40]), LIST_VERSION);
    assert_eq!(events[45]["object"]["code"], 410);
}
