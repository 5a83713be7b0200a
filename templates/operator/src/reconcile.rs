//! Makes the cluster look as a `{{kind}}` says.
use std::sync::Arc;

use k8s_openapi::api::core::v1::{% if scope == "namespaced" %}ConfigMap{% else %}Namespace{% endif %};
use kube::ResourceExt;
use kube::core::ObjectMeta;
use kubewright::{Action, Result};

use crate::api::{ {{-kind}}, {{kind}}Context, {{kind}}Reconciler};

/// Holds what every reconcile needs: clients, settings. Nothing yet.
pub struct Reconciler;

impl {{kind}}Reconciler for Reconciler {
    async fn reconcile(&self, object: Arc<{{kind}}>, ctx: {{kind}}Context) -> Result<Action> {
        ctx.apply(greeting(&object)).await?;
        ctx.set_condition("Ready", true, "Said", &object.spec.greeting).await?;
        Ok(Action::await_change())
    }
}
{% if scope == "namespaced" %}
fn greeting(object: &{{kind}}) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(object.name_any()), ..ObjectMeta::default() },
        data: Some([("greeting".to_owned(), object.spec.greeting.clone())].into()),
        ..ConfigMap::default()
    }
}
{%- else %}
fn greeting(object: &{{kind}}) -> Namespace {
    let annotations = [("{{group}}/greeting".to_owned(), object.spec.greeting.clone())];
    Namespace {
        metadata: ObjectMeta {
            name: Some(object.name_any()),
            annotations: Some(annotations.into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}
{%- endif %}
