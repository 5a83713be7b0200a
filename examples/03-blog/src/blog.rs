//! The Blog resource and its children, each a pure function of the blog.
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, ResourceExt};
use kubewright::{Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};

/// A blog.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Blog", namespaced, status = "BlogStatus")]
#[operator(dependents(
    ConfigMap => posts,
    Deployment => server(after = posts),
    Service => address(after = server, when = is_public),
))]
pub(crate) struct BlogSpec {
    /// The text of each post, by its name.
    pub(crate) posts: BTreeMap<String, String>,
    /// Whether it has an address.
    #[serde(default)]
    pub(crate) public: bool,
}

/// What is known about a blog.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(default)]
pub(crate) struct BlogStatus {
    /// `Ready`: whether all its children are.
    pub(crate) conditions: Vec<Condition>,
}

/// As many as there are posts: the ConfigMap of a post that is gone goes, too.
fn posts(blog: &Blog) -> Result<Vec<ConfigMap>> {
    let post = |(name, text): (&String, &String)| {
        let metadata = json!({ "name": format!("{}-{name}", blog.name_any()) });
        from_value(json!({ "metadata": metadata, "data": { format!("{name}.html"): text } }))
    };
    Ok(blog.spec.posts.iter().map(post).collect::<Result<_, _>>()?)
}

fn server(blog: &Blog) -> Result<Deployment> {
    let source = |name: &String| json!({ "configMap": { "name": format!("{}-{name}", blog.name_any()) } });
    let sources: Vec<Value> = blog.spec.posts.keys().map(source).collect();
    let container = json!({
        "name": "server",
        "image": "nginxinc/nginx-unprivileged:1.29-alpine",
        "ports": [{ "name": "http", "containerPort": 8080 }],
        "volumeMounts": [{ "name": "posts", "mountPath": "/usr/share/nginx/html", "readOnly": true }],
    });
    let pod =
        json!({ "containers": [container], "volumes": [{ "name": "posts", "projected": { "sources": sources } }] });
    // Another checksum rolls the pods, so that no server keeps an old post.
    let annotations = json!({ "demo.kubewright.dev/posts": kubewright::checksum(&blog.spec.posts)? });
    let template = json!({ "metadata": { "labels": labels(blog), "annotations": annotations }, "spec": pod });
    let spec = json!({ "replicas": 1, "selector": { "matchLabels": labels(blog) }, "template": template });
    Ok(from_value(json!({ "metadata": { "name": blog.name_any() }, "spec": spec }))?)
}

fn address(blog: &Blog) -> Result<Service> {
    let spec = json!({ "selector": labels(blog), "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] });
    Ok(from_value(json!({ "metadata": { "name": blog.name_any() }, "spec": spec }))?)
}

fn is_public(blog: &Blog) -> bool {
    blog.spec.public
}

fn labels(blog: &Blog) -> Value {
    json!({ "app.kubernetes.io/name": "blog", "app.kubernetes.io/instance": blog.name_any() })
}
