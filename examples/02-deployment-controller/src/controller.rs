//! The controller: informers to listers and handlers, handlers to a queue of keys, the queue to workers.
use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kubewright::informer::handler::Registration;
use kubewright::{Client, Index, InformerFactory, Lister, ObjectKey, WorkQueue};
use tokio::task::JoinSet;

use crate::act::Actor;
use crate::error::Error;
use crate::handlers::{Enqueue, OnDeployment, OnPod, OnReplicaSet};
use crate::limits::Limits;
use crate::plan::{Observed, plan};
use crate::replicas::Replicas;

/// How often a Deployment is tried before it waits for its next change, as upstream: the last wait is 82 s.
const MAX_RETRIES: u32 = 15;

/// Longest time for one pass. A request of it may meet an API server that is silent, and no request has a deadline of
/// its own.
const PASS_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes ReplicaSets be what Deployments say.
#[derive(Debug)]
pub struct DeploymentController {
    client: Client,
    deployments: Lister<Deployment>,
    sets: Lister<ReplicaSet>,
    /// ReplicaSets without a controller, by namespace: those that could be adopted.
    orphans: Index<ReplicaSet>,
    pods: Lister<Pod>,
    queue: WorkQueue<ObjectKey>,
    /// Dropping one removes its handler.
    handlers: [Registration; 3],
}

impl DeploymentController {
    /// Asks `factory` for the informers and adds indexes and handlers. Start the factory afterwards.
    pub fn new(client: Client, factory: &InformerFactory) -> Self {
        let deployments = factory.informer::<Deployment>();
        let sets = factory.informer::<ReplicaSet>();
        let pods = factory.informer::<Pod>();
        let orphans = sets.add_index(orphan_of);
        let queue = WorkQueue::default();
        let enqueue = Enqueue { queue: queue.clone(), deployments: deployments.lister(), sets: sets.lister() };
        let handlers = [
            deployments.add_event_handler(OnDeployment(enqueue.clone())),
            sets.add_event_handler(OnReplicaSet(enqueue.clone())),
            pods.add_event_handler(OnPod(enqueue)),
        ];
        Self {
            client,
            deployments: deployments.lister(),
            sets: sets.lister(),
            orphans,
            pods: pods.lister(),
            queue,
            handlers,
        }
    }

    /// Works until `stop` is ready, then ends the passes under way and returns.
    ///
    /// # Panics
    /// When a worker panics: a controller that works with fewer hands than it says is worse than one that is restarted.
    pub async fn run(self, workers: usize, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        // What a handler has not seen yet is in no queue.
        for handler in &self.handlers {
            tokio::select! {
                () = &mut stop => return,
                () = handler.synced() => {}
            }
        }
        let queue = self.queue.clone();
        let controller = Arc::new(self);
        let mut tasks: JoinSet<()> = (0..workers).map(|_| Arc::clone(&controller).work()).collect();
        tokio::select! {
            () = &mut stop => {}
            Some(ended) = tasks.join_next() => ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())),
        }
        queue.shut_down();
        while tasks.join_next().await.is_some() {}
    }

    /// One worker: takes keys until the queue is shut down. The queue gives a key to one worker at a time.
    async fn work(self: Arc<Self>) {
        while let Some(key) = self.queue.get().await {
            let pass = tokio::time::timeout(PASS_TIMEOUT, self.sync(&key)).await;
            self.settle(&key, pass.unwrap_or(Err(Error::Late)));
            self.queue.done(&key);
        }
    }

    /// Decides what becomes of a key after a pass.
    fn settle(&self, key: &ObjectKey, pass: Result<(), Error>) {
        let error = match pass {
            Ok(()) => return self.queue.forget(key),
            Err(error) if error.is_namespace_terminating() => return self.queue.forget(key),
            Err(error) => error,
        };
        if self.queue.num_requeues(key) < MAX_RETRIES {
            if error.is_conflict() {
                tracing::debug!(%key, %error, "lost a race, again");
            } else {
                tracing::warn!(%key, %error, "failed, again");
            }
            self.queue.add_rate_limited(key.clone());
        } else {
            tracing::error!(%key, %error, "failed too often, until it changes");
            self.queue.forget(key);
        }
    }

    /// One pass over one Deployment: look, decide, write.
    async fn sync(&self, key: &ObjectKey) -> Result<(), Error> {
        let Some(deployment) = self.deployments.get(key)? else { return Ok(()) };
        let now = now();
        let actor = Actor::new(&self.client.kube(), &deployment, now);
        let sets = actor.claim(self.candidates(key, &deployment)?).await?;
        let running = self.running(&deployment, &sets)?;
        let observed = Observed { deployment: Arc::clone(&deployment), sets, running, now };
        let plan = plan(&observed);
        let look_again_in = plan.look_again_in;
        actor.carry_out(plan).await?;
        if let Some(delay) = look_again_in {
            self.queue.add_after(key.clone(), delay);
        }
        Ok(())
    }

    /// The ReplicaSets that it controls or could adopt. Two look-ups, however many others the namespace has.
    fn candidates(&self, key: &ObjectKey, deployment: &Deployment) -> Result<Vec<Arc<ReplicaSet>>, Error> {
        let mut sets = self.sets.controlled_by(deployment.metadata.uid.as_deref().unwrap_or_default())?;
        sets.extend(self.sets.by(&self.orphans, key.namespace().unwrap_or_default())?);
        Ok(sets)
    }

    /// Uids of the ReplicaSets with pods that have not ended, where the strategy waits for those.
    fn running(&self, deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Result<HashSet<String>, Error> {
        let mut running = HashSet::new();
        if !Limits::of(&deployment.spec).rolling {
            for set in sets {
                if self.pods.controlled_by(set.uid())?.iter().any(|pod| !has_ended(pod)) {
                    running.insert(set.uid().to_owned());
                }
            }
        }
        Ok(running)
    }
}

/// The namespace of a ReplicaSet that nobody controls.
fn orphan_of(set: &ReplicaSet) -> Option<String> {
    let is_controlled = set.metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true));
    if is_controlled { None } else { set.metadata.namespace.clone() }
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// Returns the time in whole seconds, as conditions keep it.
fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one look at the clock; everything that decides is given the time"
    )]
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
