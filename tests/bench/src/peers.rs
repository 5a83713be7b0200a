//! Builds and runs the programs that are compared, each in a process of its own.
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Result;
use crate::objects::ObjectKind;
use crate::server::Serving;
use crate::threads::Threads;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// This library.
    Kubewright,
    /// kube-rs: kube-runtime's watcher, reflector and Controller.
    KubeRs,
    /// client-go's informers and work queue.
    ClientGo,
    /// controller-runtime's manager and priority queue; on client-go's informers.
    ControllerRuntime,
}

impl Peer {
    /// Returns its name as its people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubewright => "kubewright",
            Self::KubeRs => "kube-rs",
            Self::ClientGo => "client-go",
            Self::ControllerRuntime => "controller-runtime",
        }
    }
}

/// The programs, built.
#[derive(Clone, Debug)]
pub struct Programs {
    own: PathBuf,
    /// What ours is told about its runtime.
    threads: Threads,
    kube_rs: PathBuf,
    /// `None` where there is no Go.
    go: Option<PathBuf>,
}

impl Programs {
    /// Builds the peers in release mode, those in Go into `target/bench`. Without Go they are left out, and said to be.
    ///
    /// # Errors
    /// When a build fails, and when this program itself is not built in release mode.
    pub async fn build(threads: Threads) -> Result<Self> {
        if cfg!(debug_assertions) {
            return Err("this build is not optimised, and the peers are: use `cargo run --release -p bench`".into());
        }
        let own = std::env::current_exe()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        eprintln!("building the peer in Rust ..");
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--release", "--features", "peers", "--bin", "bench-kube-rs"]);
        let target = target_directory(&own);
        succeed(build.arg("--target-dir").arg(&target).current_dir(source)).await?;
        let go = target.join("bench").join("clientgo");
        let go = if build_go(&source.join("peers/client-go"), &go).await? { Some(go) } else { None };
        Ok(Self { kube_rs: target.join("release").join("bench-kube-rs"), own, threads, go })
    }

    /// Says whether the peer can be run.
    pub fn has(&self, peer: Peer) -> bool {
        matches!(peer, Peer::Kubewright | Peer::KubeRs) || self.go.is_some()
    }

    /// Runs a peer with `arguments` and returns the JSON line it prints.
    ///
    /// # Errors
    /// When it fails, or prints something else.
    pub async fn run<T: DeserializeOwned>(&self, peer: Peer, arguments: &[&str]) -> Result<T> {
        let program = match peer {
            Peer::Kubewright => &self.own,
            Peer::KubeRs => &self.kube_rs,
            Peer::ClientGo | Peer::ControllerRuntime => self.go.as_ref().ok_or("Go is missing")?,
        };
        let mut command = Command::new(program);
        command.args(arguments).stderr(Stdio::inherit()).kill_on_drop(true);
        if peer == Peer::Kubewright {
            command.args(self.threads.arguments());
        }
        let output = command.output().await.map_err(|error| format!("run {}: {error}", program.display()))?;
        if !output.status.success() {
            return Err(format!("{} {}: {}", peer.name(), arguments.join(" "), output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().find(|line| line.starts_with('{'));
        Ok(serde_json::from_str(line.ok_or_else(|| format!("{} printed no JSON: {text}", peer.name()))?)?)
    }

    /// Starts the server of objects in a process of its own, which ends with this one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn serve(&self, objects: usize, seed: u64, kind: ObjectKind) -> Result<Server> {
        let (objects, seed) = (objects.to_string(), seed.to_string());
        let mut command = Command::new(&self.own);
        command.args(["serve", "--with-parent", "--objects", &objects, "--seed", &seed, "--kind", kind.plural()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let line = BufReader::new(stdout).lines().next_line().await?.ok_or("the server did not start")?;
        Ok(Server { serving: serde_json::from_str(&line)?, child })
    }
}

/// A running server of objects; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    /// What it serves, and where.
    pub serving: Serving,
    child: Child,
}

impl Server {
    /// Returns the number of its process.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }
}

/// Returns the target directory that `program` was built in.
fn target_directory(program: &Path) -> PathBuf {
    program.ancestors().nth(2).unwrap_or(Path::new("target")).to_owned()
}

/// Builds the Go module; false where there is no Go.
async fn build_go(source: &Path, output: &Path) -> Result<bool> {
    if Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_err() {
        eprintln!(
            "SKIPPED: Go is not installed, so client-go and controller-runtime are not measured (https://go.dev/dl)"
        );
        return Ok(false);
    }
    eprintln!("building the peers in Go ..");
    let mut build = Command::new("go");
    build.args(["build", "-trimpath", "-o"]).arg(output).arg(".");
    // A workspace file above this one, or a flag of the machine, is not to change what is measured.
    succeed(build.env("GOWORK", "off").env("CGO_ENABLED", "0").current_dir(source)).await?;
    Ok(true)
}

async fn succeed(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).kill_on_drop(true).status().await;
    let status = status.map_err(|error| format!("run {:?}: {error}", command.as_std().get_program()))?;
    if status.success() { Ok(()) } else { Err(format!("{:?}: {status}", command.as_std()).into()) }
}
