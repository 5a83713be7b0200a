//! Status and conditions: what is sent, what is left to others, and what is known after a write of unknown outcome.
use super::*;

#[tokio::test]
async fn conditions_are_stated_once_and_build_on_each_other() {
    let world = World::new();
    let old = world.cached(PRIMARY);
    world.state("Ready", "True", old.clone()).await;
    world.state("Synced", "True", old.clone()).await;
    world.state("Ready", "True", old.clone()).await;
    assert_eq!(world.requests(), vec![format!("PATCH {PRIMARY}/status site-conditions"); 2]);
    world.state("Ready", "True", world.cached(PRIMARY)).await;
    assert_eq!(world.requests(), [""; 0]);
    let status = world.api.lock().unwrap().objects[PRIMARY]["status"].clone();
    assert_eq!(status["conditions"].as_array().unwrap().len(), 2);
    assert_eq!(status["conditions"][0]["observedGeneration"], 1);
}

#[tokio::test]
async fn after_a_restart_conditions_of_others_are_told_apart_by_one_read() {
    let mut world = World::new();
    world.state("Ready", "True", world.cached(PRIMARY)).await;
    world.edit(PRIMARY, |site| {
        site["status"]["conditions"].as_array_mut().unwrap().push(json!({"type": "Theirs", "status": "True"}));
    });
    world.restart();
    world.requests();
    world.state("Ready", "True", world.cached(PRIMARY)).await;
    assert_eq!(world.requests(), [""; 0]);
    world.state("Ready", "False", world.cached(PRIMARY)).await;
    world.state("Ready", "True", world.cached(PRIMARY)).await;
    let status = format!("PATCH {PRIMARY}/status site-conditions");
    assert_eq!(world.requests(), [format!("GET {PRIMARY}"), status.clone(), status]);
    let entries = world.api.lock().unwrap().objects[PRIMARY]["metadata"]["managedFields"].to_string();
    assert!(!entries.contains("Theirs"), "{entries}");
}

#[tokio::test]
async fn the_status_is_set_once_and_again_when_edited() {
    let mut world = World::new();
    let set = async |world: &World, url: &str| {
        let status = json!({"url": url, "conditions": []});
        world.writer.set_status(&world.subject(world.cached(PRIMARY)), status).await.unwrap();
        world.requests().len()
    };
    assert_eq!(set(&world, "x").await, 1);
    world.state("Ready", "True", world.cached(PRIMARY)).await;
    world.requests();
    assert_eq!(set(&world, "x").await, 0);
    world.restart();
    assert_eq!(set(&world, "x").await, 0);
    assert_eq!(set(&world, "y").await, 1);
    world.edit(PRIMARY, |site| site["status"]["url"] = json!("drift"));
    assert_eq!(set(&world, "y").await, 1);
    let status = world.api.lock().unwrap().objects[PRIMARY]["status"].clone();
    assert_eq!((&status["url"], &status["observedGeneration"]), (&json!("y"), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_status_write_that_was_cut_off_proves_nothing() {
    let world = World::new();
    let set = async |status: Value| {
        world.writer.set_status(&world.subject(world.cached(PRIMARY)), status).await.unwrap();
        world.requests().len()
    };
    assert_eq!(set(json!({"url": "x"})).await, 1);
    world.api.lock().unwrap().hang_next = true;
    assert_eq!(cut_off(set(json!({"url": "x", "extra": "y"}))).await, None);
    world.requests();
    assert_eq!(world.api.lock().unwrap().objects[PRIMARY]["status"]["extra"], "y", "and it had arrived");
    assert_eq!(set(json!({"url": "x"})).await, 1, "or the extra field would stay for ever");
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_was_cut_off_is_kept_by_the_next_one() {
    for cut in [true, false] {
        let world = World::new();
        world.state("Ready", "True", world.cached(PRIMARY)).await;
        let old = world.cached(PRIMARY);
        if cut {
            world.api.lock().unwrap().hang_next = true;
            assert_eq!(cut_off(world.state("Synced", "True", old.clone())).await, None);
        } else {
            world.state("Synced", "True", old.clone()).await;
        }
        // The cache does not show it yet.
        world.state("Ready", "False", old).await;
        let entries = world.api.lock().unwrap().objects[PRIMARY]["metadata"]["managedFields"].to_string();
        assert!(entries.contains("Synced"), "given up: {entries}");
    }
}

#[tokio::test]
async fn a_status_that_can_not_be_written_says_what_to_add() {
    let mut world = World::new();
    world.writer.schema = StatusSchema { conditions: false, ..world.writer.schema };
    let statement = Statement { kind: "Ready", status: "True", reason: "R", message: "m", generation: None };
    let error = world.writer.set_condition(&world.subject(None), &statement).await.expect_err("no conditions");
    assert!(error.is_terminal() && error.to_string().contains("pub conditions: Vec<Condition>"), "{error}");
    world.writer.schema = StatusSchema::default();
    let error = world.writer.set_status(&world.subject(None), json!({})).await.expect_err("no status");
    assert!(error.is_terminal() && error.to_string().contains("status = "), "{error}");
    assert_eq!(world.requests(), [""; 0]);
}
