//! `controlplane kubectl …`

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use controlplane::{binary, kubectl};

use super::running;

pub(super) fn run(arguments: &[OsString]) -> Result<ExitCode, Box<dyn Error>> {
    let kubeconfig = running::kubeconfig()?;
    let mut command = kubectl::command(&binary::binary()?, &kubeconfig);
    let status = command.args(arguments).status()?;
    // A kubectl that a signal ended has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
