//! The task of one informer: deltas into the store, then events to handlers.
use std::collections::BTreeSet;
use std::future;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock;
use crate::delta::DeltaReceiver;
use crate::reflector::{Delta, Failure, FailureReason, ReflectorStatus};
use crate::resource::ResourceVersion;
use crate::store::decode::Envelope;
use crate::store::{Put, Writer};
use crate::wire::RawObject;

use super::InformerStatus;
use super::event::{Event, FinalState, RawEvent};
use super::handler::Progress;
use super::handler::delivery::Delivery;
use super::options::Presence;
use super::presence::Reports;
use super::resync::Resync;
use super::shared::{Arrival, Core};

/// How many deltas are applied before other tasks of the thread, and handlers that came meanwhile, get their turn, and what
/// was done is told of: a few milliseconds when an index decodes every object.
pub(super) const SLICE: usize = 128;

/// How long after a list a better dictionary may be made: that takes a core for a tenth of a second, and then every object
/// is packed anew, just when controllers reconcile everything that was listed.
pub(super) const REFINE_AFTER: Duration = Duration::from_millis(500);

/// Runs an informer. There is one for each, so starting twice cannot happen.
pub(super) struct Runner {
    informer: Arc<Core>,
    writer: Writer,
    handlers: Vec<Attached>,
    /// Tasks of handlers, and the making of a dictionary; dropping the runner stops them.
    tasks: JoinSet<()>,
    /// Whether the writer may have something to do about how objects are packed.
    tending: bool,
    /// Until when a list keeps a better dictionary from being made.
    refine_at: Option<Instant>,
    /// Which parts have not had a whole list.
    awaited: Vec<usize>,
    /// Which parts are being listed.
    listing: BTreeSet<usize>,
    synced: bool,
    reports: Reports,
    /// Why nothing more will come, if so.
    ended: Option<Arc<Failure>>,
    /// Events that were merged for handlers that are gone.
    merged: u64,
    /// Deltas that nobody was told of.
    untold: usize,
}

struct Attached {
    delivery: Box<dyn Delivery>,
    progress: Arc<Progress>,
    resync: Option<Resync>,
}

impl Runner {
    pub(super) fn new(informer: Arc<Core>, writer: Writer) -> Self {
        let parts = informer.targets.each.len();
        Self {
            informer,
            writer,
            handlers: Vec::new(),
            tasks: JoinSet::new(),
            tending: false,
            refine_at: None,
            awaited: (0..parts).collect(),
            listing: BTreeSet::new(),
            synced: false,
            reports: Reports::new(parts),
            ended: None,
            merged: 0,
            untold: 0,
        }
    }

    /// Runs until `end`, then waits for handlers to return from the call they are in.
    ///
    /// Goes on serving handlers from the store if the source of `deltas` ends.
    pub(super) async fn run(
        mut self,
        mut deltas: DeltaReceiver,
        reflectors: Vec<watch::Receiver<ReflectorStatus>>,
        end: impl Future<Output = ()> + Send,
    ) {
        let mut reports = stream::select_all(reflectors.into_iter().enumerate().map(reports));
        let mut end = std::pin::pin!(end);
        let mut batch = Vec::new();
        let mut flowing = true;
        loop {
            tokio::select! {
                biased;
                () = &mut end => break,
                () = self.informer.changed.notified() => {
                    self.admit();
                    self.tending = true;
                }
                Some((part, failure)) = reports.next() => self.report(part, failure),
                more = deltas.next_batch(&mut batch), if flowing => {
                    flowing = more;
                    self.untold += batch.len();
                    self.apply_all(&mut batch).await;
                    if !flowing {
                        // What feeds it ends when it is to end, and may be seen to before that: then it is no failure.
                        tokio::select! {
                            biased;
                            () = &mut end => break,
                            () = tokio::task::yield_now() => {}
                        }
                        self.ended = Some(Arc::new(self.why_ended()));
                    }
                    self.refine();
                }
                () = due(self.next_resync()) => {}
                () = due(self.refine_at) => self.refine(),
                () = tokio::task::yield_now(), if self.tending => self.tending = self.writer.tend(),
            }
            self.resync();
            // To wake a handler costs as much as a dozen events, so while more comes it is woken for many.
            if self.untold == 0 || self.untold >= SLICE || deltas.is_empty() {
                self.publish();
            }
        }
        self.handlers.clear();
        self.informer.close();
        while self.tasks.join_next().await.is_some() {}
    }

