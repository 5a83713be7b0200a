//! Events that are taken one by one instead of being handed to a handler.
use std::sync::Arc;

use crate::informer::SharedInformer;
use crate::informer::event::Event;
use crate::store::decode::Envelope;

use super::delivery::{Guard, Outlet};
use super::{HandlerOptions, Progress, Registration, buffer, delivery};

/// The events of one informer, buffered and merged as for any handler. Keeps the informer.
pub(crate) struct EventStream {
    outlet: Outlet,
    guard: Guard,
    _registration: Registration,
}

/// What is taken from a stream.
#[derive(Debug)]
pub(crate) enum Next {
    /// An object appeared, or changed from what was taken of it last; this is how it is.
    Put { old: Option<Arc<Envelope>>, new: Arc<Envelope> },
    /// An object is gone; this is how it was last.
    Gone(Arc<Envelope>),
    /// What there was in the beginning has been taken.
    EndOfInitialList,
}

impl EventStream {
    /// Takes the next; `None` once the informer has stopped. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Next> {
        let next = match self.outlet.next().await? {
            buffer::Next::Event(Event::Added { object, .. }) => Next::Put { old: None, new: object },
            buffer::Next::Event(Event::Updated { old, new }) => Next::Put { old: Some(old), new },
            buffer::Next::Event(Event::Deleted { last, .. }) => Next::Gone(last),
            buffer::Next::EndOfInitialList => {
                self.guard.end_initial_list();
                Next::EndOfInitialList
            }
        };
        Some(next)
    }
}

impl SharedInformer {
    /// Returns the events from here on, what is stored first.
    pub(crate) fn events(self: &Arc<Self>) -> EventStream {
        let progress = Arc::<Progress>::default();
        let (start, outlet) = delivery::streamed(Arc::clone(&progress), self.store());
        let registration = self.register(HandlerOptions::default(), Arc::clone(&progress), start);
        EventStream { outlet, guard: Guard::new(progress), _registration: registration }
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}
