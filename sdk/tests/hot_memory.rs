//! What a cache says of its decoded objects, against what the allocator of the process says: several forms of two kinds,
//! and nothing else in the process.
#![allow(missing_docs)]
use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{self, BoxFuture, FutureExt};
use futures_util::stream;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kubewright::client::{self, Chunks};
use kubewright::informer::options::InformerOptions;
use kubewright::reflector::{InitialEvents, ListOptions, ListerWatcher, WatchOptions};
use kubewright::store::Storage;
use kubewright::store::lister::Lister;
use kubewright::{InformerFactory, Kind};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const OBJECTS: u64 = 600;

/// Lists objects that are made as they are sent, and never changes.
struct Many(fn(u64) -> String);

impl ListerWatcher for Many {
    fn list(&self, _: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        let items: Vec<String> = (0..OBJECTS).map(self.0).collect();
        let list = format!(r#"{{"metadata":{{"resourceVersion":"9"}},"items":[{}]}}"#, items.join(","));
        future::ready(Ok(stream::once(future::ready(Ok(Bytes::from(list)))).boxed())).boxed()
    }

    fn watch(&self, options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        future::ready(match options.initial_events {
            InitialEvents::Send => Err(client::Error::not_implemented()),
            InitialEvents::Skip => Ok(stream::pending().boxed()),
        })
        .boxed()
    }
}

fn metadata(number: u64) -> String {
    let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        r#"{{"namespace":"team-{}","name":"web-{number}-{noise:x}","uid":"{noise:016x}","resourceVersion":"{number}","creationTimestamp":"2026-01-02T03:04:05Z","labels":{{"app":"web-{}","pod-template-hash":"{:x}","tier":"front"}}}}"#,
        number % 40,
        number % 100,
        noise >> 32,
    )
}

/// A pod of one to three containers, as they mostly look.
fn pod(number: u64) -> String {
    let container = |container: u64| {
        let variables: Vec<String> = (0..number % 7)
            .map(|variable| format!(r#"{{"name":"SETTING_{variable}","value":"https://{number}.example.com"}}"#))
            .collect();
        format!(
            r#"{{"name":"c-{container}","image":"registry.example.com/team/web:{number}","ports":[{{"containerPort":8080,"protocol":"TCP"}}],"env":[{}],"resources":{{"limits":{{"cpu":"500m","memory":"256Mi"}},"requests":{{"cpu":"250m"}}}},"volumeMounts":[{{"name":"data","mountPath":"/var/data"}}],"readinessProbe":{{"httpGet":{{"path":"/ready","port":8080}},"periodSeconds":10}},"imagePullPolicy":"IfNotPresent"}}"#,
            variables.join(",")
        )
    };
    let containers: Vec<String> = (0..=number % 3).map(container).collect();
    format!(
        r#"{{"metadata":{},"spec":{{"nodeName":"node-{}","serviceAccountName":"web","containers":[{}],"volumes":[{{"name":"data","emptyDir":{{}}}}],"tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}]}},"status":{{"phase":"Running","podIP":"10.1.2.{}","conditions":[{{"type":"Ready","status":"True","lastTransitionTime":"2026-01-02T03:04:05Z"}},{{"type":"Initialized","status":"True"}}]}}}}"#,
        metadata(number),
        number % 30,
        containers.join(","),
        number % 250,
    )
}

/// One text of some hundred bytes, or of some thousand.
fn config_map(number: u64) -> String {
    let text = format!("upstream address=10.0.0.{number} weight=7 timeout=30s ").repeat(number as usize % 80);
    format!(r#"{{"metadata":{},"data":{{"config":"{text}"}}}}"#, metadata(number))
}

/// Reads all objects as `read` does, and tells what that takes and what the cache says of it, an object.
async fn check<K: Kind, T: Any + Send + Sync>(object: fn(u64) -> String, read: fn(&Lister<K>) -> Lister<T>) {
    let factory = InformerFactory::from_lister_watchers(move |_| Many(object));
    let informer = factory.informer_with::<K>(InformerOptions::default().storage(Storage::Decoded));
    factory.start();
    factory.wait_for_cache_sync(Duration::from_secs(60)).await.unwrap();
    let typed = informer.lister();
    let lister = read(&typed);
    let keys = lister.keys();
    let before = HEAP.current_usage();
    for key in &keys {
        lister.get(key).unwrap().unwrap();
    }
    let (taken, told) = (HEAP.current_usage() - before, lister.memory_usage().hot);
    let form = std::any::type_name::<T>();
    println!("{form}: {} bytes of {} an object", told / keys.len(), taken / keys.len());
    // An allocator takes more than it is asked for: up to 31 bytes more for each text.
    assert!(told > taken * 19 / 20 && told < taken * 27 / 20, "{form}: {told} bytes told of {taken}");
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_decoded_objects_is_what_they_take_in_whatever_form() {
    check::<Pod, _>(pod, Lister::clone).await;
    check::<Pod, _>(pod, Lister::partial).await;
    check::<Pod, _>(pod, Lister::dynamic).await;
    check::<Pod, _>(pod, Lister::json).await;
    check::<ConfigMap, _>(config_map, Lister::clone).await;
    check::<ConfigMap, _>(config_map, Lister::json).await;
}
