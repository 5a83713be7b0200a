//! The writer against an API server of a few lines: which requests are sent, and which are not.
use std::any::TypeId;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use serde_json::Map;

use super::memory::ChildId;
use super::*;
use crate::declare::View;
use crate::resource::Kind;

mod child;
mod status;

/// Server-side apply as far as the writer can tell: merge, own what was sent, bump the version when something changed.
#[derive(Debug, Default)]
pub(crate) struct Api {
    pub(crate) objects: HashMap<String, Value>,
    pub(crate) version: u64,
    pub(crate) log: Vec<String>,
    pub(crate) fail_next: Option<u16>,
    /// Takes the next request in and never answers it.
    pub(crate) hang_next: bool,
    /// Begins lists and does not end them.
    pub(crate) hold_lists: bool,
}

impl Api {
    fn answer(&mut self, method: &Method, uri: &http::Uri, body: &[u8]) -> (u16, Value) {
        let stored = (self.objects.clone(), self.version);
        let answer = self.store_and_answer(method, uri, body);
        if uri.query().is_some_and(|query| query.contains("dryRun=All")) {
            (self.objects, self.version) = stored;
        }
        answer
    }

    fn store_and_answer(&mut self, method: &Method, uri: &http::Uri, body: &[u8]) -> (u16, Value) {
        let query = uri.query().unwrap_or_default();
        let manager = query.split('&').find_map(|pair| pair.strip_prefix("fieldManager=")).unwrap_or_default();
        self.log.push(format!("{method} {} {manager}", uri.path()).trim_end().to_owned());
        if let Some(code) = self.fail_next.take() {
            return failure(code);
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let (path, subresource) = match uri.path().strip_suffix("/status") {
            Some(path) => (path, "status"),
            None => (uri.path(), ""),
        };
        let present = self.objects.get(path).cloned();
        let current = present.as_ref().map(|object| object["metadata"].clone()).unwrap_or_default();
        match (method.as_str(), present) {
            ("GET", Some(object)) => (200, object),
            ("DELETE", Some(_)) if body["preconditions"]["uid"] != current["uid"] => failure(409),
            ("DELETE", Some(_))
                if body["preconditions"].get("resourceVersion").is_some_and(|it| *it != current["resourceVersion"]) =>
            {
                failure(409)
            }
            ("DELETE", Some(object)) => {
                self.objects.remove(path);
                (200, object)
            }
            ("PATCH", Some(_)) if given(&body, "resourceVersion").is_some_and(|v| *v != current["resourceVersion"]) => {
                failure(409)
            }
            // The uid of a status is not looked at, and that of an object can not be changed.
            ("PATCH", Some(_))
                if subresource.is_empty() && given(&body, "uid").is_some_and(|uid| *uid != current["uid"]) =>
            {
                failure(422)
            }
            ("PATCH", Some(object)) if query.contains("force") => {
                (200, self.applied(path, object, &body, manager, subresource))
            }
            ("PATCH", Some(mut object)) => {
                object["metadata"]["finalizers"] = body["metadata"]["finalizers"].clone();
                (200, self.store(path, object))
            }
            ("PATCH", None) if query.contains("force") && subresource.is_empty() => {
                let uid = format!("uid-{}", self.version + 1);
                (201, self.applied(path, json!({"metadata": {"uid": uid}}), &body, manager, subresource))
            }
            _ => failure(404),
        }
    }

    fn applied(&mut self, path: &str, mut object: Value, body: &Value, manager: &str, subresource: &str) -> Value {
        let before = object.clone();
        let mut sent = body.clone();
        sent["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        for field in ["uid", "name", "namespace"] {
            if !subresource.is_empty() {
                sent["metadata"].as_object_mut().unwrap().remove(field);
            }
        }
        merge(&mut object, &sent);
        let entry =
            json!({"manager": manager, "operation": "Apply", "subresource": subresource, "fieldsV1": fields(&sent)});
        let mut entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        entries.retain(|entry| entry["manager"] != manager);
        entries.push(entry);
        entries.sort_by_key(|entry| entry["manager"].to_string());
        object["metadata"]["managedFields"] = entries.into();
        if object == before { object } else { self.store(path, object) }
    }

    pub(crate) fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path.to_owned(), object.clone());
        object
    }
}

fn given<'v>(body: &'v Value, field: &str) -> Option<&'v Value> {
    body.get("metadata")?.get(field)
}

