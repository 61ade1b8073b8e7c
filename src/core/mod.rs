//! Sockets: lifetime, blocking, locks. Knows no protocol and no scheme by name.
//!
//! Locks are taken in the order of `sync::Rank`, which debug builds check.

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
#[cfg(test)]
mod joined;
mod life;
mod linger;
mod naming;
mod options;
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
