//! Two dependents that are called by one function.
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(dependents(Deployment => server, ConfigMap => page, Service => network::server, ConfigMap => page))]
pub struct WebsiteSpec {
    pub host: String,
}

fn main() {}
