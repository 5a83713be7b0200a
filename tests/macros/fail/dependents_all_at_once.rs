//! Mistakes of every rule, all reported at once.
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(
    owns(Deployment, metadata),
    dependents(
        Deployment => server(after = page),
        ConfigMap => page(after = server, when = ),
        ConfigMap => pages(after = pagse),
        Service => entrance(after = pages, after = pages),
        other::Service => entrance,
        Website => mirror(after = mirror),
    ),
)]
pub struct WebsiteSpec {
    pub host: String,
}

fn main() {}
