//! Informers of kubewright, kube-rs and client-go side by side: in turns, against one server, each in its own process.
use std::collections::BTreeMap;

use serde::Serialize;

use crate::Result;
use crate::informer::Record;
use crate::objects::{ObjectKind, SEED};
use crate::peers::{Peer, Programs};
use crate::table;

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
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Handlers that every event is delivered to; kube-rs has no such thing, and is left out above one
    #[arg(long, default_value_t = 1)]
    handlers: usize,
    /// Only this kind
    #[arg(long)]
    kind: Option<ObjectKind>,
    /// Only this way to ask for the initial state; of both, each is given its better
    #[arg(long)]
    strategy: Option<crate::connect::Strategy>,
    /// Seed of the objects
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

/// One run of one of them.
#[derive(Serialize)]
struct Line<'a> {
    peer: Peer,
    kind: &'a str,
    strategy: &'a str,
    handlers: usize,
    seed: u64,
    #[serde(flatten)]
    record: Record,
}

/// Runs all of them and prints a JSON line for each run, then a table of medians and ratios.
///
/// # Errors
/// When one of them can not be built or run.
pub async fn run(options: Options) -> Result<()> {
    let programs = Programs::build().await?;
    let kinds = ObjectKind::ALL.into_iter().filter(|kind| options.kind.is_none_or(|only| only == *kind));
    for kind in kinds {
        let server = programs.serve(options.objects, options.seed, Some(kind.plural())).await?;
        let mut runs: BTreeMap<&str, BTreeMap<&str, Vec<Record>>> = BTreeMap::new();
        for _ in 0..options.rounds {
            for peer in contenders(&options, &programs) {
                for strategy in strategies(options.strategy) {
                    let (url, events, handlers) = (server.serving.url.as_str(), options.events, options.handlers);
                    let record = measure(&programs, Run { peer, url, kind, strategy, events, handlers }).await?;
                    let line = Line {
                        peer,
                        kind: kind.plural(),
                        strategy,
                        handlers: options.handlers,
                        seed: options.seed,
                        record,
                    };
                    crate::cli::print(&line)?;
                    runs.entry(peer.name()).or_default().entry(strategy).or_default().push(line.record);
                }
            }
        }
        println!("\n{} {}, medians of {} runs:\n", options.objects, kind.plural(), options.rounds);
        println!("{}\n", table::render(&rows(&runs)));
    }
    Ok(())
}

fn contenders(options: &Options, programs: &Programs) -> Vec<Peer> {
    let can = |peer: &Peer| programs.has(*peer) && (options.handlers == 1 || *peer != Peer::KubeRs);
    [Peer::Kubewright, Peer::KubeRs, Peer::ClientGo].into_iter().filter(can).collect()
}

fn strategies(only: Option<crate::connect::Strategy>) -> Vec<&'static str> {
    use crate::connect::Strategy;
    match only {
        Some(Strategy::Stream) => vec!["stream"],
        Some(Strategy::List) => vec!["list"],
        None => vec!["stream", "list"],
    }
}

/// One run of one informer.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Whose.
    pub peer: Peer,
    /// Of which server.
    pub url: &'a str,
    /// Of what.
    pub kind: ObjectKind,
    /// `stream` or `list`.
    pub strategy: &'a str,
    /// Events after the sync.
    pub events: usize,
    /// Handlers that they are delivered to.
    pub handlers: usize,
}

/// Runs one of them once.
///
/// # Errors
/// When it fails.
pub async fn measure(programs: &Programs, run: Run<'_>) -> Result<Record> {
    let Run { peer, url, strategy, .. } = run;
    let (kind, events, handlers) = (run.kind.plural(), run.events.to_string(), run.handlers.to_string());
    let arguments: Vec<&str> = match peer {
        Peer::Kubewright => {
            let what = ["informer", "--url", url, "--kind", kind, "--strategy", strategy];
            [what.as_slice(), &["--events", &events, "--handlers", &handlers]].concat()
        }
        Peer::KubeRs => vec!["informer", url, kind, strategy, &events],
        Peer::ClientGo | Peer::ControllerRuntime => vec!["informer", url, kind, strategy, &events, "json", &handlers],
    };
    Ok(serde_json::from_value(programs.run(peer, &arguments).await?)?)
}

/// What is compared, and whether less of it is better.
struct Figure {
    name: &'static str,
    of: fn(&Record) -> f64,
    better: Better,
}

const FIGURES: [Figure; 5] = [
    Figure { name: "sync s", of: |record| record.sync_seconds, better: Better::Less },
    Figure { name: "MiB after sync", of: |record| mebibytes(record.rss_bytes_after_sync), better: Better::Less },
    Figure { name: "MiB settled", of: |record| mebibytes(record.rss_bytes_settled), better: Better::Less },
    Figure { name: "MiB peak of sync", of: |record| mebibytes(record.rss_bytes_peak), better: Better::Less },
    Figure { name: "events/s", of: |record| record.events_per_second, better: Better::More },
];

#[derive(Clone, Copy)]
enum Better {
    Less,
    More,
}

fn rows(runs: &BTreeMap<&str, BTreeMap<&str, Vec<Record>>>) -> Vec<Vec<String>> {
    let head = ["", "strategy"].into_iter().chain(FIGURES.iter().map(|figure| figure.name));
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for peer in [Peer::Kubewright, Peer::KubeRs, Peer::ClientGo] {
        for (strategy, records) in runs.get(peer.name()).into_iter().flatten() {
            let cells = FIGURES.iter().map(|figure| table::number(middle(records, figure.of)));
            rows.push([peer.name().to_owned(), (*strategy).to_owned()].into_iter().chain(cells).collect());
        }
    }
    for peer in [Peer::KubeRs, Peer::ClientGo] {
        let (Some(ours), Some(theirs)) = (runs.get(Peer::Kubewright.name()), runs.get(peer.name())) else { continue };
        let ratios = FIGURES.iter().map(|figure| {
            let (ours, theirs) = (best(ours, figure), best(theirs, figure));
            let ratio = match figure.better {
                Better::Less => theirs / ours,
                Better::More => ours / theirs,
            };
            format!("{} ×", table::number(ratio))
        });
        rows.push([format!("better than {}", peer.name()), "best".to_owned()].into_iter().chain(ratios).collect());
    }
    rows
}

fn best(strategies: &BTreeMap<&str, Vec<Record>>, figure: &Figure) -> f64 {
    let medians = strategies.values().map(|records| middle(records, figure.of));
    match figure.better {
        Better::Less => medians.fold(f64::INFINITY, f64::min),
        Better::More => medians.fold(f64::NEG_INFINITY, f64::max),
    }
}

fn middle(records: &[Record], figure: fn(&Record) -> f64) -> f64 {
    table::median(&records.iter().map(figure).collect::<Vec<_>>())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
