//! Two ways to a handler: inline in the informer's task, or through a buffer to a thread of its own.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::informer::event::{Event, RawEvent};
use crate::resource::Kind;
use crate::store::Store;
use crate::store::decode::Envelope;

use super::buffer::Next;
use super::{Deleted, Handle, Progress, ResourceEventHandler};

mod mailbox;

pub(super) use mailbox::Outlet;
use mailbox::{HANDED_BOUND, Mailbox};

/// How many objects wait for a handler as they arrived: what is handed on at once, twice, since a handler that keeps up takes
/// the one while the other is gathered, and a MiB of pods. The rest waits packed.
const UNPACKED_BOUND: usize = 2 * HANDED_BOUND;

/// How long a handler's thread waits for more before it goes back: some turns of an informer that is busy. To call for a
/// thread again takes two tasks and two wake-ups, in which as much piles up as waits unpacked.
const LINGER: Duration = Duration::from_millis(1);

/// Takes the events of one informer to one handler. Called by the informer's task only, after the store took each change.
pub(in crate::informer) trait Delivery: Send {
    /// Hands on one event, or keeps it for the handler until [`Delivery::flush`] at the latest. Never waits.
    fn deliver(&mut self, event: RawEvent);

    /// Hands on what was kept, and wakes the handler for it: after some events, because that costs as much as one of them.
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
pub(in crate::informer) fn buffered<K, H>(handler: H, progress: Arc<Progress>, store: &Arc<Store>) -> Start
where
    K: Kind,
    H: ResourceEventHandler<K>,
{
    let mailbox = Arc::new(Mailbox::new(Arc::clone(&progress)));
    let caller = Caller { handler, guard: Guard::new(progress) };
    let (buffered, outlet) = (Buffered::new(Arc::clone(&mailbox), Arc::clone(store)), Outlet::new(mailbox));
    Box::new(move |tasks| {
        tasks.spawn(serve(outlet, caller, Caller::<H>::call::<K>));
        Box::new(buffered)
    })
}

/// Leaves the events in a mailbox, for whoever takes them; it is closed when the informer lets go of the delivery.
#[cfg(feature = "kube-runtime")]
pub(super) fn streamed(progress: Arc<Progress>, store: &Arc<Store>) -> (Start, Outlet) {
    let mailbox = Arc::new(Mailbox::new(progress));
    let buffered = Buffered::new(Arc::clone(&mailbox), Arc::clone(store));
    (Box::new(move |_| Box::new(buffered)), Outlet::new(mailbox))
}

struct Inline {
    handler: Box<dyn FnMut(RawEvent) + Send>,
    guard: Guard,
}

impl Delivery for Inline {
    fn deliver(&mut self, event: RawEvent) {
        let latest = Arc::clone(event.latest());
        self.guard.call(&latest, || (self.handler)(event));
    }

    fn flush(&mut self) {}

