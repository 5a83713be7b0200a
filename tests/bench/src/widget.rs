//! The custom resource of the benchmarks: `bench.example.com/v1` Widget.
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a widget should be.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "bench.example.com", version = "v1", kind = "Widget", namespaced, status = "WidgetStatus")]
#[serde(rename_all = "camelCase")]
pub struct WidgetSpec {
    /// How many it wants.
    pub replicas: i32,
    /// Image to run.
    pub image: String,
    /// Where it answers.
    pub host: String,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Whether it rests.
    pub paused: bool,
    /// What it is made of.
    pub parts: Vec<Part>,
}

/// A part of a widget.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: i32,
}

/// What a widget is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct WidgetStatus {
    /// Generation that the rest speaks of.
    pub observed_generation: i64,
    /// How many are ready.
    pub ready_replicas: i32,
    /// In one word.
    pub phase: String,
    /// In full.
    pub conditions: Vec<Condition>,
}
