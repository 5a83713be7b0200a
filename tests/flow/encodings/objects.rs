//! Objects of many kinds, with fields of every type that JSON and protobuf write differently.
use controlplane::TestScope;
use serde_json::{Value, json};

/// Text that JSON writes in more than one way.
const TEXT: &str = "<a href=\"b\">\u{2028} & \\ \t\n\r ü 𝄞";

fn labels() -> Value {
    json!({ "app": "all" })
}

/// A pod with fields of every type that a pod has.
fn pod_spec() -> Value {
    json!({
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": false,
        "serviceAccountName": "account",
        "enableServiceLinks": false,
        "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["a", "b"] }],
        "dnsConfig": { "options": [{ "name": "ndots", "value": "2" }, { "name": "edns0" }] },
        "securityContext": { "runAsUser": 0, "fsGroup": 2000, "sysctls": [], "supplementalGroups": [1, 2] },
        "tolerations": [{ "key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": -1 }],
        "affinity": {
            "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 7,
                "podAffinityTerm": { "topologyKey": "zone", "labelSelector": { "matchLabels": labels() } },
            }] },
            "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{
                "matchExpressions": [{ "key": "nobody-has-it", "operator": "DoesNotExist" }],
            }] } },
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1, "minDomains": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": { "matchExpressions": [{ "key": "app", "operator": "In", "values": ["all"] }] },
        }],
        "volumes": [
            { "name": "empty", "emptyDir": {} },
            { "name": "memory", "emptyDir": { "medium": "Memory", "sizeLimit": "1500m" } },
            { "name": "map", "configMap": { "name": "map", "defaultMode": 256, "optional": true,
                "items": [{ "key": "a", "path": "b", "mode": 292 }] } },
            { "name": "projected", "projected": { "sources": [
                { "serviceAccountToken": { "path": "token", "expirationSeconds": 7200 } },
                { "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
            ] } },
        ],
        "initContainers": [{ "name": "sidecar", "image": "none", "restartPolicy": "Always" }],
        "containers": [{
            "name": "main", "image": "none", "args": ["", TEXT], "tty": true,
            "env": [
                { "name": "EMPTY", "value": "" },
                { "name": "TEXT", "value": TEXT },
                { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
                { "name": "CPU", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu", "divisor": "1m" } } },
                { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "secret", "key": "a", "optional": false } } },
            ],
            "ports": [{ "name": "web", "containerPort": 80, "protocol": "UDP" }],
            "resources": { "limits": { "cpu": "1.5", "memory": "1Gi", "example.com/a": "3" }, "requests": { "cpu": "10m" } },
            "livenessProbe": { "httpGet": { "path": "/", "port": 80, "httpHeaders": [{ "name": "a", "value": "b" }] } },
            "readinessProbe": { "tcpSocket": { "port": "web" }, "periodSeconds": 3 },
            "startupProbe": { "grpc": { "port": 9, "service": "" }, "failureThreshold": 30 },
            "lifecycle": { "preStop": { "exec": { "command": ["true"] } } },
            "securityContext": { "capabilities": { "drop": ["ALL"] }, "readOnlyRootFilesystem": false, "privileged": false },
            "volumeMounts": [{ "name": "empty", "mountPath": "/a", "subPathExpr": "$(NODE)", "readOnly": true }],
        }],
    })
}

pub(super) fn pod(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": labels() }, "spec": pod_spec() })
}

/// Returns objects of many kinds, each with what makes its encoding interesting.
pub(super) fn objects(scope: &TestScope) -> Vec<Value> {
    let mut objects = core(scope);
    objects.extend(records(scope));
    objects.extend(workloads());
    objects.extend(policies(scope));
    let annotations = json!({ "text": TEXT, "empty": "" });
    for object in &mut objects {
        object["metadata"]["annotations"] = annotations.clone();
    }
    objects
}

fn core(scope: &TestScope) -> Vec<Value> {
    let volume = format!("volume-{}", scope.id());
    vec![
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "map" },
            "data": { "a": TEXT, "b": "" }, "binaryData": { "c": "/+8AAA==", "d": "" } }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "still" }, "immutable": true }),
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "secret" },
            "type": "Opaque", "data": { "a": "/+8AAA==", "b": "" } }),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "account" },
            "automountServiceAccountToken": false }),
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "service" }, "spec": {
            "selector": labels(), "sessionAffinity": "ClientIP", "ports": [
                { "name": "a", "port": 80, "targetPort": "web" }, { "name": "b", "port": 81, "targetPort": 8080 },
            ],
        } }),
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "headless" }, "spec": {
            "clusterIP": "None", "ports": [{ "port": 1 }],
        } }),
        json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "claim" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": { "requests": { "storage": "1Gi" } },
        } }),
        json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": volume }, "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1e3" }, "hostPath": { "path": "/a" },
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "none",
        } }),
        json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "quota" }, "spec": {
            "hard": { "count/widgets.example.com": "5", "pods": "1k" },
        } }),
        json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "range" }, "spec": {
            "limits": [{ "type": "PersistentVolumeClaim", "max": { "storage": "5Ti" } }],
        } }),
    ]
}

