//! Dependents that are not declared can not be applied.
use k8s_openapi::api::apps::v1::Deployment;
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(owns(Deployment))]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

struct Websites;

impl WebsiteReconciler for Websites {
    async fn reconcile(&self, site: std::sync::Arc<Website>, cx: WebsiteContext) -> kubewright::Result<kubewright::Action> {
        cx.dependents(&*site).apply().await?;
        Ok(kubewright::Action::await_change())
    }
}

fn main() {}
