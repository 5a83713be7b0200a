//! The files of the repository, as git knows them.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders whose Rust files are inputs of tests: compiled to fail, or compared byte for byte.
const TEST_INPUTS: [&str; 6] = [
    "tests/macros/pass/",
    "tests/macros/fail/",
    "tests/macros/hostile/",
    "tests/macros/regression/",
    "snapshots/",
    "expansions/",
];

/// Every text file by its path from the root, with `/` between parts.
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads all files that git tracks or would track. Binary files are left out.
    pub(crate) fn load() -> Self {
        let root = root();
        let output = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(&root)
            .output()
            .expect("git lists the files of the repository");
        assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
        let listing = String::from_utf8(output.stdout).expect("paths are UTF-8");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).ok().map(|text| (path.to_owned(), text));
        Self { files: listing.split('\0').filter(|path| !path.is_empty()).filter_map(read).collect() }
    }

    /// Makes a tree of the given files.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    /// Returns all files.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Returns the Rust files that follow the rules of the house.
    pub(crate) fn rust(&self) -> Vec<(&str, &str)> {
        let is_input = |path: &str| TEST_INPUTS.iter().any(|folder| path.contains(folder));
        self.files().filter(|(path, _)| path.ends_with(".rs") && !is_input(path)).collect()
    }

    /// Returns the text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Says whether there is a file, or a folder with files in it, of that path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/tidy lies two below the root").to_owned()
}

#[test]
fn inputs_of_tests_are_left_alone() {
    let tree = Tree::of(&[("sdk/src/a.rs", ""), ("tests/macros/fail/a.rs", ""), ("README.md", "")]);
    assert_eq!(tree.rust(), [("sdk/src/a.rs", "")]);
    assert!(tree.exists("sdk/src") && tree.exists("sdk/src/a.rs") && !tree.exists("sdk/sr"));
}
