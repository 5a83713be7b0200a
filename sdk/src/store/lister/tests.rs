//! Typed reads.
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::{Expression, SelectorExt};

use crate::resource::ResourceVersion;
use crate::store::fixture::{config_map, key};
use crate::store::index::Projection;
use crate::store::{Options, Writer};

use super::*;

fn names(objects: &[Arc<ConfigMap>]) -> Vec<&str> {
    objects.iter().map(|object| object.metadata.name.as_deref().unwrap()).collect()
}

fn filled() -> (Lister<ConfigMap>, Arc<Store>, Writer) {
    let (store, mut writer) = Store::new(Options::default());
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
    let slot = store.add_index(Projection::new(|envelope, out| {
        envelope.object().metadata().labels.iter().for_each(|(_, value)| out(value));
        Ok(())
    }));
    let index: Index<ConfigMap> = Index::new(store, slot);
    assert_eq!(names(&lister.by(&index, "web").unwrap()), ["one", "three"]);
    assert_eq!(lister.keys_by(&index, "back"), [key("a/two")]);
}

#[test]
#[should_panic(expected = "another informer")]
fn an_index_of_another_informer_is_refused() {
    let (lister, _, _) = filled();
    let (other, _) = Store::new(Options::default());
    let slot = other.add_index(Projection::new(|_, _| Ok(())));
    let _ = lister.by(&Index::<ConfigMap>::new(other, slot), "web");
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

#[test]
fn objects_that_are_read_again_are_decoded_once_for_each_state() {
    let (lister, store, mut writer) = filled();
    let first = lister.get(&key("a/one")).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &lister.get(&key("a/one")).unwrap().unwrap()));
    assert!(Arc::ptr_eq(&first, &lister.namespaced("a").unwrap()[0]), "queries share what is hot");
    let two = lister.controlled_by("owner").unwrap().remove(1);
    assert!(Arc::ptr_eq(&two, &lister.get(&key("a/two")).unwrap().unwrap()), "small queries make hot");
    let hot = store.memory_usage().hot;
    writer.put(&config_map("a/one").version(2).data("k", "w").envelope());
    assert!(store.memory_usage().hot < hot);
    assert_eq!(lister.get(&key("a/one")).unwrap().unwrap().data.as_ref().unwrap()["k"], "w");
    writer.remove(&config_map("a/one").raw());
    assert!(lister.get(&key("a/one")).unwrap().is_none());
    lister.get(&key("a/two")).unwrap();
    writer.begin_list();
    writer.finish_list(ResourceVersion::new("9"));
    assert!(lister.get(&key("a/two")).unwrap().is_none(), "what a list removes is not hot either");
}

#[test]
fn a_state_that_was_replaced_while_it_was_decoded_does_not_become_hot() {
    let (lister, store, mut writer) = filled();
    let packed = store.copy(&key("a/one")).unwrap();
    writer.put(&config_map("a/one").version(2).data("k", "w").envelope());
    let old = lister.decode(packed.view(), Keep::Hot).unwrap();
    assert_eq!(old.data.as_ref().unwrap()["k"], "v");
    assert_eq!(lister.get(&key("a/one")).unwrap().unwrap().data.as_ref().unwrap()["k"], "w");
}

#[test]
fn a_scan_makes_nothing_hot() {
    let (lister, store, mut writer) = filled();
    for number in 0..MAX_KEPT {
        writer.put(&config_map(&format!("c/{number}")).envelope());
    }
    assert_eq!(lister.namespaced("c").unwrap().len(), MAX_KEPT);
    let hot = store.memory_usage().hot;
    assert!(hot > 0);
    assert_eq!(lister.list().unwrap().len(), MAX_KEPT + 3);
    assert_eq!(store.memory_usage().hot, hot);
}

#[test]
fn readers_of_hot_objects_never_go_back_in_time() {
    let (lister, _, mut writer) = filled();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut seen, mut last) = (0, 0);
                    while last < 500 {
                        let object = lister.get(&key("a/one")).unwrap().unwrap();
                        last = object.metadata.resource_version.as_ref().unwrap().parse::<u64>().unwrap();
                        assert!(last >= seen, "{seen} then {last}");
                        seen = last;
                    }
                })
            })
            .collect();
        for version in 2..=500 {
            writer.put(&config_map("a/one").version(version).envelope());
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
