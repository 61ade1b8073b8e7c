//! What POSIX does not say about streams, and each system says in its own way.

use std::os::fd::RawFd;

use crate::sys::cancellation::held;
use crate::sys::{Credentials, kernel};

/// Whether the peer has ended its direction of a stream, or the stream broke.
pub fn has_ended(descriptor: RawFd) -> bool {
    let mut entry = libc::pollfd { fd: descriptor, events: END, revents: 0 };
    // SAFETY: one entry, which lives during the call.
    let count = held(|| unsafe { kernel::poll(&raw mut entry, 1, 0) });
    count > 0 && entry.revents & (END | libc::POLLHUP | libc::POLLERR) != 0
}

/// The question after an end. Elsewhere a hang-up tells it.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
const END: libc::c_short = libc::POLLRDHUP;
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
const END: libc::c_short = 0;

/// Who is at the other end of a stream inside the machine. The number of the process is 0 where the
/// kernel does not tell it.
#[cfg(target_os = "linux")]
pub fn peer_credentials(descriptor: RawFd) -> Option<Credentials> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    option(descriptor, libc::SOL_SOCKET, libc::SO_PEERCRED, &mut found).then_some(Credentials {
        process: found.pid,
        user: found.uid,
        group: found.gid,
    })
}

#[cfg(not(target_os = "linux"))]
pub fn peer_credentials(descriptor: RawFd) -> Option<Credentials> {
    let (mut user, mut group) = (0, 0);
    // SAFETY: the kernel writes two numbers, which are there.
    let result = unsafe { libc::getpeereid(descriptor, &raw mut user, &raw mut group) };
    let process = peer_process(descriptor);
    (result == 0).then_some(Credentials { process, user, group })
}

#[cfg(target_vendor = "apple")]
fn peer_process(descriptor: RawFd) -> i32 {
    let mut process = 0;
    option(descriptor, libc::SOL_LOCAL, libc::LOCAL_PEERPID, &mut process);
    process
}

#[cfg(target_os = "freebsd")]
fn peer_process(descriptor: RawFd) -> i32 {
    // SAFETY: all zeros are a valid value of this plain type.
    let mut found: libc::xucred = unsafe { std::mem::zeroed() };
    if !option(descriptor, SOL_LOCAL, libc::LOCAL_PEERCRED, &mut found) {
        return 0;
    }
    // SAFETY: the pointer that shares its place is not used by anybody.
    unsafe { found.cr_pid__c_anonymous_union.cr_pid }
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple")))]
fn peer_process(_descriptor: RawFd) -> i32 {
    0
}

/// The level of options of streams inside the machine.
#[cfg(target_os = "freebsd")]
const SOL_LOCAL: libc::c_int = 0;

/// Bytes written that the peer's kernel has not acknowledged; none where nobody tells.
pub fn unacknowledged(descriptor: RawFd) -> usize {
    let mut count: libc::c_int = 0;
    let is_known = count_unacknowledged(descriptor, &mut count);
    if is_known { count.max(0) as usize } else { 0 }
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn count_unacknowledged(descriptor: RawFd, count: &mut libc::c_int) -> bool {
    #[cfg(target_os = "freebsd")]
    use libc::FIONWRITE as QUEUED;
    #[cfg(not(target_os = "freebsd"))]
    use libc::TIOCOUTQ as QUEUED;
    // SAFETY: the kernel writes one int.
    unsafe { libc::ioctl(descriptor, QUEUED, std::ptr::from_mut(count)) == 0 }
}

#[cfg(target_vendor = "apple")]
fn count_unacknowledged(descriptor: RawFd, count: &mut libc::c_int) -> bool {
    option(descriptor, libc::SOL_SOCKET, libc::SO_NWRITE, count)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple")))]
fn count_unacknowledged(_descriptor: RawFd, _count: &mut libc::c_int) -> bool {
    false
}

/// Reads an option of a socket, whose value is a plain one of C.
#[cfg(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple"))]
fn option<T: Copy>(descriptor: RawFd, level: i32, name: i32, value: &mut T) -> bool {
    let mut len = size_of::<T>() as libc::socklen_t;
    let place = std::ptr::from_mut(value).cast();
    // SAFETY: the kernel writes at most `len` bytes, which are there.
    unsafe { kernel::getsockopt(descriptor, level, name, place, &raw mut len) == 0 }
}
