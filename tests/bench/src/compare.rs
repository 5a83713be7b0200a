//! Informers of kubewright, kube-rs and client-go side by side, against a server that answers as fast as they read.
use crate::Result;
use crate::cli::at_least_once;
use crate::connect::{Encoding, Server, Strategy};
use crate::contest::{self, Contender, Contest};
use crate::objects::{ObjectKind, SEED};
use crate::peers::Programs;
use crate::threads::Threads;

/// What to compare.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Objects of each kind
    #[arg(long, default_value_t = 50_000)]
    objects: usize,
    /// Events after the sync
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// Runs of each, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = at_least_once)]
    rounds: usize,
    /// Handlers that every event is delivered to; kube-rs has no such thing, and is left out above one
    #[arg(long, default_value_t = 1)]
    handlers: usize,
    /// Only this kind
    #[arg(long)]
    kind: Option<ObjectKind>,
    /// Only this way to ask for the initial state
    #[arg(long)]
    strategy: Option<Strategy>,
    /// Seed of the objects
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

/// Runs all of them and prints a JSON line for each run, then a table of medians and ratios.
///
/// # Errors
/// When one of them can not be built or run.
pub async fn run(options: Options, threads: Threads) -> Result<()> {
    let programs = Programs::build(threads).await?;
    let mut contenders = vec![Contender::Kubewright, Contender::KubeRs, Contender::ClientGo(Encoding::Json)];
    contenders.retain(|contender| options.handlers == 1 || *contender != Contender::KubeRs);
    let kinds = ObjectKind::ALL.into_iter().filter(|kind| options.kind.is_none_or(|only| only == *kind));
    for kind in kinds {
        let server = programs.serve(options.objects, options.seed, kind).await?;
        let contest = Contest {
            programs: &programs,
            server: &Server::at(&server.serving.url),
            server_process: server.id(),
            contenders: &contenders,
            strategies: Strategy::chosen(options.strategy.as_ref()),
            kind,
            events: options.events,
            handlers: options.handlers,
            seed: options.seed,
        };
        let lines = contest.rounds(options.rounds).await?;
        println!("\n{} {}, medians of {} runs:\n", options.objects, kind.plural(), options.rounds);
        println!("{}\n", contest::table(&lines));
    }
    Ok(())
}
