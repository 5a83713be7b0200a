//! The control plane does what tests rely on.

use std::process::ExitCode;
use std::time::Duration;

use controlplane::harness::{self, Outcome, Trial};
use controlplane::{ControlPlane, Options, TestScope, binary, eventually};

const WITHIN: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    harness::run([
        Trial::shared("server_and_kubectl_are_of_the_pinned_version", server_and_kubectl_are_of_the_pinned_version),
        Trial::shared("a_deployment_becomes_available", a_deployment_becomes_available),
        Trial::shared("deleting_a_namespace_finishes", deleting_a_namespace_finishes),
        Trial::shared("what_an_owner_owns_goes_with_it", what_an_owner_owns_goes_with_it),
        Trial::shared(
            "a_custom_resource_created_after_its_crd_owns_at_once",
            a_custom_resource_created_after_its_crd_owns_at_once,
        ),
        Trial::shared("an_account_without_a_role_may_nothing", an_account_without_a_role_may_nothing),
        Trial::shared(
            "the_audit_log_has_exactly_the_requests_of_a_user",
            the_audit_log_has_exactly_the_requests_of_a_user,
        ),
        Trial::shared("scopes_have_their_own_names", scopes_have_their_own_names),
        Trial::own("a_paused_kubelet_changes_no_pod", Options::default(), a_paused_kubelet_changes_no_pod),
        Trial::own(
            "a_killed_api_server_comes_back_with_its_state",
            Options::default(),
            a_killed_api_server_comes_back_with_its_state,
        ),
        Trial::own(
            "a_disabled_controller_does_nothing",
            Options::default().without_controller("deployment-controller"),
            a_disabled_controller_does_nothing,
        ),
        Trial::own("nothing_outlives_it", Options::default(), nothing_outlives_it),
    ])
}

fn server_and_kubectl_are_of_the_pinned_version(scope: &TestScope) -> Outcome {
    let versions: serde_json::Value = serde_json::from_str(&scope.kubectl(&["version", "-o", "json"], "")?.success()?)?;
    let pinned = format!("v{}", binary::kubernetes_version());
    for side in ["clientVersion", "serverVersion"] {
        assert_eq!(versions[side]["gitVersion"], *pinned, "{side}");
    }
    Ok(())
}

fn a_deployment_becomes_available(scope: &TestScope) -> Outcome {
    scope.kubectl(&["create", "deployment", "web", "--image", "web:1", "--replicas", "3"], "")?.success()?;
    scope.kubectl(&["rollout", "status", "deployment/web", "--timeout", "60s"], "")?.success()?;
    let ready = scope.kubectl(&["get", "deployment", "web", "-o", "jsonpath={.status.availableReplicas}"], "")?;
    assert_eq!(ready.success()?, "3");
    let addresses = scope.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].status.podIP}"], "")?.success()?;
    let mut addresses: Vec<_> = addresses.split_whitespace().collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 3, "each pod has its own address: {addresses:?}");
    Ok(())
}

fn deleting_a_namespace_finishes(scope: &TestScope) -> Outcome {
    let other = format!("{}-gone", scope.namespace());
    scope.kubectl(&["create", "namespace", &other], "")?.success()?;
    scope.kubectl(&["create", "deployment", "web", "--image", "web:1", "--namespace", &other], "")?.success()?;
    scope
        .kubectl(&["rollout", "status", "deployment/web", "--timeout", "60s", "--namespace", &other], "")?
        .success()?;
    scope.kubectl(&["delete", "namespace", &other, "--timeout", "60s"], "")?.success()?;
    let left = scope.kubectl(&["get", "namespace", &other], "")?;
    assert!(!left.status.success() && left.stderr.contains("NotFound"), "{}", left.stderr);
    Ok(())
}

fn what_an_owner_owns_goes_with_it(scope: &TestScope) -> Outcome {
    scope.kubectl(&["create", "configmap", "owner"], "")?.success()?;
    let uid = scope.kubectl(&["get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}"], "")?.success()?;
    let owned = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": "owned",
            "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid }],
        },
    });
    scope.kubectl(&["create", "-f", "-"], &owned.to_string())?.success()?;
    scope.kubectl(&["delete", "configmap", "owner"], "")?.success()?;
    scope.kubectl(&["wait", "--for=delete", "secret/owned", "--timeout", "60s"], "")?.success()?;
    Ok(())
}

