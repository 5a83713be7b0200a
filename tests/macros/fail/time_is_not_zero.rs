//! Times that are none, as a limit and as a period.
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(deadline = "0s", resync = "0h0m")]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

fn main() {}
