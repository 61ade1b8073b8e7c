//! What futex(2) is on Linux: sleeping until a number changes, in front of a bell of one's own.
//!
//! Nothing of this is left in memory where the child of a fork would come across it, or what a
//! process that exits in the middle of it would wait for.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use super::bells::{Bell, Sleepers};
use super::event_fd::EventFd;
use super::kernel;
use super::nap::nap;
use crate::memory::OutOfMemory;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sys::cancellation::held;
use crate::sys::{Nap, PerProcess, Slept, now};

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Woken, or the number had changed before, or a signal came, or for no reason at all.
    Woken,
    TimedOut,
}

/// Sleeps while `word` is `expected`, until woken or until `deadline`.
pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Waited {
    let slept = nap(Nap::Word(word, expected), deadline);
    if slept == Slept::TimedOut { Waited::TimedOut } else { Waited::Woken }
}

/// The same for who may hold any lock, and must not wait for one: he looks again and again.
pub(in crate::sys) fn sleep_while(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
    while word.load(Ordering::Relaxed) == expected && deadline.is_none_or(|at| now() < at) {
        let pause = kernel::timespec(BETWEEN_LOOKS);
        // SAFETY: the time is there, and nobody asks what was left of it.
        held(|| unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) });
    }
}

/// Nobody need be told who looks again and again.
pub(in crate::sys) fn wake_watchers(_word: &AtomicU32) {}

/// Wakes every thread that sleeps on `word`.
pub fn futex_wake_all(word: &AtomicU32) {
    SLEEPERS.get().wake_all(word);
}

impl Bell for EventFd {
    fn ring(&self) {
        self.signal();
    }

    fn is(&self, number: i32) -> bool {
        self.as_raw_fd() == number
    }
}

/// A descriptor that becomes readable when somebody wakes those who sleep on `word`, or `None` if
/// that is not `expected`. It stays until [`take_down`].
///
/// # Errors
/// When the descriptors or the memory cannot be had.
pub fn hang_up(word: &AtomicU32, expected: u32) -> io::Result<Option<RawFd>> {
    let bell = EventFd::bell()?;
    let descriptor = bell.as_raw_fd();
    let hung = SLEEPERS.get().hang(word, expected, bell);
    let is_hung = hung.map_err(|OutOfMemory| io::ErrorKind::OutOfMemory)?;
    Ok(is_hung.then_some(descriptor))
}

/// Closes the descriptor.
pub fn take_down(word: &AtomicU32, descriptor: RawFd) {
    SLEEPERS.get().strike(word, descriptor);
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
/// A child has none of those who sleep in its parent.
static SLEEPERS: PerProcess<Sleepers<EventFd>> = PerProcess::new(Sleepers::new);
