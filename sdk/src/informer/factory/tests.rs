//! Sharing, start, waiting and stop, against scripted sources; and once through the real reflector.
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, StreamExt};
use http_body::Frame;
use http_body_util::StreamBody;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::core::PartialObjectMeta;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::declare::{Declaration, Primary};
use crate::delta::DeltaSender;
use crate::informer::declared::DeclaredInformer;
use crate::reflector::{Delta, DeltaSink as _, Failure, FailureReason, ReflectorStatus};
use crate::resource::ResourceVersion;
use crate::store::Budget;
use crate::store::fixture::{config_map, key};
use crate::wire::ManagedFields;

use super::source::Opened;
use super::*;

mod lifetime;

mod namespaces;

mod presence;

mod transforms;

/// Hands the ends of each stream that the factory opens to the test.
struct Scripted {
    opened: mpsc::UnboundedSender<Stream>,
    running: Arc<AtomicUsize>,
}

/// What the test holds of one stream.
struct Stream {
    target: Target,
    deltas: DeltaSender,
    reflector: watch::Sender<ReflectorStatus>,
}

impl Source for Scripted {
    fn open(&self, target: &Target, deltas: DeltaSender) -> Opened {
        let (reflector, status) = watch::channel(ReflectorStatus::default());
        let _ = self.opened.send(Stream { target: target.clone(), deltas, reflector });
        let running = Running::new(&self.running);
        let run = Box::pin(async move {
            let _running = running;
            std::future::pending().await
        });
        Opened { run, status }
    }
}

/// Counts streams that have not been dropped.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Setup {
    factory: InformerFactory,
    opened: mpsc::UnboundedReceiver<Stream>,
    running: Arc<AtomicUsize>,
}

fn setup() -> Setup {
    let (sender, opened) = mpsc::unbounded_channel();
    let running = Arc::new(AtomicUsize::new(0));
    let factory = InformerFactory::with_source(Scripted { opened: sender, running: Arc::clone(&running) });
    Setup { factory, opened, running }
}

impl Setup {
    fn streams(&mut self) -> Vec<Stream> {
        std::iter::from_fn(|| self.opened.try_recv().ok()).collect()
    }
}

impl Stream {
    async fn sync(&self, version: &str) {
        self.deltas.push(Delta::ListStarted).await.unwrap();
        self.deltas.push(Delta::Replaced(ResourceVersion::new(version))).await.unwrap();
    }

    fn fail(&self, message: &str) {
        let failure = Failure {
            reason: FailureReason::Forbidden,
            message: message.to_owned(),
            attempts: 1,
            retry_in: Duration::from_secs(1),
        };
        self.reflector.send_modify(|status| status.failure = Some(Arc::new(failure)));
    }
}

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn one_informer_and_one_watch_for_each_target_however_many_ask() {
    let mut setup = setup();
    let clone = setup.factory.clone();
    let first = setup.factory.informer::<ConfigMap>();
    let same = [
        clone.informer::<ConfigMap>(),
        clone.narrowed(&Narrow::default().labels("").fields("").namespace("")),
        setup.factory.clone().in_namespace("").informer(),
    ];
    assert!(same.iter().all(|informer| Arc::ptr_eq(informer.shared(), first.shared())));
    let metadata = clone.informer::<PartialObjectMeta<ConfigMap>>();
    assert!(Arc::ptr_eq(metadata.shared(), first.shared()), "two typed views of one target share its informer");
    let others = [
        clone.narrowed::<ConfigMap>(&Narrow::default().labels("app=web")),
        clone.narrowed(&Narrow::default().fields("metadata.name=a")),
        clone.narrowed(&Narrow::default().namespace("a")),
        clone.narrowed(&Narrow::default().metadata()),
    ];
    setup.factory.start();
    let streams = setup.streams();
    assert_eq!(streams.len(), 1 + others.len());
    assert_eq!(clone.status().len(), streams.len());
    let object = config_map("a/one").data("k", "v").raw();
    streams[0].deltas.push(Delta::Applied(object)).await.unwrap();
    streams[0].sync("1").await;
    first.shared().status().wait_for(|status| status.synced).await.unwrap();
    assert!(first.lister().get(&key("a/one")).unwrap().is_none(), "it was not in the list");
    streams[0].deltas.push(Delta::Applied(config_map("a/one").version(2).data("k", "v").raw())).await.unwrap();
    first.shared().status().wait_for(|status| status.version.as_str() == "2").await.unwrap();
    assert_eq!(first.lister().get(&key("a/one")).unwrap().unwrap().data.as_ref().unwrap()["k"], "v");
    assert_eq!(metadata.lister().get(&key("a/one")).unwrap().unwrap().metadata.name.as_deref(), Some("one"));
}

