//! The Kubernetes deployment controller, on informers, listers and a work queue: the parts of the SDK without the derive.
//!
//! [`DeploymentController`] is the shell: it reads through listers, asks `plan` what to do, and writes. `plan` and what it
//! stands on are functions of what is: `limits`, `rolling` and `scaling` are arithmetic, `template`, `revision`, `claim`
//! and `replicas` read objects, `status` and `conditions` judge.
//!
//! It does what kube-controller-manager's controller of Kubernetes 1.37 does; `tests/real.rs` compares the two.
mod act;

mod claim;

mod conditions;

mod controller;

mod error;

mod events;

mod handlers;

mod limits;

mod plan;

mod replicas;

mod revision;

mod rolling;

mod scaling;

mod status;

mod template;

pub use controller::DeploymentController;
pub use error::Error;

/// The name under which this controller writes and tells Events; upstream's own.
const COMPONENT: &str = "deployment-controller";
