//! Names that no dependent has.
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(dependents(
    ConfigMap => page(after = pages),
    Deployment => deployment(after = page, after = deploymnt),
    Service => service(after = Deployment, after = x),
))]
pub struct WebsiteSpec {
    pub host: String,
}

fn main() {}
