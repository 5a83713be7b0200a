//! One operator as a value: a declaration and the reconciler that is made when it runs.
use std::future::Future;

use crate::client::Client;
use crate::declare::Primary;
use crate::declare::rbac::Declared;
use crate::informer::factory::InformerFactory;
use crate::reconcile::{Reconciler, Result};

/// What a reconciler can be made from, once there is a cluster.
#[derive(Clone, Debug)]
pub struct Setup {
    client: Client,
    informers: InformerFactory,
}

impl Setup {
    /// Returns a kube client with the operator's credentials.
    pub fn client(&self) -> kube::Client {
        self.client.kube()
    }

    /// Returns the factory whose informers start with the operator.
    pub fn informers(&self) -> &InformerFactory {
        &self.informers
    }
}

/// An operator: declared, not yet running.
#[derive(Debug)]
pub struct Operator {
    declared: Declared,
}

impl Operator {
    /// Joins the declaration of `P` and the way to make its reconciler.
    pub fn new<P, R, F, Fut>(make: F) -> Self
    where
        P: Primary,
        R: Reconciler<P>,
        F: FnOnce(Setup) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        let _ = make;
        Self { declared: P::declaration().erase() }
    }

    /// Returns what the operator declares.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }
}
