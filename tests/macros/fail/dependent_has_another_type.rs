//! Functions of other types than the kind says.
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(dependents(
    Deployment => deployment(ready = is_ready),
    Service => service(when = host),
    ConfigMap => page,
))]
pub struct WebsiteSpec {
    pub host: String,
}

fn deployment(_: &Website) -> Service {
    Service::default()
}

fn is_ready(_: &Service) -> bool {
    true
}

fn service(_: &WebsiteSpec) -> Service {
    Service::default()
}

fn host(site: &Website) -> String {
    site.spec.host.clone()
}

fn page(_: &Website, _: &str) -> ConfigMap {
    ConfigMap::default()
}

fn main() {}
