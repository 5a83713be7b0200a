//! The operator binary's own commands: run it, and print what a cluster needs to run it.
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::controller::Overrides;
use crate::declare::rbac::Declared;
use crate::operator::Operator;

mod args;
mod manifests;
mod render;
mod run;

use args::{Cli, Command};

/// One operator, or a tuple of up to eight: what [`main`] takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operator or a tuple of operators",
    note = "pass what `Website::operator(..)` returns, or `(Website::operator(..), Certificate::operator(..))`"
)]
pub trait IntoOperators {
    /// Returns the operators in their order.
    fn into_operators(self) -> Vec<Operator>;
}

impl IntoOperators for Operator {
    fn into_operators(self) -> Vec<Operator> {
        vec![self]
    }
}

macro_rules! tuple {
    ($($operator:ident)+) => {
        impl<$($operator: Into<Operator>),+> IntoOperators for ($($operator,)+) {
            fn into_operators(self) -> Vec<Operator> {
                #[expect(non_snake_case, reason = "a variable for each type parameter")]
                let ($($operator,)+) = self;
                vec![$($operator.into()),+]
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);

/// Runs the command that the program was called with: `run`, `crds`, `rbac`, `manifests`, `render` or
/// `completion`.
///
/// Only `run` makes a runtime, a client and the reconcilers; everything else works without a cluster. Returns 0 on
/// success, 1 on a failure, which is one line on standard error, and 2 where the command line is wrong.
pub fn main(operators: impl IntoOperators) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let operators = operators.into_operators();
    let program = program_name(args.first());
    let cli = match parse(&args, &operators) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to be said if standard error is closed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match execute(cli, operators, &program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[OsString], operators: &[Operator]) -> Result<Cli, clap::Error> {
    let mut command = command(&declared(operators));
    let matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn command(operators: &[Declared]) -> clap::Command {
    let kinds: Vec<&str> = operators.iter().map(|operator| &*operator.primary.kind).collect();
    let names: Vec<&str> = operators.iter().map(|operator| operator.name).collect();
    let command = Cli::command().about(format!("The operator of {}", kinds.join(", ")));
    command.mut_subcommand("run", |run| run.after_help(Overrides::help(&names)))
}

fn execute(cli: Cli, operators: Vec<Operator>, program: &str) -> Result<(), String> {
    let declared = declared(&operators);
    let printed = match cli.command {
        Command::Run(args) => return run::run(operators, &args),
        Command::Render(args) => return print(&render::render(&operators, &args)?, &mut io::stdout().lock()),
        Command::Crds => manifests::crds(&declared),
        Command::Rbac(args) => manifests::rbac(&declared, &args, program),
        Command::Manifests(args) => manifests::manifests(&declared, &args, program),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(&declared), program, &mut script);
            Ok(script)
        }
    };
    print(&printed.map_err(|error| error.to_string())?, &mut io::stdout().lock())
}

/// Writes to standard output. A reader that has seen enough, such as `head`, is no failure.
fn print(bytes: &[u8], out: &mut dyn Write) -> Result<(), String> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("cannot write the output: {error}")),
        _ => Ok(()),
    }
}

fn declared(operators: &[Operator]) -> Vec<Declared> {
    operators.iter().map(|operator| operator.declared().clone()).collect()
}

fn program_name(path: Option<&OsString>) -> String {
    let stem = path.and_then(|path| Path::new(path).file_stem());
    stem.map_or_else(|| "operator".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        assert_eq!(print(b"x", &mut Closed(io::ErrorKind::BrokenPipe)), Ok(()));
        assert!(print(b"x", &mut Closed(io::ErrorKind::StorageFull)).is_err());
    }

    #[test]
    fn the_program_is_called_by_its_file_name() {
        assert_eq!(program_name(Some(&"/usr/bin/website".into())), "website");
        assert_eq!(program_name(None), "operator");
    }

    #[test]
    fn the_command_line_is_consistent() {
        command(&[]).debug_assert();
    }

    #[test]
    fn wrong_usage_is_told_apart_from_help() {
        let code = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            parse(&args, &[]).map(drop).map_err(|error| error.exit_code())
        };
        assert_eq!(code(&["website"]), Err(2));
        assert_eq!(code(&["website", "nonsense"]), Err(2));
        assert_eq!(code(&["website", "manifests"]), Err(2));
        assert_eq!(code(&["website", "render"]), Err(2));
        assert_eq!(code(&["website", "render", "-f", "-"]), Ok(()));
        assert_eq!(code(&["website", "--help"]), Err(0));
        assert_eq!(code(&["website", "crds"]), Ok(()));
    }
}
