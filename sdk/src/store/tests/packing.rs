//! What is stored comes back byte for byte, whatever dictionary packed it, and costs what the gauge says.
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::store::fixture::{described, report, varied};
use crate::store::training::Training;
use crate::wire::{CompactMetadata, Metadata};

/// An object of quite another make.
fn other(number: u64) -> ConfigMapFixture {
    let word = |word: u64| format!("{:X}", (word + 1).wrapping_mul(0xd6e8_feb8_6659_fd93));
    described(number).data("report", report(&(0..200).map(word).collect::<Vec<_>>().join(" "), number))
}

fn fill(writer: &mut Writer, objects: impl Iterator<Item = ConfigMapFixture>) {
    objects.for_each(|object| _ = put(writer, &object));
}

fn same(store: &Store, object: &ConfigMapFixture) {
    let (expected, stored) = (object.raw(), store.get(&object.raw().metadata().key).unwrap());
    assert_eq!(String::from_utf8_lossy(stored.json()), String::from_utf8_lossy(expected.json()));
    assert_eq!(format!("{:?}", stored.metadata()), format!("{:?}", expected.metadata()));
}

fn dictionaries(store: &Store) -> Vec<u8> {
    store.read().dictionaries.numbers().collect()
}

/// Returns how many bytes all packed bodies have.
fn bodies(store: &Store) -> usize {
    let contents = store.read();
    (0..contents.len()).map(|entry| contents.copy(entry as u32).view().packed_len()).sum()
}

/// Makes a dictionary now, whatever there is, and packs everything anew.
pub(super) fn change_dictionary(writer: &mut Writer) -> bool {
    let adopted = Training::default().first(&writer.store, 1).is_some_and(|dictionary| writer.adopt(&dictionary));
    while writer.repack() {}
    adopted
}

#[test]
fn a_small_store_is_plain_and_a_larger_one_is_packed_from_its_first_objects_on() {
    let (store, mut writer) = Store::new(Options::default());
    // The first of them is what the others differ from.
    fill(&mut writer, (0..34).map(described));
    assert!(dictionaries(&store).is_empty());
    let plain = bodies(&store);
    fill(&mut writer, (34..35).map(described));
    assert_eq!(dictionaries(&store), [1]);
    let packed = bodies(&store);
    assert!(packed * 10 < plain * 7, "{packed} {plain}: what was stored before is packed too");
    (0..35).for_each(|number| same(&store, &described(number)));
    let (store, mut writer) = Store::new(Options::default());
    list(&mut writer, "1", &(0..30).map(described).collect::<Vec<_>>());
    assert!(dictionaries(&store).is_empty());
    list(&mut writer, "2", &(0..31).map(described).collect::<Vec<_>>());
    assert_eq!(dictionaries(&store), [1], "a whole list has all there will be for now");
}

#[test]
fn short_differences_are_written_in_few_bits_and_need_no_dictionary() {
    let (store, mut writer) = Store::new(Options::default());
    list(&mut writer, "1", &(0..2000).map(varied).collect::<Vec<_>>());
    let json: usize = (0..2000).map(|number| varied(number).raw().json().len()).sum();
    let packed = bodies(&store);
    assert!(packed * 8 < json, "{packed} {json}");
    assert!(dictionaries(&store).is_empty() && writer.refinement().is_none());
    // Too few of another make for a dictionary, then enough of them.
    fill(&mut writer, (2000..2040).map(described));
    assert!(dictionaries(&store).is_empty());
    let again = |version: u64| (2000..2040).map(move |number| described(number).version(3_000_000 + version));
    (0..5).for_each(|version| fill(&mut writer, again(version)));
    assert!(dictionaries(&store).is_empty(), "those that change often are not more for that");
    fill(&mut writer, (2040..2200).map(described));
    assert_eq!(dictionaries(&store), [1]);
    let changed = (2000..2040).map(|number| described(number).version(3_000_004));
    (0..2000).map(varied).chain(changed).chain((2040..2200).map(described)).for_each(|object| same(&store, &object));
}

