//! `run`: from a command line to running operators.
use std::net::SocketAddr;

use super::RunArguments;
use super::failure::Failure;
use super::logging;
use crate::admin::Admin;
use crate::client::{Client, ConfigOptions};
use crate::informer::factory::InformerFactory;
use crate::manager::{Manager, Outcome};
use crate::operator::{Operator, Setup};

/// Runs `operators` until a signal, and returns once everything has stopped.
pub(super) fn run(program: &str, arguments: &RunArguments, operators: Vec<Operator>) -> Result<(), Failure> {
    logging::install(&arguments.log)?;
    let probes = probe_address(&arguments.health_probe_bind_address)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(async {
        let options = ConfigOptions { kubeconfig: arguments.kubeconfig.clone(), context: arguments.context.clone() };
        let client = Client::from_options(&options).await?;
        tracing::info!(program, server = client.url(), "starting");
        let informers = InformerFactory::new(client.clone());
        let informers = match &arguments.watch_namespace {
            Some(namespace) => informers.in_namespace(namespace),
            None => informers,
        };
        let mut manager = Manager::new(informers.clone()).stop_on_signals()?;
        if let Some(address) = probes {
            manager = manager.admin(listen(address).await?);
        }
        for operator in operators {
            let name = operator.declared().name;
            let made = operator.controller(Setup::new(client.clone(), informers.clone())).await;
            let (controller, reconcile) = made.map_err(|error| Failure::Setup { name, message: error.to_string() })?;
            manager = manager.controller(controller, reconcile);
        }
        match manager.run().await? {
            Outcome::Aborted => Err(Failure::Aborted),
            _ => Ok(()),
        }
    })
}

async fn listen(address: SocketAddr) -> Result<Admin, Failure> {
    let admin = Admin::bind(address).await?;
    if let Ok(address) = admin.local_addr() {
        tracing::info!(%address, "answering /livez and /readyz");
    }
    Ok(admin)
}

fn probe_address(address: &str) -> Result<Option<SocketAddr>, Failure> {
    if address == "0" {
        return Ok(None);
    }
    let parsed = address.parse();
    parsed.map(Some).map_err(|source| Failure::ProbeAddress { address: address.to_owned(), source })
}
