//! When a child of a well-known kind is ready, where the graph does not say.
use std::any::Any;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::resource::Kind;

/// Says whether a live child is ready. Kinds without a rule here are ready once they exist.
pub(super) fn is_ready<C: Kind>(child: &C) -> bool {
    let child: &dyn Any = child;
    if let Some(child) = child.downcast_ref() {
        deployment(child)
    } else if let Some(child) = child.downcast_ref() {
        stateful_set(child)
    } else if let Some(child) = child.downcast_ref() {
        daemon_set(child)
    } else if let Some(child) = child.downcast_ref() {
        job(child)
    } else if let Some(child) = child.downcast_ref() {
        service(child)
    } else if let Some(child) = child.downcast_ref() {
        claim(child)
    } else if let Some(child) = child.downcast_ref() {
        pod(child)
    } else {
        true
    }
}

/// As `kubectl rollout status`: all replicas are of the newest template, available, and alone.
fn deployment(child: &Deployment) -> bool {
    let (spec, Some(status)) = (&child.spec, &child.status) else { return false };
    let updated = status.updated_replicas.unwrap_or(0);
    observed(&child.metadata, status.observed_generation)
        && updated >= spec.replicas.unwrap_or(1)
        && status.replicas.unwrap_or(0) <= updated
        && status.available_replicas.unwrap_or(0) >= updated
}

/// As `kubectl rollout status`, partitions included. With `OnDelete` old pods count as well.
fn stateful_set(child: &StatefulSet) -> bool {
    let (spec, Some(status)) = (&child.spec, &child.status) else { return false };
    let replicas = spec.replicas.unwrap_or(1);
    let strategy = spec.update_strategy.as_ref();
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
    let is_updated = match rolling.and_then(|rolling| rolling.partition).unwrap_or(0) {
        _ if on_delete => true,
        0 => status.update_revision == status.current_revision,
        partition => status.updated_replicas.unwrap_or(0) >= replicas - partition,
    };
    observed(&child.metadata, status.observed_generation)
        && status.ready_replicas.unwrap_or(0) >= replicas
        && is_updated
}

/// As `kubectl rollout status`. With `OnDelete` old pods count as well.
fn daemon_set(child: &DaemonSet) -> bool {
    let (spec, Some(status)) = (&child.spec, &child.status) else { return false };
    let desired = status.desired_number_scheduled;
    let on_delete = spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
    observed(&child.metadata, status.observed_generation)
        && (on_delete || status.updated_number_scheduled.unwrap_or(0) >= desired)
        && status.number_available.unwrap_or(0) >= desired
}

/// Done, and well: what comes after a job needs its work.
fn job(child: &Job) -> bool {
    let conditions = child.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Complete" && condition.status == "True")
}

/// It has an address; one of type LoadBalancer that of its load balancer.
fn service(child: &Service) -> bool {
    let Some(spec) = &child.spec else { return false };
    let balancer = child.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    match spec.type_.as_deref() {
        Some("ExternalName") => true,
        Some("LoadBalancer") => balancer.is_some_and(|balancer| balancer.ingress.iter().flatten().next().is_some()),
        _ => spec.cluster_ip.as_deref().is_some_and(|address| !address.is_empty()),
    }
}

