//! The Go binary that all servers are part of: built once a machine, kept in the user's cache directory.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process;
use crate::wait::{self, Stopwatch};

const SOURCES: &str = env!("CARGO_MANIFEST_DIR");
const GO_MOD: &str = include_str!("../go.mod");

/// How often a build says that it is still going on.
const PROGRESS_PERIOD: Duration = Duration::from_secs(30);

/// The binary could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// This machine cannot build it: Go is missing or too old. Tests skip on this error and on no other.
    #[error(
        "the real control plane cannot be built here: {reason}; install Go {} or later (https://go.dev/dl)",
        go_version()
    )]
    Unavailable {
        /// What is missing.
        reason: String,
    },
    /// The cache directory cannot be used.
    #[error("use the cache directory {} (set XDG_CACHE_HOME to choose another)", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither XDG_CACHE_HOME nor HOME is set.
    #[error("no cache directory: set XDG_CACHE_HOME or HOME")]
    NoCacheDirectory,
    /// The Go sources beside this crate cannot be read.
    #[error("read the Go sources in {}", path.display())]
    Sources {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Go is there, and could not build the sources.
    #[error("go build failed ({status}); its output ends with:\n{output}")]
    Failed {
        /// How it ended.
        status: String,
        /// The last lines that it printed.
        output: String,
    },
}

/// Returns the path of the control plane binary, building it first if this machine has not yet built these sources
/// with this version of Go.
///
/// A build takes about eight minutes on two cores, says so on standard error, and needs the Go module proxy. Processes
/// that ask at the same time build once: the others wait.
///
/// # Errors
/// [`BuildError::Unavailable`] without a Go that can build it; the other errors say what failed.
pub fn binary() -> Result<PathBuf, BuildError> {
    let directory = cache_directory()?.join(key(&toolchain()?)?);
    let binary = directory.join("controlplane");
    let at = |source| BuildError::Cache { path: directory.clone(), source };
    if binary.exists() {
        return Ok(binary);
    }
    fs::create_dir_all(&directory).map_err(at)?;
    let lock = File::create(directory.join("lock")).map_err(at)?;
    if lock.try_lock().is_err() {
        eprintln!("controlplane: waiting for another process that builds the control plane");
        lock.lock().map_err(at)?;
    }
    if !binary.exists() {
        let unfinished = directory.join("unfinished");
        build(&unfinished, &directory.join("build.log")).inspect_err(|_| {
            // What an interrupted link leaves is of no use; that nothing is there is fine.
            let _ = fs::remove_file(&unfinished);
        })?;
        fs::rename(&unfinished, &binary).map_err(at)?;
    }
    Ok(binary)
}

/// Runs a Go program of the same module, and returns what it printed.
///
/// # Errors
/// [`BuildError::Unavailable`] without a Go that can build it, [`BuildError::Failed`] when it could not be built or failed.
pub fn run(package: &str, arguments: &[&str]) -> Result<Vec<u8>, BuildError> {
    toolchain()?;
    // With the flags of the binary, so that the packages they share are built once.
    let output = go()
        .args(["run", "-trimpath", package])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| unavailable(&error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BuildError::Failed { status: output.status.to_string(), output: said });
    }
    Ok(output.stdout)
}

/// Returns the version of Kubernetes that the binary is, as in `1.37.2`.
pub fn kubernetes_version() -> &'static str {
    required("k8s.io/kubernetes v")
}

/// Returns the directory that this crate keeps its files in: `kubewright/controlplane` in the user's cache directory.
///
/// # Errors
/// [`BuildError::NoCacheDirectory`] when the environment names no such place.
pub fn cache_directory() -> Result<PathBuf, BuildError> {
    let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    Ok(cache.ok_or(BuildError::NoCacheDirectory)?.join("kubewright").join("controlplane"))
}

