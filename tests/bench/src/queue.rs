//! The work queue, priorities and fairness on: what a key costs from add to done, and how evenly equal keys wait.
use std::time::Duration;

use kubewright::{ObjectKey, WorkQueue};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Result;
use crate::cli::{at_least_once, print};
use crate::peers::{Peer, Programs};
use crate::table;
use crate::threads::Threads;

/// Distinct keys of the large measurement.
const KEYS: usize = 1_000_000;

/// Distinct keys of the steady one, which stay in the processor's caches.
const STEADY_KEYS: usize = 1_000;

/// Keys that are always due, and how many of them are worked on at once.
const DUE: usize = 50;
const WORKERS: usize = 4;

/// Deliveries over which waits are looked at.
const DELIVERIES: usize = 20_000;

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Also measure client-go's work queue and controller-runtime's priority queue, in turns with ours
    #[arg(long)]
    peers: bool,
    /// Runs, of which the median counts
    #[arg(long, default_value_t = 5, value_parser = at_least_once)]
    rounds: usize,
}

/// What one queue measured. The peers print the same fields.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Nanoseconds from adding a key to ending the work on it, for a million distinct keys that are all added first.
    pub add_get_done_ns_1m: f64,
    /// The same where each of a thousand keys in turn is added, taken and ended.
    pub add_get_done_ns_steady: f64,
    /// The longest wait of any of fifty keys that are always due, in deliveries, over that of the key that waited least.
    pub worst_wait_ratio: f64,
}

/// What one run of all printed.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    ours: Record,
    keys: usize,
    rounds: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<Peers>,
}

/// What the peers in Go measured, all in one process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Peers {
    client_go: Record,
    controller_runtime: Record,
}

/// Measures, and prints one JSON line.
///
/// # Errors
/// When the peers are asked for and can not be built or run.
pub async fn run(options: Options, threads: Threads) -> Result<()> {
    let programs = if options.peers { Some(Programs::build(threads).await?) } else { None };
    let programs = programs.filter(|programs| programs.has(Peer::ClientGo));
    let (mut ours, mut client_go, mut controller_runtime) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        ours.push(measure().await);
        if let Some(programs) = &programs {
            let peers: Peers = programs.run(Peer::ClientGo, &["queue"]).await?;
            client_go.push(peers.client_go);
            controller_runtime.push(peers.controller_runtime);
        }
    }
    let peers = programs
        .is_some()
        .then(|| Peers { client_go: middle(&client_go), controller_runtime: middle(&controller_runtime) });
    let ours = middle(&ours);
    print(&Line { ours, keys: KEYS, rounds: options.rounds, peers })?;
    if let Some(peers) = peers {
        println!("\n{}", table::render(&rows(&ours, &peers)));
    }
    Ok(())
}

async fn measure() -> Record {
    let keys: Vec<ObjectKey> = (0..KEYS).map(key).collect();
    Record {
        add_get_done_ns_1m: burst(&keys).await,
        add_get_done_ns_steady: steady(&keys[..STEADY_KEYS]).await,
        worst_wait_ratio: worst_wait_ratio().await,
    }
}

fn key(number: usize) -> ObjectKey {
    ObjectKey::namespaced(&format!("team-{:02}", number % 40), &format!("obj-{number:06}"))
}

async fn burst(keys: &[ObjectKey]) -> f64 {
    let queue = WorkQueue::default();
    let started = Instant::now();
    for key in keys {
        queue.add(key.clone());
    }
    for _ in keys {
        if let Some(key) = queue.get().await {
            queue.done(&key);
        }
    }
    nanoseconds_each(started.elapsed(), keys.len())
}

async fn steady(keys: &[ObjectKey]) -> f64 {
    let queue = WorkQueue::default();
    let started = Instant::now();
    for number in 0..KEYS {
        queue.add(keys[number % keys.len()].clone());
        if let Some(key) = queue.get().await {
            queue.done(&key);
        }
    }
    nanoseconds_each(started.elapsed(), KEYS)
}

