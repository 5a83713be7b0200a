//! A proxy in front of a real API server. It speaks plain HTTP on loopback, passes credentials on, and does to each request
//! what a [`Plan`] says: delay, refuse, cut, with and without the request having taken effect; delay, cut or expire watches.
//!
//! Every decision is drawn from a seed that is printed when the proxy starts. Which request meets which draw still depends on
//! the order in which they arrive.

mod fault;
mod proxy;
mod stream;

pub use fault::{Call, Effect, Fault, Plan, StreamFault, Verb};
pub use proxy::{Error, Proxy};
