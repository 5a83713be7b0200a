//! kube-rs beside us: its watcher with its reflector store, and its Controller, measured and reported like ours.
//!
//! - `bench-kube-rs informer URL|KUBECONFIG pods|widgets stream|list EVENTS`
//! - `bench-kube-rs readers URL`
//! - `bench-kube-rs reconcile URL EVENTS WORKERS`
mod controller;

mod readers;

use std::fmt::Debug;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use bench::cli::print;
use bench::informer::{QUIET, Record, SETTLE};
use bench::process::{Memory, cpu_seconds};
use bench::widget::Widget;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use kube_runtime::WatchStreamExt as _;
use kube_runtime::reflector;
use kube_runtime::watcher::{self, Event, InitialListStrategy, watcher};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The runtime on which it is fastest.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-kube-rs: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[&str]) -> bench::Result<()> {
    match *arguments {
        ["informer", server, kind, strategy, events] => {
            print(&informer(connect(server).await?, kind, strategy, events.parse()?).await?)
        }
        ["readers", server] => print(&readers::run(connect(server).await?).await?),
        ["reconcile", server, events, workers] => {
            print(&controller::run(connect(server).await?, events.parse()?, workers.parse()?).await?)
        }
        _ => Err(format!("what is {arguments:?}? See the head of peers/kube-rs/main.rs").into()),
    }
}

/// Connects to a server of prepared objects by its URL, or to a cluster by the path of its kubeconfig.
async fn connect(server: &str) -> bench::Result<Client> {
    let config = if server.contains("://") {
        Config::new(server.parse()?)
    } else {
        Config::from_custom_kubeconfig(Kubeconfig::read_from(server)?, &KubeConfigOptions::default()).await?
    };
    Ok(Client::try_from(config)?)
}

async fn informer(client: Client, kind: &str, strategy: &str, events: usize) -> bench::Result<Record> {
    let strategy = match strategy {
        "stream" => InitialListStrategy::StreamingList,
        "list" => InitialListStrategy::ListWatch,
        other => return Err(format!("{other} is neither stream nor list").into()),
    };
    match kind {
        "pods" => reflect::<Pod>(client, strategy, events).await,
        "widgets" => reflect::<Widget>(client, strategy, events).await,
        other => Err(format!("{other} are neither pods nor widgets").into()),
    }
}

/// Syncs, waits for the cache to rest, then counts events.
async fn reflect<K>(client: Client, strategy: InitialListStrategy, events: usize) -> bench::Result<Record>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let trigger = kubewright::Client::new(client.clone());
    let config = watcher::Config { initial_list_strategy: strategy, ..watcher::Config::default() };
    let (empty, idle) = (Memory::now(), cpu_seconds(std::process::id()));
    let (reader, writer) = reflector::store::<K>();
    let started = Instant::now();
    let mut stream = pin!(watcher(Api::<K>::all(client), config).reflect(writer));
    while !matches!(next(&mut stream).await?, Event::InitDone) {}
    let sync_seconds = started.elapsed().as_secs_f64();
    let synced = Memory::now().over(empty);
    // Opens the watch as well, which would miss events until it is polled.
    let _ = timeout(SETTLE, next(&mut stream)).await;
    let mut record = Record {
        objects: reader.len(),
        sync_seconds,
        cpu_seconds: cpu_seconds(std::process::id()) - idle,
        rss_bytes_after_sync: synced.resident,
        rss_bytes_peak: synced.peak,
        rss_bytes_settled: Memory::now().over(empty).resident,
        ..Record::default()
    };
    if events > 0 {
        let started = Instant::now();
        bench::connect::trigger(&trigger, events).await?;
        let mut last = started;
        while record.events_delivered < events {
            let Ok(event) = timeout(QUIET, next(&mut stream)).await else { break };
            if let Event::Apply(object) = event? {
                std::hint::black_box(&object);
                record.events_delivered += 1;
                last = Instant::now();
            }
        }
        record.events_per_second =
            record.events_delivered as f64 / (last - started).max(Duration::from_nanos(1)).as_secs_f64();
    }
    let end = Memory::now().over(empty);
    (record.rss_bytes_after_events, record.rss_bytes_peak_of_all) = (end.resident, end.peak);
    std::hint::black_box(reader.len());
    Ok(record)
}

async fn next<K>(stream: &mut (impl Stream<Item = watcher::Result<Event<K>>> + Unpin)) -> bench::Result<Event<K>> {
    Ok(stream.next().await.ok_or("the watch has ended")??)
}
