//! Runs tests on a real control plane, as a test target with `harness = false`.
//!
//! A machine that cannot build the control plane says so in one line, and the trials count as ignored. Where `CI` or
//! `KUBEWRIGHT_REQUIRE_CONTROLPLANE` is set they fail instead: a check that did not run must not look like one that
//! passed.

use std::env;
use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::sync::Once;

use libtest_mimic::{Arguments, Completion, Failed};

use crate::binary::{self, BuildError};
use crate::control_plane::{ControlPlane, Options, StartError};
use crate::scope::{self, ScopeError, SharedError, TestScope};

/// What the body of a trial returns. Any error will do; it fails the trial with its causes.
pub type Outcome = Result<(), Box<dyn Error>>;

/// One test.
#[derive(Debug)]
pub struct Trial(libtest_mimic::Trial);

impl Trial {
    /// Makes a trial that gets its own namespace on the control plane that all such trials share.
    pub fn shared(name: &str, body: impl FnOnce(&TestScope) -> Outcome + Send + 'static) -> Self {
        let title = name.to_owned();
        Self(libtest_mimic::Trial::ignorable_test(name, move || match TestScope::new(&title) {
            Ok(scope) => finish(body(&scope)),
            Err(ScopeError::Shared(SharedError::Start(error))) => not_started(&error),
            Err(error) => Err(failed(&error)),
        }))
    }

    /// Makes a trial that gets a control plane of its own, for trials that break it.
    pub fn own(name: &str, options: Options, body: impl FnOnce(&ControlPlane) -> Outcome + Send + 'static) -> Self {
        let title = name.to_owned();
        Self(libtest_mimic::Trial::ignorable_test(name, move || match ControlPlane::start(options) {
            Ok(control_plane) => {
                eprintln!("{title}: own control plane {}", control_plane.url());
                finish(body(&control_plane))
            }
            Err(error) => not_started(&error),
        }))
    }

    /// Makes a trial that runs Go programs ([`binary::run`]) and needs no control plane.
    pub fn with_go(name: &str, body: impl FnOnce() -> Outcome + Send + 'static) -> Self {
        Self(libtest_mimic::Trial::ignorable_test(name, move || match binary::toolchain() {
            Ok(_) => finish(body()),
            Err(error) => not_started(&StartError::Build(error)),
        }))
    }
}

/// Runs the trials that the command line asks for, with the options of `cargo test`, and ends the shared control plane.
///
/// Return its value from `main`.
pub fn run(trials: impl IntoIterator<Item = Trial>) -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = trials.into_iter().map(|Trial(trial)| trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    scope::end_shared();
    conclusion.exit_code()
}

/// Runs the body of an asynchronous trial on a runtime of its own, which ends with it.
///
/// # Errors
/// What `body` returns, or why there is no runtime.
pub fn block_on(body: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(body)
}

fn finish(outcome: Outcome) -> Result<Completion, Failed> {
    match outcome {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => Err(failed(&*error)),
    }
}

fn not_started(error: &StartError) -> Result<Completion, Failed> {
    judge(error, demanded())
}

/// Tells a machine that cannot have a control plane from one that should have it.
fn judge(error: &StartError, demand: Demand) -> Result<Completion, Failed> {
    match (error, demand) {
        (StartError::Build(BuildError::Unavailable { .. }), Demand::WhereAvailable) => {
            static SAID: Once = Once::new();
            SAID.call_once(|| eprintln!("skipping tests: {error}"));
            Ok(Completion::ignored())
        }
        (StartError::Build(BuildError::Unavailable { .. }), Demand::Everywhere) => {
            Err(format!("{error}; CI or KUBEWRIGHT_REQUIRE_CONTROLPLANE is set, so this is a failure").into())
        }
        _ => Err(failed(error)),
    }
}

/// Where the trials must run.
#[derive(Debug, Clone, Copy)]
enum Demand {
    WhereAvailable,
    Everywhere,
}

fn demanded() -> Demand {
    let set = |variable: &str| env::var(variable).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    if set("CI") || set("KUBEWRIGHT_REQUIRE_CONTROLPLANE") { Demand::Everywhere } else { Demand::WhereAvailable }
}

fn failed(error: &dyn Error) -> Failed {
    format!("{}", Chain(error)).into()
}

/// An error with what caused it.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: BuildError, demand: Demand, expected: &str) {
        let judged = match judge(&StartError::Build(error), demand) {
            Ok(Completion::Ignored { .. }) => String::from("ignored"),
            Ok(Completion::Completed) => String::from("completed"),
            Err(failure) => failure.message().unwrap_or_default().to_owned(),
        };
        assert!(judged.contains(expected), "{judged}");
    }

    #[test]
    fn only_a_missing_go_is_skipped_and_only_where_nobody_demands_it() {
        let unavailable = || BuildError::Unavailable { reason: String::from("no go") };
        check(unavailable(), Demand::WhereAvailable, "ignored");
        check(unavailable(), Demand::Everywhere, "no go; install Go");
        let broken = BuildError::Failed { status: String::from("exit 1"), output: String::from("undefined: x") };
        check(broken, Demand::WhereAvailable, "undefined: x");
    }
}
