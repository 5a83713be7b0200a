//! What kube-rs code is told, and kube's own Controller on an informer.
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use futures_util::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::delta::{self, DeltaSender};
use crate::informer::factory::InformerFactory;
use crate::informer::factory::source::{Opened, Source};
use crate::reflector::{Delta, DeltaSink as _, ReflectorStatus, Target};
use crate::resource::ResourceVersion;
use crate::store::fixture::{ConfigMapFixture, config_map};

use super::*;

/// Hands on what the test sends.
struct Scripted(Mutex<Option<delta::DeltaReceiver>>);

impl Source for Scripted {
    fn open(&self, _: &Target, deltas: DeltaSender) -> Opened {
        let mut script = self.0.lock().unwrap().take().unwrap();
        let (status, receiver) = watch::channel(ReflectorStatus::default());
        let run = async move {
            let (mut batch, _status) = (Vec::new(), status);
            while script.next_batch(&mut batch).await {
                for (_, delta) in batch.drain(..) {
                    let _ = deltas.push(delta).await;
                }
            }
            std::future::pending().await
        };
        Opened { run: run.boxed(), status: receiver }
    }
}

struct Script {
    factory: InformerFactory,
    informer: Informer<ConfigMap>,
    deltas: DeltaSender,
}

impl Script {
    fn new() -> Self {
        let (deltas, receiver) = delta::channel();
        let factory = InformerFactory::with_source(Scripted(Mutex::new(Some(receiver))));
        let informer = factory.informer();
        Self { factory, informer, deltas }
    }

    async fn push(&self, deltas: impl IntoIterator<Item = Delta>) {
        for delta in deltas {
            self.deltas.push(delta).await.unwrap();
        }
    }

    async fn list(&self, version: &str, objects: &[ConfigMapFixture]) {
        self.push([Delta::ListStarted]).await;
        self.push(objects.iter().map(|object| Delta::Listed(object.raw()))).await;
        self.push([Delta::Replaced(ResourceVersion::new(version))]).await;
    }
}

fn applied(object: &ConfigMapFixture) -> Delta {
    Delta::Applied(object.raw())
}

fn deleted(object: &ConfigMapFixture) -> Delta {
    Delta::Deleted(object.raw())
}

/// An event in short.
fn short(event: Option<kube_watcher::Result<Event<ConfigMap>>>) -> String {
    let of = |object: &ConfigMap| {
        format!("{}@{}", object.metadata.name.as_deref().unwrap(), object.metadata.resource_version.as_deref().unwrap())
    };
    match event {
        None => "end".to_owned(),
        Some(Err(error)) => error.to_string(),
        Some(Ok(Event::Init)) => "init".to_owned(),
        Some(Ok(Event::InitApply(object))) => format!("listed {}", of(&object)),
        Some(Ok(Event::InitDone)) => "done".to_owned(),
        Some(Ok(Event::Apply(object))) => format!("applied {}", of(&object)),
        Some(Ok(Event::Delete(object))) => format!("deleted {}", of(&object)),
    }
}

async fn told(events: &mut (impl Stream<Item = kube_watcher::Result<Event<ConfigMap>>> + Unpin), expected: &[&str]) {
    for expected in expected {
        assert_eq!(short(events.next().await), *expected);
    }
}

#[tokio::test]
async fn an_informer_is_told_of_in_the_words_of_kube() {
    let script = Script::new();
    let mut events = Box::pin(watcher(&script.informer));
    script.factory.start();
    script.push([Delta::ListStarted, Delta::Listed(config_map("a/one").raw())]).await;
    told(&mut events, &["init", "listed one@1"]).await;
    // Deleted before the list is whole: a reader that took the list as a whole would keep it for ever.
    script.push([Delta::Listed(config_map("a/two").raw()), deleted(&config_map("a/one").version(2))]).await;
    script.push([Delta::Replaced(ResourceVersion::new("3"))]).await;
    told(&mut events, &["listed two@1", "done", "deleted one@2"]).await;
    script.push([applied(&config_map("a/two").version(4)), applied(&config_map("a/new").version(5))]).await;
    script
        .push([applied(&config_map("a/bad").version(6).undecodable()), deleted(&config_map("a/new").version(7))])
        .await;
    told(&mut events, &["applied two@4", "applied new@5"]).await;
    let bad = short(events.next().await);
    assert!(bad.contains("ConfigMap a/bad does not decode at `data.broken`"), "{bad}");
    told(&mut events, &["deleted new@7"]).await;
    script.list("9", &[config_map("a/other").version(8)]).await;
    // A missed deletion is one; nothing was told of what did not decode.
    told(&mut events, &["applied other@8", "deleted two@4"]).await;

    let mut late = Box::pin(watcher(&script.informer));
    told(&mut late, &["init", "listed other@8", "done"]).await;
    drop(late);
    script.factory.shutdown().await;
    told(&mut events, &["end", "end"]).await;
    told(&mut Box::pin(watcher(&script.informer)), &["init", "end"]).await;
}

