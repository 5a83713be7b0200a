//! A controller that does nothing, over every widget: how many reconciles it runs, and how soon one follows its event.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use kubewright::controller::{Controller, Watch};
use kubewright::manager::Manager;
use kubewright::reconcile::from_fn;
use kubewright::{Action, InformerFactory, ObjectKey};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::Result;
use crate::cli::{at_least_once, print};
use crate::connect::{self, Server};
use crate::latency::{Latencies, Summary};
use crate::objects::{ObjectKind, SEED};
use crate::peers::{Peer, Programs};
use crate::table;
use crate::threads::Threads;
use crate::widget::Widget;

/// How long the first reconcile of every object may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Events a second whose latency is measured.
pub const EVENTS_PER_SECOND: u32 = 1_000;

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// URL of a server of prepared widgets, which is asked for events
    #[arg(long)]
    url: String,
    /// What a reconcile reads of its object
    #[arg(long, default_value = "metadata")]
    read: Read,
    /// Reconciles at once
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Events whose latency is measured, 1,000 a second
    #[arg(long, default_value_t = 5_000)]
    events: usize,
}

/// What a reconcile reads of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Read {
    /// Metadata, in the compact form in which it is cached.
    Metadata,
    /// All of it, decoded.
    Spec,
}

impl Read {
    fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Spec => "spec",
        }
    }
}

/// What one run measured. The peers print the same fields.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Objects that were reconciled.
    pub objects: usize,
    /// Objects by the time from the start of everything to the last of their first reconciles.
    pub reconciles_per_second: f64,
    /// From asking for an event to the start of its reconcile: what one in a hundred exceeds.
    pub latency_p99_seconds: f64,
    /// The same in the middle.
    pub latency_p50_seconds: f64,
    /// Events whose reconcile was seen; the others were merged with a later one of their object.
    pub latency_events: usize,
    /// Events that were asked for in a second.
    pub events_per_second: f64,
}

impl Record {
    /// Puts both halves together.
    pub fn new(objects: usize, took: Duration, latency: Summary) -> Self {
        Self {
            objects,
            reconciles_per_second: objects as f64 / took.as_secs_f64(),
            latency_p99_seconds: latency.p99,
            latency_p50_seconds: latency.p50,
            latency_events: latency.count,
            events_per_second: latency.rate,
        }
    }
}

/// Counts first reconciles up to all of them, then tells latencies.
#[derive(Debug)]
pub struct Progress {
    reconciled: AtomicUsize,
    objects: usize,
    all: Notify,
    /// When which event was seen.
    pub latencies: Latencies,
}

impl Progress {
    /// Expects so many objects, then so many events.
    pub fn new(objects: usize, events: usize) -> Self {
        Self { reconciled: AtomicUsize::new(0), objects, all: Notify::new(), latencies: Latencies::new(events) }
    }

    /// Notes a reconcile that sees this version of its object.
    pub fn reconcile(&self, version: Option<&str>) {
        if self.reconciled.fetch_add(1, Relaxed) + 1 == self.objects {
            self.all.notify_one();
        }
        self.latencies.begins(version);
    }

    /// Waits until every object was reconciled once.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn all(&self) -> Result<()> {
        let late = |_| format!("{} of {} reconciles within {LIMIT:?}", self.reconciled.load(Relaxed), self.objects);
        timeout(LIMIT, self.all.notified()).await.map_err(late)?;
        Ok(())
    }
}

