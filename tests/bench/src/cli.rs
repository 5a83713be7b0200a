//! The command line: one subcommand for each measurement, each printing JSON lines.
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::{Result, compare, informer, queue, server};

#[derive(Parser)]
#[command(name = "bench", about = "Benchmarks of kubewright beside its peers; run them with --release")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves pre-rendered, varied pods and widgets on the loopback
    Serve(server::Options),
    /// Measures one informer: sync, memory, events
    Informer(informer::Options),
    /// Measures informers of kubewright, kube-rs and client-go side by side
    Compare(compare::Options),
    /// Measures the work queue
    Queue(queue::Options),
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(options) => server::run(options).await,
        Command::Informer(options) => print(&informer::run(options).await?),
        Command::Compare(options) => compare::run(options).await,
        Command::Queue(options) => queue::run(options).await,
    }
}

/// Prints one JSON line.
///
/// # Errors
/// Never for what the benchmarks print.
pub fn print(record: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(record)?);
    Ok(())
}

fn failed(error: &crate::Error) -> ExitCode {
    eprintln!("bench: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    ExitCode::FAILURE
}