fn a_custom_resource_created_after_its_crd_owns_at_once(scope: &TestScope) -> Outcome {
    let (group, plural) = (scope.group(), "owners");
    let crd = serde_json::json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced", "names": { "plural": plural, "kind": "Owner" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } },
            }],
        },
    });
    scope.kubectl(&["create", "-f", "-"], &crd.to_string())?.success()?;
    scope.kubectl(&["wait", "--for=condition=Established", "crd", &format!("{plural}.{group}")], "")?.success()?;
    let version = format!("{group}/v1");
    let owner = serde_json::json!({ "apiVersion": version, "kind": "Owner", "metadata": { "name": "owner" } });
    scope.kubectl(&["create", "-f", "-"], &owner.to_string())?.success()?;
    let resource = format!("{plural}.{group}/owner");
    let uid = scope.kubectl(&["get", &resource, "-o", "jsonpath={.metadata.uid}"], "")?.success()?;
    let owned = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "owned",
            "ownerReferences": [{ "apiVersion": version, "kind": "Owner", "name": "owner", "uid": uid }],
        },
    });
    scope.kubectl(&["create", "-f", "-"], &owned.to_string())?.success()?;
    scope.kubectl(&["delete", &resource], "")?.success()?;
    // kube-controller-manager alone would take up to 30 s to learn of the new kind.
    scope.kubectl(&["wait", "--for=delete", "configmap/owned", "--timeout", "20s"], "")?.success()?;
    Ok(())
}

fn an_account_without_a_role_may_nothing(scope: &TestScope) -> Outcome {
    scope.kubectl(&["create", "serviceaccount", "nobody"], "")?.success()?;
    let kubeconfig = kubeconfig_of(scope, "nobody")?;
    let denied = scope.kubectl(&["--kubeconfig", &kubeconfig, "get", "pods"], "")?;
    assert!(!denied.status.success(), "{}", denied.stdout);
    let account = format!("system:serviceaccount:{}:nobody", scope.namespace());
    assert!(denied.stderr.contains("Forbidden") && denied.stderr.contains(&account), "{}", denied.stderr);
    Ok(())
}

fn the_audit_log_has_exactly_the_requests_of_a_user(scope: &TestScope) -> Outcome {
    let control_plane = scope.control_plane();
    scope.kubectl(&["create", "serviceaccount", "reader"], "")?.success()?;
    scope
        .kubectl(
            &[
                "create",
                "rolebinding",
                "reader",
                "--clusterrole",
                "view",
                "--serviceaccount",
                &format!("{}:reader", scope.namespace()),
            ],
            "",
        )?
        .success()?;
    let kubeconfig = kubeconfig_of(scope, "reader")?;
    let collection = format!("/api/v1/namespaces/{}/configmaps", scope.namespace());
    // The binding takes a moment to reach the authorizer's cache.
    eventually("the role to hold", WITHIN, || {
        let output = scope.kubectl(&["--kubeconfig", &kubeconfig, "get", "--raw", &collection], "")?;
        Ok(output.success().ok())
    })?;

    let account = format!("system:serviceaccount:{}:reader", scope.namespace());
    let before = control_plane.audit_mark()?;
    for path in [&collection, &format!("{collection}/missing"), &collection] {
        scope.kubectl(&["--kubeconfig", &kubeconfig, "get", "--raw", path], "")?;
    }
    let entries = control_plane.audit_since(before)?;
    let seen: Vec<_> = entries
        .iter()
        .filter(|entry| entry.user == account)
        .map(|entry| (entry.verb.as_str(), entry.resource.as_str(), entry.name.as_str(), entry.code))
        .collect();
    assert_eq!(
        seen,
        [("list", "configmaps", "", 200), ("get", "configmaps", "missing", 404), ("list", "configmaps", "", 200)]
    );
    assert!(entries.iter().all(|entry| !entry.uri.contains("audit-mark")), "the marks are left out");
    assert!(control_plane.audit()?.len() > entries.len(), "the whole log is longer");
    Ok(())
}

fn scopes_have_their_own_names(scope: &TestScope) -> Outcome {
    let other = TestScope::new("another scope of the same test")?;
    assert_ne!(scope.namespace(), other.namespace());
    assert_ne!(scope.group(), other.group());
    let other_namespace = other.namespace().to_owned();
    drop(other);
    let timeout = ["wait", "--for=delete", &format!("namespace/{other_namespace}"), "--timeout", "60s"];
    scope.kubectl(&timeout, "")?.success()?;
    Ok(())
}

