//! Heads, names, sizes and orphans of source files.
use std::collections::BTreeSet;

use crate::Offence;
use crate::source::{Source, is_name};
use crate::tree::Tree;

/// The most lines of code in a file: what one reader keeps in mind at a sitting.
const FILE_LINES: usize = 400;

/// The most lines of code in a function: what one screen shows.
const FUNCTION_LINES: usize = 60;

/// Names under which anything can be put, and so everything would be.
const DRAWERS: [&str; 7] = ["utils", "util", "common", "helpers", "helper", "types", "misc"];

/// Finds files that do not open with a line on what they are for.
pub(crate) fn head(path: &str, source: &Source) -> Vec<Offence> {
    let first = source.text.lines().next().unwrap_or_default();
    let has_head = first.starts_with("//! ") || first.starts_with("#![doc");
    let advice = "open the file with `//!` and a sentence on what it is for";
    if has_head { Vec::new() } else { vec![Offence::new(path, 1, advice)] }
}

/// Finds `mod.rs`, drawers, and modules whose path is not their name.
pub(crate) fn name(path: &str, source: &Source) -> Vec<Offence> {
    let stem = stem(path);
    let mut offences = Vec::new();
    if stem == "mod" {
        offences.push(Offence::new(path, 1, "name the file after its module: `foo.rs` beside `foo/`, never `mod.rs`"));
    }
    let declared = declarations(source).into_iter().map(|declaration| (declaration.name, declaration.line));
    for (name, line) in std::iter::once((stem.to_owned(), 1)).chain(declared) {
        if DRAWERS.contains(&name.as_str()) {
            offences.push(Offence::new(
                path,
                line,
                format!("name the module for what it holds: `{name}` holds anything"),
            ));
        }
    }
    // Tests may compile a file that is also an input of other tests.
    let paths = source.code.match_indices("#[path").filter(|_| !path.contains("tests/"));
    for (offset, _) in paths {
        offences.push(Offence::new(path, source.line(offset), "let the path of a module follow from its name"));
    }
    offences
}

/// Finds files and functions that are too long.
pub(crate) fn size(path: &str, source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    let lines = source.code_lines(0..source.code.len());
    if lines > FILE_LINES {
        let advice = format!("split the file: {lines} lines of code, at most {FILE_LINES}");
        offences.push(Offence::new(path, 1, advice));
    }
    for offset in source.words("fn") {
        let name = word(&source.code[offset + 2..]);
        let Some(block) = source.block(offset).filter(|_| !name.is_empty()) else { continue };
        let lines = source.code_lines(offset..block.end);
        if lines > FUNCTION_LINES {
            let advice = format!("split `{name}`: {lines} lines of code, at most {FUNCTION_LINES}");
            offences.push(Offence::new(path, source.line(offset), advice));
        }
    }
    offences
}

/// Finds files that no crate root reaches through `mod`: nobody compiles them.
pub(crate) fn orphans(tree: &Tree) -> Vec<Offence> {
    let mut reached = BTreeSet::new();
    let mut open = roots(tree);
    while let Some((path, folder)) = open.pop() {
        let Some(text) = tree.text(&path) else { continue };
        if !reached.insert(path) {
            continue;
        }
        for declaration in declarations(&Source::new(text)).into_iter().filter(|declaration| declaration.is_file) {
            let module = declaration.file(&folder);
            open.push((format!("{module}.rs"), module));
        }
    }
    let advice = "declare it with `mod` or delete it: nothing compiles this file";
    let files = tree.rust().into_iter().map(|(path, _)| path);
    files.filter(|path| !reached.contains(*path)).map(|path| Offence::new(path, 1, advice)).collect()
}

/// Returns the files that only tests compile: declared under `#[cfg(test)]`, and all below them.
pub(crate) fn test_files(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<(String, String, bool)> =
        roots(tree).into_iter().map(|(path, folder)| (path, folder, false)).collect();
    while let Some((path, folder, is_test)) = open.pop() {
        let Some(text) = tree.text(&path) else { continue };
        if is_test && !found.insert(path) {
            continue;
        }
        for declaration in declarations(&Source::new(text)).into_iter().filter(|declaration| declaration.is_file) {
            let module = declaration.file(&folder);
            open.push((format!("{module}.rs"), module, is_test || declaration.is_test));
        }
    }
    found
}

/// A `mod name;` or `mod name {`.
pub(crate) struct Declaration {
    /// Its name.
    pub(crate) name: String,
    /// Its line, counted from 1.
    line: usize,
    /// Whether it has a file of its own.
    is_file: bool,
    /// Whether only tests compile it.
    is_test: bool,
    /// The modules of the same file it stands in.
    inside: Vec<String>,
    /// Where its block starts and ends, if it has one.
    pub(crate) block: Option<std::ops::Range<usize>>,
}

impl Declaration {
    /// Returns the path of its file, without the ending, where `folder` is that of the declaring module.
    fn file(&self, folder: &str) -> String {
        let inside = self.inside.iter().fold(String::new(), |path, part| path + part + "/");
        format!("{folder}/{inside}{}", self.name)
    }
}

