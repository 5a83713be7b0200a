//! What only this controller is asked.
use controlplane::TestScope;
use serde_json::json;

use super::ours::USER;
use super::pair::{Outcome, Pair, web};

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
