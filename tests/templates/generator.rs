//! cargo-generate at a pinned version, built once into the target directory.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The last version that builds with the oldest compiler we are tested with; later ones need a newer one.
const VERSION: &str = "0.23.14";

/// Renders templates/operator into `folder/name` with the given answers, each `key=value`.
///
/// # Errors
/// What cargo-generate printed, where it refused.
pub(crate) fn generate(folder: &Path, name: &str, answers: &[&str]) -> Result<(), String> {
    let mut command = Command::new(executable());
    command.arg("generate").arg("--path").arg(root().join("templates/operator"));
    command.args(["--name", name, "--silent", "--no-workspace", "--vcs", "none", "--destination"]).arg(folder);
    command.args(answers.iter().flat_map(|answer| ["--define", answer]));
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(printed) }
}

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/templates lies two below the root")
        .to_owned()
}

/// Returns the target directory of this build.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo puts `tmp` into the target directory").to_owned()
}

/// Returns the path of cargo-generate, installing it on the first call that finds none.
fn executable() -> &'static Path {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE.get_or_init(|| {
        let home = target().join(format!("cargo-generate-{VERSION}"));
        let executable = home.join("bin").join(format!("cargo-generate{}", std::env::consts::EXE_SUFFIX));
        if !executable.exists() {
            install(&home);
        }
        executable
    })
}

/// Builds without optimisation: rendering a dozen files needs none, and it takes two minutes instead of many.
fn install(home: &Path) {
    let build = home.join("build");
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["install", "cargo-generate", "--locked", "--debug", "--quiet", "--version"])
        .arg(format!("={VERSION}"));
    command.arg("--root").arg(home).arg("--target-dir").arg(&build);
    // Settings of this workspace are not meant for other people's sources.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("RUSTFLAGS").current_dir(home.parent().unwrap_or(home));
    let output = command.output().expect("cargo starts");
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    // Only the executable is worth its place on the disk; a build that stays behind costs nothing but that.
    drop(std::fs::remove_dir_all(build));
}
