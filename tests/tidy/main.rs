//! The rules of the house, checked over every file of the repository. STYLE.md gives the reasons.
//!
//! Each property is one test that lists all its offenders as `path:line: what to do`. The checkers are functions of
//! text; beside each stands a test that proves it can fail.
mod documents;

mod habits;

mod invariants;

mod layers;

mod layout;

mod source;

mod tree;

use tree::Tree;

#[test]
fn every_source_file_says_what_it_is_for() {
    report(rust(layout::head));
}

#[test]
fn modules_are_named_for_what_they_hold() {
    report(rust(layout::name));
}

#[test]
fn files_and_functions_stay_small() {
    report(rust(layout::size));
}

#[test]
fn every_source_file_is_reachable_from_its_crate_root() {
    report(layout::orphans(&Tree::load()));
}

#[test]
fn modules_import_only_from_lower_layers() {
    report(layers::imports(&Tree::load()));
}

#[test]
fn every_module_of_the_sdk_has_a_layer() {
    report(layers::unlisted(&Tree::load()));
}

#[test]
fn tests_run_and_never_sleep() {
    report(rust(habits::tests));
}

#[test]
fn nothing_is_left_unfinished() {
    report(rust(habits::unfinished));
}

#[test]
fn a_panic_in_library_code_has_a_reason() {
    report(rust(habits::panics));
}

#[test]
fn the_code_map_is_true() {
    report(documents::code_map(&Tree::load()));
}

#[test]
fn every_workspace_member_is_on_the_code_map() {
    report(documents::members(&Tree::load()));
}

#[test]
fn every_invariant_has_a_test_or_a_reason() {
    report(invariants::missing(&Tree::load()));
}

#[test]
fn the_changelog_has_a_place_for_what_comes_next() {
    report(documents::changelog(&Tree::load()));
}

#[test]
fn every_example_has_a_section_in_the_readme() {
    report(documents::examples(&Tree::load()));
}

#[test]
fn files_hold_nothing_of_the_machine_they_were_written_on() {
    report(documents::machine(&Tree::load()));
}

#[test]
fn a_link_between_documents_leads_somewhere() {
    report(documents::links(&Tree::load()));
}

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Offence {
    path: String,
    line: usize,
    advice: String,
}

impl Offence {
    fn new(path: &str, line: usize, advice: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, advice: advice.into() }
    }
}

/// Runs `check` over every Rust file that is ours to shape: not the inputs of the macro tests.
fn rust(check: fn(&str, &source::Source) -> Vec<Offence>) -> Vec<Offence> {
    let tree = Tree::load();
    let files = tree.rust();
    assert!(files.len() > 10, "only {} Rust files found: is this the repository?", files.len());
    let of_tests = layout::test_files(&tree);
    let check = |(path, text)| {
        let is_test = of_tests.contains(path) || habits::is_test_file(path);
        check(path, &source::Source { is_test, ..source::Source::new(text) })
    };
    files.into_iter().flat_map(check).collect()
}

fn report(mut offences: Vec<Offence>) {
    offences.sort();
    let lines: Vec<String> =
        offences.iter().map(|offence| format!("{}:{}: {}", offence.path, offence.line, offence.advice)).collect();
    assert!(lines.is_empty(), "{} to mend:\n{}", lines.len(), lines.join("\n"));
}
