//! A private type in a private module, whose lints are strict: generated items are as private, and nothing is unused.
#![deny(warnings, missing_docs, clippy::pedantic)]

mod inner {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kubewright::{CustomResource, Operator};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    /// Makes one object, and uses nothing else that is generated.
    #[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
    #[kube(group = "demo.kubewright.dev", version = "v1", kind = "Type", namespaced)]
    #[operator(owns(ConfigMap), index(by_text = spec.text), cleanup)]
    pub(super) struct TypeSpec {
        /// Some text.
        pub(super) text: String,
    }

    /// An operator without relations.
    #[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
    #[kube(group = "demo.kubewright.dev", version = "v1", kind = "Hidden", namespaced)]
    struct HiddenSpec {
        text: String,
    }
}

#[test]
fn a_keyword_is_a_kind_like_any_other() {
    use kubewright::declare::Primary;
    let declaration = inner::Type::declaration();
    assert_eq!(declaration.finalizer.as_deref(), Some("demo.kubewright.dev/type-cleanup"));
    assert_eq!(inner::Type::new("a", inner::TypeSpec { text: String::new() }).spec.text, "");
}
