//! The signals that ask a process to end, as a stream.
use std::io;

use futures_util::stream::{BoxStream, StreamExt, unfold};

/// Names of the signals as they arrive.
pub(crate) type Signals = BoxStream<'static, &'static str>;

/// Listens for SIGTERM and SIGINT from now on: they no longer end the process by themselves.
#[cfg(unix)]
pub(crate) fn listen() -> io::Result<Signals> {
    use tokio::signal::unix::{Signal, SignalKind, signal};
    let both = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let next = async |(mut terminate, mut interrupt): (_, _)| {
        let name = tokio::select! {
            Some(()) = Signal::recv(&mut terminate) => "SIGTERM",
            Some(()) = Signal::recv(&mut interrupt) => "SIGINT",
            else => return None,
        };
        Some((name, (terminate, interrupt)))
    };
    Ok(unfold(both, next).boxed())
}

/// Listens for Ctrl-C from now on: it no longer ends the process by itself.
#[cfg(not(unix))]
pub(crate) fn listen() -> io::Result<Signals> {
    Ok(unfold((), async |()| Some((tokio::signal::ctrl_c().await.map(|()| "Ctrl-C").ok()?, ()))).boxed())
}
