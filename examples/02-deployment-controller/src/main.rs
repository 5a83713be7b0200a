//! Runs the deployment controller until SIGTERM or Ctrl-C, as kube-controller-manager would.
use std::error::Error;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use deployment_controller::DeploymentController;
use kubewright::{Client, InformerFactory};
use tokio::signal::unix::{SignalKind, signal};

/// As many Deployments as are worked on at once, as upstream.
const WORKERS: usize = 5;

/// Longest wait for the first lists. What is late then is named, and whoever restarts this program tries again.
const SYNC_TIMEOUT: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut stop = pin!(stop()?);
    let client = Client::try_default().await?;
    let factory = InformerFactory::new(client.clone());
    let controller = DeploymentController::new(client, &factory);

    factory.start();
    tokio::select! {
        synced = factory.wait_for_cache_sync(SYNC_TIMEOUT) => synced?,
        () = &mut stop => return Ok(()),
    }
    tracing::info!("the caches are filled");

    controller.run(WORKERS, stop).await;
    factory.shutdown().await;
    Ok(())
}

/// Is ready at SIGTERM or Ctrl-C, which no longer end the process by themselves.
fn stop() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
