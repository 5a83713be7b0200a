//! A blog whose operator is a graph of desired-state functions, and nothing else.
use std::process::ExitCode;

use blog::Blog;

mod blog;

fn main() -> ExitCode {
    kubewright::main(Blog::operator(async |_setup| Ok(())))
}
