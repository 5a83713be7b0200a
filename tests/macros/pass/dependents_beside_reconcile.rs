//! A reconciler of one's own beside dependents whose order does not matter: no finalizer.
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kubewright::declare::Primary;
use kubewright::{Action, CustomResource, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced, status = "WebsiteStatus")]
#[operator(dependents(ConfigMap => page), owns(Secret))]
pub struct WebsiteSpec {
    pub host: String,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
pub struct WebsiteStatus {}

fn page(_: &Website) -> ConfigMap {
    ConfigMap::default()
}

struct Websites;

impl WebsiteReconciler for Websites {
    async fn reconcile(&self, site: Arc<Website>, cx: WebsiteContext) -> Result<Action> {
        cx.apply(Secret::default()).await?;
        let report = cx.dependents(&*site).apply().await?;
        cx.set_condition("Ready", report.is_ready(), report.reason(), &report.to_string()).await?;
        let _pages = cx.config_maps().owned();
        Ok(Action::await_change())
    }
}

#[test]
fn dependents_without_an_order_need_no_finalizer() {
    let _operator: fn() -> kubewright::Operator = || Website::operator(async |_| Ok(Websites));
    assert_eq!(Website::declaration().finalizer, None);
}
