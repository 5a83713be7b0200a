//! The controllers of a manager, which come and go while it runs.
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::controller::{Attached, Controller, ControllerStatus, Monitor};
use crate::metrics::Snapshot;
use crate::reconcile::ReconcileFn;

use super::Stop;

/// Adds controllers to a manager and takes them out again, also while it runs. Clones act on the same manager.
///
/// A controller that is added starts as those that were there from the beginning do: its informers are started, and its
/// workers once they have synced. Nothing else waits for it but the readiness of the process, which counts it from the
/// moment it is added.
#[derive(Clone)]
pub struct Controllers {
    shared: Arc<Shared>,
    stop: Stop,
}

struct Shared {
    state: Mutex<State>,
    /// Says that a controller came.
    came: Notify,
}

#[derive(Default)]
struct State {
    /// Those that came and did not end, as many as there are names.
    members: Vec<Member>,
    /// Those of them that the manager has not taken over yet.
    arrivals: Vec<Arrival>,
    /// Whether the manager has ended.
    closed: bool,
}

struct Member {
    monitor: Monitor,
    /// Turns true when it is to stop before the manager does.
    stop: watch::Sender<bool>,
    /// Closed when it has ended, which is when it is no member any more.
    ended: watch::Sender<()>,
}

/// A controller on its way to the manager.
pub(super) struct Arrival {
    pub(super) controller: Attached,
    pub(super) reconcile: ReconcileFn,
    pub(super) stopped: watch::Receiver<bool>,
    /// Held for as long as the controller runs.
    pub(super) present: Present,
}

impl Controllers {
    pub(super) fn new(stop: Stop) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), came: Notify::new() }), stop }
    }

    /// Adds a controller and what it runs for each key. It is attached to its informers at once, and starts with the
    /// manager, or now where that runs already.
    ///
    /// # Errors
    /// [`AddError`] when another controller has its name, or the manager stops or has stopped.
    pub fn add(&self, controller: Controller, reconcile: ReconcileFn) -> Result<(), AddError> {
        let name = controller.name().to_owned();
        let mut state = self.state();
        if state.closed || self.stop.is_stopping() {
            return Err(AddError::Stopping { name });
        }
        if state.members.iter().any(|member| member.monitor.name() == name) {
            return Err(AddError::NameTaken { name });
        }
        let controller = controller.attach();
        let ((stop, stopped), (ended, _)) = (watch::channel(false), watch::channel(()));
        state.members.push(Member { monitor: controller.monitor(), stop, ended });
        let present = Present { controllers: self.clone(), name };
        state.arrivals.push(Arrival { controller, reconcile, stopped, present });
        drop(state);
        self.shared.came.notify_one();
        Ok(())
    }

    /// Stops the controller of that name and waits for its end: reconciles at hand may end within the manager's grace
    /// period, none begins, and its handlers are removed. Its informers end with it, but for those that another controller or
    /// anybody else holds.
    ///
    /// Returns false when there is none. Dropping the future leaves it stopping.
    pub async fn remove(&self, name: &str) -> bool {
        let (waiting, mut ended) = {
            let mut state = self.state();
            let Some(member) = state.members.iter().find(|member| member.monitor.name() == name) else { return false };
            member.stop.send_replace(true);
            let ended = member.ended.subscribe();
            let waiting = state.arrivals.iter().position(|arrival| arrival.present.name == name);
            (waiting.map(|waiting| state.arrivals.remove(waiting)), ended)
        };
        // Outside the lock, which the end of a controller takes.
        drop(waiting);
        // Ends with an error, once the sender is gone.
        while ended.changed().await.is_ok() {}
        true
    }

    /// Tells how each controller is doing, in the order in which they came.
    pub fn status(&self) -> Vec<ControllerStatus> {
        self.monitors().iter().map(Monitor::status).collect()
    }

    /// Adds what the controllers and their queues count to `snapshot`, under the names of controller-runtime and client-go,
    /// so that dashboards made for them work.
    pub fn collect(&self, snapshot: &mut Snapshot) {
        self.monitors().iter().for_each(|monitor| monitor.collect(snapshot));
    }

    /// Waits until a controller has come since the last call.
    pub(super) async fn came(&self) {
        self.shared.came.notified().await;
    }

    /// Takes over those that came.
    pub(super) fn take_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.state().arrivals)
    }

    /// Returns what refuses further controllers, and lets go of those that were not taken over, when it is dropped.
    pub(super) fn close_on_drop(&self) -> CloseOnDrop {
        CloseOnDrop(self.clone())
    }

    /// Read outside the lock: the status of a source is the user's informer's.
    fn monitors(&self) -> Vec<Monitor> {
        self.state().members.iter().map(|member| member.monitor.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A controller that has not ended. Dropping it, however that comes, says that it has.
pub(super) struct Present {
    controllers: Controllers,
    name: String,
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut state = self.controllers.state();
        let position = state.members.iter().position(|member| member.monitor.name() == self.name);
        let gone = position.map(|position| state.members.remove(position));
        drop(state);
        drop(gone);
    }
}

/// Closes the doors of its manager.
pub(super) struct CloseOnDrop(Controllers);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        let left = std::mem::take(&mut state.arrivals);
        drop(state);
        drop(left);
    }
}

/// Why a controller was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Another controller has its name, by which metrics, probes and logs tell them apart.
    #[error("the manager has a controller {name} already: give this one another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The manager stops or has stopped.
    #[error("the manager stops: controller {name} is not started any more")]
    Stopping {
        /// The name of the controller.
        name: String,
    },
}

impl fmt::Debug for Controllers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.monitors().iter().map(|monitor| monitor.name().to_owned()).collect();
        f.debug_tuple("Controllers").field(&names).finish()
    }
}
