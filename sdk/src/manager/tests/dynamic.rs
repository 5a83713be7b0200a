//! Controllers that come and go while the manager runs.
use super::*;
use crate::metrics::Snapshot;

/// A manager with the controller `web` that runs, and the way to its controllers.
fn running(world: &World) -> (Controllers, Stop, JoinSet<Result<Outcome, Error>>) {
    world.set("a", true, None);
    let web = Controller::new("web", 1).source(world.source("a"));
    let manager = world.manager().controller(web, world.reconcile("web", MS));
    let (controllers, stop) = (manager.controllers(), manager.stop_handle());
    (controllers, stop, spawn(manager))
}

fn names(controllers: &Controllers) -> Vec<String> {
    controllers.status().into_iter().map(|status| status.name).collect()
}

#[tokio::test(start_paused = true)]
async fn m16_a_controller_added_while_the_manager_runs_starts_its_informers_and_itself() {
    let world = World::default();
    let (controllers, stop, tasks) = running(&world);
    clock::sleep(MS * 10).await;
    world.log.lock().unwrap().clear();
    let shop = Controller::new("shop", 1).source(world.source("b"));
    controllers.add(shop, world.reconcile("shop", MS)).unwrap();
    clock::sleep(MS * 10).await;
    assert_eq!(world.log(), ["attach b", "start"], "it waits for its kind");
    assert_eq!(names(&controllers), ["web", "shop"]);
    world.set("b", true, None);
    clock::sleep(MS * 10).await;
    assert_eq!(world.log()[2..], ["begin shop", "end shop"]);
    stop.stop();
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
    assert_eq!(names(&controllers), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn m16_nothing_is_added_while_the_manager_stops_or_after_it() {
    let world = World::default();
    let (controllers, stop, tasks) = running(&world);
    clock::sleep(MS * 10).await;
    let refused = || controllers.add(Controller::new("late", 1).source(world.source("b")), world.reconcile("late", MS));
    stop.stop();
    assert_eq!(refused(), Err(AddError::Stopping { name: "late".into() }));
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
    assert_eq!(refused(), Err(AddError::Stopping { name: "late".into() }));
    assert!(!world.log().contains(&"attach b".to_owned()));

    let controllers = World::default().manager().controllers();
    let dropped = controllers.add(Controller::new("web", 1), world.reconcile("web", MS));
    assert_eq!(dropped, Err(AddError::Stopping { name: "web".into() }), "the manager was dropped before it ran");
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_removed_lets_reconciles_end_and_its_name_is_free_again() {
    let world = World::default();
    let (controllers, stop, tasks) = running(&world);
    let shop = || Controller::new("shop", 1).source(world.source("a"));
    controllers.add(shop(), world.reconcile("shop", 5000 * MS)).unwrap();
    let taken = controllers.add(shop(), world.reconcile("shop", MS));
    assert_eq!(taken, Err(AddError::NameTaken { name: "shop".into() }));
    clock::sleep(10 * MS).await;
    let begin = clock::now();
    assert!(controllers.remove("shop").await);
    assert_eq!(clock::now() - begin, 4990 * MS, "until its reconcile ended");
    assert_eq!((names(&controllers), world.log().last().unwrap().as_str()), (vec!["web".to_owned()], "end shop"));
    assert!(!controllers.remove("shop").await);
    controllers.add(shop(), world.reconcile("shop", MS)).unwrap();
    clock::sleep(10 * MS).await;
    assert_eq!(controllers.status()[1].counts.succeeded, 1);
    assert!(!stop.is_stopping(), "the end of one is not the end of all");
    stop.stop();
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_controller_is_removed_at_once_while_it_waits_for_its_kinds_or_for_its_manager() {
    let world = World::default();
    let manager = world.manager();
    let (controllers, stop) = (manager.controllers(), manager.stop_handle());
    let shop = || Controller::new("shop", 1).source(world.source("late"));
    controllers.add(shop(), world.reconcile("shop", MS)).unwrap();
    let begin = clock::now();
    assert!(controllers.remove("shop").await);
    let tasks = spawn(manager);
    controllers.add(shop(), world.reconcile("shop", MS)).unwrap();
    clock::sleep(10 * MS).await;
    assert!(controllers.remove("shop").await);
    assert_eq!(clock::now() - begin, 10 * MS);
    world.set("late", true, None);
    stop.stop();
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
    assert_eq!(world.log(), ["attach late", "attach late", "start", "shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_outlasts_the_grace_of_a_removal_is_dropped_and_no_failure_of_the_manager() {
    let world = World::default();
    let (controllers, stop, tasks) = running(&world);
    controllers
        .add(Controller::new("shop", 1).source(world.source("a")), world.reconcile("shop", 3_600_000 * MS))
        .unwrap();
    clock::sleep(10 * MS).await;
    let begin = clock::now();
    assert!(controllers.remove("shop").await);
    assert_eq!(clock::now() - begin, DEFAULT_GRACE_PERIOD);
    stop.stop();
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
}

#[tokio::test(start_paused = true)]
async fn two_controllers_of_one_name_are_refused_before_anything_starts() {
    let world = World::default();
    let web = || Controller::new("web", 1).source(world.source("a"));
    let manager =
        world.manager().controller(web(), world.reconcile("one", MS)).controller(web(), world.reconcile("two", MS));
    let error = manager.run().await.unwrap_err().to_string();
    assert_eq!(error, "the manager has a controller web already: give this one another name");
    assert_eq!(world.log(), ["attach a"]);
}

#[tokio::test(start_paused = true)]
async fn the_metrics_of_every_controller_are_collected() {
    let world = World::default();
    let (controllers, stop, tasks) = running(&world);
    controllers.add(Controller::new("shop", 3).source(world.source("a")), world.reconcile("shop", MS)).unwrap();
    clock::sleep(10 * MS).await;
    let mut snapshot = Snapshot::default();
    controllers.collect(&mut snapshot);
    let text = snapshot.text();
    for (name, workers) in [("web", 1), ("shop", 3)] {
        let success = format!("controller_runtime_reconcile_total{{controller=\"{name}\",result=\"success\"}} 1\n");
        let workers = format!("controller_runtime_max_concurrent_reconciles{{controller=\"{name}\"}} {workers}\n");
        let adds = format!("workqueue_adds_total{{name=\"{name}\",controller=\"{name}\"}} 1\n");
        for line in [success, workers, adds] {
            assert!(text.contains(&line), "{line} {text}");
        }
    }
    stop.stop();
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
}
