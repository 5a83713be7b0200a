//! Everything in `pass` compiles, and does what it says. The expansions are snapshots of `sdk-macros`.
#![allow(missing_docs, unreachable_pub)]

// One more name in the extern prelude: what a renamed dependency is.
extern crate kubewright as renamed;

#[path = "../pass/cluster_scoped.rs"]
mod cluster_scoped;
#[path = "../pass/dependents.rs"]
mod dependents;
#[path = "../pass/dependents_beside_reconcile.rs"]
mod dependents_beside_reconcile;
#[path = "../pass/hand_written.rs"]
mod hand_written;
#[path = "../pass/hostile.rs"]
mod hostile;
#[path = "../pass/narrowed.rs"]
mod narrowed;
#[path = "../pass/paths.rs"]
mod paths;
#[path = "../pass/private.rs"]
mod private;
#[path = "../pass/renamed.rs"]
mod renamed_library;
#[path = "../pass/two_operators.rs"]
mod two_operators;
#[path = "../pass/website.rs"]
mod website;
