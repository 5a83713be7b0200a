//! The bundled kubectl.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

/// What a kubectl command did.
#[derive(Debug, Clone)]
pub struct Output {
    /// What it printed.
    pub stdout: String,
    /// What it complained about; warnings of the API server are here too.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
    command: String,
}

/// A kubectl command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubectlError {
    /// It could not be run.
    #[error("run {command}")]
    Run {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ran and failed.
    #[error("{command} failed ({status}): {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it complained about.
        stderr: String,
    },
}

impl Output {
    /// Returns what the command printed if it succeeded.
    ///
    /// # Errors
    /// [`KubectlError::Failed`] with what it complained about.
    pub fn success(self) -> Result<String, KubectlError> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(KubectlError::Failed { command: self.command, status: self.status, stderr: self.stderr.trim().to_owned() })
    }
}

/// Returns a kubectl command that uses `kubeconfig` and nothing of the user's own configuration.
pub fn command(binary: &Path, kubeconfig: &Path) -> Command {
    let mut command = Command::new(binary);
    command.arg("kubectl").env("KUBECONFIG", kubeconfig).env("KUBERC", "off").env("KUBECTL_KUBERC", "false");
    if let Some(directory) = kubeconfig.parent() {
        // Discovery is cached by the server's address, and ports are used again: the cache ends with the server.
        command.env("KUBECACHEDIR", directory.join("kubectl-cache"));
    }
    command
}

/// Runs `command` with `arguments` and `input`.
pub(crate) fn run(mut command: Command, arguments: &[&str], input: &str) -> Result<Output, KubectlError> {
    let line = || format!("kubectl {}", arguments.join(" "));
    let result = (|| {
        let mut child = command
            .args(arguments.iter().map(OsStr::new))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pipe = child.stdin.take();
        // A command that prints before it has read all would otherwise wait for us as we wait for it.
        thread::scope(|scope| {
            scope.spawn(move || {
                // A command that ends without reading its input is none of our business: its status says the rest.
                let _ = pipe.map(|mut pipe| pipe.write_all(input.as_bytes()));
            });
            child.wait_with_output()
        })
    })();
    let output = result.map_err(|source| KubectlError::Run { command: line(), source })?;
    Ok(Output {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        status: output.status,
        command: line(),
    })
}
