//! The kernel: libc in, `io::Result` out. Every system call of the library is written here once.
//!
//! Nothing here knows about messages' meaning, sockets of ours, or threads. Every descriptor is
//! close-on-exec and non-blocking from birth, none that stays lies among the standard ones, and no
//! write raises SIGPIPE.

mod address;
pub mod cancellation;
mod cleanup;
mod clock;
#[cfg(all(test, not(simulated)))]
mod contract;
mod descriptor;
#[cfg(not(portable))]
mod epoll;
#[cfg(not(portable))]
mod event_fd;
pub mod exit;
#[cfg(not(simulated))]
mod file;
#[cfg(not(simulated))]
mod foreign;
#[cfg(not(portable))]
mod futex;
mod interest;
#[cfg(not(any(simulated, portable)))]
mod kernel;
#[cfg(all(not(feature = "tls"), not(simulated)))]
mod library;
mod limits;
mod listener;
mod log;
mod memory;
#[cfg(not(simulated))]
mod names;
#[cfg(not(portable))]
mod nap;
mod pacing;
mod poll;
#[cfg(portable)]
mod portable;
pub mod probe;
#[cfg(not(simulated))]
mod process;
mod random;
mod read;
mod signals;
#[cfg(simulated)]
pub mod simulated;
mod sleep;
mod stream;
mod switches;
#[cfg(not(simulated))]
mod thread;
mod tls;
mod user;

pub use address::Address;
pub use clock::{nanoseconds, now, now_ms, pause};
#[cfg(not(portable))]
pub use epoll::{Epoll, EventBuffer};
#[cfg(not(portable))]
pub use event_fd::EventFd;
#[cfg(all(target_os = "linux", not(simulated)))]
pub use file::NameLock;
#[cfg(not(simulated))]
pub use file::{FileIdentity, absolute, unlink};
#[cfg(not(any(simulated, portable)))]
pub use file::{PinnedFile, set_file_mode};
#[cfg(not(simulated))]
pub use foreign::{Foreign, Site};
#[cfg(not(portable))]
pub use futex::{Waited, futex_wait, futex_wake_all};
pub use interest::{Event, Interest};
pub use limits::{descriptor_limit, usable_cpus};
pub use listener::{Accepted, OsListener};
pub use log::{Log, complain};
pub use memory::is_mapped;
#[cfg(not(simulated))]
pub use names::{NameFamily, interface_number, look_up};
#[cfg(not(portable))]
pub use nap::{nap, nap_with_cancellation};
pub use poll::{PollEntry, WaitFor, is_readable, is_writable_within, poll};
#[cfg(not(simulated))]
pub use process::{Inherited, PerProcess, environment, generation};
pub use random::{Secret, random, random_bytes};
pub use read::Read;
#[cfg(test)]
pub use signals::tests::interrupted;
#[cfg(simulated)]
pub use simulated::{Belongings, STACK_SIZE, Thread, at_thread_end, wake_in_time};
pub use sleep::{Nap, Slept};
pub use stream::{Credentials, OsStream, Tuning};
pub use switches::{Switches, switches};
#[cfg(not(simulated))]
pub use thread::{Belongings, STACK_SIZE, Thread, at_thread_end, wake_in_time};
pub use user::user;

pub use tls::{
    Machine, TlsConfig, TlsRole, TlsSession, TlsTrouble, TlsWishes, numbers as tls_numbers,
};

#[cfg(not(target_os = "linux"))]
pub use portable::file::NameLock;
#[cfg(portable)]
pub use portable::{
    epoll::{Epoll, EventBuffer},
    event_fd::EventFd,
    file::{PinnedFile, set_file_mode},
    futex::{Waited, futex_wait, futex_wake_all},
    nap::{nap, nap_with_cancellation},
};
#[cfg(portable)]
use portable::{event_fd, futex, kernel};
#[cfg(simulated)]
use simulated as kernel;
#[cfg(simulated)]
pub use simulated::{
    FileIdentity, Foreign, Inherited, NameFamily, NameLock, PerProcess, PinnedFile, Site, absolute,
    environment, generation, interface_number, look_up, set_file_mode, unlink,
};

use std::io;

/// Turns the C convention "-1 and errno" into a result.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
