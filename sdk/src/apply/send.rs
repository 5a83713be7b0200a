//! Every request of a writer passes here: sent, answered, and noted until the caches show what it did.
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::client;
use crate::informer::InformerStatus;
use crate::resource::{ObjectKey, ResourceType, ResourceVersion};
use crate::store::decode::redact;

use super::echo::Change;
use super::error::Error;
use super::memory::{Foreign, PrimaryMemory};
use super::own::{Deleted, Doubt, Sight};
use super::views::Views;
use super::{Writer, lock, request};

/// One write, as its errors name it and as the caches will show it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write<'a> {
    /// What is tried, such as `apply`.
    pub(super) verb: &'static str,
    pub(super) resource: &'a ResourceType,
    pub(super) key: &'a ObjectKey,
    /// The primary that is reconciled.
    pub(super) primary: &'a ObjectKey,
    pub(super) effect: Effect<'a>,
}

/// What a write does to its object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect<'a> {
    /// Makes or changes a child.
    Child,
    /// Changes the primary itself: its absence means that the event of its deletion is on its way.
    Primary,
    /// Deletes the object with this uid.
    Delete { uid: &'a str },
    /// Changes nothing, whatever the answer: a dry run.
    Nothing,
}

impl Writer {
    pub(super) async fn send(
        &self,
        write: Write<'_>,
        request: http::Result<http::Request<Vec<u8>>>,
    ) -> Result<Value, Error> {
        let request = request.map_err(|error| write.unsendable(&error))?;
        let noted = !matches!(write.effect, Effect::Nothing);
        let mut sent = noted.then(|| Sent::new(write, &self.views, self.memory.of(write.primary)));
        let body: Bytes = self.client.write(request).await.map_err(|source| {
            sent.iter_mut().for_each(|sent| sent.failed(&source));
            write.failed(source)
        })?;
        let answer = write.decode(&body)?;
        sent.iter_mut().for_each(|sent| sent.answered(&answer));
        Ok(answer)
    }

    /// Reads the primary.
    pub(super) async fn read(&self, resource: &ResourceType, key: &ObjectKey) -> Result<Value, Error> {
        self.get(Write::to("read", resource, key)).await
    }

    pub(super) async fn get(&self, read: Write<'_>) -> Result<Value, Error> {
        let request = request::get(read.resource, read.key).map_err(|error| read.unsendable(&error))?;
        let body = self.client.read(request).await.map_err(|source| read.failed(source))?;
        read.decode(&body)
    }

    /// Says whether the caches show everything that was written for the primary.
    pub(crate) fn sight(&self, primary: &ObjectKey) -> Sight {
        let Some(memory) = self.memory.find(primary) else { return Sight::Clear };
        lock(&memory.own).sight(|view, need| self.views.shows(view, need))
    }

