//! A module whose own types are called like those of the standard library and of kubewright.
use kubewright::Operator as DeriveOperator;

use self::object::Hostile;

/// Names that generated code must not pick up.
macro_rules! shadow {
    ($($name:ident),* $(,)?) => {$(
        #[derive(Debug)]
        #[allow(dead_code)]
        pub struct $name;
    )*};
}

pub mod core {}
pub mod std {}
pub mod kubewright_types {}

pub mod object {
    use super::DeriveOperator;

    shadow!(
        Action, Arc, Box, Clone, Context, Debug, Error, Fn, FnOnce, Future, Lister, Operator, Option, Result, Send,
        String, Sync, Vec
    );

    pub mod core {}
    pub mod std {}

    #[derive(DeriveOperator, ::serde::Serialize, ::serde::Deserialize, ::std::clone::Clone, ::std::fmt::Debug)]
    #[operator(
        owns(::k8s_openapi::api::core::v1::ConfigMap),
        watches(::k8s_openapi::api::core::v1::Secret, by = self.secret),
        index(by_secret = self.secret),
        finalizer = "demo.kubewright.dev/cleanup"
    )]
    pub struct Hostile {
        pub metadata: ::kubewright::kube::core::ObjectMeta,
        pub secret: ::std::option::Option<::std::string::String>,
    }
}

impl kubewright::kube::Resource for Hostile {
    type DynamicType = ();
    type Scope = k8s_openapi::NamespaceResourceScope;
    fn kind((): &()) -> ::std::borrow::Cow<'_, str> {
        "Hostile".into()
    }
    fn group((): &()) -> ::std::borrow::Cow<'_, str> {
        "demo.kubewright.dev".into()
    }
    fn version((): &()) -> ::std::borrow::Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> ::std::borrow::Cow<'_, str> {
        "hostiles".into()
    }
    fn meta(&self) -> &kubewright::kube::core::ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut kubewright::kube::core::ObjectMeta {
        &mut self.metadata
    }
}

impl kubewright::kube::CustomResourceExt for Hostile {
    fn crd() -> k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition {
        Default::default()
    }
    fn crd_name() -> &'static str {
        "hostiles.demo.kubewright.dev"
    }
    fn api_resource() -> kubewright::kube::core::ApiResource {
        kubewright::kube::core::ApiResource::erase::<Self>(&())
    }
    fn shortnames() -> &'static [&'static str] {
        &[]
    }
}

#[test]
fn generated_code_names_what_it_means() {
    use kubewright::declare::Primary;
    assert_eq!(Hostile::declaration().relations.len(), 2);
}
