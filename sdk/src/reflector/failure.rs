//! What failed, for two readers: the machine that recovers, and the person who must mend it.
use std::error::Error as StdError;
use std::time::Duration;

use crate::client::{self, Status};
use crate::wire;

use super::Target;
use super::state::Fault;

/// A failure that lasts, and what to do about it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What kind of failure it is.
    pub reason: FailureReason,
    /// One sentence that names what is missing, and what to do.
    pub message: String,
    /// How many attempts in a row have failed.
    pub attempts: u32,
    /// How long until the next attempt.
    pub retry_in: Duration,
}

/// The classes of failure that a user can act upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// The API server does not know the kind: its CRD is missing.
    UnknownKind,
    /// RBAC refuses to list or watch it.
    Forbidden,
    /// The credentials are not accepted.
    Unauthorized,
    /// The API server cannot be reached.
    Unreachable,
    /// Anything else.
    Other,
}

impl Failure {
    /// Classifies what the client reported about `target`.
    pub fn classify(_target: &Target, error: &client::Error) -> FailureReason {
        match error {
            client::Error::Status { status, .. } => FailureReason::of_status(status),
            client::Error::Credentials { .. } => FailureReason::Unauthorized,
            client::Error::Connect { .. } | client::Error::Broken { .. } | client::Error::Timeout { .. } => {
                FailureReason::Unreachable
            }
            _ => FailureReason::Other,
        }
    }
}

impl FailureReason {
    fn of_status(status: &Status) -> Self {
        match status.code {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::UnknownKind,
            _ => Self::Other,
        }
    }
}

/// The RBAC verb of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    List,
    Watch,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

/// Why a request did not do what it should.
#[derive(Debug)]
pub(super) enum Cause {
    /// It was refused, or the transport failed.
    Client(client::Error),
    /// A watch that was accepted ended with this.
    Event(Status),
    /// What came is not what the protocol says.
    Wire(wire::Error),
    /// The page of a list names itself as the next, or one before it.
    SamePage,
    /// A body went silent, or came too slowly.
    Silent,
    /// A watch was closed at once, or before it had sent what exists.
    Closed,
}

impl Cause {
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Client(client::Error::Status { status, .. }) => fault_of(status),
            Self::Event(status) => fault_of(status),
            Self::Client(client::Error::Unreadable { .. }) => Fault::Unreadable,
            // Larger than anything real, or damaged: what comes next may be no better.
            Self::Client(client::Error::TooLarge { .. } | client::Error::Corrupt { .. }) => Fault::Broken,
            // No request can be made of what the server gave us: a version, or a token.
            Self::Client(client::Error::Request(_)) => Fault::Refused,
            Self::Client(_) | Self::Silent => Fault::Outside,
            Self::Wire(_) | Self::SamePage | Self::Closed => Fault::Broken,
        }
    }

    pub(super) fn reason(&self, target: &Target) -> FailureReason {
        match self {
            Self::Client(error) => Failure::classify(target, error),
            Self::Event(status) => FailureReason::of_status(status),
            Self::Silent => FailureReason::Unreachable,
            Self::Wire(_) | Self::SamePage | Self::Closed => FailureReason::Other,
        }
    }

    /// One sentence that names what is missing, and what to do.
    pub(super) fn message(&self, target: &Target, verb: Verb) -> String {
        let (verb, resource) = (verb.as_str(), target.resource.qualified_plural());
        let place = match &target.namespace {
            Some(namespace) => format!(" in namespace {namespace}"),
            None => String::new(),
        };
        let detail = self.detail();
        match self.reason(target) {
            FailureReason::Forbidden => format!(
                "not allowed to {verb} {resource}{place}: apply the role that the operator's `rbac` command prints ({detail})"
            ),
            FailureReason::UnknownKind if is_built_in(&target.resource.group) => format!(
                "the API server does not serve {resource} in version {}: is its release too old for it?",
                target.resource.version
            ),
            FailureReason::UnknownKind => format!(
                "the API server does not know {resource} in version {}: its CRD is not installed; apply what the operator's `crds` \
                 command prints",
                target.resource.version
            ),
            FailureReason::Unauthorized => format!(
                "the credentials were refused: log in again, or check the token that the kubeconfig or the pod uses ({detail})"
            ),
            FailureReason::Unreachable | FailureReason::Other => format!("cannot {verb} {resource}{place}: {detail}"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Client(client::Error::Status { status, .. }) => status.to_string(),
            Self::Client(error) => with_root_cause(error),
            Self::Event(status) => status.to_string(),
            Self::Wire(error) => error.to_string(),
            Self::SamePage => "the API server gives the same page of the list for ever".to_owned(),
            Self::Silent => "the API server went silent, or is too slow".to_owned(),
            Self::Closed => "the API server ended the watch too early".to_owned(),
        }
    }
}

fn fault_of(status: &Status) -> Fault {
    if status.is_too_large_resource_version() {
        return Fault::TooLargeVersion;
    }
    if status.is_expired() {
        return Fault::Expired;
    }
    // An object that storage can not read was deleted by force: its deletion reaches no watch, so only a list tells.
    if status.reason == "StorageReadError" {
        return Fault::Broken;
    }
    match status.code {
        429 => Fault::TooManyRequests(status.retry_after),
        401 | 403 => Fault::Outside,
        // A server that knows no such request says 501; one that names no code has failed in a way of its own.
        501 => Fault::Refused,
        0 | 408 | 500..=599 => Fault::Server(status.retry_after),
        _ => Fault::Refused,
    }
}

/// Groups that come with Kubernetes have no dot, or end in `k8s.io`.
fn is_built_in(group: &str) -> bool {
    !group.contains('.') || group == "k8s.io" || group.ends_with(".k8s.io")
}

/// The innermost cause is what says "connection refused" or names the certificate.
fn with_root_cause(error: &client::Error) -> String {
    let mut root: &(dyn StdError + 'static) = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let (outer, inner) = (error.to_string(), root.to_string());
    if outer == inner { outer } else { format!("{outer} ({inner})") }
}