/// Every key is added again while it is worked on, so that it is due again at once.
async fn worst_wait_ratio() -> f64 {
    let queue = WorkQueue::default();
    let mut waits = Waits::new(DUE);
    let keys: Vec<ObjectKey> = (0..DUE).map(key).collect();
    keys.iter().for_each(|key| queue.add(key.clone()));
    let mut held = std::collections::VecDeque::new();
    while waits.deliveries < DELIVERIES {
        let Some(key) = queue.get().await else { break };
        waits.delivered(keys.iter().position(|known| *known == key).unwrap_or(0));
        held.push_back(key);
        if held.len() == WORKERS
            && let Some(key) = held.pop_front()
        {
            queue.add(key.clone());
            queue.done(&key);
        }
    }
    waits.worst_ratio()
}

/// How long keys that are always due go without a delivery.
struct Waits {
    deliveries: usize,
    last: Vec<usize>,
    longest: Vec<usize>,
}

impl Waits {
    fn new(keys: usize) -> Self {
        Self { deliveries: 0, last: vec![0; keys], longest: vec![0; keys] }
    }

    fn delivered(&mut self, key: usize) {
        self.deliveries += 1;
        self.longest[key] = self.longest[key].max(self.deliveries - self.last[key]);
        self.last[key] = self.deliveries;
    }

    /// Those that wait still count for as long as they have waited.
    fn worst_ratio(&self) -> f64 {
        let waits = self.longest.iter().zip(&self.last);
        let waits: Vec<usize> = waits.map(|(longest, last)| *longest.max(&(self.deliveries - last))).collect();
        let (least, most) = (waits.iter().min().copied().unwrap_or(1), waits.iter().max().copied().unwrap_or(1));
        most as f64 / least.max(1) as f64
    }
}

fn nanoseconds_each(time: Duration, count: usize) -> f64 {
    time.as_nanos() as f64 / count as f64
}

fn middle(records: &[Record]) -> Record {
    let median = |figure: fn(&Record) -> f64| table::median(records.iter().map(figure));
    Record {
        add_get_done_ns_1m: median(|record| record.add_get_done_ns_1m),
        add_get_done_ns_steady: median(|record| record.add_get_done_ns_steady),
        worst_wait_ratio: median(|record| record.worst_wait_ratio),
    }
}

fn rows(ours: &Record, peers: &Peers) -> Vec<Vec<String>> {
    let row = |name: &str, record: &Record| {
        let figures = [record.add_get_done_ns_1m, record.add_get_done_ns_steady, record.worst_wait_ratio];
        std::iter::once(name.to_owned()).chain(figures.map(table::number)).collect::<Vec<_>>()
    };
    let times = |name: &str, theirs: &Record| {
        let ratios = [
            theirs.add_get_done_ns_1m / ours.add_get_done_ns_1m,
            theirs.add_get_done_ns_steady / ours.add_get_done_ns_steady,
            theirs.worst_wait_ratio / ours.worst_wait_ratio,
        ];
        std::iter::once(format!("better than {name}")).chain(ratios.map(table::times)).collect::<Vec<_>>()
    };
    let head = ["", "add + get + done, 1,000,000 keys, ns", "1,000 keys in turn, ns", "worst wait ratio"];
    vec![
        head.map(str::to_owned).to_vec(),
        row("kubewright", ours),
        row("client-go workqueue", &peers.client_go),
        row("controller-runtime priorityqueue", &peers.controller_runtime),
        times("client-go", &peers.client_go),
        times("controller-runtime", &peers.controller_runtime),
    ]
}

#[test]
fn waits_are_counted_in_deliveries_and_to_the_end() {
    let mut waits = Waits::new(3);
    for key in [0, 1, 2, 0, 1, 2] {
        waits.delivered(key);
    }
    assert_eq!(waits.worst_ratio(), 1.0);
    (0..6).for_each(|_| waits.delivered(0));
    assert_eq!(waits.worst_ratio(), 7.0 / 3.0, "key 1 waits since delivery 5, key 0 never waited more than 3");
}
