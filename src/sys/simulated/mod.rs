//! A kernel in memory, behind the same names as the real one (`RUSTFLAGS="--cfg simulated"`). All
//! that it does is decided by the seed of the simulation: how much a call transfers, how long it
//! takes, when bytes arrive, what fails.

mod calls;
mod faults;
mod file;
mod foreign;
mod kernel;
mod memory;
mod names;
mod object;
mod poll;
mod socket;
mod stream;
mod thread;

pub use calls::{
    OwnedFd, clock_gettime, eventfd, fchmod, fcntl, fstat, futex, getrandom, getrlimit, getrusage,
    getsockopt, ioctl, now, pthread_sigmask, read, sigaction, sigpending, usable_cpus, write,
};
pub use faults::Faults;
pub use file::{FileIdentity, NameLock, PinnedFile, absolute, set_file_mode, unlink};
pub use foreign::{Foreign, Site};
pub use kernel::{Kernel, Machine};
pub use memory::{Inherited, PerProcess, Twin, environment, generation};
pub use names::{NameFamily, interface_number, look_up};
pub use poll::{epoll_create1, epoll_ctl, epoll_wait, ppoll};
pub use socket::{Socket, accept, open, receive, send};
pub use thread::{Belongings, STACK_SIZE, Thread, at_thread_end, wake_in_time};
