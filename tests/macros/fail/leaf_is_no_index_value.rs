//! A field that can not be indexed.
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(index(by_ratio = spec.ratio))]
pub struct WebsiteSpec {
    pub ratio: f64,
}

fn main() {}
