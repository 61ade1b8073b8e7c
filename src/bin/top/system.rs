//! What the standard library does not ask the system.

use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// Who is at the other end of a Unix domain socket: process and user.
#[cfg(target_os = "linux")]
pub fn peer(socket: &impl AsRawFd) -> Option<(i32, u32)> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    let (place, size) = ((&raw mut found).cast(), &raw mut len);
    let descriptor = socket.as_raw_fd();
    // SAFETY: there is room for what is asked for, and its size is told.
    let told =
        unsafe { libc::getsockopt(descriptor, libc::SOL_SOCKET, libc::SO_PEERCRED, place, size) };
    (told == 0).then_some((found.pid, found.uid))
}

/// Nobody answers there.
#[cfg(not(target_os = "linux"))]
pub fn peer(_: &impl AsRawFd) -> Option<(i32, u32)> {
    None
}

/// The user with whose rights this runs.
pub fn user() -> u32 {
    // SAFETY: no pointer is passed.
    unsafe { libc::geteuid() }
}

/// Rows and columns of the terminal, or those of the oldest ones.
pub fn screen() -> (usize, usize) {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: there is room for a size.
    let told = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: zeroes are a size, too.
    let size = unsafe { size.assume_init() };
    if told == 0 && size.ws_row > 1 && size.ws_col > 1 {
        (size.ws_row.into(), size.ws_col.into())
    } else {
        (24, 80)
    }
}
