//! Writes of children: apply, create-only, dry run, delete.
use std::any::{Any, TypeId};
use std::sync::Arc;

use serde_json::Value;

use crate::declare::View;
use crate::informer::SharedInformer;
use crate::resource::{Kind, ObjectKey, ResourceType, ResourceVersion};
use crate::store::decode::redact;
use crate::wire::RawObject;

use super::contain::contains;
use super::deletion::Deletion;
use super::desired::{self, DESIRED_HASH, Desired, Owner};
use super::error::Error;
use super::fields::FieldSet;
use super::fingerprint::{Decision, Fingerprint, Live, decide};
use super::memory::{Child, ChildId, PrimaryMemory};
use super::select::Labels;
use super::send::{Effect, Write};
use super::{Writer, lock, request};

/// A version that no object has: etcd counts from 1, and its first write makes 2. An apply that asks for it creates, or
/// is refused with a conflict.
///
/// A create by POST would do the same, but the fields would be owned by an update, which later applies can not give up.
const ABSENT: &str = "1";

/// The caches that the children of one kind are read from.
pub(crate) trait Caches {
    /// Returns a child as it is cached, and how much of it is.
    fn find(&self, key: &ObjectKey) -> Option<(Arc<RawObject>, View)>;

    /// Says how much will be cached of one that is not yet.
    fn view(&self) -> View;

    /// Says what they hold instead, if it is certain that none of them is going to show such a child.
    fn missed(&self, key: &ObjectKey, labels: &Labels) -> Option<String>;
}

/// A child as it is now.
#[derive(Debug)]
pub(crate) enum Applied<C> {
    /// As the API server answered.
    Answer(Arc<C>),
    /// As it is cached.
    Cached(Arc<RawObject>),
}

/// What became of a create.
#[derive(Debug)]
pub(crate) enum Made<C> {
    Created(Arc<C>),
    /// It is there already, and no other owner controls it.
    Exists(Applied<C>),
}

/// An answer that a cache does not show yet.
#[derive(Debug)]
pub(crate) struct Ahead<C> {
    pub(crate) key: ObjectKey,
    pub(crate) version: ResourceVersion,
    pub(crate) object: Arc<C>,
}

/// What a form is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Apply,
    Create,
    /// Validated, admitted and answered, and not stored.
    DryRun,
}

/// What an apply asks of the object that it meets.
#[derive(Clone, Debug)]
enum Expected {
    /// That there is none. Two primaries that name one child share a field manager, so that the second would otherwise
    /// take over in silence what the first made a moment ago.
    Nothing,
    /// That it is as it was when nobody controlled it: of two primaries that adopt it, one is refused.
    Version(ResourceVersion),
    /// Nothing: it is this owner's.
    Own,
}

/// Whether there was an object when one was to be created.
enum Introduced {
    Created(Value),
    /// There is one, and no other owner controls it.
    Exists(Value),
}

/// A child that is to be written, and what is known of it.
struct Sought<'a> {
    owner: &'a Owner,
    resource: ResourceType,
    desired: Desired,
    id: ChildId,
    memory: Arc<PrimaryMemory>,
    known: Child,
    cached: Option<Arc<RawObject>>,
    view: View,
}

impl Writer {
    /// Applies a child of `owner`, unless the memory of the last answer or the cached child prove that nothing would
    /// change.
    pub(crate) async fn apply<C: Kind>(
        &self,
        owner: &Owner,
        child: &C,
        caches: &(impl Caches + Sync),
    ) -> Result<Applied<C>, Error> {
        let mut sought = self.seek(owner, child, caches)?;
        if let Some(applied) = self.skip(&mut sought) {
            return Ok(applied);
        }
        sought.doubt();
        let answer = self.put(&sought, Mode::Apply).await?;
        self.remember(sought, Mode::Apply, answer).map(Applied::Answer)
    }

    /// Creates a child of `owner`, unless there is an object of its name.
    pub(crate) async fn create<C: Kind>(
        &self,
        owner: &Owner,
        child: &C,
        caches: &(impl Caches + Sync),
    ) -> Result<Made<C>, Error> {
        let sought = self.seek(owner, child, caches)?;
        if let Some(there) = self.there(&sought).await? {
            return Ok(Made::Exists(there));
        }
        sought.doubt();
        match self.introduce(&sought, Mode::Create).await? {
            Introduced::Created(answer) => self.remember(sought, Mode::Create, answer).map(Made::Created),
            Introduced::Exists(live) => Ok(Made::Exists(Applied::Answer(sought.typed(Mode::Create, live)?))),
        }
    }

