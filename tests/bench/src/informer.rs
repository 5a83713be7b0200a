//! One informer: how long it takes to sync, what it takes to hold, and how fast changes reach a handler.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kubewright::Client;
use kubewright::informer::handler::{Handle, ResourceEventHandler};
use kubewright::resource::Kind;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::Result;
use crate::connect::{self, Encoding, Server, Strategy};
use crate::objects::ObjectKind;
use crate::process::{Memory, cpu_seconds};
use crate::widget::Widget;

/// How long an initial sync may take.
pub const SYNC_LIMIT: Duration = Duration::from_secs(300);

/// The pause after which no more events are expected: some may have been merged.
pub const QUIET: Duration = Duration::from_secs(3);

/// How long a cache is given to come to rest after its sync: a collector to collect, a packer to pack better.
pub const SETTLE: Duration = Duration::from_secs(2);

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    server: Server,
    /// What to cache
    #[arg(long)]
    kind: ObjectKind,
    /// How to ask for the initial state
    #[arg(long, default_value = "stream")]
    strategy: Strategy,
    /// Events to ask for once synced
    #[arg(long, default_value_t = 0)]
    events: usize,
    /// Handlers that every event is delivered to
    #[arg(long, default_value_t = 1)]
    handlers: usize,
}

/// What one run measured. The peers print the same fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// What they travelled in.
    #[serde(default)]
    pub encoding: Encoding,
    /// Objects in the cache.
    pub objects: usize,
    /// From the start to the moment when the whole list is in the cache and can be read.
    pub sync_seconds: f64,
    /// Processor time that the process took for it, and for what it put off until it had synced.
    #[serde(default)]
    pub cpu_seconds: f64,
    /// Resident right then, over the empty process.
    pub rss_bytes_after_sync: u64,
    /// The most that was resident up to then, over the empty process.
    pub rss_bytes_peak: u64,
    /// Updates that a handler was called for, divided by the time to the last of them.
    pub events_per_second: f64,
    /// Updates that the slowest handler was called for; what is missing was merged.
    pub events_delivered: usize,
    /// Resident two seconds after the sync, over the empty process.
    pub rss_bytes_settled: u64,
    /// What our cache says it takes itself, at the same time; nothing in the peers' lines.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gauge_bytes: usize,
    /// Resident after all events, over the empty process.
    pub rss_bytes_after_events: u64,
    /// The most that was resident in the whole run, over the empty process.
    pub rss_bytes_peak_of_all: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(bytes: &usize) -> bool {
    *bytes == 0
}

/// Runs it once.
///
/// # Errors
/// When the server can not be reached or does not answer as it should.
pub async fn run(options: Options) -> Result<Record> {
    match options.kind {
        ObjectKind::Pods => measure::<Pod>(&options, "spec.nodeName").await,
        ObjectKind::Widgets => measure::<Widget>(&options, "spec.host").await,
    }
}

async fn measure<K: Kind>(options: &Options, field: &str) -> Result<Record> {
    let client = options.server.client().await?;
    let (empty, idle) = (Memory::now(), cpu_seconds(std::process::id()));
    let factory = connect::factory(&client, options.strategy);
    // The namespace and the controlling owner are always indexed.
    let informer = factory.informer::<K>();
    let _by_field = informer.add_field_index(field);
    let counters: Vec<Arc<Counter>> = (0..options.handlers.max(1)).map(|_| Arc::default()).collect();
    let registrations: Vec<_> =
        counters.iter().map(|counter| informer.add_event_handler(Counting(Arc::clone(counter)))).collect();
    let started = Instant::now();
    factory.start();
    factory.wait_for_cache_sync(SYNC_LIMIT).await?;
    let sync_seconds = started.elapsed().as_secs_f64();
    let synced = Memory::now().over(empty);
    for registration in &registrations {
        registration.synced().await;
    }
    tokio::time::sleep(SETTLE).await;
    let came = factory.reflectors().into_iter().find_map(|(_, status)| status.encoding);
    let mut record = Record {
        encoding: came.map(Encoding::from).unwrap_or_default(),
        objects: informer.lister().len(),
        sync_seconds,
        cpu_seconds: cpu_seconds(std::process::id()) - idle,
        rss_bytes_after_sync: synced.resident,
        rss_bytes_peak: synced.peak,
        rss_bytes_settled: Memory::now().over(empty).resident,
        gauge_bytes: informer.lister().memory_usage().total(),
        ..Record::default()
    };
    if options.events > 0 && options.server.has_trigger() {
        let delivered = deliver(&client, &counters, options.events).await?;
        record.events_delivered = delivered.updates;
        record.events_per_second = delivered.updates as f64 / delivered.time.as_secs_f64();
    }
    let end = Memory::now().over(empty);
    (record.rss_bytes_after_events, record.rss_bytes_peak_of_all) = (end.resident, end.peak);
    Ok(record)
}

struct Delivered {
    updates: usize,
    time: Duration,
}

/// Asks for events and waits until the slowest handler had them all, or as many as it will get.
async fn deliver(client: &Client, counters: &[Arc<Counter>], events: usize) -> Result<Delivered> {
    counters.iter().for_each(|counter| counter.expect(events));
    let started = Instant::now();
    connect::trigger(client, events).await?;
    let (mut updates, mut last) = (events, started);
    for counter in counters {
        let (seen, at) = counter.wait().await;
        updates = updates.min(seen);
        last = last.max(at);
    }
    Ok(Delivered { updates, time: last - started })
}

/// What a handler counts.
#[derive(Default)]
struct Counter {
    updates: AtomicUsize,
    expected: AtomicUsize,
    done: Notify,
}

impl Counter {
    fn expect(&self, events: usize) {
        self.updates.store(0, Relaxed);
        self.expected.store(events, Relaxed);
    }

    fn update(&self) {
        if self.updates.fetch_add(1, Relaxed) + 1 == self.expected.load(Relaxed) {
            self.done.notify_one();
        }
    }

    /// Returns how many updates came, and when the last of them had come at the latest.
    async fn wait(&self) -> (usize, Instant) {
        let (mut seen, mut at) = (0, Instant::now());
        let mut pause = Duration::ZERO;
        while pause < QUIET {
            if timeout(STEP, self.done.notified()).await.is_ok() {
                return (self.updates.load(Relaxed), Instant::now());
            }
            let now = self.updates.load(Relaxed);
            if now == seen {
                pause += STEP;
            } else {
                (seen, at, pause) = (now, Instant::now(), Duration::ZERO);
            }
        }
        (seen, at)
    }
}

/// How often it is looked whether more came. A run in which events were merged is measured this exactly.
const STEP: Duration = Duration::from_millis(10);

struct Counting(Arc<Counter>);

impl<K: Kind> ResourceEventHandler<K> for Counting {
    fn on_update(&mut self, old: Handle<K>, new: Handle<K>) {
        std::hint::black_box((old.key(), new.key()));
        self.0.update();
    }
}
