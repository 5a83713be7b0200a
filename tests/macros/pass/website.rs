//! The example of the front door: the expansion of this file has a budget of 120 lines.
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kubewright::declare::{Mapping, Primary, Reference};
use kubewright::{Action, CustomResource, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A static website.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced, status = "WebsiteStatus")]
#[operator(
    owns(Deployment, Service),
    watches(ConfigMap, by = spec.content),
    index(by_host = spec.host),
)]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
pub struct WebsiteStatus {}

struct Websites;

impl WebsiteReconciler for Websites {
    async fn reconcile(&self, site: Arc<Website>, cx: WebsiteContext) -> Result<Action> {
        cx.apply(Deployment::default()).await?;
        let ready = !cx.deployments().owned().is_empty() && cx.config_maps().get(&site.spec.content).is_some();
        cx.set_condition("Ready", ready, "Available", "all replicas answer").await?;
        let _same_host = cx.websites().by_host(&site.spec.host)?;
        Ok(Action::await_change())
    }
}

#[test]
fn the_declaration_holds_what_the_attribute_says() {
    let _operator: fn() -> kubewright::Operator = || Website::operator(async |_| Ok(Websites));
    let declaration = Website::declaration();
    assert_eq!(declaration.name, "website");
    assert!(declaration.status);
    assert_eq!(declaration.finalizer, None);
    let kinds: Vec<&str> = declaration.relations.iter().map(|relation| relation.resource.kind.as_str()).collect();
    assert_eq!(kinds, ["Deployment", "Service", "ConfigMap"]);
    let site = Website::new("a", WebsiteSpec { host: "a.example".into(), content: "pages".into(), replicas: 1 });
    let Mapping::References(project) = &declaration.relations[2].mapping else { panic!("no references") };
    let mut references = Vec::new();
    project(&site, &mut |reference| references.push(reference));
    assert_eq!(references, [Reference { namespace: None, name: "pages".into() }]);
    let mut hosts = Vec::new();
    (declaration.indexes[0].project)(&site, &mut |host| hosts.push(host.to_owned()));
    assert_eq!(hosts, ["a.example"]);
}