    async fn apply_all(&mut self, batch: &mut Vec<(usize, Delta)>) {
        for (position, (part, delta)) in batch.drain(..).enumerate() {
            if position > 0 && position % SLICE == 0 {
                self.publish();
                tokio::task::yield_now().await;
                self.admit();
            }
            self.apply(part, delta);
        }
    }

    /// Applies one delta: the store first, so that a handler that reads it finds at least what it is told of.
    fn apply(&mut self, part: usize, delta: Delta) {
        self.writer.enter(part);
        match delta {
            Delta::ListStarted => {
                self.listing.insert(part);
                self.informer.listing.store(true, SeqCst);
                self.writer.begin_list();
            }
            Delta::Listed(object) | Delta::Applied(object) => self.put(object),
            Delta::Deleted(object) => {
                if let Some(removed) = self.writer.remove(&object) {
                    let final_state = if removed.final_state_known { FinalState::Known } else { FinalState::Unknown };
                    self.deleted(removed.last, final_state);
                }
            }
            Delta::Replaced(version) => self.replaced(part, version),
            Delta::Bookmark(version) => self.writer.bookmark(&version),
        }
    }

    fn put(&mut self, object: Arc<RawObject>) {
        let envelope = Arc::new(self.writer.envelope(object));
        let initial = !self.synced;
        match self.writer.put(&envelope) {
            Put::Unchanged => {}
            Put::Added => self.dispatch(Event::Added { object: envelope, initial }),
            Put::Updated { old } => {
                let old = Arc::new(old.with_key(envelope.key()));
                self.dispatch(Event::Updated { old, new: envelope });
            }
            Put::Recreated { old } => {
                self.deleted(old, FinalState::Unknown);
                self.dispatch(Event::Added { object: envelope, initial });
            }
        }
    }

    fn deleted(&mut self, last: Envelope, final_state: FinalState) {
        self.dispatch(Event::Deleted { last: Arc::new(last), final_state });
    }

    fn replaced(&mut self, part: usize, version: ResourceVersion) {
        for last in self.writer.finish_list(version) {
            self.deleted(last, FinalState::Unknown);
        }
        self.listing.remove(&part);
        self.informer.listing.store(!self.listing.is_empty(), SeqCst);
        self.refine_at = Some(clock::now() + REFINE_AFTER);
        self.awaited.retain(|awaited| *awaited != part);
        if self.awaited.is_empty() {
            self.sync();
        }
    }

    fn sync(&mut self) {
        if !std::mem::replace(&mut self.synced, true) {
            for handler in &mut self.handlers {
                handler.delivery.end_initial_list();
            }
        }
    }

    /// Takes in what fails at the reflector of a part, and what that means for a kind that need not be there.
    fn report(&mut self, part: usize, failure: Option<Arc<Failure>>) {
        self.reports.report(part, failure);
        let presence = self.informer.presence();
        if presence == Presence::Optional && self.reports.missing(presence).is_some() {
            self.sync();
        }
        if self.reports.is_gone(presence) && self.informer.store.len() > 0 {
            let kind = &self.informer.targets.whole.resource;
            tracing::warn!(%kind, "the API server does not know the kind any more: its objects are gone");
            for part in 0..self.informer.targets.each.len() {
                self.writer.enter(part);
                self.writer.begin_list();
                for last in self.writer.finish_list(self.informer.store.version()) {
                    self.deleted(last, FinalState::Unknown);
                }
            }
        }
    }

    /// Begins to make a better dictionary when it is time for that. When it is there, the informer is woken.
    fn refine(&mut self) {
        if self.refine_at.is_some_and(|at| clock::now() < at) {
            return;
        }
        self.refine_at = None;
        if let Some(refinement) = self.writer.refinement() {
            let changed = Arc::clone(&self.informer.changed);
            self.tasks.spawn_blocking(move || {
                refinement.run();
                changed.notify_one();
            });
        }
    }

    fn dispatch(&mut self, event: RawEvent) {
        let Some((last, others)) = self.handlers.split_last_mut() else { return };
        others.iter_mut().for_each(|handler| handler.delivery.deliver(event.clone()));
        last.delivery.deliver(event);
    }

