//! The sleep of a call that blocks, which a signal handler interrupts, and in which the thread may
//! be cancelled.

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::time::{Duration, Instant};

use super::cancellation::{Cleanup, Point, held, let_through};
use super::clock::{Span, milliseconds};
use super::poll::PollEntry;
use super::sleep::{Look, Nap, Slept, give_way};
use super::{kernel, now};
use crate::sync::{atomic::AtomicU32, before_io};

/// Sleeps at most until `until`.
pub fn nap(mut nap: Nap<'_>, until: Option<Instant>) -> Slept {
    before_io();
    let call = Call::new(&mut nap, until);
    // SAFETY: what it points to is borrowed by `nap`; the thread cannot be cancelled meanwhile.
    let result = held(|| unsafe { call.make() });
    end(nap, &call, result)
}

/// The same, during which the thread can be cancelled.
///
/// # Safety
/// No frame between the caller of the library and this has anything to drop; `cleanup` may be done
/// at any moment, and leaves what `nap` borrows alone while the thread sleeps on.
pub unsafe fn nap_with_cancellation(
    mut nap: Nap<'_>,
    until: Option<Instant>,
    cleanup: Cleanup,
) -> Slept {
    before_io();
    let point = match nap {
        Nap::Word(..) => Point::IsNot,
        Nap::Events(..) | Nap::Ready(_) => Point::Is,
        Nap::GiveWay(_) => Point::IsNever,
    };
    let call = Call::new(&mut nap, until);
    // SAFETY: what it points to is borrowed by `nap`, and `let_through` asks for the rest.
    let make = || unsafe { call.make() };
    // SAFETY: forwarded from our own contract; the call waits in the kernel, and no more.
    let result = unsafe { let_through(point, cleanup, make) };
    end(nap, &call, result)
}

/// A system call with its arguments, and nothing that has to be dropped.
#[derive(Clone, Copy)]
struct Call {
    kind: Kind,
    limit: Span,
    has_limit: bool,
    milliseconds: c_int,
}

#[derive(Clone, Copy)]
enum Kind {
    Word(*const AtomicU32, u32),
    Events(RawFd, *mut libc::epoll_event, c_int),
    Ready(*mut PollEntry, libc::nfds_t),
    /// Without a number, there is no place.
    GiveWay(*const AtomicU32, u32),
}

impl Call {
    fn new(nap: &mut Nap<'_>, until: Option<Instant>) -> Call {
        let left = until.map(|until| until.saturating_duration_since(now()));
        // The kernel restarts an interrupted wait for a number by itself when the handler asks for
        // that and the wait has no timeout. With a timeout the caller learns of the signal, so that
        // there always is one.
        let limit = left.unwrap_or(FOR_EVER);
        Call {
            kind: match nap {
                Nap::Word(word, expected) => Kind::Word(*word, *expected),
                Nap::Events(epoll, events) => {
                    let (room, count) = events.room();
                    Kind::Events(epoll.as_raw_fd(), room, count)
                }
                Nap::Ready(entries) => {
                    Kind::Ready(entries.as_mut_ptr(), entries.len() as libc::nfds_t)
                }
                Nap::GiveWay(number) => {
                    let (word, expected) = number.unzip();
                    let word = word.map_or(ptr::null(), ptr::from_ref);
                    Kind::GiveWay(word, expected.unwrap_or_default())
                }
            },
            limit: limit.into(),
            has_limit: left.is_some(),
            milliseconds: milliseconds(left),
        }
    }

    /// # Safety
    /// What the call points to is there for as long as it takes. If it is made where the thread can
    /// be cancelled, what [`let_through`] asks for.
    unsafe fn make(&self) -> c_long {
        match self.kind {
            // SAFETY: forwarded from our own contract; the other arguments are unused.
            Kind::Word(word, expected) => unsafe {
                let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
                kernel::futex(word.cast_mut().cast(), operation, expected, &raw const self.limit)
            },
            Kind::Events(descriptor, room, count) => {
                // SAFETY: forwarded from our own contract.
                c_long::from(unsafe {
                    kernel::epoll_wait(descriptor, room, count, self.milliseconds)
                })
            }
            Kind::Ready(entries, count) => {
                let limit = if self.has_limit { &raw const self.limit } else { ptr::null() };
                // SAFETY: forwarded from our own contract; an entry is a pollfd, and no mask is
                // given.
                c_long::from(unsafe { kernel::ppoll(entries.cast(), count, limit, ptr::null()) })
            }
            Kind::GiveWay(word, expected) => {
                // SAFETY: forwarded from our own contract, unless it is null.
                let number = unsafe { word.as_ref() }.map(|word| (word, expected));
                let slept = give_way(|| Look::at(number));
                if slept == Slept::Interrupted { INTERRUPTED } else { 0 }
            }
        }
    }
}

/// What the result means. The error number is still that of the call.
fn end(nap: Nap<'_>, call: &Call, result: c_long) -> Slept {
    if let Kind::GiveWay(..) = call.kind {
        return if result == INTERRUPTED { Slept::Interrupted } else { Slept::Woken };
    }
    let error = if result < 0 { io::Error::last_os_error().raw_os_error() } else { None };
    let is_word = matches!(nap, Nap::Word(..));
    if let Nap::Events(_, events) = nap {
        events.set_count(usize::try_from(result).unwrap_or(0));
    }
    match error {
        Some(libc::EINTR) => Slept::Interrupted,
        Some(libc::ETIMEDOUT) if call.has_limit => Slept::TimedOut,
        Some(_) if !is_word => Slept::Failed,
        None if !is_word && result == 0 && call.has_limit => Slept::TimedOut,
        Some(_) | None => Slept::Woken,
    }
}

/// What no system call returns.
const INTERRUPTED: c_long = c_long::MIN;
const FOR_EVER: Duration = Duration::from_secs(1 << 30);
