//! A root type written by hand, without a prelude: the derive names everything by its full path.
#![no_implicit_prelude]

use ::k8s_openapi::api::core::v1::{ConfigMap, Secret};
use ::kubewright::Operator;
use ::std::borrow::{Cow, ToOwned};

#[derive(
    Operator, ::serde::Serialize, ::serde::Deserialize, ::std::clone::Clone, ::std::fmt::Debug, ::std::default::Default,
)]
#[operator(
    owns(ConfigMap),
    watches(Secret, by = self.secret, by = self.nested.secret),
    index(by_secret = self.secret, by_nested = self.nested.secret, by_name = names),
    finalizer = "demo.kubewright.dev/cleanup",
    status
)]
pub struct Plain {
    pub metadata: ::kubewright::kube::core::ObjectMeta,
    pub secret: ::std::string::String,
    pub nested: ::std::option::Option<Nested>,
}

#[derive(::serde::Serialize, ::serde::Deserialize, ::std::clone::Clone, ::std::fmt::Debug)]
pub struct Nested {
    pub secret: ::std::string::String,
}

fn names(plain: &Plain) -> ::std::option::Option<&::std::string::String> {
    plain.metadata.name.as_ref()
}

impl ::kubewright::kube::Resource for Plain {
    type DynamicType = ();
    type Scope = ::k8s_openapi::NamespaceResourceScope;
    fn kind((): &()) -> Cow<'_, str> {
        Cow::Borrowed("Plain")
    }
    fn group((): &()) -> Cow<'_, str> {
        Cow::Borrowed("demo.kubewright.dev")
    }
    fn version((): &()) -> Cow<'_, str> {
        Cow::Borrowed("v1")
    }
    fn plural((): &()) -> Cow<'_, str> {
        Cow::Borrowed("plains")
    }
    fn meta(&self) -> &::kubewright::kube::core::ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ::kubewright::kube::core::ObjectMeta {
        &mut self.metadata
    }
}

impl ::kubewright::kube::CustomResourceExt for Plain {
    fn crd() -> ::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition {
        ::std::default::Default::default()
    }
    fn crd_name() -> &'static str {
        "plains.demo.kubewright.dev"
    }
    fn api_resource() -> ::kubewright::kube::core::ApiResource {
        ::kubewright::kube::core::ApiResource::erase::<Self>(&())
    }
    fn shortnames() -> &'static [&'static str] {
        &[]
    }
}

struct Plains;

impl PlainReconciler for Plains {
    async fn reconcile(
        &self,
        plain: ::std::sync::Arc<Plain>,
        cx: PlainContext,
    ) -> ::kubewright::Result<::kubewright::Action> {
        cx.plains().by_secret(&plain.secret)?;
        ::std::result::Result::Ok(::kubewright::Action::await_change())
    }

    async fn cleanup(
        &self,
        _: ::std::sync::Arc<Plain>,
        _: PlainContext,
    ) -> ::kubewright::Result<::kubewright::Cleanup> {
        ::std::result::Result::Ok(::kubewright::Cleanup::done())
    }
}

#[test]
fn the_struct_itself_is_the_root() {
    use ::kubewright::declare::Primary;
    let declaration = Plain::declaration();
    ::std::assert!(declaration.status);
    ::std::assert_eq!(declaration.finalizer, ::std::option::Option::Some("demo.kubewright.dev/cleanup".to_owned()));
    let _operator: fn() -> ::kubewright::Operator = || Plain::operator(async |_| ::std::result::Result::Ok(Plains));
}