#[tokio::test]
async fn the_smallest_budget_of_all_callers_counts_and_the_last_may_be_it() {
    let mut setup = setup();
    let with = |budget| InformerOptions::default().budget(budget);
    let informer = setup.factory.informer::<ConfigMap>();
    let others = [Budget::Bytes(1 << 30), Budget::Bytes(1 << 40), Budget::Unlimited];
    let same = others.map(|budget| setup.factory.informer_with::<ConfigMap>(with(budget)));
    assert!(same.iter().all(|same| Arc::ptr_eq(same.shared(), informer.shared())), "a budget makes no other informer");
    setup.factory.start();
    let stream = setup.streams().remove(0);
    stream.deltas.push(Delta::Applied(config_map("a/one").data("k", "v").raw())).await.unwrap();
    stream.sync("1").await;
    let mut status = informer.status();
    assert!(!status.wait_for(|status| status.synced).await.unwrap().over_budget);
    let small = setup.factory.informer_with::<ConfigMap>(with(Budget::Bytes(1)));
    status.wait_for(|status| status.over_budget).await.unwrap();
    let large = setup.factory.informer_with::<ConfigMap>(with(Budget::Bytes(1 << 40)));
    stream.deltas.push(Delta::Bookmark(ResourceVersion::new("2"))).await.unwrap();
    assert!(status.wait_for(|status| status.version.as_str() == "2").await.unwrap().over_budget, "nobody can raise it");
    assert!([small, large, informer].iter().all(|informer| informer.lister().memory_usage().over_budget));
}

#[test]
fn a_namespace_limits_namespaced_kinds_and_the_narrower_relation_wins() {
    let setup = setup();
    let limited = setup.factory.clone().in_namespace("web");
    let namespace = |informer: &SharedInformer| informer.target().namespace.clone();
    assert_eq!(namespace(limited.informer::<Pod>().shared()).as_deref(), Some("web"));
    assert_eq!(namespace(setup.factory.informer::<Pod>().shared()), None);
    assert_eq!(namespace(limited.informer::<Namespace>().shared()), None);
    let own = Narrow::default().namespace("db");
    assert_eq!(namespace(limited.narrowed::<Pod>(&own).shared()).as_deref(), Some("db"));
    let cluster = limited.narrowed::<Namespace>(&own);
    assert!(Arc::ptr_eq(cluster.shared(), limited.informer::<Namespace>().shared()));
    let equal = limited.narrowed::<Pod>(&Narrow::default().namespace("web"));
    assert!(Arc::ptr_eq(equal.shared(), limited.informer::<Pod>().shared()));
}

#[tokio::test]
async fn i13_start_is_idempotent_and_starts_later_informers_when_called_again() {
    let mut setup = setup();
    let _pods = setup.factory.informer::<Pod>();
    setup.factory.start();
    setup.factory.clone().start();
    assert_eq!(setup.streams().len(), 1);
    let _namespaces = setup.factory.informer::<Namespace>();
    assert_eq!(setup.streams().len(), 0, "not before the next start");
    setup.factory.start();
    let kinds: Vec<_> = setup.streams().into_iter().map(|stream| stream.target.resource.kind).collect();
    assert_eq!(kinds, ["Namespace"]);
}

#[tokio::test(start_paused = true)]
async fn i15_waiting_ends_the_moment_the_last_one_has_synced() {
    let mut setup = setup();
    let _informers = (setup.factory.informer::<Pod>(), setup.factory.informer::<Namespace>());
    let began = clock::now();
    setup.factory.wait_for_cache_sync(LIMIT).await.expect("nothing was started, nothing is waited for");
    setup.factory.start();
    let streams = setup.streams();
    let waits = setup.factory.wait_for_cache_sync(LIMIT);
    let syncs = async {
        for stream in &streams {
            stream.sync("1").await;
        }
    };
    let (waited, ()) = tokio::join!(waits, syncs);
    waited.unwrap();
    assert_eq!(clock::now(), began, "no time has passed: nothing polls");
}

