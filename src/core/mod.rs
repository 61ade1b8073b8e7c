//! Sockets: lifetime, blocking, locks. Knows no protocol and no scheme by name.
//!
//! # Locks, in the order in which they may be taken
//!
//! 1. a slot of the registry, shared, for as long as a call is inside the library;
//! 2. the names of inproc (`transports/inproc/names.rs`);
//! 3. one socket's state (never two sockets' at once, see `order.rs`);
//! 4. the queues of a connection, and what the reactor knows;
//! 5. the events of a socket (`events.rs`).
//!
//! The locks that are held during system calls on a stream, one for each direction, are taken
//! while none of 2 and 3 is held. Nobody sleeps under 2 to 5.

mod attachment;
mod closing;
mod configuration;
mod context;
mod deadline;
mod deferred;
mod device;
mod display;
mod endpoint;
mod events;
#[cfg(test)]
mod fixtures;
mod handover;
mod life;
mod linger;
mod naming;
mod options;

mod order;
#[cfg(test)]
mod outage;
mod peer;
mod pipe;
mod poll;
mod readiness;
mod registry;
mod socket;
mod state;
mod statistics;
mod timer;
mod transfer;
mod wait;

pub use context::Printer;
pub use device::Device;
pub use events::{EventKind, Events, SocketEvent};
pub use options::{OptionValue, option};
pub use peer::number as peer_number;
pub use poll::{Question, poll};
pub use registry::{COOKED, InUse, RAW, close, find, find_beside, open, restart, terminate};
pub use socket::Socket;
pub use statistics::number as statistic_number;
pub use transfer::Blocking;

pub use crate::transports::{Dialect, Fault};
