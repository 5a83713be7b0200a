//! What can go wrong between us and the API server, and the questions that callers ask about it.
use std::error::Error as StdError;
use std::time::Duration;

use kube::client::AuthError;

use super::{Status, config};

/// What went wrong between us and the API server. Never holds a body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No cluster is configured, or not in a way that can be used.
    #[error(transparent)]
    Configuration(#[from] config::Error),
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
    /// A name that goes into the URL is not one: the request was never sent.
    #[error("the request could not be built: a name in it is no part of a URL")]
    Request(#[from] http::Error),
    /// No connection could be made: the request was never sent.
    #[error("cannot reach the API server at {url}: is the cluster running, is the kubeconfig right?")]
    Connect {
        /// URL of the API server.
        url: String,
        /// What the transport said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The credentials could not be obtained: the request was never sent.
    #[error(
        "the credentials of the kubeconfig could not be obtained: {problem}; log in again, or run its exec plugin by hand"
    )]
    Credentials {
        /// What went wrong; never what a plugin printed or was called with, as a token may be among it.
        problem: String,
    },
    /// The connection broke after the request was sent: whether it took effect is unknown.
    #[error("{method} {path}: the connection broke")]
    Broken {
        /// HTTP method of the request.
        method: http::Method,
        /// Path of the request, without its query.
        path: String,
        /// What the transport said.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer came in time: whether the request took effect is unknown.
    #[error("{method} {path}: the API server did not answer within {after:?}")]
    Timeout {
        /// HTTP method of the request.
        method: http::Method,
        /// Path of the request, without its query.
        path: String,
        /// How long we waited.
        after: Duration,
    },
    /// The answer is compressed, and can not be unpacked.
    #[error("{method} {path}: the answer can not be unpacked: {problem}")]
    Corrupt {
        /// HTTP method of the request.
        method: http::Method,
        /// Path of the request, without its query.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The answer came in an encoding that was asked for, and can not be read in it: the API server is newer than this
    /// release, or what came is damaged. A source that reports it asks for another encoding from then on.
    #[error("{method} {path}: {problem}")]
    Unreadable {
        /// HTTP method of the request.
        method: http::Method,
        /// Path of the request, without its query.
        path: String,
        /// What is wrong with it, as a sentence; never a part of it.
        problem: String,
    },
    /// The answer is larger than anything an API server should send.
    #[error("{method} {path}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// HTTP method of the request.
        method: http::Method,
        /// Path of the request, without its query.
        path: String,
        /// The bound.
        limit: usize,
    },
}

impl Error {
    /// Makes what a server answers that does not know such a request (501): for sources that stand in for an API server.
    pub fn not_implemented() -> Self {
        let status = Status { code: 501, reason: "NotImplemented".to_owned(), ..Status::default() };
        Self::Status { method: http::Method::GET, path: "/".to_owned(), status: Box::new(status) }
    }

    /// Says whether the object does not exist, or the kind is unknown (404).
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Says whether the write lost a race (409, other than that the object already exists).
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && !self.is_already_exists()
    }

    /// Says whether a create met an object of the same name (409 AlreadyExists).
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409 && status.reason == "AlreadyExists")
    }

    /// Says whether RBAC or admission refused it (403).
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// Says whether the credentials were refused (401), or could not be obtained.
    pub fn is_unauthorized(&self) -> bool {
        self.code() == Some(401) || matches!(self, Self::Credentials { .. })
    }

    /// Says whether validation refused the object (422).
    pub fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }

    /// Says whether the version or continue token asked for is no longer kept (410, or reason Expired).
    pub fn is_expired(&self) -> bool {
        self.status().is_some_and(Status::is_expired)
    }

    /// Says whether the version asked for is newer than what the server has seen yet.
    pub fn is_too_large_resource_version(&self) -> bool {
        self.status().is_some_and(Status::is_too_large_resource_version)
    }

    /// Says whether the server asks to slow down (429).
    pub fn is_too_many_requests(&self) -> bool {
        self.code() == Some(429)
    }

    /// Says whether no connection could be made, so that the request certainly took no effect.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }

    /// Says whether a write may have taken effect although it failed: the connection broke after it was sent, no answer
    /// came, or the API server failed on its way (5xx).
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Broken { .. }
            | Self::Timeout { .. }
            | Self::TooLarge { .. }
            | Self::Corrupt { .. }
            | Self::Unreadable { .. } => true,
            Self::Status { status, .. } => status.code >= 500,
            Self::Configuration(_) | Self::Request(_) | Self::Connect { .. } | Self::Credentials { .. } => false,
        }
    }

    /// Returns what the server said, where it answered.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Returns the HTTP status code, where the server answered.
    pub fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    /// Returns how long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.status().and_then(|status| status.retry_after)
    }
}

/// Says why there are no credentials, if that is what failed: when a client is made, or when it renews them.
pub(super) fn credentials_problem(error: &kube::Error) -> Option<String> {
    let error = match error {
        kube::Error::Auth(error) => error,
        // What fails between the client and its transport arrives without its type.
        kube::Error::Service(error) => error.downcast_ref::<AuthError>()?,
        _ => return None,
    };
    Some(match error {
        AuthError::AuthExecRun { out, .. } => format!("the exec plugin failed with {}", out.status),
        AuthError::AuthExecStart(error) => format!("the exec plugin could not be started: {error}"),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed | AuthError::UnrefreshableTokenResponse => {
            "what the exec plugin printed holds no credentials".to_owned()
        }
        AuthError::MissingCommand => "the kubeconfig names no command for its exec plugin".to_owned(),
        AuthError::ReadTokenFile(error, path) => {
            format!("the token file {} cannot be read: {error}", path.display())
        }
        AuthError::InvalidBearerToken(_) | AuthError::InvalidBasicAuth(_) => {
            "they hold characters that no request may carry".to_owned()
        }
        // Others quote commands, answers and tokens.
        _ => "the way that the kubeconfig describes failed".to_owned(),
    })
}

/// Says whether the transport failed before it had a connection: refused, no route, name unknown, TLS refused.
pub(super) fn is_connect(error: &kube::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(transport) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return transport.is_connect();
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        cause = error.source();
    }
    false
}
