//! futex(2): sleeping until a number changes. Unlike a condition variable it lets a signal
//! handler interrupt the sleep, which callers of the library are promised.

use std::time::{Duration, Instant};

use super::clock::Span;
use super::{kernel, now};
use crate::sync::{atomic::AtomicU32, before_io};

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Woken, or the number had changed before, or for no reason at all.
    Woken,
    TimedOut,
    Interrupted,
}

/// Sleeps while `word` is `expected`, until woken or until `deadline`.
pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Waited {
    before_io();
    sleep_while(word, expected, deadline)
}

/// The same for who may hold any lock, and does not care.
pub(super) fn sleep_while(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Waited {
    let now = now();
    // The kernel restarts an interrupted wait by itself when the handler asks for that and the
    // wait has no timeout. With a timeout the caller learns of the signal, so there always is one.
    let timeout = deadline.map_or(FOR_EVER, |deadline| deadline.saturating_duration_since(now));
    let timeout = Span::from(timeout);
    // SAFETY: the word and the timeout live during the call; the other arguments are unused.
    let result = unsafe {
        kernel::futex(
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            &raw const timeout,
        )
    };
    if result == 0 {
        return Waited::Woken;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) if deadline.is_some() => Waited::TimedOut,
        Some(libc::EINTR) => Waited::Interrupted,
        _ => Waited::Woken,
    }
}

/// Wakes those who are in [`sleep_while`].
pub(super) fn wake_watchers(word: &AtomicU32) {
    futex_wake_all(word);
}

/// Wakes every thread that sleeps on `word`.
pub fn futex_wake_all(word: &AtomicU32) {
    // SAFETY: the word lives during the call; waking touches no memory of ours.
    unsafe {
        kernel::futex(
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            libc::c_int::MAX as u32,
            std::ptr::null(),
        )
    };
}

const FOR_EVER: Duration = Duration::from_secs(1 << 30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::interrupted;

    #[test]
    fn a_signal_interrupts_with_a_deadline_and_without() {
        let hour = Instant::now() + Duration::from_secs(3600);
        for deadline in [None, Some(hour)] {
            let waited = interrupted(move || futex_wait(&AtomicU32::new(1), 1, deadline));
            assert_eq!(waited, Waited::Interrupted);
        }
    }
}
