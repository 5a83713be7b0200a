//! A reflector by itself: both ways to a first list, pages, and a version that the server has forgotten.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use controlplane::harness;
use controlplane::{TestScope, eventually};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, CustomResource};
use kubewright::client::{self, Chunks};
use kubewright::declare::Primary;
use kubewright::reflector::{
    ApiListerWatcher, Closed, Delta, DeltaSink, InitialEvents, ListOptions, ListerWatcher, Reflector, Target,
    WatchOptions,
};
use kubewright::resource::{Kind, ResourceType, ResourceVersion};
use kubewright::wire::ManagedFields;
use kubewright::{Client, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::operators::{Outcome, PATIENCE, Reach, Robot, administrator, apply};

/// More than two pages of 500 hold.
pub(crate) const MANY: usize = 1010;

/// What a store would hold: (version, object) by key, and how often the whole was replaced.
#[derive(Clone, Default)]
pub(crate) struct Mirror(Arc<Mutex<Mirrored>>);

#[derive(Default)]
pub(crate) struct Mirrored {
    objects: BTreeMap<String, Value>,
    listed: BTreeSet<String>,
    replaced: usize,
}

impl DeltaSink for Mirror {
    async fn push(&self, delta: Delta) -> Result<(), Closed> {
        let mut mirror = self.0.lock().unwrap();
        match delta {
            Delta::ListStarted => mirror.listed.clear(),
            Delta::Listed(object) | Delta::Applied(object) => {
                let key = object.metadata().key.to_string();
                mirror.listed.insert(key.clone());
                mirror.objects.insert(key, content(object.json()));
            }
            Delta::Replaced(version) => {
                assert!(!version.is_empty());
                let listed = std::mem::take(&mut mirror.listed);
                mirror.objects.retain(|key, _| listed.contains(key));
                mirror.replaced += 1;
            }
            Delta::Deleted(object) => {
                mirror.objects.remove(object.metadata().key.as_str());
            }
            Delta::Bookmark(_) => {}
        }
        Ok(())
    }
}

/// An object without what only a list of objects leaves out: its kind.
fn content(json: &[u8]) -> Value {
    let mut object: Value = serde_json::from_slice(json).expect("an object is JSON");
    object.as_object_mut().expect("an object").retain(|name, _| name != "kind" && name != "apiVersion");
    object
}

impl Mirror {
    pub(crate) fn replaced(&self, times: usize) -> Outcome {
        eventually("a whole list", PATIENCE, || Ok((self.0.lock().unwrap().replaced >= times).then_some(())))?;
        Ok(())
    }

    pub(crate) fn objects(&self) -> BTreeMap<String, Value> {
        self.0.lock().unwrap().objects.clone()
    }
}

/// A server that refuses initial events, as those before Kubernetes 1.27 do.
pub(crate) struct WithoutWatchList {
    inner: ApiListerWatcher,
    /// Asks for something that the server refuses.
    refused: ApiListerWatcher,
}

impl WithoutWatchList {
    pub(crate) fn new(client: &Client, target: &Target) -> Self {
        let malformed = Target { labels: Some(String::from("!=!")), ..target.clone() };
        Self {
            inner: ApiListerWatcher::new(client.clone(), target.clone()),
            refused: ApiListerWatcher::new(client.clone(), malformed),
        }
    }
}

impl ListerWatcher for WithoutWatchList {
    fn list(&self, options: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        self.inner.list(options)
    }

    fn watch(&self, options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        match options.initial_events {
            InitialEvents::Send => self.refused.watch(options),
            InitialEvents::Skip => self.inner.watch(options),
        }
    }
}

/// A watch that begins at a version long forgotten, once, after an object was deleted behind its back.
struct Forgetful {
    inner: WithoutWatchList,
    leaves: Api<Leaf>,
    forgot: AtomicBool,
}

impl ListerWatcher for Forgetful {
    fn list(&self, options: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        self.inner.list(options)
    }

    fn watch(&self, mut options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        Box::pin(async move {
            if options.initial_events == InitialEvents::Skip && !self.forgot.swap(true, Ordering::SeqCst) {
                self.leaves.delete("forgotten", &DeleteParams::default()).await.expect("the object can be deleted");
                options.resource_version = ResourceVersion::new("1");
            }
            self.inner.watch(options).await
        })
    }
}

/// A kind that the server knows nothing old of: what it remembers begins with the CRD.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Leaf", plural = "leaves", namespaced)]
#[operator(name = "leaf")]
pub(crate) struct LeafSpec {
    colour: String,
}

fn target<K: Kind>(scope: &TestScope, labels: Option<&str>) -> Target {
    Target {
        resource: ResourceType::of::<K>(),
        namespace: Some(scope.namespace().to_owned()),
        labels: labels.map(str::to_owned),
        fields: None,
        metadata_only: false,
        managed_fields: ManagedFields::Drop,
    }
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name, "labels": { "made": "here" } }, "data": { "a": name } }))
        .expect("a ConfigMap")
}

