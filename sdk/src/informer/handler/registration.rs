//! What a caller holds of a handler: its registration, and what the delivery tells it.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use tokio::sync::watch;

use crate::informer::SharedInformer;

/// Keeps a handler registered, and its informer alive; dropping it removes the handler.
///
/// After the drop no call of the handler begins; one that is running may still finish. [`Registration::remove`] waits
/// for that.
#[must_use = "dropping a registration removes its handler"]
pub struct Registration {
    progress: Arc<Progress>,
    informer: Arc<SharedInformer>,
}

impl Registration {
    pub(in crate::informer) fn new(progress: Arc<Progress>, informer: Arc<SharedInformer>) -> Self {
        Self { progress, informer }
    }

    /// Waits until the handler has returned from the last object of its initial list.
    ///
    /// Waits forever when that cannot happen: the informer is not started or has been stopped, or the handler panicked.
    pub async fn synced(&self) {
        let mut synced = self.progress.synced.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Says whether the handler has seen its whole initial list.
    pub fn has_synced(&self) -> bool {
        *self.progress.synced.borrow()
    }

    /// Removes the handler; returns once its running call has returned and it has been dropped
    /// (client-go's `ShutDownEventHandler`).
    ///
    /// Dropping the future still removes it, without the wait. Waits forever when the handler itself waits for this.
    pub async fn remove(self) {
        let mut ended = self.progress.ended.subscribe();
        let progress = Arc::clone(&self.progress);
        drop(self);
        // `progress` is a sender, so that waiting cannot fail.
        let _ = ended.wait_for(|ended| *ended).await;
        drop(progress);
    }

    /// Says whether the handler is gone although this registration is not: its informer has been stopped.
    pub fn has_ended(&self) -> bool {
        *self.progress.ended.borrow()
    }

    /// Returns how many events wait for the handler now.
    pub fn waiting(&self) -> usize {
        self.progress.waiting()
    }

    /// Returns how many events were merged into waiting ones, because more than
    /// [`BUFFER_BOUND`](super::BUFFER_BOUND) waited: what the handler was not told one by one.
    pub fn merged(&self) -> u64 {
        self.progress.merged()
    }
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("target", &self.informer.target().to_string())
            .field("synced", &self.has_synced())
            .field("ended", &self.has_ended())
            .field("waiting", &self.waiting())
            .field("merged", &self.merged())
            .finish()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.progress.removed.store(true, SeqCst);
        self.informer.let_go();
    }
}

/// What a registration and the delivery to its handler tell each other.
#[derive(Debug, Default)]
pub(in crate::informer) struct Progress {
    removed: AtomicBool,
    synced: watch::Sender<bool>,
    /// Turns true when the handler has been dropped.
    ended: watch::Sender<bool>,
    /// How many events wait in the mailbox.
    queued: AtomicUsize,
    /// How many were taken out of it and their call has not begun.
    taken: AtomicUsize,
    merged: AtomicU64,
}

impl Progress {
    /// Says whether the registration has been dropped.
    pub(in crate::informer) fn is_removed(&self) -> bool {
        self.removed.load(SeqCst)
    }

    /// Returns how many events were merged.
    pub(in crate::informer) fn merged(&self) -> u64 {
        self.merged.load(Relaxed)
    }

    /// Says that the handler has returned from the last object of its initial list.
    pub(super) fn set_synced(&self) {
        self.synced.send_replace(true);
    }

    /// Says that the handler has been dropped.
    pub(super) fn set_ended(&self) {
        self.ended.send_replace(true);
    }

    /// Returns how many events wait, in the mailbox or taken out of it.
    pub(super) fn waiting(&self) -> usize {
        self.queued.load(Relaxed) + self.taken()
    }

    /// Returns how many events were taken out of the mailbox and their call has not begun.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    /// Says how many events wait in the mailbox.
    pub(super) fn set_queued(&self, queued: usize) {
        self.queued.store(queued, Relaxed);
    }

    /// Says how many events were taken out of the mailbox and their call has not begun. One thread does.
    pub(super) fn set_taken(&self, taken: usize) {
        self.taken.store(taken, Relaxed);
    }

    /// Counts events that were merged into waiting ones.
    pub(super) fn count_merged(&self, merged: usize) {
        if merged > 0 {
            self.merged.fetch_add(merged as u64, Relaxed);
        }
    }
}
