//! What the files of the folder above call, by what POSIX has: the same names as Linux's.
//!
//! The C library's wrappers are cancellation points. Linux's own are gone around; here each of them
//! holds that off.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use socket2::{Domain, MaybeUninitSlice, SockAddr, Type};

use crate::sys::cancellation::held;
use crate::sys::clock::{Span, milliseconds};

pub use super::conversation::{peer_credentials, unacknowledged};
#[cfg(not(target_vendor = "apple"))]
pub use libc::getrusage;
pub use libc::{
    clock_gettime, fcntl, fstat, getrlimit, getsockopt, pthread_sigmask, sigaction, sigpending,
};
pub use socket2::Socket;

// A thread may be cancelled in it, and then it unwinds where the system unwinds at all.
unsafe extern "C-unwind" {
    pub fn poll(entries: *mut libc::pollfd, count: libc::nfds_t, timeout: c_int) -> c_int;
}

/// ppoll(2) with the precision of poll(2): never early. Without a mask, which is not looked at.
///
/// # Safety
/// The entries live during the call, as does the limit, unless it is null.
pub unsafe fn ppoll(
    entries: *mut libc::pollfd,
    count: libc::nfds_t,
    limit: *const Span,
    _mask: *const libc::sigset_t,
) -> c_int {
    // SAFETY: forwarded from our own contract.
    let limit = unsafe { limit.as_ref() }.map(|limit| {
        let seconds = limit.seconds.try_into().unwrap_or_default();
        Duration::new(seconds, limit.nanoseconds.try_into().unwrap_or_default())
    });
    // SAFETY: forwarded from our own contract.
    unsafe { poll(entries, count, milliseconds(limit)) }
}

/// read(2), in which no thread is cancelled.
///
/// # Safety
/// As much as `len` bytes may be written to.
pub unsafe fn read(descriptor: c_int, bytes: *mut u8, len: usize) -> libc::ssize_t {
    // SAFETY: forwarded from our own contract.
    held(|| unsafe { libc::read(descriptor, bytes.cast(), len) })
}

/// write(2), in which no thread is cancelled.
///
/// # Safety
/// As much as `len` bytes may be read.
pub unsafe fn write(descriptor: c_int, bytes: *const u8, len: usize) -> libc::ssize_t {
    // SAFETY: forwarded from our own contract.
    held(|| unsafe { libc::write(descriptor, bytes.cast(), len) })
}

/// getentropy(3), as getrandom(2) would be asked.
///
/// # Safety
/// As much as `len` bytes may be written to.
pub unsafe fn getrandom(bytes: *mut u8, len: usize) -> libc::ssize_t {
    let len = len.min(ENTROPY_MAX);
    // SAFETY: forwarded from our own contract.
    let result = held(|| unsafe { libc::getentropy(bytes.cast(), len) });
    if result == 0 { len as libc::ssize_t } else { -1 }
}

/// A stream socket of the kernel, which does not block.
pub fn open(domain: Domain) -> io::Result<Socket> {
    let fresh = Socket::new(domain, Type::STREAM, None)?;
    fresh.set_nonblocking(true)?;
    Ok(fresh)
}

/// accept(2), whose streams are made as those that [`open`] makes.
pub fn accept(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    let (fresh, peer) = accept_quietly(socket)?;
    fresh.set_nonblocking(true)?;
    if peer.as_socket().is_some() {
        // Not every system has them inherit it.
        let _ = fresh.set_tcp_nodelay(true);
    }
    Ok((fresh, peer))
}

#[cfg(not(target_vendor = "apple"))]
fn accept_quietly(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    socket.accept()
}

/// Apple's kernel sets no option of a stream whose peer has gone. That stream is lost, and not the
/// listener; with the option unset, it would raise SIGPIPE.
#[cfg(target_vendor = "apple")]
fn accept_quietly(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    let (fresh, peer) = socket.accept_raw()?;
    fresh.set_cloexec(true)?;
    let is_gone = |_| io::Error::from_raw_os_error(libc::ECONNABORTED);
    fresh.set_nosigpipe(true).map_err(is_gone)?;
    Ok((fresh, peer))
}

/// sendmsg(2), in which no thread is cancelled.
pub fn send(socket: &Socket, parts: &[IoSlice<'_>], flags: c_int) -> io::Result<usize> {
    held(|| socket.send_vectored_with_flags(&parts[..parts.len().min(IOVECS_MAX)], flags))
}

/// recvmsg(2), in which no thread is cancelled.
pub fn receive(
    socket: &Socket,
    parts: &mut [MaybeUninitSlice<'_>],
    flags: c_int,
) -> io::Result<usize> {
    held(|| socket.recv_vectored_with_flags(parts, flags)).map(|(count, _)| count)
}

#[cfg(target_os = "linux")]
pub use libc::fchmod;

/// Decides nothing: only Linux takes the permissions of a file from a socket that is not bound yet.
/// Those are set when there is a file.
///
/// # Safety
/// None is needed; the call of the same name has no contract either.
#[cfg(not(target_os = "linux"))]
pub unsafe fn fchmod(_descriptor: c_int, _mode: u32) -> c_int {
    0
}

/// This moment.
#[inline]
pub fn now() -> Instant {
    Instant::now()
}

/// How many processors this process may use.
pub fn usable_cpus() -> io::Result<NonZeroUsize> {
    std::thread::available_parallelism()
}

/// What C calls that time.
pub fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: all zeros are a valid value of this plain type.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    time.tv_sec = duration.as_secs().try_into().unwrap_or(libc::time_t::MAX);
    time.tv_nsec = duration.subsec_nanos() as _;
    time
}

/// More bytes than getentropy gives at once.
const ENTROPY_MAX: usize = 256;
/// More parts than the kernel takes at once.
const IOVECS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ppoll_is_asked_takes_no_less_time() {
        for micros in [1, 999, 1001, 2500] {
            let (began, timeout) = (Instant::now(), Duration::from_micros(micros));
            let limit = Span::from(timeout);
            let nothing = std::ptr::null_mut();
            // SAFETY: there are no entries, and the limit is alive.
            assert_eq!(unsafe { ppoll(nothing, 0, &raw const limit, std::ptr::null()) }, 0);
            assert!(began.elapsed() >= timeout);
        }
    }
}