fn claim(child: &PersistentVolumeClaim) -> bool {
    child.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

/// It answers, or it has done its work.
fn pod(child: &Pod) -> bool {
    let Some(status) = &child.status else { return false };
    let mut conditions = status.conditions.iter().flatten();
    status.phase.as_deref() == Some("Succeeded")
        || conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether the status is about the present spec.
fn observed(metadata: &ObjectMeta, generation: Option<i64>) -> bool {
    generation.unwrap_or(0) >= metadata.generation.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::{Value, from_value, json};

    fn check<C: Kind>(expected: bool, object: Value) {
        assert_eq!(is_ready(&from_value::<C>(object.clone()).unwrap()), expected, "{object}");
    }

    #[test]
    fn a_deployment_is_ready_when_its_roll_out_is_complete() {
        let deployment = |observed: i64, replicas: i32, updated: i32, available: i32| {
            json!({"metadata": {"generation": 2}, "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": {
                "observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated,
                "availableReplicas": available}})
        };
        check::<Deployment>(true, deployment(2, 2, 2, 2));
        check::<Deployment>(false, deployment(1, 2, 2, 2));
        check::<Deployment>(false, deployment(2, 3, 2, 2));
        check::<Deployment>(false, deployment(2, 2, 1, 2));
        check::<Deployment>(false, deployment(2, 2, 2, 1));
        check::<Deployment>(false, json!({"spec": {"selector": {}, "template": {}}}));
        let none = json!({"spec": {"replicas": 0, "selector": {}, "template": {}}, "status": {}});
        check::<Deployment>(true, none);
    }

    #[test]
    fn a_stateful_set_is_ready_when_its_roll_out_is_complete_up_to_its_partition() {
        let set = |strategy: Value, ready: i32, updated: i32, revision: &str| {
            json!({"metadata": {"generation": 1}, "spec": {"replicas": 3, "selector": {}, "serviceName": "a",
                "template": {}, "updateStrategy": strategy}, "status": {"observedGeneration": 1, "replicas": 3,
                "readyReplicas": ready, "updatedReplicas": updated, "currentRevision": "a", "updateRevision": revision}})
        };
        check::<StatefulSet>(true, set(json!({}), 3, 3, "a"));
        check::<StatefulSet>(false, set(json!({}), 2, 3, "a"));
        check::<StatefulSet>(false, set(json!({}), 3, 3, "b"));
        check::<StatefulSet>(true, set(json!({"type": "OnDelete"}), 3, 0, "b"));
        let partition = json!({"rollingUpdate": {"partition": 1}});
        check::<StatefulSet>(true, set(partition.clone(), 3, 2, "b"));
        check::<StatefulSet>(false, set(partition, 3, 1, "b"));
    }

    #[test]
    fn a_daemon_set_is_ready_when_every_node_has_its_newest_pod() {
        let set = |strategy: &str, updated: i32, available: i32| {
            json!({"spec": {"selector": {}, "template": {}, "updateStrategy": {"type": strategy}},
                "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberMisscheduled": 0,
                "numberReady": 2, "updatedNumberScheduled": updated, "numberAvailable": available}})
        };
        check::<DaemonSet>(true, set("RollingUpdate", 2, 2));
        check::<DaemonSet>(false, set("RollingUpdate", 1, 2));
        check::<DaemonSet>(false, set("RollingUpdate", 2, 1));
        check::<DaemonSet>(true, set("OnDelete", 0, 2));
    }

    #[test]
    fn work_is_ready_when_it_is_done_and_a_service_when_it_has_an_address() {
        let conditions =
            |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status}]}});
        check::<Job>(true, conditions("Complete", "True"));
        check::<Job>(false, conditions("Complete", "False"));
        check::<Job>(false, conditions("Failed", "True"));
        check::<Pod>(true, conditions("Ready", "True"));
        check::<Pod>(false, conditions("Ready", "False"));
        check::<Pod>(true, json!({"status": {"phase": "Succeeded"}}));
        check::<Pod>(false, json!({}));
        check::<PersistentVolumeClaim>(true, json!({"status": {"phase": "Bound"}}));
        check::<PersistentVolumeClaim>(false, json!({"status": {"phase": "Pending"}}));
        check::<Service>(true, json!({"spec": {"clusterIP": "10.0.0.1"}}));
        check::<Service>(true, json!({"spec": {"clusterIP": "None"}}));
        check::<Service>(false, json!({"spec": {"ports": []}}));
        check::<Service>(true, json!({"spec": {"type": "ExternalName"}}));
        let balancer = |ingress: Value| json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}, "status": {"loadBalancer": {"ingress": ingress}}});
        check::<Service>(false, balancer(json!([])));
        check::<Service>(true, balancer(json!([{"ip": "192.0.2.1"}])));
    }

    #[test]
    fn any_other_kind_is_ready_once_it_exists() {
        check::<ConfigMap>(true, json!({}));
    }
}
