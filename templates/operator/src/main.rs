//! The {{project-name}} operator.
mod api;
mod reconcile;

use std::process::ExitCode;

fn main() -> ExitCode {
    kubewright::main(api::{{kind}}::operator(async |_setup| Ok(reconcile::Reconciler)))
}
