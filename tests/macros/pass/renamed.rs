//! The library under another name.
use k8s_openapi::api::core::v1::ConfigMap;
use renamed::Operator;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(renamed::CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Renamed", namespaced)]
#[operator(crate = ::renamed, owns(ConfigMap), watches(other = ConfigMap, by = spec.text), index(by_text = spec.text))]
pub struct RenamedSpec {
    pub text: String,
}
