//! A public type of a library whose lints are strict: everything generated is documented and clean.
#![deny(warnings, missing_docs, unreachable_pub, missing_debug_implementations, clippy::pedantic)]

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret};
use kubewright::{CustomResource, ObjectKey, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks for a shelf.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Shelf", namespaced)]
#[operator(
    owns(Deployment),
    watches(ConfigMap, by = spec.content, by = spec.parts.content),
    watches(Secret, by = secrets, metadata),
    watches(Node, map = shelves_on),
    index(by_content = spec.parts.content, by_name = names),
    cleanup
)]
pub struct ShelfSpec {
    /// Name of a config map.
    pub content: String,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// One part.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
pub struct Part {
    /// Name of a config map.
    pub content: Option<String>,
}

fn secrets(shelf: &Shelf) -> Vec<&str> {
    vec![&shelf.spec.content]
}

fn names(shelf: &Shelf) -> Option<&String> {
    shelf.metadata.name.as_ref()
}

fn shelves_on(node: &Node) -> Vec<ObjectKey> {
    node.metadata.name.iter().map(|name| ObjectKey::cluster(name)).collect()
}
