//! `metav1.Status` failures as the API server sends them: as JSON, as protobuf, as plain text, or as an empty body.
use std::time::Duration;

use serde::Deserialize;

mod protobuf;

/// Longest wait a server may ask for. Servers ask for seconds; a hostile or confused answer must not silence us for a day.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Longest message kept of a failure, in characters; messages of admission webhooks are the longest in practice.
const MAX_MESSAGE: usize = 4 * 1024;

/// Longest reason kept, in characters. A reason is one word.
const MAX_REASON: usize = 128;

/// A `metav1.Status` failure and the headers that matter.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason, such as `NotFound`.
    pub reason: String,
    /// The server's message.
    pub message: String,
    /// What `Retry-After` or `details.retryAfterSeconds` asked for, two minutes at most.
    pub retry_after: Option<Duration>,
    /// Reasons of `details.causes`.
    pub causes: Vec<String>,
}

impl Status {
    /// Reads a failure of HTTP status `code`.
    ///
    /// Bodies that are no Status still give one: priority and fairness answers 429 as plain text, proxies answer HTML.
    pub(crate) fn parse(code: u16, headers: &http::HeaderMap, body: &[u8]) -> Self {
        let said = Self::from_json(body).or_else(|| Self::from_wire(protobuf::read(body)?));
        let mut status = said.unwrap_or_else(|| Self::from_text(headers, body));
        status.code = code;
        let seconds = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        status.retry_after = seconds.and_then(wait).or(status.retry_after);
        status
    }

    /// Reads a Status object, such as that of an ERROR event of a watch. `None` when it is none.
    pub(crate) fn from_json(body: &[u8]) -> Option<Self> {
        Self::from_wire(serde_json::from_slice(body).ok()?)
    }

    fn from_wire(wire: Wire) -> Option<Self> {
        if wire.kind.as_deref() != Some("Status") {
            return None;
        }
        let details = wire.details.unwrap_or_default();
        let seconds = details.retry_after_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Some(Self {
            code: wire.code.unwrap_or_default(),
            reason: shorten(&wire.reason.unwrap_or_default(), MAX_REASON),
            message: shorten(&wire.message.unwrap_or_default(), MAX_MESSAGE),
            retry_after: seconds.and_then(wait),
            causes: details.causes.unwrap_or_default().into_iter().filter_map(|cause| cause.reason).collect(),
        })
    }

    fn from_text(headers: &http::HeaderMap, body: &[u8]) -> Self {
        let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // Only plain text is meant for people: anything else may be an object or a page of a proxy.
        let message = match content_type {
            Some(kind) if kind.starts_with("text/plain") => shorten(String::from_utf8_lossy(body).trim(), MAX_MESSAGE),
            _ => String::new(),
        };
        Self { message, ..Self::default() }
    }

    /// Says whether the version asked for is no longer kept (410 Gone, or reason Expired).
    pub fn is_expired(&self) -> bool {
        self.code == 410 || self.reason == "Expired" || self.reason == "Gone"
    }

    /// Says whether the version asked for is newer than what the server has seen yet.
    ///
    /// apimachinery marks it by a cause on a 504; releases before 1.17 only by the message.
    pub fn is_too_large_resource_version(&self) -> bool {
        self.causes.iter().any(|cause| cause == "ResourceVersionTooLarge")
            || ((self.code == 504 || self.code == 400) && self.message.contains("Too large resource version"))
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code)?;
        let known = http::StatusCode::from_u16(self.code).ok().and_then(|code| code.canonical_reason());
        match (self.reason.as_str(), known) {
            ("", Some(known)) => write!(f, " {known}")?,
            ("", None) => {}
            (reason, _) => write!(f, " {reason}")?,
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

/// No time at all is no advice: whoever followed it would not back off.
fn wait(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// Cuts the text, and takes control characters out, so that a message can not break a log or a terminal.
fn shorten(text: &str, limit: usize) -> String {
    text.chars().take(limit).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[derive(Deserialize, Default)]
struct Wire {
    kind: Option<String>,
    code: Option<u16>,
    reason: Option<String>,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Details {
    retry_after_seconds: Option<i64>,
    causes: Option<Vec<Cause>>,
}

#[derive(Deserialize)]
struct Cause {
    reason: Option<String>,
}