#[test]
fn objects_that_no_dictionary_can_be_made_of_stay_plain() {
    let (store, mut writer) = Store::new(Options::default());
    let tiny = |number: u64| RawObject::parse(format!(r#"{{"metadata":{{"name":"{number}"}}}}"#).as_bytes()).unwrap();
    for number in 0..100 {
        writer.put(&Envelope::new(Arc::new(tiny(number))));
    }
    assert!(dictionaries(&store).is_empty());
    let stored = store.get(&ObjectKey::cluster("77")).unwrap();
    assert_eq!(stored.json(), tiny(77).json());
}

#[test]
fn a_better_dictionary_is_adopted_and_the_old_one_is_dropped() {
    let (store, mut writer) = Store::new(Options::default());
    writer.begin_list();
    fill(&mut writer, (0..100).map(other).chain((100..2400).map(described)));
    assert!(writer.refinement().is_none(), "not during a list");
    writer.finish_list(ResourceVersion::new("1"));
    let before = bodies(&store);
    let refinement = writer.refinement().unwrap();
    assert!(writer.refinement().is_none(), "one at a time");
    fill(&mut writer, (2400..2420).map(described));
    (0..4).for_each(|number| _ = writer.remove(&other(number).raw()));
    refinement.run();
    while writer.tend() {}
    assert_eq!(dictionaries(&store), [2]);
    let after = bodies(&store);
    assert!(after * 10 < before * 9, "{after} {before}");
    (4..100).map(other).chain((100..2420).map(described)).for_each(|object| same(&store, &object));
    assert!(writer.refinement().is_none(), "no reason to begin again");
}

#[test]
fn a_dictionary_that_is_no_better_is_not_adopted() {
    let (store, mut writer) = Store::new(Options::default());
    list(&mut writer, "1", &(0..300).map(described).collect::<Vec<_>>());
    // The first refinement takes what the whole store offers; the second cannot be better than it.
    for round in 1..=2 {
        writer.training = Training::default();
        writer.refinement().unwrap().run();
        while writer.tend() {}
        assert!(dictionaries(&store).len() == 1, "{round}");
    }
    let number = dictionaries(&store)[0];
    writer.training = Training::default();
    writer.refinement().unwrap().run();
    while writer.tend() {}
    assert_eq!(dictionaries(&store), [number]);
}

#[test]
fn objects_of_another_make_bring_another_dictionary() {
    let (store, mut writer) = Store::new(Options::default());
    list(&mut writer, "1", &(0..600).map(described).collect::<Vec<_>>());
    writer.refinement().unwrap().run();
    while writer.tend() {}
    let number = dictionaries(&store);
    fill(&mut writer, (0..600).map(|number| described(number).version(2_000_000 + number)));
    assert!(writer.refinement().is_none(), "more of the same is no reason");
    let texts =
        |round: u64| (0..1300).map(move |number| other(number % 600).version(3_000_000 + round * 10_000 + number));
    fill(&mut writer, texts(0));
    let refinement = writer.refinement().expect("what arrives packs worse than it did");
    refinement.run();
    while writer.tend() {}
    assert_ne!(dictionaries(&store), number);
    fill(&mut writer, texts(1));
    assert!(writer.refinement().is_none(), "the new dictionary knows them");
}

#[test]
fn readers_are_served_while_dictionaries_change() {
    let (store, mut writer) = Store::new(Options::default());
    fill(&mut writer, (0..100).map(described));
    let held = store.copy(&described(7).raw().metadata().key).unwrap();
    std::thread::scope(|scope| {
        let reader = |start: usize| {
            let store = &store;
            move || {
                for number in (0..100).cycle().skip(start).take(300) {
                    same(store, &described(number));
                    let team = by(store, BY_NAMESPACE, "team-1").remove(0);
                    assert!(team.len() == 15 && team.iter().all(|object| object.object().json().len() > 400));
                }
            }
        };
        let readers = [scope.spawn(reader(0)), scope.spawn(reader(50))];
        let mut changes = 0;
        while changes < 5 || readers.iter().any(|reader| !reader.is_finished()) {
            assert!(change_dictionary(&mut writer));
            changes += 1;
        }
    });
    assert_eq!(dictionaries(&store).len(), 1);
    assert_eq!(held.view().object().json(), described(7).raw().json(), "what was copied outlives its dictionary");
}

#[test]
fn memory_comes_back_when_objects_go() {
    let (store, mut writer) = Store::new(Options::default());
    store.add_index(words());
    fill(&mut writer, (0..2000).map(varied));
    let full = store.memory_usage();
    assert!(full.records / full.objects < 400 && full.table / full.objects < 80, "{full:?}");
    (20..2000).for_each(|number| _ = writer.remove(&varied(number).raw()));
    let few = store.memory_usage();
    let movable = |usage: &MemoryUsage| usage.records + usage.table;
    assert!(movable(&few) * 25 < movable(&full), "{few:?} {full:?}");
    (0..20).for_each(|number| same(&store, &varied(number)));
    (0..20).for_each(|number| _ = writer.remove(&varied(number).raw()));
    let none = store.memory_usage();
    assert_eq!((none.objects, none.records, none.names), (0, 0, 0), "{none:?}");
    assert!(none.table + none.indexes < 8 * 1024, "{none:?}");
}

/// Any JSON below the root of an object.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[\\x00-\\x7f]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"]{1,6}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_uid() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[A-F0-9-]{0,36}", "\\PC{0,5}"]
}

prop_compose! {
    fn any_metadata()(
        namespace in "[a-z]{0,3}",
        name in "[a-z.\"\\\\]{1,8}",
        uid in any_uid(),
        version in prop_oneof!["[0-9]{0,25}", "[a-z]{0,3}"],
        generation in prop::option::of(any::<i64>()),
        deleting in any::<bool>(),
        labels in prop::collection::btree_map("[a-c\\x00é]{0,2}", "[a-c\\x00é]{0,2}", 0..4),
        finalizers in prop::collection::vec("[a-c/]{0,4}", 0..3),
        owners in prop::collection::vec((any_uid(), "[a-c]{0,2}/?[a-c]{1,2}", any::<bool>(), "[a-z]{1,3}"), 0..3),
    ) -> Value {
        let owners: Vec<_> = owners.into_iter().map(|(uid, group, controller, name)| {
            json!({ "apiVersion": group, "kind": "Kind", "uid": uid, "controller": controller, "name": name })
        }).collect();
        let mut metadata = json!({
            "namespace": namespace, "name": name, "uid": uid, "resourceVersion": version,
            "labels": labels, "finalizers": finalizers, "ownerReferences": owners,
        });
        if let Some(generation) = generation {
            metadata["generation"] = generation.into();
        }
        if deleting {
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        metadata
    }
}

fn seen_without_unpacking(store: &Store, key: &ObjectKey, known: &Metadata) -> Result<(), TestCaseError> {
    let metadata = CompactMetadata::new(store.head(key).unwrap()).to_metadata();
    prop_assert_eq!(format!("{metadata:?}"), format!("{known:?}"));
    let seen = store.glance(key, |head| (head.uid(), head.is_of_uid(&known.uid), head.version(), head.is_deleting()));
    prop_assert_eq!(seen, Some((known.uid.to_string(), true, known.resource_version.clone(), known.deleting)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_object_comes_back_as_it_was(objects in prop::collection::vec((any_metadata(), any_json()), 1..60), pretty: bool) {
        let (store, mut writer) = Store::new(Options::default());
        let mut expected = std::collections::BTreeMap::new();
        for (metadata, content) in objects {
            let object = json!({ "metadata": metadata, "spec": content.clone(), "copy": content });
            let text = if pretty { serde_json::to_string_pretty(&object).unwrap() } else { object.to_string() };
            let object = Arc::new(RawObject::parse(text.as_bytes()).unwrap());
            writer.put(&Envelope::new(Arc::clone(&object)));
            if expected.len() == 20 {
                change_dictionary(&mut writer);
            }
            expected.insert(object.metadata().key.clone(), object);
        }
        prop_assert_eq!(store.len(), expected.len());
        for (key, object) in &expected {
            let stored = store.get(key).unwrap();
            prop_assert_eq!(stored.json(), object.json());
            prop_assert_eq!(format!("{:?}", stored.metadata()), format!("{:?}", object.metadata()));
            seen_without_unpacking(&store, key, object.metadata())?;
        }
        for object in expected.values() {
            writer.remove(object);
        }
        let none = store.memory_usage();
        // What is remembered as seen stays.
        prop_assert!((none.objects, none.records) == (0, 0) && none.names <= 8192, "{:?}", none);
    }
}
