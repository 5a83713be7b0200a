//! `run`: from a command line to running operators.
use std::net::SocketAddr;

use super::failure::Failure;
use super::{RunArguments, logging};
use crate::client::Client;
use crate::informer::factory::InformerFactory;
use crate::manager::Manager;
use crate::operator::{Operator, Setup};

/// Runs `operators` until a signal, and returns once everything has stopped.
pub(super) fn run(program: &str, arguments: &RunArguments, operators: Vec<Operator>) -> Result<(), Failure> {
    logging::install(&arguments.log)?;
    let probes = probe_address(&arguments.health_probe_bind_address)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(async {
        let client = Client::connect(arguments.kubeconfig.as_deref(), arguments.context.as_deref()).await?;
        tracing::info!(program, server = client.url(), "starting");
        let mut informers = InformerFactory::new(client.clone());
        if let Some(namespace) = &arguments.watch_namespace {
            informers = informers.in_namespace(namespace);
        }
        let mut manager = Manager::new(informers.clone());
        if let Some(address) = probes {
            manager = manager.health_probes(address);
        }
        for operator in operators {
            let name = operator.declared().name;
            let setup = Setup::new(client.clone(), informers.clone());
            let (controller, reconcile) =
                operator.controller(setup).await.map_err(|error| Failure::Setup { name, message: error.to_string() })?;
            manager = manager.controller(controller, reconcile);
        }
        manager.run().await?;
        Ok(())
    })
}

fn probe_address(address: &str) -> Result<Option<SocketAddr>, Failure> {
    if address == "0" {
        return Ok(None);
    }
    let parsed = address.parse();
    parsed.map(Some).map_err(|source| Failure::ProbeAddress { address: address.to_owned(), source })
}
