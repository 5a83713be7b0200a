//! What the README says: create, update, delete, and repair.
use controlplane::{AuditEntry, ControlPlane, TestScope, eventually};

use super::operator::{Operator, Outcome, PATIENCE, install};

/// A ConfigMap and a Website that names it.
pub(crate) fn website(name: &str, content: &str, replicas: u32) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [
            {{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{content}"}}, "data": {{"index.html": "hello"}}}},
            {{"apiVersion": "demo.kubewright.dev/v1", "kind": "Website", "metadata": {{"name": "{name}"}},
              "spec": {{"host": "{name}.example.com", "content": "{content}", "replicas": {replicas}}}}}
        ]}}"#
    )
}

/// Installs and starts the operator for one namespace.
pub(crate) fn operator_in(scope: &TestScope) -> Outcome<Operator> {
    let namespace = scope.namespace();
    let kubeconfig = install(scope.control_plane(), namespace, &["--watch-namespace", namespace])?;
    Operator::start(&kubeconfig, &["--watch-namespace", namespace])
}

/// Waits until a JSON path of an object prints `expected`.
pub(crate) fn wait_for(cluster: &ControlPlane, namespace: &str, object: &str, path: &str, expected: &str) -> Outcome {
    let path = format!("jsonpath={{{path}}}");
    eventually(&format!("{object} {path} to be {expected:?}"), PATIENCE, || {
        let found = cluster.kubectl(&["get", object, "-n", namespace, "-o", &path], "")?.success()?;
        if found == expected { Ok(Some(())) } else { Err(format!("it is {found:?}").into()) }
    })?;
    Ok(())
}

/// Waits until the API server does not know an object any more.
pub(crate) fn wait_gone(cluster: &ControlPlane, namespace: &str, object: &str) -> Outcome {
    eventually(&format!("{object} to be gone"), PATIENCE, || {
        let output =
            cluster.kubectl(&["get", object, "-n", namespace, "--ignore-not-found", "-o", "name"], "")?.success()?;
        if output.is_empty() { Ok(Some(())) } else { Err(format!("{output} is there").into()) }
    })?;
    Ok(())
}

const READY: &str = ".status.conditions[?(@.type==\"Ready\")].status";

pub(crate) fn wait_ready(cluster: &ControlPlane, namespace: &str, name: &str) -> Outcome {
    wait_for(cluster, namespace, &format!("website/{name}"), READY, "True")
}

/// The operator of this test sees the whole cluster under its cluster role, so it has a control plane of its own.
pub(crate) fn a_website_lives_and_leaves_nothing_behind(cluster: &ControlPlane) -> Outcome {
    let kubeconfig = install(cluster, "default", &[])?;
    let operator = Operator::start(&kubeconfig, &[])?;
    cluster.kubectl(&["create", "namespace", "web"], "")?.success()?;
    let apply =
        |replicas| cluster.kubectl(&["apply", "-n", "web", "-f", "-"], &website("hello", "pages", replicas))?.success();
    apply(2)?;
    wait_ready(cluster, "web", "hello")?;
    operator.ready()?;
    wait_for(cluster, "web", "deployment/hello", ".spec.replicas", "2")?;
    wait_for(cluster, "web", "deployment/hello", ".metadata.ownerReferences[0].kind", "Website")?;
    wait_for(cluster, "web", "service/hello", ".spec.ports[0].targetPort", "http")?;
    wait_for(cluster, "web", "website/hello", ".status.readyReplicas", "2")?;

    apply(3)?;
    wait_for(cluster, "web", "website/hello", ".status.readyReplicas", "3")?;
    let generation = cluster
        .kubectl(&["get", "website/hello", "-n", "web", "-o", "jsonpath={.metadata.generation}"], "")?
        .success()?;
    wait_for(
        cluster,
        "web",
        "website/hello",
        ".status.conditions[?(@.type==\"Ready\")].observedGeneration",
        &generation,
    )?;

    cluster.kubectl(&["delete", "website/hello", "-n", "web", "--wait=false"], "")?.success()?;
    for object in ["website/hello", "deployment/hello", "service/hello"] {
        wait_gone(cluster, "web", object)?;
    }
    wait_gone(cluster, "web", "replicasets,pods,deployments,services,websites")?;
    assert_eq!(operator.logged(|entry| entry["level"] == "ERROR"), 0, "{}", operator.log());
    Ok(())
}

