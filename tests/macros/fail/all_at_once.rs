//! Mistakes of every kind, all reported at once.
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(
    own(Deployment),
    owns(Service, label = "a=b"),
    watches(ConfigMap, bye = spec.content),
    watches(Secret),
    index(by_host),
    index(by_content = "spec.content"),
    concurrency = "8",
    name = websites,
    name = "a",
    cleanup = true,
    finalizers = "a/b",
    "owns",
    concurrency = 2000,
)]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

fn main() {}
