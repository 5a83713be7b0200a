//! What can go wrong in a pass. All of it is tried again.
use kubewright::kube;
use kubewright::store::lister::DecodeError;

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The selector can not be used.
    #[error("the selector is not valid: {0}")]
    Selector(String),
    /// A cached object is not what it should be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The API server refused a request, or did not answer.
    #[error("{attempt}: {}", answer(cause))]
    Request {
        /// What was attempted, and on what.
        attempt: String,
        /// Why it failed.
        cause: Box<kube::Error>,
    },
    /// The cache does not show yet what a request has just met. Its event will come.
    #[error("{0} exists and is not cached yet")]
    Stale(String),
    /// Another object has the name that the hash of the template gave; the next pass tries another one.
    #[error("{0} exists and belongs to somebody else, or has another template")]
    Collision(String),
    /// The Deployment is not the one that is cached any more.
    #[error("the Deployment has been deleted or made anew")]
    Gone,
    /// The pass took longer than anything should.
    #[error("the pass did not end in time")]
    Late,
}

impl Error {
    /// Names what was attempted when a request failed.
    pub(crate) fn request(attempt: String) -> impl FnOnce(kube::Error) -> Self {
        move |cause| Self::Request { attempt, cause: Box::new(cause) }
    }

    /// Says whether the write lost a race: the cache will catch up.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Request { cause, .. } if code(cause) == Some(409)) || matches!(self, Self::Stale(_))
    }

    /// Says whether nothing can be made any more because the namespace is ending.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
        let Self::Request { cause, .. } = self else { return false };
        let kube::Error::Api(status) = &**cause else { return false };
        let causes = status.details.as_ref().map(|details| &details.causes);
        causes.into_iter().flatten().any(|cause| cause.reason == "NamespaceTerminating")
    }
}

/// Returns the status code of the API server's answer.
pub(crate) fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Returns what the API server said, or why it said nothing. What kube prints of an answer repeats it in full.
pub(crate) fn answer(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