    /// Returns what an apply would make of a child. Changes nothing, here or there.
    pub(crate) async fn dry_run<C: Kind>(
        &self,
        owner: &Owner,
        child: &C,
        caches: &(impl Caches + Sync),
    ) -> Result<Arc<C>, Error> {
        let sought = self.seek(owner, child, caches)?;
        let answer = self.put(&sought, Mode::DryRun).await?;
        sought.typed(Mode::DryRun, answer)
    }

    /// Deletes a child of `owner`; one that is gone or going is deleted already.
    pub(crate) async fn delete<C: Kind>(
        &self,
        owner: &Owner,
        key: &ObjectKey,
        cached: Option<Arc<RawObject>>,
        deletion: &Deletion,
    ) -> Result<(), Error> {
        let resource = ResourceType::of::<C>();
        let id = (TypeId::of::<C>(), key.clone());
        let memory = self.memory.of(&owner.key);
        let known = lock(&memory.children).get(&id);
        let uid: Box<str> = match (cached, known.fingerprint) {
            (Some(live), known) => {
                let metadata = live.metadata();
                if metadata.controller().is_none_or(|controller| controller.uid != owner.uid) {
                    return Err(foreign(&resource, &live));
                }
                // A newer life of ours that the cache does not show yet.
                let newer = known.filter(|known| known.is_newer_than(&metadata.resource_version));
                if newer.is_none() && metadata.deleting {
                    return Ok(());
                }
                newer.map_or_else(|| metadata.uid.clone(), |known| known.uid().into())
            }
            // Made by us a moment ago and not cached yet.
            (None, Some(known)) => known.uid().into(),
            (None, None) => return Ok(()),
        };
        let uid = deletion.uid().map_or(uid, Into::into);
        lock(&memory.children).remove(&id);
        let effect = Effect::Delete { uid: &uid };
        let write = Write { verb: "delete", resource: &resource, key, primary: &owner.key, effect };
        match self.send(write, request::delete(&resource, key, &deletion.options(&uid))).await {
            Err(Error::Request { source, .. }) if source.is_not_found() => Ok(()),
            result => result.map(|_| ()),
        }
    }

    /// Returns the children in `memory` that `informer` is certain to show and does not show yet, as they were answered.
    pub(crate) fn ahead<C: Kind>(&self, memory: &PrimaryMemory, informer: &Arc<SharedInformer>) -> Vec<Ahead<C>> {
        let views: Vec<_> = self.views.of_informer(informer).collect();
        let children = lock(&memory.children);
        let ahead = children.answered().filter(|(_, child, version, _)| {
            let mut shown = child.shown.iter().filter(|view| views.contains(view));
            shown.any(|&view| !self.views.has_passed(view, version))
        });
        let typed = ahead.filter_map(|(key, _, version, answer)| {
            let any: Arc<dyn Any + Send + Sync> = answer.clone();
            // A cache of metadata alone is read as another type than the one that was applied.
            let object = any.downcast::<C>().ok();
            let object = object.or_else(|| serde_json::from_value(answer.json()?).map(Arc::new).ok())?;
            Some(Ahead { key: key.clone(), version: version.clone(), object })
        });
        typed.collect()
    }

