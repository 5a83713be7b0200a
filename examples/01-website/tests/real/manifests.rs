//! Everything that `website manifests` prints, as a cluster takes it: what the scripts for kind deploy.
use controlplane::ControlPlane;

use super::lifecycle::{wait_for, wait_ready, website};
use super::operator::{Operator, Outcome, apply_without_warning, printed};

const NAMESPACE: &str = "kw-system";

pub(crate) fn the_printed_manifests_run_in_a_restricted_namespace(cluster: &ControlPlane) -> Outcome {
    let manifests = printed(&["manifests", "--image", "registry.example/website:1", "--namespace", NAMESPACE])?;
    apply_without_warning(cluster, &manifests)?;
    apply_without_warning(cluster, &manifests)?;
    let enforced = "jsonpath={.metadata.labels.pod-security\\.kubernetes\\.io/enforce}";
    assert_eq!(cluster.kubectl(&["get", "namespace", NAMESPACE, "-o", enforced], "")?.success()?, "restricted");
    // The namespace means it: a pod that asks for nothing is refused.
    let loose = cluster.kubectl(&["run", "loose", "--image=x", "-n", NAMESPACE], "")?;
    assert!(!loose.status.success() && loose.stderr.contains("violates PodSecurity"), "{}", loose.stderr);

    wait_for(cluster, NAMESPACE, "deployment/website", ".status.readyReplicas", "1")?;
    let pods = ["get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=website", "-o"];
    let phase = [&pods[..], &["jsonpath={.items[*].status.phase}"]].concat();
    assert_eq!(cluster.kubectl(&phase, "")?.success()?, "Running");
    let account = [&pods[..], &["jsonpath={.items[*].spec.serviceAccountName}"]].concat();
    assert_eq!(cluster.kubectl(&account, "")?.success()?, "website");

    // Nothing runs in that pod here: the program itself does, as the pod's account.
    let token = cluster.service_account_token(NAMESPACE, "website")?;
    let operator = Operator::start(&cluster.kubeconfig_for_token(&token)?, &[])?;
    operator.ready()?;
    cluster.kubectl(&["apply", "-f", "-"], &website("hello", "pages", 1))?.success()?;
    wait_ready(cluster, "default", "hello")
}
