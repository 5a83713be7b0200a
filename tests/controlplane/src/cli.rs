//! The commands.

mod build;
mod demo;
mod kubectl;
mod running;
mod up;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The real Kubernetes control plane on this machine: no installation, no containers, gone at Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "controlplane", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the servers if this machine has not yet, and print the path of the binary.
    Build,
    /// Start a control plane and run it until Ctrl-C.
    Up {
        /// A controller of kube-controller-manager to leave out, as in `deployment-controller`. May be repeated.
        #[arg(long = "without-controller", value_name = "NAME")]
        without_controllers: Vec<String>,
    },
    /// Start a control plane, run the website example on it, show what it does, and leave it running until Ctrl-C.
    Demo,
    /// Run the bundled kubectl against the control plane that `up` or `demo` started.
    #[command(disable_help_flag = true)]
    Kubectl {
        /// What kubectl itself is to do.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Build => build::run(),
        Command::Up { without_controllers } => up::run(without_controllers),
        Command::Demo => demo::run(),
        Command::Kubectl { arguments } => kubectl::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}{}", causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn causes(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
