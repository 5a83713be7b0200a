//! Children as a graph: kinds need no `owns(..)`, and there is no reconciler to write.
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kubewright::declare::{Primary, Role};
use kubewright::dependents::{HasDependents, Siblings};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
#[operator(
    owns(ConfigMap, labels = "app=website"),
    dependents(
        Deployment => desired::deployment(after = page, after = r#type),
        Service => service(after = deployment, when = exposed, ready = is_ready),
        ConfigMap => page,
    ),
    dependents(ConfigMap => r#type),
)]
pub struct WebsiteSpec {
    pub exposed: bool,
}

mod desired {
    pub(super) fn deployment(_: &super::Website) -> super::Deployment {
        super::Deployment::default()
    }
}

fn service(_: &Website, siblings: &Siblings) -> Option<Service> {
    siblings.get::<Deployment>("a").map(|_| Service::default())
}

fn exposed(site: &Website) -> bool {
    site.spec.exposed
}

fn is_ready(service: &Service) -> bool {
    service.status.is_some()
}

fn page(_: &Website) -> Result<Vec<ConfigMap>, std::num::ParseIntError> {
    "1".parse().map(|count: usize| vec![ConfigMap::default(); count])
}

fn r#type(_: &Website) -> kubewright::Result<ConfigMap> {
    Ok(ConfigMap::default())
}

#[test]
fn dependents_imply_owned_kinds_and_where_order_matters_a_finalizer() {
    let _operator: fn() -> kubewright::Operator = || Website::operator(async |_| Ok(()));
    let declaration = Website::declaration();
    assert_eq!(declaration.finalizer.as_deref(), Some("demo.kubewright.dev/website-cleanup"));
    let kinds: Vec<&str> = declaration.relations.iter().map(|relation| relation.resource.kind.as_str()).collect();
    assert_eq!(kinds, ["ConfigMap", "Deployment", "Service"]);
    assert!(declaration.relations.iter().all(|relation| relation.role == Role::Owns));
    assert_eq!(format!("{:?}", Website::dependents()), r#"["deployment", "service", "page", "type"]"#);
}
