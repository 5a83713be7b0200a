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
#[kube(printcolumn(name = "Host", jsonPath = ".spec.host", type_ = "string"))]
#[operator(owns(Deployment, Service), watches(ConfigMap, by = spec.content), index(by_host = spec.host), cleanup)]
#[serde(rename_all = "camelCase")]
pub struct WebsiteSpec {
    /// The name the site is reached by.
    pub host: String,
    /// Name of the ConfigMap that holds its files.
    pub content: String,
    /// How many pods serve it.
    #[schemars(range(min = 0))]
    pub replicas: i32,
}

/// What is known about a website.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct WebsiteStatus {
    /// How many pods answer.
    pub ready_replicas: i32,
    /// `Ready`: whether all of them do.
    pub conditions: Vec<Condition>,
}