/// Returns the modules that a file declares.
pub(crate) fn declarations(source: &Source) -> Vec<Declaration> {
    let mut found: Vec<Declaration> = Vec::new();
    for offset in source.words("mod") {
        let rest = &source.code[offset + 3..];
        let name = word(rest).to_owned();
        let end = offset + 3 + rest.find([';', '{']).unwrap_or(0);
        // Anything else between the name and the end makes it a word in a macro.
        if name.is_empty() || source.code[offset + 3..end].trim() != name {
            continue;
        }
        let is_file = source.code[end..].starts_with(';');
        let block = source.block(offset).filter(|_| !is_file);
        let around = found.iter().filter(|outer| outer.block.as_ref().is_some_and(|block| block.contains(&offset)));
        let inside = around.map(|outer| outer.name.clone()).collect();
        // Attributes and visibility stand between the end of the item before and the word `mod`.
        let before = source.code[..offset].rfind([';', '}', '{']).map_or(0, |end| end + 1);
        let is_test = source.code[before..offset].contains("cfg(test)");
        found.push(Declaration { name, line: source.line(offset), is_file, is_test, inside, block });
    }
    found
}

/// Returns the crate roots that cargo would find, each with the folder of its modules.
fn roots(tree: &Tree) -> Vec<(String, String)> {
    let mut roots = Vec::new();
    for (manifest, text) in tree.files().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        let package = manifest.trim_end_matches("Cargo.toml");
        let named = text.lines().filter_map(|line| line.strip_prefix("path = \"")?.split('"').next());
        roots.extend(named.map(|path| format!("{package}{path}")));
        roots.extend(["src/lib.rs", "src/main.rs", "build.rs"].map(|path| format!("{package}{path}")));
        for folder in ["src/bin/", "tests/", "examples/", "benches/"] {
            let found = tree.files().filter_map(|(path, _)| path.strip_prefix(package)?.strip_prefix(folder));
            let found = found.filter(|rest| rest.ends_with(".rs") && (!rest.contains('/') || is_main(rest)));
            roots.extend(found.map(|rest| format!("{package}{folder}{rest}")));
        }
    }
    let parent = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    roots.into_iter().map(|path| (path.clone(), parent(&path))).collect()
}

fn is_main(path: &str) -> bool {
    path.split_once('/').is_some_and(|(_, rest)| rest == "main.rs")
}

fn stem(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs")
}

fn word(text: &str) -> &str {
    let text = text.trim_start();
    text.split(|character| !is_name(character)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Source, Tree};

    fn lines(check: fn(&str, &Source) -> Vec<crate::Offence>, path: &str, text: &str) -> Vec<usize> {
        check(path, &Source::new(text)).into_iter().map(|offence| offence.line).collect()
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        assert_eq!(lines(super::head, "a.rs", "use a;\n//! Late."), [1]);
        assert_eq!(lines(super::head, "a.rs", "//! Head.\nuse a;"), []);
    }

    #[test]
    fn drawers_are_found() {
        assert_eq!(lines(super::name, "src/a/mod.rs", "//! A."), [1]);
        assert_eq!(lines(super::name, "src/utils.rs", "//! A."), [1]);
        assert_eq!(
            lines(super::name, "src/a.rs", "//! A.\nmod b {\n mod common {} }\n#[path = \"c\"]\nmod c;"),
            [3, 4]
        );
        assert_eq!(lines(super::name, "src/a.rs", "//! mod utils;\nmod b;"), []);
    }

    #[test]
    fn long_files_and_functions_are_found() {
        let body = "    a();\n".repeat(59);
        assert_eq!(lines(super::size, "a.rs", &format!("\nfn f() {{\n{body}}}")), [2]);
        assert_eq!(lines(super::size, "a.rs", &format!("\nfn f() {{\n{}\n// b\n}}", &body[9..])), []);
        assert_eq!(lines(super::size, "a.rs", &"a!();\n".repeat(401)), [1]);
        assert_eq!(lines(super::size, "a.rs", &"a!();\n// b\n\n".repeat(400)), []);
    }

    #[test]
    fn files_of_tests_are_told_from_others() {
        let tree = Tree::of(&[
            ("a/Cargo.toml", ""),
            ("a/src/lib.rs", "mod b;\n#[cfg(test)]\npub(crate) mod c;\nmod d;"),
            ("a/src/b.rs", ""),
            ("a/src/c.rs", "mod e;"),
            ("a/src/c/e.rs", ""),
            ("a/src/d.rs", ""),
        ]);
        assert_eq!(super::test_files(&tree).into_iter().collect::<Vec<_>>(), ["a/src/c.rs", "a/src/c/e.rs"]);
    }

    #[test]
    fn orphans_are_found() {
        let tree = Tree::of(&[
            ("a/Cargo.toml", "[[test]]\npath = \"check.rs\""),
            ("a/src/lib.rs", "pub mod b; mod c { mod d; }"),
            ("a/src/b.rs", "//! mod lost;\nmod e;"),
            ("a/src/b/e.rs", ""),
            ("a/src/c/d.rs", ""),
            ("a/src/e.rs", ""),
            ("a/src/b/lost.rs", ""),
            ("a/check.rs", "mod near;"),
            ("a/near.rs", ""),
            ("a/tests/whole/main.rs", "mod part;"),
            ("a/tests/whole/part.rs", ""),
        ]);
        let found: Vec<String> = super::orphans(&tree).into_iter().map(|offence| offence.path).collect();
        assert_eq!(found, ["a/src/b/lost.rs", "a/src/e.rs"]);
    }
}
