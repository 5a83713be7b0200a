//! Graphs on real caches and an API server in memory: which requests are sent, in which order, and which are not.
use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};
use tokio::sync::watch;

use super::*;
use crate::apply::tests::{Api, client};
use crate::declare::{Declaration, Narrow, OwnedBy};
use crate::informer::factory::InformerFactory;
use crate::reconcile::context::shared::Shared;
use crate::reconcile::dispatch::tests::Relist;
use crate::reconcile::dispatch::{ReconcileFn, dispatch};
use crate::reconcile::{Reconciler, error};
use crate::resource::{ObjectKey, ResourceVersion};

/// A book: an entrance, a page for each text behind it, and an index after the pages.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "test.kubewright.dev", version = "v1", kind = "Book", namespaced, status = "BookStatus")]
struct BookSpec {
    texts: Vec<String>,
    #[serde(default)]
    index: bool,
    /// What the index is called, if it can be computed.
    #[serde(default)]
    title: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
struct BookStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

impl Primary for Book {
    fn declaration() -> Declaration<Self> {
        let declaration = Declaration::new("book", Self::crd).status().finalizer("test/book-cleanup");
        declaration.owns::<Service>(Narrow::default()).owns::<ConfigMap>(Narrow::default())
    }
}

impl OwnedBy<Book> for Service {}
impl OwnedBy<Book> for ConfigMap {}

impl HasDependents for Book {
    fn dependents() -> Graph<Self> {
        Graph::new()
            .dependent(
                Dependent::<_, ConfigMap>::new("index", index).after("pages").when(|book: &Self| book.spec.index),
            )
            .dependent(Dependent::<_, Service>::new("entrance", entrance))
            .dependent(Dependent::<_, ConfigMap>::new("pages", pages).after("entrance"))
    }
}

fn entrance(_: &Book) -> Result<Service, serde_json::Error> {
    from_value(json!({"metadata": {"name": "entrance"}, "spec": {"ports": [{"port": 80}]}}))
}

fn pages(book: &Book, siblings: &Siblings) -> Result<Vec<ConfigMap>> {
    let entrance = siblings.get::<Service>("entrance").ok_or_else(|| Error::new("no entrance"))?;
    let address = entrance.spec.as_ref().and_then(|spec| spec.cluster_ip.clone());
    let page = |text: &String| {
        from_value(
            json!({"metadata": {"name": text}, "data": {"address": address, "siblings": siblings.0.len().to_string()}}),
        )
    };
    Ok(book.spec.texts.iter().map(page).collect::<Result<_, _>>()?)
}

fn index(book: &Book) -> Result<ConfigMap> {
    let title = book.spec.title.as_ref().ok_or_else(|| Error::new("write spec.title").terminal())?;
    Ok(from_value(json!({"metadata": {"name": title}}))?)
}

/// What the derive writes for an operator of dependents alone.
struct ByGraph;

impl Reconciler<Book> for ByGraph {
    async fn reconcile(&self, object: Arc<Book>, cx: Context<Book>) -> Result<Action> {
        reconcile(object, cx).await
    }
    async fn cleanup(&self, object: Arc<Book>, cx: Context<Book>) -> Result<Cleanup> {
        cleanup(object, cx).await
    }
}

const BOOK: &str = "/apis/test.kubewright.dev/v1/namespaces/web/books/b";
const MAPS: &str = "/api/v1/namespaces/web/configmaps";
const ENTRANCE: &str = "/api/v1/namespaces/web/services/entrance";

struct World {
    api: Arc<Mutex<Api>>,
    informers: InformerFactory,
    tick: watch::Sender<u64>,
    run: ReconcileFn,
}

impl World {
    /// A book with the spec, held by its finalizer, in caches that are up to date.
    async fn new(spec: Value) -> Self {
        let api = Arc::new(Mutex::new(Api { version: 1, ..Api::default() }));
        let metadata = json!({"name": "b", "namespace": "web", "uid": "u", "generation": 1,
            "finalizers": ["test/book-cleanup"]});
        let book = json!({"apiVersion": "test.kubewright.dev/v1", "kind": "Book", "metadata": metadata, "spec": spec});
        api.lock().unwrap().store(BOOK, book);
        let (tick, ticks) = watch::channel(0);
        let informers = InformerFactory::with_source(Relist { api: Arc::clone(&api), tick: ticks });
        let shared = Arc::new(Shared::new(Book::declaration(), client(&api), &informers));
        let run = dispatch(shared, ByGraph);
        informers.start();
        informers.wait_for_cache_sync(Duration::from_secs(5)).await.unwrap();
        Self { api, informers, tick, run }
    }

    /// A book whose entrance is ready and whose pages are applied.
    async fn settled(spec: Value) -> Self {
        let world = Self::new(spec).await;
        world.run().await.unwrap();
        world.open().await;
        world.run().await.unwrap();
        world.catch_up().await;
        assert_eq!(world.run().await.unwrap(), [""; 0], "steady state");
        world
    }

    fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut api = self.api.lock().unwrap();
        let mut object = api.objects[path].clone();
        change(&mut object);
        api.store(path, object);
    }

