//! Queries against the same thing done by hand.
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::Expression;

use crate::resource::ObjectKey;
use crate::store::fixture::{config_map, key};
use crate::store::{Options, Store, Writer};

use super::*;

const APPS: [&str; 3] = ["web", "api", "db"];

/// Six hundred objects in three namespaces, one of which does not decode.
fn filled() -> (Arc<Store>, Writer, Lister<ConfigMap>) {
    let (store, mut writer) = Store::new(Options::default());
    for number in 0..600 {
        let object = config_map(&format!("n{}/{number:03}", number % 3)).version(number + 1);
        let object = object.label("app", APPS[number / 3 % 3]).data("node", format!("node-{}", number % 7));
        let object = if number % 2 == 0 { object.label("even", "") } else { object };
        writer.put(&object.controller(&format!("owner-{}", number % 5)).envelope());
    }
    let lister = Lister::new(Arc::clone(&store));
    (store, writer, lister)
}

fn numbers(keys: &[ObjectKey]) -> Vec<usize> {
    let mut numbers: Vec<usize> = keys.iter().map(|key| key.name().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn expected(wanted: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..600).filter(|&number| wanted(number)).collect()
}

#[test]
fn conditions_add_up_with_and_without_indexes() {
    let (store, _writer, lister) = filled();
    let check = || {
        let query = || lister.query();
        let is = |app: &'static str| move |number: usize| APPS[number / 3 % 3] == app;
        assert_eq!(numbers(&query().namespace("n1").keys()), expected(|number| number % 3 == 1));
        assert_eq!(numbers(&query().labels("app=web").unwrap().keys()), expected(is("web")));
        assert_eq!(numbers(&query().labels("app in (web,db)").unwrap().keys()), expected(|number| !is("api")(number)));
        assert_eq!(
            numbers(&query().labels("app!=web,even").unwrap().keys()),
            expected(|n| !is("web")(n) && n % 2 == 0)
        );
        assert_eq!(numbers(&query().labels("app,!even").unwrap().keys()), expected(|number| number % 2 == 1));
        assert_eq!(numbers(&query().labels("app=none").unwrap().keys()), Vec::<usize>::new());
        let all = query().namespace("n2").controlled_by("owner-4").labels("app notin (web),even").unwrap();
        let by_hand = expected(|n| n % 3 == 2 && n % 5 == 4 && !is("web")(n) && n % 2 == 0);
        assert!(!by_hand.is_empty());
        assert_eq!(all.clone().count(), by_hand.len());
        assert_eq!(numbers(&all.clone().keys()), by_hand);
        let listed: Vec<_> = all.clone().list().unwrap().iter().map(|object| ObjectKey::of(&**object)).collect();
        assert_eq!(listed, all.clone().keys(), "in order");
        assert_eq!(all.clone().metadata().iter().map(|metadata| metadata.key.clone()).collect::<Vec<_>>(), listed);
        assert_eq!(numbers(&all.iter().map(|object| ObjectKey::of(&*object.unwrap())).collect::<Vec<_>>()), by_hand);
    };
    check();
    store.add_index(Projection::Label("app".into()));
    check();
    store.add_index(Projection::Label("even".into()));
    check();
}

#[test]
fn a_selector_on_an_indexed_label_looks_at_nothing_else() {
    let (store, _writer, lister) = filled();
    let slot = store.add_index(Projection::Label("app".into()));
    assert_eq!(store.add_index(Projection::Label("app".into())), slot, "one index for each label");
    let check = |selector: &str, looked_at: usize| {
        let query = lister.query().labels(selector).unwrap().namespace("n1");
        let (sources, filter) = crate::store::condition::plan(&store.read(), query.conditions.clone());
        let sizes = sources.iter().map(|source| match source {
            crate::store::condition::Source::All => 600,
            crate::store::condition::Source::Value(slot, value) => store.read().count(*slot, value.view()),
        });
        assert_eq!((sizes.sum::<usize>(), filter.len()), (looked_at, query.conditions.len() - 1), "{selector}");
    };
    check("app=none", 0);
    check("app in (none,nothing)", 0);
    check("app=web", 200);
    check("app!=web", 200);
    let exists = lister.query().labels("app").unwrap();
    let (sources, _) = crate::store::condition::plan(&store.read(), exists.conditions);
    assert_eq!(sources.len(), 3, "each value once");
}

#[test]
fn fields_are_selected_by_name_namespace_and_declared_paths() {
    let (store, _writer, lister) = filled();
    let fields = |selector: &str| lister.query().fields(selector).map(|query| numbers(&query.keys()));
    assert_eq!(fields("metadata.name=007").unwrap(), [7]);
    assert_eq!(fields("metadata.namespace=n1,metadata.name!=001").unwrap(), expected(|n| n % 3 == 1 && n != 1));
    assert_eq!(fields("metadata.namespace!=n1").unwrap(), expected(|number| number % 3 != 1));
    let error = fields("data.node=node-1").unwrap_err();
    assert!(error.to_string().contains("add_field_index(\"data.node\")"), "{error}");
    store.add_index(Projection::Field("data.node".into()));
    assert_eq!(fields("data.node=node-1").unwrap(), expected(|number| number % 7 == 1));
    assert_eq!(fields("data.node!=node-1").unwrap(), expected(|number| number % 7 != 1));
    let slot = store.add_index(Projection::Field("data.missing".into()));
    assert_eq!(fields("data.missing=").unwrap().len(), 600, "what is missing is empty, as for the API server");
    let index: Index<ConfigMap> = Index::new(Arc::clone(&store), slot);
    assert_eq!(lister.values(&index), [(String::new(), 600)]);
}

#[test]
fn a_limit_bounds_what_is_read() {
    let (_store, _writer, lister) = filled();
    for limit in [0, 1, 255, 256, 257, 599, 600, 601] {
        let query = || lister.query().limit(limit);
        let expected = limit.min(600);
        assert_eq!((query().keys().len(), query().count(), query().iter().count()), (expected, expected, expected));
        assert_eq!(query().list().unwrap().len(), expected);
    }
    assert_eq!(lister.query().namespace("n1").limit(3).keys().len(), 3);
}

#[test]
fn iteration_goes_on_behind_an_object_that_does_not_decode() {
    let (_store, mut writer, lister) = filled();
    writer.put(&config_map("n0/300").uid("n0/300").version(9000).undecodable().envelope());
    assert_eq!(lister.list().unwrap_err().key, key("n0/300"));
    let (good, bad): (Vec<_>, Vec<_>) = lister.query().into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (599, 1));
    let error = bad.into_iter().next().unwrap().unwrap_err();
    assert_eq!((error.key, error.path.as_str()), (key("n0/300"), "data.broken"));
}

