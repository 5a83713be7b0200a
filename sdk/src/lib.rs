//! Operators for Kubernetes: annotate the struct of a custom resource, write one reconcile function.
extern crate self as kubewright;

pub mod resource;

pub(crate) mod clock;

pub(crate) mod protobuf;

pub mod declare;

pub mod metrics;

pub mod client;

pub mod wire;

pub mod reflector;

pub mod delta;

pub mod store;

pub mod informer;

#[cfg(feature = "kube-runtime")]
pub mod interop;

pub mod queue;

pub mod apply;

pub mod reconcile;

pub mod dependents;

pub mod controller;

pub mod operator;

pub mod admin;

pub mod manager;

#[cfg(feature = "cli")]
pub mod cli;

#[doc(hidden)]
pub mod __private;

pub use apply::checksum;
#[cfg(feature = "cli")]
pub use cli::main;
pub use client::Client;
pub use informer::Informer;
pub use informer::factory::InformerFactory;
pub use operator::{Operator, Setup};
pub use queue::WorkQueue;
pub use reconcile::{Action, Cleanup, Context, Error, Reconciler, Result};
pub use resource::{Kind, ObjectKey};
pub use store::index::Index;
pub use store::lister::Lister;
pub use {k8s_openapi, kube, schemars};
#[cfg(feature = "derive")]
pub use {kube::CustomResource, kubewright_macros::Operator};

// The programs in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
