//! Whole rollouts in a small world that does what it wants: pods that come late, fall ill or never get well, and a user
//! who changes their mind.
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::json;

use crate::conditions;

use super::*;

mod world;

use world::{Action, Updates, World, actions};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens, no pass lets more pods be than the surge allows, and no pass of a rolling update costs a pod
    /// that must stay available. Once the user is quiet and new pods get well, the rollout arrives, and nothing is left to
    /// do.
    #[test]
    fn rolling_updates_keep_their_bounds_and_arrive(
        replicas in 0..12_i32,
        strategy in world::rolling(),
        actions in actions(0..60),
    ) {
        run(World::new(replicas, strategy), &actions)?;
    }

    /// The same without surge and availability: old pods are gone before the first new one begins.
    #[test]
    fn recreating_never_runs_two_templates_at_once_and_arrives(replicas in 0..12_i32, actions in actions(0..60)) {
        run(World::new(replicas, Updates::Recreate), &actions)?;
    }
}

fn run(mut world: World, actions: &[Action]) -> Result<(), TestCaseError> {
    for action in actions {
        world.act(action)?;
    }
    world.calm();
    let mut rounds = 0;
    while !world.round()? {
        rounds += 1;
        prop_assert!(rounds < 200, "it does not arrive: {:#?}", world.deployment().status);
    }
    let deployment = world.deployment();
    let status = deployment.status.as_ref().unwrap();
    prop_assert!(status::is_complete(deployment, status), "{status:#?}");
    prop_assert!(conditions::has_reason(status, PROGRESSING, reason::SET_AVAILABLE), "{status:#?}");
    let old = world.sets().filter(|set| set.desired() == 0).count();
    prop_assert!(old <= world::HISTORY + 1, "{old} old revisions are left");
    Ok(())
}

/// Passes over a Deployment of four, one a line: what it writes, given the sizes of its ReplicaSets as (desired,
/// available), the oldest first. The last one has the template that is asked for, unless `images` says otherwise.
fn check(deployment: &serde_json::Value, sets: &[(i32, i32)], expected: &[&str]) {
    let mut world = World::new(4, Updates::Rolling { surge: 1, unavailable: 1 });
    world.change(deployment);
    for (at, (desired, available)) in sets.iter().enumerate() {
        world.add_set(at, *desired, *available);
    }
    let written: Vec<String> = plan(&world.observed()).writes.iter().map(describe).collect();
    assert_eq!(written, expected, "{deployment} {sets:?}");
}

fn describe(write: &Write) -> String {
    match write {
        Write::Create(set) => format!("create with {}", set.desired()),
        Write::Delete(set) => format!("delete {}", set.name()),
        Write::Change(set, Change { replicas, min_ready_seconds, annotations }) => {
            let mut text = format!("change {}", set.name());
            replicas.iter().for_each(|replicas| text += &format!(" to {replicas}"));
            min_ready_seconds.iter().for_each(|seconds| text += &format!(" ready after {seconds} s"));
            annotations.iter().for_each(|(name, value)| {
                text += &format!(" {}={value}", name.rsplit('/').next().unwrap_or_default());
            });
            text
        }
    }
}

#[test]
fn a_pass_writes_what_the_sizes_ask_for() {
    let image = |image: u8| json!({ "template": world::template(image) });
    check(&image(0), &[], &["create with 4"]);
    check(&image(0), &[(4, 4)], &[]);
    check(&image(1), &[(4, 4)], &["create with 1", "change set-0 to 3"]);
    check(&image(1), &[(3, 3), (1, 0)], &["change set-1 to 2"]);
    check(&image(1), &[(3, 3), (2, 1)], &["change set-0 to 2"]);
    check(&image(1), &[(0, 0), (4, 4)], &[]);
    // Back to the first template: it becomes the newest revision.
    check(&image(0), &[(0, 0), (4, 4)], &["change set-0 to 1 revision=3 revision-history=1"]);
}

#[test]
fn a_paused_pass_scales_and_rolls_nothing_out() {
    let paused =
        |image: u8, replicas: i32| json!({ "paused": true, "replicas": replicas, "template": world::template(image) });
    check(&paused(1, 4), &[(4, 4)], &[]);
    check(&paused(1, 6), &[(4, 4)], &["change set-0 to 6 desired-replicas=6 max-replicas=7"]);
    check(
        &paused(1, 8),
        &[(3, 3), (2, 1)],
        &["change set-1 to 4 desired-replicas=8 max-replicas=9", "change set-0 to 5 desired-replicas=8 max-replicas=9"],
    );
}

/// A rollout grew the new ReplicaSet to two of three, and then two are asked for. Nothing was left to write, while the
/// memory of three said that a change of size was under way: no rollout went on from there.
#[test]
fn a_size_that_a_rollout_has_reached_already_is_still_noted() {
    let mut world = World::new(2, Updates::Rolling { surge: 1, unavailable: 1 });
    world.add_set(0, 2, 2);
    let writes: Vec<String> = plan(&world.observed()).writes.iter().map(describe).collect();
    assert_eq!(writes, ["change set-0 desired-replicas=2 max-replicas=3"]);
}

#[test]
fn what_a_deployment_says_reaches_its_newest_set() {
    let image = world::template(0);
    check(&json!({ "minReadySeconds": 7, "template": image }), &[(4, 4)], &["change set-0 ready after 7 s"]);
}

#[test]
fn only_the_oldest_idle_sets_beyond_the_limit_are_deleted() {
    let limit = |limit: i32| json!({ "revisionHistoryLimit": limit, "template": world::template(3) });
    check(&limit(2), &[(0, 0), (0, 0), (0, 0), (4, 4)], &["delete set-0"]);
    check(&limit(0), &[(0, 0), (0, 0), (0, 0), (4, 4)], &["delete set-0", "delete set-1", "delete set-2"]);
    check(&limit(i32::MAX), &[(0, 0), (0, 0), (0, 0), (4, 4)], &[]);
}

#[test]
fn a_deployment_that_is_being_deleted_is_only_counted() {
    let mut world = World::new(4, Updates::Recreate);
    world.add_set(0, 2, 2);
    world.change(&json!({ "template": world::template(1) }));
    let mut observed = world.observed();
    let mut deployment = (*observed.deployment).clone();
    deployment.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(observed.now));
    observed.deployment = Arc::new(deployment);
    let plan = plan(&observed);
    assert_eq!((plan.writes.len(), plan.status.available_replicas), (0, Some(2)));
}

#[test]
fn a_pause_is_noted_and_lateness_outlasts_it() {
    let check = |paused: bool, before: &str, expected: &str| {
        let mut world = World::new(4, Updates::Recreate);
        world.change(&json!({ "paused": paused }));
        world.add_set(0, 2, 2);
        let mut observed = world.observed();
        let mut deployment = (*observed.deployment).clone();
        let condition = conditions::new(PROGRESSING, "True", before, String::new(), observed.now);
        conditions::set(deployment.status.get_or_insert_default(), condition);
        observed.deployment = Arc::new(deployment);
        let status = plan(&observed).status;
        assert!(conditions::has_reason(&status, PROGRESSING, expected), "{paused} {before} {status:#?}");
    };
    check(true, reason::SET_UPDATED, reason::PAUSED);
    check(true, reason::DEADLINE_EXCEEDED, reason::DEADLINE_EXCEEDED);
    check(true, reason::PAUSED, reason::PAUSED);
}