#[test]
fn values_and_counts_of_an_index_are_told_without_looking_at_objects() {
    let (store, mut writer, lister) = filled();
    let slot = store.add_index(Projection::Label("app".into()));
    let index: Index<ConfigMap> = Index::new(Arc::clone(&store), slot);
    let named = |name: &str, count| (name.to_owned(), count);
    assert_eq!(lister.values(&index), [named("api", 201), named("db", 198), named("web", 201)]);
    writer.put(&config_map("n0/000").uid("n0/000").version(9000).label("app", "other").envelope());
    assert_eq!(lister.values(&index), [named("api", 201), named("db", 198), named("other", 1), named("web", 200)]);
    assert_eq!((lister.count_by(&index, "web"), lister.count_by(&index, "none")), (200, 0));
    assert_eq!(lister.by(&index, "other").unwrap().len(), 1);
}

#[test]
fn one_store_is_read_in_every_form() {
    let (store, mut writer, lister) = filled();
    let slot = store.add_index(Projection::Label("app".into()));
    let index: Index<ConfigMap> = Index::new(Arc::clone(&store), slot);
    let one = key("n1/001");
    let partial = lister.partial().get(&one).unwrap().unwrap();
    assert_eq!(partial.metadata.labels.as_ref().unwrap()["app"], "web");
    let dynamic = lister.dynamic().get(&one).unwrap().unwrap();
    let types = dynamic.types.as_ref().unwrap();
    assert_eq!((types.api_version.as_str(), types.kind.as_str()), ("v1", "ConfigMap"));
    assert_eq!(dynamic.data["data"]["node"], "node-1");
    let json = lister.json().query().by(&index, "web").namespace("n1").limit(1).list().unwrap();
    assert_eq!((&json[0]["kind"], &json[0]["metadata"]["namespace"]), (&"ConfigMap".into(), &"n1".into()));
    let typed = lister.get(&one).unwrap().unwrap();
    assert_eq!(typed.metadata.name, partial.metadata.name);
    assert!(Arc::ptr_eq(&typed, &lister.get(&one).unwrap().unwrap()), "it is hot as what it was read as last");
    let metadata = lister.metadata(&one).unwrap();
    assert_eq!((&metadata.key, metadata.controller().unwrap().uid.as_ref()), (&one, "owner-1"));
    writer.put(&config_map("n0/300").uid("n0/300").version(9000).undecodable().envelope());
    assert_eq!(lister.partial().list().unwrap().len(), 600, "who reads less of an object is not hurt by the rest");
    let error = lister.dynamic().get(&key("n0/300"));
    assert!(error.is_ok());
}

#[test]
fn a_selector_by_value_is_the_same_as_one_by_text() {
    let (_store, _writer, lister) = filled();
    let selector = Selector::from(Expression::In("app".into(), ["web".to_owned(), "db".to_owned()].into()));
    let by_text = lister.query().labels("app in (db, web)").unwrap();
    assert_eq!(lister.query().matching(selector.clone()).keys(), by_text.keys());
    assert_eq!(lister.matching(&selector).unwrap().len(), 399);
    assert!(lister.query().labels("app in web").is_err());
}
