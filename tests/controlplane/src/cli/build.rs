//! `controlplane build`

use std::error::Error;
use std::process::ExitCode;

use controlplane::binary;

pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    println!("{}", binary::binary()?.display());
    Ok(ExitCode::SUCCESS)
}
