//! What the rest of this folder calls: the C library's wrappers, and what owns a descriptor.
//!
//! Files, names of hosts and signals are asked for where they are needed.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr;
use std::time::Instant;

use socket2::{Domain, MaybeUninitSlice, SockAddr, Type};

use super::clock::Span;

pub use libc::{
    clock_gettime, epoll_create1, epoll_ctl, eventfd, fchmod, fcntl, fstat, getrlimit, getrusage,
    getsockopt, ioctl, pthread_sigmask, sigaction, sigpending,
};
pub use socket2::Socket;
pub use std::os::fd::OwnedFd;

// A thread may be cancelled in them, and then they unwind.
unsafe extern "C-unwind" {
    pub fn epoll_wait(
        descriptor: c_int,
        events: *mut libc::epoll_event,
        room: c_int,
        timeout: c_int,
    ) -> c_int;
    pub fn ppoll(
        entries: *mut libc::pollfd,
        count: libc::nfds_t,
        limit: *const Span,
        mask: *const libc::sigset_t,
    ) -> c_int;
    fn syscall(number: libc::c_long, ...) -> libc::c_long;
}

/// read(2), in which no thread is cancelled.
///
/// # Safety
/// As much as `len` bytes may be written to.
pub unsafe fn read(descriptor: c_int, bytes: *mut u8, len: usize) -> libc::c_long {
    // SAFETY: forwarded from our own contract.
    unsafe { libc::syscall(libc::SYS_read, descriptor, bytes, len) }
}

/// write(2), in which no thread is cancelled.
///
/// # Safety
/// As much as `len` bytes may be read.
pub unsafe fn write(descriptor: c_int, bytes: *const u8, len: usize) -> libc::c_long {
    // SAFETY: forwarded from our own contract.
    unsafe { libc::syscall(libc::SYS_write, descriptor, bytes, len) }
}

/// getrandom(2), in which no thread is cancelled.
///
/// # Safety
/// As much as `len` bytes may be written to.
pub unsafe fn getrandom(bytes: *mut u8, len: usize) -> libc::c_long {
    // SAFETY: forwarded from our own contract.
    unsafe { libc::syscall(libc::SYS_getrandom, bytes, len, 0) }
}

/// A stream socket of the kernel, close-on-exec and non-blocking from birth.
pub fn open(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), None)
}

/// accept4(2), whose streams are close-on-exec and non-blocking from birth. With socket2 the latter
/// would take two more calls.
pub fn accept(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let accept = |address: *mut socket2::SockAddrStorage, len: *mut libc::socklen_t| {
        // SAFETY: there is room for as long an address as `len` says, which the kernel changes to
        // how long it is.
        let fresh = unsafe { libc::accept4(socket.as_raw_fd(), address.cast(), len, flags) };
        if fresh < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel gave us this descriptor just now; nobody else owns it.
        Ok(unsafe { Socket::from_raw_fd(fresh) })
    };
    // SAFETY: where it succeeds, the kernel has filled in an address.
    unsafe { SockAddr::try_init(accept) }
}

/// sendmsg(2), in which no thread is cancelled; or, for a single part, what asks the kernel to look
/// at less.
pub fn send(socket: &Socket, parts: &[IoSlice<'_>], flags: c_int) -> io::Result<usize> {
    let descriptor = socket.as_raw_fd();
    #[cfg(not(tsan))]
    if let [part] = parts {
        let (start, len) = (part.as_ptr(), part.len());
        let (to, to_len) = (ptr::null::<libc::sockaddr>(), 0);
        // SAFETY: the part is there, and the kernel only reads it.
        let result =
            unsafe { libc::syscall(libc::SYS_sendto, descriptor, start, len, flags, to, to_len) };
        return usize::try_from(result).map_err(|_| io::Error::last_os_error());
    }
    // An IoSlice is an iovec, and the kernel only reads these.
    let header = header(parts.as_ptr().cast_mut().cast(), parts.len());
    // SAFETY: the parts are there, and the header says how many.
    #[cfg(not(tsan))]
    let result = unsafe { libc::syscall(libc::SYS_sendmsg, descriptor, &raw const header, flags) };
    // ThreadSanitizer sees the wrapper only, and takes what is sent for a way to tell others.
    // SAFETY: as above.
    #[cfg(tsan)]
    let result = unsafe { libc::sendmsg(descriptor, &raw const header, flags) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// recvmsg(2), in which no thread is cancelled; or, for a single part, what asks the kernel to look
/// at less.
pub fn receive(
    socket: &Socket,
    parts: &mut [MaybeUninitSlice<'_>],
    flags: c_int,
) -> io::Result<usize> {
    let descriptor = socket.as_raw_fd();
    #[cfg(not(tsan))]
    if let [part] = parts {
        let (start, len) = (part.as_mut_ptr(), part.len());
        let (from, from_len) =
            (ptr::null_mut::<libc::sockaddr>(), ptr::null_mut::<libc::socklen_t>());
        // SAFETY: the part is there and may be written to, and nobody asks who has sent that.
        let result = unsafe {
            libc::syscall(libc::SYS_recvfrom, descriptor, start, len, flags, from, from_len)
        };
        return usize::try_from(result).map_err(|_| io::Error::last_os_error());
    }
    // A MaybeUninitSlice is an iovec.
    let mut header = header(parts.as_mut_ptr().cast(), parts.len());
    // SAFETY: the parts are there, and the header says how many.
    #[cfg(not(tsan))]
    let result = unsafe { libc::syscall(libc::SYS_recvmsg, descriptor, &raw mut header, flags) };
    // SAFETY: as above.
    #[cfg(tsan)]
    let result = unsafe { libc::recvmsg(descriptor, &raw mut header, flags) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn header(parts: *mut libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: a msghdr is numbers and pointers; what is not set here says that there is nothing.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = parts;
    header.msg_iovlen = count.min(IOVECS_MAX) as _;
    header
}

/// More parts than the kernel takes at once.
const IOVECS_MAX: usize = 1024;

/// This moment.
#[inline]
pub fn now() -> Instant {
    Instant::now()
}

/// How many processors this process may use, by affinity and by quota.
pub fn usable_cpus() -> io::Result<NonZeroUsize> {
    std::thread::available_parallelism()
}

/// futex(2), for which the C library has no wrapper. It is no cancellation point by itself.
///
/// # Safety
/// The word and the timeout are null or live during the call.
pub unsafe fn futex(
    word: *mut u32,
    operation: libc::c_int,
    value: u32,
    timeout: *const Span,
) -> libc::c_long {
    // SAFETY: forwarded from our own contract; the other arguments are unused.
    unsafe { syscall(libc::SYS_futex, word, operation, value, timeout) }
}
