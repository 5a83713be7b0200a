//! Waiting for other processes: the one place of this crate that reads a clock and sleeps.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at: short beside what starting a process costs.
const PERIOD: Duration = Duration::from_millis(10);

/// Calls `attempt` until it returns a value, and returns that value.
///
/// An attempt that returns `Ok(None)` or an error is repeated with a short pause in between: against a server that is
/// starting or restarting, errors are expected. `what` completes the sentence "waited for …".
///
/// # Errors
/// After `within` without a value: [`NotInTime`] with the last attempt's error, if it was one.
pub fn eventually<T>(
    what: &str,
    within: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>, Box<dyn Error>>,
) -> Result<T, NotInTime> {
    let deadline = Deadline::after(within);
    loop {
        let last = match attempt() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => String::from("the last attempt found it not so yet"),
            Err(error) => format!("the last attempt failed: {error}"),
        };
        if deadline.passed() {
            return Err(NotInTime { what: what.to_owned(), within, last });
        }
        pause();
    }
}

/// Something awaited did not happen.
#[derive(Debug, Clone, thiserror::Error)]
#[error("waited {within:?} for {what}; {last}")]
pub struct NotInTime {
    what: String,
    within: Duration,
    last: String,
}

/// A point in time to give up at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(duration: Duration) -> Self {
        Self(now() + duration)
    }

    pub(crate) fn passed(self) -> bool {
        now() >= self.0
    }

    pub(crate) fn remaining(self) -> Duration {
        self.0.saturating_duration_since(now())
    }
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        now().duration_since(self.0)
    }
}

pub(crate) fn pause() {
    thread::sleep(PERIOD);
}

#[expect(clippy::disallowed_methods, reason = "other processes run on real time; there is nothing to control")]
fn now() -> Instant {
    Instant::now()
}
