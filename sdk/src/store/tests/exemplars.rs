//! Objects are stored as differences to one of their family, and families come and go.
use super::*;
use crate::store::exemplars::{Exemplars, Families, NONE};

/// Text of an application: long, and the same for all of its objects.
fn template(app: u64) -> String {
    let line = |line: u64| format!("{:x}", (app * 1000 + line + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..100).map(line).collect::<Vec<_>>().join("\n")
}

/// An object of an application: all but a few bytes are those of the others.
fn object(app: u64, number: u64) -> ConfigMapFixture {
    config_map(&format!("apps/app-{app}-{number}"))
        .version(1 + number)
        .label("app", &format!("app-{app}"))
        .label("managed-by", "kubewright")
        .data("template", template(app))
        .data("number", format!("{:x}", number.wrapping_mul(0xd6e8_feb8_6659_fd93)))
}

fn exemplars(store: &Store) -> usize {
    let contents = store.read();
    (1..1000).filter(|&exemplar| contents.alike(exemplar) > 0).count()
}

fn body(store: &Store, object: &ConfigMapFixture) -> usize {
    store.copy(&object.raw().metadata().key).unwrap().view().packed_len()
}

#[test]
fn a_family_has_one_exemplar_and_the_others_are_what_sets_them_apart() {
    let (store, mut writer) = Store::new(Options::default());
    // In turns, so that it is the labels that tell who belongs together.
    (0..20)
        .flat_map(|number| (0..5).map(move |app| object(app, number)))
        .for_each(|object| _ = put(&mut writer, &object));
    assert_eq!(exemplars(&store), 5);
    let size = object(1, 1).raw().json().len();
    (0..5).for_each(|app| assert!(body(&store, &object(app, 7)) * 15 < size, "{app}"));
    // Another state of an object is like the one before, whatever came in between and whatever its labels say.
    put(&mut writer, &object(1, 7).version(1000).label("app", "app-3").data("more", "yes"));
    assert!(body(&store, &object(1, 7)) * 15 < size);
}

#[test]
fn an_exemplar_outlives_the_object_it_was_and_goes_with_the_last_of_its_family() {
    let (store, mut writer) = Store::new(Options::default());
    (0..2)
        .flat_map(|app| (0..10).map(move |number| object(app, number)))
        .for_each(|object| _ = put(&mut writer, &object));
    let held = store.copy(&object(1, 4).raw().metadata().key).unwrap();
    (0..9).for_each(|number| _ = writer.remove(&object(1, number).raw()));
    assert_eq!(exemplars(&store), 2);
    assert_eq!(store.get(&object(1, 9).raw().metadata().key).unwrap().json(), object(1, 9).raw().json());
    let with_both = store.memory_usage().packing;
    writer.remove(&object(1, 9).raw());
    assert_eq!(exemplars(&store), 1);
    assert!(store.memory_usage().packing + template(1).len() <= with_both);
    assert_eq!(held.view().object().json(), object(1, 4).raw().json(), "what was copied takes its exemplar along");
}

#[test]
fn objects_that_are_like_no_other_do_not_fill_the_store_with_exemplars() {
    let (store, mut writer) = Store::new(Options::default());
    (0..2000).for_each(|app| _ = put(&mut writer, &object(app, app)));
    let records = store.memory_usage().records;
    let bytes = exemplars(&store) * object(0, 0).raw().json().len();
    assert!(bytes <= 64 * 1024 + records / 8, "{bytes} {records}");
    assert!(bytes > 32 * 1024, "{bytes}: those that there is room for are tried");
}

#[test]
fn there_are_no_more_exemplars_than_readers_can_take_along() {
    let mut families = Families::new();
    let mut text = vec![0; 200];
    let mut added = 0;
    for number in 0..10_000_u64 {
        text.iter_mut().zip(1_u64..).for_each(|(byte, at)| *byte = ((number * 7919 + at * at * 104_729) >> 5) as u8);
        let likeness = families.liken(&[0; 8], &text, NONE, || usize::MAX);
        added += usize::from(likeness.is_new);
    }
    assert_eq!((added, families.exemplars().numbers().count()), (4096, 4096));
    families.forget(|number| number % 2 == 0);
    assert_eq!(families.exemplars().numbers().count(), 2048);
    families.forget(|_| true);
    assert_eq!(families.exemplars().numbers().count(), 0);
    assert!(Exemplars::default().get(1).is_none());
}
