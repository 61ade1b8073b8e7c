//! Sockets: lifetime, blocking, locks. Knows no protocol and no scheme by name.
//!
//! Its files stand on one another, and no two need each other (`testing/circles.rs` checks it):
//!
//! 1. what knows no socket: `options.rs`, `figures.rs`, `statistics.rs`, `events.rs`,
//!    `readiness.rs`, `life.rs`, `timer.rs`; `handover.rs`, `visitors.rs`, `notes.rs`,
//!    `lookout.rs` and `waiting.rs`, what those share who wait; `deferred.rs`, `linger.rs` and
//!    `drain.rs`, which deal with connections alone; and `context.rs`, which holds what a socket
//!    and its endpoints share;
//! 2. `endpoint.rs` and `pipe.rs`, which own the traits through which they call their socket,
//!    `peer.rs`, whom a message comes from, `state.rs`, what the lock of a socket guards, and
//!    `view.rs`, what its machine sees of that;
//! 3. `socket.rs`, `sleep.rs`, how a call on it sleeps, and the files for what a socket does;
//! 4. `registry.rs`, `exposition.rs`, `observatory.rs`, `poll.rs`, `roster.rs` and `device.rs`,
//!    which deal with several sockets.
//!
//! Locks are taken in the order of `sync::Rank`, which debug builds check.

mod aside;
mod attachment;
mod backlog;
mod beacon;
mod bed;
mod berth;
mod branch;
mod closing;
mod configuration;
mod context;
mod deadline;
mod deferred;
mod device;
mod display;
mod drain;
mod endpoint;
mod events;
mod exposition;
mod figures;
#[cfg(test)]
mod fixtures;
mod handover;
#[cfg(test)]
mod joined;
mod journal;
mod life;
mod linger;
mod lookout;
mod naming;
mod news;
mod notes;
mod observatory;
pub mod option;
mod options;
#[cfg(test)]
mod outage;
mod peer;
mod pipe;
mod poll;
mod probing;
mod readiness;
mod registry;
mod report;
mod roster;
mod sleep;
mod socket;
mod state;
mod statistics;
mod stock;
mod timer;
mod transfer;
mod view;
mod visitors;
mod wait;
mod waiting;

pub use berth::Berth;
pub use context::Printer;
pub use device::Device;
pub use events::{EventKind, Events, SocketEvent};
pub use exposition::{report_all, text as exposition};
pub use figures::Figure;
pub use journal::{Entry as JournalEntry, Level as JournalLevel, listen};
pub use observatory::open;
pub use options::OptionValue;
pub use poll::{Polling, Question};
pub use registry::{
    COOKED, Held, InUse, RAW, close, find, find_beside, open_branch, restart, terminate,
};
pub use report::{Entry as Report, Level};
pub use roster::{Entry, Routine};
pub use sleep::{Miss, Step, Turn, Visit};
pub use socket::Socket;
pub use statistics::number as statistic_number;
pub use transfer::{Blocking, Now};

pub use crate::transports::{Dialect, Fault, Role, TlsFault};

/// What wires call a type of sockets, or a question mark where there is none.
pub fn type_name(number: i32) -> &'static str {
    crate::protocols::socket_type(number).map_or("?", |known| known.name)
}
