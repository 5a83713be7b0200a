//! A reconciler on real caches and an API server in memory, from key to request.
use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::apply::tests::{Api, client};
use crate::declare::{Declaration, Narrow, OwnedBy};
use crate::delta::DeltaSender;
use crate::informer::factory::InformerFactory;
use crate::informer::factory::source::{Opened, Source};
use crate::reconcile::Cleanup;
use crate::reconcile::error::Class;
use crate::reflector::{Delta, DeltaSink as _, ReflectorStatus, Target};
use crate::resource::ResourceVersion;
use crate::wire::RawObject;

mod own_writes;

#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "test.kubewright.dev", version = "v1", kind = "Site", namespaced, status = "SiteStatus")]
struct SiteSpec {
    text: String,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
struct SiteStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

impl Primary for Site {
    fn declaration() -> Declaration<Self> {
        Declaration::new("site", Site::crd).status().finalizer("test/ours").owns::<ConfigMap>(Narrow::default())
    }
}

impl OwnedBy<Site> for ConfigMap {}

#[derive(Default)]
struct Sites {
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Reconciler<Site> for Sites {
    async fn reconcile(&self, site: Arc<Site>, cx: Context<Site>) -> Result<Action> {
        self.calls.lock().unwrap().push("reconcile");
        let metadata = json!({"name": "child", "labels": {"tier": "back"}});
        let child = json!({"metadata": metadata, "data": {"text": site.spec.text}});
        let child = cx.apply(serde_json::from_value::<ConfigMap>(child)?).await?;
        assert_eq!(child.data.as_ref().unwrap()["text"], site.spec.text);
        let ready = cx.owned::<ConfigMap>(0).owned().iter().all(|child| child.data.is_some());
        cx.set_condition("Ready", ready, "Done", "all is well").await?;
        Ok(Action::await_change())
    }

    async fn cleanup(&self, _: Arc<Site>, _: Context<Site>) -> Result<Cleanup> {
        self.calls.lock().unwrap().push("cleanup");
        Ok(Cleanup::done())
    }

    fn forget(&self, _: &ObjectKey) {
        self.calls.lock().unwrap().push("forget");
    }
}

/// Lists the objects of `api` anew whenever it is told to.
pub(crate) struct Relist {
    pub(crate) api: Arc<Mutex<Api>>,
    pub(crate) tick: watch::Receiver<u64>,
}

impl Source for Relist {
    fn open(&self, target: &Target, deltas: DeltaSender) -> Opened {
        let (api, mut tick, plural) =
            (Arc::clone(&self.api), self.tick.clone(), format!("/{}/", target.resource.plural));
        let labels = target.labels.clone();
        let (status, receiver) = watch::channel(ReflectorStatus::default());
        let run = async move {
            loop {
                let (objects, version) = {
                    let api = api.lock().unwrap();
                    let selected = |object: &Value| {
                        let label = labels.as_deref().and_then(|labels| labels.split_once('='));
                        label.is_none_or(|(key, value)| object["metadata"]["labels"][key] == value)
                    };
                    let mine = api.objects.iter().filter(|(path, _)| path.contains(&plural));
                    let mine = mine.filter(|(_, object)| selected(object));
                    (mine.map(|(_, object)| object.to_string()).collect::<Vec<_>>(), api.version.to_string())
                };
                deltas.push(Delta::ListStarted).await.unwrap();
                for object in objects {
                    deltas.push(Delta::Listed(Arc::new(RawObject::parse(object.as_bytes()).unwrap()))).await.unwrap();
                }
                while api.lock().unwrap().hold_lists {
                    tick.changed().await.unwrap();
                }
                deltas.push(Delta::Replaced(ResourceVersion::new(&version))).await.unwrap();
                status.send_modify(|status| status.synced = true);
                tick.changed().await.unwrap();
            }
        };
        Opened { run: Box::pin(run), status: receiver }
    }
}

struct World {
    api: Arc<Mutex<Api>>,
    informers: InformerFactory,
    tick: watch::Sender<u64>,
    run: ReconcileFn,
    calls: Arc<Mutex<Vec<&'static str>>>,
    shared: Arc<Shared<Site>>,
}

const SITE: &str = "/apis/test.kubewright.dev/v1/namespaces/web/sites/a";
const CHILD: &str = "/api/v1/namespaces/web/configmaps/child";

impl World {
    async fn new() -> Self {
        let api = Arc::new(Mutex::new(Api { version: 1, ..Api::default() }));
        Self::of(Site::declaration(), api).await
    }

    async fn of(declaration: Declaration<Site>, api: Arc<Mutex<Api>>) -> Self {
        let (tick, ticks) = watch::channel(0);
        let informers = InformerFactory::with_source(Relist { api: Arc::clone(&api), tick: ticks });
        let shared = Arc::new(Shared::new(declaration, client(&api), &informers));
        let sites = Sites::default();
        let calls = Arc::clone(&sites.calls);
        let run = dispatch(Arc::clone(&shared), sites);
        informers.start();
        informers.wait_for_cache_sync(Duration::from_secs(5)).await.unwrap();
        Self { api, informers, tick, run, calls, shared }
    }

    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut api = self.api.lock().unwrap();
        let fresh = json!({"apiVersion": "test.kubewright.dev/v1", "kind": "Site",
            "metadata": {"name": "a", "namespace": "web", "uid": "u", "generation": 1}, "spec": {"text": "x"}});
        let mut site = api.objects.get(SITE).cloned().unwrap_or(fresh);
        change(&mut site);
        api.store(SITE, site);
    }

