//! A watch without a way to the primaries, in an operator with a reconciler.
use k8s_openapi::api::core::v1::ConfigMap;
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(watches(ConfigMap))]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

struct Websites;

impl WebsiteReconciler for Websites {
    async fn reconcile(&self, site: std::sync::Arc<Website>, cx: WebsiteContext) -> kubewright::Result<kubewright::Action> {
        cx.config_maps().get(&site.spec.content);
        Ok(kubewright::Action::await_change())
    }
}

fn main() {
    let _ = Website::operator(async |_| Ok(Websites));
}
