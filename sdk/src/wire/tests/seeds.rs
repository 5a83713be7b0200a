//! The seeds of the fuzzer, whole and damaged, so that the target holds and the seeds mean something.
use std::path::Path;

use super::super::*;
use super::streams::{split_lines, split_list};

/// Name and content of each.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/wire");
    let entries = std::fs::read_dir(&folder).expect("the seeds lie beside the target");
    let mut seeds: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 16, "{} seeds in {}", seeds.len(), folder.display());
    seeds
}

/// What a byte becomes: one of those that mean something, by its place.
const CHANGES: [u8; 11] = *b"{}[],:\"\\\n\xff0";

#[test]
fn what_must_hold_of_any_bytes_holds_of_the_seeds_and_of_each_cut_and_change() {
    for (_, seed) in seeds() {
        fuzz::wire(&seed);
        for end in 0..seed.len() {
            fuzz::wire(&seed[..end]);
        }
        for at in 1..seed.len() {
            let mut changed = seed.clone();
            changed[at] = CHANGES[at % CHANGES.len()];
            fuzz::wire(&changed);
        }
    }
}

#[test]
fn each_seed_is_what_its_name_says() {
    for (name, seed) in seeds() {
        let body = &seed[1..];
        let list = split_list(body, 7);
        let lines = split_lines(body, 7).unwrap();
        match name.split_once('-').map_or(name.as_str(), |(what, _)| what) {
            "list" => assert!(list.is_ok(), "{name}: {list:?}"),
            "watch" => assert!(
                !lines.is_empty() && lines.iter().all(|line| Event::parse(line, &mut Models::default()).is_ok()),
                "{name}"
            ),
            "object" => assert!(RawObject::parse(body).is_ok(), "{name}: {:?}", RawObject::parse(body)),
            "protobuf" => assert!(fuzz::is_protobuf(body), "{name}"),
            "broken" => assert!(list.is_err() && RawObject::parse(body).is_err(), "{name}"),
            other => panic!("{other}: a seed is a list, a watch, an object or broken"),
        }
    }
}
