//! Running the operators: logs, runtime, client, and the manager that does the rest.
use std::ffi::OsString;
use std::io::{self, IsTerminal};

use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use crate::admin::Admin;
use crate::client::{Client, ConfigOptions};
use crate::controller::{OverrideError, Overrides};
use crate::informer::factory::InformerFactory;
use crate::manager::signals::{self, Signals};
use crate::manager::{Manager, Outcome};
use crate::operator::{Operator, Setup};

use super::args::{LogFormat, RunArgs};

/// Runs until it is told to stop. The failure that ended it, if any, is one line.
pub(super) fn run(operators: Vec<Operator>, args: &RunArgs) -> Result<(), String> {
    log(args);
    let overrides = overrides(&operators).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    to_end(runtime, async {
        let options = ConfigOptions { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
        let client = Client::from_options(&options).await.map_err(|error| chain(&error))?;
        let options = RunOptions {
            watch_namespace: args.watch_namespace.0.clone(),
            probe_address: args.health_probe_bind_address.0,
            overrides,
        };
        operate(client, operators, options).await
    })
}

/// Runs `future`, and then waits for no thread: one that a handler or a reconcile blocks for good cannot be ended, and
/// would keep the process until it is killed.
fn to_end<T>(runtime: Runtime, future: impl Future<Output = T>) -> T {
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    output
}

/// What `run` was told.
#[derive(Clone, Debug)]
struct RunOptions {
    /// The only namespace that is watched, if not all.
    watch_namespace: Option<String>,
    /// Where probes are served, if at all.
    probe_address: Option<std::net::SocketAddr>,
    /// What the environment says of each operator's controller.
    overrides: Vec<Overrides>,
}

/// Reads the environment, which says how each operator's controller works.
fn overrides(operators: &[Operator]) -> Result<Vec<Overrides>, OverrideError> {
    let names: Vec<_> = operators.iter().map(|operator| operator.declared().name).collect();
    // What is not Unicode is none of ours, whose values are plain.
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    Overrides::from_vars(&names, std::env::vars_os().filter_map(text))
}

/// Hands the operators to the manager.
async fn operate(client: Client, operators: Vec<Operator>, options: RunOptions) -> Result<(), String> {
    tracing::info!(server = client.url(), "starting");
    let informers = InformerFactory::new(client.clone());
    let informers = match &options.watch_namespace {
        Some(namespace) => informers.in_namespace(namespace),
        None => informers,
    };
    let mut manager = Manager::new(informers.clone());
    if let Some(address) = options.probe_address {
        manager = manager.admin(listen(address).await?);
    }
    let mut signals = signals::listen().map_err(|error| format!("cannot listen for SIGTERM and SIGINT: {error}"))?;
    let setup = Setup::new(client, informers);
    for (operator, overrides) in operators.into_iter().zip(&options.overrides) {
        let name = operator.declared().name;
        let Some(made) = unless_signalled(&mut signals, operator.controller(setup.clone())).await else {
            tracing::info!(operator = name, "stopped before the operator was set up");
            return Ok(());
        };
        let (controller, reconcile) = made.map_err(|error| format!("cannot set up the operator {name}: {error}"))?;
        manager = manager.controller(controller.overridden(overrides), reconcile);
    }
    let manager = manager.stop_on(signals);
    match manager.run().await.map_err(|error| chain(&error))? {
        Outcome::Aborted => Err("stopped at once by a second signal; reconciles that ran were dropped".to_owned()),
        _ => Ok(()),
    }
}

/// Sets up, unless a signal comes first: whoever waits there for another system must be able to be stopped, and it is
/// the manager that heeds signals later.
async fn unless_signalled<T>(signals: &mut Signals, setup: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        Some(_) = signals.next() => None,
        made = setup => Some(made),
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    #[test]
    fn a_thread_that_is_blocked_does_not_hold_the_process() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (gate, closed) = mpsc::channel::<()>();
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || {
            to_end(runtime, async {
                let (blocks, blocking) = tokio::sync::oneshot::channel();
                drop(tokio::task::spawn_blocking(move || {
                    blocks.send(()).unwrap();
                    closed.recv()
                }));
                blocking.await.unwrap();
            });
            ended.send(()).unwrap();
        });
        assert_eq!(end.recv_timeout(Duration::from_secs(10)), Ok(()), "still waiting for the blocked thread");
        drop(gate);
    }

    #[tokio::test]
    async fn a_setup_that_hangs_can_be_stopped() {
        let mut none: Signals = stream::pending().boxed();
        assert_eq!(unless_signalled(&mut none, std::future::ready(7)).await, Some(7));
        let mut terminate: Signals = stream::iter(["SIGTERM"]).boxed();
        assert_eq!(unless_signalled(&mut terminate, std::future::pending::<()>()).await, None);
        assert_eq!(unless_signalled(&mut terminate, std::future::ready(7)).await, Some(7), "the stream has ended");
    }
}
