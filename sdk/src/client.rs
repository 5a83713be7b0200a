//! The one seam to the API server: status, Retry-After and decoding of failures are ours. The only module that knows HTTP.
use std::time::Duration;

use bytes::Bytes;

/// A handle to the API server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: kube::Client,
}

impl Client {
    /// Wraps a kube client. Build it with `default_retry = false`: retries belong to the layers above.
    pub fn new(inner: kube::Client) -> Self {
        Self { inner }
    }

    /// Finds the cluster as kubectl does: `KUBECONFIG`, `~/.kube/config`, then the service account of the pod.
    ///
    /// # Errors
    /// [`Error::Configuration`] says which file or variable is wrong.
    pub async fn try_default() -> Result<Self, Error> {
        panic!("skeleton")
    }

    /// Returns the kube client underneath, for requests this crate has no verb for.
    pub fn kube(&self) -> kube::Client {
        self.inner.clone()
    }

    /// Returns the URL of the API server, for messages.
    pub fn url(&self) -> &str {
        panic!("skeleton")
    }

    /// Sends a read and collects its body, up to a bound.
    pub(crate) async fn read(&self, request: http::Request<Vec<u8>>) -> Result<Bytes, Error> {
        let _ = request;
        panic!("skeleton")
    }

    /// Sends a write and collects its body, up to a bound. Every write passes here.
    pub(crate) async fn write(&self, request: http::Request<Vec<u8>>) -> Result<Bytes, Error> {
        let _ = request;
        panic!("skeleton")
    }

    /// Sends a request and hands back its body as it arrives.
    pub(crate) async fn stream(&self, request: http::Request<Vec<u8>>) -> Result<kube::client::Body, Error> {
        let _ = request;
        panic!("skeleton")
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// What went wrong between us and the API server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API server answered with a failure.
    #[error("{method} {path}: the API server answered {status}")]
    Status {
        /// HTTP method of the request.
        method: http::Method,
        /// Path of the request, without its query.
        path: String,
        /// What the server said.
        status: Box<Status>,
    },
}

/// A `metav1.Status` failure and the headers that matter.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason, such as `NotFound`.
    pub reason: String,
    /// The server's message.
    pub message: String,
    /// What `Retry-After` or `details.retryAfterSeconds` asked for.
    pub retry_after: Option<Duration>,
    /// Reasons of `details.causes`.
    pub causes: Vec<String>,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl Error {
    /// Says whether the object does not exist (404).
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }
    /// Says whether the write lost a race (409 Conflict, or 422 of a JSON patch test).
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }
    /// Says whether RBAC refused it (403).
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }
    /// Returns the HTTP status code, where the server answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(status.code),
        }
    }
    /// Returns how long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { status, .. } => status.retry_after,
        }
    }
}
