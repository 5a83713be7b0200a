//! The invariants of the systems we follow: each has a test that carries its id, or a reason why there is none.
use std::collections::{BTreeMap, BTreeSet};

use crate::Offence;
use crate::source::Source;
use crate::tree::Tree;

/// The table of reasons, one a line: the id, then a sentence.
const REASONS: &str = "tests/tidy/invariants.txt";

/// Letter and count of each family: reflector, queue of deltas, store, informer, work queue, its priorities.
const FAMILIES: [(char, u32); 6] = [('r', 22), ('q', 12), ('s', 8), ('i', 16), ('w', 12), ('p', 8)];

/// Finds ids without a test and without a reason, and reasons that are not needed, or for nothing.
pub(crate) fn missing(tree: &Tree) -> Vec<Offence> {
    let tested: BTreeSet<String> = tree.rust().into_iter().flat_map(|(_, text)| ids(&Source::new(text))).collect();
    let table = tree.text(REASONS).unwrap_or_default();
    let reasons: BTreeMap<String, usize> = reasons(table).map(|(line, id, _)| (id, line)).collect();
    let known: BTreeSet<String> = FAMILIES.iter().flat_map(|(family, count)| numbered(*family, *count)).collect();
    let mut offences = Vec::new();
    for id in known.iter().filter(|id| !tested.contains(*id) && !reasons.contains_key(*id)) {
        offences.push(Offence::new(REASONS, 1, format!("name a test `{id}_..`, or say here why {id} has none")));
    }
    for (id, line) in reasons.iter().filter(|(id, _)| tested.contains(*id)) {
        offences.push(Offence::new(REASONS, *line, format!("take the reason out: {id} has a test")));
    }
    for (id, line) in reasons.iter().filter(|(id, _)| !known.contains(*id)) {
        offences.push(Offence::new(REASONS, *line, format!("there is no invariant {id}")));
    }
    for (line, id, _) in reasons_without_words(table) {
        offences.push(Offence::new(REASONS, line, format!("say why {id} has no test")));
    }
    offences
}

fn numbered(family: char, count: u32) -> impl Iterator<Item = String> {
    (1..=count).map(move |number| format!("{family}{number}"))
}

/// Returns the ids that names of functions begin with: `fn q2_i2_synced_means_..` carries two.
fn ids(source: &Source) -> Vec<String> {
    let names = source.words("fn").map(|offset| source.code[offset + 2..].trim_start());
    names.flat_map(|name| name.split('_').take_while(|part| is_id(part)).map(str::to_owned)).collect()
}

fn is_id(part: &str) -> bool {
    let mut chars = part.chars();
    let family = chars.next().is_some_and(|first| FAMILIES.iter().any(|(family, _)| *family == first));
    family && part.len() > 1 && chars.all(|digit| digit.is_ascii_digit())
}

/// Returns line, id and reason of each entry; lines that begin with `#` are for readers.
fn reasons(table: &str) -> impl Iterator<Item = (usize, String, &str)> {
    let lines = table.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(number, line)| {
        let (id, reason) = line.split_once(' ').unwrap_or((line, ""));
        (number, id.to_lowercase(), reason.trim())
    })
}

fn reasons_without_words(table: &str) -> impl Iterator<Item = (usize, String, &str)> {
    reasons(table).filter(|(_, _, reason)| reason.split(' ').count() < 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invariant_has_a_test_or_a_reason_and_never_both() {
        let all: String = FAMILIES
            .iter()
            .flat_map(|(family, count)| numbered(*family, *count))
            .filter(|id| !["r1", "q2", "i2", "w4"].contains(&id.as_str()))
            .map(|id| format!("{} is tried elsewhere, by the compiler.\n", id.to_uppercase()))
            .collect();
        let check = |test: &str, more: &str, expected: &[&str]| {
            let table = format!("# The reasons.\n\n{all}{more}");
            let tree = Tree::of(&[("sdk/src/a.rs", test), (REASONS, &table)]);
            let found: Vec<String> = missing(&tree).into_iter().map(|offence| offence.advice).collect();
            assert_eq!(found, expected);
        };
        let tests = "fn r1_x() {} async fn q2_i2_y() {} fn rest() {}";
        check(&format!("{tests} fn w4_z() {{}}"), "", &[]);
        check(tests, "w4 has no such thing.\n", &[]);
        check(tests, "", &["name a test `w4_..`, or say here why w4 has none"]);
        check(tests, "W4 no.\n", &["say why w4 has no test"]);
        check(tests, "W4 has no such thing.\nR1 has no such thing.", &["take the reason out: r1 has a test"]);
        check(tests, "W4 has no such thing.\nR23 has no such thing.", &["there is no invariant r23"]);
    }
}
