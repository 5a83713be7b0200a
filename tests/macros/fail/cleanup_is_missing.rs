//! A declared cleanup must be written.
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(cleanup)]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

struct Websites;

impl WebsiteReconciler for Websites {
    async fn reconcile(&self, _: std::sync::Arc<Website>, _: WebsiteContext) -> kubewright::Result<kubewright::Action> {
        Ok(kubewright::Action::await_change())
    }
}

fn main() {}
