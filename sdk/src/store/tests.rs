//! The S invariants, re-lists, and readers beside the writer.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::ConfigMap;

use super::fixture::{ConfigMapFixture, config_map, key};
use super::index::{BY_CONTROLLER, BY_NAMESPACE};
use super::*;

mod forms;

mod model;

mod exemplars;

mod packing;

mod records;

mod versions;

mod walks;

/// Indexes by the words of `data.words`, decoding the object.
fn words() -> Projection {
    Projection::new(|envelope, out| {
        let object = envelope.decode::<ConfigMap>()?;
        let words = object.data.as_ref().and_then(|data| data.get("words")).cloned().unwrap_or_default();
        words.split(' ').filter(|word| !word.is_empty()).for_each(out);
        Ok(())
    })
}

fn with_words(name: &str, version: u64, words: &str) -> ConfigMapFixture {
    config_map(name).version(version).data("words", words)
}

/// Reads what satisfies all conditions, slice by slice.
fn select(store: &Store, conditions: Vec<Condition>) -> Vec<packed::Batch> {
    let (mut walk, mut batches) = (Walk::new(conditions, usize::MAX), Vec::new());
    loop {
        let (batch, walked) = walk.batch(store);
        batches.push(batch);
        if walked == Walked::All {
            return batches;
        }
    }
}

fn by(store: &Store, slot: usize, value: &str) -> Vec<packed::Batch> {
    select(store, vec![Condition::Value(Is::Equal, slot, value.into())])
}

fn names(store: &Store, slot: usize, value: &str) -> Vec<String> {
    let mut names: Vec<_> = store.keys_by(slot, value).iter().map(ToString::to_string).collect();
    names.sort();
    let mut objects: Vec<_> = by(store, slot, value)
        .iter()
        .flat_map(packed::Batch::iter)
        .map(|object| object.metadata().key.to_string())
        .collect();
    objects.sort();
    assert_eq!(names, objects, "keys and objects of a value agree");
    names
}

fn put(writer: &mut Writer, object: &ConfigMapFixture) -> Put {
    writer.put(&object.envelope())
}

fn list(writer: &mut Writer, version: &str, objects: &[ConfigMapFixture]) -> Vec<String> {
    writer.begin_list();
    for object in objects {
        put(writer, object);
    }
    let vanished = writer.finish_list(ResourceVersion::new(version));
    let mut names: Vec<_> = vanished.iter().map(|object| object.metadata().key.to_string()).collect();
    names.sort();
    names
}

#[test]
fn s1_the_last_object_of_a_value_takes_the_value_with_it() {
    let (store, mut writer) = Store::new(Options::default());
    let slot = store.add_index(words());
    put(&mut writer, &with_words("a/one", 1, "red").controller("owner"));
    put(&mut writer, &with_words("a/two", 2, "red"));
    let count = |slot| store.read().indexes.value_count(slot);
    assert_eq!((count(slot), count(BY_NAMESPACE), count(BY_CONTROLLER)), (1, 1, 1));
    writer.remove(&config_map("a/one").raw());
    assert_eq!((count(slot), count(BY_NAMESPACE), count(BY_CONTROLLER)), (1, 1, 0));
    put(&mut writer, &with_words("a/two", 3, ""));
    assert_eq!((count(slot), count(BY_NAMESPACE)), (0, 1));
    writer.remove(&config_map("a/two").raw());
    assert_eq!((count(slot), count(BY_NAMESPACE), count(BY_CONTROLLER)), (0, 0, 0));
}

#[test]
fn s2_other_values_of_a_multi_valued_index_survive() {
    let (store, mut writer) = Store::new(Options::default());
    let slot = store.add_index(words());
    put(&mut writer, &with_words("a/one", 1, "red green"));
    put(&mut writer, &with_words("a/two", 2, "green blue"));
    writer.remove(&config_map("a/one").raw());
    assert_eq!(names(&store, slot, "red"), Vec::<String>::new());
    assert_eq!(names(&store, slot, "green"), ["a/two"]);
    assert_eq!(names(&store, slot, "blue"), ["a/two"]);
}

