//! One namespace, twice, of three.
use k8s_openapi::api::apps::v1::Deployment;
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(owns(Deployment, namespace = "infra", namespace = "shop", namespace = "infra"))]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

fn main() {}
