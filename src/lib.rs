//! spmsg: the scalability protocols behind the C interface of nanomsg.
//!
//! ```text
//!            C caller
//!               │ C types become Rust types, errors become errno
//!        ┌──────▼──────┐
//!        │    ffi/     │  one file per group of nn_* functions; decides nothing
//!        └──────┬──────┘
//!        ┌──────▼──────┐
//!        │    core/    │  sockets · endpoints · pipes · waiting · options
//!        └──┬───────┬──┘
//!   decides │       │ carries
//! ┌─────────▼──┐ ┌──▼──────────┐
//! │ protocols/ │ │ transports/ │   pure machines  │ pure codecs + connections
//! └─────────┬──┘ └──┬───────┬──┘
//!           │       │  ┌────▼───┐
//!           │       │  │  io/   │   pollers · timers · the reactor thread
//!           │       │  └────┬───┘
//!           │       │  ┌────▼───┐
//!           │       │  │  sys/  │   every system call, written once
//!           │       │  └────────┘
//!        ┌──▼───────▼──┐
//!        │  message/   │   what moves, under everybody (error.rs likewise)
//!        └─────────────┘
//! ```
//!
//! `sync/` has the locks of all layers that have some, and the order in which they are taken.
//! Whoever deals with sockets and connections may tell `trace.rs` what happens to them; its lines
//! are all that may be written under a socket's lock.
//!
//! A stream carries bytes, a connection carries messages, a pipe belongs to a socket. A lower
//! layer never names a higher one (`testing/layering.rs` checks it): where it must call up, it
//! owns the trait that the upper layer implements.
//!
//! No system call that moves bytes happens under a socket's lock, no two sockets' locks are held
//! together, and no panic leaves `ffi::enter`. `doc/design.md` tells the rest: how a message
//! travels, who waits for whom, and where a change goes.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::print_stdout,
        clippy::multiple_unsafe_ops_per_block,
        reason = "a test fails by panicking, is watched, and has one reason for many calls"
    )
)]

#[cfg(not(loom))]
#[forbid(unsafe_code)]
pub mod core;
#[forbid(unsafe_code)]
pub mod error;
#[cfg(not(loom))]
#[allow(unsafe_code, reason = "the C boundary")]
pub mod ffi;
#[cfg(not(loom))]
#[forbid(unsafe_code)]
mod io;
#[allow(unsafe_code, reason = "the allocator")]
pub mod memory;
pub mod message;
#[cfg(not(loom))]
#[forbid(unsafe_code)]
mod protocols;
mod sync;
#[cfg(not(loom))]
#[allow(unsafe_code, reason = "system calls")]
mod sys;
#[cfg(not(loom))]
#[forbid(unsafe_code)]
mod trace;
#[cfg(not(loom))]
#[forbid(unsafe_code)]
mod transports;

#[cfg(simulated)]
#[doc(hidden)]
#[allow(unsafe_code, reason = "it calls the library as C does")]
pub mod simulation;

#[cfg(all(test, not(loom)))]
mod testing;

#[cfg(all(any(test, fuzzing), not(loom)))]
#[doc(hidden)]
#[allow(unsafe_code, reason = "calls of C, as a program would make them")]
pub mod fuzzing;

// The concurrent parts alone, for their models: loom's primitives work in a model only.
#[cfg(loom)]
#[allow(dead_code, unused_imports, reason = "the rest of the library is not there to use it")]
mod core {
    mod beacon;
    mod handover;
    mod notes;
}
#[cfg(loom)]
#[allow(unsafe_code, reason = "system calls")]
#[allow(dead_code, reason = "the rest of the library is not there to use it")]
mod sys {
    #[cfg(portable)]
    mod portable {
        mod bells;
    }
    mod read;
    mod switches;

    pub use read::Read;
    pub use switches::{Switches, switches};

    mod kernel {
        pub use libc::getrusage;
    }
}
#[cfg(loom)]
#[allow(dead_code, unused_imports, reason = "the rest of the library is not there to use it")]
mod transports {
    mod bounds;
    mod fault;
    mod load;
    mod outcome;
    mod pace;

    pub use bounds::{Bounds, RoomWanted, WhenFull};
    pub use fault::Fault;
    pub use load::{Backup, Load, ReadBy, Stamp};
    pub use outcome::{AfterSend, Sent};

    mod inproc {
        mod outcome;
        mod patience;
        mod queue;
    }

    mod stream {
        mod arrival;
        mod batch;
        mod byte_stream;
        mod circumstances;
        mod codec;
        mod driver;
        mod held;
        mod inbox;
        mod interjection;
        mod landing;
        mod loan;
        mod muster;
        mod pieces;
        mod queue;
        mod ration;
        mod reader;
        mod readership;
        mod runs;
        mod store;
        mod tally;
        mod urgency;
        mod width;
        mod writer;
        mod written;
    }
}
