//! Two ways to a handler: inline in the informer's task, or through a buffer to a thread of its own.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::informer::event::{Event, RawEvent};
use crate::resource::Kind;
use crate::store::decode::Envelope;

use super::buffer::{Buffer, Next, Pushed};
use super::{BUFFER_BOUND, Deleted, Handle, Progress, ResourceEventHandler};

/// How many objects wait for a handler as they arrived: one turn of the informer, which a handler that keeps up takes
/// before the next, and half a MiB of pods. The rest waits packed.
const UNPACKED_BOUND: usize = 128;

/// Takes the events of one informer to one handler. Called by the informer's task only, after the store took each change.
pub(in crate::informer) trait Delivery: Send {
    /// Hands on one event, or keeps it for the handler until [`Delivery::flush`] at the latest. Never waits.
    fn deliver(&mut self, event: &Event<Arc<Envelope>>);

    /// Wakes the handler if something was kept for it: after some events, because waking costs as much as one of them.
    fn flush(&mut self);

    /// Says that what was delivered so far was the initial list.
    fn end_initial_list(&mut self);
}

/// Makes a delivery when the informer takes the handler in; tasks it needs go into the informer's set.
pub(in crate::informer) type Start = Box<dyn FnOnce(&mut JoinSet<()>) -> Box<dyn Delivery> + Send>;

/// Calls `handler` inline.
pub(in crate::informer) fn inline(handler: Box<dyn FnMut(RawEvent) + Send>, progress: Arc<Progress>) -> Start {
    let inline = Inline { handler, guard: Guard::new(progress) };
    Box::new(move |_| Box::new(inline))
}

/// Calls `handler` on a thread of its own, through a buffer.
pub(in crate::informer) fn buffered<K, H>(handler: H, progress: Arc<Progress>) -> Start
where
    K: Kind,
    H: ResourceEventHandler<K>,
{
    let mailbox = Arc::new(Mailbox::new(Arc::clone(&progress)));
    let caller = Caller { handler, guard: Guard::new(progress) };
    let buffered = Buffered { mailbox: Arc::clone(&mailbox), kept: false };
    Box::new(move |tasks| {
        tasks.spawn(serve(mailbox, caller, Caller::<H>::call::<K>));
        Box::new(buffered)
    })
}

/// Leaves the events in a mailbox, for whoever takes them; it is closed when the informer lets go of the delivery.
#[cfg(feature = "kube-runtime")]
pub(super) fn streamed(progress: Arc<Progress>) -> (Start, Arc<Mailbox>) {
    let mailbox = Arc::new(Mailbox::new(progress));
    let buffered = Buffered { mailbox: Arc::clone(&mailbox), kept: false };
    (Box::new(move |_| Box::new(buffered)), mailbox)
}

struct Inline {
    handler: Box<dyn FnMut(RawEvent) + Send>,
    guard: Guard,
}

impl Delivery for Inline {
    fn deliver(&mut self, event: &Event<Arc<Envelope>>) {
        let key = event.latest().key().clone();
        self.guard.call(&key, || (self.handler)(event.clone()));
    }

    fn flush(&mut self) {}

    fn end_initial_list(&mut self) {
        self.guard.end_initial_list();
    }
}

struct Buffered {
    mailbox: Arc<Mailbox>,
    /// Whether the handler has not been woken since the last event.
    kept: bool,
}

impl Delivery for Buffered {
    fn deliver(&mut self, event: &Event<Arc<Envelope>>) {
        let key = event.latest().key();
        let mut buffer = self.mailbox.buffer();
        // A decoded object is many times its bytes, and these are many times the packed ones: what piles up is packed
        // where it can be.
        let piles_up = buffer.len() >= UNPACKED_BOUND;
        let event = if piles_up { event.map(|envelope| Arc::new(envelope.compact())) } else { event.map(Arc::clone) };
        match buffer.push(key, event) {
            Pushed::Kept => {}
            Pushed::Merged => self.mailbox.progress.count_merged(),
        }
        self.mailbox.progress.set_waiting(buffer.len());
        self.kept = true;
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.kept) {
            self.mailbox.filled.notify_one();
        }
    }

    fn end_initial_list(&mut self) {
        self.mailbox.buffer().end_initial_list();
        self.mailbox.filled.notify_one();
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.mailbox.closed.store(true, SeqCst);
        self.mailbox.filled.notify_one();
    }
}

/// What lies between the informer's task and a handler's thread.
pub(super) struct Mailbox {
    buffer: Mutex<Buffer<Arc<Envelope>>>,
    filled: Notify,
    closed: AtomicBool,
    progress: Arc<Progress>,
}

impl Mailbox {
    fn new(progress: Arc<Progress>) -> Self {
        let (buffer, closed) = (Mutex::new(Buffer::new(BUFFER_BOUND)), AtomicBool::new(false));
        Self { buffer, filled: Notify::new(), closed, progress }
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer<Arc<Envelope>>> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Takes the next event, none once closed.
    fn pop(&self) -> Option<Next<Arc<Envelope>>> {
        if self.is_closed() {
            return None;
        }
        let mut buffer = self.buffer();
        let next = buffer.pop();
        self.progress.set_waiting(buffer.len());
        next
    }

    /// Waits for the next event; `None` once closed. For one caller at a time. Cancel safe.
    #[cfg(feature = "kube-runtime")]
    pub(super) async fn next(&self) -> Option<Next<Arc<Envelope>>> {
        while !self.is_closed() {
            if let Some(next) = self.pop() {
                return Some(next);
            }
            self.filled.notified().await;
        }
        None
    }
}

/// Serves one handler until its mailbox closes.
///
/// Handlers are ordinary functions that may block, so they run on the runtime's threads for blocking work: on a worker,
/// one stuck handler would stop every watch of a single-core container.
async fn serve<C: Send + 'static>(mailbox: Arc<Mailbox>, mut caller: C, call: fn(&mut C, Next<Arc<Envelope>>)) {
    let closes = CloseOnDrop(Arc::clone(&mailbox));
    while !mailbox.is_closed() {
        mailbox.filled.notified().await;
        let mailbox = Arc::clone(&mailbox);
        let served = tokio::task::spawn_blocking(move || {
            while let Some(next) = mailbox.pop() {
                call(&mut caller, next);
            }
            caller
        });
        // Fails only when the runtime goes down.
        let Ok(back) = served.await else { return };
        caller = back;
    }
    drop(closes);
}

