//! Typed reads.
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::SelectorExt;

use crate::store::Writer;
use crate::store::fixture::{config_map, key};

use super::*;

fn names(objects: &[Arc<ConfigMap>]) -> Vec<&str> {
    objects.iter().map(|object| object.metadata.name.as_deref().unwrap()).collect()
}

fn filled() -> (Lister<ConfigMap>, Arc<Store>, Writer) {
    let (store, mut writer) = Store::new();
    for object in [
        config_map("b/three").label("app", "web"),
        config_map("a/two").label("app", "db").label("tier", "back").controller("owner"),
        config_map("a/one").label("app", "web").controller("owner").data("k", "v"),
    ] {
        writer.put(&object.envelope());
    }
    (Lister::new(Arc::clone(&store)), store, writer)
}

#[test]
fn reads_are_typed_and_in_order_of_keys() {
    let (lister, _, _) = filled();
    assert_eq!(lister.get(&key("a/one")).unwrap().unwrap().data.as_ref().unwrap()["k"], "v");
    assert!(lister.get(&key("a/none")).unwrap().is_none());
    assert_eq!(names(&lister.list().unwrap()), ["one", "two", "three"]);
    assert_eq!(names(&lister.namespaced("a").unwrap()), ["one", "two"]);
    assert_eq!(names(&lister.namespaced("none").unwrap()), Vec::<&str>::new());
    assert_eq!(names(&lister.controlled_by("owner").unwrap()), ["one", "two"]);
    assert_eq!(lister.keys(), [key("a/one"), key("a/two"), key("b/three")]);
    assert_eq!((lister.len(), lister.is_empty()), (3, false));
    assert_eq!(lister.raw(&key("a/one")).unwrap().metadata().key, key("a/one"));
}

#[test]
fn an_index_is_read_by_value() {
    let (lister, store, _) = filled();
    let slot = store.add_index(Arc::new(|envelope, out| {
        envelope.object().metadata().labels.iter().for_each(|(_, value)| out(value));
        Ok(())
    }));
    let index = Index::new(store, slot);
    assert_eq!(names(&lister.by(&index, "web").unwrap()), ["one", "three"]);
    assert_eq!(lister.keys_by(&index, "back"), [key("a/two")]);
}

#[test]
#[should_panic(expected = "another informer")]
fn an_index_of_another_informer_is_refused() {
    let (lister, _, _) = filled();
    let (other, _) = Store::new();
    let slot = other.add_index(Arc::new(|_, _| Ok(())));
    let _ = lister.by(&Index::new(other, slot), "web");
}

#[test]
fn selectors_match_as_kube_matches_them() {
    let (lister, _, mut writer) = filled();
    writer.put(&config_map("c/unlabelled").undecodable().envelope());
    let check = |expression: Expression| {
        let selector = Selector::from(expression);
        let expected: Vec<String> = ["a/one", "a/two", "b/three"]
            .into_iter()
            .filter(|name| {
                let labels = lister.get(&key(name)).unwrap().unwrap().metadata.labels.clone();
                selector.matches(&labels.unwrap_or_default())
            })
            .map(|name| name[2..].to_owned())
            .collect();
        match lister.matching(&selector) {
            Ok(found) => assert_eq!(names(&found), expected, "{selector}"),
            Err(error) => assert_eq!(error.key, key("c/unlabelled"), "{selector}"),
        }
        expected.len()
    };
    let [web, db, none] = ["web", "db", "none"].map(str::to_owned);
    assert_eq!(check(Expression::Equal("app".into(), web.clone())), 2);
    assert_eq!(check(Expression::Equal("app".into(), none.clone())), 0);
    assert_eq!(check(Expression::NotEqual("app".into(), web.clone())), 1);
    assert_eq!(check(Expression::In("app".into(), [web.clone(), db].into())), 3);
    assert_eq!(check(Expression::NotIn("app".into(), [web, none].into())), 1);
    assert_eq!(check(Expression::Exists("tier".into())), 1);
    assert_eq!(check(Expression::DoesNotExist("tier".into())), 2);
}

#[test]
fn an_object_that_does_not_decode_spoils_only_reads_of_it() {
    let (lister, _, mut writer) = filled();
    writer.put(&config_map("b/bad").label("app", "bad").undecodable().envelope());
    let error = lister.get(&key("b/bad")).unwrap_err();
    assert_eq!((error.kind.as_str(), error.key, error.path.as_str()), ("ConfigMap", key("b/bad"), "data.broken"));
    assert_eq!(lister.list().unwrap_err().key, key("b/bad"));
    assert_eq!(lister.namespaced("b").unwrap_err().key, key("b/bad"));
    assert_eq!(names(&lister.namespaced("a").unwrap()), ["one", "two"]);
    let web = Selector::from(Expression::Equal("app".into(), "web".into()));
    assert_eq!(names(&lister.matching(&web).unwrap()), ["one", "three"], "what does not match is not decoded");
}
