//! Objects for tests of the store and of what stands on it.
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::resource::ObjectKey;
use crate::wire::RawObject;

use super::decode::Envelope;

/// Describes a ConfigMap as a LIST item: without `apiVersion` and `kind`.
#[derive(Clone)]
pub(crate) struct ConfigMapFixture {
    key: ObjectKey,
    uid: String,
    version: String,
    labels: BTreeMap<String, String>,
    controller: Option<String>,
    data: serde_json::Value,
}

/// Begins a ConfigMap `namespace/name` at version 1; its uid is its key.
pub(crate) fn config_map(key: &str) -> ConfigMapFixture {
    let (namespace, name) = key.split_once('/').unwrap();
    ConfigMapFixture {
        key: ObjectKey::namespaced(namespace, name),
        uid: key.to_owned(),
        version: "1".to_owned(),
        labels: BTreeMap::new(),
        controller: None,
        data: json!({}),
    }
}

/// An object that is like its neighbours and still its own.
pub(crate) fn varied(number: u64) -> ConfigMapFixture {
    let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    config_map(&format!("team-{}/app-{}-{noise:x}", number % 7, number % 5))
        .uid(&format!("{noise:08x}-{:04x}-4000-a000-{noise:012x}", number % 65_536)[..36])
        .version(1_000_000 + number)
        .label("app.kubernetes.io/name", &format!("app-{}", number % 5))
        .label("app.kubernetes.io/managed-by", "kubewright")
        .controller(&format!("0a1b2c3d-0000-4000-8000-{:012x}", number / 10))
        .data("words", format!("all w{}", number % 11))
        .data(
            "script",
            "set -eu; exec /usr/bin/serve --listen 0.0.0.0:8080 --log-format json --config /etc/app/config.yaml",
        )
        .data("checksum", format!("{noise:x}{:x}", noise.rotate_left(17)))
}

/// An object that says much in words of its own, beside more that it says as its neighbours do: neither a short difference
/// to them nor one that is not like them.
pub(crate) fn described(number: u64) -> ConfigMapFixture {
    let words = "upstream replica drained because the probe failed after timeout while another node became ready with pending \
                 volumes and retries were scheduled by policy";
    let line = |line: u64| format!("{:x}", (line + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    varied(number)
        .data("template", (0..300).map(line).collect::<Vec<_>>().join("\n"))
        .data("report", report(words, number))
}

/// A text of these words, in another order for each number.
pub(crate) fn report(words: &str, number: u64) -> String {
    let (words, mut noise) = (words.split_whitespace().collect::<Vec<_>>(), number + 1);
    let mut word = || {
        noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        words[(noise >> 33) as usize % words.len()]
    };
    (0..120).map(|_| word()).collect::<Vec<_>>().join(" ")
}

/// Names an object as keys are written.
pub(crate) fn key(key: &str) -> ObjectKey {
    let (namespace, name) = key.split_once('/').unwrap();
    ObjectKey::namespaced(namespace, name)
}

impl ConfigMapFixture {
    pub(crate) fn uid(mut self, uid: &str) -> Self {
        self.uid = uid.to_owned();
        self
    }

    pub(crate) fn version(mut self, version: impl std::fmt::Display) -> Self {
        self.version = version.to_string();
        self
    }

    pub(crate) fn label(mut self, label: &str, value: &str) -> Self {
        self.labels.insert(label.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn controller(mut self, uid: &str) -> Self {
        self.controller = Some(uid.to_owned());
        self
    }

    /// Sets one entry of `data`; tests index by it.
    pub(crate) fn data(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.data[name] = value.into();
        self
    }

    /// Makes `data` something that no ConfigMap has.
    pub(crate) fn undecodable(self) -> Self {
        self.data("broken", 7)
    }

    pub(crate) fn raw(&self) -> Arc<RawObject> {
        let owners: Vec<_> = self.controller.iter().map(|uid| owner(uid)).collect();
        let object = json!({
            "metadata": {
                "namespace": self.key.namespace(), "name": self.key.name(), "uid": self.uid,
                "resourceVersion": self.version, "labels": self.labels, "ownerReferences": owners,
            },
            "data": self.data,
        });
        Arc::new(RawObject::parse(object.to_string().as_bytes()).unwrap())
    }

    pub(crate) fn envelope(&self) -> Envelope {
        Envelope::new(self.raw())
    }
}

fn owner(uid: &str) -> serde_json::Value {
    json!({ "apiVersion": "apps/v1", "kind": "Owner", "name": "owner", "uid": uid, "controller": true })
}
