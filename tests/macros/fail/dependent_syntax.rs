//! Entries that are no kind and function, and options that are none.
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(
    dependents,
    dependents(),
    dependents(ConfigMap, page => ConfigMap, deployment, Deployment => "deployment", Service =>),
    dependents(
        ConfigMap => page(befor = deployment),
        Deployment => deployment(after = "page", when = |site| true, ready = is_ready, ready = is_ready),
        Service => service(after = [deployment], when, ready()) x,
    ),
)]
pub struct WebsiteSpec {
    pub host: String,
}

fn main() {}
