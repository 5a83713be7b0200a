//! Progress, availability and lateness, by numbers.
use serde_json::{Value, json};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A Deployment of `replicas` pods that may stand still for ten seconds, with a Progressing condition of second 100.
fn deployment(replicas: i32, reason: Option<&str>, status: &Value) -> Deployment {
    let condition = |reason| {
        json!([{ "type": PROGRESSING, "status": "True", "reason": reason, "lastUpdateTime": "1970-01-01T00:01:40Z",
            "lastTransitionTime": "1970-01-01T00:01:40Z" }])
    };
    let mut status = status.clone();
    status["conditions"] = reason.map_or(json!([]), condition);
    serde_json::from_value(json!({
        "metadata": { "name": "web", "generation": 1 },
        "spec": { "replicas": replicas, "progressDeadlineSeconds": 10, "selector": {}, "template": {} },
        "status": status,
    }))
    .unwrap()
}

/// A ReplicaSet with so many pods, of which so many are available.
fn set(name: &str, pods: i32, available: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": { "name": name }, "spec": { "replicas": pods, "selector": {} },
        "status": { "replicas": pods, "readyReplicas": available, "availableReplicas": available, "observedGeneration": 1,
            "terminatingReplicas": 0 },
    }))
    .unwrap()
}

fn judge(
    deployment: &Deployment,
    new: Option<&ReplicaSet>,
    old: &[ReplicaSet],
    second: i64,
) -> (DeploymentStatus, Option<u64>) {
    let limits = Limits { desired: deployment.spec.replicas.unwrap(), max_surge: 1, max_unavailable: 1, rolling: true };
    let sized = |set| (set, Replicas::desired(set));
    let judged = Judged {
        deployment,
        limits: &limits,
        new: new.map(sized),
        old: old.iter().map(sized).collect(),
        now: at(second),
    };
    let status = judged.judge(deployment.status.as_ref().unwrap());
    let late_in = judged.late_in(&status).map(|late_in| late_in.as_secs());
    (status, late_in)
}

#[test]
fn progress_is_told_from_standstill_and_both_from_the_end() {
    // Pods and available pods of the new ReplicaSet and of the old one; what was known before; when.
    let check =
        |new: (i32, i32), old: (i32, i32), before: (&str, Value), second: i64, expected: (&str, Option<u64>)| {
            let deployment = deployment(4, Some(before.0), &before.1);
            let (new, old) = (set("web-2", new.0, new.1), set("web-1", old.0, old.1));
            let (status, late_in) = judge(&deployment, Some(&new), std::slice::from_ref(&old), second);
            let reason = conditions::get(&status, PROGRESSING).unwrap().reason.as_deref().unwrap();
            assert_eq!((reason, late_in), expected, "{before:?} {second}");
        };
    let known = |replicas: i32, updated: i32, available: i32| {
        json!({ "replicas": replicas, "updatedReplicas": updated, "readyReplicas": available,
            "availableReplicas": available, "observedGeneration": 1 })
    };
    let created = |status: Value| (reason::SET_CREATED, status);
    // It stands still: late ten seconds after the last progress, and not a second before.
    check((2, 0), (3, 3), created(known(5, 2, 3)), 101, (reason::SET_CREATED, Some(9)));
    check((2, 0), (3, 3), created(known(5, 2, 3)), 109, (reason::SET_CREATED, Some(1)));
    check((2, 0), (3, 3), created(known(5, 2, 3)), 110, (reason::DEADLINE_EXCEEDED, None));
    // It moves: more new pods, fewer old ones, more available ones. The deadline begins anew, however late it is.
    check((2, 0), (3, 3), created(known(4, 1, 3)), 200, (reason::SET_UPDATED, Some(10)));
    check((2, 0), (3, 3), created(known(6, 2, 3)), 200, (reason::SET_UPDATED, Some(10)));
    check((2, 1), (3, 3), created(known(5, 2, 3)), 200, (reason::SET_UPDATED, Some(10)));
    // It has arrived.
    check((4, 4), (0, 0), created(known(5, 4, 4)), 200, (reason::SET_AVAILABLE, None));
    // It had arrived, and pods are lost: that is no rollout, and never late.
    check((4, 2), (0, 0), (reason::SET_AVAILABLE, known(4, 4, 4)), 999, (reason::SET_AVAILABLE, None));
    // It had arrived, and the next one stands still from the start: as upstream, nothing tells since when.
    check((0, 0), (4, 4), (reason::SET_AVAILABLE, known(4, 0, 4)), 999, (reason::SET_AVAILABLE, None));
    // It was late, and stays so until it moves.
    check((2, 0), (3, 3), (reason::DEADLINE_EXCEEDED, known(5, 2, 3)), 101, (reason::DEADLINE_EXCEEDED, None));
    check((3, 0), (2, 2), (reason::DEADLINE_EXCEEDED, known(5, 2, 3)), 200, (reason::SET_UPDATED, Some(10)));
}