#[tokio::test(start_paused = true)]
async fn i15_waiting_names_each_late_kind_and_why() {
    let mut setup = setup();
    let _informers =
        (setup.factory.informer::<Pod>(), setup.factory.informer::<Namespace>(), setup.factory.informer::<ConfigMap>());
    setup.factory.start();
    let streams = setup.streams();
    streams[0].fail("the role does not allow it");
    streams[1].sync("1").await;
    let error = setup.factory.wait_for_cache_sync(LIMIT).await.unwrap_err();
    assert_eq!(error.late, ["pods/v1: the role does not allow it", "configmaps/v1: no whole list within 30s"]);
    assert_eq!(error.to_string(), "pods/v1: the role does not allow it; configmaps/v1: no whole list within 30s");
    let synced: Vec<_> = setup.factory.status().into_iter().map(|(_, status)| status.synced).collect();
    assert_eq!(synced, [false, true, false]);
}

#[tokio::test]
async fn i12_shutdown_waits_for_every_task_and_nothing_starts_after_it() {
    let mut setup = setup();
    let informer = setup.factory.informer::<ConfigMap>();
    let (dropped, mut handler) = mpsc::unbounded_channel::<()>();
    let _registration = informer.shared().add_inline_handler(Box::new(move |_| _ = dropped.send(())));
    setup.factory.start();
    let waiting = setup.factory.clone();
    let (waited, ()) = tokio::join!(waiting.wait_for_cache_sync(LIMIT), setup.factory.shutdown());
    assert_eq!(waited.unwrap_err().late, ["configmaps/v1: the informers were shut down"]);
    assert_eq!(setup.running.load(Ordering::Relaxed), 0);
    assert_eq!(handler.recv().await, None, "handlers are dropped");
    assert!(setup.streams()[0].deltas.push(Delta::ListStarted).await.is_err(), "the store takes no more");
    setup.factory.informer::<Pod>();
    setup.factory.start();
    assert_eq!(setup.streams().len(), 0);
}

#[tokio::test]
async fn dropping_the_last_clone_stops_everything() {
    let mut setup = setup();
    let informer = setup.factory.informer::<ConfigMap>();
    setup.factory.start();
    let stream = setup.streams().remove(0);
    let clone = setup.factory.clone();
    drop(setup.factory);
    stream.sync("1").await;
    informer.shared().status().wait_for(|status| status.synced).await.unwrap();
    drop(clone);
    while stream.deltas.push(Delta::Bookmark(ResourceVersion::default())).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(setup.running.load(Ordering::Relaxed), 0);
    assert!(informer.lister().is_empty(), "what was read can still be read");
}

#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Website", namespaced)]
struct WebsiteSpec {
    host: String,
}

impl Primary for Website {
    fn declaration() -> Declaration<Self> {
        Declaration::new("website", Self::crd).index("by_host", |site, out| {
            PROJECTED.fetch_add(1, Ordering::Relaxed);
            out(&site.spec.host);
        })
    }
}

static PROJECTED: AtomicUsize = AtomicUsize::new(0);

#[tokio::test]
async fn declared_indexes_are_added_once() {
    let mut setup = setup();
    let first = DeclaredInformer::<Website>::new(&setup.factory);
    let second = DeclaredInformer::<Website>::new(&setup.factory.clone());
    setup.factory.start();
    let stream = setup.streams().remove(0);
    let site = serde_json::json!({
        "metadata": { "namespace": "a", "name": "one", "uid": "u", "resourceVersion": "1" },
        "spec": { "host": "example.org" },
    });
    let object = crate::wire::RawObject::parse(site.to_string().as_bytes()).unwrap();
    stream.deltas.push(Delta::ListStarted).await.unwrap();
    stream.deltas.push(Delta::Listed(Arc::new(object))).await.unwrap();
    stream.deltas.push(Delta::Replaced(ResourceVersion::new("1"))).await.unwrap();
    setup.factory.wait_for_cache_sync(LIMIT).await.unwrap();
    assert_eq!(PROJECTED.load(Ordering::Relaxed), 1);
    for lister in [first.declared_lister(), second.declared_lister()] {
        assert_eq!(lister.by_slot(0, "example.org").unwrap()[0].spec.host, "example.org");
        assert!(lister.by_slot(0, "example.com").unwrap().is_empty());
        assert_eq!(lister.len(), 1);
    }
}

