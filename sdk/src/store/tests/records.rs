//! The two forms of a record.
use proptest::prelude::*;

use crate::wire::text::Text;

use super::super::names::Names;
use super::super::record::{self, Scratch};
use super::*;

/// Begins like others, at length or not.
const NAME: &str = "(owner-of-the-rest|web-of-a-large-sh|web-of-a-large-s)?[-op]{0,3}[a-c]{1,3}";

/// Returns the stored form of an object, and what it leaves to the index of controllers.
fn stored(object: &ConfigMapFixture, names: &mut Names) -> (Vec<u8>, Vec<u8>, Option<Text>) {
    let (mut scratch, mut record) = (Scratch::default(), Vec::new());
    record::write(&object.raw(), &mut scratch);
    let controller = record::intern(&scratch.whole, names, &mut record);
    (scratch.whole, record, controller)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_stored_record_says_what_the_whole_one_says_and_leaves_of_its_name_what_a_label_says(
        name in NAME,
        labels in prop::collection::btree_map("[a-z]{1,2}", prop_oneof![NAME, "[a-c]{0,2}", "(owner-of-the-rest|web-of-a-large-sh)-?"], 0..12),
        others in prop::collection::vec(NAME, 8),
        owned: bool,
        met in 0..3_u8,
    ) {
        let mut object = config_map(&format!("a/{name}"));
        object = labels.iter().fold(object, |object, (label, value)| object.label(label, value));
        if owned {
            object = object.controller("0a1b2c3d-0000-4000-8000-000000000001");
        }
        let mut names = Names::default();
        // Words are spelled out until they have been met again.
        (0..met).for_each(|_| _ = stored(&object, &mut names));
        let (whole, record, controller) = stored(&object, &mut names);

        let mut expanded = Vec::new();
        record::expand(&record, Some(&Text::of("a")), controller.as_ref(), &names, &mut expanded);
        prop_assert_eq!(&expanded, &whole);
        let mut written = Vec::new();
        record::write_name(&record, &names, &mut written);
        prop_assert_eq!(&written, name.as_bytes());
        for other in others.iter().chain([&name]).chain(labels.values()) {
            for part in (0..=other.len()).flat_map(|at| [&other[..at], &other[at..]]) {
                prop_assert_eq!(record::is_named(&record, &names, part.as_bytes()), part == name, "{}", part);
            }
        }
        let begins = |value: &&String| name.starts_with(*value) && value.len() >= 16;
        let shared = labels.values().take(7).filter(begins).map(String::len).max().unwrap_or(0);
        let spelled = Names::default();
        let mut nameless = record;
        nameless[0] &= 0b0001_1111;
        let mut rest = Vec::new();
        record::write_name(&nameless, &spelled, &mut rest);
        prop_assert_eq!(&rest, &name.as_bytes()[shared..], "the longest value of the first labels is left out, if it is long");
    }
}