    /// Gives the entrance its address.
    async fn open(&self) {
        self.edit(ENTRANCE, |service| service["spec"]["clusterIP"] = json!("10.0.0.1"));
        self.catch_up().await;
    }

    /// Changes the spec of the book.
    async fn respec(&self, spec: Value) {
        self.edit(BOOK, |book| {
            book["spec"] = spec;
            book["metadata"]["generation"] = json!(book["metadata"]["generation"].as_i64().unwrap() + 1);
        });
        self.catch_up().await;
    }

    /// Puts a config map there that no graph made.
    fn put(&self, name: &str, controller: &str, mark: Option<&str>) {
        let annotations = mark.map(|mark| json!({"kubewright.dev/dependent": mark}));
        let owner = json!({"apiVersion": "test.kubewright.dev/v1", "kind": "Book", "name": "b", "uid": controller, "controller": true});
        let metadata = json!({"name": name, "namespace": "web", "uid": format!("uid-{name}"), "annotations": annotations,
            "ownerReferences": [owner]});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        self.api.lock().unwrap().store(&format!("{MAPS}/{name}"), map);
    }

    async fn catch_up(&self) {
        self.api.lock().unwrap().version += 1;
        let version = ResourceVersion::new(&self.api.lock().unwrap().version.to_string());
        self.tick.send_modify(|tick| *tick += 1);
        while self.informers.status().iter().any(|(_, status)| status.version != version) {
            tokio::task::yield_now().await;
        }
    }

    /// Reconciles, and returns which objects were written: the last part of each path, `-` before what was deleted.
    async fn run(&self) -> Result<Vec<String>> {
        let result = (self.run)(ObjectKey::namespaced("web", "b")).await;
        let log = std::mem::take(&mut self.api.lock().unwrap().log);
        result.map(|_| log.iter().map(|line| written(line)).collect())
    }

    fn condition(&self) -> (String, String) {
        let book = self.api.lock().unwrap().objects[BOOK].clone();
        let condition = &book["status"]["conditions"][0];
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        assert_eq!(condition["status"] == "True", text("reason") == "DependentsReady");
        (text("reason"), text("message"))
    }

    fn exists(&self, name: &str) -> bool {
        self.api.lock().unwrap().objects.contains_key(&format!("{MAPS}/{name}"))
    }
}

fn written(line: &str) -> String {
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let name = path.rsplit('/').next().unwrap_or_default();
    format!("{}{name}", if method == "DELETE" { "-" } else { "" })
}

fn book(texts: &[&str]) -> Value {
    json!({"texts": texts})
}

