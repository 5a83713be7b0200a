//! How sources hand keys to a controller: with what happened, which decides how soon and whether back-off still counts.
use std::sync::Arc;

use crate::apply::{Change, Foreign};
use crate::queue::{Priority, When, WorkQueue};
use crate::resource::ObjectKey;

use super::gate::Gate;

/// What happened to an object, as far as its primary's turn depends on it.
///
/// | event | priority | a failing key |
/// |---|---|---|
/// | part of an initial list, or a resync | low | stays held |
/// | anything else | normal | stays held |
/// | a primary appeared, got a new generation, begins to be deleted or is gone | high | runs at once, its failures forgotten |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Nothing changed: an initial list, or a resync.
    Known,
    /// Something changed.
    Changed,
    /// What the primary asks for changed: the failures so far say nothing about it.
    Asked,
}

/// The controller's end of its sources.
#[derive(Clone)]
pub(crate) struct Inlet {
    queue: WorkQueue<ObjectKey>,
    gate: Arc<dyn Gate>,
}

impl Inlet {
    pub(super) fn new(queue: WorkQueue<ObjectKey>, gate: Arc<dyn Gate>) -> Self {
        Self { queue, gate }
    }

    /// Lets the primary with this key be reconciled, unless the change is the echo of its own last write.
    pub(crate) fn hear(&self, key: ObjectKey, trigger: Trigger, change: Change<'_>) {
        let (inlet, primary) = (self.clone(), key.clone());
        self.gate.hear(&primary, change, Foreign::new(move || inlet.add(key, trigger)));
    }

    /// Lets the primary with this key be reconciled.
    pub(crate) fn add(&self, key: ObjectKey, trigger: Trigger) {
        match trigger {
            Trigger::Known => self.queue.add_with(key, When::Now, Priority::Low),
            Trigger::Changed => self.queue.add_with(key, When::Now, Priority::Normal),
            Trigger::Asked => self.queue.add_anew(key, Priority::High),
        }
    }
}
