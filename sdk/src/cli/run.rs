//! Running the operators: logs, runtime, client, and the manager that does the rest.
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::admin::Admin;
use crate::client::{Client, ConfigOptions};
use crate::informer::factory::InformerFactory;
use crate::manager::{Manager, Outcome};
use crate::operator::{Operator, Setup};

use super::args::{LogFormat, RunArgs};

/// Runs until it is told to stop. The failure that ended it, if any, is one line.
pub(super) fn run(operators: Vec<Operator>, args: &RunArgs) -> Result<(), String> {
    log(args);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        let options = ConfigOptions { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
        let client = Client::from_options(&options).await.map_err(|error| chain(&error))?;
        let options = RunOptions {
            watch_namespace: args.watch_namespace.0.clone(),
            probe_address: args.health_probe_bind_address.0,
        };
        operate(client, operators, options).await
    })
}

/// What `run` was told.
#[derive(Clone, Debug)]
struct RunOptions {
    /// The only namespace that is watched, if not all.
    watch_namespace: Option<String>,
    /// Where probes are served, if at all.
    probe_address: Option<std::net::SocketAddr>,
}

/// Hands the operators to the manager.
async fn operate(client: Client, operators: Vec<Operator>, options: RunOptions) -> Result<(), String> {
    tracing::info!(server = client.url(), "starting");
    let informers = InformerFactory::new(client.clone());
    let informers = match &options.watch_namespace {
        Some(namespace) => informers.in_namespace(namespace),
        None => informers,
    };
    let mut manager = Manager::new(informers.clone()).stop_on_signals().map_err(|error| chain(&error))?;
    if let Some(address) = options.probe_address {
        manager = manager.admin(listen(address).await?);
    }
    for operator in operators {
        let name = operator.declared().name;
        let made = operator.controller(Setup::new(client.clone(), informers.clone())).await;
        let (controller, reconcile) = made.map_err(|error| format!("cannot set up the operator {name}: {error}"))?;
        manager = manager.controller(controller, reconcile);
    }
    match manager.run().await.map_err(|error| chain(&error))? {
        Outcome::Aborted => Err("stopped at once by a second signal; reconciles that ran were dropped".to_owned()),
        _ => Ok(()),
    }
}

async fn listen(address: std::net::SocketAddr) -> Result<Admin, String> {
    let admin = Admin::bind(address).await.map_err(|error| chain(&error))?;
    if let Ok(address) = admin.local_addr() {
        tracing::info!(%address, "answering /livez and /readyz");
    }
    Ok(admin)
}

/// A subscriber that the user's own main installed before stays.
fn log(args: &RunArgs) {
    // kube logs every failed attempt as an error; the reflectors and the controllers say what fails, once.
    let quiet = if args.log_level.contains("kube_client") { "" } else { ",kube_client=off" };
    let filter = EnvFilter::new(format!("{}{quiet}", args.log_level));
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour);
    let _ = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    message
}
