//! The command line: one subcommand for each measurement, each printing JSON lines.
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::threads::Threads;
use crate::{Result, compare, growth, informer, queue, readers, real, reconcile, server};

#[derive(Parser)]
#[command(name = "bench", about = "Benchmarks of kubewright beside its peers; run them with --release")]
struct Arguments {
    #[command(flatten)]
    threads: Threads,
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
    let runtime = arguments.threads.runtime().map_err(Into::into);
    match runtime.and_then(|runtime| runtime.block_on(run(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn run(Arguments { command, threads }: Arguments) -> Result<()> {
    match command {
        Command::Serve(options) => server::run(options).await,
        Command::Informer(options) => print(&informer::run(options).await?),
        Command::Compare(options) => compare::run(options, threads).await,
        Command::Real(options) => real::run(options, threads).await,
        Command::Queue(options) => queue::run(options, threads).await,
        Command::Readers(options) => print(&readers::run(options).await?),
        Command::CompareReaders(options) => readers::compare(options, threads).await,
        Command::Growth(options) => growth::run(options, threads).await,
        Command::Reconcile(options) => print(&reconcile::run(options).await?),
        Command::CompareReconcile(options) => reconcile::compare(options, threads).await,
    }
}

/// Reads how many runs there shall be.
///
/// # Errors
/// When it is no number, or zero, which has no median.
pub fn at_least_once(text: &str) -> Result<usize> {
    match text.parse()? {
        0 => Err("at least one run is needed".into()),
        rounds => Ok(rounds),
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
