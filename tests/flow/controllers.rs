//! Controllers put together by hand from informers, without a derive and without a kind of their own.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use controlplane::harness::{self, Trial};
use controlplane::{TestScope, eventually};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kubewright::controller::{Controller, Predicate, SendError, Source, Watch};
use kubewright::informer::handler::Handle;
use kubewright::manager::Manager;
use kubewright::metrics::Snapshot;
use kubewright::reconcile::{ReconcileFn, from_fn};
use kubewright::{Action, Informer, InformerFactory, Lister, ObjectKey, Result};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::operators::{Outcome, PATIENCE, Robot, apply, patch};

/// The trials of this file.
pub(crate) fn trials() -> [Trial; 2] {
    [
        Trial::shared(
            "a_controller_made_by_hand_comes_goes_and_comes_back",
            a_controller_made_by_hand_comes_goes_and_comes_back,
        ),
        Trial::shared(
            "a_deletion_without_a_finalizer_is_reconciled_once_more",
            a_deletion_without_a_finalizer_is_reconciled_once_more,
        ),
    ]
}

/// What each key looked like when it was reconciled last, and how often it was.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, (usize, String)>>>);

impl Seen {
    fn reconcile(&self, maps: Lister<ConfigMap>) -> ReconcileFn {
        let seen = self.clone();
        from_fn(move |key: ObjectKey| {
            let result = seen.note(&maps, &key);
            async move { result.map(|()| Action::await_change()) }
        })
    }

    fn note(&self, maps: &Lister<ConfigMap>, key: &ObjectKey) -> Result<()> {
        let colour = |map: Arc<ConfigMap>| map.data.as_ref().and_then(|data| data.get("colour").cloned());
        let found = maps.get(key)?.map_or_else(|| "gone".to_owned(), |map| colour(map).unwrap_or_default());
        let mut seen = self.0.lock().unwrap();
        let entry = seen.entry(key.name().to_owned()).or_default();
        *entry = (entry.0 + 1, found);
        Ok(())
    }

    fn of(&self, name: &str) -> (usize, String) {
        self.0.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    fn wait(&self, name: &str, colour: &str) -> Outcome<usize> {
        Ok(eventually(&format!("{name} to be seen {colour}"), PATIENCE, || {
            let (times, seen) = self.of(name);
            if seen == colour { Ok(Some(times)) } else { Err(format!("it was seen {seen:?}").into()) }
        })?)
    }
}

/// Reconciles ConfigMaps for their own changes of data or labels, and for the Secrets that they name.
fn controller(maps: &Informer<ConfigMap>, secrets: &Informer<Secret>) -> Controller {
    let by_secret = maps.add_index(|map: &ConfigMap| {
        let namespace = map.metadata.namespace.clone().unwrap_or_default();
        map.data.as_ref().and_then(|data| data.get("secret")).map(|name| format!("{namespace}/{name}"))
    });
    // Each namespace has one that nobody here made.
    let ours = Predicate::object(|map: &Handle<ConfigMap>| map.key().name() != "kube-root-ca.crt");
    Controller::new("maps", 2)
        .source(Watch::primary(maps).filter(ours).filter(Predicate::annotations_changed().not()))
        .source(Watch::referenced_by(secrets, maps, &by_secret))
}

fn map(name: &str, colour: &str, secret: &str) -> Value {
    let data = json!({ "colour": colour, "secret": secret });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

fn secret(value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "value": value } })
}

fn a_controller_made_by_hand_comes_goes_and_comes_back(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let robot = Robot::reader(scope)?;
        apply(scope, &[map("a", "green", "s"), map("b", "blue", "other")])?;
        let factory = InformerFactory::new(robot.client().await?).in_namespace(scope.namespace());
        let manager = Manager::new(factory.clone());
        let (controllers, stop) = (manager.controllers(), manager.stop_handle());
        let mut tasks = JoinSet::new();
        tasks.spawn(manager.run());

        // Neither the controller nor its informers were there when the manager started.
        let (maps, secrets) = (factory.informer::<ConfigMap>(), factory.informer::<Secret>());
        let (seen, (sender, outside)) = (Seen::default(), Source::channel());
        sender.send(ObjectKey::namespaced(scope.namespace(), "only-told-of")).await?;
        controllers.add(controller(&maps, &secrets).source(outside), seen.reconcile(maps.lister()))?;
        let (a, b) = (seen.wait("a", "green")?, seen.wait("b", "blue")?);
        seen.wait("only-told-of", "gone")?;
        assert_eq!((a, b, seen.of("kube-root-ca.crt").0), (1, 1, 0));

        // What a predicate drops, what a relation by index brings, and what only the object's own change does.
        patch(scope, "configmap/b", &json!({ "metadata": { "annotations": { "note": "quiet" } } }))?;
        apply(scope, &[secret("one")])?;
        eventually("the secret's change to reach the map that names it", PATIENCE, || {
            Ok((seen.of("a").0 > a).then_some(()))
        })?;
        patch(scope, "configmap/a", &json!({ "data": { "colour": "red" } }))?;
        seen.wait("a", "red")?;
        assert_eq!(seen.of("b").0, b, "its annotations and another's secret are none of its business");

        // Gone: its informers go on, its handlers do not.
        assert!(controllers.remove("maps").await);
        patch(scope, "configmap/a", &json!({ "data": { "colour": "black" } }))?;
        let key = ObjectKey::namespaced(scope.namespace(), "a");
        eventually("the cache to see the change", PATIENCE, || {
            let colour = maps.lister().get(&key)?.and_then(|map| map.data.as_ref()?.get("colour").cloned());
            Ok((colour.as_deref() == Some("black")).then_some(()))
        })?;
        assert_eq!(seen.of("a").1, "red");
        assert_eq!(sender.try_send(key), Err(SendError::Closed));

        // Back under its name: the initial list tells it everything that it missed.
        controllers.add(controller(&maps, &secrets), seen.reconcile(maps.lister()))?;
        seen.wait("a", "black")?;
        let mut snapshot = Snapshot::default();
        controllers.collect(&mut snapshot);
        let text = snapshot.text();
        assert!(text.contains("controller_runtime_max_concurrent_reconciles{controller=\"maps\"} 2\n"), "{text}");
        stop.stop();
        while let Some(end) = tasks.join_next().await {
            let _ = end??;
        }
        Ok(())
    })
}

fn a_deletion_without_a_finalizer_is_reconciled_once_more(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let robot = Robot::reader(scope)?;
        let factory = InformerFactory::new(robot.client().await?).in_namespace(scope.namespace());
        let (maps, secrets) = (factory.informer::<ConfigMap>(), factory.informer::<Secret>());
        let seen = Seen::default();
        let manager = Manager::new(factory).controller(controller(&maps, &secrets), seen.reconcile(maps.lister()));
        let stop = manager.stop_handle();
        let mut tasks = JoinSet::new();
        tasks.spawn(manager.run());
        apply(scope, &[map("a", "green", "s")])?;
        seen.wait("a", "green")?;
        scope.kubectl(&["delete", "configmap/a"], "")?.success()?;
        let gone = seen.wait("a", "gone")?;
        apply(scope, &[map("a", "red", "s")])?;
        assert_eq!(seen.wait("a", "red")?, gone + 1, "another life of the key");
        // All at once, and none of them with a finalizer.
        scope.kubectl(&["delete", "configmaps", "--all"], "")?.success()?;
        seen.wait("a", "gone")?;
        stop.stop();
        while let Some(end) = tasks.join_next().await {
            let _ = end??;
        }
        Ok(())
    })
}