fn build(output: &Path, log: &Path) -> Result<(), BuildError> {
    let version = kubernetes_version();
    eprintln!(
        "controlplane: building kube-apiserver, etcd, the controllers, the scheduler and kubectl {version} once; \
         this takes about 8 minutes on 2 cores"
    );
    let cache = |source| BuildError::Cache { path: log.to_owned(), source };
    let log_file = File::create(log).map_err(cache)?;
    let mut child = go()
        .args(["build", "-trimpath", "-ldflags", &linker_flags(), "-o"])
        .arg(output)
        .arg(".")
        .stdin(Stdio::null())
        .stdout(log_file.try_clone().map_err(cache)?)
        .stderr(log_file)
        .spawn()
        .map_err(|error| unavailable(&error))?;

    let stopwatch = Stopwatch::start();
    let mut announced = Duration::ZERO;
    let status = loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => break status,
            Err(error) => return Err(BuildError::Failed { status: error.to_string(), output: process::tail(log) }),
        }
        if stopwatch.elapsed() >= announced + PROGRESS_PERIOD {
            announced += PROGRESS_PERIOD;
            eprintln!("controlplane: still building, {} s so far", announced.as_secs());
        }
        wait::pause();
    };
    if !status.success() {
        return Err(BuildError::Failed { status: status.to_string(), output: process::tail(log) });
    }
    eprintln!("controlplane: built in {} s", stopwatch.elapsed().as_secs());
    Ok(())
}

/// Asks Go for its version, which also downloads a newer Go if the machine's own may do that.
pub(crate) fn toolchain() -> Result<String, BuildError> {
    let output = go().args(["env", "GOVERSION"]).output().map_err(|error| unavailable(&error))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        return Err(BuildError::Unavailable { reason: said(&output.stderr) });
    }
    let version = said(&output.stdout);
    // A Go before 1.21 neither refuses nor replaces itself when go.mod asks for a newer one.
    if minor(version.trim_start_matches("go")) < minor(go_version()) {
        return Err(BuildError::Unavailable { reason: format!("{version} is too old") });
    }
    Ok(version)
}

fn unavailable(error: &io::Error) -> BuildError {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => String::from("the command go was not found"),
        _ => format!("the command go cannot be run: {error}"),
    };
    BuildError::Unavailable { reason }
}

/// Names what the binary depends on: the sources, the pinned modules, the flags and the compiler.
///
/// The hash differs between releases of Rust's standard library at worst; then the binary is built once more.
fn key(toolchain: &str) -> Result<String, BuildError> {
    let at = |source| BuildError::Sources { path: PathBuf::from(SOURCES), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(SOURCES).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "go.mod" || name == "go.sum" || (name.ends_with(".go") && !name.ends_with("_test.go")) {
            files.push((name, fs::read(&path).map_err(at)?));
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    (files, toolchain, linker_flags(), env::consts::OS, env::consts::ARCH).hash(&mut hasher);
    Ok(format!("{}-{:016x}", kubernetes_version(), hasher.finish()))
}

fn go() -> Command {
    let mut command = Command::new("go");
    // The module stands alone: neither a go.work above it nor flags meant for other modules apply. Without cgo no C
    // compiler is needed.
    command.current_dir(SOURCES).env("GOWORK", "off").env("GOFLAGS", "").env("CGO_ENABLED", "0");
    command
}

/// Leaves debug information out and puts the version in, which Kubernetes' own build sets the same way.
fn linker_flags() -> String {
    let version = kubernetes_version();
    let mut flags = String::from("-s -w");
    for module in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        flags.push_str(&format!(" -X {module}.gitVersion=v{version} -X {module}.gitTreeState=clean"));
    }
    flags
}

fn go_version() -> &'static str {
    required("go ")
}

/// Returns what follows `prefix` on its line of go.mod.
fn required(prefix: &str) -> &'static str {
    GO_MOD.lines().find_map(|line| line.trim().strip_prefix(prefix)).unwrap_or("(not in go.mod)")
}

fn minor(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}
