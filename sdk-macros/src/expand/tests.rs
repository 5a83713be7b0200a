//! Every file in `tests/macros/pass` compiles there; its expansion is a snapshot here.
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use quote::ToTokens;
use syn::{Attribute, Item};

use super::derive;

/// Lines that the example of the front door may expand to.
const BUDGET: usize = 120;

#[test]
fn every_passing_case_expands_to_its_snapshot() {
    let mut files: Vec<PathBuf> =
        fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_rust(path)).collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let snapshot = cases().join("expanded").join(path.file_name().unwrap()).with_extension("txt");
        expect_file![snapshot].assert_eq(&expansion(&path));
    }
}

#[test]
fn the_front_door_expands_within_its_budget() {
    let lines = expansion(&cases().join("website.rs")).lines().count();
    assert!(lines <= BUDGET, "{lines} lines, {BUDGET} allowed");
}

#[test]
fn a_renamed_library_is_the_only_one_that_is_named() {
    let expansion = expansion(&cases().join("renamed.rs"));
    assert!(expansion.contains("::renamed::"));
    assert!(!expansion.contains("kubewright::"), "{expansion}");
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/macros/pass")
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn expansion(path: &Path) -> String {
    let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
    let mut expanded = String::new();
    expand_items(&file.items, &mut expanded);
    expanded
}

fn expand_items(items: &[Item], expanded: &mut String) {
    for item in items {
        let (attributes, tokens) = match item {
            Item::Struct(item) => (&item.attrs, item.to_token_stream()),
            Item::Enum(item) => (&item.attrs, item.to_token_stream()),
            Item::Mod(item) => {
                expand_items(item.content.as_ref().map_or(&[], |(_, items)| items), expanded);
                continue;
            }
            _ => continue,
        };
        if attributes.iter().any(derives_operator) {
            let file = syn::parse2(derive(tokens)).unwrap();
            expanded.push_str(&prettyplease::unparse(&file));
        }
    }
}

fn derives_operator(attribute: &Attribute) -> bool {
    attribute.path().is_ident("derive") && attribute.to_token_stream().to_string().contains("Operator")
}
