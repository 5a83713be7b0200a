//! The forms a store keeps its objects in, and its budget.
use crate::metrics::Snapshot;
use crate::store::lister::Lister;

use super::*;

fn with(options: Options) -> (Arc<Store>, Writer, Lister<ConfigMap>) {
    let (store, writer) = Store::new(options);
    let lister = Lister::new(Arc::clone(&store));
    (store, writer, lister)
}

/// An object of about two kilobytes.
fn object(number: u64) -> ConfigMapFixture {
    let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    config_map(&format!("a/{number}")).version(number + 1).data("text", format!("{noise:x} ").repeat(120))
}

#[test]
fn a_decoded_store_keeps_whatever_was_read_until_it_changes() {
    let (store, mut writer, lister) = with(Options { storage: Storage::Decoded, ..Options::default() });
    let object = |number| object(number).data("more", "long ".repeat(4_000));
    (0..600).for_each(|number| _ = put(&mut writer, &object(number)));
    assert_eq!(store.memory_usage().hot, 0, "nobody has read anything");
    let first = lister.list().unwrap();
    assert!(store.memory_usage().hot > 8 * 1024 * 1024, "{:?}", store.memory_usage());
    put(&mut writer, &object(7).version(1000));
    let second = lister.list().unwrap();
    let same = first.iter().zip(&second).filter(|(first, second)| Arc::ptr_eq(first, second)).count();
    assert_eq!((same, second.len()), (599, 600), "only what changed is decoded again");
    let (_, mut writer, lister) = with(Options::default());
    (0..600).for_each(|number| _ = put(&mut writer, &object(number)));
    let (first, second) = (lister.list().unwrap(), lister.list().unwrap());
    assert!(first.iter().zip(&second).all(|(first, second)| !Arc::ptr_eq(first, second)), "a scan leaves nothing");
}

#[test]
fn a_store_of_metadata_holds_nothing_else_whatever_arrives() {
    let (store, mut writer, _) = with(Options { storage: Storage::Metadata, ..Options::default() });
    let whole = object(1).label("app", "web").raw();
    let envelope = writer.envelope(Arc::clone(&whole));
    writer.put(&envelope);
    let stored = store.get(&key("a/1")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(stored.json()).unwrap();
    assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["metadata"]);
    assert_eq!(value["metadata"]["labels"]["app"], "web");
    assert_eq!(envelope.object().json(), stored.json(), "handlers see what is stored");
    assert_eq!(writer.remove(&whole).unwrap().last.object().json(), stored.json());
}

#[test]
fn a_budget_takes_decoded_objects_first_and_then_says_that_it_is_exceeded() {
    let fill = |budget| {
        let (store, mut writer, lister) = with(Options { storage: Storage::Decoded, budget });
        (0..400).for_each(|number| _ = put(&mut writer, &object(number)));
        (0..400).for_each(|number| _ = lister.get(&key(&format!("a/{number}"))).unwrap());
        (store, writer)
    };
    let (store, _) = fill(Budget::Unlimited);
    let unlimited = store.memory_usage();
    let packed = unlimited.total() - unlimited.hot;
    assert!(unlimited.hot > 1_000_000 && !unlimited.over_budget);

    let (store, _) = fill(Budget::Bytes(packed + 500_000));
    assert!(!store.keep_budget());
    let bounded = store.memory_usage();
    assert!(bounded.total() <= packed + 500_000 && bounded.hot > 100_000, "{bounded:?}");

    let (store, mut writer) = fill(Budget::Bytes(packed - 10_000));
    assert!(store.keep_budget());
    let exceeded = store.memory_usage();
    assert_eq!((exceeded.hot, exceeded.objects, exceeded.over_budget), (0, 400, true), "nothing is lost");
    let mut snapshot = Snapshot::default();
    exceeded.record(&mut snapshot, &[("kind", "configmaps/v1")]);
    assert!(snapshot.text().contains("kubewright_cache_over_budget{kind=\"configmaps/v1\"} 1\n"));
    assert!(snapshot.text().contains("kubewright_cache_bytes{kind=\"configmaps/v1\",part=\"hot\"} 0\n"));
    (0..390).for_each(|number| _ = writer.remove(&object(number).raw()));
    assert!(!store.keep_budget() && !store.memory_usage().over_budget, "{:?}", store.memory_usage());
}
