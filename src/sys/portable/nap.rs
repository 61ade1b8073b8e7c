//! The sleep of a call that blocks, which a signal handler interrupts, and in which the thread may
//! be cancelled: all that is slept on is a descriptor here, and poll(2) the one call.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use super::{futex, kernel};
use crate::sync::{atomic::AtomicU32, before_io};
use crate::sys::cancellation::{Cleanup, Point, held, let_through};
use crate::sys::clock::milliseconds;
use crate::sys::sleep::{Look, give_way};
use crate::sys::{Nap, PollEntry, Slept, WaitFor, now};

/// Sleeps at most until `until`.
pub fn nap(nap: Nap<'_>, until: Option<Instant>) -> Slept {
    before_io();
    // SAFETY: without a cleanup the thread is not cancelled.
    unsafe { sleep(nap, until, None) }
}

/// The same, during which the thread can be cancelled.
///
/// # Safety
/// No frame between the caller of the library and this has anything to drop; `cleanup` may be done
/// at any moment, and leaves what `nap` borrows alone while the thread sleeps on.
pub unsafe fn nap_with_cancellation(
    nap: Nap<'_>,
    until: Option<Instant>,
    cleanup: Cleanup,
) -> Slept {
    before_io();
    // SAFETY: forwarded from our own contract.
    unsafe { sleep(nap, until, Some(cleanup)) }
}

/// # Safety
/// With a cleanup, as [`nap_with_cancellation`] says.
unsafe fn sleep(nap: Nap<'_>, until: Option<Instant>, cleanup: Option<Cleanup>) -> Slept {
    match nap {
        // SAFETY: forwarded from our own contract.
        Nap::Word(word, expected) => unsafe { sleep_on(word, expected, until, cleanup) },
        Nap::Events(epoll, events) => {
            events.clear();
            let mut entry = PollEntry::new(epoll.as_raw_fd(), WaitFor::Readable);
            // SAFETY: forwarded from our own contract.
            let slept = unsafe { poll_until(&raw mut entry, 1, until, cleanup) };
            if slept == Slept::Woken && epoll.wait(events, Some(Duration::ZERO)).is_err() {
                return Slept::Failed;
            }
            slept
        }
        Nap::Ready(entries) => {
            // SAFETY: forwarded from our own contract.
            unsafe { poll_until(entries.as_mut_ptr(), entries.len(), until, cleanup) }
        }
        Nap::GiveWay(number) => {
            let take = || give_way(|| Look::at(number));
            match cleanup {
                None => take(),
                // SAFETY: forwarded from our own contract, and nobody is cancelled in it.
                Some(cleanup) => unsafe { let_through(Point::IsNever, cleanup, take) },
            }
        }
    }
}

/// # Safety
/// As above.
unsafe fn sleep_on(
    word: &AtomicU32,
    expected: u32,
    until: Option<Instant>,
    cleanup: Option<Cleanup>,
) -> Slept {
    let mut bell = match held(|| futex::hang_up(word, expected)) {
        Ok(Some(descriptor)) => Hung { word, descriptor, cleanup },
        Ok(None) => return Slept::Woken,
        // Without a bell the thread gets up now and then to look.
        Err(_) => {
            let soon = now() + BETWEEN_LOOKS;
            let early = until.map_or(soon, |until| until.min(soon));
            // SAFETY: forwarded from our own contract; there are no entries.
            let slept = unsafe { poll_until(std::ptr::null_mut(), 0, Some(early), cleanup) };
            let is_over = until.is_some_and(|until| now() >= until);
            return if slept == Slept::TimedOut && !is_over { Slept::Woken } else { slept };
        }
    };
    let mut entry = PollEntry::new(bell.descriptor, WaitFor::Readable);
    let argument = (&raw mut bell).cast();
    let all = cleanup.map(|_| Cleanup { routine: leave, argument });
    // SAFETY: forwarded from our own contract; the routine finds the bell where it is.
    let slept = unsafe { poll_until(&raw mut entry, 1, until, all) };
    held(|| futex::take_down(word, bell.descriptor));
    slept
}

/// The bell of a thread that sleeps.
struct Hung<'a> {
    word: &'a AtomicU32,
    descriptor: RawFd,
    /// What else there is to do if it never gets up.
    cleanup: Option<Cleanup>,
}

/// # Safety
/// The argument is a `Hung`, whose cleanup is to be done.
unsafe fn leave(argument: *mut c_void) {
    // SAFETY: forwarded from our own contract.
    let hung = unsafe { &*argument.cast::<Hung<'_>>() };
    futex::take_down(hung.word, hung.descriptor);
    if let Some(Cleanup { routine, argument }) = hung.cleanup {
        // SAFETY: forwarded from our own contract.
        unsafe { routine(argument) };
    }
}

/// Waits for what the entries say.
///
/// # Safety
/// There are as many entries at that place for as long as the call takes; the rest as above.
unsafe fn poll_until(
    entries: *mut PollEntry,
    count: usize,
    until: Option<Instant>,
    cleanup: Option<Cleanup>,
) -> Slept {
    let left = until.map(|until| until.saturating_duration_since(now()));
    let limit = milliseconds(left);
    // SAFETY: forwarded from our own contract; an entry is a pollfd.
    let call = || unsafe { kernel::poll(entries.cast(), count as libc::nfds_t, limit) };
    let result = match cleanup {
        None => held(call),
        // SAFETY: forwarded from our own contract; the call waits in the kernel, and no more.
        Some(cleanup) => unsafe { let_through(Point::Is, cleanup, call) },
    };
    if result > 0 {
        return Slept::Woken;
    }
    let is_interrupted = || io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
    match result {
        // A time that is longer than the kernel takes is waited for in parts.
        0 if until.is_some_and(|until| now() >= until) => Slept::TimedOut,
        0 => Slept::Woken,
        _ if is_interrupted() => Slept::Interrupted,
        _ => Slept::Failed,
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