/// A kube client that answers every request with a streamed list of `lines`, which stays open.
fn server(lines: &'static [&'static str]) -> kube::Client {
    let answer = move |_request: http::Request<kube::client::Body>| async move {
        let lines = lines.iter().map(|line| format!("{line}\n"));
        let frames = lines.map(|line| Ok::<_, std::convert::Infallible>(Frame::data(bytes::Bytes::from(line))));
        let body = StreamBody::new(stream::iter(frames.collect::<Vec<_>>()).chain(stream::pending()));
        Ok::<_, std::convert::Infallible>(http::Response::new(body))
    };
    kube::Client::new(tower::service_fn(answer), "default")
}

#[tokio::test(start_paused = true)]
async fn managed_fields_are_kept_by_informers_that_ask_for_them_and_by_no_others() {
    let client = server(&[
        r#"{"type":"ADDED","object":{"metadata":{"namespace":"a","name":"one","uid":"u","resourceVersion":"4","managedFields":[{"manager":"kubectl"}]},"data":{"k":"v"}}}"#,
        r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
    ]);
    let factory = InformerFactory::new(Client::new(client));
    let keep = || InformerOptions::default().managed_fields(ManagedFields::Keep);
    let copies = Transform::new(|object| object["data"]["copied"] = "yes".into());
    let informers = [
        factory.informer::<ConfigMap>(),
        factory.informer_with(keep()),
        factory.informer_with(keep().metadata()),
        factory.informer_with(keep().transform(copies)),
    ];
    let names = informers.each_ref().map(|informer| informer.shared().target().to_string());
    assert_eq!(names[..2], ["configmaps/v1", "configmaps/v1 (managed fields kept)"]);
    assert_eq!(names[2], "configmaps/v1 (metadata only, managed fields kept)");
    factory.start();
    factory.wait_for_cache_sync(LIMIT).await.unwrap();
    let managers = informers.each_ref().map(|informer| {
        let object = informer.lister().get(&key("a/one")).unwrap().unwrap();
        object.metadata.managed_fields.as_ref().map_or(0, Vec::len)
    });
    assert_eq!(managers, [0, 1, 1, 1]);
    factory.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_real_reflector_fills_an_informer() {
    let client = server(&[
        r#"{"type":"ADDED","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"a","name":"one","uid":"u","resourceVersion":"4","managedFields":[{}]},"data":{"k":"v"}}}"#,
        r#"{"type":"BOOKMARK","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
        r#"{"type":"MODIFIED","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"a","name":"one","uid":"u","resourceVersion":"8"},"data":{"k":"w"}}}"#,
    ]);
    let factory = InformerFactory::new(Client::new(client));
    let informer = factory.informer::<ConfigMap>();
    let by_data = informer.add_index(|object: &ConfigMap| object.data.clone().unwrap_or_default().into_values());
    factory.start();
    factory.wait_for_cache_sync(LIMIT).await.unwrap();
    informer.shared().status().wait_for(|status| status.version.as_str() == "8").await.unwrap();
    let lister = informer.lister();
    assert_eq!(lister.get(&key("a/one")).unwrap().unwrap().data.as_ref().unwrap()["k"], "w");
    assert_eq!((lister.keys_by(&by_data, "v").len(), lister.keys_by(&by_data, "w").len()), (0, 1));
    let mut snapshot = Snapshot::default();
    factory.collect(&mut snapshot);
    let text = snapshot.text();
    for series in [
        "kubewright_cache_objects{kind=\"configmaps/v1\"} 1",
        "kubewright_reflector_synced{kind=\"configmaps/v1\"} 1",
        "kubewright_informer_merged_events_total{kind=\"configmaps/v1\"} 0",
    ] {
        assert!(text.lines().any(|line| line == series), "{series} in\n{text}");
    }
    let memory: f64 = text
        .lines()
        .filter_map(|line| line.strip_prefix("kubewright_cache_bytes{").and_then(|rest| rest.rsplit_once(' ')))
        .map(|(_, bytes)| bytes.parse::<f64>().unwrap())
        .sum();
    assert_eq!(memory, lister.memory_usage().total() as f64);
    let reflectors = factory.reflectors();
    assert_eq!((reflectors.len(), reflectors[0].1.counts.events), (1, 2));
    factory.shutdown().await;
}
