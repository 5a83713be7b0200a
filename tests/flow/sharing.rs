//! What informers share, how long they live, and which kinds they wait for.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use controlplane::audit::Stage;
use controlplane::harness::{self, Trial};
use controlplane::{AuditEntry, TestScope, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use kubewright::informer::handler::{Deleted, Handle, Registration, ResourceEventHandler};
use kubewright::informer::options::{InformerOptions, Presence};
use kubewright::kube::api::{DeleteParams, Patch, PatchParams};
use kubewright::kube::{Api, CustomResource, CustomResourceExt};
use kubewright::{Informer, InformerFactory, ObjectKey, interop};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::operators::{Outcome, PATIENCE, Robot, administrator, apply};

/// What is tried here.
pub(crate) fn trials() -> [Trial; 4] {
    [
        Trial::shared(
            "several_namespaces_share_a_cache_until_the_last_holder_is_gone",
            several_namespaces_share_a_cache_until_the_last_holder_is_gone,
        ),
        Trial::shared(
            "a_kind_that_comes_late_is_cached_and_is_empty_when_it_is_gone",
            a_kind_that_comes_late_is_cached_and_is_empty_when_it_is_gone,
        ),
        Trial::shared(
            "handlers_that_come_in_a_storm_know_exactly_what_is_there",
            handlers_that_come_in_a_storm_know_exactly_what_is_there,
        ),
        Trial::shared("kubes_controller_runs_on_an_informer", kubes_controller_runs_on_an_informer),
    ]
}

fn map(namespace: &str, name: &str) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": namespace, "name": name } })
}

fn several_namespaces_share_a_cache_until_the_last_holder_is_gone(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let (cluster, here) = (scope.control_plane(), scope.namespace());
        let other = format!("{here}-other");
        let robot = Robot::reader(scope)?;
        cluster.kubectl(&["create", "namespace", &other], "")?.success()?;
        let account = format!("--serviceaccount={here}:reader");
        cluster
            .kubectl(&["create", "role", "reader", "--verb=*", "--resource=configmaps", "-n", &other], "")?
            .success()?;
        cluster
            .kubectl(&["create", "rolebinding", "reader", "--role=reader", &account, "-n", &other], "")?
            .success()?;
        apply(scope, &[map(here, "a"), map(&other, "b")])?;
        let mark = cluster.audit_mark()?;
        let factory = InformerFactory::new(robot.client().await?);
        let options =
            || InformerOptions::default().namespaces([here, &other]).fields("metadata.name!=kube-root-ca.crt");
        let maps: Informer<ConfigMap> = factory.informer_with(options());
        let again: Informer<ConfigMap> = factory.informer_with(options());
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;
        let (a, b) = (ObjectKey::namespaced(here, "a"), ObjectKey::namespaced(&other, "b"));
        assert_eq!(again.lister().keys(), [b, a]);
        apply(scope, &[map(&other, "c")])?;
        let c = ObjectKey::namespaced(&other, "c");
        eventually("a change in the other namespace", PATIENCE, || Ok(maps.lister().get(&c)?))?;

        let watches = |stage: Stage| -> Outcome<Vec<AuditEntry>> {
            let mut entries = robot.requests(cluster, mark)?;
            entries.retain(|entry| entry.verb == "watch" && entry.stage == stage);
            Ok(entries)
        };
        drop(maps);
        apply(scope, &[map(&other, "d")])?;
        let d = ObjectKey::namespaced(&other, "d");
        eventually("the other holder to see on", PATIENCE, || Ok(again.lister().get(&d)?))?;
        assert_eq!(watches(Stage::ResponseComplete)?.len(), 0, "nothing has ended");
        drop(again);
        let ended = eventually("both watches to end", PATIENCE, || {
            let ended = watches(Stage::ResponseComplete)?;
            Ok((ended.len() == 2).then_some(ended))
        })?;
        assert!(
            ended.iter().any(|entry| entry.namespace == here) && ended.iter().any(|entry| entry.namespace == other)
        );

        let anew: Informer<ConfigMap> = factory.informer_with(options());
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;
        assert_eq!(anew.lister().keys().len(), 4);
        factory.shutdown().await;
        cluster.kubectl(&["delete", "namespace", &other, "--wait=false"], "")?.success()?;
        Ok(())
    })
}

