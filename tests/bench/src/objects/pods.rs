//! Pods as ReplicaSets, the scheduler and kubelets leave them behind: 5.7 KB of JSON in the mean.
use std::fmt::Write as _;

use super::apps::{App, Catalogue, Node};
use super::random::{Moment, Random};
use super::{Draft, SENT, SENT_DIGITS};

/// Most pods of one ReplicaSet.
const REPLICAS: usize = 20;

/// What the pods of one ReplicaSet share.
struct ReplicaSet<'a> {
    app: &'a App,
    namespace: &'a str,
    hash: String,
    uid: String,
    checksum: String,
}

pub(super) fn drafts(catalogue: &Catalogue, count: usize, random: &mut Random) -> Vec<Draft> {
    let mut drafts = Vec::with_capacity(count);
    while drafts.len() < count {
        let app = random.pick(&catalogue.apps);
        let set = ReplicaSet {
            app,
            namespace: random.pick(&app.namespaces).as_str(),
            hash: random.suffix(10),
            uid: random.uid(),
            checksum: random.hex(64),
        };
        for _ in 0..random.between(1, REPLICAS).min(count - drafts.len()) {
            drafts.push(draft(&set, random.pick(&catalogue.nodes), random));
        }
    }
    drafts
}

fn draft(set: &ReplicaSet<'_>, node: &Node, random: &mut Random) -> Draft {
    let name = format!("{}-{}-{}", set.app.name, set.hash, random.suffix(5));
    let created = random.moment();
    let address = random.address(&node.network);
    let mut json = String::with_capacity(6 * 1024);
    json.push_str(r#"{"kind":"Pod","apiVersion":"v1",""#);
    metadata(&mut json, set, &name, created, random);
    managed_fields(&mut json, set.app, created, random);
    json.push_str(r#"]},"spec":"#);
    spec(&mut json, set.app, node, random);
    json.push_str(r#","status":"#);
    status(&mut json, set.app, node, &address, created, random);
    json.push('}');
    Draft { key: format!("{}/{name}", set.namespace), json }
}

// Writing to a String does not fail.
fn metadata(json: &mut String, set: &ReplicaSet<'_>, name: &str, created: Moment, random: &mut Random) {
    let ReplicaSet { app, namespace, hash, uid, checksum } = set;
    let (own, version, app_name, labels) = (random.uid(), random.version(), &app.name, &app.labels);
    let _ = write!(
        json,
        r#"metadata":{{"name":"{name}","generateName":"{app_name}-{hash}-","namespace":"{namespace}","uid":"{own}","resourceVersion":"{version}","generation":1,"creationTimestamp":"{created}","labels":{{"app.kubernetes.io/instance":"{app_name}","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"{app_name}"{labels},"pod-template-hash":"{hash}"}},"annotations":{{"{SENT}":"{:0SENT_DIGITS$}","checksum/config":"{checksum}","prometheus.io/scrape":"true"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"{app_name}-{hash}","uid":"{uid}","controller":true,"blockOwnerDeletion":true}}],"managedFields":["#,
        0
    );
}

fn managed_fields(json: &mut String, app: &App, created: Moment, random: &mut Random) {
    let ready = created.later(random.between(2, 90));
    let _ = write!(
        json,
        r#"{{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"{created}","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:checksum/config":{{}},"f:prometheus.io/scrape":{{}}}},"f:generateName":{{}},"f:labels":{{".":{{}},"f:app.kubernetes.io/instance":{{}},"f:app.kubernetes.io/name":{{}},"f:pod-template-hash":{{}}}},"f:ownerReferences":{{".":{{}},"k:{{\"uid\":\"{}\"}}":{{}}}}}},"f:spec":{{"f:containers":{{"#,
        random.uid()
    );
    for (at, container) in app.containers.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            json,
            r#"{comma}"k:{{\"name\":\"{}\"}}":{{".":{{}},"f:env":{{".":{{}}}},"f:image":{{}},"f:imagePullPolicy":{{}},"f:name":{{}},"f:ports":{{".":{{}}}},"f:resources":{{".":{{}},"f:limits":{{}},"f:requests":{{}}}}}}"#,
            container.name
        );
    }
    let _ = write!(
        json,
        r#"}},"f:dnsPolicy":{{}},"f:restartPolicy":{{}},"f:schedulerName":{{}}}}}}}},{{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"{ready}","fieldsType":"FieldsV1","fieldsV1":{{"f:status":{{"f:conditions":{{"k:{{\"type\":\"Ready\"}}":{{".":{{}},"f:lastProbeTime":{{}},"f:lastTransitionTime":{{}},"f:status":{{}},"f:type":{{}}}}}},"f:containerStatuses":{{}},"f:hostIP":{{}},"f:phase":{{}},"f:podIP":{{}},"f:podIPs":{{}},"f:startTime":{{}}}}}},"subresource":"status"}}"#
    );
}

fn spec(json: &mut String, app: &App, node: &Node, random: &mut Random) {
    let token = format!("kube-api-access-{}", random.suffix(5));
    let volumes = &app.volumes;
    let _ = write!(
        json,
        r#"{{"volumes":[{volumes}{{"name":"{token}","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},{{"configMap":{{"name":"kube-root-ca.crt","items":[{{"key":"ca.crt","path":"ca.crt"}}]}}}},{{"downwardAPI":{{"items":[{{"path":"namespace","fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.namespace"}}}}]}}}}],"defaultMode":420}}}}],"containers":["#
    );
    for (at, container) in app.containers.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            json,
            r#"{comma}{{"name":"{}","image":"{}",{}"volumeMounts":[{}{{"name":"{token}","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}}],{}}}"#,
            container.name, container.image, container.middle, container.mounts, container.end
        );
    }
    let (grace, account, node) = (app.grace, &app.service_account, &node.name);
    let _ = write!(
        json,
        r#"],"restartPolicy":"Always","terminationGracePeriodSeconds":{grace},"dnsPolicy":"ClusterFirst","serviceAccountName":"{account}","serviceAccount":"{account}","nodeName":"{node}","securityContext":{{}},"schedulerName":"default-scheduler","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}},{{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}}"#
    );
}

