//! The command line: one subcommand for each measurement, each printing JSON lines.
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::{Result, compare, growth, informer, queue, readers, real, reconcile, server};

#[derive(Parser)]
#[command(name = "bench", about = "Benchmarks of kubewright beside its peers; run them with --release")]
struct Arguments {
    /// Worker threads of the runtime; by default one for each processor, and with zero everything runs on one thread
    #[arg(long, global = true)]
    threads: Option<usize>,
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
    /// Measures informers of kubewright, client-go and kube-rs side by side, against a real API server that it starts
    Real(real::Options),
    /// Measures the work queue
    Queue(queue::Options),
    /// Measures reads of a synced cache, and what they feel while it is listed again
    Readers(readers::Options),
    /// Measures reads of kubewright, kube-rs and client-go side by side
    CompareReaders(readers::CompareOptions),
    /// Measures memory and sync against the number of objects, and draws them
    Growth(growth::Options),
    /// Measures a controller that does nothing
    Reconcile(reconcile::Options),
    /// Measures controllers of kubewright, kube-rs and controller-runtime side by side
    CompareReconcile(reconcile::CompareOptions),
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match runtime(arguments.threads) {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn runtime(threads: Option<usize>) -> std::io::Result<Runtime> {
    let mut builder = match threads {
        Some(0) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(threads @ 1..) = threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(options) => server::run(options).await,
        Command::Informer(options) => print(&informer::run(options).await?),
        Command::Compare(options) => compare::run(options).await,
        Command::Real(options) => real::run(options).await,
        Command::Queue(options) => queue::run(options).await,
        Command::Readers(options) => print(&readers::run(options).await?),
        Command::CompareReaders(options) => readers::compare(options).await,
        Command::Growth(options) => growth::run(options).await,
        Command::Reconcile(options) => print(&reconcile::run(options).await?),
        Command::CompareReconcile(options) => reconcile::compare(options).await,
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
