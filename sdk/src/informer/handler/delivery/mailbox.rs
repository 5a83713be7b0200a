//! What lies between an informer's task and a handler's thread: one lock for many events, and a wake-up only for whoever
//! sleeps.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::informer::event::RawEvent;
use crate::informer::handler::buffer::{Buffer, Next, Pushed};
use crate::informer::handler::{BUFFER_BOUND, Progress};
use crate::store::decode::Envelope;

/// How many events go through the lock of a mailbox at once, in either direction: what they cost is small beside that of
/// two threads that want the lock for each, and few are few beside [`BUFFER_BOUND`], which those that were taken count
/// against until their call begins.
pub(super) const HANDED_BOUND: usize = 128;

/// The events that one handler has not taken.
pub(super) struct Mailbox {
    inbox: Mutex<Inbox>,
    /// Wakes the one who takes out of it, if it went away.
    pub(super) filled: Notify,
    /// Wakes the one who takes out of it, if it lingers.
    refilled: Condvar,
    closed: AtomicBool,
    pub(super) progress: Arc<Progress>,
}

struct Inbox {
    buffer: Buffer<Arc<Envelope>>,
    taker: Taker,
}

/// What whoever takes is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    /// It will look again by itself.
    Busy,
    /// It has found nothing, and waits on its thread.
    Lingers,
    /// It has found nothing, and is to be woken by [`Mailbox::filled`].
    Away,
}

impl Mailbox {
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        let buffer = Buffer::new(BUFFER_BOUND, |envelope: &Arc<Envelope>| envelope.key().clone());
        let (inbox, closed) = (Mutex::new(Inbox { buffer, taker: Taker::Away }), AtomicBool::new(false));
        Self { inbox, filled: Notify::new(), refilled: Condvar::new(), closed, progress }
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
        let taker = std::mem::replace(&mut inbox.taker, Taker::Busy);
        drop(inbox);
        match taker {
            Taker::Busy => {}
            Taker::Lingers => self.refilled.notify_one(),
            Taker::Away => self.filled.notify_one(),
        }
    }

    /// Takes what is next into `batch`, which is empty. Where nothing is and nothing comes for so long, the next that comes
    /// wakes whoever waits.
    fn take(&self, batch: &mut VecDeque<Next<Arc<Envelope>>>, linger: Duration) {
        let mut inbox = self.inbox();
        inbox.buffer.take(HANDED_BOUND, batch);
        if batch.is_empty() && !linger.is_zero() {
            inbox.taker = Taker::Lingers;
            let waited = self.refilled.wait_timeout_while(inbox, linger, |inbox| inbox.taker == Taker::Lingers);
            inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
            inbox.buffer.take(HANDED_BOUND, batch);
        }
        inbox.taker = if batch.is_empty() { Taker::Away } else { Taker::Busy };
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
    #[cfg(any(test, feature = "kube-runtime"))]
    pub(super) fn pop(&mut self) -> Option<Next<Arc<Envelope>>> {
        self.pop_within(Duration::ZERO)
    }

    /// Takes the next event, and waits on this thread for so long where there is none; none once closed.
    pub(super) fn pop_within(&mut self, linger: Duration) -> Option<Next<Arc<Envelope>>> {
        if self.mailbox.is_closed() {
            return None;
        }
        if self.batch.is_empty() {
            self.mailbox.take(&mut self.batch, linger);
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::informer::event::Event;
    use crate::store::fixture::config_map;

    fn event() -> RawEvent {
        Event::Added { object: Arc::new(config_map("a/b").envelope()), initial: false }
    }

    #[test]
    fn a_handler_that_lingers_gets_what_comes_on_its_thread() {
        let mailbox = Arc::new(Mailbox::new(Arc::default()));
        let mut outlet = Outlet::new(Arc::clone(&mailbox));
        let handler = std::thread::spawn(move || outlet.pop_within(Duration::from_secs(3600)).is_some());
        while mailbox.inbox().taker != Taker::Lingers {
            std::thread::yield_now();
        }
        mailbox.put([event()].into_iter());
        assert!(handler.join().unwrap());
        assert!(mailbox.filled.notified().now_or_never().is_none(), "nobody else was woken");
    }

    #[test]
    fn a_handler_that_lingered_for_nothing_is_woken_for_the_next() {
        let mailbox = Arc::new(Mailbox::new(Arc::default()));
        let mut outlet = Outlet::new(Arc::clone(&mailbox));
        assert!(outlet.pop_within(Duration::from_nanos(1)).is_none());
        mailbox.put([event()].into_iter());
        assert!(mailbox.filled.notified().now_or_never().is_some());
        assert!(outlet.pop_within(Duration::from_secs(3600)).is_some(), "what is there is not waited for");
    }
}
