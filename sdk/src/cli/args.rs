//! The command line, as clap reads and explains it.
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use tracing_subscriber::EnvFilter;

use crate::admin;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(arg_required_else_help = true, subcommand_required = true, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the operator until SIGTERM or Ctrl-C
    Run(RunArgs),
    /// Print the CustomResourceDefinitions: `crds | kubectl apply --server-side -f -`
    Crds,
    /// Print the role the operator needs, and its binding to a service account
    Rbac(RbacArgs),
    /// Print all it takes to run in a cluster: CRDs, namespace, service account, role, deployment
    Manifests(ManifestsArgs),
    /// Print the children that the operator would make of custom resources, without a cluster
    Render(RenderArgs),
    /// Print a completion script for a shell
    Completion {
        /// The shell to complete for
        shell: Shell,
    },
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Kubeconfig file; otherwise KUBECONFIG, ~/.kube/config, then the pod's service account
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use instead of its current one
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
    /// Watch namespaced objects in this namespace only; all namespaces if empty
    #[arg(long, value_name = "NAMESPACE", env = "WATCH_NAMESPACE", default_value = "", hide_default_value = true,
        value_parser = namespace_or_all)]
    pub(super) watch_namespace: WatchNamespace,
    /// Where /livez and /readyz are served; 0 turns them off
    #[arg(long, value_name = "ADDRESS", default_value_t, value_parser = probe_address)]
    pub(super) health_probe_bind_address: ProbeAddress,
    /// Form of the log on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
    /// What is logged: a level, or filters such as `info,kubewright=debug`
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "info", value_parser = log_filter)]
    pub(super) log_level: String,
}

/// The only namespace watched, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WatchNamespace(pub(super) Option<String>);

/// Where probes are served, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProbeAddress(pub(super) Option<SocketAddr>);

impl Default for ProbeAddress {
    fn default() -> Self {
        Self(Some(admin::DEFAULT_ADDRESS))
    }
}

impl fmt::Display for ProbeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("0"),
        }
    }
}

/// Forms of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Options of `rbac`.
#[derive(Debug, Args)]
pub(super) struct RbacArgs {
    /// Service account to bind to, which also names role and binding [default: the operator's name]
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub(super) service_account: Option<String>,
    /// Namespace of the service account
    #[arg(long, value_name = "NAMESPACE", default_value = "default", value_parser = object_name)]
    pub(super) namespace: String,
    /// For an operator run with the same option: grant a Role there instead of a ClusterRole
    #[arg(long, value_name = "NAMESPACE", value_parser = object_name)]
    pub(super) watch_namespace: Option<String>,
}

/// Options of `manifests`.
#[derive(Debug, Args)]
pub(super) struct ManifestsArgs {
    /// Image that holds this program as its entry point
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: String,
    /// Namespace to run in, made unless it comes with the cluster [default: the operator's name and `-system`]
    #[arg(long, value_name = "NAMESPACE", value_parser = object_name)]
    pub(super) namespace: Option<String>,
    /// Watch namespaced objects in this namespace only, and be allowed no more
    #[arg(long, value_name = "NAMESPACE", value_parser = object_name)]
    pub(super) watch_namespace: Option<String>,
}

/// Options of `render`.
#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    /// File with custom resources, as YAML or JSON, `-` for standard input; may be repeated
    #[arg(short, long, value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(super) filename: Vec<PathBuf>,
    /// Namespace of custom resources that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default", value_parser = object_name)]
    pub(super) namespace: String,
}

fn namespace_or_all(value: &str) -> Result<WatchNamespace, String> {
    Ok(WatchNamespace(if value.is_empty() { None } else { Some(object_name(value)?) }))
}

/// An RFC 1123 label: what namespaces are named by, and what is safe for everything else.
fn object_name(value: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let valid =
        (1..=63).contains(&value.len()) && value.bytes().all(inner) && !value.starts_with('-') && !value.ends_with('-');
    let problem = "use lowercase letters, digits and '-', at most 63, starting and ending with a letter or digit";
    if valid { Ok(value.to_owned()) } else { Err(problem.to_owned()) }
}

/// `0`, `:8081` as Go programs take it, or a socket address.
fn probe_address(value: &str) -> Result<ProbeAddress, String> {
    if value == "0" {
        return Ok(ProbeAddress(None));
    }
    let full = if value.starts_with(':') { format!("0.0.0.0{value}") } else { value.to_owned() };
    let problem = |_| "use ADDRESS:PORT such as 127.0.0.1:8081, :PORT for all addresses, or 0 for none".to_owned();
    full.parse().map(|address| ProbeAddress(Some(address))).map_err(problem)
}

fn log_filter(value: &str) -> Result<String, String> {
    EnvFilter::try_new(value).map(|_| value.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_operators_in_go_read_them() {
        let check = |value: &str, expected: Result<Option<&str>, ()>| {
            let expected = expected.map(|address| ProbeAddress(address.map(|address| address.parse().unwrap())));
            assert_eq!(probe_address(value).map_err(drop), expected, "{value}");
        };
        check("0", Ok(None));
        check(":8081", Ok(Some("0.0.0.0:8081")));
        check("[::1]:80", Ok(Some("[::1]:80")));
        check("8081", Err(()));
        check("localhost", Err(()));
    }

    #[test]
    fn namespaces_are_checked_before_anything_is_printed() {
        let check = |value: &str, valid: bool| assert_eq!(object_name(value).is_ok(), valid, "{value:?}");
        check("a", true);
        check("web-1", true);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
        ["", "-a", "a-", "A", "a.b", "a/b", "a b"].into_iter().for_each(|value| check(value, false));
        assert_eq!(namespace_or_all(""), Ok(WatchNamespace(None)));
    }
}
