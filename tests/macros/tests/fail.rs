//! Everything in `fail` is refused, with the message in the file beside it: one case for every rule of the derive, and
//! one for every bound that generated code relies on.
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