fn failure(code: u16) -> (u16, Value) {
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": "R", "message": "m"}))
}

fn merge(object: &mut Value, sent: &Value) {
    match (object, sent) {
        (Value::Object(object), Value::Object(sent)) => {
            sent.iter().for_each(|(name, value)| merge(object.entry(name.clone()).or_insert(Value::Null), value));
        }
        (Value::Array(object), Value::Array(sent)) if sent.iter().all(|item| item.get("type").is_some()) => {
            object.retain(|item| sent.iter().all(|sent| sent["type"] != item["type"]));
            object.extend(sent.iter().cloned());
        }
        (object, sent) => *object = sent.clone(),
    }
}

fn fields(sent: &Value) -> Value {
    match sent {
        Value::Object(sent) => sent
            .iter()
            .filter(|(name, value)| {
                !matches!(name.as_str(), "apiVersion" | "kind" | "name" | "namespace") && **value != json!({})
            })
            .map(|(name, value)| (format!("f:{name}"), fields(value)))
            .collect(),
        Value::Array(sent) if sent.iter().all(|item| item.get("type").is_some()) => sent
            .iter()
            .map(|item| (format!("k:{}", json!({"type": item["type"]})), fields(item)))
            .collect::<Map<_, _>>()
            .into(),
        _ => json!({}),
    }
}

/// A writer, the API server it talks to, and the primary it writes for.
struct World {
    api: Arc<Mutex<Api>>,
    writer: Writer,
    primary: Owner,
}

const PRIMARY: &str = "/api/v1/namespaces/web/configmaps/site";
const CHILD: &str = "/api/v1/namespaces/web/configmaps/child";

impl World {
    fn new() -> Self {
        let api = Arc::new(Mutex::new(Api { version: 1, ..Api::default() }));
        let site = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "site", "namespace": "web",
            "uid": "site-uid", "generation": 1, "finalizers": ["theirs"]}});
        api.lock().unwrap().store(PRIMARY, site);
        let resource = ResourceType::of::<ConfigMap>();
        let primary = Owner { resource, key: ObjectKey::namespaced("web", "site"), uid: "site-uid".into() };
        let writer = writer(&api, &primary.resource);
        Self { api, writer, primary }
    }

    /// The process ends and another begins.
    fn restart(&mut self) {
        self.writer = writer(&self.api, &self.primary.resource);
    }

    fn cached(&self, path: &str) -> Option<Arc<RawObject>> {
        let object = self.api.lock().unwrap().objects.get(path).cloned();
        object.map(|object| Arc::new(RawObject::parse(object.to_string().as_bytes()).unwrap()))
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.api.lock().unwrap().log)
    }

    fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut api = self.api.lock().unwrap();
        let mut object = api.objects[path].clone();
        change(&mut object);
        api.store(path, object);
    }

    fn version(&self, path: &str) -> String {
        self.api.lock().unwrap().objects[path]["metadata"]["resourceVersion"].to_string()
    }

    async fn apply(&self, data: &str, cached: Option<Arc<RawObject>>) -> Result<Arc<ConfigMap>, Error> {
        self.apply_for(&self.primary, data, cached).await
    }

    async fn apply_for(
        &self,
        owner: &Owner,
        data: &str,
        cached: Option<Arc<RawObject>>,
    ) -> Result<Arc<ConfigMap>, Error> {
        Ok(read(self.writer.apply(owner, &child(data), &Shown(cached)).await?))
    }

    async fn delete(&self, cached: Option<Arc<RawObject>>) -> Result<(), Error> {
        let (_, key) = id();
        self.writer.delete::<ConfigMap>(&self.primary, &key, cached, &Deletion::default()).await
    }

    fn subject(&self, cached: Option<Arc<RawObject>>) -> Subject<'_> {
        Subject { primary: &self.primary, generation: Some(1), cached }
    }

    async fn state(&self, kind: &str, status: &str, cached: Option<Arc<RawObject>>) {
        let statement = Statement { kind, status, reason: "R", message: "m", generation: Some(1) };
        self.writer.set_condition(&self.subject(cached), &statement).await.unwrap();
    }

    fn holder(&self) -> Holder {
        let object: ConfigMap = serde_json::from_slice(self.cached(PRIMARY).unwrap().json()).unwrap();
        Holder::of(&object)
    }
}

/// A cache of everything that shows this of the child.
struct Shown(Option<Arc<RawObject>>);