    fn end_initial_list(&mut self) {
        self.guard.end_initial_list();
    }
}

struct Buffered {
    mailbox: Arc<Mailbox>,
    /// Where the objects are stored.
    store: Arc<Store>,
    /// What the mailbox has not got yet.
    kept: Vec<RawEvent>,
}

impl Buffered {
    fn new(mailbox: Arc<Mailbox>, store: Arc<Store>) -> Self {
        Self { mailbox, store, kept: Vec::with_capacity(HANDED_BOUND) }
    }
}

impl Delivery for Buffered {
    fn deliver(&mut self, event: RawEvent) {
        // A decoded object is many times its bytes, and these are many times the packed ones: what piles up is packed
        // where it can be.
        let piles_up = self.mailbox.progress.waiting() + self.kept.len() >= UNPACKED_BOUND;
        self.kept.push(if piles_up { event.map(|envelope| envelope.compact(&self.store)) } else { event });
        if self.kept.len() == HANDED_BOUND {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.kept.is_empty() {
            self.mailbox.put(self.kept.drain(..));
        }
    }

    fn end_initial_list(&mut self) {
        self.flush();
        self.mailbox.end_initial_list();
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.mailbox.close();
        self.mailbox.filled.notify_one();
    }
}

/// Serves one handler until its mailbox closes.
///
/// Handlers are ordinary functions that may block, so they run on the runtime's threads for blocking work: on a worker,
/// one stuck handler would stop every watch of a single-core container.
async fn serve<C: Send + 'static>(mut outlet: Outlet, mut caller: C, call: fn(&mut C, Next<Arc<Envelope>>)) {
    let mailbox = Arc::clone(&outlet.mailbox);
    let closes = CloseOnDrop(Arc::clone(&mailbox));
    while !mailbox.is_closed() {
        mailbox.filled.notified().await;
        let served = tokio::task::spawn_blocking(move || {
            while let Some(next) = outlet.pop_within(LINGER) {
                call(&mut caller, next);
            }
            (outlet, caller)
        });
        // Fails only when the runtime goes down.
        let Ok(back) = served.await else { return };
        (outlet, caller) = back;
    }
    drop(closes);
}

/// Stops the thread of a handler whose task was aborted: a thread cannot be.
struct CloseOnDrop(Arc<Mailbox>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
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
                self.guard.contain(|| "the end of the initial list".to_owned(), || handler.on_initial_list_end());
                return self.guard.end_initial_list();
            }
        };
        let latest = Arc::clone(event.latest());
        let handler = &mut self.handler;
        self.guard.call(&latest, || match event {
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

    fn call(&mut self, latest: &Envelope, handler: impl FnOnce()) {
        self.contain(|| latest.key().to_string(), handler);
    }

    fn contain(&mut self, object: impl FnOnce() -> String, handler: impl FnOnce()) {
        if self.progress.is_removed() {
            return;
        }
        if catch_unwind(AssertUnwindSafe(handler)).is_err() {
            self.panicked = true;
            let object = object();
            tracing::error!(object, "an event handler panicked: the event is lost for this handler");
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
    use futures_util::FutureExt;

    use super::*;
    use crate::informer::handler::BUFFER_BOUND;
    use crate::store::fixture::{ConfigMapFixture, config_map};
    use crate::store::{Options, Writer};

    fn buffered(store: &Arc<Store>) -> (Buffered, Outlet) {
        let mailbox = Arc::new(Mailbox::new(Arc::default()));
        (Buffered::new(Arc::clone(&mailbox), Arc::clone(store)), Outlet::new(mailbox))
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
    fn packed(outlet: &mut Outlet) -> (usize, usize) {
        let events = std::iter::from_fn(|| outlet.pop()).filter_map(|next| match next {
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
        let (store, mut writer) = Store::new(Options::default());
        let (mut delivery, mut outlet) = buffered(&store);
        for number in 0..UNPACKED_BOUND + 300 {
            let object = stored(&mut writer, &object(number));
            delivery.deliver(Event::Added { object, initial: false });
        }
        delivery.flush();
        assert_eq!(packed(&mut outlet), (UNPACKED_BOUND + 300, UNPACKED_BOUND));
        // A handler that keeps up gets what arrived, without a detour through the store.
        let object = stored(&mut writer, &object(0).version(2));
        delivery.deliver(Event::Added { object, initial: false });
        delivery.flush();
        assert_eq!(packed(&mut outlet), (1, 1));
    }

    /// Delivers an object that is not stored.
    fn added(delivery: &mut Buffered, number: usize) {
        delivery.deliver(Event::Added { object: Arc::new(object(number).envelope()), initial: false });
    }

    #[test]
    fn what_was_taken_and_not_begun_waits_and_counts_against_the_bound() {
        let (store, _writer) = Store::new(Options::default());
        let (mut delivery, mut outlet) = buffered(&store);
        (0..BUFFER_BOUND).for_each(|number| added(&mut delivery, number));
        delivery.flush();
        let progress = Arc::clone(&outlet.mailbox.progress);
        assert_eq!((progress.waiting(), progress.taken()), (BUFFER_BOUND, 0));
        for begun in 1..HANDED_BOUND {
            assert!(outlet.pop().is_some());
            assert_eq!((progress.waiting(), progress.taken()), (BUFFER_BOUND - begun, HANDED_BOUND - begun));
        }
        // As many as were begun are kept, and the rest is merged.
        for version in 1..HANDED_BOUND + 3 {
            let state = || Arc::new(object(BUFFER_BOUND - 1).version(version as u64).envelope());
            delivery.deliver(Event::Updated { old: state(), new: state() });
            delivery.flush();
        }
        assert_eq!((progress.waiting(), progress.merged()), (BUFFER_BOUND, 3));
        let rest = std::iter::from_fn(|| outlet.pop()).count();
        assert_eq!((rest, progress.waiting()), (BUFFER_BOUND, 0));
    }

    #[test]
    fn a_handler_is_woken_once_for_what_comes_before_it_finds_nothing() {
        let (store, _writer) = Store::new(Options::default());
        let (mut delivery, mut outlet) = buffered(&store);
        let mailbox = Arc::clone(&outlet.mailbox);
        let woken = || mailbox.filled.notified().now_or_never().is_some();
        added(&mut delivery, 1);
        assert!(!woken() && outlet.pop().is_none(), "kept until the flush");
        delivery.flush();
        assert!(woken());
        for number in 0..2 * HANDED_BOUND {
            added(&mut delivery, number);
            delivery.flush();
            assert!(outlet.pop().is_some());
        }
        delivery.end_initial_list();
        assert!(!woken(), "it is awake");
        assert_eq!(std::iter::from_fn(|| outlet.pop()).count(), 2);
        delivery.flush();
        assert!(!woken(), "nothing came");
        delivery.end_initial_list();
        assert!(woken());
    }

    #[test]
    fn more_than_is_handed_on_at_once_waits_for_no_flush() {
        let (store, _writer) = Store::new(Options::default());
        let (mut delivery, mut outlet) = buffered(&store);
        (0..HANDED_BOUND + 1).for_each(|number| added(&mut delivery, number));
        assert_eq!(std::iter::from_fn(|| outlet.pop()).count(), HANDED_BOUND);
        delivery.flush();
        assert_eq!(std::iter::from_fn(|| outlet.pop()).count(), 1);
    }

    #[test]
    fn a_closed_mailbox_hands_out_nothing_of_what_was_taken_either() {
        let (store, _writer) = Store::new(Options::default());
        let (mut delivery, mut outlet) = buffered(&store);
        (0..3).for_each(|number| added(&mut delivery, number));
        delivery.flush();
        assert!(outlet.pop().is_some());
        drop(delivery);
        assert!(outlet.pop().is_none());
    }

    #[test]
    fn events_that_are_merged_above_the_bound_wait_packed_too() {
        let (store, mut writer) = Store::new(Options::default());
        let (mut delivery, mut outlet) = buffered(&store);
        for number in 0..BUFFER_BOUND {
            let object = stored(&mut writer, &object(number));
            delivery.deliver(Event::Added { object, initial: false });
        }
        // All of them change again and again, the first ones included, which waited as they came.
        for version in 2..5 {
            for number in 0..BUFFER_BOUND {
                let new = stored(&mut writer, &object(number).version(version));
                let old = Arc::clone(&new);
                delivery.deliver(Event::Updated { old, new });
            }
        }
        delivery.flush();
        assert_eq!(packed(&mut outlet), (BUFFER_BOUND, 0));
        assert_eq!(outlet.mailbox.progress.merged(), 3 * BUFFER_BOUND as u64);
    }
}
