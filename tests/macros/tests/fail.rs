//! Everything in `fail` is refused, with the message in the file beside it: one case for every rule of the derive, and
//! one for every bound that generated code relies on.
use std::fs;
use std::path::Path;
use std::process::Command;

/// The compiler that wrote the messages; another one words or wraps some of them differently.
const TOOLCHAIN: &str = "1.95";

#[test]
fn every_failing_case_says_what_to_write_instead() {
    let version = Command::new(env!("CARGO")).arg("--version").output().expect("cargo runs");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with(&format!("cargo {TOOLCHAIN}.")) {
        // Past the capture of libtest, so that a skipped arm is seen.
        let line =
            format!("skipped: messages of the derive are those of Rust {TOOLCHAIN}, this is {}\n", version.trim());
        let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), line.as_bytes());
        return;
    }
    trybuild::TestCases::new().compile_fail("fail/*.rs");
}

#[test]
fn every_rule_has_a_case() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = fs::read_to_string(here.join("../../sdk-macros/src/check.rs")).expect("the rules");
    let rules: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next()).collect();
    assert!(rules.len() > 10, "{rules:?}");
    for rule in rules {
        assert!(here.join(format!("fail/{rule}.stderr")).exists(), "no case for `{rule}`");
    }
}