impl Caches for Shown {
    fn find(&self, _: &ObjectKey) -> Option<(Arc<RawObject>, View)> {
        Some((self.0.clone()?, self.view()))
    }
    fn view(&self) -> View {
        View::Full
    }
    fn missed(&self, _: &ObjectKey, _: &Labels) -> Option<String> {
        None
    }
}

fn child(data: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": "child"}, "data": {"a": data}})).unwrap()
}

fn id() -> ChildId {
    (TypeId::of::<ConfigMap>(), ObjectKey::namespaced("web", "child"))
}

fn read<C: Kind>(applied: Applied<C>) -> Arc<C> {
    match applied {
        Applied::Answer(child) => child,
        Applied::Cached(object) => Arc::new(serde_json::from_slice(object.json()).unwrap()),
    }
}

/// Drops a write whose answer does not come, as a deadline does.
pub(crate) async fn cut_off<T>(write: impl Future<Output = T>) -> Option<T> {
    clock::timeout(std::time::Duration::from_secs(1), write).await
}

/// A client whose every request `api` answers.
pub(crate) fn client(api: &Arc<Mutex<Api>>) -> Client {
    let api = Arc::clone(api);
    let service = tower::service_fn(move |request: Request<Body>| {
        let api = Arc::clone(&api);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let (code, answer) = api.lock().unwrap().answer(&head.method, &head.uri, &body);
            let hangs = std::mem::take(&mut api.lock().unwrap().hang_next);
            if hangs {
                std::future::pending::<()>().await;
            }
            let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
            Ok::<_, Infallible>(answer.unwrap())
        }
    });
    Client::new(kube::Client::new(service, "default"))
}

fn writer(api: &Arc<Mutex<Api>>, resource: &ResourceType) -> Writer {
    let schema = StatusSchema { subresource: true, conditions: true, observed_generation: true };
    Writer::new(client(api), "site", resource, schema)
}

#[tokio::test]
async fn a_child_in_steady_state_costs_no_request() {
    let world = World::new();
    world.apply("x", None).await.unwrap();
    assert_eq!(world.requests(), [format!("PATCH {CHILD} site")]);
    for _ in 0..3 {
        let child = world.apply("x", world.cached(CHILD)).await.unwrap();
        assert_eq!(child.metadata.uid.as_deref(), Some("uid-3"));
    }
    assert_eq!(world.requests(), [""; 0]);
}

#[tokio::test]
async fn drift_is_repaired_and_foreign_fields_are_left_alone() {
    let world = World::new();
    world.apply("x", None).await.unwrap();
    world.requests();
    world.edit(CHILD, |child| child["data"]["theirs"] = json!("y"));
    world.apply("x", world.cached(CHILD)).await.unwrap();
    assert_eq!(world.requests(), [""; 0]);
    world.edit(CHILD, |child| child["data"]["a"] = json!("drift"));
    let child = world.apply("x", world.cached(CHILD)).await.unwrap();
    assert_eq!(world.requests().len(), 1);
    assert_eq!(child.data.as_ref().unwrap(), &[("a", "x"), ("theirs", "y")].map(|(k, v)| (k.into(), v.into())).into());
    world.apply("x", world.cached(CHILD)).await.unwrap();
    assert_eq!(world.requests(), [""; 0]);
}

#[tokio::test]
async fn a_cache_that_lags_behind_our_write_is_no_reason_to_repeat_it() {
    let world = World::new();
    world.apply("x", None).await.unwrap();
    let old = world.cached(CHILD);
    world.apply("y", old.clone()).await.unwrap();
    assert_eq!(world.requests().len(), 2);
    let child = world.apply("y", old.clone()).await.unwrap();
    assert_eq!(world.requests(), [""; 0]);
    assert_eq!(child.data.as_ref().unwrap()["a"], "y", "the answer, not the old cache");
    world.apply("x", old).await.unwrap();
    assert_eq!(world.requests().len(), 1, "the cache shows x, the server holds y");
}

#[tokio::test]
async fn a_deleted_child_comes_back() {
    let world = World::new();
    world.apply("x", None).await.unwrap();
    world.api.lock().unwrap().objects.remove(CHILD);
    world.apply("x", world.cached(CHILD)).await.unwrap();
    assert_eq!(world.requests().len(), 2);
    assert!(world.cached(CHILD).is_some());
}