    /// Looks up what is known of a child.
    ///
    /// Refuses one that another controls, and one that no cache would ever show: every reconcile would find it missing.
    fn seek<'a, C: Kind>(&self, owner: &'a Owner, child: &C, caches: &impl Caches) -> Result<Sought<'a>, Error> {
        let (resource, desired) = (ResourceType::of::<C>(), Desired::build(child, owner)?);
        let (cached, view) = match caches.find(&desired.key) {
            Some((live, view)) => (Some(live), view),
            None => (None, caches.view()),
        };
        match &cached {
            Some(live) => refuse_foreign(&resource, owner, live)?,
            None => {
                if let Some(watched) = caches.missed(&desired.key, &super::select::labels(&desired.form)) {
                    return Err(Error::Unseen { kind: resource.kind, key: desired.key, watched });
                }
            }
        }
        let id = (TypeId::of::<C>(), desired.key.clone());
        let memory = self.memory.of(&owner.key);
        let known = lock(&memory.children).get(&id);
        Ok(Sought { owner, resource, desired, id, memory, known, cached, view })
    }

    /// Returns the child if it is proven that an apply would change nothing.
    fn skip<C: Kind>(&self, sought: &mut Sought<'_>) -> Option<Applied<C>> {
        let Sought { desired, known, cached, view, .. } = sought;
        let live = cached.clone()?;
        let proven = |object: &Value| is_proven(object, desired);
        let decision = decide(&mut known.fingerprint, desired.digest, Some(Live::from(&*live)), *view, proven);
        if decision == Decision::Apply {
            return None;
        }
        let answer = known.answer_as::<C>();
        if decision == Decision::Current && *view == View::Full {
            known.answer = None;
        }
        if known.shown.is_empty() {
            known.shown = self.views.holding(&sought.resource, &desired.key);
        }
        lock(&sought.memory.children).put(sought.id.clone(), known.clone());
        let needed = decision == Decision::Behind || *view == View::Metadata;
        Some(match answer {
            Some(answer) if needed => Applied::Answer(answer),
            _ => Applied::Cached(live),
        })
    }

    /// Returns the object that is to be created, if it is known to be there.
    async fn there<C: Kind>(&self, sought: &Sought<'_>) -> Result<Option<Applied<C>>, Error> {
        match &sought.cached {
            Some(live) if sought.view == View::Full => Ok(Some(Applied::Cached(Arc::clone(live)))),
            Some(_) => match self.get(sought.write("read")).await {
                Ok(live) => Ok(Some(Applied::Answer(sought.typed(Mode::Create, live)?))),
                Err(Error::Request { source, .. }) if source.is_not_found() => Ok(None),
                Err(error) => Err(error),
            },
            None => match self.expected(sought) {
                Expected::Own => Ok(sought.known.answer_as().map(Applied::Answer)),
                Expected::Nothing | Expected::Version(_) => Ok(None),
            },
        }
    }

    fn expected(&self, sought: &Sought<'_>) -> Expected {
        let written = sought.known.fingerprint.as_ref();
        match (&sought.cached, written) {
            (Some(live), written) => {
                let metadata = live.metadata();
                let is_newer = written.is_some_and(|written| written.is_newer_than(&metadata.resource_version));
                match metadata.controller() {
                    None if !is_newer => Expected::Version(metadata.resource_version.clone()),
                    _ => Expected::Own,
                }
            }
            // Only where a cache would show it by now is it gone.
            (None, Some(written)) => {
                let is_gone = sought.known.shown.iter().any(|&view| self.views.has_passed(view, written.version()));
                if is_gone { Expected::Nothing } else { Expected::Own }
            }
            (None, None) => Expected::Nothing,
        }
    }

    /// Sends the desired form, and returns the answer.
    async fn put(&self, sought: &Sought<'_>, mode: Mode) -> Result<Value, Error> {
        match self.expected(sought) {
            Expected::Own => self.submit(sought, mode, None).await,
            Expected::Version(version) => self.submit(sought, mode, Some(version.as_str())).await,
            Expected::Nothing => match self.introduce(sought, mode).await? {
                Introduced::Created(answer) => Ok(answer),
                Introduced::Exists(live) => {
                    let version = live.pointer("/metadata/resourceVersion").and_then(Value::as_str);
                    self.submit(sought, mode, version.filter(|_| controller(&live).is_none())).await
                }
            },
        }
    }

    /// Sends the desired form for an object that should not be there, and looks at the one that is.
    async fn introduce(&self, sought: &Sought<'_>, mode: Mode) -> Result<Introduced, Error> {
        let refused = match self.submit(sought, mode, Some(ABSENT)).await {
            Err(Error::Request { source, .. }) if source.code() == Some(409) => source,
            result => return result.map(Introduced::Created),
        };
        let live = match self.get(sought.write("read")).await {
            // It came and went: whoever looks again sees the end of it.
            Err(Error::Request { source, .. }) if source.is_not_found() => {
                return Err(sought.write(mode.verb()).failed(*refused));
            }
            live => live?,
        };
        match controller(&live) {
            Some((uid, owner)) if uid != &*sought.owner.uid => {
                let (kind, key) = (sought.resource.kind.clone(), sought.desired.key.clone());
                Err(Error::ControlledByOther { kind, key, owner })
            }
            _ => Ok(Introduced::Exists(live)),
        }
    }

    async fn submit(&self, sought: &Sought<'_>, mode: Mode, version: Option<&str>) -> Result<Value, Error> {
        let mut form = sought.desired.form.clone();
        if let Some(version) = version {
            form["metadata"]["resourceVersion"] = version.into();
        }
        let (resource, key, write) = (&sought.resource, &sought.desired.key, sought.write(mode.verb()));
        match mode {
            Mode::Apply | Mode::Create => {
                self.send(write, request::apply(resource, key, None, &self.manager, &form)).await
            }
            Mode::DryRun => {
                let write = Write { effect: Effect::Nothing, ..write };
                self.send(write, request::dry_run(resource, key, &self.manager, &form)).await
            }
        }
    }

    /// Remembers what was answered to the desired form.
    fn remember<C: Kind>(&self, sought: Sought<'_>, mode: Mode, answer: Value) -> Result<Arc<C>, Error> {
        let paths = FieldSet::applied_by(&self.manager, None, &answer).map(|set| self.sets.intern(set));
        let fingerprint = Fingerprint::of_answer(sought.desired.digest, &answer, paths, sought.view);
        let shown = self.views.showing(&sought.resource, &sought.desired.key, &answer);
        let typed: Arc<C> = sought.typed(mode, answer)?;
        let child =
            Child { fingerprint: Some(fingerprint), answer: Some(Arc::clone(&typed) as _), shown, ..Child::default() };
        lock(&sought.memory.children).put(sought.id, child);
        Ok(typed)
    }
}

