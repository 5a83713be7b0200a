//! What only this controller is asked.
use controlplane::{TestScope, eventually};
use serde_json::json;

use super::ours::{Ours, USER};
use super::pair::{Outcome, PATIENCE, Pair, web};
use super::state::State;

pub(crate) fn an_unchanged_deployment_costs_no_request(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(2, &json!({})))?;
    pair.same("created", |state| state.has_arrived("web", 2))?;
    let cluster = &pair.ours().cluster;
    let mark = cluster.audit_mark()?;
    // Neither changes anything a Deployment is decided by, each makes the controller look.
    pair.at_revision("1", &["annotate", "replicaset/{}", "example.com/note=seen"])?;
    pair.kubectl(&["label", "deployment/web", "example.com/note=seen"])?;
    // A change that does need a write comes after them, and is seen after them.
    pair.kubectl(&["annotate", "deployment/web", "example.com/mark=seen"])?;
    pair.same("annotated", |state| state.sets["web-r1"]["metadata"]["annotations"]["example.com/mark"] == "seen")?;
    let requests = cluster.audit_since(mark)?.into_iter();
    let part = format!("/namespaces/{}/", scope.namespace());
    let requests: Vec<_> = requests.filter(|entry| entry.user == USER && entry.uri.contains(&part)).collect();
    // A pass that came too early, on a cache that does not show the write before yet, is refused: that changes nothing.
    let accepted = requests.iter().filter(|entry| entry.code != 409);
    let accepted: Vec<_> = accepted.map(|entry| (entry.verb.as_str(), entry.resource.as_str())).collect();
    // An annotation is a new generation of a Deployment, which the status says is seen.
    assert_eq!(accepted, [("patch", "replicasets"), ("update", "deployments")], "{requests:#?}");
    Ok(())
}

pub(crate) fn a_restart_goes_on_where_it_stopped(scope: &TestScope) -> Outcome {
    let pair = Pair::new(scope)?;
    pair.create(&web(3, &json!({})))?;
    pair.same("created", |state| state.has_arrived("web", 3))?;
    pair.ours().restart(|| pair.kubectl(&["set", "image", "deployment/web", "web=web:2"]))?;
    let end =
        pair.same("rolled out", |state| state.has_arrived("web", 3) && state.sizes().get("web-r2") == Some(&3))?;
    assert_eq!(end.sets.len(), 2);
    Ok(())
}

/// The API server goes and comes back, and before the controller has found it again its ReplicaSet is deleted. That is
/// told by a watch that goes on, or by a list that lacks it (client-go's `DeletedFinalStateUnknown`).
pub(crate) fn what_was_deleted_in_an_outage_is_made_again(_scope: &TestScope) -> Outcome {
    let ours = Ours::start()?;
    let cluster = &ours.cluster;
    let set = || cluster.kubectl(&["get", "replicasets", "-o", "jsonpath={.items[*].metadata.uid}"], "")?.success();
    let arrived = |before: &str| {
        eventually("the rollout to arrive", PATIENCE, || {
            let state = State::read(cluster, "default")?;
            let uid = set()?;
            Ok((state.has_arrived("web", 3) && uid != before && !uid.contains(' ')).then_some(uid))
        })
    };
    cluster.kubectl(&["create", "-f", "-"], &web(3, &json!({})).to_string())?.success()?;
    let before = arrived("")?;

    cluster.kill_apiserver()?;
    cluster.start_apiserver()?;
    eventually("the deletion", PATIENCE, || {
        Ok(Some(cluster.kubectl(&["delete", "replicasets", "--all", "--wait=false"], "")?.success()?))
    })?;
    arrived(&before)?;
    ours.stop()
}
