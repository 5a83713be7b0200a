//! Widgets: custom resources as the API server writes them, every object's fields in the order of the alphabet.
use std::fmt::Write as _;

use super::apps::{App, Catalogue};
use super::random::{Moment, Random};
use super::{Draft, SENT, SENT_DIGITS};

/// Most widgets of one fleet, which is their controlling owner and gives them a host.
const FLEET: usize = 20;

/// What the widgets of one owner share.
struct Fleet<'a> {
    app: &'a App,
    namespace: &'a str,
    name: String,
    uid: String,
    host: String,
}

pub(super) fn drafts(catalogue: &Catalogue, count: usize, random: &mut Random) -> Vec<Draft> {
    let mut drafts = Vec::with_capacity(count);
    while drafts.len() < count {
        let app = random.pick(&catalogue.apps);
        let name = format!("{}-{}", app.name, random.suffix(6));
        let fleet = Fleet {
            app,
            namespace: random.pick(&app.namespaces).as_str(),
            host: format!("{name}.example.com"),
            name,
            uid: random.uid(),
        };
        for _ in 0..random.between(1, FLEET).min(count - drafts.len()) {
            drafts.push(draft(&fleet, random));
        }
    }
    drafts
}

fn draft(fleet: &Fleet<'_>, random: &mut Random) -> Draft {
    let name = format!("{}-{}", fleet.name, random.suffix(5));
    let (created, generation) = (random.moment(), random.between(1, 30));
    let mut json = String::with_capacity(4 * 1024);
    json.push_str(r#"{"apiVersion":"bench.example.com/v1","kind":"Widget","metadata":{"#);
    metadata(&mut json, fleet, &name, created, generation, random);
    json.push_str(r#"},"spec":"#);
    let replicas = spec(&mut json, fleet, random);
    let ready = created.later(random.between(1, 900));
    let (phase, status) = if random.percent(90) { ("Ready", "True") } else { ("Pending", "False") };
    // Writing to a String does not fail.
    let _ = write!(
        json,
        r#","status":{{"conditions":[{{"lastTransitionTime":"{ready}","message":"{} of {replicas} parts answer at {}","observedGeneration":{generation},"reason":"Observed","status":"{status}","type":"Ready"}},{{"lastTransitionTime":"{created}","message":"accepted as {}","observedGeneration":{generation},"reason":"Valid","status":"True","type":"Accepted"}}],"observedGeneration":{generation},"phase":"{phase}","readyReplicas":{}}}}}"#,
        random.between(0, replicas),
        random.address("10.96"),
        random.hex(12),
        random.between(0, replicas)
    );
    Draft { key: format!("{}/{name}", fleet.namespace), json }
}

fn metadata(json: &mut String, fleet: &Fleet<'_>, name: &str, created: Moment, generation: usize, random: &mut Random) {
    let Fleet { app, namespace, name: owner, uid, .. } = fleet;
    let (app, labels, checksum) = (&app.name, &app.labels, random.hex(64));
    let _ = write!(
        json,
        r#""annotations":{{"{SENT}":"{:0SENT_DIGITS$}","bench.example.com/checksum":"{checksum}"}},"creationTimestamp":"{created}","generation":{generation},"labels":{{"app.kubernetes.io/instance":"{owner}","app.kubernetes.io/managed-by":"bench","app.kubernetes.io/name":"{app}"{labels}}},"#,
        0
    );
    let observed = created.later(random.between(1, 900));
    let _ = write!(
        json,
        r#""managedFields":[{{"apiVersion":"bench.example.com/v1","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:bench.example.com/checksum":{{}}}},"f:labels":{{".":{{}},"f:app.kubernetes.io/instance":{{}},"f:app.kubernetes.io/managed-by":{{}},"f:app.kubernetes.io/name":{{}}}},"f:ownerReferences":{{".":{{}},"k:{{\"uid\":\"{uid}\"}}":{{}}}}}},"f:spec":{{".":{{}},"f:env":{{}},"f:host":{{}},"f:image":{{}},"f:parts":{{}},"f:paused":{{}},"f:replicas":{{}}}}}},"manager":"fleet-operator","operation":"Apply","time":"{created}"}},{{"apiVersion":"bench.example.com/v1","fieldsType":"FieldsV1","fieldsV1":{{"f:status":{{"f:conditions":{{"k:{{\"type\":\"Ready\"}}":{{}}}},"f:observedGeneration":{{}},"f:phase":{{}},"f:readyReplicas":{{}}}}}},"manager":"widget-operator","operation":"Apply","subresource":"status","time":"{observed}"}}],"#
    );
    let (own, version) = (random.uid(), random.version());
    let _ = write!(
        json,
        r#""name":"{name}","namespace":"{namespace}","ownerReferences":[{{"apiVersion":"bench.example.com/v1","blockOwnerDeletion":true,"controller":true,"kind":"Fleet","name":"{owner}","uid":"{uid}"}}],"resourceVersion":"{version}","uid":"{own}""#
    );
}

/// Returns how many replicas it wants.
fn spec(json: &mut String, fleet: &Fleet<'_>, random: &mut Random) -> usize {
    json.push_str(r#"{"env":{"#);
    for (at, (name, value)) in fleet.app.variables.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(json, r#"{comma}"{name}":"{value}""#);
    }
    let (host, image, replicas) = (&fleet.host, &fleet.app.containers[0].image, random.between(1, 12));
    let _ = write!(json, r#"}},"host":"{host}","image":"{image}","parts":["#);
    for part in 0..random.between(1, 5) {
        let comma = if part == 0 { "" } else { "," };
        let _ = write!(json, r#"{comma}{{"name":"part-{}","size":{}}}"#, random.suffix(4), random.between(1, 4000));
    }
    let _ = write!(json, r#"],"paused":{},"replicas":{replicas}}}"#, random.percent(5));
    replicas
}
