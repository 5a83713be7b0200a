//! The Website resource.
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use kubewright::Operator;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A static website.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced, status = "WebsiteStatus")]
#[kube(printcolumn(name = "Host", json_path = ".spec.host", type_ = "string"))]
#[kube(printcolumn(name = "Ready", json_path = ".status.conditions[?(@.type==\"Ready\")].status", type_ = "string"))]
#[kube(printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date"))]
#[operator(owns(Deployment, Service), watches(ConfigMap, by = spec.content), index(by_host = spec.host), cleanup)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebsiteSpec {
    /// The name the site is reached by.
    pub(crate) host: String,
    /// Name of the ConfigMap that holds its files.
    pub(crate) content: String,
    /// How many pods serve it.
    #[schemars(range(min = 0))]
    pub(crate) replicas: i32,
}

/// What is known about a website.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WebsiteStatus {
    /// How many pods answer.
    pub(crate) ready_replicas: i32,
    /// `Ready`: whether all of them do.
    pub(crate) conditions: Vec<Condition>,
}