fn a_paused_kubelet_changes_no_pod(control_plane: &ControlPlane) -> Outcome {
    control_plane.pause_kubelet()?;
    control_plane.kubectl(&["run", "web", "--image", "web:1"], "")?.success()?;
    // Once it is bound, only the kubelet's part is missing.
    control_plane.kubectl(&["wait", "--for=condition=PodScheduled", "pod/web", "--timeout", "60s"], "")?.success()?;
    assert_eq!(phase(control_plane)?, "Pending");
    control_plane.resume_kubelet()?;
    control_plane.kubectl(&["wait", "--for=condition=Ready", "pod/web", "--timeout", "60s"], "")?.success()?;
    assert_eq!(phase(control_plane)?, "Running");

    control_plane.pause_kubelet()?;
    control_plane.kubectl(&["delete", "pod", "web", "--wait=false"], "")?.success()?;
    assert_eq!(phase(control_plane)?, "Running", "a pod stays until its kubelet lets it go");
    control_plane.resume_kubelet()?;
    control_plane.kubectl(&["wait", "--for=delete", "pod/web", "--timeout", "60s"], "")?.success()?;
    Ok(())
}

fn a_killed_api_server_comes_back_with_its_state(control_plane: &ControlPlane) -> Outcome {
    control_plane.kubectl(&["create", "configmap", "kept", "--from-literal=a=b"], "")?.success()?;
    let before = control_plane.audit_mark()?;
    control_plane.kill_apiserver()?;
    let refused = control_plane.kubectl(&["get", "configmap", "kept"], "")?;
    assert!(!refused.status.success(), "{}", refused.stdout);
    control_plane.start_apiserver()?;
    let data = control_plane.kubectl(&["get", "configmap", "kept", "-o", "jsonpath={.data.a}"], "")?.success()?;
    assert_eq!(data, "b");
    let reads = control_plane.audit_since(before)?;
    let reads = reads.iter().filter(|entry| entry.user == "admin" && entry.name == "kept").count();
    assert_eq!(reads, 1, "the log goes on over the restart, and the refused read never arrived");

    // The controllers, the scheduler and the kubelet have found it again.
    control_plane.kubectl(&["create", "deployment", "web", "--image", "web:1"], "")?.success()?;
    control_plane.kubectl(&["rollout", "status", "deployment/web", "--timeout", "120s"], "")?.success()?;
    control_plane.check()?;
    Ok(())
}

fn a_disabled_controller_does_nothing(control_plane: &ControlPlane) -> Outcome {
    control_plane.kubectl(&["create", "deployment", "web", "--image", "web:1"], "")?.success()?;
    // A ReplicaSet made by hand shows that the other controllers run.
    let replica_set = serde_json::json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "by-hand" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "by": "hand" } },
            "template": {
                "metadata": { "labels": { "by": "hand" } },
                "spec": { "containers": [{ "name": "web", "image": "web:1" }] },
            },
        },
    });
    control_plane.kubectl(&["create", "-f", "-"], &replica_set.to_string())?.success()?;
    let ready = ["wait", "--for=jsonpath={.status.readyReplicas}=1", "replicaset/by-hand", "--timeout", "60s"];
    control_plane.kubectl(&ready, "")?.success()?;
    let sets = control_plane.kubectl(&["get", "replicasets", "-o", "name"], "")?.success()?;
    assert_eq!(sets.trim(), "replicaset.apps/by-hand");
    Ok(())
}

fn nothing_outlives_it(_: &ControlPlane) -> Outcome {
    let control_plane = ControlPlane::start(Options::default())?;
    let (directory, url) = (control_plane.directory().to_owned(), control_plane.url().to_owned());
    assert!(directory.join("kube-apiserver.log").exists());
    drop(control_plane);
    assert!(!directory.exists(), "its files are removed");
    let address = url.trim_start_matches("https://");
    assert!(std::net::TcpStream::connect(address).is_err(), "its port is closed");
    Ok(())
}

fn phase(control_plane: &ControlPlane) -> Result<String, Box<dyn std::error::Error>> {
    Ok(control_plane.kubectl(&["get", "pod", "web", "-o", "jsonpath={.status.phase}"], "")?.success()?)
}

fn kubeconfig_of(scope: &TestScope, account: &str) -> Result<String, Box<dyn std::error::Error>> {
    let control_plane = scope.control_plane();
    let token = control_plane.service_account_token(scope.namespace(), account)?;
    Ok(control_plane.kubeconfig_for_token(&token)?.to_string_lossy().into_owned())
}