#[tokio::test]
async fn an_object_that_no_longer_decodes_is_not_kept_by_readers() {
    let script = Script::new();
    let mut events = Box::pin(watcher(&script.informer));
    let (store, _registration) = store(&script.informer);
    script.factory.start();
    let one = |version| config_map("a/one").version(version);
    script.push([Delta::ListStarted, Delta::Listed(one(1).raw())]).await;
    told(&mut events, &["init", "listed one@1"]).await;
    script.push([applied(&one(2).undecodable()), Delta::Replaced(ResourceVersion::new("3"))]).await;
    let bad = short(events.next().await);
    assert!(bad.contains("ConfigMap a/one does not decode"), "{bad}");
    told(&mut events, &["done", "deleted one@1"]).await;
    script.push([applied(&one(4)), applied(&one(5).undecodable())]).await;
    told(&mut events, &["applied one@4", "deleted one@4"]).await;
    let bad = short(events.next().await);
    assert!(bad.contains("ConfigMap a/one does not decode"), "{bad}");
    script.push([deleted(&one(6).undecodable()), applied(&config_map("a/two").version(7))]).await;
    told(&mut events, &["applied two@7"]).await;
    while store.get(&reflector::ObjectRef::new("two").within("a")).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.state().len(), 1, "nothing is left of the other");
}

#[tokio::test]
async fn a_stream_keeps_its_informer_and_lets_it_go() {
    let Script { factory, informer, deltas } = Script::new();
    let mut events = Box::pin(watcher(&informer));
    drop(informer);
    factory.start();
    deltas.push(Delta::ListStarted).await.unwrap();
    deltas.push(Delta::Replaced(ResourceVersion::new("3"))).await.unwrap();
    told(&mut events, &["init", "done"]).await;
    drop(events);
    while !factory.status().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_kube_store_follows_the_informer() {
    let script = Script::new();
    let (store, registration) = store(&script.informer);
    script.factory.start();
    script.list("3", &[config_map("a/one"), config_map("a/two").undecodable()]).await;
    store.wait_until_ready().await.unwrap();
    registration.synced().await;
    let names = || store.state().iter().map(|object| object.metadata.name.clone().unwrap()).collect::<Vec<_>>();
    assert_eq!(names(), ["one"], "what does not decode is left out");
    script.push([applied(&config_map("a/three").version(4)), deleted(&config_map("a/one").version(5))]).await;
    while names() != ["three"] {
        tokio::task::yield_now().await;
    }
    assert!(store.get(&reflector::ObjectRef::new("three").within("a")).is_some());
    registration.remove().await;
}

#[tokio::test]
async fn kubes_applier_runs_on_an_informer() {
    use kube::runtime::controller::{Action, Config, applier, trigger_self};
    let script = Script::new();
    let (reader, writer) = reflector::store::<ConfigMap>();
    let objects = reflector::reflector(writer, watcher(&script.informer)).touched_objects();
    let (sender, mut reconciled) = tokio::sync::mpsc::unbounded_channel();
    let reconcile = move |object: Arc<ConfigMap>, _: Arc<()>| {
        let name = object.metadata.name.clone().unwrap();
        let version = object.metadata.resource_version.clone().unwrap();
        let _ = sender.send(format!("{name}@{version}"));
        std::future::ready(Ok::<_, Infallible>(Action::await_change()))
    };
    let policy = |_: Arc<ConfigMap>, _: &Infallible, _: Arc<()>| Action::await_change();
    let queue = trigger_self(objects, ()).boxed();
    let controller = applier(reconcile, policy, Arc::new(()), reader, queue, Config::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(controller.for_each(|_| async {}));
    script.factory.start();
    script.list("3", &[config_map("a/one")]).await;
    assert_eq!(reconciled.recv().await.unwrap(), "one@1");
    script.push([applied(&config_map("a/one").version(4))]).await;
    assert_eq!(reconciled.recv().await.unwrap(), "one@4");
    script.push([applied(&config_map("a/two").version(5))]).await;
    assert_eq!(reconciled.recv().await.unwrap(), "two@5");
}
