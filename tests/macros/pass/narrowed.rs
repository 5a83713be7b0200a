//! Relations narrowed by labels, fields, namespaces and to metadata; several narrowings of one kind; renamed accessors;
//! a kind that need not be installed; times.
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1 as core;
use kubewright::controller::Predicate;
use kubewright::declare::{Narrow, Presence, Primary, Role};
use kubewright::kube::core::PartialObjectMeta;
use kubewright::reconcile::{Owned, Watched};
use kubewright::{Action, Cleanup, CustomResource, ObjectKey, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Shop", root = "ShopObject", namespaced)]
#[operator(
    owns(Deployment, labels = "tier=front"),
    owns(back_ends = Deployment, labels = "tier=back"),
    owns(core::Secret, metadata, predicate = labelled),
    watches(certificates = core::Secret, fields = "type=kubernetes.io/tls", namespace = "infra", metadata, map = all),
    watches(core::ConfigMap, by = spec.settings, by = spec.theme),
    watches(core::Service, by = spec.settings, namespace = "shop", namespace = "bank", presence = optional),
    deadline = "1m30s",
    resync = "10h",
    predicate = edited,
    finalizer = "shop.example/Goods_1.b",
    concurrency = 16,
)]
pub struct ShopSpec {
    pub settings: String,
    pub theme: Option<String>,
}

fn all(secret: &PartialObjectMeta<core::Secret>) -> Vec<ObjectKey> {
    secret.metadata.name.iter().map(|name| ObjectKey::namespaced("default", name)).collect()
}

fn labelled() -> Predicate<PartialObjectMeta<core::Secret>> {
    Predicate::labels_changed()
}

fn edited() -> Predicate<ShopObject> {
    Predicate::generation_changed()
}

struct Shops;

impl ShopReconciler for Shops {
    async fn reconcile(&self, _: Arc<ShopObject>, cx: ShopContext) -> Result<Action> {
        let _children: Owned<PartialObjectMeta<core::Secret>> = cx.secrets();
        let _back_ends: Owned<Deployment> = cx.back_ends();
        let _certificates: Watched<PartialObjectMeta<core::Secret>> = cx.certificates();
        cx.apply(core::Secret::default()).await?;
        Ok(Action::await_change())
    }

    async fn cleanup(&self, _: Arc<ShopObject>, _: ShopContext) -> Result<Cleanup> {
        Ok(Cleanup::done())
    }

    fn forget(&self, _: &ObjectKey) {}
}

#[test]
fn relations_are_narrowed_as_written() {
    let _operator: fn() -> kubewright::Operator = || ShopObject::operator(|_| async { Ok(Shops) });
    let declaration = ShopObject::declaration();
    assert_eq!(declaration.finalizer.as_deref(), Some("shop.example/Goods_1.b"));
    assert_eq!((declaration.concurrency, declaration.status, declaration.name), (16, false, "shop"));
    let narrow: Vec<_> =
        declaration.relations.iter().map(|relation| (relation.role, relation.narrow.clone())).collect();
    let everything = Narrow::default;
    let expected = [
        (Role::Owns, everything().labels("tier=front")),
        (Role::Owns, everything().labels("tier=back")),
        (Role::Owns, everything().metadata()),
        (Role::Watches, everything().fields("type=kubernetes.io/tls").namespace("infra").metadata()),
        (Role::Watches, everything()),
        (Role::Watches, everything().namespace("bank").namespace("shop").presence(Presence::Optional)),
    ];
    let times = (declaration.deadline, declaration.resync);
    assert_eq!(times, (Some(Duration::from_secs(90)), Some(Duration::from_secs(36_000))));
    assert_eq!(narrow, expected);
}
