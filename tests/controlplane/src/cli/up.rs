//! `controlplane up`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use controlplane::{ControlPlane, Options, binary};
use tokio::signal::unix::{SignalKind, signal};

use super::running::Claim;

/// How often the servers are looked after.
const CHECK_PERIOD: Duration = Duration::from_secs(1);

pub(super) fn run(without_controllers: Vec<String>) -> Result<ExitCode, Box<dyn Error>> {
    let claim = Claim::new()?;
    // Runs for hours: a log of every request would only grow.
    let options = Options::default().without_audit();
    let options = without_controllers.into_iter().fold(options, Options::without_controller);
    let control_plane = ControlPlane::start(options)?;
    claim.publish(control_plane.kubeconfig_path())?;
    println!("{}", introduction(&control_plane));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(until_interrupted(&control_plane))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns at Ctrl-C or SIGTERM, or with an error when a server has ended by itself.
pub(super) async fn until_interrupted(control_plane: &ControlPlane) -> Result<(), Box<dyn Error>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut period = tokio::time::interval(CHECK_PERIOD);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = period.tick() => control_plane.check()?,
        }
    }
}

fn introduction(control_plane: &ControlPlane) -> String {
    format!(
        "Kubernetes {version} is ready at {url}\n\n  \
         export KUBECONFIG={kubeconfig}\n  \
         cargo run -q -p controlplane -- kubectl get nodes    # no kubectl needed\n\n\
         Ctrl-C ends it and removes everything.",
        version = binary::kubernetes_version(),
        url = control_plane.url(),
        kubeconfig = control_plane.kubeconfig_path().display(),
    )
}
