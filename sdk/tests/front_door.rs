//! What `#[derive(Operator)]` stands for, written out by hand: the derive must expand to this shape.
#![allow(missing_docs, unreachable_pub, dead_code)]
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::{CustomResource, CustomResourceExt};
use kubewright::{Action, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced, status = "WebsiteStatus")]
pub struct WebsiteSpec {
    pub host: String,
    pub content: String,
    pub replicas: i32,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
pub struct WebsiteStatus {}

// ---- from here on: what the derive writes ----
const _: () = {
    impl ::kubewright::declare::Primary for Website {
        fn declaration() -> ::kubewright::declare::Declaration<Self> {
            ::kubewright::declare::Declaration::new("website", <Website as CustomResourceExt>::crd)
                .status()
                .finalizer("demo.kubewright.dev/website-cleanup")
                .concurrency(4)
                .owns::<Deployment>(::kubewright::declare::Narrow::default())
                .owns::<Service>(::kubewright::declare::Narrow::default())
                .watches::<ConfigMap>(
                    ::kubewright::declare::Narrow::default(),
                    ::kubewright::declare::Mapping::References(|primary: &Website, out| {
                        out(::kubewright::declare::Reference { namespace: None, name: primary.spec.content.clone() });
                    }),
                )
                .index("by_host", |primary: &Website, out| out(&primary.spec.host))
        }
    }
    impl ::kubewright::declare::OwnedBy<Website> for Deployment {}
    impl ::kubewright::declare::OwnedBy<Website> for Service {}
};

#[derive(Clone, Debug)]
pub struct WebsiteContext(::kubewright::Context<Website>);

impl ::core::ops::Deref for WebsiteContext {
    type Target = ::kubewright::Context<Website>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Reads cached websites.
#[derive(Clone, Debug)]
pub struct WebsiteLister(::kubewright::informer::declared::DeclaredLister<Website>);

impl WebsiteLister {
    pub fn by_host(&self, value: &str) -> Result<Vec<Arc<Website>>, ::kubewright::store::lister::DecodeError> {
        self.0.by_slot(0, value)
    }
}

impl ::core::ops::Deref for WebsiteLister {
    type Target = ::kubewright::Lister<Website>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Watches websites; shared through the factory.
pub type WebsiteInformer = ::kubewright::informer::declared::DeclaredInformer<Website>;

impl ::kubewright::informer::declared::DeclaredKind for Website {
    type Lister = WebsiteLister;
    const LISTER: fn(::kubewright::informer::declared::DeclaredLister<Self>) -> WebsiteLister = WebsiteLister;
}

impl WebsiteContext {
    pub fn websites(&self) -> WebsiteLister {
        WebsiteLister(self.0.primaries())
    }
    pub fn deployments(&self) -> ::kubewright::reconcile::Owned<Deployment> {
        self.0.owned(0)
    }
    pub fn services(&self) -> ::kubewright::reconcile::Owned<Service> {
        self.0.owned(1)
    }
    pub fn config_maps(&self) -> ::kubewright::reconcile::Watched<ConfigMap> {
        self.0.watched(2)
    }
}

pub trait WebsiteReconciler: Send + Sync + 'static {
    fn reconcile(
        &self,
        website: Arc<Website>,
        ctx: WebsiteContext,
    ) -> impl ::core::future::Future<Output = ::kubewright::Result<::kubewright::Action>> + Send;
    fn cleanup(
        &self,
        website: Arc<Website>,
        ctx: WebsiteContext,
    ) -> impl ::core::future::Future<Output = ::kubewright::Result<::kubewright::Cleanup>> + Send;
    fn forget(&self, _key: &::kubewright::ObjectKey) {}
}

impl Website {
    pub fn operator<R, F, Fut>(make: F) -> ::kubewright::Operator
    where
        R: WebsiteReconciler,
        F: FnOnce(::kubewright::Setup) -> Fut + Send + 'static,
        Fut: ::core::future::Future<Output = ::kubewright::Result<R>> + Send + 'static,
    {
        struct Adapter<R>(R);
        impl<R: WebsiteReconciler> ::kubewright::Reconciler<Website> for Adapter<R> {
            async fn reconcile(
                &self,
                object: Arc<Website>,
                ctx: ::kubewright::Context<Website>,
            ) -> ::kubewright::Result<::kubewright::Action> {
                self.0.reconcile(object, WebsiteContext(ctx)).await
            }
            async fn cleanup(
                &self,
                object: Arc<Website>,
                ctx: ::kubewright::Context<Website>,
            ) -> ::kubewright::Result<::kubewright::Cleanup> {
                self.0.cleanup(object, WebsiteContext(ctx)).await
            }
            fn forget(&self, key: &::kubewright::ObjectKey) {
                self.0.forget(key);
            }
        }
        ::kubewright::Operator::new::<Website, _, _, _>(move |setup| async move { Ok(Adapter(make(setup).await?)) })
    }
}
// ---- what the user writes ----
struct Websites;

impl WebsiteReconciler for Websites {
    async fn reconcile(&self, site: Arc<Website>, cx: WebsiteContext) -> Result<Action> {
        cx.apply(Deployment::default()).await?;
        let ready = !cx.deployments().owned().is_empty();
        cx.set_condition("Ready", ready, "Available", &site.spec.host).await?;
        cx.set_status(WebsiteStatus::default()).await?;
        Ok(Action::await_change())
    }
    async fn cleanup(&self, _: Arc<Website>, _: WebsiteContext) -> Result<kubewright::Cleanup> {
        Ok(kubewright::Cleanup::done())
    }
}

#[test]
fn the_derive_has_a_shape_to_expand_to() {
    let make: fn() -> kubewright::Operator = || Website::operator(async |_setup| Ok(Websites));
    let _ = make;
    let declaration = <Website as kubewright::declare::Primary>::declaration();
    assert_eq!(declaration.relations.len(), 3);
}
