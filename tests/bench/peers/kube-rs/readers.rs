//! Reads of kube-rs's reflector store, and what they feel while it is filled again. It has no indexes: a query is a scan.
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bench::connect;
use bench::readers::{APP, HOT, READS, Record, each, per_object, rest, watched};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _};
use kube_runtime::WatchStreamExt as _;
use kube_runtime::reflector::{self, ObjectRef, Store};
use kube_runtime::watcher::{self, Event, watcher};
use tokio::time::timeout;

/// Runs it over every pod.
pub(crate) async fn run(client: Client) -> bench::Result<Record> {
    let own = kubewright::Client::new(client.clone());
    let (reader, writer) = reflector::store::<Pod>();
    let mut stream = pin!(watcher(Api::<Pod>::all(client), watcher::Config::default()).reflect(writer));
    while !matches!(stream.next().await.ok_or("the watch has ended")??, Event::InitDone) {}
    tokio::time::sleep(bench::informer::SETTLE).await;
    let pods = reader.state();
    let keys: Vec<ObjectRef<Pod>> = pods.iter().take(HOT).map(|pod| ObjectRef::from_obj(&**pod)).collect();
    let mut record = Record { objects: pods.len(), ..Record::default() };
    let hot: Vec<&ObjectRef<Pod>> = keys.iter().cycle().take(READS * 10).collect();
    record.get_hot_ns = each(&hot, |key| {
        std::hint::black_box(reader.get(key));
        Ok(())
    })?;
    queries(&reader, &pods, &mut record)?;
    drop(pods);
    let hot = |reader: &Store<Pod>| {
        let (reader, keys, mut next) = (reader.clone(), keys.clone(), 0);
        move || {
            std::hint::black_box(reader.get(&keys[next % keys.len()]));
            next += 1;
        }
    };
    record.idle_stall_seconds = watched(hot(&reader), rest()).await?.1.longest.as_secs_f64();
    // A watch that nobody polls is not open yet, and would not be told.
    let _ = timeout(Duration::from_secs(1), stream.next()).await;
    let relist = async {
        connect::post(&own, "/expire").await?;
        // Says that the version is gone, then what exists.
        while !matches!(stream.next().await.ok_or("the watch has ended")?, Ok(Event::InitDone)) {}
        Ok(())
    };
    let (took, stall) = watched(hot(&reader), relist).await?;
    record.relist_seconds = took.as_secs_f64();
    record.stall_seconds = stall.longest.as_secs_f64();
    record.blocked_seconds = stall.blocked.as_secs_f64();
    Ok(record)
}

fn queries(reader: &Store<Pod>, pods: &[Arc<Pod>], record: &mut Record) -> bench::Result<()> {
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let scan = |wanted: &dyn Fn(&Pod) -> bool| {
        let found: Vec<Arc<Pod>> = reader.state().into_iter().filter(|pod| wanted(pod)).collect();
        Ok(std::hint::black_box(found).len())
    };
    let some = |values: BTreeSet<String>| values.into_iter().take(10).collect::<BTreeSet<_>>();
    let nodes = some(pods.iter().filter_map(|pod| node(pod)).collect());
    let namespaces = some(pods.iter().filter_map(|pod| pod.namespace()).collect());
    let apps = some(pods.iter().filter_map(|pod| pod.labels().get(APP).cloned()).collect());
    record.by_index_ns_per_object = per_object(&nodes, |value| scan(&|pod| node(pod).as_deref() == Some(value)))?;
    record.namespace_ns_per_object =
        per_object(&namespaces, |value| scan(&|pod| pod.metadata.namespace.as_deref() == Some(value)))?;
    record.selector_ns_per_object =
        per_object(&apps, |value| scan(&|pod| pod.labels().get(APP).is_some_and(|app| app == value)))?;
    Ok(())
}
