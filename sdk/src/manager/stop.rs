//! The handle that stops a manager, and tells when it has.
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Stops a manager from outside. Clones act on the same manager.
#[derive(Clone)]
pub struct Stop {
    phase: Arc<watch::Sender<Phase>>,
}

/// How far a manager has come; it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Stopping,
    Aborting,
    Stopped,
}

impl Stop {
    pub(super) fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Running)) }
    }

    /// Asks for a graceful stop: reconciles at hand may end within the grace period, none begins.
    pub fn stop(&self) {
        self.raise(Phase::Stopping);
    }

    /// Ends everything at once, in the middle of reconciles.
    pub fn abort(&self) {
        self.raise(Phase::Aborting);
    }

    /// Says whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        *self.phase.borrow() >= Phase::Stopping
    }

    /// Waits until a stop was asked for.
    pub async fn stopping(&self) {
        self.reached(Phase::Stopping).await;
    }

    /// Waits until the manager has stopped, or was dropped.
    pub async fn stopped(&self) {
        self.reached(Phase::Stopped).await;
    }

    pub(super) async fn aborting(&self) {
        self.reached(Phase::Aborting).await;
    }

    /// Returns what marks the manager as stopped once it is dropped.
    pub(super) fn on_drop(&self) -> StoppedOnDrop {
        StoppedOnDrop(self.clone())
    }

    fn raise(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = *phase < to;
            if later {
                *phase = to;
            }
            later
        });
    }

    async fn reached(&self, wanted: Phase) {
        // Fails only when the sender is gone, and `self` has it.
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= wanted).await;
    }
}

/// Marks its manager as stopped when it is dropped, however it came to that.
#[derive(Debug)]
pub(super) struct StoppedOnDrop(Stop);

impl Drop for StoppedOnDrop {
    fn drop(&mut self) {
        self.0.raise(Phase::Stopped);
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&*self.phase.borrow()).finish()
    }
}
