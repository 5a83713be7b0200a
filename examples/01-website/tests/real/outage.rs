//! The API server goes away for twenty seconds.
use std::time::Duration;

use controlplane::ControlPlane;

use super::lifecycle::{wait_for, wait_gone, wait_ready, website};
use super::operator::{Operator, Outcome, install};

const OUTAGE: Duration = Duration::from_secs(20);

pub(crate) fn an_outage_of_the_api_server_loses_nothing(cluster: &ControlPlane) -> Outcome {
    let kubeconfig = install(cluster, "default", &[])?;
    let operator = Operator::start(&kubeconfig, &[])?;
    for name in ["edited", "deleted", "kept"] {
        cluster.kubectl(&["apply", "-f", "-"], &website(name, name, 1))?.success()?;
    }
    for name in ["edited", "deleted", "kept"] {
        wait_ready(cluster, "default", name)?;
    }

    cluster.apiserver_outage(OUTAGE)?;

    // The operator still backs off: all of this happens behind its back.
    cluster.kubectl(&["apply", "-f", "-"], &website("edited", "edited", 3))?.success()?;
    cluster.kubectl(&["apply", "-f", "-"], &website("created", "created", 1))?.success()?;
    cluster.kubectl(&["delete", "website/deleted", "--wait=false"], "")?.success()?;
    cluster.kubectl(&["delete", "service/kept"], "")?.success()?;

    wait_for(cluster, "default", "deployment/edited", ".spec.replicas", "3")?;
    wait_ready(cluster, "default", "created")?;
    wait_gone(cluster, "default", "website/deleted")?;
    wait_for(cluster, "default", "service/kept", ".spec.ports[0].port", "80")?;
    operator.ready()
}