/// Objects with times, some of them in microseconds.
fn records(scope: &TestScope) -> Vec<Value> {
    let involved = json!({ "kind": "Pod", "namespace": scope.namespace(), "name": "after" });
    vec![
        json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "name": "event" },
            "involvedObject": involved, "reason": "Made", "message": TEXT, "type": "Normal", "count": 3,
            "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": null }),
        json!({ "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": "newer" },
            "eventTime": "2026-01-02T03:04:05.678901Z", "reportingController": "here", "reportingInstance": "one",
            "action": "Make", "reason": "Made", "type": "Normal", "note": TEXT, "regarding": involved }),
        json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "lease" }, "spec": {
            "holderIdentity": "me", "leaseDurationSeconds": 1, "renewTime": "2026-01-02T03:04:05.000001Z",
            "leaseTransitions": 0,
        } }),
        json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": { "name": "slice" },
            "addressType": "IPv4", "ports": [{ "port": 80 }], "endpoints": [{
                "addresses": ["10.0.0.1"], "conditions": { "ready": false }, "hints": { "forZones": [{ "name": "a" }] },
            }] }),
    ]
}

fn workloads() -> Vec<Value> {
    let template = json!({ "metadata": { "labels": labels() }, "spec": pod_spec() });
    let mut job = template.clone();
    job["spec"]["restartPolicy"] = json!("Never");
    let selector = json!({ "matchLabels": labels() });
    vec![
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "deployment" }, "spec": {
            "replicas": 0, "paused": true, "selector": selector, "template": template,
            "strategy": { "rollingUpdate": { "maxSurge": "30%", "maxUnavailable": 0 } },
        } }),
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "stateful" }, "spec": {
            "replicas": 0, "serviceName": "headless", "selector": selector, "template": template,
            "volumeClaimTemplates": [{ "metadata": { "name": "claim" }, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1.5Gi" } },
            } }],
        } }),
        json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "daemon" }, "spec": {
            "selector": selector, "template": template,
        } }),
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "job" }, "spec": {
            "suspend": true, "completionMode": "Indexed", "completions": 2, "parallelism": 0, "template": job,
            "podFailurePolicy": { "rules": [{ "action": "FailJob", "onExitCodes": { "operator": "In", "values": [1, 42] } }] },
        } }),
        json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "cron" }, "spec": {
            "schedule": "0 0 1 1 *", "timeZone": "Etc/UTC", "suspend": true, "jobTemplate": { "spec": { "template": job } },
        } }),
        json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "scaler" }, "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "deployment" }, "maxReplicas": 3,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } }],
            "behavior": { "scaleDown": { "policies": [{ "type": "Pods", "value": 4, "periodSeconds": 60 }], "tolerance": "0.05" } },
        } }),
    ]
}

fn policies(scope: &TestScope) -> Vec<Value> {
    let name = |kind: &str| format!("{kind}-{}", scope.id());
    let nowhere = json!([{ "apiGroups": ["nowhere.example.com"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"] }]);
    vec![
        json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "budget" }, "spec": {
            "minAvailable": "50%", "selector": {},
        } }),
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "network" }, "spec": {
            "podSelector": {}, "policyTypes": ["Egress", "Ingress"],
            "ingress": [{ "from": [{ "ipBlock": { "cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"] } }], "ports": [{ "port": "web" }, { "port": 1, "endPort": 9 }] }],
        } }),
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "ingress" }, "spec": {
            "rules": [{ "host": "a.example.com", "http": { "paths": [{ "path": "/", "pathType": "Prefix",
                "backend": { "service": { "name": "service", "port": { "number": 80 } } } }] } }, { "host": "b.example.com" }],
        } }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "role" }, "rules": [
            { "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"], "verbs": ["get"] },
        ] }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "binding" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "role" },
            "subjects": [{ "kind": "ServiceAccount", "name": "account", "namespace": scope.namespace() }] }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": name("role") },
            "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "nobody": "has-it" } }] } }),
        json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": name("class") },
            "provisioner": "nowhere.example.com", "mountOptions": ["ro"], "allowVolumeExpansion": false }),
        json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name("class") },
            "value": -7, "description": TEXT }),
        json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": name("webhook") }, "webhooks": [{
                "name": "a.nowhere.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": nowhere,
                "clientConfig": { "url": "https://localhost/", "caBundle": "" },
            }] }),
        json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name("policy") }, "spec": {
                "matchConstraints": { "resourceRules": nowhere },
                "validations": [{ "expression": "object.spec.a < 3 && true", "messageExpression": "'<&>'" }],
            } }),
    ]
}
