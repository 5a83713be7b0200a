//! Walks of several slices, while the writer goes on between them.
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What happens between two slices.
#[derive(Clone, Debug)]
enum Step {
    Put { name: u16, word: u8 },
    Remove(u16),
    Slice(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..800_u16, 0..3_u8).prop_map(|(name, word)| Step::Put { name, word }),
        4 => (0..800_u16).prop_map(Step::Remove),
        1 => (0..4_u8).prop_map(Step::Slice),
    ]
}

fn object(name: u16, word: u8, version: u64) -> ConfigMapFixture {
    config_map(&format!("a/{name}")).version(version).label("word", &format!("w{word}")).controller("owner")
}

/// A walk on its way, with what it must meet.
struct Walker {
    walk: Walk,
    wanted: fn(u8) -> bool,
    /// What has satisfied the condition all the while.
    always: HashSet<u16>,
    /// What has ever satisfied it.
    ever: HashSet<u16>,
    met: Vec<u16>,
}

impl Walker {
    fn new(condition: Option<Condition>, wanted: fn(u8) -> bool, words: &BTreeMap<u16, u8>) -> Self {
        let walk = Walk::new(condition.into_iter().collect(), usize::MAX);
        let always: HashSet<u16> = words.iter().filter(|(_, word)| wanted(**word)).map(|(name, _)| *name).collect();
        Self { walk, wanted, ever: always.clone(), always, met: Vec::new() }
    }

    fn slice(&mut self, store: &Store) -> Walked {
        let (batch, walked) = self.walk.batch(store);
        self.met.extend(batch.iter().map(|object| object.key().name().parse::<u16>().unwrap()));
        walked
    }

    fn changed(&mut self, name: u16, word: Option<u8>) {
        if word.is_some_and(self.wanted) { _ = self.ever.insert(name) } else { _ = self.always.remove(&name) }
    }

    /// What stayed was met exactly once, and nothing was met that never was there.
    fn check(&mut self) {
        self.met.sort_unstable();
        let mut stayed: Vec<_> = self.always.iter().copied().collect();
        stayed.sort_unstable();
        let met: Vec<_> = self.met.iter().copied().filter(|name| self.always.contains(name)).collect();
        assert_eq!(met, stayed);
        assert!(self.met.iter().all(|name| self.ever.contains(name)));
    }
}

/// Four ways through one store, while `steps` happen.
fn check(steps: &[Step]) {
    let (store, mut writer) = Store::new(Options::default());
    assert_eq!(store.add_index(Projection::Label("word".into())), index::BUILT_IN);
    let words: BTreeMap<u16, u8> = (0..700_u16).map(|name| (name, (name % 2) as u8)).collect();
    words.iter().for_each(|(&name, &word)| _ = put(&mut writer, &object(name, word, 1)));
    let value = |is, slot, value: &str| Some(Condition::Value(is, slot, value.into()));
    let mut walkers = [
        Walker::new(None, |_| true, &words),
        Walker::new(value(Is::Equal, BY_CONTROLLER, "owner"), |_| true, &words),
        Walker::new(value(Is::Equal, index::BUILT_IN, "w1"), |word| word == 1, &words),
        Walker::new(value(Is::NotEqual, index::BUILT_IN, "w1"), |word| word != 1, &words),
    ];
    walkers.iter_mut().for_each(|walker| _ = walker.slice(&store));
    for (version, step) in steps.iter().enumerate() {
        match *step {
            Step::Put { name, word } => {
                put(&mut writer, &object(name, word, version as u64 + 2));
                walkers.iter_mut().for_each(|walker| walker.changed(name, Some(word)));
            }
            Step::Remove(name) => {
                writer.remove(&object(name, 0, version as u64 + 2).raw());
                walkers.iter_mut().for_each(|walker| walker.changed(name, None));
            }
            Step::Slice(number) => _ = walkers[usize::from(number)].slice(&store),
        }
    }
    for walker in &mut walkers {
        while walker.slice(&store) == Walked::Slice {}
        walker.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_walk_meets_what_stays_exactly_once(steps in prop::collection::vec(step(), 0..400)) {
        check(&steps);
    }
}

#[test]
fn a_walk_that_is_given_up_leaves_nothing_behind() {
    let (store, mut writer) = Store::new(Options::default());
    (0..600).for_each(|name| _ = put(&mut writer, &object(name, 0, 1)));
    for _ in 0..50 {
        let mut walk = Walk::new(vec![Condition::Namespace(Is::Equal, "a".into())], usize::MAX);
        assert_eq!(walk.batch(&store).1, Walked::Slice);
        let mut walk = Walk::new(Vec::new(), usize::MAX);
        assert_eq!(walk.batch(&store).1, Walked::Slice);
    }
    writer.remove(&config_map("a/1").uid("a/1").raw());
    let mut contents = store.write();
    let mut paused = 0;
    contents.slab_walks.tell(|_| paused += 1);
    assert_eq!(paused, 0);
}

#[test]
fn a_walk_goes_on_behind_a_member_that_leaves_or_moves_while_it_is_the_next() {
    let (store, mut writer) = Store::new(Options::default());
    store.add_index(Projection::Label("word".into()));
    let words: BTreeMap<u16, u8> = (0..600_u16).map(|name| (name, 1)).collect();
    words.iter().for_each(|(&name, &word)| _ = put(&mut writer, &object(name, word, 1)));
    let mut walkers = [(BY_CONTROLLER, "owner"), (index::BUILT_IN, "w1")]
        .map(|(slot, value)| Walker::new(Some(Condition::Value(Is::Equal, slot, value.into())), |_| true, &words));
    let mut remove = |walkers: &mut [Walker], name: u16| {
        writer.remove(&object(name, 1, 2).raw()).unwrap();
        walkers.iter_mut().for_each(|walker| walker.changed(name, None));
    };
    walkers.iter_mut().for_each(|walker| _ = walker.slice(&store));
    // Chains run from what joined last to what joined first.
    let next = walkers[0].always.iter().filter(|name| !walkers[0].met.contains(name)).max().copied().unwrap();
    remove(&mut walkers, next);
    // Then the next is the last of the slab, and takes the place of another.
    (next + 1..600).rev().for_each(|name| remove(&mut walkers, name));
    remove(&mut walkers, 0);
    for walker in &mut walkers {
        while walker.slice(&store) == Walked::Slice {}
        walker.check();
    }
}