#[test]
fn s3_repeated_values_count_once_and_updates_move_objects() {
    let (store, mut writer) = Store::new(Options::default());
    let slot = store.add_index(words());
    put(&mut writer, &with_words("a/one", 1, "red red green red"));
    assert_eq!(names(&store, slot, "red"), ["a/one"]);
    put(&mut writer, &with_words("a/one", 2, "green blue"));
    assert_eq!(names(&store, slot, "red"), Vec::<String>::new());
    assert_eq!(names(&store, slot, "green"), ["a/one"]);
    assert_eq!(names(&store, slot, "blue"), ["a/one"]);
    put(&mut writer, &with_words("a/one", 3, "green").controller("owner"));
    assert_eq!(names(&store, BY_CONTROLLER, "owner"), ["a/one"]);
    put(&mut writer, &with_words("a/one", 4, "green").controller("heir"));
    assert_eq!(names(&store, BY_CONTROLLER, "owner"), Vec::<String>::new());
    assert_eq!(names(&store, BY_CONTROLLER, "heir"), ["a/one"]);
    assert_eq!(names(&store, BY_NAMESPACE, "a"), ["a/one"]);
}

#[test]
fn s4_an_index_added_later_equals_one_from_the_start_while_writes_go_on() {
    let (store, mut writer) = Store::new(Options::default());
    let early = store.add_index(words());
    for number in 0..300 {
        put(&mut writer, &with_words(&format!("a/{number}"), number + 1, &format!("n{}", number % 7)));
    }
    let late = std::thread::scope(|scope| {
        let adders: Vec<_> = (0..2).map(|_| scope.spawn(|| store.add_index(words()))).collect();
        for number in 0..300_u64 {
            put(&mut writer, &with_words(&format!("a/{number}"), 1000 + number, &format!("n{}", number % 5)));
            if number % 3 == 0 {
                writer.remove(&config_map(&format!("a/{number}")).raw());
            }
        }
        adders.into_iter().map(|adder| adder.join().unwrap()).collect::<Vec<_>>()
    });
    for slot in late {
        for value in 0..8 {
            let value = format!("n{value}");
            assert_eq!(names(&store, slot, &value), names(&store, early, &value), "{value}");
        }
        assert_eq!(store.read().indexes.value_count(slot), store.read().indexes.value_count(early));
    }
}

#[test]
fn s4_an_index_that_comes_while_an_object_is_being_written_has_that_object() {
    let (store, mut writer) = Store::new(Options::default());
    let late = Arc::new(Mutex::new(None));
    store.add_index(Projection::new({
        let (store, late) = (Arc::clone(&store), Arc::clone(&late));
        move |_, _| {
            late.lock().unwrap().get_or_insert_with(|| store.add_index(words()));
            Ok(())
        }
    }));
    put(&mut writer, &with_words("a/one", 1, "red"));
    let late = late.lock().unwrap().unwrap();
    assert_eq!(names(&store, late, "red"), ["a/one"]);
}

#[test]
fn s4_filling_an_index_never_brings_back_an_older_state() {
    // Whichever of both the index is filled with first, which is the one that changes meanwhile.
    for objects in [["a/changed", "a/gone"], ["a/gone", "a/changed"]] {
        let (store, mut writer) = Store::new(Options::default());
        objects.iter().for_each(|object| _ = put(&mut writer, &with_words(object, 1, "red")));
        let writer = Mutex::new(writer);
        let slot = store.add_index(Projection::new(move |envelope, out| {
            // The objects change while the index is being filled with their first state.
            if let Ok(mut writer) = writer.try_lock() {
                put(&mut writer, &with_words("a/changed", 3, "green"));
                writer.remove(&config_map("a/gone").version(4).raw());
            }
            words().values(envelope, out)
        }));
        assert_eq!(names(&store, slot, "red"), Vec::<String>::new());
        assert_eq!(names(&store, slot, "green"), ["a/changed"]);
        assert_eq!(store.read().indexes.value_count(slot), 1);
    }
}

#[test]
fn s5_the_version_moves_with_writes_and_at_the_end_of_a_list_only() {
    let (store, mut writer) = Store::new(Options::default());
    let check = |expected: &str, when: &str| assert_eq!(store.version().as_str(), expected, "{when}");
    writer.begin_list();
    put(&mut writer, &config_map("a/one").version(7));
    writer.bookmark(&ResourceVersion::new("8"));
    check("", "a list without an end is not readable as a whole");
    writer.finish_list(ResourceVersion::new("9"));
    check("9", "the list is complete");
    put(&mut writer, &config_map("a/one").version(10));
    check("10", "a write");
    writer.remove(&config_map("a/one").version(11).raw());
    check("11", "a delete carries its own version");
    writer.remove(&config_map("a/one").version(12).raw());
    check("12", "a delete of what is not stored tells the version too");
    writer.bookmark(&ResourceVersion::new("100"));
    check("100", "a bookmark");
    writer.bookmark(&ResourceVersion::new("99"));
    check("100", "9 and 99 are less than 100: nothing moves back");
    writer.begin_list();
    put(&mut writer, &config_map("a/one").version(120));
    check("100", "a re-list has not ended");
    writer.finish_list(ResourceVersion::new("50"));
    check("50", "a server restored from a backup is behind: its list is what is readable");
}

