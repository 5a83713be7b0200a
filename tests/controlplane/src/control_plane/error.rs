//! Why a control plane could not be started or controlled.

use std::io;
use std::time::Duration;

use crate::audit::AuditError;
use crate::binary::BuildError;
use crate::certificates::CertificatesError;
use crate::process::ProcessError;

/// The control plane could not be started or controlled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The servers could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Keys and certificates could not be made.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// A server failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The API server did not become ready.
    #[error("kube-apiserver did not become ready within {within:?}; its log ends with:\n{log}")]
    NotReady {
        /// How long was waited.
        within: Duration,
        /// The last lines of its log.
        log: String,
    },
    /// Its files could not be written.
    #[error("write the control plane's files")]
    Files(#[from] io::Error),
    /// The audit log could not be read.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Returns whether a server ended because another process listens on its port.
pub(super) fn port_taken(log: &str) -> bool {
    log.contains("address already in use")
}