/// Comes late and goes early.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Comet", namespaced)]
pub(crate) struct CometSpec {
    tail: String,
}

/// Counts what it is told.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<(usize, usize)>>);

impl ResourceEventHandler<Comet> for Counting {
    fn on_add(&mut self, _: Handle<Comet>, is_in_initial_list: bool) {
        assert!(!is_in_initial_list, "there was none");
        self.0.lock().unwrap().0 += 1;
    }
    fn on_delete(&mut self, _: Deleted<Comet>) {
        self.0.lock().unwrap().1 += 1;
    }
}

fn a_kind_that_comes_late_is_cached_and_is_empty_when_it_is_gone(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let cluster = scope.control_plane();
        let factory = InformerFactory::new(administrator(scope).await?).in_namespace(scope.namespace());
        let comets: Informer<Comet> = factory.informer_with(InformerOptions::default().presence(Presence::Optional));
        let told = Counting::default();
        let registration = comets.add_event_handler(told.clone());
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;
        registration.synced().await;
        let status = comets.status();
        assert!(status.borrow().missing.is_some() && status.borrow().failure.is_none(), "{:?}", *status.borrow());

        let crd = json!(Comet::crd());
        apply(scope, &[crd])?;
        let name = Comet::crd_name();
        cluster
            .kubectl(&["wait", "--for=condition=Established", &format!("crd/{name}"), "--timeout=60s"], "")?
            .success()?;
        let comet = json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Comet",
            "metadata": { "name": "halley", "namespace": scope.namespace() }, "spec": { "tail": "long" } });
        eventually("a comet to be accepted", PATIENCE, || Ok(apply(scope, std::slice::from_ref(&comet)).ok()))?;
        let key = ObjectKey::namespaced(scope.namespace(), "halley");
        let halley = eventually("it to be cached", PATIENCE, || Ok(comets.lister().get(&key)?))?;
        assert_eq!(halley.spec.tail, "long");
        assert!(status.borrow().missing.is_none() && status.borrow().failure.is_none());

        cluster.kubectl(&["delete", &format!("crd/{name}")], "")?.success()?;
        eventually("the cache to be empty", PATIENCE, || Ok(comets.lister().is_empty().then_some(())))?;
        eventually("the handler to know", PATIENCE, || Ok((*told.0.lock().unwrap() == (1, 1)).then_some(())))?;
        eventually("the kind to be missing", PATIENCE, || Ok(status.borrow().missing.is_some().then_some(())))?;
        assert!(status.borrow().synced && status.borrow().failure.is_none());
        factory.shutdown().await;
        Ok(())
    })
}

/// Checks every event against what it was told before.
#[derive(Clone, Default)]
struct Model(Arc<Mutex<BTreeMap<String, String>>>);

fn version(object: &Handle<ConfigMap>) -> String {
    object.metadata().resource_version.as_str().to_owned()
}

impl ResourceEventHandler<ConfigMap> for Model {
    fn on_add(&mut self, object: Handle<ConfigMap>, _: bool) {
        let before = self.0.lock().unwrap().insert(object.key().to_string(), version(&object));
        assert_eq!(before, None, "added once");
    }
    fn on_update(&mut self, old: Handle<ConfigMap>, new: Handle<ConfigMap>) {
        let before = self.0.lock().unwrap().insert(new.key().to_string(), version(&new));
        assert_eq!(before, Some(version(&old)), "the old state is what was told last");
    }
    fn on_delete(&mut self, object: Deleted<ConfigMap>) {
        assert!(self.0.lock().unwrap().remove(object.last.key().as_str()).is_some(), "it was told of before");
    }
}

/// How many changes there are, over how few objects, and after how many of them another handler comes.
const CHANGES: usize = 400;
const OBJECTS: usize = 12;
const EVERY: usize = 40;

