//! The dependencies of the cases, and the one case that must be a library: `pass` holds what must compile, `fail` what
//! must not.
#[path = "../pass/strict.rs"]
pub mod strict;
