//! Feeds existing kube-rs code from informers (feature `kube-runtime`), so that it can move over a piece at a time.
//!
//! | code that has | goes on with |
//! |---|---|
//! | `watcher(api, config)` | [`watcher(&informer)`](watcher): the same events, from the watch that everybody shares |
//! | `reflector(writer, watcher(api, config))` | `reflector(writer, watcher(&informer))`, for `Controller::for_stream`, `applier` and the like |
//! | a `Store<K>` to read | [`store(&informer)`](store), a `Store<K>` that is kept current for as long as its registration is held |
//!
//! What comes this way is decoded whole, and a `Store` keeps it so, which costs what it costs in kube-rs. A
//! [`Lister`](crate::Lister) of the same informer reads the packed cache: that is what to move to next.
//!
//! A difference for the better: an object that was deleted while the watch was down is a `Delete` here. After a
//! disruption kube-rs begins anew with `Init`, and leaves it to the reader to miss what is not there; here a list is
//! compared with the cache, so that `Init` comes once, and only what changed comes after it.
use std::collections::{BTreeMap, VecDeque};

use futures_util::stream::{self, FusedStream, StreamExt};
use kube::runtime::{reflector, watcher as kube_watcher};
use serde::de::Error as _;

use crate::informer::Informer;
use crate::informer::handler::stream::{EventStream, Next};
use crate::informer::handler::{Deleted, Handle, Registration, ResourceEventHandler};
use crate::resource::{Kind, ObjectKey};
use crate::store::lister::DecodeError;

type Event<K> = kube_watcher::Event<K>;

/// Returns the events of an informer as [`kube::runtime::watcher()`] does: `Init`, `InitApply` for each object, `InitDone`,
/// then `Apply` and `Delete`.
///
/// It never fails because of the API server: the informer recovers, and its status tells. An object that is not a `K` is
/// an error that names the field, and the stream goes on; one that was a `K` before is a `Delete`, too, so that no reader
/// keeps what it is no more. The stream ends when the informer is stopped, and keeps the informer until it is dropped.
///
/// A consumer that is slow delays nobody else, and what it misses is merged as for any handler
/// ([`ResourceEventHandler`]). The stream must be polled, like every stream of kube-rs.
///
/// ```
/// use kubewright::{Informer, interop};
/// use kubewright::k8s_openapi::api::core::v1::ConfigMap;
/// use kubewright::kube::runtime::{WatchStreamExt, reflector};
///
/// fn touched(maps: &Informer<ConfigMap>) {
///     let (store, writer) = reflector::store();
///     let objects = reflector(writer, interop::watcher(maps)).touched_objects();
///     // What `Controller::for_stream(objects, store)` takes.
///     let _ = (objects, store);
/// }
/// ```
pub fn watcher<K: Kind>(
    informer: &Informer<K>,
) -> impl FusedStream<Item = kube_watcher::Result<Event<K>>> + Send + use<K> {
    let state = Watcher { events: informer.shared().events(), translation: Translation::new() };
    let events = stream::unfold(state, |mut state| async move { Some((state.next().await?, state)) });
    // kube's streams never end, and who polls several of them in turns polls an ended one again.
    events.fuse()
}

/// Returns a kube-rs store of everything that the informer holds, as long as the registration is held.
///
/// It is ready once the informer has synced. An object that is not a `K`, or no longer, is left out, and logged.
pub fn store<K: Kind>(informer: &Informer<K>) -> (reflector::Store<K>, Registration) {
    let (reader, writer) = reflector::store();
    (reader, informer.add_event_handler(Filling { writer, translation: Translation::new() }))
}

struct Watcher<K> {
    events: EventStream,
    translation: Translation<K>,
}

impl<K: Kind> Watcher<K> {
    async fn next(&mut self) -> Option<kube_watcher::Result<Event<K>>> {
        loop {
            if let Some(event) = self.translation.ready.pop_front() {
                return Some(event.map_err(|error| undecodable(&error)));
            }
            match self.events.next().await? {
                Next::Put { old, new } => self.translation.put(old.map(Handle::new).as_ref(), &Handle::new(new)),
                Next::Gone(last) => self.translation.gone(&Handle::new(last)),
                Next::EndOfInitialList => self.translation.end_initial_list(),
            }
        }
    }
}

/// Fills a kube-rs store.
struct Filling<K: Kind> {
    writer: reflector::store::Writer<K>,
    translation: Translation<K>,
}

impl<K: Kind> Filling<K> {
    fn fill(&mut self) {
        while let Some(event) = self.translation.ready.pop_front() {
            match event {
                Ok(event) => self.writer.apply_watcher_event(&event),
                Err(error) => {
                    let problem = &error.source;
                    tracing::warn!(%error, %problem, "an object is left out of a kube-rs store");
                }
            }
        }
    }
}

impl<K: Kind> ResourceEventHandler<K> for Filling<K> {
    fn on_add(&mut self, object: Handle<K>, _is_in_initial_list: bool) {
        self.translation.put(None, &object);
        self.fill();
    }

    fn on_update(&mut self, old: Handle<K>, new: Handle<K>) {
        self.translation.put(Some(&old), &new);
        self.fill();
    }

    fn on_delete(&mut self, object: Deleted<K>) {
        self.translation.gone(&object.last);
        self.fill();
    }

    fn on_initial_list_end(&mut self) {
        self.translation.end_initial_list();
        self.fill();
    }
}

/// Says what happened in the words of kube-rs.
struct Translation<K> {
    ready: VecDeque<Result<Event<K>, DecodeError>>,
    /// While the initial list is told of, what was deleted of it: readers take that list as a whole, so it is told of after
    /// the list. `None` once that is over.
    gone: Option<BTreeMap<ObjectKey, K>>,
}

impl<K: Kind> Translation<K> {
    fn new() -> Self {
        Self { ready: VecDeque::from([Ok(Event::Init)]), gone: Some(BTreeMap::new()) }
    }

    /// Tells of an object as it is now; `old` is what was told of last, if it was.
    fn put(&mut self, old: Option<&Handle<K>>, object: &Handle<K>) {
        let decoded = match object.get() {
            Ok(decoded) => K::clone(&decoded),
            Err(error) => {
                // Its end will not decode, either, so that readers would keep the old state for ever.
                old.into_iter().for_each(|old| self.gone(old));
                self.ready.push_back(Err(error));
                return;
            }
        };
        let event = match &mut self.gone {
            Some(gone) => {
                gone.remove(object.key());
                Event::InitApply(decoded)
            }
            None => Event::Apply(decoded),
        };
        self.ready.push_back(Ok(event));
    }

    /// Tells of the end of an object. Of one that does not decode nothing has been told, or its end has.
    fn gone(&mut self, last: &Handle<K>) {
        let Ok(decoded) = last.get() else { return };
        let decoded = K::clone(&decoded);
        match &mut self.gone {
            Some(gone) => {
                gone.insert(last.key().clone(), decoded);
            }
            None => self.ready.push_back(Ok(Event::Delete(decoded))),
        }
    }

    fn end_initial_list(&mut self) {
        self.ready.push_back(Ok(Event::InitDone));
        let gone = self.gone.take().into_iter().flatten();
        self.ready.extend(gone.map(|(_, last)| Ok(Event::Delete(last))));
    }
}

fn undecodable(error: &DecodeError) -> kube_watcher::Error {
    let error = serde_json::Error::custom(format!("{error}: {}", error.source));
    kube_watcher::Error::WatchFailed(kube::Error::SerdeError(error))
}

#[cfg(test)]
mod tests;