    /// Lets the caches catch up with the API server.
    async fn catch_up(&self) {
        self.api.lock().unwrap().version += 1;
        let version = ResourceVersion::new(&self.api.lock().unwrap().version.to_string());
        self.tick.send_modify(|tick| *tick += 1);
        while self.informers.status().iter().any(|(_, status)| status.version != version) {
            tokio::task::yield_now().await;
        }
    }

    /// Reconciles and returns what was called and what was sent.
    async fn run(&self) -> (Vec<&'static str>, Vec<String>) {
        let _ = (self.run)(ObjectKey::namespaced("web", "a")).await.unwrap();
        (std::mem::take(&mut *self.calls.lock().unwrap()), std::mem::take(&mut self.api.lock().unwrap().log))
    }
}

#[tokio::test(start_paused = true)]
async fn a_primary_is_held_reconciled_cleaned_up_and_forgotten() {
    let world = World::new().await;
    world.edit(|_| {});
    world.catch_up().await;
    let finalizer = format!("PATCH {SITE} site.test.kubewright.dev");
    let first = [
        finalizer.clone(),
        format!("PATCH {CHILD} site.test.kubewright.dev"),
        format!("PATCH {SITE}/status site.test.kubewright.dev-conditions"),
    ];
    assert_eq!(world.run().await, (vec!["reconcile"], first.to_vec()));
    world.catch_up().await;
    assert_eq!(world.run().await, (vec!["reconcile"], vec![]), "steady state");
    world.edit(|site| site["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    world.catch_up().await;
    assert_eq!(world.run().await, (vec!["cleanup"], vec![finalizer]));
    assert_eq!(world.run().await, (vec![], vec![]), "the cache still shows the finalizer");
    world.api.lock().unwrap().objects.remove(SITE);
    world.catch_up().await;
    assert_eq!(world.run().await, (vec!["forget"], vec![]));
}

#[tokio::test(start_paused = true)]
async fn another_life_under_the_same_key_is_forgotten_first() {
    let world = World::new().await;
    world.edit(|_| {});
    world.catch_up().await;
    world.run().await;
    world.edit(|site| site["metadata"]["uid"] = json!("v"));
    world.api.lock().unwrap().objects.remove(CHILD);
    world.catch_up().await;
    assert_eq!(world.run().await.0, ["forget", "reconcile"]);
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_does_not_decode_is_named_and_not_retried() {
    let world = World::new().await;
    world.edit(|site| site["spec"]["text"] = json!(7));
    world.catch_up().await;
    let error = (world.run)(ObjectKey::namespaced("web", "a")).await.expect_err("no text");
    assert_eq!(error.class(), Class::Terminal);
    assert!(error.to_string().contains("web/a") && error.to_string().contains("spec.text"), "{error}");
    assert!(world.calls.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_owned_in_two_parts_is_looked_up_in_both() {
    let tier = |tier: &str| Narrow::default().labels(&format!("tier={tier}"));
    let declaration = || {
        Declaration::new("site", Site::crd).status().owns::<ConfigMap>(tier("front")).owns::<ConfigMap>(tier("back"))
    };
    let world = World::of(declaration(), Arc::new(Mutex::new(Api { version: 1, ..Api::default() }))).await;
    world.edit(|_| {});
    world.catch_up().await;
    assert_eq!(world.run().await.1.len(), 2, "the child and the status");
    world.catch_up().await;
    assert_eq!(world.run().await.1, [""; 0], "steady state");
    // Another process knows the child from its cache alone.
    let world = World::of(declaration(), Arc::clone(&world.api)).await;
    assert_eq!(world.run().await.1, [""; 0], "steady state after a restart");
    let site = world.shared.primaries().get(&ObjectKey::namespaced("web", "a")).unwrap().unwrap();
    Context::new(&world.shared, &*site).delete::<ConfigMap>("child").await.unwrap();
    assert!(!world.api.lock().unwrap().objects.contains_key(CHILD));
}

#[test]
fn deletion_and_finalizer_decide_what_is_called() {
    let check = |deleting, held, expected| assert_eq!(step(deleting, held), expected, "{deleting} {held:?}");
    check(false, None, Step::Reconcile);
    check(true, None, Step::Leave);
    check(false, Some(Held::No), Step::HoldAndReconcile);
    check(false, Some(Held::Yes), Step::Reconcile);
    check(true, Some(Held::Yes), Step::Cleanup);
    check(true, Some(Held::No), Step::Leave);
    check(true, Some(Held::Released), Step::Leave);
    // Released only ever happens while deleting; were the cache to say otherwise, it is merely old.
    check(false, Some(Held::Released), Step::Leave);
}