#[test]
fn i3_a_relist_changes_only_what_changed() {
    let (store, mut writer) = Store::new(Options::default());
    let [same, changed, gone] = ["a/same", "a/changed", "a/gone"].map(config_map);
    list(&mut writer, "10", &[same.clone(), changed.clone(), gone.clone()]);
    let kept = store.copy(&key("a/same")).unwrap();
    writer.begin_list();
    assert!(matches!(put(&mut writer, &same), Put::Unchanged));
    assert!(
        matches!(put(&mut writer, &changed.version(2)), Put::Updated { old } if old.metadata().resource_version.as_str() == "1")
    );
    assert!(matches!(put(&mut writer, &config_map("a/new")), Put::Added));
    assert!(store.get(&key("a/gone")).is_some(), "nothing is gone before the list ends");
    let vanished = writer.finish_list(ResourceVersion::new("20"));
    assert_eq!(vanished.iter().map(|object| object.metadata().key.as_str()).collect::<Vec<_>>(), ["a/gone"]);
    assert_eq!(kept.stamp, store.copy(&key("a/same")).unwrap().stamp, "an unchanged object stays as it is");
    assert_eq!(store.len(), 3);
    assert!(names(&store, BY_NAMESPACE, "a").iter().all(|name| name != "a/gone"));
}

#[test]
fn an_older_state_replaces_a_newer_one_only_when_the_server_went_back() {
    let (store, mut writer) = Store::new(Options::default());
    let one = |version: u64| config_map("a/one").version(version);
    let stored = || store.copy(&key("a/one")).unwrap().view().metadata().resource_version.to_string();
    list(&mut writer, "10", &[one(8)]);
    assert!(matches!(put(&mut writer, &one(12)), Put::Updated { .. }));
    assert!(matches!(put(&mut writer, &one(9)), Put::Unchanged), "a watch was resumed from before");
    assert_eq!((stored(), store.version().as_str()), ("12".to_owned(), "12"));
    writer.begin_list();
    put(&mut writer, &one(15));
    // It broke off, and a replica that lags behind the first answers the next.
    assert_eq!(list(&mut writer, "13", &[one(12)]), Vec::<String>::new(), "it counts as listed");
    assert_eq!(stored(), "15");
    put(&mut writer, &one(16));
    // A list that contradicts what was complete comes from a server that was restored from a backup.
    list(&mut writer, "6", &[one(5)]);
    assert_eq!((stored(), store.version().as_str()), ("5".to_owned(), "6"));
    put(&mut writer, &one(7));
    let other = put(&mut writer, &one(3).uid("other"));
    assert!(matches!(other, Put::Recreated { .. }), "versions of two objects say nothing");
}

#[test]
fn a_list_that_broke_off_confirms_nothing_for_the_next() {
    let (_, mut writer) = Store::new(Options::default());
    list(&mut writer, "10", &[config_map("a/one"), config_map("a/two")]);
    writer.begin_list();
    put(&mut writer, &config_map("a/one"));
    assert_eq!(list(&mut writer, "20", &[config_map("a/two")]), ["a/one"]);
}

#[test]
fn changes_during_a_streamed_list_count_as_listed() {
    let (store, mut writer) = Store::new(Options::default());
    list(&mut writer, "10", &["a/one", "a/two", "a/three"].map(config_map));
    writer.begin_list();
    put(&mut writer, &config_map("a/one"));
    put(&mut writer, &config_map("a/two").version(12));
    put(&mut writer, &config_map("a/four").version(13));
    writer.remove(&config_map("a/one").version(14).raw());
    assert!(
        writer.finish_list(ResourceVersion::new("14")).iter().all(|object| object.metadata().key == key("a/three"))
    );
    let mut keys = store.keys();
    keys.sort();
    assert_eq!(keys, [key("a/four"), key("a/two")]);
}

#[test]
fn an_end_without_a_list_removes_nothing() {
    let (store, mut writer) = Store::new(Options::default());
    list(&mut writer, "10", &[config_map("a/one")]);
    put(&mut writer, &config_map("a/two").version(11));
    assert!(writer.finish_list(ResourceVersion::new("12")).is_empty());
    assert_eq!(store.len(), 2);
}

