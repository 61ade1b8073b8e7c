//! Readiness and time. Here start the threads that nobody asked for: one reactor a process, while
//! it is needed, and short-lived resolvers of names.

mod backoff;
mod poller;
mod reactor;
mod resolver;
mod spin;
mod timers;

pub use backoff::Backoff;
pub use poller::{Poller, Wake, Waker};
pub use reactor::{Handler, Key, LazyReactor, Reactor, Tick};
pub use resolver::{Asker, Lookup, resolve};
pub use spin::Spin;
