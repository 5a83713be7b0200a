//! Informers against a real API server, which encodes, compresses and filters on the same processors as the clients work:
//! what is left of a client's speed there, and whether protobuf is worth having.
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use controlplane::ControlPlane;
use tokio::time::sleep;

use crate::Result;
use crate::connect::{Encoding, Server, Strategy};
use crate::contest::{self, Contender, Contest};
use crate::objects::{ObjectKind, SEED};
use crate::peers::Programs;
use crate::process::cpu_seconds;
use crate::threads::Threads;

mod fill;

/// What to compare.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Pods to create
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// Runs of each, of which the median counts, after one more of each that does not; with zero, nothing is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only this way to ask for the initial state
    #[arg(long)]
    strategy: Option<Strategy>,
    /// Seed of the pods
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Cluster to measure against as it is, instead of one that is started and filled
    #[arg(long, conflicts_with_all = ["pods", "seed", "hold"])]
    kubeconfig: Option<PathBuf>,
    /// Go on serving until Ctrl-C, after saying how to connect
    #[arg(long)]
    hold: bool,
}

/// Runs all of them and prints a JSON line for each run, then a table of medians and ratios.
///
/// # Errors
/// When one of them can not be built or run, and on a machine without Go, which can not build an API server either.
pub async fn run(options: Options, threads: Threads) -> Result<()> {
    let programs = Programs::build(threads).await?;
    if let Some(kubeconfig) = &options.kubeconfig {
        return compare(&options, &programs, &Server::of(kubeconfig), None).await;
    }
    eprintln!("starting a control plane ..");
    let control_plane = tokio::task::spawn_blocking(start).await??;
    let server = Server::of(control_plane.kubeconfig_path());
    fill::fill(&server.client().await?, options.pods, options.seed).await?;
    rest(&control_plane).await?;
    compare(&options, &programs, &server, control_plane.apiserver_id()).await?;
    if options.hold {
        eprintln!("serving until Ctrl-C: export KUBECONFIG={}", control_plane.kubeconfig_path().display());
        pending::<()>().await;
    }
    Ok(())
}

/// Starts a control plane that lets pods be whose owners and nodes do not exist.
fn start() -> Result<ControlPlane> {
    let options = controlplane::Options::default().without_audit();
    let collectors = ["garbage-collector-controller", "pod-garbage-collector-controller"];
    Ok(ControlPlane::start(collectors.into_iter().fold(options, controlplane::Options::without_controller))?)
}

/// How long the API server is watched, what part of a processor it may take while it rests, and how often it is looked.
const WATCHED: Duration = Duration::from_secs(2);
const RESTING: f64 = 0.1;
const LOOKS: usize = 30;

/// Waits until the controllers have heard of every pod.
async fn rest(control_plane: &ControlPlane) -> Result<()> {
    for _ in 0..LOOKS {
        let id = control_plane.apiserver_id().ok_or("the API server has ended")?;
        let before = cpu_seconds(id);
        sleep(WATCHED).await;
        if cpu_seconds(id) - before < RESTING * WATCHED.as_secs_f64() {
            return Ok(());
        }
    }
    Err(format!("the API server has not come to rest within {:?}", WATCHED * LOOKS as u32).into())
}

async fn compare(options: &Options, programs: &Programs, server: &Server, process: Option<u32>) -> Result<()> {
    if options.rounds == 0 {
        return Ok(());
    }
    let contest = Contest {
        programs,
        server,
        server_process: process,
        contenders: &[
            Contender::Kubewright,
            Contender::ClientGo(Encoding::Protobuf),
            Contender::ClientGo(Encoding::Json),
            Contender::KubeRs,
        ],
        strategies: Strategy::chosen(options.strategy.as_ref()),
        kind: ObjectKind::Pods,
        events: 0,
        handlers: 1,
        seed: options.seed,
    };
    eprintln!("warming up ..");
    contest.warm_up().await?;
    let lines = contest.rounds(options.rounds).await?;
    let pods = lines.first().map_or(0, |line| line.record.objects);
    println!("\n{pods} pods of a real API server, medians of {} runs:\n", options.rounds);
    println!("{}", contest::table(&lines));
    Ok(())
}