    /// Looks at the API server for what became of writes of unknown outcome, one read for each.
    ///
    /// What is still on its way to the API server is not found by that; nothing can find it.
    pub(crate) async fn settle(&self, primary: &ObjectKey) -> Result<(), Error> {
        let memory = self.memory.of(primary);
        let doubts = lock(&memory.own).doubts();
        for Doubt { resource, key, uid } in doubts {
            // Taken before the read: what is made after it is not what was found missing.
            let held: Vec<_> = self
                .views
                .watching(&resource, &key)
                .into_iter()
                .map(|view| (view, self.views.uid(view, &key)))
                .collect();
            let read = Write { verb: "read", resource: &resource, key: &key, primary, effect: Effect::Child };
            let found = match self.get(read).await {
                Ok(object) => Some(object),
                Err(Error::Request { source, .. }) if source.is_not_found() => None,
                // Whoever may not read it can not be behind it.
                Err(Error::Request { source, .. }) if source.code().is_some_and(is_refusal) => Some(Value::Null),
                Err(error) => return Err(error),
            };
            let mut own = lock(&memory.own);
            own.settle(&resource, &key);
            match found {
                Some(object) => self
                    .views
                    .showing(&resource, &key, &object)
                    .into_iter()
                    .for_each(|view| own.wrote(view, &version_of(&object))),
                None => {
                    for (view, held) in held {
                        let uids = [uid.clone(), held].into_iter().flatten();
                        uids.for_each(|uid| own.deleted(view, Deleted { key: key.clone(), uid }));
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the memory of a primary whose reconcile begins.
    pub(crate) fn begin(&self, primary: &ObjectKey) -> Arc<PrimaryMemory> {
        let memory = self.memory.of(primary);
        memory.begin();
        memory
    }

    /// Takes in the change of an object that concerns `primary`, not from a list: lists skip versions. Acts on it, now or
    /// when it is known, unless it is the echo of a write of that primary.
    ///
    /// A reconcile that read the kind may have read it before its own write showed, and has to see what it did.
    pub(crate) fn hear(&self, primary: &ObjectKey, change: Change<'_>, foreign: Foreign) {
        let Some(memory) = self.memory.find(primary) else { return foreign.act() };
        let was_read = self.views.of(change.resource).any(|view| memory.has_read(view));
        let foreign = if was_read { Some(foreign) } else { lock(&memory.echoes).hear(change, foreign) };
        // Outside the lock: it may be anything.
        if let Some(foreign) = foreign {
            foreign.act();
        }
    }

    /// Gives up waiting for the caches to show what was written for the primary.
    pub(crate) fn overlook(&self, primary: &ObjectKey) {
        if let Some(memory) = self.memory.find(primary) {
            lock(&memory.own).clear();
        }
    }

    /// Returns what tells of every change of the caches.
    pub(crate) fn changes(&self) -> Vec<watch::Receiver<InformerStatus>> {
        self.views.changes()
    }
}

/// A write on its way. Whoever drops it before there is an answer leaves a doubt.
struct Sent<'a> {
    write: Write<'a>,
    views: &'a Views,
    memory: Arc<PrimaryMemory>,
    flight: u64,
    /// Whether the outcome is known.
    known: bool,
}

impl<'a> Sent<'a> {
    fn new(write: Write<'a>, views: &'a Views, memory: Arc<PrimaryMemory>) -> Self {
        let flight = lock(&memory.echoes).depart(write.resource, write.key);
        Self { write, views, memory, flight, known: false }
    }

    fn answered(&mut self, answer: &Value) {
        self.known = true;
        let Write { resource, key, effect, .. } = self.write;
        lock(&self.memory.own).settle(resource, key);
        if let Effect::Delete { uid } = effect {
            return self.deleted(uid);
        }
        let (showing, version) = (self.views.showing(resource, key, answer), version_of(answer));
        self.land(Some(&version));
        let mut own = lock(&self.memory.own);
        showing.into_iter().for_each(|view| own.wrote(view, &version));
    }

    fn failed(&mut self, error: &client::Error) {
        self.known = !error.is_outcome_unknown();
        if let (Effect::Delete { uid }, true) = (self.write.effect, error.is_not_found()) {
            self.deleted(uid);
        }
    }

    /// Ends the flight; a second time does nothing.
    fn land(&self, version: Option<&ResourceVersion>) {
        let foreign = lock(&self.memory.echoes).land(self.flight, version);
        if let Some(foreign) = foreign {
            foreign.act();
        }
    }

    fn deleted(&self, uid: &str) {
        let Write { resource, key, .. } = self.write;
        let watching = self.views.watching(resource, key);
        let mut own = lock(&self.memory.own);
        watching.into_iter().for_each(|view| own.deleted(view, Deleted { key: key.clone(), uid: uid.into() }));
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.known {
            lock(&self.memory.own).doubt(self.write.doubt());
        }
        self.land(None);
    }
}

impl<'a> Write<'a> {
    /// A write to the primary itself.
    pub(super) fn to(verb: &'static str, resource: &'a ResourceType, key: &'a ObjectKey) -> Self {
        Self { verb, resource, key, primary: key, effect: Effect::Primary }
    }

    fn doubt(&self) -> Doubt {
        let uid = match self.effect {
            Effect::Delete { uid } => Some(uid.into()),
            Effect::Child | Effect::Primary | Effect::Nothing => None,
        };
        Doubt { resource: self.resource.clone(), key: self.key.clone(), uid }
    }

    pub(super) fn failed(&self, source: client::Error) -> Error {
        Error::Request {
            verb: self.verb,
            kind: self.resource.kind.clone(),
            key: self.key.clone(),
            primary: matches!(self.effect, Effect::Primary),
            source: Box::new(source),
        }
    }

    fn decode(&self, body: &[u8]) -> Result<Value, Error> {
        serde_json::from_slice(body).map_err(|source| Error::Answer {
            verb: self.verb,
            kind: self.resource.kind.clone(),
            key: self.key.clone(),
            source: redact(source),
        })
    }

    /// Names are checked before, so a request that can not be built has a name that only the URL syntax refuses.
    fn unsendable(&self, error: &http::Error) -> Error {
        let source = serde::ser::Error::custom(format!("cannot {} it: {error}", self.verb));
        Error::Serialize { kind: self.resource.kind.clone(), source }
    }
}

fn version_of(object: &Value) -> ResourceVersion {
    ResourceVersion::new(object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default())
}

/// Says whether trying again can not help.
fn is_refusal(code: u16) -> bool {
    matches!(code, 400..=499) && code != 408 && code != 429
}
