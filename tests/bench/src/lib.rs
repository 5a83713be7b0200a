//! Benchmarks of kubewright beside its peers: a server of varied objects, and one measurement for each claim.
//!
//! The peers in Rust share this library, so that they are measured and reported with the same code; those in Go print the
//! same JSON lines.
pub mod cli;

pub mod compare;

pub mod connect;

pub mod contest;

pub mod growth;

pub mod informer;

pub mod latency;

pub mod objects;

pub mod peers;

pub mod plot;

pub mod process;

pub mod queue;

pub mod readers;

pub mod reconcile;

pub mod real;

pub mod server;

pub mod table;

pub mod threads;

pub mod widget;

pub use cli::main;

/// What a benchmark ends with when it can not be run.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a benchmark returns.
pub type Result<T> = std::result::Result<T, Error>;