fn status(json: &mut String, app: &App, node: &Node, address: &str, created: Moment, random: &mut Random) {
    let started = created.later(random.between(1, 20));
    let ready = started.later(random.between(1, 60));
    json.push_str(r#"{"phase":"Running","conditions":["#);
    let conditions = [("PodReadyToStartContainers", started), ("Initialized", created), ("Ready", ready)];
    for (name, since) in conditions.into_iter().chain([("ContainersReady", ready), ("PodScheduled", created)]) {
        let comma = if name == "PodReadyToStartContainers" { "" } else { "," };
        let _ = write!(
            json,
            r#"{comma}{{"type":"{name}","status":"True","lastProbeTime":null,"lastTransitionTime":"{since}"}}"#
        );
    }
    let _ = write!(
        json,
        r#"],"hostIP":"{0}","hostIPs":[{{"ip":"{0}"}}],"podIP":"{address}","podIPs":[{{"ip":"{address}"}}],"startTime":"{created}","containerStatuses":["#,
        node.address
    );
    for (at, container) in app.containers.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let (name, image) = (&container.name, &container.image);
        let repository = image.rsplit_once(':').map_or(image.as_str(), |(repository, _)| repository);
        let (restarts, id) = (if random.percent(10) { random.between(1, 9) } else { 0 }, random.hex(64));
        let _ = write!(
            json,
            r#"{comma}{{"name":"{name}","state":{{"running":{{"startedAt":"{started}"}}}},"lastState":{{}},"ready":true,"restartCount":{restarts},"image":"{image}","imageID":"{repository}@sha256:{}","containerID":"containerd://{id}","started":true}}"#,
            container.digest
        );
    }
    json.push_str(r#"],"qosClass":"Burstable"}"#);
}