impl Sought<'_> {
    /// Forgets what was remembered: until there is an answer, nothing proves what arrived.
    fn doubt(&self) {
        lock(&self.memory.children).remove(&self.id);
    }

    fn write(&self, verb: &'static str) -> Write<'_> {
        let (key, primary) = (&self.desired.key, &self.owner.key);
        Write { verb, resource: &self.resource, key, primary, effect: Effect::Child }
    }

    fn typed<C: Kind>(&self, mode: Mode, object: Value) -> Result<Arc<C>, Error> {
        let typed = serde_json::from_value(object).map(Arc::new);
        typed.map_err(|source| Error::Answer {
            verb: mode.verb(),
            kind: self.resource.kind.clone(),
            key: self.desired.key.clone(),
            source: redact(source),
        })
    }
}

impl Mode {
    const fn verb(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Create => "create",
            Self::DryRun => "dry-run the apply of",
        }
    }
}

/// What a restart has for proof: the last operator wanted the same, and the live object still holds it.
fn is_proven(live: &Value, desired: &Desired) -> bool {
    let hash = live["metadata"]["annotations"].get(DESIRED_HASH);
    hash == desired.form["metadata"]["annotations"].get(DESIRED_HASH) && contains(live, &desired.form)
}

/// Server-side apply would be refused for a second controller, with a message that does not say what to do.
fn refuse_foreign(resource: &ResourceType, owner: &Owner, live: &RawObject) -> Result<(), Error> {
    match live.metadata().controller() {
        Some(controller) if controller.uid != owner.uid => Err(foreign(resource, live)),
        _ => Ok(()),
    }
}

fn foreign(resource: &ResourceType, live: &RawObject) -> Error {
    let metadata = live.metadata();
    let owner = match metadata.controller() {
        Some(owner) => format!("{} {} (uid {})", owner.kind, owner.name, owner.uid),
        None => "nobody".to_owned(),
    };
    Error::ControlledByOther { kind: resource.kind.clone(), key: metadata.key.clone(), owner }
}

/// Returns the uid of an object's controller, and how it is named in messages.
fn controller(live: &Value) -> Option<(&str, String)> {
    let owners = live.pointer("/metadata/ownerReferences")?.as_array()?;
    desired::controller(owners).map(|owner| (owner["uid"].as_str().unwrap_or_default(), desired::named(owner)))
}
