//! The error of user code: takes any `?`, carries its class.
use std::time::Duration;

use crate::apply;
use crate::client;

/// The result of user code.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a reconcile failed. Takes any error through `?`; transient unless said otherwise.
///
/// Deliberately not a [`std::error::Error`] itself, as that is what lets `From` accept every error.
pub struct Error {
    class: Class,
    retry_after: Option<Duration>,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// How a failure is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// Retried with back-off per key.
    Transient,
    /// Lost a race: retried soon and quietly.
    Conflict,
    /// Not retried before the object changes.
    Terminal,
}

impl Error {
    /// Makes an error from a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { class: Class::Transient, retry_after: None, source: message.into().into() }
    }

    /// Says that retrying can not help before the object changes.
    #[must_use]
    pub fn terminal(mut self) -> Self {
        self.class = Class::Terminal;
        self
    }

    /// Sets when to retry, instead of the back-off.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Returns how it is retried.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Returns the delay that was asked for, by the user or by the API server.
    pub fn delay(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let source: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
        let (class, retry_after) = classify(&*source);
        Self { class, retry_after, source }
    }
}

fn classify(error: &(dyn std::error::Error + 'static)) -> (Class, Option<Duration>) {
    if let Some(error) = error.downcast_ref::<client::Error>() {
        let class = if error.is_conflict() { Class::Conflict } else { Class::Transient };
        return (class, error.retry_after());
    }
    if let Some(error) = error.downcast_ref::<apply::Error>() {
        let class = match (error.is_terminal(), error.is_conflict()) {
            (true, _) => Class::Terminal,
            (_, true) => Class::Conflict,
            _ => Class::Transient,
        };
        return (class, error.retry_after());
    }
    // A raw kube client is at hand in every context.
    if let Some(kube::Error::Api(status)) = error.downcast_ref::<kube::Error>() {
        let conflict = status.code == 409 && status.reason == "Conflict";
        return (if conflict { Class::Conflict } else { Class::Transient }, None);
    }
    (Class::Transient, None)
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.source)?;
        let mut cause = self.source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Error").field("class", &self.class).field("source", &self.source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16) -> client::Error {
        let status = client::Status { code, retry_after: Some(Duration::from_secs(7)), ..Default::default() };
        client::Error::Status { method: http::Method::PATCH, path: "/x".to_owned(), status: Box::new(status) }
    }

    fn write(code: u16, primary: bool) -> apply::Error {
        let key = crate::resource::ObjectKey::cluster("a");
        apply::Error::Request { verb: "apply", kind: "Thing".to_owned(), key, primary, source: Box::new(api(code)) }
    }

    #[test]
    fn the_class_follows_from_what_the_question_mark_met() {
        let check = |error: Error, class: Class, delay: Option<u64>| {
            assert_eq!((error.class(), error.delay()), (class, delay.map(Duration::from_secs)), "{error}");
        };
        check(std::io::Error::other("x").into(), Class::Transient, None);
        check(api(500).into(), Class::Transient, Some(7));
        check(api(409).into(), Class::Conflict, Some(7));
        check(write(409, false).into(), Class::Conflict, Some(7));
        check(write(422, false).into(), Class::Transient, Some(7));
        check(write(404, false).into(), Class::Transient, Some(7));
        check(write(404, true).into(), Class::Conflict, Some(7));
        check(apply::Error::NoStatus { kind: "Thing".to_owned() }.into(), Class::Terminal, None);
        check(Error::from(api(500)).terminal(), Class::Terminal, Some(7));
    }

    #[test]
    fn the_message_tells_the_whole_chain_once() {
        let message = Error::from(write(500, false)).to_string();
        assert_eq!(message, "cannot apply Thing a: PATCH /x: the API server answered 500 Internal Server Error");
    }
}