pub(crate) async fn create(client: &Client, namespace: &str, names: impl Iterator<Item = String>) -> Outcome {
    let maps = Api::<ConfigMap>::namespaced(client.kube(), namespace);
    let names: Vec<String> = names.collect();
    let mut tasks = JoinSet::new();
    for names in names.chunks(names.len().div_ceil(8)) {
        let (names, maps) = (names.to_vec(), maps.clone());
        tasks.spawn(async move {
            for name in names {
                maps.create(&PostParams::default(), &map(&name)).await?;
            }
            Ok::<_, kube::Error>(())
        });
    }
    while let Some(created) = tasks.join_next().await {
        created??;
    }
    Ok(())
}

/// Invariant R14 of client-go's reflector.
pub(crate) fn a_watch_list_and_a_paged_list_bring_the_same_objects(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let cluster = scope.control_plane();
        let robot = Robot::reader(scope)?;
        let client = robot.client().await?;
        create(&client, scope.namespace(), (0..MANY).map(|number| format!("map-{number}"))).await?;
        let mark = cluster.audit_mark()?;

        let (streamed, listed) = (Mirror::default(), Mirror::default());
        let target = target::<ConfigMap>(scope, Some("made=here"));
        let source = ApiListerWatcher::new(client.clone(), target.clone());
        let mut tasks = JoinSet::new();
        let (reflector, _) = Reflector::new(target.clone(), source, streamed.clone());
        tasks.spawn(reflector.run());
        let source = WithoutWatchList::new(&client, &target);
        let (reflector, status) = Reflector::new(target, source, listed.clone());
        tasks.spawn(reflector.run());
        streamed.replaced(1)?;
        listed.replaced(1)?;
        assert_eq!((streamed.objects().len(), listed.objects().len()), (MANY, MANY));
        assert!(streamed.objects() == listed.objects(), "some object differs");
        assert!(status.borrow().failure.is_none(), "{:?}", status.borrow());

        // What comes after the list comes to both.
        create(&client, scope.namespace(), ["late".to_owned()].into_iter()).await?;
        Api::<ConfigMap>::namespaced(client.kube(), scope.namespace())
            .delete("map-7", &DeleteParams::default())
            .await?;
        let key = |name: &str| format!("{}/{name}", scope.namespace());
        for mirror in [&streamed, &listed] {
            eventually("the later changes", PATIENCE, || {
                let objects = mirror.objects();
                Ok((objects.contains_key(&key("late")) && !objects.contains_key(&key("map-7"))).then_some(()))
            })?;
        }
        assert!(streamed.objects() == listed.objects(), "some object differs");

        let requests = robot.requests(cluster, mark)?;
        let pages: Vec<_> = requests.iter().filter(|entry| entry.verb == "list").map(|entry| &entry.uri).collect();
        assert_eq!(pages.len(), 3, "{pages:#?}");
        assert!(pages.iter().all(|uri| uri.contains("limit=500")), "{pages:#?}");
        let continued: Vec<_> = pages.iter().map(|uri| uri.contains("continue=")).collect();
        assert_eq!(continued, [false, true, true], "{pages:#?}");
        let refused = requests.iter().filter(|entry| entry.verb == "watch" && entry.code >= 400).count();
        assert_eq!(refused, 1, "the server itself refused: {requests:#?}");
        Ok(())
    })
}

pub(crate) fn a_version_that_is_no_longer_kept_costs_one_list_and_loses_nothing(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let cluster = scope.control_plane();
        let robot = Robot::new(scope, "leaf", &[Leaf::declaration().erase()], Reach::Namespace)?;
        let leaf = |name: &str| {
            json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Leaf", "metadata": { "name": name },
                "spec": { "colour": "green" } })
        };
        apply(scope, &[leaf("kept"), leaf("forgotten")])?;
        let mark = cluster.audit_mark()?;

        let target = target::<Leaf>(scope, None);
        let source = Forgetful {
            inner: WithoutWatchList::new(&robot.client().await?, &target),
            leaves: Api::namespaced(administrator(scope).await?.kube(), scope.namespace()),
            forgot: AtomicBool::new(false),
        };
        let mirror = Mirror::default();
        let mut tasks = JoinSet::new();
        let (reflector, status) = Reflector::new(target, source, mirror.clone());
        tasks.spawn(reflector.run());
        mirror.replaced(2)?;
        let keys: Vec<String> = mirror.objects().into_keys().collect();
        assert_eq!(keys, [format!("{}/kept", scope.namespace())]);
        apply(scope, &[leaf("late")])?;
        eventually("the watch to go on", PATIENCE, || Ok((mirror.objects().len() == 2).then_some(())))?;
        assert!(status.borrow().failure.is_none(), "an expired version is nobody's failure: {:?}", status.borrow());

        let requests = robot.requests(cluster, mark)?;
        let lists = requests.iter().filter(|entry| entry.verb == "list").collect::<Vec<_>>();
        assert_eq!(lists.len(), 2, "{requests:#?}");
        assert!(lists[1].uri.contains("resourceVersionMatch=NotOlderThan"), "{lists:#?}");
        assert_eq!(mirror.0.lock().unwrap().replaced, 2);
        Ok(())
    })
}
