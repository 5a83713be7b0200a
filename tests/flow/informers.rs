//! Informers without an operator: handlers, indexes, selectors, and who shares a watch.
use std::sync::{Arc, Mutex};

use controlplane::harness;
use controlplane::{TestScope, eventually};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kubewright::declare::Narrow;
use kubewright::informer::handler::{Deleted, FinalState, Handle, ResourceEventHandler};
use kubewright::reflector::Encoding;
use kubewright::{InformerFactory, ObjectKey};
use serde_json::json;

use super::operators::{Outcome, PATIENCE, Robot, apply, patch};

/// Writes down what a handler is told, in short.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl ResourceEventHandler<ConfigMap> for Recorder {
    fn on_add(&mut self, object: Handle<ConfigMap>, is_in_initial_list: bool) {
        let when = if is_in_initial_list { "initial" } else { "new" };
        self.note(object.key(), format!("+{} {} {when}", object.key().name(), colour(&object)));
    }

    fn on_update(&mut self, old: Handle<ConfigMap>, new: Handle<ConfigMap>) {
        self.note(new.key(), format!("~{} {} {}", new.key().name(), colour(&old), colour(&new)));
    }

    fn on_delete(&mut self, object: Deleted<ConfigMap>) {
        let known = if object.final_state == FinalState::Known { "known" } else { "unknown" };
        self.note(object.last.key(), format!("-{} {} {known}", object.last.key().name(), colour(&object.last)));
    }
}

impl Recorder {
    /// Each namespace has a ConfigMap that nobody here made.
    fn note(&self, key: &ObjectKey, line: String) {
        if key.name() != "kube-root-ca.crt" {
            self.0.lock().unwrap().push(line);
        }
    }

    fn wait(&self, expected: &[&str]) -> Outcome {
        let told = eventually("the handler to be told all", PATIENCE, || {
            let told = self.0.lock().unwrap().clone();
            if told.len() >= expected.len() { Ok(Some(told)) } else { Err(format!("{told:?}").into()) }
        })?;
        assert_eq!(told, expected);
        Ok(())
    }
}

fn colour(map: &Handle<ConfigMap>) -> String {
    let map = map.get().expect("a ConfigMap decodes");
    map.data.iter().flatten().find(|(name, _)| *name == "colour").map(|(_, value)| value.clone()).unwrap_or_default()
}

fn map(name: &str, colour: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": { "colour": colour } }, "data": { "colour": colour },
    })
}

fn paint(scope: &TestScope, name: &str, colour: &str) -> Outcome {
    patch(
        scope,
        &format!("configmap/{name}"),
        &json!({ "metadata": { "labels": { "colour": colour } }, "data": { "colour": colour } }),
    )
}

pub(crate) fn handlers_see_every_change_in_order_and_late_ones_everything_once(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let robot = Robot::reader(scope)?;
        apply(scope, &[map("a", "green")])?;
        let factory = InformerFactory::new(robot.client().await?).in_namespace(scope.namespace());
        let maps = factory.informer::<ConfigMap>();
        let early = Recorder::default();
        let registration = maps.add_event_handler(early.clone());
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;
        registration.synced().await;
        early.wait(&["+a green initial"])?;

        paint(scope, "a", "red")?;
        apply(scope, &[map("b", "blue")])?;
        paint(scope, "a", "black")?;
        scope.kubectl(&["delete", "configmap/b"], "")?.success()?;
        let first = ["+a green initial", "~a green red", "+b blue new", "~a red black", "-b blue known"];
        early.wait(&first)?;

        apply(scope, &[map("c", "white")])?;
        eventually("c to be cached", PATIENCE, || {
            Ok(maps.lister().get(&ObjectKey::namespaced(scope.namespace(), "c"))?)
        })?;
        let late = Recorder::default();
        let late_registration = maps.add_event_handler(late.clone());
        late_registration.synced().await;
        let mut initial = late.0.lock().unwrap().clone();
        initial.sort();
        assert_eq!(initial, ["+a black initial", "+c white initial"]);

        drop(registration);
        paint(scope, "c", "grey")?;
        eventually("the late handler to see the change", PATIENCE, || {
            Ok((late.0.lock().unwrap().last().is_some_and(|line| line == "~c white grey")).then_some(()))
        })?;
        assert_eq!(late.0.lock().unwrap().len(), 3);
        early.wait(&[&first[..], &["+c white new"]].concat())?;
        factory.shutdown().await;
        Ok(())
    })
}

