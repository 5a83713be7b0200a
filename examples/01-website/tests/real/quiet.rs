//! Requests counted where they arrive: in the audit log of the API server.
use controlplane::audit::AuditMark;
use controlplane::{AuditEntry, ControlPlane, TestScope};

use super::lifecycle::{operator_in, settled, wait_ready, website};
use super::operator::{Operator, Outcome, install};

/// Everything the operator of `namespace` asked for since `mark`, watches left out: they stay open by design.
fn requests(cluster: &ControlPlane, namespace: &str, mark: AuditMark) -> Outcome<Vec<AuditEntry>> {
    let user = format!("system:serviceaccount:{namespace}:website");
    let entries = cluster.audit_since(mark)?.into_iter();
    Ok(entries.filter(|entry| entry.user == user && entry.verb != "watch").collect())
}

fn versions(cluster: &ControlPlane, namespace: &str) -> Outcome<String> {
    let path = "jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion} {end}";
    Ok(cluster
        .kubectl(&["get", "websites,deployments,services,configmaps", "-n", namespace, "-o", path], "")?
        .success()?)
}

pub(crate) fn an_unchanged_website_costs_no_request(scope: &TestScope) -> Outcome {
    let (cluster, namespace) = (scope.control_plane(), scope.namespace());
    let operator = operator_in(scope)?;
    cluster.kubectl(&["apply", "-n", namespace, "-f", "-"], &website("hello", "pages", 2))?.success()?;
    wait_ready(cluster, namespace, "hello")?;
    let key = format!("{namespace}/hello");
    let before = settled(&operator, std::slice::from_ref(&key))?[0];
    let mark = cluster.audit_mark()?;

    // None of these changes anything the operator has a say in, each makes it look.
    for object in ["website/hello", "configmap/pages", "deployment/hello", "service/hello"] {
        cluster.kubectl(&["annotate", object, "-n", namespace, "example.com/note=seen"], "")?.success()?;
        let now = settled(&operator, std::slice::from_ref(&key))?[0];
        assert!(now > before, "{object} made it reconcile {before} → {now}\n{}", operator.log());
    }
    let requests = requests(cluster, namespace, mark)?;
    assert!(requests.is_empty(), "{requests:#?}\n{}", operator.log());
    Ok(())
}

pub(crate) fn a_restart_applies_each_child_at_most_once_and_changes_nothing(scope: &TestScope) -> Outcome {
    let (cluster, namespace) = (scope.control_plane(), scope.namespace());
    let arguments = ["--watch-namespace", namespace];
    let kubeconfig = install(cluster, namespace, &arguments)?;
    let mark = cluster.audit_mark()?;
    let operator = Operator::start(&kubeconfig, &arguments)?;
    cluster.kubectl(&["apply", "-n", namespace, "-f", "-"], &website("hello", "pages", 2))?.success()?;
    wait_ready(cluster, namespace, "hello")?;
    let key = format!("{namespace}/hello");
    settled(&operator, std::slice::from_ref(&key))?;
    assert_eq!(operator.terminate()?, Some(0));
    let first = requests(cluster, namespace, mark)?;
    let named = |entry: &AuditEntry| entry.user_agent.starts_with("website kubewright/");
    assert!(!first.is_empty() && first.iter().all(named), "{first:#?}");
    let before = versions(cluster, namespace)?;
    let mark = cluster.audit_mark()?;

    let operator = Operator::start(&kubeconfig, &arguments)?;
    operator.ready()?;
    settled(&operator, std::slice::from_ref(&key))?;
    assert!(operator.reconciles(&key) > 0, "{}", operator.log());
    assert_eq!(versions(cluster, namespace)?, before, "{}", operator.log());
    let writes = requests(cluster, namespace, mark)?;
    for child in ["deployments", "services"] {
        let applies = writes.iter().filter(|entry| entry.verb == "patch" && entry.resource == child).count();
        assert!(applies <= 1, "{writes:#?}");
    }
    let others = writes.iter().filter(|entry| !["list", "patch"].contains(&entry.verb.as_str())).count();
    assert_eq!(others, 0, "{writes:#?}");
    Ok(())
}
