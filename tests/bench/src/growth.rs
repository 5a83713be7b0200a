//! Memory and time of the initial sync against the number of objects, as lines and as a plot.
use std::path::PathBuf;

use crate::Result;
use crate::cli::at_least_once;
use crate::connect::{Encoding, Server, Strategy};
use crate::contest::{Contender, Contest, Line};
use crate::informer::Record;
use crate::objects::{ObjectKind, SEED};
use crate::peers::{Peer, Programs};
use crate::plot::{Panel, Series};
use crate::threads::Threads;
use crate::{plot, table};

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Numbers of objects
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 5_000, 20_000, 50_000, 100_000, 200_000])]
    objects: Vec<usize>,
    /// Most objects that the peers are given: they take gigabytes
    #[arg(long, default_value_t = 50_000)]
    peers_up_to: usize,
    /// What to cache
    #[arg(long, default_value = "pods")]
    kind: ObjectKind,
    /// Runs of each, of which the median counts
    #[arg(long, default_value_t = 1, value_parser = at_least_once)]
    rounds: usize,
    /// Where to draw the plot
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Draw from the lines in this file, and measure nothing
    #[arg(long)]
    from: Option<PathBuf>,
    /// What the plot says of when and where it was measured
    #[arg(long, default_value = "")]
    note: String,
}

/// Measures, or reads, and prints a JSON line for each run, then draws.
///
/// # Errors
/// When one of them can not be built or run, or the plot can not be written.
pub async fn run(options: Options, threads: Threads) -> Result<()> {
    let lines = match &options.from {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))?;
            let lines = text.lines().filter(|line| line.starts_with('{'));
            lines.map(serde_json::from_str).collect::<std::result::Result<_, _>>()?
        }
        None => measure(&options, threads).await?,
    };
    if let Some(path) = &options.plot {
        let svg = draw(&lines, options.kind, &options.note);
        std::fs::write(path, svg).map_err(|error| format!("write {}: {error}", path.display()))?;
        eprintln!("drawn: {}", path.display());
    }
    Ok(())
}

async fn measure(options: &Options, threads: Threads) -> Result<Vec<Line>> {
    let programs = Programs::build(threads).await?;
    let mut lines = Vec::new();
    for objects in &options.objects {
        let server = programs.serve(*objects, SEED, options.kind).await?;
        let all = [Contender::Kubewright, Contender::KubeRs, Contender::ClientGo(Encoding::Json)];
        let contest = Contest {
            programs: &programs,
            server: &Server::at(&server.serving.url),
            server_process: server.id(),
            contenders: if *objects > options.peers_up_to { &all[..1] } else { &all },
            // By list: every one of them has done that for years.
            strategies: &[Strategy::List],
            kind: options.kind,
            events: 0,
            handlers: 1,
            seed: SEED,
        };
        lines.extend(contest.rounds(options.rounds).await?);
    }
    Ok(lines)
}

fn draw(lines: &[Line], kind: ObjectKind, note: &str) -> String {
    let panel = |title: &str, figure: fn(&Record) -> f64| {
        let series = [Peer::Kubewright, Peer::KubeRs, Peer::ClientGo].into_iter().map(|peer| {
            let own = lines.iter().filter(|line| (line.kind, line.peer) == (kind, peer));
            let own: Vec<&Record> = own.map(|line| &line.record).collect();
            let mut counts: Vec<usize> = own.iter().map(|record| record.objects).collect();
            counts.sort_unstable();
            counts.dedup();
            let middle = |count: usize| {
                let runs = own.iter().filter(|run| run.objects == count);
                (count as f64, table::median(runs.map(|run| figure(run))))
            };
            Series { name: peer.name(), points: counts.into_iter().map(middle).collect() }
        });
        Panel { title: title.to_owned(), series: series.filter(|series| !series.points.is_empty()).collect() }
    };
    let memory = panel("resident memory, MiB", |record| record.rss_bytes_settled as f64 / f64::from(1 << 20));
    let time = panel("initial sync, seconds", |record| record.sync_seconds);
    plot::render(&[memory, time], &format!("number of {}", kind.plural()), note)
}
