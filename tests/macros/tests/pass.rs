//! Everything in `pass` compiles, and does what it says. The expansions are snapshots of `sdk-macros`.
#[path = "../pass/website.rs"]
mod website;
