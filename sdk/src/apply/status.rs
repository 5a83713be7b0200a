//! The status of a primary: conditions and the rest, each by a field manager of its own.
use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use crate::declare::crd::StatusSchema;
use crate::resource::ResourceVersion;

use super::fields::FieldSet;
use super::fingerprint::Fingerprint;

/// One condition as a reconcile states it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    /// Generation of the primary that was reconciled.
    pub(crate) generation: Option<i64>,
}

/// What is remembered of the status writes of one primary.
#[derive(Debug, Default)]
pub(crate) struct StatusMemory {
    /// The uid all of this is about: a primary created anew starts anew.
    uid: Box<str>,
    /// Version and status of the last answer.
    answered: Option<(ResourceVersion, Value)>,
    /// The conditions we own, as of the last answer. `None` until known.
    held: Option<Vec<Value>>,
    /// Whether conditions were sent since, and nothing is known of what became of them.
    doubtful: bool,
    /// Proof that the rest of the status is as set.
    pub(crate) rest: Option<Fingerprint>,
}

impl StatusMemory {
    /// Forgets what was about another life of the primary.
    pub(crate) fn about(&mut self, uid: &str) {
        if *self.uid != *uid {
            *self = Self { uid: uid.into(), ..Self::default() };
        }
    }

    /// Says that conditions are sent. Until [`StatusMemory::learn`] tells the outcome, ours may be more than are known:
    /// the request may fail on its way back, or whoever waits for it may be dropped.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Takes in an answer that says nothing of our conditions.
    pub(crate) fn learn_rest(&mut self, answer: &Value, proof: Fingerprint) {
        self.answered = Some(versioned_status(answer));
        self.rest = Some(proof);
    }

    /// Takes in what the API server answered: `manager` is the one that owns our conditions, `sent` what is ours where
    /// the answer does not say.
    pub(crate) fn learn(&mut self, answer: &Value, manager: &str, sent: Vec<Value>) {
        let (version, status) = versioned_status(answer);
        self.held = Some(match FieldSet::applied_by(manager, Some("status"), answer) {
            Some(fields) => owned_conditions(&fields, &status),
            None => sent,
        });
        self.answered = Some((version, status));
        self.doubtful = false;
    }

    /// Returns the newest status known: the cached one, or that of our last answer where the cache is behind it.
    pub(crate) fn newest(&self, version: Option<&ResourceVersion>, cached: Value) -> Value {
        match (&self.answered, version) {
            (Some((_, status)), None) => status.clone(),
            (Some((answered, status)), Some(version)) if version.compare(answered) == Some(Ordering::Less) => {
                status.clone()
            }
            _ => cached,
        }
    }

    /// Says whether a live read is needed to know which conditions are ours: after a write of unknown outcome, and after
    /// a restart if there are others than the one that is set.
    pub(crate) fn needs_read(&self, current: &Value, statement: &Statement<'_>) -> bool {
        self.doubtful
            || self.held.is_none() && conditions(current).iter().any(|condition| condition["type"] != statement.kind)
    }

    /// Builds the conditions to send: ours, with `statement` in its place. `None` when it is stated already.
    pub(crate) fn state(&self, current: &Value, statement: &Statement<'_>, now: &str) -> Option<Vec<Value>> {
        let present = conditions(current).iter().find(|condition| condition["type"] == statement.kind);
        let stated = statement.to_value(present, now);
        if present == Some(&stated) {
            return None;
        }
        let mut held = self.held.clone().unwrap_or_default();
        match held.iter_mut().find(|condition| condition["type"] == statement.kind) {
            Some(held) => *held = stated,
            None => held.push(stated),
        }
        Some(held)
    }
}

impl Statement<'_> {
    fn to_value(self, present: Option<&Value>, now: &str) -> Value {
        let since = present
            .filter(|present| present["status"] == self.status)
            .and_then(|present| present["lastTransitionTime"].as_str())
            .unwrap_or(now);
        let mut condition = json!({
            "type": self.kind,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": since,
        });
        if let Some(generation) = self.generation {
            condition["observedGeneration"] = generation.into();
        }
        condition
    }
}

/// Makes what is sent of a typed status: all but the conditions, with observedGeneration where the schema has it.
pub(crate) fn rest(status: Value, schema: StatusSchema, generation: Option<i64>) -> Value {
    let mut status = match status {
        Value::Object(status) => status,
        _ => Map::new(),
    };
    status.remove("conditions");
    if let (true, Some(generation)) = (schema.observed_generation, generation) {
        status.insert("observedGeneration".to_owned(), generation.into());
    }
    let mut status = Value::Object(status);
    super::desired::prune(&mut status);
    status
}

/// Says whether the status of a live object is `rest` and nothing more, conditions aside.
pub(crate) fn is_rest(live: &Value, rest: &Value) -> bool {
    let mut status = live.get("status").and_then(Value::as_object).cloned().unwrap_or_default();
    status.remove("conditions");
    Value::Object(status) == *rest
}

fn versioned_status(answer: &Value) -> (ResourceVersion, Value) {
    let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
    (ResourceVersion::new(version), answer.get("status").cloned().unwrap_or_default())
}

