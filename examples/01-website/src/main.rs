//! A website: a Deployment that serves the files of a ConfigMap, and a Service in front of it.
use std::process::ExitCode;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::ResourceExt;
use kubewright::{Action, Cleanup, Result};
use serde_json::{from_value, json};

use api::{Website, WebsiteContext, WebsiteReconciler, WebsiteStatus};

mod api;

struct Websites;

impl WebsiteReconciler for Websites {
    async fn reconcile(&self, site: Arc<Website>, cx: WebsiteContext) -> Result<Action> {
        let (host, source) = (&site.spec.host, &site.spec.content);
        let Some(content) = cx.config_maps().get(source) else {
            let message = format!("create the ConfigMap {source}, or name another in spec.content");
            cx.set_condition("Ready", false, "ContentMissing", &message).await?;
            return Ok(Action::await_change());
        };
        let deployment = cx.apply(deployment(&site, site.spec.replicas, &content)?).await?;
        cx.apply(service(&site)?).await?;
        let ready_replicas = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        cx.set_status(WebsiteStatus { ready_replicas, ..Default::default() }).await?;
        let ready = ready_replicas >= site.spec.replicas;
        let reason = if ready { "Available" } else { "Progressing" };
        cx.set_condition("Ready", ready, reason, &format!("{host} is served from {source}")).await?;
        Ok(Action::await_change())
    }

    /// Takes the pods down first, so that nothing serves a site whose Website is gone.
    async fn cleanup(&self, site: Arc<Website>, cx: WebsiteContext) -> Result<Cleanup> {
        let Some(live) = cx.deployments().get(&site.name_any()) else { return Ok(Cleanup::done()) };
        let content = cx.config_maps().get(&site.spec.content).unwrap_or_default();
        cx.apply(deployment(&site, 0, &content)?).await?;
        let pods = live.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        Ok(if pods == 0 { Cleanup::done() } else { Cleanup::await_change() })
    }
}

fn deployment(site: &Website, replicas: i32, content: &ConfigMap) -> Result<Deployment> {
    let labels = json!({ "app.kubernetes.io/name": "website", "app.kubernetes.io/instance": site.name_any() });
    // Pods see a changed ConfigMap late and servers cache it: another checksum in the template rolls them.
    let annotations = json!({ "demo.kubewright.dev/content": kubewright::checksum(&content.data)? });
    let volume = json!({ "name": "content", "configMap": { "name": site.spec.content } });
    let container = json!({
        "name": "server",
        "image": "nginxinc/nginx-unprivileged:1.29-alpine",
        "ports": [{ "name": "http", "containerPort": 8080 }],
        "volumeMounts": [{ "name": "content", "mountPath": "/usr/share/nginx/html", "readOnly": true }],
    });
    let pod = json!({ "containers": [container], "volumes": [volume] });
    let template = json!({ "metadata": { "labels": labels, "annotations": annotations }, "spec": pod });
    Ok(from_value(json!({
        "metadata": { "name": site.name_any(), "labels": labels },
        "spec": { "replicas": replicas, "selector": { "matchLabels": labels }, "template": template },
    }))?)
}

fn service(site: &Website) -> Result<Service> {
    let labels = json!({ "app.kubernetes.io/name": "website", "app.kubernetes.io/instance": site.name_any() });
    let spec = json!({ "selector": labels, "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] });
    Ok(from_value(json!({ "metadata": { "name": site.name_any() }, "spec": spec }))?)
}

fn main() -> ExitCode {
    kubewright::main(Website::operator(async |_setup| Ok(Websites)))
}
