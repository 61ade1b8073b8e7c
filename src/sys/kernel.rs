//! What the rest of this folder calls: the C library's wrappers, and what owns a descriptor.
//!
//! Files, names of hosts and signals are asked for where they are needed.

pub use libc::{
    clock_gettime, epoll_create1, epoll_ctl, epoll_wait, eventfd, fchmod, fcntl, fstat, getrandom,
    getrlimit, getsockopt, ioctl, ppoll, pthread_sigmask, read, write,
};
pub use socket2::Socket;
pub use std::os::fd::OwnedFd;

/// futex(2), for which the C library has no wrapper.
///
/// # Safety
/// The word and the timeout are null or live during the call.
pub unsafe fn futex(
    word: *mut u32,
    operation: libc::c_int,
    value: u32,
    timeout: *const libc::timespec,
) -> libc::c_long {
    // SAFETY: forwarded from our own contract; the other arguments are unused.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, value, timeout) }
}
