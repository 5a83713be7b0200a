//! The store against a map that does the same the simple way, under random changes.
use std::collections::{BTreeMap, BTreeSet};

use kube::core::Expression;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Put(Change),
    Remove(u8),
    /// A list of these; what else is stored goes.
    List(Vec<Change>),
    NewDictionary,
    AddIndex,
}

/// One object in one state.
#[derive(Clone, Debug)]
struct Change {
    name: u8,
    uid: u8,
    words: u8,
    owner: u8,
    label: u8,
}

impl Change {
    fn key(name: u8) -> String {
        format!("{}/object-{name}", ["a", "b", "c"][usize::from(name % 3)])
    }

    fn words(&self) -> BTreeSet<String> {
        (0..3).filter(|bit| self.words >> bit & 1 == 1).map(|bit| format!("w{bit}")).collect()
    }

    fn owner(&self) -> Option<String> {
        (self.owner > 0).then(|| format!("owner-{}", self.owner))
    }

    fn fixture(&self, version: usize) -> ConfigMapFixture {
        let words: Vec<_> = self.words().into_iter().collect();
        let object = config_map(&Self::key(self.name))
            .uid(&format!("uid-{}-{}", self.name, self.uid))
            .version(version)
            .label("label", &self.label.to_string())
            .data("words", words.join(" "))
            .data("filler", format!("the quick brown fox {} jumps over the lazy dog {version}", self.name).repeat(4));
        self.owner().map_or_else(|| object.clone(), |owner| object.clone().controller(&owner))
    }
}

fn change() -> impl Strategy<Value = Change> {
    (0..60_u8, 0..8_u8, 0..8_u8, 0..4_u8, 0..3_u8).prop_map(|(name, uid, words, owner, label)| Change {
        name,
        uid: uid / 7,
        words,
        owner,
        label,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => change().prop_map(Step::Put),
        6 => (0..60_u8).prop_map(Step::Remove),
        1 => prop::collection::vec(change(), 0..60).prop_map(Step::List),
        1 => Just(Step::NewDictionary),
        1 => Just(Step::AddIndex),
    ]
}

/// The same the simple way.
#[derive(Default)]
struct Model(BTreeMap<String, (Change, usize)>);

impl Model {
    fn keys(&self, wanted: impl Fn(&Change) -> bool) -> Vec<String> {
        self.0.iter().filter(|(_, (change, _))| wanted(change)).map(|(key, _)| key.clone()).collect()
    }

    fn check(&self, store: &Store, slots: &[usize]) {
        let mut keys: Vec<_> = store.keys().iter().map(ToString::to_string).collect();
        keys.sort();
        assert_eq!(keys, self.keys(|_| true));
        for (name, (change, version)) in &self.0 {
            let (stored, expected) = (store.get(&key(name)).unwrap(), change.fixture(*version).raw());
            assert_eq!(stored.json(), expected.json());
            assert_eq!(format!("{:?}", stored.metadata()), format!("{:?}", expected.metadata()));
        }
        for namespace in ["a", "b", "c", "d"] {
            let expected: Vec<_> = self.0.keys().filter(|key| key.starts_with(namespace)).cloned().collect();
            assert_eq!(names(store, BY_NAMESPACE, namespace), expected);
        }
        for owner in 1..4 {
            let owner = format!("owner-{owner}");
            let expected = self.keys(|change| change.owner().as_deref() == Some(&owner));
            assert_eq!(names(store, BY_CONTROLLER, &owner), expected);
        }
        for (slot, word) in slots.iter().flat_map(|slot| ["w0", "w1", "w2"].map(|word| (slot, word))) {
            assert_eq!(names(store, *slot, word), self.keys(|change| change.words().contains(word)));
        }
        for label in ["0", "1", "2", "3"] {
            let found = select(store, vec![Condition::Label(Expression::Equal("label".to_owned(), label.to_owned()))]);
            let mut found: Vec<_> =
                found.iter().flat_map(packed::Batch::iter).map(|object| object.key_text().to_owned()).collect();
            found.sort();
            assert_eq!(found, self.keys(|change| change.label.to_string() == label));
        }
    }
}

/// Puts one object and checks what is said about it.
fn apply(model: &mut Model, writer: &mut Writer, change: &Change, version: usize) {
    let said = put(writer, &change.fixture(version));
    match (model.0.insert(Change::key(change.name), (change.clone(), version)), said) {
        (None, Put::Added) => {}
        (Some((old, version)), Put::Updated { old: seen }) if old.uid == change.uid => {
            assert_eq!(seen.object().json(), old.fixture(version).raw().json());
        }
        (Some((old, version)), Put::Recreated { old: seen }) if old.uid != change.uid => {
            assert_eq!(seen.object().json(), old.fixture(version).raw().json());
        }
        (old, said) => panic!("{old:?} {said:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_store_does_what_a_map_does(steps in prop::collection::vec(step(), 1..250)) {
        let (store, mut writer) = Store::new(Options::default());
        let (mut model, mut slots) = (Model::default(), Vec::new());
        for (version, step) in steps.iter().enumerate() {
            match step {
                Step::Put(change) => apply(&mut model, &mut writer, change, version),
                Step::Remove(name) => {
                    let removed = match model.0.remove(&Change::key(*name)) {
                        Some((old, _)) => writer.remove(&old.fixture(version).raw()).is_some(),
                        None => writer.remove(&config_map(&Change::key(*name)).raw()).is_none(),
                    };
                    prop_assert!(removed);
                }
                Step::List(changes) => {
                    let changes: BTreeMap<_, _> = changes.iter().map(|change| (Change::key(change.name), change)).collect();
                    writer.begin_list();
                    changes.values().for_each(|change| apply(&mut model, &mut writer, change, version));
                    let mut gone: Vec<_> = writer.finish_list(ResourceVersion::new("1")).iter()
                        .map(|object| object.metadata().key.to_string()).collect();
                    gone.sort();
                    let expected: Vec<_> = model.0.keys().filter(|key| !changes.contains_key(*key)).cloned().collect();
                    prop_assert_eq!(gone, expected);
                    model.0.retain(|key, _| changes.contains_key(key));
                }
                Step::NewDictionary => _ = super::packing::change_dictionary(&mut writer),
                Step::AddIndex if slots.len() < 3 => slots.push(store.add_index(words())),
                Step::AddIndex => {}
            }
        }
        model.check(&store, &slots);
        model.0.values().for_each(|(change, version)| _ = writer.remove(&change.fixture(*version).raw()));
        // What is known of words that were seen once.
        prop_assert!(store.memory_usage().names <= 8 * 1024, "words without objects");
    }
}
