//! Where the log goes: standard error, in colour only on a terminal.
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use super::{LogArguments, LogFormat};

/// Installs the log for this process. A subscriber that the user installed before stays.
pub(super) fn install(arguments: &LogArguments) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&arguments.log_level)
        .map_err(|source| Failure::LogFilter { filter: arguments.log_level.clone(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match arguments.log_format {
        LogFormat::Json => builder.json().with_current_span(true).with_span_list(false).try_init(),
        LogFormat::Text => builder.with_ansi(colour()).with_target(false).try_init(),
    };
    if installed.is_err() {
        tracing::debug!("a subscriber is installed already, so --log-level and --log-format do not apply");
    }
    Ok(())
}

/// Follows no-color.org: any non-empty NO_COLOR means none.
fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
