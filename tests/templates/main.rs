//! The template becomes a project that builds, passes its own tests and is formatted, for each scope it can ask for.
//!
//! The generated project lies outside the workspace, as a user's does, and takes the SDK from this tree.
mod generator;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a person can read in one sitting.
const MOST_FILES: usize = 12;

/// The front door is one call; more would be boilerplate that every project repeats.
const MOST_LINES_OF_MAIN: usize = 10;

#[test]
fn a_namespaced_operator_passes_its_tests() {
    check("namespaced", "pub struct SaluteSpec", "kind = \"Salute\", status = \"SaluteStatus\", namespaced)");
}

#[test]
fn a_cluster_scoped_operator_passes_its_tests() {
    check("cluster", "pub struct SaluteSpec", "kind = \"Salute\", status = \"SaluteStatus\")");
}

#[test]
fn answers_that_are_no_names_are_refused() {
    for answer in ["kind=lower", "kind=With-Dash", "group=nodots", "group=Upper.example.com", "scope=both"] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let defined = generator::generate(folder.path(), "refused", &[answer]);
        assert!(defined.is_err(), "{answer} was taken");
    }
}

fn check(scope: &str, api: &str, attribute: &str) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let name = format!("salute-{scope}");
    let sdk = format!("sdk_source=path = {:?}", generator::root().join("sdk"));
    let answers = ["kind=Salute", "group=demo.example.com", &format!("scope={scope}"), &sdk];
    generator::generate(folder.path(), &name, &answers).expect("the template renders");

    let project = folder.path().join(name);
    let files = files(&project);
    assert!(files.len() <= MOST_FILES, "{} files: {files:#?}", files.len());
    for file in &files {
        let text = read(file);
        assert!(!text.contains("{{") && !text.contains("{%"), "{} has a placeholder left:\n{text}", file.display());
    }
    let lines = read(&project.join("src/main.rs")).lines().count();
    assert!(lines <= MOST_LINES_OF_MAIN, "main.rs has {lines} lines");
    let declared = read(&project.join("src/api.rs"));
    assert!(declared.contains(api) && declared.contains(attribute), "api.rs:\n{declared}");

    // The versions this tree is tested with, so that a release elsewhere does not break the test.
    let lock = generator::root().join("Cargo.lock");
    std::fs::copy(lock, project.join("Cargo.lock")).expect("the lock file is copied");
    run(cargo(&project).args(["fmt", "--check"]));
    run(cargo(&project).args(["test", "--quiet"]));
}

/// Returns cargo in the generated project. All projects share a target directory: dependencies are built once.
fn cargo(project: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(project).env("CARGO_TARGET_DIR", generator::target().join("templates"));
    // A user has neither; without debug information the build takes half the disk.
    command.env_remove("K8S_OPENAPI_ENABLED_VERSION").env_remove("RUSTFLAGS").env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

fn run(command: &mut Command) {
    let output = command.output().expect("cargo starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}:\n{}\n{}", text(&output.stdout), text(&output.stderr));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the project is a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
