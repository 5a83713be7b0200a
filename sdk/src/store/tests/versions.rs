//! What a list may say that is older than what is stored.
use super::*;

/// Returns the version of an object that is stored.
fn version(store: &Store, name: &str) -> String {
    store.copy(&key(name)).unwrap().view().metadata().resource_version.to_string()
}

#[test]
fn a_server_that_went_back_is_known_by_the_part_that_it_lists() {
    let (store, writer) = Store::new(Options::default());
    let mut writer = writer.divided(vec![Some("a".to_owned()), Some("b".to_owned())]);
    writer.enter(0);
    list(&mut writer, "10", &[config_map("a/one").version(8)]);
    writer.enter(1);
    list(&mut writer, "20", &[config_map("b/one").version(15)]);
    list(&mut writer, "14", &[config_map("b/one").version(12)]);
    assert_eq!(version(&store, "b/one"), "12", "the part was complete at 20, whatever the other one was");
    writer.enter(0);
    list(&mut writer, "30", &[config_map("a/one").version(8)]);
    writer.begin_list();
    put(&mut writer, &config_map("a/one").version(35));
    // It broke off, and a replica that lags behind answers the next.
    writer.begin_list();
    assert!(matches!(put(&mut writer, &config_map("a/one").version(33)), Put::Unchanged));
}

#[test]
fn before_anything_was_complete_an_older_state_comes_from_a_replica_that_lags_behind() {
    let (store, mut writer) = Store::new(Options::default());
    writer.begin_list();
    put(&mut writer, &config_map("a/one").version(15));
    assert_eq!(list(&mut writer, "13", &[config_map("a/one").version(12)]), Vec::<String>::new());
    assert_eq!(version(&store, "a/one"), "15");
}