fn handlers_that_come_in_a_storm_know_exactly_what_is_there(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let robot = Robot::reader(scope)?;
        let factory = InformerFactory::new(robot.client().await?).in_namespace(scope.namespace());
        let informer: Informer<ConfigMap> = factory.informer();
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;
        let maps = Api::<ConfigMap>::namespaced(administrator(scope).await?.kube(), scope.namespace());
        let mut models: Vec<(Model, Registration)> = Vec::new();
        for change in 0..CHANGES {
            let name = format!("m-{}", (change * 7 + change / 5) % OBJECTS);
            if change % 6 == 5 {
                // Half of them are gone already.
                let _ = maps.delete(&name, &DeleteParams::default()).await;
            } else {
                let patch = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "change": change.to_string() } });
                maps.patch(&name, &PatchParams::apply("storm").force(), &Patch::Apply(patch)).await?;
            }
            if change % EVERY == EVERY / 2 {
                let model = Model::default();
                models.push((model.clone(), informer.add_event_handler(model)));
            }
        }
        let there = maps.list(&Default::default()).await?;
        let of = |object: &ConfigMap| {
            let metadata = &object.metadata;
            let key = format!("{}/{}", scope.namespace(), metadata.name.as_deref().unwrap_or_default());
            (key, metadata.resource_version.clone().unwrap_or_default())
        };
        let expected: BTreeMap<_, _> = there.iter().map(of).collect();
        for (model, registration) in &models {
            registration.synced().await;
            let known = eventually("the handler to know all", PATIENCE, || {
                let known = model.0.lock().unwrap().clone();
                if known == expected { Ok(Some(known)) } else { Err(format!("{known:?}\n{expected:?}").into()) }
            })?;
            assert_eq!(known, expected);
        }
        assert_eq!(models.len(), CHANGES / EVERY);
        factory.shutdown().await;
        Ok(())
    })
}

fn kubes_controller_runs_on_an_informer(scope: &TestScope) -> Outcome {
    use futures_util::StreamExt;
    use kubewright::kube::runtime::controller::{Action, Controller};
    use kubewright::kube::runtime::{WatchStreamExt, reflector};
    harness::block_on(async {
        let robot = Robot::reader(scope)?;
        let cluster = scope.control_plane();
        let mark = cluster.audit_mark()?;
        let factory = InformerFactory::new(robot.client().await?).in_namespace(scope.namespace());
        let informer: Informer<ConfigMap> = factory.informer();
        let (reader, writer) = reflector::store();
        let touched = reflector(writer, interop::watcher(&informer)).touched_objects();
        let seen = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let reconcile = |object: Arc<ConfigMap>, seen: Arc<Mutex<BTreeMap<String, usize>>>| async move {
            let name = object.metadata.name.clone().unwrap_or_default();
            *seen.lock().unwrap().entry(name).or_default() += 1;
            Ok::<_, std::convert::Infallible>(Action::await_change())
        };
        let controller =
            Controller::for_stream(touched, reader).run(reconcile, |_, _, _| Action::await_change(), Arc::clone(&seen));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(controller.for_each(|_| async {}));
        let (store, _registration) = interop::store(&informer);
        factory.start();
        store.wait_until_ready().await?;
        apply(scope, &[map(scope.namespace(), "one")])?;
        let times = |name: &str| seen.lock().unwrap().get(name).copied().unwrap_or_default();
        eventually("a reconcile", PATIENCE, || Ok((times("one") > 0).then_some(())))?;
        let before = times("one");
        super::operators::patch(scope, "configmap/one", &json!({ "data": { "k": "v" } }))?;
        eventually("another reconcile", PATIENCE, || Ok((times("one") > before).then_some(())))?;
        let key = reflector::ObjectRef::new("one").within(scope.namespace());
        eventually("the store to follow", PATIENCE, || {
            Ok(store.get(&key).filter(|object| object.data.as_ref().is_some_and(|data| data["k"] == "v")))
        })?;
        let watches = robot.requests(cluster, mark)?.into_iter().filter(|entry| entry.verb == "watch").count();
        assert_eq!(watches, 1, "the controller, the store and the informer share it");
        factory.shutdown().await;
        Ok(())
    })
}
