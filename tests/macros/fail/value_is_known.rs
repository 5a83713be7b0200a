//! Times without a unit, of another form and of no known unit, and a presence that is none: all at once.
use k8s_openapi::api::apps::v1::Deployment;
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(deadline = "30", resync = 10)]
#[operator(owns(Deployment, presence = maybe))]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

fn main() {}