pub(crate) fn callers_share_one_watch_for_each_part_of_a_kind(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let cluster = scope.control_plane();
        let robot = Robot::reader(scope)?;
        apply(scope, &[map("a", "green"), map("b", "red")])?;
        let mark = cluster.audit_mark()?;
        let factory = InformerFactory::new(robot.client().await?).in_namespace(scope.namespace());
        let (maps, again) = (factory.informer::<ConfigMap>(), factory.clone().informer::<ConfigMap>());
        let reds = factory.narrowed::<ConfigMap>(&Narrow::default().labels("colour in (red)"));
        let by_colour =
            maps.add_index(|map: &ConfigMap| map.data.as_ref().and_then(|data| data.get("colour").cloned()));
        let told = Recorder::default();
        let _registration = reds.add_event_handler(told.clone());
        factory.start();
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;
        let names = |colour: &str| -> Vec<String> {
            again.lister().keys_by(&by_colour, colour).iter().map(|key| key.name().to_owned()).collect()
        };
        assert_eq!((names("green"), names("red")), (vec!["a".to_owned()], vec!["b".to_owned()]));
        assert_eq!(reds.lister().keys(), [ObjectKey::namespaced(scope.namespace(), "b")]);

        // An object that leaves a selector is gone from that part, and from no other.
        paint(scope, "a", "red")?;
        paint(scope, "b", "green")?;
        // The server tells of it with the last state that matched.
        told.wait(&["+b red initial", "+a red new", "-b red known"])?;
        eventually("the index to follow", PATIENCE, || {
            Ok((names("green") == ["b"] && names("red") == ["a"]).then_some(()))
        })?;
        assert_eq!(reds.lister().keys(), [ObjectKey::namespaced(scope.namespace(), "a")]);

        let requests = robot.requests(cluster, mark)?;
        let of = |selector: bool| {
            requests.iter().filter(|it| it.verb == "watch" && it.uri.contains("labelSelector") == selector).count()
        };
        assert_eq!((of(false), of(true), requests.len()), (1, 1, 2), "{requests:#?}");
        factory.shutdown().await;
        Ok(())
    })
}

pub(crate) fn metadata_alone_is_cached_where_it_alone_was_asked_for(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let robot = Robot::reader(scope)?;
        let secret = |name: &str| {
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "labels": { "a": "b" } },
                "stringData": { "password": "hunter2" } })
        };
        apply(scope, &[secret("before")])?;
        let factory = InformerFactory::new(robot.client().await?).in_namespace(scope.namespace());
        let secrets = factory.narrowed::<Secret>(&Narrow::default().metadata());
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;
        assert_eq!(factory.reflectors()[0].1.encoding, Some(Encoding::Protobuf));
        apply(scope, &[secret("after")])?;
        for name in ["before", "after"] {
            let key = ObjectKey::namespaced(scope.namespace(), name);
            let cached = eventually("the secret to be cached", PATIENCE, || Ok(secrets.lister().get(&key)?))?;
            assert_eq!(
                cached.metadata.labels.as_ref().and_then(|labels| labels.get("a")).map(String::as_str),
                Some("b")
            );
            assert_eq!((&cached.data, &cached.type_), (&None, &None), "{name}");
            assert!(cached.metadata.managed_fields.is_none(), "{name}");
        }
        factory.shutdown().await;
        Ok(())
    })
}
