//! Kubernetes Events: what `kubectl describe` shows below a Deployment. Told once each, and never worth a failure.
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kubewright::kube::api::{Api, PostParams};

use crate::COMPONENT;

/// How an Event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Normal,
    Warning,
}

/// Makes an Event about `deployment`. The API server completes its name.
pub(crate) fn event(deployment: &Deployment, kind: Type, reason: &str, message: String, now: Timestamp) -> Event {
    let metadata = &deployment.metadata;
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}.", metadata.name.as_deref().unwrap_or_default())),
            namespace: metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: Some("Deployment".to_owned()),
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            field_path: None,
        },
        type_: Some(format!("{kind:?}")),
        reason: Some(reason.to_owned()),
        message: Some(message),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
        reporting_component: Some(COMPONENT.to_owned()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    }
}

/// Sends an Event. That it can not be sent is logged: whoever reads Events reads the log as well.
pub(crate) async fn send(events: &Api<Event>, event: &Event) {
    if let Err(error) = events.create(&PostParams::default(), event).await {
        tracing::debug!(reason = event.reason, %error, "an Event was not sent");
    }
}
