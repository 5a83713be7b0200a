//! The error of user code: takes any `?`, carries its class.
use std::time::Duration;

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
        let (class, retry_after) = match source.downcast_ref::<client::Error>() {
            Some(error) if error.is_conflict() => (Class::Conflict, None),
            Some(error) => (Class::Transient, error.retry_after()),
            None => (Class::Transient, None),
        };
        Self { class, retry_after, source }
    }
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
