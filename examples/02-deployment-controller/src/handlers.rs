//! The event handlers: from what changed to the key of the Deployment that should look at it.
//!
//! They only ever add keys to the queue. Metadata is at hand without decoding the object; the whole is decoded where
//! labels are matched against selectors, which is rare.
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kubewright::informer::handler::{Deleted, Handle, ResourceEventHandler};
use kubewright::kube::core::SelectorExt;
use kubewright::resource::OwnerReference;
use kubewright::{Lister, ObjectKey, WorkQueue};

use crate::claim::selector;
use crate::limits::Limits;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Enqueue {
    pub(crate) queue: WorkQueue<ObjectKey>,
    pub(crate) deployments: Lister<Deployment>,
    pub(crate) sets: Lister<ReplicaSet>,
}

/// Every change of a Deployment is its own affair.
#[derive(Debug)]
pub(crate) struct OnDeployment(pub(crate) Enqueue);

impl ResourceEventHandler<Deployment> for OnDeployment {
    fn on_add(&mut self, deployment: Handle<Deployment>, _is_in_initial_list: bool) {
        self.0.queue.add(deployment.key().clone());
    }

    fn on_update(&mut self, _old: Handle<Deployment>, new: Handle<Deployment>) {
        self.0.queue.add(new.key().clone());
    }

    /// The pass finds nothing and ends; garbage collection takes the ReplicaSets along.
    fn on_delete(&mut self, deployment: Deleted<Deployment>) {
        self.0.queue.add(deployment.last.key().clone());
    }
}

/// A change of a ReplicaSet is the affair of its controller, or of whoever could adopt it.
#[derive(Debug)]
pub(crate) struct OnReplicaSet(pub(crate) Enqueue);

impl ResourceEventHandler<ReplicaSet> for OnReplicaSet {
    fn on_add(&mut self, set: Handle<ReplicaSet>, _is_in_initial_list: bool) {
        match set.metadata().controller() {
            Some(controller) => self.0.controller(set.key(), controller),
            None if !set.metadata().deleting => self.0.adopters(&set),
            None => {}
        }
    }

    fn on_update(&mut self, old: Handle<ReplicaSet>, new: Handle<ReplicaSet>) {
        let (was, is) = (old.metadata().controller(), new.metadata().controller());
        if let Some(was) = was.filter(|_| was != is) {
            self.0.controller(old.key(), was);
        }
        match is {
            Some(is) => self.0.controller(new.key(), is),
            None if was.is_some() || old.metadata().labels != new.metadata().labels => self.0.adopters(&new),
            None => {}
        }
    }

    /// What was deleted while nobody watched comes with the last state that is known: its controller is still the one
    /// to tell.
    fn on_delete(&mut self, set: Deleted<ReplicaSet>) {
        if let Some(controller) = set.last.metadata().controller() {
            self.0.controller(set.last.key(), controller);
        }
    }
}

/// Pods are counted by their ReplicaSets, whose status tells. Only a Deployment that recreates waits for the end of each
/// old pod itself; that one has appeared tells it nothing.
#[derive(Debug)]
pub(crate) struct OnPod(pub(crate) Enqueue);

impl ResourceEventHandler<Pod> for OnPod {
    /// A pod that its ReplicaSet lets go is none of the Deployment's any more.
    fn on_update(&mut self, old: Handle<Pod>, new: Handle<Pod>) {
        if old.metadata().controller() != new.metadata().controller() {
            self.0.recreating(&old);
        }
    }

    fn on_delete(&mut self, pod: Deleted<Pod>) {
        self.0.recreating(&pod.last);
    }
}

impl Enqueue {
    /// Enqueues the Deployment that a controller reference means: the one of that name, if it is still the same.
    fn controller(&self, child: &ObjectKey, controller: &OwnerReference) {
        if let Some(key) = self.resolve(child, controller) {
            self.queue.add(key);
        }
    }

    /// Enqueues the Deployment whose old pod this was, if it waits for the end of old pods.
    fn recreating(&self, pod: &Handle<Pod>) {
        let Some(set) = pod.metadata().controller().filter(|owner| *owner.kind == *"ReplicaSet") else { return };
        let key = beside(pod.key(), &set.name);
        let Some(metadata) = self.sets.metadata(&key).filter(|metadata| metadata.uid == set.uid) else { return };
        let deployment = metadata.controller().and_then(|controller| self.resolve(&key, controller));
        let Some(key) = deployment else { return };
        if let Ok(Some(deployment)) = self.deployments.get(&key)
            && !Limits::of(&deployment.spec).rolling
        {
            self.queue.add(key);
        }
    }

    /// Owners are named, and names are used again: the uid says whether it is still the same.
    fn resolve(&self, child: &ObjectKey, controller: &OwnerReference) -> Option<ObjectKey> {
        if (&*controller.group, &*controller.kind) != ("apps", "Deployment") {
            return None;
        }
        let key = beside(child, &controller.name);
        self.deployments.metadata(&key).filter(|deployment| deployment.uid == controller.uid).map(|_| key)
    }

    /// Enqueues the Deployments that select an orphan.
    fn adopters(&self, orphan: &Handle<ReplicaSet>) {
        let Ok(set) = orphan.get() else { return };
        let labels = set.metadata.labels.clone().unwrap_or_default();
        let deployments = self.deployments.namespaced(orphan.key().namespace().unwrap_or_default());
        for deployment in deployments.into_iter().flatten() {
            if selector(&deployment).is_ok_and(|selector| selector.matches(&labels)) {
                self.queue.add(ObjectKey::of(&*deployment));
            }
        }
    }
}

/// The key of an object in the same namespace.
fn beside(object: &ObjectKey, name: &str) -> ObjectKey {
    ObjectKey::namespaced(object.namespace().unwrap_or_default(), name)
}
