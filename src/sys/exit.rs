//! The end of the process: whoever calls exit(3) asks the library's thread to write what is left,
//! and waits for it, but never without a bound.
//!
//! exit(3) may be called by a signal handler, which has interrupted a thread in the middle of
//! anything: the lock that this thread holds is never given back. So the thread that exits takes no
//! lock and no memory here. It makes a descriptor readable and watches a number.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::futex::{futex_wake_all, sleep_while};
use super::nanoseconds;

/// From now on a thread that waits for `descriptor` to become readable looks at [`is_asked`].
pub fn answer_through(descriptor: RawFd) {
    // Pairs with the load in `ask`.
    DESCRIPTOR.store(descriptor, Ordering::SeqCst);
}

/// Nobody waits for it any more; it may be closed when this returns.
pub fn withdraw(descriptor: RawFd) {
    // Pairs with the store and the load in `ask`, in one order of all four: either that finds no
    // descriptor, or it is seen here to use this one.
    let withdrawn =
        DESCRIPTOR.compare_exchange(descriptor, NONE, Ordering::SeqCst, Ordering::SeqCst);
    let began = Instant::now();
    // Pairs with the stores in `ask`.
    let is_signalling = || IS_SIGNALLING.load(Ordering::SeqCst);
    while withdrawn.is_ok() && is_signalling() && began.elapsed() < SIGNALLING {
        std::hint::spin_loop();
    }
}

/// Whether the process exits and waits for what is left to be written. Says so once.
#[inline]
pub fn is_asked() -> bool {
    // Acquire: pairs with the release in `ask`.
    IS_ASKED.load(Ordering::Relaxed) && IS_ASKED.swap(false, Ordering::Acquire)
}

/// Somebody is at it, and will have finished in this time.
pub fn promise(within: Duration) {
    let until = nanoseconds().saturating_add(within.as_nanos() as u64);
    UNTIL.store(until, Ordering::Relaxed);
    // Release: pairs with the acquire in `ask`, who sees the progress sees until when.
    PROGRESS.fetch_add(1, Ordering::Release);
    futex_wake_all(&PROGRESS);
}

/// Everything is written, as far as it can be.
pub fn finish() {
    promise(Duration::ZERO);
}

/// A child has none of its parent's threads.
pub(super) fn forget_parent() {
    DESCRIPTOR.store(NONE, Ordering::Relaxed);
    IS_ASKED.store(false, Ordering::Relaxed);
}

extern "C" fn ask() {
    // Each pairs with what `withdraw` does.
    IS_SIGNALLING.store(true, Ordering::SeqCst);
    let descriptor = DESCRIPTOR.load(Ordering::SeqCst);
    let mut seen = PROGRESS.load(Ordering::Relaxed);
    if descriptor != NONE {
        // Release: pairs with the acquire in `is_asked`.
        IS_ASKED.store(true, Ordering::Release);
        signal(descriptor);
    }
    // Pairs with the load in `withdraw`.
    IS_SIGNALLING.store(false, Ordering::SeqCst);
    if descriptor == NONE {
        return;
    }
    let mut until = nanoseconds() + ANSWER.as_nanos() as u64;
    loop {
        let left = until.saturating_sub(nanoseconds());
        if left == 0 {
            return;
        }
        sleep_while(&PROGRESS, seen, Some(Instant::now() + Duration::from_nanos(left)));
        // Acquire: pairs with the release in `promise`.
        let now = PROGRESS.load(Ordering::Acquire);
        if now != seen {
            (seen, until) = (now, UNTIL.load(Ordering::Relaxed));
        }
    }
}

fn signal(descriptor: RawFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: eight bytes are read from a live array.
    while unsafe { libc::write(descriptor, one.as_ptr().cast(), one.len()) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

unsafe extern "C" {
    fn at_quick_exit(function: extern "C" fn()) -> libc::c_int;
}

/// quick_exit(3) calls no destructors of libraries, only whoever has asked for it.
pub(super) fn watch_quick_exits() {
    // SAFETY: the function stays where it is, because the library is never unloaded.
    unsafe { at_quick_exit(ask) };
}

// Not atexit(3): handlers run last in, first out, so that ours would come before those which the
// application registered early, and which may still send. The dynamic linker calls this last.
// SAFETY: the section holds pointers to functions without arguments, and this is one.
#[unsafe(link_section = ".fini_array")]
#[used]
static AT_EXIT: extern "C" fn() = ask;

static DESCRIPTOR: AtomicI32 = AtomicI32::new(NONE);
/// The thread that exits is about to use the descriptor.
static IS_SIGNALLING: AtomicBool = AtomicBool::new(false);
static IS_ASKED: AtomicBool = AtomicBool::new(false);
/// Changes with each promise.
static PROGRESS: AtomicU32 = AtomicU32::new(0);
/// The last promise, as [`nanoseconds`] counts.
static UNTIL: AtomicU64 = AtomicU64::new(0);
const NONE: RawFd = -1;
/// How long a thread that is asked may take to say so: it may itself wait for a lock that is never
/// given back.
const ANSWER: Duration = Duration::from_millis(200);
/// Longer than signalling takes a thread that has not lost its processor.
const SIGNALLING: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::EventFd;
    use std::os::fd::AsRawFd;

    /// One test, because there is one process.
    #[test]
    fn exiting_waits_for_who_answers_and_for_nobody_else() {
        // Nobody is there.
        ask();
        assert!(!is_asked());
        let descriptor = EventFd::new().unwrap();
        answer_through(descriptor.as_raw_fd());
        std::thread::scope(|scope| {
            let exiting = scope.spawn(|| ask());
            while !is_asked() {
                std::thread::yield_now();
            }
            promise(Duration::from_secs(3600));
            assert!(!exiting.is_finished());
            finish();
            exiting.join().unwrap();
        });
        // Somebody is there, who does not answer: it takes a moment.
        ask();
        assert!(is_asked() && !is_asked());
        withdraw(descriptor.as_raw_fd() + 1);
        assert_eq!(DESCRIPTOR.load(Ordering::Relaxed), descriptor.as_raw_fd());
        withdraw(descriptor.as_raw_fd());
        ask();
        assert!(!is_asked());
    }
}
