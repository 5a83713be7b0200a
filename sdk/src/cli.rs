//! The operator binary is its own tool: it runs the operators, and prints what they need in the cluster.
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::declare::rbac::{Account, Declared};
use crate::operator::{IntoOperators, Operator};

mod failure;

mod logging;

mod manifests;

mod run;

use failure::Failure;

/// Runs the command line of an operator binary; return its value from `main`.
///
/// Takes one operator, or a tuple of them. Exits with 0 on success, 1 on failure with one line on standard error that
/// says what to do, and 2 where the command line itself is wrong.
///
/// ```no_run
/// # use std::process::ExitCode;
/// # fn operator() -> kubewright::Operator { unreachable!() }
/// fn main() -> ExitCode {
///     kubewright::main(operator())
/// }
/// ```
pub fn main(operators: impl IntoOperators) -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = program_name(arguments.next());
    match execute(&program, arguments, operators.into_operators()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&program),
    }
}

/// What the binary can do.
#[derive(Debug, Parser)]
#[command(arg_required_else_help = true, subcommand_required = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operators until SIGTERM or Ctrl-C
    Run(RunArguments),
    /// Print the CustomResourceDefinitions, to pipe into `kubectl apply -f -`
    Crds,
    /// Print the role the operators need, and its binding
    ///
    /// The rules are computed from what the operators declare: these verbs on these kinds, and no more.
    Rbac(AccountArguments),
    /// Print everything it takes to run in a cluster, in the order in which it must be applied
    Manifests(ManifestArguments),
    /// Print a completion script for a shell
    Completion {
        /// The shell to complete for
        shell: Shell,
    },
}

/// How to run.
#[derive(Debug, Args)]
struct RunArguments {
    /// Kubeconfig file; default: KUBECONFIG, then ~/.kube/config, then the service account of the pod
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use instead of its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Watch one namespace only, with a role for that namespace only
    #[arg(long, value_name = "NAMESPACE", env = "WATCH_NAMESPACE")]
    watch_namespace: Option<String>,
    /// Where to serve /livez and /readyz; 0 switches them off
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081")]
    health_probe_bind_address: String,
    #[command(flatten)]
    log: LogArguments,
}

/// How to log.
#[derive(Debug, Args)]
struct LogArguments {
    /// What to log: a level, or directives such as `info,kubewright=debug`
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "info")]
    log_level: String,
    /// How to write the log
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// Lines for people, in colour on a terminal
    Text,
    /// One JSON object a line
    Json,
}

/// Who the operators run as.
#[derive(Debug, Args)]
struct AccountArguments {
    /// Service account the role is bound to; default: the name of the operator
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// Namespace of the service account
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// Confine the role to one namespace, for `run --watch-namespace`
    #[arg(long, value_name = "NAMESPACE")]
    watch_namespace: Option<String>,
}

/// What to deploy, and as whom.
#[derive(Debug, Args)]
struct ManifestArguments {
    /// Container image of this binary
    #[arg(long, value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    account: AccountArguments,
}

impl AccountArguments {
    fn account(&self, name: &str) -> Account {
        Account {
            name: name.to_owned(),
            service_account: self.service_account.clone().unwrap_or_else(|| name.to_owned()),
            namespace: self.namespace.clone(),
            watch_namespace: self.watch_namespace.clone(),
        }
    }
}

fn execute(
    program: &str,
    arguments: impl Iterator<Item = OsString>,
    operators: Vec<Operator>,
) -> Result<(), Failure> {
    let arguments = std::iter::once(OsString::from(program)).chain(arguments);
    let matches = command(program, &operators).try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let declared: Vec<Declared> = operators.iter().map(|operator| operator.declared().clone()).collect();
    let name = account_name(program, &declared);
    match cli.command {
        Command::Run(arguments) => run::run(program, &arguments, operators),
        Command::Crds => manifests::print(&manifests::crds(&declared)?),
        Command::Rbac(arguments) => manifests::print(&manifests::rbac(&declared, &arguments.account(&name))?),
        Command::Manifests(arguments) => {
            let account = arguments.account.account(&name);
            manifests::print(&manifests::everything(&declared, &account, &arguments.image)?)
        }
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(program, &operators), program, &mut script);
            manifests::print(&String::from_utf8_lossy(&script))
        }
    }
}

fn command(program: &str, operators: &[Operator]) -> clap::Command {
    let kinds: Vec<String> = operators.iter().map(|operator| operator.declared().primary.qualified_plural()).collect();
    let about = format!("A Kubernetes operator for {}", kinds.join(", "));
    Cli::command().name(program.to_owned()).bin_name(program.to_owned()).about(about)
}

/// One operator lends its name to its role; several share the name of their binary.
fn account_name(program: &str, declared: &[Declared]) -> String {
    match declared {
        [one] => one.name.to_owned(),
        _ => program.to_owned(),
    }
}

fn program_name(argument: Option<OsString>) -> String {
    let path = argument.unwrap_or_default();
    let name = Path::new(&path).file_stem().map(|name| name.to_string_lossy().into_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "operator".to_owned())
}