#[test]
fn without_a_deadline_nothing_is_said_about_progress() {
    for seconds in [None, Some(i32::MAX)] {
        let mut deployment = deployment(4, Some(reason::SET_UPDATED), &json!({}));
        deployment.spec.progress_deadline_seconds = seconds;
        let (status, late_in) = judge(&deployment, Some(&set("web-1", 2, 0)), &[], 999);
        assert_eq!((conditions::get(&status, PROGRESSING), late_in), (None, None), "{seconds:?}");
    }
}

#[test]
fn counts_are_sums_without_zeros_and_availability_follows_them() {
    let check = |new: Option<(i32, i32)>, old: &[(i32, i32)], expected: Value| {
        let deployment = deployment(4, Some(reason::SET_UPDATED), &json!({ "collisionCount": 2 }));
        let old: Vec<ReplicaSet> = old.iter().map(|(pods, available)| set("web-1", *pods, *available)).collect();
        let new = new.map(|(pods, available)| set("web-2", pods, available));
        let (mut status, _) = judge(&deployment, new.as_ref(), &old, 101);
        let available = conditions::get(&status, AVAILABLE).unwrap().status.clone();
        status.conditions = None;
        let mut status = json!(status);
        status["available"] = json!(available);
        assert_eq!(status, expected);
    };
    check(
        Some((2, 1)),
        &[(3, 2), (0, 0)],
        json!({ "replicas": 5, "updatedReplicas": 2, "readyReplicas": 3, "availableReplicas": 3, "unavailableReplicas": 2,
            "observedGeneration": 1, "terminatingReplicas": 0, "collisionCount": 2, "available": "True" }),
    );
    check(
        None,
        &[(2, 2)],
        json!({ "replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "observedGeneration": 1,
            "terminatingReplicas": 0, "collisionCount": 2, "available": "False" }),
    );
}

#[test]
fn the_failure_of_the_new_set_is_told_before_that_of_an_old_one_and_taken_back() {
    let failing = |name: &str| {
        let mut set = set(name, 2, 2);
        let conditions =
            json!([{ "type": REPLICA_FAILURE, "status": "True", "reason": "FailedCreate", "message": name }]);
        set.status.as_mut().unwrap().conditions = serde_json::from_value(conditions).unwrap();
        set
    };
    let check = |new: &ReplicaSet, old: &ReplicaSet, expected: Option<&str>| {
        let mut deployment = deployment(4, None, &json!({}));
        let stale = conditions::new(REPLICA_FAILURE, "True", "FailedDelete", String::new(), at(1));
        conditions::set(deployment.status.as_mut().unwrap(), stale);
        let (status, _) = judge(&deployment, Some(new), std::slice::from_ref(old), 101);
        let told = conditions::get(&status, REPLICA_FAILURE).and_then(|condition| condition.message.as_deref());
        assert_eq!(told, expected);
    };
    check(&failing("web-2"), &failing("web-1"), Some("web-2"));
    check(&set("web-2", 2, 2), &failing("web-1"), Some("web-1"));
    check(&set("web-2", 2, 2), &set("web-1", 2, 2), None);
}

#[test]
fn ending_pods_are_counted_where_every_set_tells_of_them() {
    let check = |counts: &[(i64, Option<i32>)], expected: Option<i32>| {
        let sets = counts.iter().map(|(generation, terminating)| {
            let mut set = set("web", 1, 1);
            let status = set.status.as_mut().unwrap();
            (status.observed_generation, status.terminating_replicas) = (Some(*generation), *terminating);
            set
        });
        let (status, _) = judge(&deployment(4, None, &json!({})), None, &sets.collect::<Vec<_>>(), 101);
        assert_eq!(status.terminating_replicas, expected, "{counts:?}");
    };
    check(&[(1, Some(2)), (1, Some(1))], Some(3));
    check(&[(1, Some(2)), (1, None)], None);
    check(&[(1, Some(2)), (0, None)], Some(2));
    check(&[], Some(0));
}
