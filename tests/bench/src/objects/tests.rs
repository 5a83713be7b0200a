//! What is served is what the kinds say, in the order in which an API server lists it.
use std::collections::HashSet;

use k8s_openapi::api::core::v1::Pod;
use kubewright::kube::ResourceExt;
use serde::de::DeserializeOwned;

use super::{ObjectKind, Rendered, SEED, SENT};
use crate::widget::Widget;

const COUNT: usize = 600;

fn check<K: kube::Resource + DeserializeOwned>(kind: ObjectKind) -> Vec<K> {
    let rendered = kind.render(COUNT, SEED);
    assert_eq!(rendered.len(), COUNT);
    let objects: Vec<K> = rendered.iter().map(decode).collect();
    let keys: Vec<String> =
        objects.iter().map(|object| format!("{}/{}", object.namespace().unwrap(), object.name_any())).collect();
    assert!(keys.is_sorted(), "{kind:?} come in the order of keys");
    let distinct = |of: fn(&K) -> String| objects.iter().map(of).collect::<HashSet<_>>().len();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), COUNT, "keys are distinct");
    assert_eq!(distinct(|object| object.uid().unwrap()), COUNT, "uids are distinct");
    assert!(objects.iter().all(|object| object.owner_references().iter().any(|owner| owner.controller == Some(true))));
    assert!(
        objects.iter().all(|object| object.annotations().contains_key(SENT) && !object.managed_fields().is_empty())
    );
    objects
}

fn decode<K: DeserializeOwned>(rendered: &Rendered) -> K {
    serde_json::from_str(rendered.json()).unwrap_or_else(|error| panic!("{error}: {}", rendered.json()))
}

#[test]
fn pods_are_pods_in_the_order_of_keys() {
    let pods: Vec<Pod> = check(ObjectKind::Pods);
    let apps: HashSet<&str> = pods.iter().map(|pod| pod.labels()["app.kubernetes.io/name"].as_str()).collect();
    assert!(apps.len() > 30, "{} apps have pods", apps.len());
    let spec = |pod: &Pod| pod.spec.clone().unwrap_or_default();
    let addresses = pods.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone()).collect::<HashSet<_>>();
    assert!(addresses.len() > COUNT * 9 / 10, "{} addresses", addresses.len());
    let nodes: HashSet<String> = pods.iter().filter_map(|pod| spec(pod).node_name).collect();
    assert!(nodes.len() > 200, "{} nodes", nodes.len());
    let shapes: HashSet<usize> = pods.iter().map(|pod| spec(pod).containers[0].env.iter().flatten().count()).collect();
    assert!(shapes.len() > 5, "{} lengths of environments", shapes.len());
}

#[test]
fn widgets_are_widgets_in_the_order_of_keys() {
    let widgets: Vec<Widget> = check(ObjectKind::Widgets);
    let hosts: HashSet<&str> = widgets.iter().map(|widget| widget.spec.host.as_str()).collect();
    assert!((COUNT / 20..COUNT / 2).contains(&hosts.len()), "{} hosts", hosts.len());
}

#[test]
fn objects_are_as_large_as_real_ones() {
    for (kind, expected) in [(ObjectKind::Pods, 3_500..6_500), (ObjectKind::Widgets, 1_900..2_900)] {
        let rendered = kind.render(COUNT, SEED);
        let mean = rendered.iter().map(|object| object.json().len()).sum::<usize>() / COUNT;
        assert!(expected.contains(&mean), "{kind:?}: {mean} bytes");
    }
}

#[test]
fn a_seed_makes_the_same_objects_and_another_makes_others() {
    let texts = |seed| ObjectKind::Pods.render(50, seed).iter().map(|pod| pod.json().to_owned()).collect::<Vec<_>>();
    assert_eq!(texts(1), texts(1));
    assert_ne!(texts(1), texts(2));
}

#[test]
fn a_change_differs_in_version_and_in_when_it_was_sent() {
    for kind in ObjectKind::ALL {
        let rendered = &kind.render(1, SEED)[0];
        let mut changed = Vec::new();
        rendered.write_changed(&mut changed, 77, 1_234);
        let mut expected: serde_json::Value = serde_json::from_str(rendered.json()).unwrap();
        expected["metadata"]["resourceVersion"] = "77".into();
        expected["metadata"]["annotations"][SENT] = "0000000000000001234".into();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&changed).unwrap(), expected);
    }
}

#[test]
fn items_of_built_in_kinds_do_not_say_what_they_are() {
    for (kind, says) in [(ObjectKind::Pods, false), (ObjectKind::Widgets, true)] {
        let mut item = Vec::new();
        kind.render(1, SEED)[0].write_item(&mut item);
        let item: serde_json::Value = serde_json::from_slice(&item).unwrap();
        assert_eq!(item.get("kind").is_some(), says, "{kind:?}");
        assert!(item["metadata"]["name"].is_string());
    }
}
