//! Reads of a synced cache, and what readers feel while it is listed again.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kubewright::store::lister::Lister;
use kubewright::{Index, Informer, ObjectKey};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use crate::Result;
use crate::cli::{at_least_once, print};
use crate::connect::{self, Server, Strategy};
use crate::informer::SYNC_LIMIT;
use crate::objects::{ObjectKind, SEED};
use crate::peers::{Peer, Programs};
use crate::table;
use crate::threads::Threads;

/// Reads of each sort.
pub const READS: usize = 20_000;

/// Keys that are read again and again.
pub const HOT: usize = 16;

/// Queries of each sort.
pub const QUERIES: usize = 200;

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    server: Server,
}

/// What one run measured, over pods. The peers print the same fields, less what they do not have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Objects in the cache.
    pub objects: usize,
    /// One of a few objects that are read all the time, by key.
    pub get_hot_ns: f64,
    /// An object that nobody has read, by key.
    pub get_cold_ns: f64,
    /// `serde_json` into the same type from the same JSON.
    pub decode_ns: f64,
    /// The objects of one node by an index, cold, for each object returned.
    pub by_index_ns_per_object: f64,
    /// The same, one after the other, none of which is held.
    pub by_index_in_turns_ns_per_object: f64,
    /// Their metadata, of which nothing is unpacked.
    pub metadata_by_index_ns_per_object: f64,
    /// The keys of one node by an index, for each key returned.
    pub keys_by_index_ns_per_object: f64,
    /// The objects of one namespace, for each object returned.
    pub namespace_ns_per_object: f64,
    /// The objects of one app by a label selector, for each object returned.
    pub selector_ns_per_object: f64,
    /// From the loss of the watch to the end of a list in which nothing has changed.
    pub relist_seconds: f64,
    /// The longest time that a get took meanwhile.
    pub stall_seconds: f64,
    /// The same less what its thread was kept waiting for a processor.
    pub blocked_seconds: f64,
    /// The longest time that a get took while nothing else happened.
    pub idle_stall_seconds: f64,
}

/// Runs it once.
///
/// # Errors
/// When the server can not be reached or does not answer as it should.
pub async fn run(options: Options) -> Result<Record> {
    let client = options.server.client().await?;
    let factory = connect::factory(&client, Strategy::List);
    let pods = factory.informer::<Pod>();
    let by_node = pods.add_field_index("spec.nodeName");
    factory.start();
    factory.wait_for_cache_sync(SYNC_LIMIT).await?;
    // What is packed better after the sync is so by now.
    tokio::time::sleep(crate::informer::SETTLE).await;
    let lister = pods.lister();
    let keys = lister.keys();
    if keys.is_empty() {
        return Err("the server holds no pods".into());
    }
    let mut record = Record { objects: keys.len(), ..Record::default() };
    by_key(&lister, &keys, &mut record)?;
    queries(&lister, &by_node, &keys, &mut record)?;
    if options.server.has_trigger() {
        let (_, idle) = watched(hot(&lister, &keys), rest()).await?;
        let (took, stall) = watched(hot(&lister, &keys), relist(&client, &pods)).await?;
        record.idle_stall_seconds = idle.longest.as_secs_f64();
        record.relist_seconds = took.as_secs_f64();
        record.stall_seconds = stall.longest.as_secs_f64();
        record.blocked_seconds = stall.blocked.as_secs_f64();
    }
    Ok(record)
}

/// What to compare.
#[derive(clap::Args, Clone, Debug)]
pub struct CompareOptions {
    /// Pods to read
    #[arg(long, default_value_t = 50_000)]
    objects: usize,
    /// Runs of each, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = at_least_once)]
    rounds: usize,
}

/// One run of one of them.
#[derive(Serialize)]
struct Line {
    peer: Peer,
    seed: u64,
    #[serde(flatten)]
    record: Record,
}

