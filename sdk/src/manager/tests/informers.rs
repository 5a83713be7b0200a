//! Controllers on informers of a factory: how long the watches live that they share.
use bytes::Bytes;
use futures_util::future;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{CustomResource, CustomResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::apply::tests::client;
use crate::client::{self, Chunks};
use crate::controller::Watch;
use crate::declare::{Declaration, Narrow, Primary};
use crate::informer::Informer;
use crate::operator::{Operator, Setup};
use crate::reconcile::{Context, Reconciler, from_fn};
use crate::reflector::{InitialEvents, ListOptions, ListerWatcher, WatchOptions};
use crate::store::lister::Lister;

/// How many watches of each kind are open.
type Open = Arc<Mutex<BTreeMap<String, usize>>>;

/// A kind without objects, whose watch tells nothing.
struct Quiet {
    kind: String,
    open: Open,
}

impl ListerWatcher for Quiet {
    fn list(&self, _: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        let body = Bytes::from_static(br#"{"kind":"List","metadata":{"resourceVersion":"1"},"items":[]}"#);
        future::ready(Ok(stream::iter([Ok(body)]).boxed())).boxed()
    }

    fn watch(&self, options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        if options.initial_events == InitialEvents::Send {
            return future::ready(Err(client::Error::not_implemented())).boxed();
        }
        let watching = Watching::new(self.kind.clone(), Arc::clone(&self.open));
        let silence = stream::unfold(watching, async |watching| {
            let _watching = watching;
            future::pending().await
        });
        future::ready(Ok(silence.boxed())).boxed()
    }
}

/// Counts a watch until it is dropped.
struct Watching {
    kind: String,
    open: Open,
}

impl Watching {
    fn new(kind: String, open: Open) -> Self {
        *open.lock().unwrap().entry(kind.clone()).or_default() += 1;
        Self { kind, open }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        *self.open.lock().unwrap().get_mut(&self.kind).unwrap() -= 1;
    }
}

fn informers(open: &Open) -> InformerFactory {
    let open = Arc::clone(open);
    InformerFactory::from_lister_watchers(move |target| Quiet {
        kind: target.resource.plural.clone(),
        open: Arc::clone(&open),
    })
}

/// A controller of ConfigMaps.
fn of_maps(name: &str, maps: &Informer<ConfigMap>) -> Controller {
    Controller::new(name, 1).source(Watch::primary(maps)).resync(Duration::from_secs(3600))
}

/// A controller of ConfigMaps and of the Secrets that they name.
fn of_secrets(name: &str, maps: &Informer<ConfigMap>, secrets: &Informer<Secret>) -> Controller {
    let by_secret = maps.add_index(|map: &ConfigMap| map.data.as_ref().and_then(|data| data.get("s")).cloned());
    of_maps(name, maps).source(Watch::referenced_by(secrets, maps, &by_secret))
}

/// Looks at its object and holds what it looks with.
fn looking(maps: Lister<ConfigMap>) -> ReconcileFn {
    from_fn(move |key| {
        let found = maps.metadata(&key).is_some();
        async move { Ok(if found { Action::await_change() } else { Action::requeue_after(MS) }) }
    })
}

#[tokio::test(start_paused = true)]
async fn m16_a_watch_ends_with_the_last_that_reads_it_and_not_before() {
    let open = Open::default();
    let informers = informers(&open);
    let manager = Manager::new(informers.clone());
    let (controllers, stop) = (manager.controllers(), manager.stop_handle());
    let tasks = spawn(manager);
    let watches = async |maps: usize, secrets: usize, when: &str| {
        clock::sleep(10 * MS).await;
        let open = open.lock().unwrap().clone();
        let of = |kind: &str| open.get(kind).copied().unwrap_or_default();
        assert_eq!((of("configmaps"), of("secrets")), (maps, secrets), "{when}");
    };
    let add_web = || {
        let (maps, secrets) = (informers.informer(), informers.informer());
        controllers.add(of_secrets("web", &maps, &secrets), looking(maps.lister())).unwrap();
    };
    add_web();
    let maps = informers.informer();
    controllers.add(of_maps("shop", &maps), looking(maps.lister())).unwrap();
    drop(maps);
    watches(1, 1, "one for each kind").await;
    assert!(controllers.status().iter().all(|controller| controller.sources.iter().all(|source| source.synced)));
    assert!(controllers.remove("web").await);
    watches(1, 0, "the other controller reads the maps").await;
    let lister = informers.informer::<ConfigMap>().lister();
    assert!(controllers.remove("shop").await);
    watches(1, 0, "somebody else reads them").await;
    drop(lister);
    watches(0, 0, "nobody does").await;
    assert_eq!(informers.status().len(), 0);
    add_web();
    watches(1, 1, "anew").await;
    assert!(controllers.status()[0].sources.iter().all(|source| source.synced));
    stop.stop();
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
    watches(0, 0, "the end of the manager").await;
}

#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "test.kubewright.dev", version = "v1", kind = "Shelf", plural = "shelves", namespaced)]
struct ShelfSpec {
    books: u32,
}

impl Primary for Shelf {
    fn declaration() -> Declaration<Self> {
        Declaration::new("shelf", Self::crd).finalizer("test/ours").owns::<ConfigMap>(Narrow::default())
    }
}

struct Shelves;

impl Reconciler<Shelf> for Shelves {
    async fn reconcile(&self, _: Arc<Shelf>, _: Context<Shelf>) -> Reconciled<Action> {
        Ok(Action::await_change())
    }
}

#[tokio::test(start_paused = true)]
async fn m16_an_operator_that_is_removed_leaves_no_watch_behind() {
    let open = Open::default();
    let informers = informers(&open);
    let manager = Manager::new(informers.clone());
    let (controllers, stop) = (manager.controllers(), manager.stop_handle());
    let tasks = spawn(manager);
    let operator = Operator::new::<Shelf, _, _, _>(async |_| Ok(Shelves));
    let (controller, reconcile) = operator.controller(Setup::new(client(&Arc::default()), informers)).await.unwrap();
    controllers.add(controller, reconcile).unwrap();
    clock::sleep(10 * MS).await;
    let watches = |count| BTreeMap::from([("configmaps".to_owned(), count), ("shelves".to_owned(), count)]);
    assert_eq!(*open.lock().unwrap(), watches(1));
    assert!(controllers.remove("shelf").await);
    clock::sleep(10 * MS).await;
    assert_eq!(*open.lock().unwrap(), watches(0));
    stop.stop();
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
}