    /// Returns when a handler is to be told of everything anew, or of more of it.
    fn next_resync(&self) -> Option<Instant> {
        let resyncs = self.handlers.iter().filter_map(|handler| handler.resync.as_ref());
        let next = resyncs.map(|resync| if resync.is_under_way() { clock::now() } else { resync.due() }).min();
        next.filter(|_| self.synced)
    }

    /// Tells handlers whose resync is due of a slice of what is stored. What changed since the round began has been told
    /// of, so that the stored state is the one that the handler knows.
    fn resync(&mut self) {
        if !self.synced {
            return;
        }
        let store = &self.informer.store;
        for Attached { delivery, resync, .. } in &mut self.handlers {
            let Some(resync) = resync else { continue };
            resync.begin(|| store.keys());
            for stored in resync.next(SLICE).filter_map(|key| store.copy(&key)) {
                let object = Arc::new(Envelope::packed(stored));
                delivery.deliver(Event::Updated { old: Arc::clone(&object), new: object });
            }
        }
    }

    /// Takes in handlers that came, with a replay of the store, and lets go of those whose registration is gone.
    ///
    /// Between two deltas, so that the replay is exact: what is stored now, then everything that follows.
    fn admit(&mut self) {
        let (removed, kept) = std::mem::take(&mut self.handlers).into_iter().partition(|it| it.progress.is_removed());
        let removed: Vec<Attached> = removed;
        self.merged += removed.iter().map(|handler| handler.progress.merged()).sum::<u64>();
        self.handlers = kept;
        drop(removed);
        while self.tasks.try_join_next().is_some() {}
        let arrivals = self.informer.take_arrivals();
        for Arrival { start, progress, resync } in arrivals.into_iter().filter(|arrival| !arrival.progress.is_removed())
        {
            let mut delivery = start(&mut self.tasks);
            // One by one: all at once would be a second cache for the moment.
            for stored in self.informer.store.keys().iter().filter_map(|key| self.informer.store.copy(key)) {
                delivery.deliver(Event::Added { object: Arc::new(Envelope::packed(stored)), initial: true });
            }
            if self.synced {
                delivery.end_initial_list();
            }
            self.handlers.push(Attached { delivery, progress, resync: resync.map(Resync::new) });
        }
    }

    /// Tells of what readers can see and handlers have seen. Called after both.
    fn publish(&mut self) {
        self.untold = 0;
        self.handlers.iter_mut().for_each(|handler| handler.delivery.flush());
        let (store, presence) = (&self.informer.store, self.informer.presence());
        let now = InformerStatus {
            synced: self.synced,
            version: store.version(),
            versions: self.writer.versions(),
            failure: self.ended.clone().or_else(|| self.reports.failure(presence)),
            missing: self.reports.missing(presence),
            objects: store.len(),
            over_budget: store.keep_budget(),
            merged: self.merged + self.handlers.iter().map(|handler| handler.progress.merged()).sum::<u64>(),
            stopped: false,
        };
        self.informer.status.send_if_modified(|status| {
            if now.over_budget && !status.over_budget {
                let (kind, objects) = (&self.informer.targets.whole.resource, now.objects);
                tracing::warn!(%kind, objects, "the cache takes more than its budget: cache less, or allow more");
            }
            let news = now.is_news_after(status);
            *status = now;
            news
        });
    }

    fn why_ended(&self) -> Failure {
        let message = format!("the watch of {} has ended; restart the operator", self.informer.targets.whole.resource);
        tracing::error!("{message}");
        Failure { reason: FailureReason::Other, message, attempts: 1, retry_in: Duration::MAX }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.informer.close();
    }
}

/// What fails at a reflector, each time that changes.
fn reports(
    (part, reflector): (usize, watch::Receiver<ReflectorStatus>),
) -> BoxStream<'static, (usize, Option<Arc<Failure>>)> {
    let next = move |mut reflector: watch::Receiver<ReflectorStatus>| async move {
        reflector.changed().await.ok()?;
        let failure = reflector.borrow_and_update().failure.clone();
        Some(((part, failure), reflector))
    };
    stream::unfold(reflector, next).boxed()
}

/// Waits until then, and long enough for other tasks of the thread to have their turn; for ever without a time.
async fn due(at: Option<Instant>) {
    match at.map(|at| at.saturating_duration_since(clock::now())) {
        None => future::pending().await,
        Some(Duration::ZERO) => tokio::task::yield_now().await,
        Some(wait) => clock::sleep(wait).await,
    }
}

/// Waits until `stop` turns true, or whoever could turn it is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
