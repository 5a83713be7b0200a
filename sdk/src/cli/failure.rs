//! How a command ends badly: one line that says what to do, and an exit code.
use std::error::Error;
use std::io;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The command line is wrong, or it asked for help.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The log filter is wrong.
    #[error("--log-level {filter:?} is no filter: write a level such as `info`, or `info,kubewright=debug`")]
    LogFilter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The address of the probes is wrong.
    #[error("--health-probe-bind-address {address:?} is no address: write `IP:PORT` such as `0.0.0.0:8081`, or 0 for none")]
    ProbeAddress {
        /// What was given.
        address: String,
        /// What is wrong with it.
        source: std::net::AddrParseError,
    },
    /// The asynchronous runtime could not be started.
    #[error("start the runtime")]
    Runtime(#[source] io::Error),
    /// There is no way to the API server.
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    /// A reconciler could not be made.
    #[error("set up the operator {name}: {message}")]
    Setup {
        /// Name of the operator.
        name: &'static str,
        /// What its own code said.
        message: String,
    },
    /// The probes cannot be answered.
    #[error(transparent)]
    Admin(#[from] crate::admin::Error),
    /// A second signal came before everything had stopped.
    #[error("stopped at once, as a second signal asked for; reconciles that ran were dropped")]
    Aborted,
    /// Running ended with a failure.
    #[error(transparent)]
    Manager(#[from] crate::manager::Error),
    /// What was printed could not be written as YAML.
    #[error("write {what} as YAML")]
    Yaml {
        /// What was printed.
        what: String,
        /// What is wrong with it.
        source: serde_yaml_ng::Error,
    },
    /// Standard output does not take more.
    #[error("write to standard output")]
    Output(#[source] io::Error),
}

impl Failure {
    /// Prints it where it belongs, and returns the exit code.
    pub(super) fn report(&self, program: &str) -> ExitCode {
        if let Self::Usage(error) = self {
            // Help goes to standard output and succeeds; both streams may be closed already.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
        let mut line = format!("{program}: error: {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(&format!(": {error}"));
            cause = error.source();
        }
        eprintln!("{line}");
        ExitCode::FAILURE
    }
}
