//! The real Kubernetes control plane as a test dependency.
//!
//! [`ControlPlane::start`] runs kube-apiserver, etcd, kube-controller-manager, kube-scheduler and a fake kubelet of one
//! release on loopback, ready in seconds. Nothing needs to be installed but Go: the servers are built from their Go
//! modules once a machine ([`binary`]). Nothing outlives the process that started it, however that process ends.
//!
//! Most tests share one control plane a process and keep apart by namespace and API group: [`harness`] runs them and
//! hands each a [`TestScope`]. Tests that kill a server, or that need a server without something, start their own.

pub mod audit;
pub mod binary;
mod certificates;
mod control_plane;
pub mod harness;
mod kubeconfig;
pub mod kubectl;
mod process;
mod random;
mod scope;
mod wait;

pub use audit::AuditEntry;
pub use certificates::CertificatesError;
pub use control_plane::{Backup, ControlPlane, Options, StartError};
pub use process::ProcessError;
pub use scope::{ScopeError, SharedError, TestScope, shared};
pub use wait::{NotInTime, eventually};
