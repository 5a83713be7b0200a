//! The `{{kind}}` resource: what its users write, and what the operator reports.
use k8s_openapi::api::core::v1::{% if scope == "namespaced" %}ConfigMap{% else %}Namespace{% endif %};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A greeting that is kept in a {% if scope == "namespaced" %}ConfigMap of the same name{% else %}Namespace of the same name, as an annotation{% endif %}.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "{{group}}", version = "v1alpha1", kind = "{{kind}}", status = "{{kind}}Status"{% if scope == "namespaced" %}, namespaced{% endif %})]
#[operator(owns({% if scope == "namespaced" %}ConfigMap{% else %}Namespace{% endif %}))]
pub struct {{kind}}Spec {
    /// What to say.
    pub greeting: String,
}

/// What the operator reports.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
pub struct {{kind}}Status {
    /// `Ready` is true when the greeting can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
