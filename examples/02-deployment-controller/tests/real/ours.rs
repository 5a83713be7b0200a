//! A control plane whose deployment controller is this one, in the process of the trials, under the very service account
//! and role that Kubernetes has for the built-in one.
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use controlplane::{ControlPlane, Options, eventually};
use deployment_controller::DeploymentController;
use kubewright::client::ConfigOptions;
use kubewright::{Client, InformerFactory};
use tokio::sync::oneshot;

use super::pair::{Outcome, PATIENCE};

/// The account that the API server binds to the role `system:controller:deployment-controller` by itself.
pub(crate) const USER: &str = "system:serviceaccount:kube-system:deployment-controller";

/// What the trials share.
pub(crate) struct Ours {
    pub(crate) cluster: ControlPlane,
    kubeconfig: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), String>>,
}

static OURS: Mutex<Option<Arc<Ours>>> = Mutex::new(None);

/// Returns it, and starts it for the first trial that asks.
pub(crate) fn ours() -> Outcome<Arc<Ours>> {
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ours) = &*ours {
        return Ok(Arc::clone(ours));
    }
    let made = Arc::new(Ours::start()?);
    *ours = Some(Arc::clone(&made));
    Ok(made)
}

/// Ends it: nothing drops a static.
pub(crate) fn end() {
    let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Err(error)) = ours.map(|ours| ours.stop()) {
        eprintln!("the controller had failed: {error}");
    }
}

impl Ours {
    pub(crate) fn start() -> Outcome<Self> {
        let cluster = ControlPlane::start(Options::default().without_controller("deployment-controller"))?;
        let account = ["create", "serviceaccount", "deployment-controller", "-n", "kube-system"];
        eventually("the namespace of the account", PATIENCE, || {
            let made = cluster.kubectl(&account, "")?;
            let exists = made.stderr.contains("AlreadyExists");
            if exists { Ok(Some(())) } else { Ok(Some(made.success().map(drop)?)) }
        })?;
        let token = cluster.service_account_token("kube-system", "deployment-controller")?;
        let kubeconfig = cluster.kubeconfig_for_token(&token)?;
        let running = Mutex::new(Some(Running::start(&kubeconfig)?));
        Ok(Self { cluster, kubeconfig, running })
    }

    /// Stops the controller, does something behind its back, and starts it again.
    pub(crate) fn restart(&self, meanwhile: impl FnOnce() -> Outcome) -> Outcome {
        self.stop()?;
        meanwhile()?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Running::start(&self.kubeconfig)?);
        Ok(())
    }

    /// Stops the controller.
    pub(crate) fn stop(&self) -> Outcome {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, thread }) = running else { return Ok(()) };
        // It fails only if the controller has ended, and why is what the thread returns.
        let _ = stop.send(());
        Ok(thread.join().map_err(|_| "the controller panicked")??)
    }
}

impl Running {
    fn start(kubeconfig: &Path) -> Outcome<Self> {
        let (stop, stopped) = oneshot::channel();
        let options = ConfigOptions { kubeconfig: Some(kubeconfig.to_owned()), context: None };
        let thread = std::thread::Builder::new().name("controller".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime
                .map_err(|error| error.to_string())?
                .block_on(run(&options, stopped))
                .map_err(|error| error.to_string())
        })?;
        Ok(Self { stop, thread })
    }
}

/// What `main` does, with another way to stop.
async fn run(options: &ConfigOptions, stopped: oneshot::Receiver<()>) -> Outcome {
    let client = Client::from_options(options).await?;
    let factory = InformerFactory::new(client.clone());
    let controller = DeploymentController::new(client, &factory);
    factory.start();
    factory.wait_for_cache_sync(PATIENCE).await?;
    controller.run(5, async { drop(stopped.await) }).await;
    factory.shutdown().await;
    Ok(())
}