/// Stops the thread of a handler whose task was aborted: a thread cannot be.
struct CloseOnDrop(Arc<Mailbox>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.closed.store(true, SeqCst);
    }
}

struct Caller<H> {
    handler: H,
    guard: Guard,
}

impl<H> Caller<H> {
    fn call<K: Kind>(&mut self, next: Next<Arc<Envelope>>)
    where
        H: ResourceEventHandler<K>,
    {
        let event = match next {
            Next::Event(event) => event,
            Next::EndOfInitialList => {
                let handler = &mut self.handler;
                self.guard.call(&"the end of the initial list", || handler.on_initial_list_end());
                return self.guard.end_initial_list();
            }
        };
        let key = event.latest().key().clone();
        let handler = &mut self.handler;
        self.guard.call(&key, || match event {
            Event::Added { object, initial } => handler.on_add(Handle::new(object), initial),
            Event::Updated { old, new } => handler.on_update(Handle::new(old), Handle::new(new)),
            Event::Deleted { last, final_state } => {
                handler.on_delete(Deleted { last: Handle::new(last), final_state });
            }
        });
    }
}

/// Stands between the informer and the user's code: contains panics, and is honest about what has been handled.
pub(super) struct Guard {
    progress: Arc<Progress>,
    panicked: bool,
}

impl Drop for Guard {
    /// Fields are dropped in order, and the guard stands after the handler.
    fn drop(&mut self) {
        self.progress.set_ended();
    }
}

impl Guard {
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        Self { progress, panicked: false }
    }

    fn call(&mut self, object: &dyn std::fmt::Display, handler: impl FnOnce()) {
        if self.progress.is_removed() {
            return;
        }
        if catch_unwind(AssertUnwindSafe(handler)).is_err() {
            self.panicked = true;
            tracing::error!(%object, "an event handler panicked: the event is lost for this handler");
        }
    }

    pub(super) fn end_initial_list(&self) {
        if self.panicked {
            tracing::error!("an event handler panicked on its initial list: it will not count as synced");
        } else {
            self.progress.set_synced();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{ConfigMapFixture, config_map};
    use crate::store::{Options, Store, Writer};

    fn buffered() -> (Buffered, Arc<Mailbox>) {
        let mailbox = Arc::new(Mailbox::new(Arc::default()));
        (Buffered { mailbox: Arc::clone(&mailbox), kept: false }, mailbox)
    }

    fn object(number: usize) -> ConfigMapFixture {
        config_map(&format!("a/{number}")).data("text", "some text that is worth packing ".repeat(20))
    }

    /// Stores an object and delivers it as the informer does.
    fn stored(writer: &mut Writer, object: &ConfigMapFixture) -> Arc<Envelope> {
        let envelope = Arc::new(object.envelope());
        writer.put(&envelope);
        envelope
    }

    /// Takes everything, and says how many of the objects waited packed, and from which on all did.
    fn packed(mailbox: &Mailbox) -> (usize, usize) {
        let events = std::iter::from_fn(|| mailbox.pop()).filter_map(|next| match next {
            Next::Event(event) => Some(event.latest().is_packed()),
            Next::EndOfInitialList => None,
        });
        let packed: Vec<bool> = events.collect();
        let first = packed.iter().position(|packed| *packed).unwrap_or(packed.len());
        assert!(packed[first..].iter().all(|packed| *packed), "{packed:?}");
        (packed.len(), first)
    }

    #[test]
    fn what_waits_beyond_the_bound_of_unpacked_objects_waits_packed() {
        let (_store, mut writer) = Store::new(Options::default());
        let (mut delivery, mailbox) = buffered();
        for number in 0..UNPACKED_BOUND + 300 {
            let object = stored(&mut writer, &object(number));
            delivery.deliver(&Event::Added { object, initial: false });
        }
        assert_eq!(packed(&mailbox), (UNPACKED_BOUND + 300, UNPACKED_BOUND));
        // A handler that keeps up gets what arrived, without a detour through the store.
        let object = stored(&mut writer, &object(0).version(2));
        delivery.deliver(&Event::Added { object, initial: false });
        assert_eq!(packed(&mailbox), (1, 1));
    }

    #[test]
    fn events_that_are_merged_above_the_bound_wait_packed_too() {
        let (_store, mut writer) = Store::new(Options::default());
        let (mut delivery, mailbox) = buffered();
        for number in 0..BUFFER_BOUND {
            let object = stored(&mut writer, &object(number));
            delivery.deliver(&Event::Added { object, initial: false });
        }
        // All of them change again and again, the first ones included, which waited as they came.
        for version in 2..5 {
            for number in 0..BUFFER_BOUND {
                let new = stored(&mut writer, &object(number).version(version));
                let old = Arc::clone(&new);
                delivery.deliver(&Event::Updated { old, new });
            }
        }
        assert_eq!(packed(&mailbox), (BUFFER_BOUND, 0));
        assert_eq!(mailbox.progress.merged(), 3 * BUFFER_BOUND as u64);
    }
}