pub(crate) fn a_deleted_or_edited_child_comes_back(scope: &TestScope) -> Outcome {
    let (cluster, namespace) = (scope.control_plane(), scope.namespace());
    let _operator = operator_in(scope)?;
    cluster.kubectl(&["apply", "-n", namespace, "-f", "-"], &website("hello", "pages", 1))?.success()?;
    wait_ready(cluster, namespace, "hello")?;

    for child in ["service/hello", "deployment/hello"] {
        let uid = cluster.kubectl(&["get", child, "-n", namespace, "-o", "jsonpath={.metadata.uid}"], "")?.success()?;
        cluster.kubectl(&["delete", child, "-n", namespace], "")?.success()?;
        eventually(&format!("{child} to come back"), PATIENCE, || {
            let now =
                cluster.kubectl(&["get", child, "-n", namespace, "-o", "jsonpath={.metadata.uid}"], "")?.success()?;
            Ok((now != uid).then_some(()))
        })?;
    }

    let patch = |object: &str, patch: &str| {
        cluster.kubectl(&["patch", object, "-n", namespace, "--type=merge", "-p", patch], "")?.success()
    };
    patch("deployment/hello", r#"{"spec": {"replicas": 5}}"#)?;
    wait_for(cluster, namespace, "deployment/hello", ".spec.replicas", "1")?;
    patch("service/hello", r#"{"spec": {"selector": {"app.kubernetes.io/instance": "other"}}}"#)?;
    wait_for(cluster, namespace, "service/hello", ".spec.selector.app\\.kubernetes\\.io/instance", "hello")?;

    // What nobody declared is left to whoever wrote it.
    patch("service/hello", r#"{"metadata": {"labels": {"team": "web"}}}"#)?;
    patch("service/hello", r#"{"spec": {"selector": {"app.kubernetes.io/instance": "again"}}}"#)?;
    wait_for(cluster, namespace, "service/hello", ".spec.selector.app\\.kubernetes\\.io/instance", "hello")?;
    wait_for(cluster, namespace, "service/hello", ".metadata.labels.team", "web")
}

pub(crate) fn a_changed_config_map_reconciles_exactly_its_websites(scope: &TestScope) -> Outcome {
    let (cluster, namespace) = (scope.control_plane(), scope.namespace());
    let operator = operator_in(scope)?;
    for (name, content) in [("one", "shared"), ("two", "shared"), ("three", "other")] {
        cluster.kubectl(&["apply", "-n", namespace, "-f", "-"], &website(name, content, 1))?.success()?;
    }
    for name in ["one", "two", "three"] {
        wait_ready(cluster, namespace, name)?;
    }
    let key = |name: &str| format!("{namespace}/{name}");
    let settled = settled(&operator, &[key("one"), key("two"), key("three")])?;

    cluster
        .kubectl(&["patch", "configmap/shared", "-n", namespace, "-p", r#"{"data": {"index.html": "changed"}}"#], "")?
        .success()?;
    for name in ["one", "two"] {
        let path = ".spec.template.metadata.annotations.demo\\.kubewright\\.dev/content";
        let before = cluster
            .kubectl(&["get", "deployment/three", "-n", namespace, "-o", &format!("jsonpath={{{path}}}")], "")?
            .success()?;
        eventually("the pods to be rolled", PATIENCE, || {
            let now = cluster
                .kubectl(
                    &["get", &format!("deployment/{name}"), "-n", namespace, "-o", &format!("jsonpath={{{path}}}")],
                    "",
                )?
                .success()?;
            Ok((now != before).then_some(()))
        })?;
    }
    let after = settled_again(&operator, &[key("one"), key("two"), key("three")])?;
    assert!(after[0] > settled[0] && after[1] > settled[1], "{settled:?} {after:?}");
    assert_eq!(after[2], settled[2], "three names another ConfigMap\n{}", operator.log());

    cluster.kubectl(&["delete", "configmap/other", "-n", namespace], "")?.success()?;
    let reason = ".status.conditions[?(@.type==\"Ready\")].reason";
    wait_for(cluster, namespace, "website/three", reason, "ContentMissing")?;
    wait_for(cluster, namespace, "website/one", reason, "Available")
}

pub(crate) fn cleanup_runs_before_the_finalizer_goes(scope: &TestScope) -> Outcome {
    let (cluster, namespace) = (scope.control_plane(), scope.namespace());
    let operator = operator_in(scope)?;
    cluster.kubectl(&["apply", "-n", namespace, "-f", "-"], &website("hello", "pages", 2))?.success()?;
    wait_ready(cluster, namespace, "hello")?;
    let mark = cluster.audit_mark()?;

    // Without its role the cleanup fails: as long as it does, the Website has to stay.
    let binding = cluster.kubectl(&["get", "rolebinding/website", "-n", namespace, "-o", "json"], "")?.success()?;
    cluster.kubectl(&["delete", "rolebinding/website", "-n", namespace], "")?.success()?;
    cluster.kubectl(&["delete", "website/hello", "-n", namespace, "--wait=false"], "")?.success()?;
    // Other tests run operators of the same name on the same control plane.
    let patch = |entry: &AuditEntry| entry.namespace == namespace && entry.verb == "patch";
    let refused = |entry: &AuditEntry| patch(entry) && entry.code == 403 && entry.resource == "deployments";
    eventually("the cleanup to be refused", PATIENCE, || {
        Ok(cluster.audit_since(mark)?.iter().any(refused).then_some(()))
    })?;
    wait_for(cluster, namespace, "website/hello", ".metadata.finalizers[0]", "demo.kubewright.dev/website-cleanup")?;

    cluster.kubectl(&["apply", "-f", "-"], &binding)?.success()?;
    wait_gone(cluster, namespace, "website/hello")?;
    wait_gone(cluster, namespace, "deployment/hello")?;
    let accepted = |entry: &AuditEntry| patch(entry) && entry.code == 200 && entry.user.ends_with(":website");
    let patched: Vec<_> = cluster.audit_since(mark)?.into_iter().filter(accepted).map(|entry| entry.resource).collect();
    assert_eq!(patched, ["deployments", "websites"], "scaled down, then let go\n{}", operator.log());
    Ok(())
}

/// Waits until none of `keys` has been reconciled for a while, and returns how often each was.
pub(crate) fn settled(operator: &Operator, keys: &[String]) -> Outcome<Vec<usize>> {
    settled_again(operator, keys)
}

fn settled_again(operator: &Operator, keys: &[String]) -> Outcome<Vec<usize>> {
    let counts = || keys.iter().map(|key| operator.reconciles(key)).collect::<Vec<_>>();
    let mut last = (counts(), 0);
    let quiet = eventually("the operator to be quiet", PATIENCE, || {
        let now = counts();
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        Ok((last.1 >= 200).then(|| last.0.clone()))
    })?;
    Ok(quiet)
}
