//! Accessors that are taken.
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(
    owns(Service, other::Service, key = Deployment, Website),
    watches(web = ConfigMap, by = spec.content),
    watches(web = Secret, by = spec.content),
)]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

fn main() {}
