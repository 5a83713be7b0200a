//! What a controller counts, under the names that dashboards know.
use super::*;
use crate::metrics::Snapshot;

/// The series of `prefix` of the controller `widget`, without that label.
fn series(running: &Running, prefix: &str) -> Vec<String> {
    let mut snapshot = Snapshot::default();
    running.status.collect(&mut snapshot);
    let text = snapshot.text().replace("controller=\"widget\"", "");
    text.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn reconciles_are_counted_under_the_names_of_controller_runtime() {
    let running = Running::synced(Controller::new("widget", 2).deadline(1000 * MS), async |name, count| {
        clock::sleep(20 * MS).await;
        match (name.as_str(), count) {
            ("fails", 0) => Err(Failed::new("not yet")),
            ("ends", 0) => Err(Failed::new("never").terminal()),
            ("panics", 0) => panic!("once"),
            ("hangs", 0) => std::future::pending().await,
            ("loses", 0) => Err(conflict()),
            ("again", 0) => Ok(Action::requeue_after(MS)),
            _ => Ok(Action::await_change()),
        }
    });
    for name in ["fine", "fails", "ends", "panics", "hangs", "loses", "again"] {
        running.hand.add(name);
    }
    clock::sleep(500 * MS).await;
    assert_eq!(series(&running, "controller_runtime_active_workers"), ["{} 1"]);
    clock::sleep(5000 * MS).await;
    let results = ["success\"} 6", "error\"} 4", "requeue\"} 1", "requeue_after\"} 1"];
    let results = results.map(|result| format!("{{,result=\"{result}"));
    assert_eq!(series(&running, "controller_runtime_reconcile_total"), results);
    assert_eq!(series(&running, "controller_runtime_reconcile_errors_total"), ["{} 4"], "a lost race is none");
    assert_eq!(series(&running, "controller_runtime_terminal_reconcile_errors_total"), ["{} 1"]);
    assert_eq!(series(&running, "controller_runtime_reconcile_panics_total"), ["{} 1"]);
    assert_eq!(series(&running, "controller_runtime_reconcile_timeouts_total"), ["{} 1"]);
    assert_eq!(series(&running, "kubewright_reconcile_conflicts_total"), ["{} 1"]);
    assert_eq!(series(&running, "controller_runtime_max_concurrent_reconciles"), ["{} 2"]);
    assert_eq!(series(&running, "controller_runtime_active_workers"), ["{} 0"]);
    assert_eq!(series(&running, "controller_runtime_reconcile_time_seconds_count"), ["{} 12"]);
    assert_eq!(series(&running, "controller_runtime_reconcile_time_seconds_sum"), ["{} 1.22"]);
    let buckets = series(&running, "controller_runtime_reconcile_time_seconds_bucket");
    assert_eq!((buckets.len(), buckets[1].as_str()), (41, "{,le=\"0.01\"} 0"));
    assert_eq!((buckets[2].as_str(), buckets[39].as_str()), ("{,le=\"0.025\"} 11", "{,le=\"60\"} 12"));
    assert_eq!(series(&running, "workqueue_adds_total"), ["{name=\"widget\",} 12"]);
}
