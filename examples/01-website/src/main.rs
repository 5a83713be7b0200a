//! A website: a Deployment that serves the files of a ConfigMap, and a Service in front of it.
use std::process::ExitCode;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kubewright::{Action, Cleanup, Result};
use serde_json::{from_value, json};

use api::{Website, WebsiteContext, WebsiteReconciler, WebsiteStatus};

mod api;

struct Websites;

impl WebsiteReconciler for Websites {
    async fn reconcile(&self, site: Arc<Website>, cx: WebsiteContext) -> Result<Action> {
        let Some(content) = cx.config_maps().get(&site.spec.content) else {
            let message = format!("create the ConfigMap {}, or name another in spec.content", site.spec.content);
            cx.set_condition("Ready", false, "ContentMissing", &message).await?;
            return Ok(Action::await_change());
        };
        let deployment = cx.apply(deployment(&site, site.spec.replicas, &content)?).await?;
        cx.apply(service(&site)?).await?;
        let ready_replicas = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        cx.set_status(WebsiteStatus { ready_replicas, conditions: Vec::new() }).await?;
        let ready = ready_replicas >= site.spec.replicas;
        let reason = if ready { "Available" } else { "Progressing" };
        cx.set_condition("Ready", ready, reason, &format!("{} is served from {}", site.spec.host, site.spec.content))
            .await?;
        Ok(Action::await_change())
    }

    /// Takes the pods down first, so that nothing serves a site whose Website is gone.
    async fn cleanup(&self, site: Arc<Website>, cx: WebsiteContext) -> Result<Cleanup> {
        let pods = |deployment: &Deployment| deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        let Some(live) = cx.deployments().get(&name(&site)) else { return Ok(Cleanup::done()) };
        let drained = cx.apply(deployment(&site, 0, &ConfigMap::default())?).await?;
        Ok(if pods(&live) + pods(&drained) == 0 { Cleanup::done() } else { Cleanup::await_change() })
    }
}

fn deployment(site: &Website, replicas: i32, content: &ConfigMap) -> Result<Deployment> {
    // Pods see a changed ConfigMap late and servers cache it: a new version in the template rolls them.
    let labels = json!({ "app.kubernetes.io/name": "website", "app.kubernetes.io/instance": name(site) });
    Ok(from_value(json!({
        "metadata": { "name": name(site), "labels": labels },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels, "annotations": { "demo.kubewright.dev/content": kubewright::checksum(&content.data)? } },
                "spec": {
                    "containers": [{
                        "name": "server",
                        "image": "nginxinc/nginx-unprivileged:1.29-alpine",
                        "ports": [{ "name": "http", "containerPort": 8080 }],
                        "volumeMounts": [{ "name": "content", "mountPath": "/usr/share/nginx/html", "readOnly": true }],
                    }],
                    "volumes": [{ "name": "content", "configMap": { "name": site.spec.content } }],
                },
            },
        },
    }))?)
}

fn service(site: &Website) -> Result<Service> {
    Ok(from_value(json!({
        "metadata": { "name": name(site) },
        "spec": {
            "selector": { "app.kubernetes.io/name": "website", "app.kubernetes.io/instance": name(site) },
            "ports": [{ "name": "http", "port": 80, "targetPort": "http" }],
        },
    }))?)
}

fn name(site: &Website) -> String {
    site.metadata.name.clone().unwrap_or_default()
}

fn main() -> ExitCode {
    kubewright::main(Website::operator(async |_setup| Ok(Websites)))
}