#[tokio::test]
async fn a_restart_sends_nothing_where_the_live_child_is_proof_and_one_no_op_where_not() {
    let mut world = World::new();
    world.apply("x", None).await.unwrap();
    world.requests();
    world.restart();
    world.apply("x", world.cached(CHILD)).await.unwrap();
    assert_eq!(world.requests(), [""; 0]);
    let version = world.version(CHILD);
    // As if the last operator had been of a version that left no hash.
    world.edit(CHILD, |child| child["metadata"]["annotations"] = json!({}));
    world.restart();
    world.apply("x", world.cached(CHILD)).await.unwrap();
    world.apply("x", world.cached(CHILD)).await.unwrap();
    assert_eq!(world.requests().len(), 1);
    assert_ne!(version, world.version(CHILD));
}

#[tokio::test]
async fn a_failed_write_proves_nothing() {
    let world = World::new();
    world.apply("x", None).await.unwrap();
    world.api.lock().unwrap().fail_next = Some(500);
    let error = world.apply("y", world.cached(CHILD)).await.expect_err("500");
    assert!(!error.is_terminal() && !error.is_conflict());
    world.requests();
    world.apply("y", world.cached(CHILD)).await.unwrap();
    assert_eq!(world.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_decode_is_not_quoted() {
    let world = World::new();
    world.apply("x", None).await.unwrap();
    world.edit(CHILD, |child| child["immutable"] = json!("sesame"));
    let error = world.apply("y", None).await.expect_err("a string for a boolean");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(!format!("{error} {error:?} {cause}").contains("sesame"), "{cause}");
    assert!(cause.contains("expected a boolean"), "{cause}");
}

#[tokio::test]
async fn children_of_others_are_neither_applied_nor_deleted() {
    let world = World::new();
    world.apply("x", None).await.unwrap();
    world.edit(CHILD, |child| child["metadata"]["ownerReferences"][0]["uid"] = json!("other"));
    world.requests();
    for error in [
        world.apply("x", world.cached(CHILD)).await.map(drop).expect_err("controlled by another"),
        world.delete(world.cached(CHILD)).await.expect_err("controlled by another"),
    ] {
        assert!(error.to_string().contains("controlled by ConfigMap site (uid other)"), "{error}");
        assert!(!error.is_terminal());
    }
    assert_eq!(world.requests(), [""; 0]);
}

#[tokio::test]
async fn deletion_is_of_exactly_one_life() {
    let world = World::new();
    world.delete(None).await.unwrap();
    assert_eq!(world.requests(), [""; 0], "nothing is known of it");
    world.apply("x", None).await.unwrap();
    world.delete(None).await.unwrap();
    assert_eq!(world.requests().len(), 2, "ours, though not cached yet");
    world.apply("x", None).await.unwrap();
    let cached = world.cached(CHILD);
    world.delete(cached.clone()).await.unwrap();
    world.delete(cached.clone()).await.unwrap();
    assert_eq!(world.requests().len(), 3, "gone is success");
    world.apply("x", None).await.unwrap();
    let stale = world.writer.memory.of(&world.primary.key);
    lock(&stale.children).remove(&id());
    assert!(world.delete(cached).await.expect_err("another life").is_conflict());
}

#[tokio::test]
async fn a_finalizer_is_added_and_removed_beside_those_of_others() {
    let world = World::new();
    let old = world.holder();
    assert_eq!(world.writer.finalizer(&old, "ours"), Held::No);
    world.writer.add_finalizer(&world.primary.resource, &old, "ours").await.unwrap();
    assert_eq!(world.writer.finalizer(&old, "ours"), Held::Yes, "before the cache shows it");
    let error = world.writer.add_finalizer(&world.primary.resource, &old, "ours").await.expect_err("old version");
    assert!(error.is_conflict());
    let holder = world.holder();
    assert_eq!(holder.finalizers, ["theirs", "ours"]);
    // The cleanup wrote the status, and the cache has not seen it.
    world.edit(PRIMARY, |site| site["status"] = json!({"phase": "Cleaning"}));
    world.writer.remove_finalizer(&world.primary.resource, &holder, "ours").await.unwrap();
    assert_eq!(world.holder().finalizers, ["theirs"]);
    assert_eq!(world.writer.finalizer(&holder, "ours"), Held::Released);
    world.api.lock().unwrap().objects.clear();
    world.writer.remove_finalizer(&world.primary.resource, &holder, "ours").await.unwrap();
}