#[tokio::test(start_paused = true)]
async fn a_dependent_is_applied_only_when_all_it_comes_after_are_ready() {
    let world = World::new(json!({"texts": ["one", "two"], "index": true, "title": "contents"})).await;
    assert_eq!(world.run().await.unwrap(), ["entrance", "status"]);
    let message = "entrance is not ready (Service entrance); pages waits for entrance; index waits for pages";
    assert_eq!(world.condition(), ("DependentsNotReady".to_owned(), message.to_owned()));
    world.catch_up().await;
    assert_eq!(world.run().await.unwrap(), [""; 0], "nothing is new");
    world.open().await;
    assert_eq!(world.run().await.unwrap(), ["one", "two", "contents", "status"]);
    assert_eq!(world.condition(), ("DependentsReady".to_owned(), "all dependents are ready".to_owned()));
    world.catch_up().await;
    assert_eq!(world.run().await.unwrap(), [""; 0], "steady state");
    let page = world.api.lock().unwrap().objects[&format!("{MAPS}/one")].clone();
    assert_eq!(
        page["data"],
        json!({"address": "10.0.0.1", "siblings": "1"}),
        "it sees what it comes after, and no more"
    );
    assert_eq!(page["metadata"]["annotations"]["kubewright.dev/dependent"], "book/pages");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_left_as_it_is() {
    let world = World::settled(book(&["one"])).await;
    world.edit(ENTRANCE, |service| service["spec"]["clusterIP"] = json!(""));
    world.edit(&format!("{MAPS}/one"), |page| page["data"]["address"] = json!("edited"));
    world.respec(book(&[])).await;
    assert_eq!(world.run().await.unwrap(), ["status"], "neither repaired nor deleted");
    world.open().await;
    assert_eq!(world.run().await.unwrap(), ["-one", "status"]);
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired() {
    let world = World::settled(book(&["one"])).await;
    world.edit(&format!("{MAPS}/one"), |page| page["data"]["address"] = json!("edited"));
    world.catch_up().await;
    assert_eq!(world.run().await.unwrap(), ["one"]);
    world.api.lock().unwrap().objects.remove(&format!("{MAPS}/one"));
    world.catch_up().await;
    assert_eq!(world.run().await.unwrap(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_condition_turns_a_dependent_on_and_off() {
    let off = json!({"texts": ["one"], "index": false});
    let on = json!({"texts": ["one"], "index": true, "title": "contents"});
    let world = World::settled(off.clone()).await;
    assert_eq!(world.condition().1, "all wanted dependents are ready");
    for _ in 0..2 {
        world.respec(on.clone()).await;
        assert_eq!(world.run().await.unwrap(), ["contents", "status"]);
        world.respec(off.clone()).await;
        assert_eq!(world.run().await.unwrap(), ["-contents", "status"]);
        world.catch_up().await;
        assert_eq!(world.run().await.unwrap(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn children_that_are_no_longer_returned_are_pruned_and_no_others() {
    let world = World::settled(book(&["one", "two", "three"])).await;
    world.put("by-hand", "u", None);
    world.put("by-another-controller", "u", Some("library/pages"));
    world.put("of-another-primary", "v", Some("book/pages"));
    world.put("of-a-dependent-that-was", "u", Some("book/cover"));
    world.respec(book(&["three"])).await;
    let written = world.run().await.unwrap();
    assert_eq!(written, ["-of-a-dependent-that-was", "-one", "-two", "status"]);
    for name in ["three", "by-hand", "by-another-controller", "of-another-primary"] {
        assert!(world.exists(name), "{name}");
    }
    world.catch_up().await;
    assert_eq!(world.run().await.unwrap(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_cache_does_not_delete_the_next_life_of_a_child() {
    let world = World::settled(book(&["one", "two"])).await;
    world.respec(book(&["two"])).await;
    // Somebody else's now, and the cache does not know yet.
    world.edit(&format!("{MAPS}/one"), |page| page["metadata"]["uid"] = json!("another"));
    let error = world.run().await.unwrap_err();
    assert_eq!(error.class(), error::Class::Conflict);
    assert!(world.exists("one"));
    assert_eq!(world.condition().0, "DependentsReady", "a conflict is over soon and not told");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_has_changed_since_it_was_looked_at_is_looked_at_again_before_it_is_deleted() {
    let world = World::settled(book(&["one", "two"])).await;
    world.respec(book(&["two"])).await;
    let one = format!("{MAPS}/one");
    let hand_to = |owner: &'static str| {
        world.edit(&one, |page| page["metadata"]["annotations"]["kubewright.dev/dependent"] = json!(owner));
    };
    // Another controller's now, and the cache does not know yet.
    hand_to("library/pages");
    assert_eq!(world.run().await.unwrap_err().class(), error::Class::Conflict);
    assert!(world.exists("one"));
    world.catch_up().await;
    assert_eq!(world.run().await.unwrap(), ["status"], "it is left alone");
    hand_to("book/pages");
    world.catch_up().await;
    assert_eq!(world.run().await.unwrap(), ["-one"]);
    assert!(!world.exists("one"));
}

#[tokio::test(start_paused = true)]
async fn several_children_go_in_reverse_order() {
    let world = World::settled(json!({"texts": ["one", "two"], "index": true, "title": "contents"})).await;
    world.edit(BOOK, |book| book["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    world.put("by-hand", "u", None);
    world.catch_up().await;
    assert_eq!(world.run().await.unwrap(), ["-contents"]);
    assert_eq!(world.run().await.unwrap(), ["-contents"], "nothing follows before the cache shows that it is gone");
    for expected in [&["-one", "-two"][..], &["-entrance"], &["b"]] {
        world.catch_up().await;
        assert_eq!(world.run().await.unwrap(), expected);
    }
    let finalizers = world.api.lock().unwrap().objects[BOOK]["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, json!([]));
    assert!(world.exists("by-hand"), "the garbage collector's");
}

#[tokio::test(start_paused = true)]
async fn a_failure_stops_what_comes_after_it_and_nothing_else() {
    let world = World::settled(json!({"texts": ["one"], "index": true, "title": "contents"})).await;
    // The index can not be computed any more: it stays as it was, and the pages go on.
    world.respec(json!({"texts": ["one", "two"], "index": true})).await;
    let error = world.run().await.unwrap_err();
    assert_eq!((error.class(), &*error.to_string()), (error::Class::Terminal, "write spec.title"));
    assert!(world.exists("two") && world.exists("contents"));
    assert_eq!(world.condition(), ("DependentsFailed".to_owned(), "index failed: write spec.title".to_owned()));
    // What is refused by the API server stops the rest until it is accepted; the failure to retry is the reconcile's.
    world.edit(ENTRANCE, |service| service["spec"]["ports"] = json!([]));
    world.catch_up().await;
    world.api.lock().unwrap().fail_next = Some(500);
    assert_eq!(world.run().await.unwrap_err().class(), error::Class::Transient);
    let message = world.condition().1;
    assert!(message.starts_with("entrance failed: cannot apply Service web/entrance"), "{message}");
    assert!(message.ends_with("pages waits for entrance; index waits for pages"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_two_dependents_desire_is_left_to_the_first_and_both_are_named() {
    let world = World::settled(json!({"texts": ["one"], "index": true, "title": "contents"})).await;
    world.respec(json!({"texts": ["one"], "index": true, "title": "one"})).await;
    let error = world.run().await.unwrap_err();
    assert_eq!(error.class(), error::Class::Terminal);
    assert_eq!(error.to_string(), "ConfigMap one is desired twice, by pages and index: give one another name");
    assert!(world.exists("one") && world.exists("contents"), "nothing is deleted while that is not known");
}