#[test]
fn i16_another_uid_under_a_key_is_another_object() {
    let (store, mut writer) = Store::new(Options::default());
    put(&mut writer, &config_map("a/one").uid("first"));
    let put = put(&mut writer, &config_map("a/one").uid("second"));
    assert!(matches!(put, Put::Recreated { old } if &*old.metadata().uid == "first"), "even at an equal version");
    let removed = writer.remove(&config_map("a/one").uid("third").version(9).raw()).unwrap();
    assert!(!removed.final_state_known, "the end of the second was missed");
    assert_eq!(&*removed.last.metadata().uid, "second");
    assert!(store.get(&key("a/one")).is_none());
    assert!(writer.remove(&config_map("a/one").raw()).is_none());
}

#[test]
fn objects_without_a_version_always_count_as_changed() {
    let (_, mut writer) = Store::new(Options::default());
    put(&mut writer, &config_map("a/one").version(""));
    assert!(matches!(put(&mut writer, &config_map("a/one").version("")), Put::Updated { .. }));
}

#[test]
fn a_failing_projection_leaves_the_object_out_and_is_reported_once() {
    let reports = Reports::default();
    let _guard = tracing::subscriber::set_default(reports.clone());
    let check = |expected: usize, when: &str| assert_eq!(reports.0.load(Ordering::Relaxed), expected, "{when}");
    let (store, mut writer) = Store::new(Options::default());
    put(&mut writer, &with_words("a/late", 1, "red").undecodable());
    let by_word = store.add_index(words());
    check(1, "filling an index meets what is stored");
    let angry = store.add_index(Projection::new(|envelope, out| {
        out("before");
        assert!(envelope.object().metadata().labels.is_empty(), "no labels, please");
        Ok(())
    }));
    put(&mut writer, &with_words("a/bad", 2, "red").undecodable().label("angry", "yes"));
    check(2, "one object, two indexes that fail, one report");
    put(&mut writer, &with_words("a/bad", 3, "red").undecodable().label("angry", "yes"));
    check(2, "it fails again");
    put(&mut writer, &with_words("a/good", 4, "red"));
    assert_eq!(names(&store, by_word, "red"), ["a/good"]);
    assert_eq!(names(&store, angry, "before"), ["a/good", "a/late"]);
    assert_eq!(names(&store, BY_NAMESPACE, "a"), ["a/bad", "a/good", "a/late"], "built-in indexes need no decode");
    put(&mut writer, &with_words("a/bad", 5, "red"));
    assert_eq!(names(&store, by_word, "red"), ["a/bad", "a/good"]);
    put(&mut writer, &with_words("a/bad", 6, "red").undecodable());
    check(3, "it was mended and broke again");
    writer.remove(&config_map("a/bad").raw());
    writer.begin_list();
    writer.finish_list(ResourceVersion::new("9"));
    assert!(store.quarantined().is_empty(), "the quarantine holds stored objects only");
}

#[test]
fn readers_see_whole_objects_and_true_indexes_during_relists() {
    const OBJECTS: u64 = 200;
    const ROUNDS: u64 = 20;
    let (store, mut writer) = Store::new(Options::default());
    let slot = store.add_index(words());
    let round = |round: u64| {
        let objects = (0..OBJECTS).map(|number| {
            with_words(
                &format!("a/{number}"),
                round,
                &format!("all {}", if round.is_multiple_of(2) { "even" } else { "odd" }),
            )
        });
        objects.chain([with_words(&format!("a/only-{round}"), round, "all")]).collect::<Vec<_>>()
    };
    list(&mut writer, "1", &round(1));
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    check_reads(&store, slot, OBJECTS);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 2..=ROUNDS {
            assert_eq!(list(&mut writer, &number.to_string(), &round(number)), [format!("a/only-{}", number - 1)]);
        }
        while reads.load(Ordering::Relaxed) < 10 {
            std::thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// What must hold at every instant of a re-list that replaces all objects.
fn check_reads(store: &Store, slot: usize, stable: u64) {
    let number = |version: &ResourceVersion| version.as_str().parse::<u64>().unwrap();
    let at_least = number(&store.version());
    for (word, parity) in [("even", 0), ("odd", 1)] {
        for object in by(store, slot, word).iter().flat_map(packed::Batch::iter) {
            assert_eq!(
                number(&object.metadata().resource_version) % 2,
                parity,
                "an index never lies about what it lists"
            );
        }
    }
    for name in 0..stable {
        let object = store.get(&key(&format!("a/{name}"))).expect("a re-list never hides an object");
        assert!(number(&object.metadata().resource_version) >= at_least, "the version is never ahead of the content");
    }
    let all = by(store, slot, "all");
    let all = all.iter().map(packed::Batch::len).sum::<usize>() as u64;
    assert!((stable + 1..=stable + 2).contains(&all), "{all}");
}

/// Counts what is logged at warning level and above.
#[derive(Clone, Default)]
struct Reports(Arc<AtomicUsize>);

impl tracing::Subscriber for Reports {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
