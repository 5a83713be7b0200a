//! What lies between an informer's task and a handler's thread: one lock for many events, and a wake-up only for whoever
//! sleeps.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::informer::event::RawEvent;
use crate::informer::handler::buffer::{Buffer, Next, Pushed};
use crate::informer::handler::{BUFFER_BOUND, Progress};
use crate::store::decode::Envelope;

/// How many events go through the lock of a mailbox at once, in either direction: what they cost is small beside that of
/// two threads that want the lock for each, and few are few beside [`BUFFER_BOUND`], which those that were taken count
/// against until their call begins.
pub(super) const HANDED_BOUND: usize = 64;

/// The events that one handler has not taken.
pub(super) struct Mailbox {
    inbox: Mutex<Inbox>,
    /// Wakes the one who takes out of it.
    pub(super) filled: Notify,
    closed: AtomicBool,
    pub(super) progress: Arc<Progress>,
}

struct Inbox {
    buffer: Buffer<Arc<Envelope>>,
    /// Whether whoever takes has found nothing since it was woken last.
    idle: bool,
}

impl Mailbox {
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        let buffer = Buffer::new(BUFFER_BOUND, |envelope: &Arc<Envelope>| envelope.key().clone());
        let (inbox, closed) = (Mutex::new(Inbox { buffer, idle: true }), AtomicBool::new(false));
        Self { inbox, filled: Notify::new(), closed, progress }
    }

    /// Adds events, in order.
    pub(super) fn put(&self, events: impl Iterator<Item = RawEvent>) {
        let mut inbox = self.inbox();
        // As of now: what begins from here on made no room for these.
        let taken = self.progress.taken();
        let merged = events.map(|event| inbox.buffer.push(event, taken)).filter(|pushed| *pushed == Pushed::Merged);
        self.progress.count_merged(merged.count());
        self.woken(inbox);
    }

    pub(super) fn end_initial_list(&self) {
        let mut inbox = self.inbox();
        inbox.buffer.end_initial_list();
        self.woken(inbox);
    }

    /// Wakes whoever takes, now that there is something.
    fn woken(&self, mut inbox: MutexGuard<'_, Inbox>) {
        self.progress.set_queued(inbox.buffer.len());
        let wake = std::mem::take(&mut inbox.idle);
        drop(inbox);
        if wake {
            self.filled.notify_one();
        }
    }

    /// Takes what is next into `batch`, which is empty. Where nothing is, the next that comes wakes whoever waits.
    fn take(&self, batch: &mut VecDeque<Next<Arc<Envelope>>>) {
        let mut inbox = self.inbox();
        inbox.buffer.take(HANDED_BOUND, batch);
        inbox.idle = batch.is_empty();
        self.progress.set_taken(batch.iter().filter(|next| matches!(next, Next::Event(_))).count());
        self.progress.set_queued(inbox.buffer.len());
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nothing more be taken. It wakes nobody.
    pub(super) fn close(&self) {
        self.closed.store(true, SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }
}

/// The handler's end of its mailbox. There is one.
pub(in crate::informer::handler) struct Outlet {
    pub(super) mailbox: Arc<Mailbox>,
    /// What was taken out of the mailbox and its handler was not called for yet.
    batch: VecDeque<Next<Arc<Envelope>>>,
}

impl Outlet {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox, batch: VecDeque::with_capacity(HANDED_BOUND) }
    }

    /// Takes the next event; none where there is none, or once closed.
    pub(super) fn pop(&mut self) -> Option<Next<Arc<Envelope>>> {
        if self.mailbox.is_closed() {
            return None;
        }
        if self.batch.is_empty() {
            self.mailbox.take(&mut self.batch);
        }
        let next = self.batch.pop_front()?;
        if matches!(next, Next::Event(_)) {
            self.mailbox.progress.set_taken(self.mailbox.progress.taken() - 1);
        }
        Some(next)
    }

    /// Waits for the next event; `None` once closed. Cancel safe.
    #[cfg(feature = "kube-runtime")]
    pub(in crate::informer::handler) async fn next(&mut self) -> Option<Next<Arc<Envelope>>> {
        while !self.mailbox.is_closed() {
            if let Some(next) = self.pop() {
                return Some(next);
            }
            self.mailbox.filled.notified().await;
        }
        None
    }
}