/// Reads the caches of all peers in turns and prints a JSON line for each run, then a table.
///
/// # Errors
/// When one of them can not be built or run.
pub async fn compare(options: CompareOptions, threads: Threads) -> Result<()> {
    let programs = Programs::build(threads).await?;
    let server = programs.serve(options.objects, SEED, ObjectKind::Pods).await?;
    let url = server.serving.url.as_str();
    let contenders = [Peer::Kubewright, Peer::KubeRs, Peer::ClientGo];
    let mut runs: [Vec<Record>; 3] = Default::default();
    for _ in 0..options.rounds {
        for (peer, runs) in contenders.into_iter().zip(&mut runs) {
            if programs.has(peer) {
                let arguments =
                    if peer == Peer::Kubewright { vec!["readers", "--url", url] } else { vec!["readers", url] };
                let record = programs.run(peer, &arguments).await?;
                let line = Line { peer, seed: SEED, record };
                print(&line)?;
                runs.push(line.record);
            }
        }
    }
    let mut rows = vec![std::iter::once("").chain(contenders.map(Peer::name)).map(str::to_owned).collect::<Vec<_>>()];
    for (name, figure) in FIGURES {
        let cell = |runs: &Vec<Record>| {
            let value = table::median(runs.iter().map(figure));
            if value > 0.0 { table::number(value) } else { table::number(f64::NAN) }
        };
        rows.push(std::iter::once(name.to_owned()).chain(runs.iter().map(cell)).collect());
    }
    println!("\n{}", table::render(&rows));
    Ok(())
}

