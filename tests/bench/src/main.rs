//! The benchmark's command line; see tests/bench/README.md.
use std::process::ExitCode;

fn main() -> ExitCode {
    bench::main()
}
