//! Paths through `Option`, `Vec`, maps, boxes, tuples and raw identifiers; functions; every kind of index value.
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, LocalObjectReference, Secret, Service, ServiceAccount};
use kubewright::declare::{Mapping, Primary};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Route", namespaced, status = "RouteStatus")]
#[operator(
    watches(Secret, by = spec.tls.secret, by = spec.listeners.certificates),
    watches(ConfigMap, by = spec.r#type.0, by = spec.by_name.config),
    watches(Service, by = module::back_ends),
    watches(ServiceAccount, by = status.account),
    index(by_port = spec.listeners.port, by_host = hosts),
    index(r#type = spec.r#type.1, by_label = metadata.labels),
)]
pub struct RouteSpec {
    pub tls: Option<Box<Tls>>,
    pub listeners: Option<Vec<Listener>>,
    pub r#type: (String, bool),
    pub by_name: BTreeMap<String, Config>,
    pub back_ends: Vec<String>,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
pub struct Tls {
    secret: LocalObjectReference,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
pub struct Listener {
    port: u16,
    certificates: Vec<Option<String>>,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
pub struct Config {
    config: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
pub struct RouteStatus {
    account: String,
}

mod module {
    pub(super) fn back_ends(route: &super::Route) -> impl Iterator<Item = &str> {
        route.spec.back_ends.iter().map(String::as_str)
    }
}

fn hosts(route: &Route) -> Vec<String> {
    vec![format!("{}.example", route.metadata.name.as_deref().unwrap_or_default())]
}

#[test]
fn every_leaf_is_reached() {
    let route: Route = serde_json::from_str(
        r#"{
            "apiVersion": "demo.kubewright.dev/v1", "kind": "Route", "metadata": {"name": "r", "labels": {"a": "b"}},
            "spec": {
                "tls": {"secret": {"name": "tls"}},
                "listeners": [{"port": 80, "certificates": []}, {"port": 443, "certificates": ["c1", null, "c2"]}],
                "type": ["kind", true], "by_name": {"x": {"config": "x-config"}, "y": {}}, "back_ends": ["b1", "b2"]
            },
            "status": {"account": "robot"}
        }"#,
    )
    .unwrap();
    let declaration = Route::declaration();
    let named: Vec<Vec<String>> = declaration
        .relations
        .iter()
        .map(|relation| {
            let Mapping::References(project) = &relation.mapping else { panic!("no references") };
            let mut found = Vec::new();
            project(&route, &mut |reference| found.push(reference.name));
            found
        })
        .collect();
    assert_eq!(named, [vec!["tls", "c1", "c2"], vec!["kind", "x-config"], vec!["b1", "b2"], vec!["robot"]]);
    let indexed: Vec<(&str, Vec<String>)> = declaration
        .indexes
        .iter()
        .map(|index| {
            let mut found = Vec::new();
            (index.project)(&route, &mut |value| found.push(value.to_owned()));
            (index.name, found)
        })
        .collect();
    let expected = [
        ("by_port", vec!["80", "443"]),
        ("by_host", vec!["r.example"]),
        ("type", vec!["true"]),
        ("by_label", vec!["b"]),
    ];
    assert_eq!(indexed, expected.map(|(name, values)| (name, values.into_iter().map(str::to_owned).collect())));
    let _query = RouteLister::r#type;
}