fn conditions(status: &Value) -> &[Value] {
    status.get("conditions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn owned_conditions(fields: &FieldSet, status: &Value) -> Vec<Value> {
    let Some(owned) = fields.at(&["status", "conditions"]) else { return Vec::new() };
    let ours = |condition: &&Value| {
        // A CRD without list-map keys makes the list one field, owned as a whole.
        owned.is_leaf() || condition["type"].as_str().is_some_and(|kind| owned.has_item("type", kind))
    };
    conditions(status).iter().filter(ours).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANAGER: &str = "site-conditions";

    fn answer(version: u64, conditions: Value, owned: Value) -> Value {
        json!({
            "metadata": {"resourceVersion": version.to_string(), "managedFields": [{"manager": MANAGER,
                "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {"f:conditions": owned}}}]},
            "status": {"conditions": conditions},
        })
    }

    fn ready(status: &'static str) -> Statement<'static> {
        Statement { kind: "Ready", status, reason: "R", message: "m", generation: Some(1) }
    }

    fn condition(kind: &str, status: &str, since: &str) -> Value {
        json!({"type": kind, "status": status, "reason": "R", "message": "m", "lastTransitionTime": since,
            "observedGeneration": 1})
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let memory = StatusMemory::default();
        let current = json!({"conditions": [condition("Ready", "True", "t0")]});
        assert_eq!(memory.state(&current, &ready("True"), "t1"), None);
        assert_eq!(memory.state(&current, &ready("False"), "t1"), Some(vec![condition("Ready", "False", "t1")]));
        let reworded = Statement { message: "other", ..ready("True") };
        let stated = memory.state(&current, &reworded, "t1").unwrap();
        assert_eq!((&stated[0]["lastTransitionTime"], &stated[0]["message"]), (&json!("t0"), &json!("other")));
        let newer = Statement { generation: Some(2), ..ready("True") };
        assert_eq!(memory.state(&current, &newer, "t1").unwrap()[0]["observedGeneration"], 2);
    }

    #[test]
    fn conditions_of_others_are_never_sent() {
        let mut memory = StatusMemory::default();
        memory.about("u");
        let all = json!([condition("Ready", "True", "t0"), condition("Theirs", "True", "t0")]);
        memory.learn(
            &answer(5, all.clone(), json!({"k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}}})),
            MANAGER,
            Vec::new(),
        );
        let current = json!({"conditions": all});
        assert_eq!(memory.state(&current, &ready("False"), "t1"), Some(vec![condition("Ready", "False", "t1")]));
    }

    #[test]
    fn an_atomic_list_is_sent_as_a_whole() {
        let mut memory = StatusMemory::default();
        let all = json!([condition("Ready", "True", "t0"), condition("Other", "True", "t0")]);
        memory.learn(&answer(5, all.clone(), json!({})), MANAGER, Vec::new());
        assert_eq!(memory.state(&json!({"conditions": all}), &ready("False"), "t1").unwrap().len(), 2);
    }

    #[test]
    fn calls_build_on_each_other_while_the_cache_lags() {
        let mut memory = StatusMemory::default();
        memory.about("u");
        let (old, cached) = (ResourceVersion::new("3"), json!({}));
        let first = memory.state(&memory.newest(Some(&old), cached.clone()), &ready("True"), "t0").unwrap();
        let owned = json!({"k:{\"type\":\"Ready\"}": {}, "k:{\"type\":\"Other\"}": {}});
        memory.learn(&answer(5, json!(first), owned), MANAGER, Vec::new());
        let current = memory.newest(Some(&old), cached.clone());
        assert_eq!(memory.state(&current, &ready("True"), "t1"), None, "stated already");
        let other = Statement { kind: "Other", ..ready("True") };
        assert_eq!(memory.state(&current, &other, "t1").unwrap().len(), 2, "keeps the first");
        let newer = ResourceVersion::new("6");
        assert_eq!(memory.newest(Some(&newer), cached.clone()), cached, "the cache has passed the answer");
        memory.about("v");
        assert_eq!(memory.newest(Some(&old), cached.clone()), cached, "another life");
    }

    #[test]
    fn a_restart_reads_only_if_there_is_something_to_mistake() {
        let memory = StatusMemory::default();
        let check = |conditions: Value, expected: bool| {
            assert_eq!(memory.needs_read(&json!({"conditions": conditions}), &ready("True")), expected);
        };
        check(json!([]), false);
        check(json!([condition("Ready", "False", "t0")]), false);
        check(json!([condition("Ready", "False", "t0"), condition("Other", "True", "t0")]), true);
    }

    #[test]
    fn the_rest_has_no_conditions_and_observes_the_generation() {
        let schema = StatusSchema { subresource: true, conditions: true, observed_generation: true };
        let status = json!({"conditions": [], "url": "x", "gone": null});
        let sent = rest(status.clone(), schema, Some(4));
        assert_eq!(sent, json!({"url": "x", "observedGeneration": 4}));
        assert!(is_rest(&json!({"status": {"url": "x", "observedGeneration": 4, "conditions": [1]}}), &sent));
        assert!(!is_rest(&json!({"status": {"url": "x", "observedGeneration": 4, "old": 1}}), &sent));
        assert_eq!(rest(status, StatusSchema { observed_generation: false, ..schema }, Some(4)), json!({"url": "x"}));
        assert!(is_rest(&json!({}), &json!({})));
    }
}