/// A figure by its name.
type Figure = (&'static str, fn(&Record) -> f64);

const FIGURES: [Figure; 12] = [
    ("get, hot, ns", |record| record.get_hot_ns),
    ("get, cold, ns", |record| record.get_cold_ns),
    ("one typed decode, ns", |record| record.decode_ns),
    ("by index, ns an object", |record| record.by_index_ns_per_object),
    ("by index in turns, ns an object", |record| record.by_index_in_turns_ns_per_object),
    ("metadata by index, ns an object", |record| record.metadata_by_index_ns_per_object),
    ("keys by index, ns a key", |record| record.keys_by_index_ns_per_object),
    ("by namespace, ns an object", |record| record.namespace_ns_per_object),
    ("by label selector, ns an object", |record| record.selector_ns_per_object),
    ("re-list, nothing changed, ms", |record| record.relist_seconds * 1e3),
    ("longest get meanwhile, ms", |record| record.stall_seconds * 1e3),
    ("longest get at rest, ms", |record| record.idle_stall_seconds * 1e3),
];

fn by_key(lister: &Lister<Pod>, keys: &[ObjectKey], record: &mut Record) -> Result<()> {
    // Far apart, and each once: the hot set can not have them.
    let cold: Vec<&ObjectKey> = keys.iter().step_by((keys.len() / READS).max(1)).take(READS).collect();
    let mut texts = Vec::with_capacity(1_000);
    record.get_cold_ns = each(&cold, |key| {
        let pod = lister.get(key)?.ok_or("a listed pod is gone")?;
        if texts.len() < 1_000 {
            texts.push(pod);
        }
        Ok(())
    })?;
    let texts: Vec<Vec<u8>> =
        texts.iter().map(|pod| serde_json::to_vec(&**pod)).collect::<std::result::Result<_, _>>()?;
    record.decode_ns = each(&texts, |text| {
        std::hint::black_box(Arc::new(serde_json::from_slice::<Pod>(text)?));
        Ok(())
    })?;
    let hot: Vec<&ObjectKey> = keys.iter().take(HOT).cycle().take(READS * 10).collect();
    record.get_hot_ns = each(&hot, |key| {
        std::hint::black_box(lister.get(key)?);
        Ok(())
    })?;
    Ok(())
}

fn queries(lister: &Lister<Pod>, by_node: &Index<Pod>, keys: &[ObjectKey], record: &mut Record) -> Result<()> {
    let (mut nodes, mut apps, mut namespaces) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for key in keys.iter().step_by((keys.len() / 2_000).max(1)) {
        let Some(pod) = lister.get(key)? else { continue };
        nodes.extend(pod.spec.as_ref().and_then(|spec| spec.node_name.clone()));
        apps.extend(pod.metadata.labels.iter().flatten().find(|(name, _)| *name == APP).map(|(_, app)| app.clone()));
        namespaces.extend(key.namespace().map(str::to_owned));
    }
    record.by_index_ns_per_object = per_object(&nodes, |node| Ok(lister.by(by_node, node)?.len()))?;
    record.by_index_in_turns_ns_per_object = per_object(&nodes, |node| {
        let mut objects = 0;
        for pod in lister.query().by(by_node, node).iter() {
            std::hint::black_box(pod?);
            objects += 1;
        }
        Ok(objects)
    })?;
    record.metadata_by_index_ns_per_object =
        per_object(&nodes, |node| Ok(lister.query().by(by_node, node).metadata().len()))?;
    record.keys_by_index_ns_per_object = per_object(&nodes, |node| Ok(lister.keys_by(by_node, node).len()))?;
    record.namespace_ns_per_object = per_object(&namespaces, |namespace| Ok(lister.namespaced(namespace)?.len()))?;
    let some: BTreeSet<String> = apps.into_iter().take(10).collect();
    record.selector_ns_per_object = per_object(&some, |app| {
        let app = kube::core::Expression::Equal(APP.to_owned(), app.to_owned());
        Ok(lister.matching(&app.into())?.len())
    })?;
    Ok(())
}

/// The label that a selector asks for.
pub const APP: &str = "app.kubernetes.io/name";

/// Returns the nanoseconds that `read` takes for each.
///
/// # Errors
/// The first of `read`.
pub fn each<T>(of: &[T], mut read: impl FnMut(&T) -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    for one in of {
        read(one)?;
    }
    Ok(started.elapsed().as_nanos() as f64 / of.len().max(1) as f64)
}

/// Returns the nanoseconds that `query` takes for each object that it returns.
///
/// # Errors
/// The first of `query`.
pub fn per_object(values: &BTreeSet<String>, mut query: impl FnMut(&str) -> Result<usize>) -> Result<f64> {
    let (started, mut objects) = (Instant::now(), 0);
    for value in values.iter().take(QUERIES) {
        objects += query(value)?;
    }
    Ok(started.elapsed().as_nanos() as f64 / objects.max(1) as f64)
}

/// Reads one of a few objects with each call.
fn hot(lister: &Lister<Pod>, keys: &[ObjectKey]) -> impl FnMut() + Send + use<> {
    let (lister, keys) = (lister.clone(), keys.iter().take(HOT).cloned().collect::<Vec<_>>());
    let mut next = 0;
    move || {
        std::hint::black_box(lister.get(&keys[next % keys.len()]).is_ok());
        next += 1;
    }
}

/// Does nothing for a while.
///
/// # Errors
/// Never.
pub async fn rest() -> Result<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// Lets the watch expire and waits until the list that follows is in the cache.
async fn relist(client: &kubewright::Client, pods: &Informer<Pod>) -> Result<()> {
    let mut status = pods.status();
    let before = status.borrow_and_update().version.clone();
    connect::post(client, "/expire").await?;
    timeout(SYNC_LIMIT, status.wait_for(|status| status.version != before)).await??;
    Ok(())
}

/// What a reader felt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stall {
    /// The longest read.
    pub longest: Duration,
    /// The longest read, less what its thread was kept waiting for a processor.
    pub blocked: Duration,
}

/// Calls `read` without a pause, on a thread of its own, while `work` is done; tells how long that took.
///
/// # Errors
/// Those of `work`.
pub async fn watched(
    mut read: impl FnMut() + Send + 'static,
    work: impl Future<Output = Result<()>>,
) -> Result<(Duration, Stall)> {
    let stop = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&stop);
    let reader = tokio::task::spawn_blocking(move || {
        let mut stall = Stall::default();
        while !until.load(Relaxed) {
            let (waited, started) = (waited_for_processor(), Instant::now());
            read();
            let took = started.elapsed();
            stall.longest = stall.longest.max(took);
            stall.blocked = stall.blocked.max(took.saturating_sub(waited_for_processor().saturating_sub(waited)));
        }
        stall
    });
    let started = Instant::now();
    let outcome = work.await;
    let took = started.elapsed();
    stop.store(true, Relaxed);
    let stall = reader.await?;
    outcome.map(|()| (took, stall))
}

/// How long this thread was ready to run and did not, so far; zero where the kernel does not say.
fn waited_for_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().nth(1).and_then(|wait| wait.parse().ok()).unwrap_or(0))
}
