//! What is missing is named, with what to do about it; nothing hangs in silence.
use std::process::{Command, Output};

use controlplane::{ControlPlane, TestScope, eventually};

use super::lifecycle::{operator_in, wait_ready, website};
use super::operator::{Operator, Outcome, PATIENCE, WEBSITE, install, printed};

/// Waits until readiness is refused for a reason that contains every one of `words`.
fn refused(operator: &Operator, words: &[&str]) -> Outcome {
    let mut last = String::new();
    let seen = eventually("readiness to be refused with the reason", PATIENCE, || {
        let (code, body) = operator.readyz()?;
        last.clone_from(&body);
        Ok((code == 503 && words.iter().all(|word| body.contains(word))).then_some(()))
    });
    seen.map_err(|error| format!("{error}; it says: {last}\n{}", operator.log()).into())
}

pub(crate) fn a_missing_crd_is_named_and_waited_for(cluster: &ControlPlane) -> Outcome {
    let kubeconfig = install(cluster, "default", &[])?;
    cluster.kubectl(&["delete", "crd/websites.demo.kubewright.dev"], "")?.success()?;
    let operator = Operator::start(&kubeconfig, &[])?;
    refused(&operator, &["websites.demo.kubewright.dev", "CRD", "crds"])?;

    cluster.kubectl(&["apply", "-f", "-"], &printed(&["crds"])?)?.success()?;
    operator.ready()?;
    cluster.kubectl(&["apply", "-f", "-"], &website("hello", "pages", 1))?.success()?;
    wait_ready(cluster, "default", "hello")
}

pub(crate) fn a_missing_permission_is_named(scope: &TestScope) -> Outcome {
    let (cluster, namespace) = (scope.control_plane(), scope.namespace());
    let arguments = ["--watch-namespace", namespace];
    let kubeconfig = install(cluster, namespace, &arguments)?;
    let rbac =
        printed(&["rbac", "--service-account", "website", "--namespace", namespace, "--watch-namespace", namespace])?;
    cluster.kubectl(&["delete", "-f", "-"], &rbac)?.success()?;
    let operator = Operator::start(&kubeconfig, &arguments)?;
    refused(&operator, &["deployments.apps", "not allowed to", "rbac"])?;
    refused(&operator, &["websites.demo.kubewright.dev", "not allowed to", "rbac"])?;

    cluster.kubectl(&["apply", "-f", "-"], &rbac)?.success()?;
    operator.ready()
}

pub(crate) fn an_unreachable_server_is_named(scope: &TestScope) -> Outcome {
    // A port that was free a moment ago: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let kubeconfig = scope.control_plane().directory().join("unreachable.yaml");
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'http://{free}'}}}}]\n\
             users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        ),
    )?;
    let operator = Operator::start(&kubeconfig, &[])?;
    refused(&operator, &[&free.to_string(), "cannot reach the API server"])
}

pub(crate) fn a_wrong_kubeconfig_is_named(scope: &TestScope) -> Outcome {
    let run =
        |path: &str| -> Outcome<Output> { Ok(Command::new(WEBSITE).arg("run").env("KUBECONFIG", path).output()?) };
    let broken = scope.control_plane().directory().join("broken.yaml");
    std::fs::write(&broken, "clusters: [")?;
    let contextless = scope.control_plane().directory().join("contextless.yaml");
    std::fs::write(&contextless, "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n")?;
    for (path, word) in [
        ("/nonexistent/config", "/nonexistent/config"),
        (&broken.to_string_lossy(), "broken.yaml"),
        (&contextless.to_string_lossy(), "nowhere"),
    ] {
        let output = run(path)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(word) && said.contains("error:"), "{path}: {said}");
    }
    Ok(())
}

pub(crate) fn sigterm_stops_it_with_success(scope: &TestScope) -> Outcome {
    let operator = operator_in(scope)?;
    operator.ready()?;
    assert_eq!(operator.terminate()?, Some(0));
    Ok(())
}
