//! Functions of the wrong types.
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kubewright::controller::Predicate;
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(watches(ConfigMap, by = numbers), watches(Node, map = names), index(by_x = floats), predicate = others)]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

fn numbers(_: &Website) -> Vec<i32> {
    Vec::new()
}

fn names(_: &Node) -> Vec<String> {
    Vec::new()
}

fn floats(_: &Website) -> Option<f64> {
    None
}

fn others() -> Predicate<Node> {
    Predicate::generation_changed()
}

fn main() {}
