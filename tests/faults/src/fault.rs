//! What may happen to a request, as values.
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use http::Method;
use http::request::Parts;

/// A request as a plan sees it.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it asks for.
    pub verb: Verb,
    /// Its path.
    pub path: String,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// One object, a list, or anything else that is read and ends.
    Read,
    /// A stream of changes.
    Watch,
    /// Anything that changes something.
    Write,
}

/// What the proxy does to one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Passes it on.
    None,
    /// Passes it on after a while.
    Delay(Duration),
    /// Answers a failure.
    Fail {
        /// Whether the API server got it.
        effect: Effect,
        /// HTTP status code.
        code: u16,
        /// Reason of the `metav1.Status`.
        reason: &'static str,
        /// Value of `Retry-After`.
        retry_after: Option<u32>,
    },
    /// Closes the connection instead of answering.
    Cut(Effect),
    /// Passes a watch on, with something done to the stream of its events.
    Stream(StreamFault),
}

/// Whether a request that fails took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The API server never got it.
    Lost,
    /// The API server answered it; the answer is lost.
    Done,
}

/// What happens to the events of a watch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StreamFault {
    /// Each arrives later by a time between these, in order.
    Delay(Duration, Duration),
    /// The connection breaks after so many pieces.
    Cut(usize),
    /// The API server says 410 after so many pieces, as of a version that is no longer kept.
    Expire(usize),
}

/// Decides what happens to each request.
pub type Plan = Arc<dyn Fn(&Call, &mut Rng) -> Fault + Send + Sync>;

impl Call {
    pub(crate) fn of(head: &Parts) -> Self {
        let watches = head
            .uri
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1"));
        let verb = match (&head.method, watches) {
            (&Method::GET | &Method::HEAD | &Method::OPTIONS, true) => Verb::Watch,
            (&Method::GET | &Method::HEAD | &Method::OPTIONS, false) => Verb::Read,
            _ => Verb::Write,
        };
        Self { verb, path: head.uri.path().to_owned() }
    }
}

impl Fault {
    /// A conflict that nobody caused: what a lost race looks like.
    pub const CONFLICT: Self = Self::Fail { effect: Effect::Lost, code: 409, reason: "Conflict", retry_after: None };

    /// Too many requests, come back in a second.
    pub const TOO_MANY_REQUESTS: Self =
        Self::Fail { effect: Effect::Lost, code: 429, reason: "TooManyRequests", retry_after: Some(1) };

    /// An internal error, with or without the request having taken effect.
    pub const fn internal_error(effect: Effect) -> Self {
        Self::Fail { effect, code: 500, reason: "InternalError", retry_after: None }
    }
}