/// Runs it once.
///
/// # Errors
/// When the server can not be reached or does not answer as it should.
pub async fn run(options: Options) -> Result<Record> {
    let client = Server::at(&options.url).client().await?;
    let before = connect::count(&client, "/apis/bench.example.com/v1/widgets").await?;
    let progress = Arc::new(Progress::new(before.objects, options.events));
    let factory = InformerFactory::new(client.clone());
    let informer = factory.informer::<Widget>();
    let state = Arc::new((informer.lister(), Arc::clone(&progress)));
    let read = options.read;
    let reconcile = from_fn(move |key: ObjectKey| {
        let state = Arc::clone(&state);
        async move {
            let (lister, seen) = &*state;
            match read {
                Read::Metadata => {
                    let version = lister.compact_metadata(&key).map(|metadata| metadata.resource_version());
                    seen.reconcile(version.as_ref().map(|version| version.as_str()));
                }
                Read::Spec => {
                    let widget = lister.get(&key)?;
                    std::hint::black_box(widget.as_ref().map(|widget| widget.spec.replicas));
                    seen.reconcile(widget.as_ref().and_then(|widget| widget.metadata.resource_version.as_deref()));
                }
            }
            Ok(Action::await_change())
        }
    });
    let controller = Controller::new("widget", options.workers).source(Watch::primary(&informer));
    let manager = Manager::new(factory).controller(controller, reconcile);
    let measured = async {
        let started = Instant::now();
        progress.all().await?;
        let took = started.elapsed();
        let trigger = async || connect::trigger(&client, 1).await;
        let latency = progress.latencies.measure(before.version, EVENTS_PER_SECOND, trigger).await?;
        Ok(Record::new(before.objects, took, latency))
    };
    tokio::select! {
        record = measured => record,
        ended = manager.run() => Err(format!("the manager ended: {ended:?}").into()),
    }
}

/// What to compare.
#[derive(clap::Args, Clone, Debug)]
pub struct CompareOptions {
    /// Widgets to reconcile
    #[arg(long, default_value_t = 50_000)]
    objects: usize,
    /// Events whose latency is measured
    #[arg(long, default_value_t = 5_000)]
    events: usize,
    /// Reconciles at once
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Runs of each, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = at_least_once)]
    rounds: usize,
}

/// One run of one of them.
#[derive(Serialize)]
struct Line {
    peer: Peer,
    read: &'static str,
    seed: u64,
    #[serde(flatten)]
    record: Record,
}

/// Runs the controllers of all peers in turns and prints a JSON line for each run, then a table.
///
/// # Errors
/// When one of them can not be built or run.
pub async fn compare(options: CompareOptions, threads: Threads) -> Result<()> {
    let programs = Programs::build(threads).await?;
    let server = programs.serve(options.objects, SEED, ObjectKind::Widgets).await?;
    let url = server.serving.url.as_str();
    let (events, workers) = (options.events.to_string(), options.workers.to_string());
    let own =
        |read: Read| vec!["reconcile", "--url", url, "--read", read.name(), "--events", &events, "--workers", &workers];
    let peer = vec!["reconcile", url, &events, &workers];
    let contenders = [
        (Peer::Kubewright, Read::Metadata, own(Read::Metadata)),
        (Peer::Kubewright, Read::Spec, own(Read::Spec)),
        (Peer::KubeRs, Read::Spec, peer.clone()),
        (Peer::ControllerRuntime, Read::Spec, peer),
    ];
    let mut runs: Vec<Vec<Record>> = vec![Vec::new(); contenders.len()];
    for _ in 0..options.rounds {
        for ((peer, read, arguments), runs) in contenders.iter().zip(&mut runs) {
            if programs.has(*peer) {
                let record = programs.run(*peer, arguments).await?;
                print(&Line { peer: *peer, read: read.name(), seed: SEED, record })?;
                runs.push(record);
            }
        }
    }
    let names = contenders.iter().map(|(peer, read, _)| format!("{}, {}", peer.name(), read.name()));
    println!("\n{}", table::render(&rows(names, &runs)));
    Ok(())
}

fn rows(names: impl Iterator<Item = String>, runs: &[Vec<Record>]) -> Vec<Vec<String>> {
    let median = |runs: &[Record], figure: fn(&Record) -> f64| table::median(runs.iter().map(figure));
    let rate = |runs: &[Record]| median(runs, |record| record.reconciles_per_second);
    let head = ["", "reconciles/s", "of ours, metadata", "of ours, spec", "p50 ms", "p99 ms"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, own) in names.zip(runs) {
        rows.push(vec![
            name,
            table::number(rate(own)),
            table::times(rate(&runs[0]) / rate(own)),
            table::times(rate(&runs[1]) / rate(own)),
            table::number(median(own, |record| record.latency_p50_seconds) * 1e3),
            table::number(median(own, |record| record.latency_p99_seconds) * 1e3),
        ]);
    }
    rows
}
