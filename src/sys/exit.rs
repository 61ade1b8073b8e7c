//! The end of the process: whoever calls exit(3) asks the library's thread to write what is left,
//! and waits for it, but never without a bound.
//!
//! exit(3) may be called by a signal handler, which has interrupted a thread in the middle of
//! anything: the lock that this thread holds is never given back. So the thread that exits takes no
//! lock and no memory here. It makes a descriptor readable and watches a number.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::event_fd::identity;
use super::futex::{sleep_while, wake_watchers};
use super::{Inherited, kernel, nanoseconds, now};
use crate::sync::{
    atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering},
    spin_loop,
};

/// Where the two threads meet. There is one for the process; tests have their own.
struct Desk {
    /// What wakes the thread that answers.
    descriptor: AtomicI32,
    /// What file that is: the application may have closed the descriptor, and opened its own.
    file: AtomicU64,
    /// How many threads are about to use the descriptor.
    signalling: AtomicU32,
    is_asked: AtomicBool,
    /// Changes with each promise.
    progress: AtomicU32,
    /// The last promise, as [`nanoseconds`] counts.
    until: AtomicU64,
}

/// From now on a thread that waits for `descriptor` to become readable looks at [`is_asked`].
pub fn answer_through(descriptor: RawFd) {
    DESK.get().answer_through(descriptor);
}

/// Nobody waits for it any more; it may be closed when this returns.
pub fn withdraw(descriptor: RawFd) {
    DESK.get().withdraw(descriptor);
}

/// Whether the process exits and waits for what is left to be written. Says so once.
#[inline]
pub fn is_asked() -> bool {
    DESK.get().is_asked()
}

/// Somebody is at it, and will have finished in this time.
pub fn promise(within: Duration) {
    DESK.get().promise(within);
}

/// Everything is written, as far as it can be.
pub fn finish() {
    DESK.get().promise(Duration::ZERO);
}

/// A child has none of its parent's threads.
#[cfg(not(simulated))]
pub(super) fn forget_parent() {
    DESK.get().descriptor.store(NONE, Ordering::Relaxed);
    DESK.get().signalling.store(0, Ordering::Relaxed);
    DESK.get().is_asked.store(false, Ordering::Relaxed);
}

#[cfg(not(simulated))]
extern "C" fn ask() {
    DESK.get().ask();
}

/// What a process of a simulation does at its end.
#[cfg(simulated)]
pub fn ask() {
    DESK.get().ask();
}

#[cfg(simulated)]
impl super::simulated::Twin for Desk {
    fn twin(&self) -> Desk {
        Desk::new()
    }
}

impl Desk {
    const fn new() -> Desk {
        Desk {
            descriptor: AtomicI32::new(NONE),
            file: AtomicU64::new(0),
            signalling: AtomicU32::new(0),
            is_asked: AtomicBool::new(false),
            progress: AtomicU32::new(0),
            until: AtomicU64::new(0),
        }
    }

    fn answer_through(&self, descriptor: RawFd) {
        self.file.store(file_of(descriptor).unwrap_or_default(), Ordering::Relaxed);
        // Pairs with the load in `ask`, who sees the descriptor sees what it stands for.
        self.descriptor.store(descriptor, Ordering::SeqCst);
        // Pairs with the store in `ask`: the one who was asked before may have left without a look.
        if self.is_asked.load(Ordering::SeqCst) {
            self.signal(descriptor);
        }
    }

    fn withdraw(&self, descriptor: RawFd) {
        // Pairs with what `ask` does, in one order of all: either that finds no descriptor, or it
        // is seen here to be using one.
        let _ =
            self.descriptor.compare_exchange(descriptor, NONE, Ordering::SeqCst, Ordering::SeqCst);
        let began = now();
        // Pairs with the changes in `ask`.
        while self.signalling.load(Ordering::SeqCst) > 0 && now().duration_since(began) < SIGNALLING
        {
            spin_loop();
        }
    }

    #[inline]
    fn is_asked(&self) -> bool {
        // Pairs with the store in `ask`.
        self.is_asked.load(Ordering::Relaxed) && self.is_asked.swap(false, Ordering::SeqCst)
    }

    fn promise(&self, within: Duration) {
        let until = nanoseconds().saturating_add(within.as_nanos() as u64);
        self.until.store(until, Ordering::Relaxed);
        // Release: pairs with the acquire in `ask`, who sees the progress sees until when.
        self.progress.fetch_add(1, Ordering::Release);
        wake_watchers(&self.progress);
    }

    fn ask(&self) {
        let mut seen = self.progress.load(Ordering::Relaxed);
        // Each pairs with what `withdraw` does.
        self.signalling.fetch_add(1, Ordering::SeqCst);
        let descriptor = self.descriptor.load(Ordering::SeqCst);
        if descriptor != NONE {
            // Pairs with the swap in `is_asked`, and with the load in `answer_through`.
            self.is_asked.store(true, Ordering::SeqCst);
            self.signal(descriptor);
        }
        // Pairs with the load in `withdraw`.
        self.signalling.fetch_sub(1, Ordering::SeqCst);
        if descriptor == NONE {
            return;
        }
        let mut until = nanoseconds() + ANSWER.as_nanos() as u64;
        loop {
            let left = until.saturating_sub(nanoseconds());
            if left == 0 {
                return;
            }
            let deadline = now() + Duration::from_nanos(left.min(LOOK_AGAIN));
            sleep_while(&self.progress, seen, Some(deadline));
            // Acquire: pairs with the release in `promise`.
            let now = self.progress.load(Ordering::Acquire);
            if now != seen {
                (seen, until) = (now, self.until.load(Ordering::Relaxed));
            }
        }
    }

    /// Makes the descriptor readable, if it is still what it was.
    fn signal(&self, descriptor: RawFd) {
        if file_of(descriptor) != Some(self.file.load(Ordering::Relaxed)) {
            return;
        }
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight bytes are read from a live array.
        while unsafe { kernel::write(descriptor, one.as_ptr().cast(), one.len()) } < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
}

/// What tells the file of a descriptor from others, if there is one.
fn file_of(descriptor: RawFd) -> Option<u64> {
    // The numbers have other types elsewhere.
    Some(BuildHasherDefault::<DefaultHasher>::default().hash_one(identity(descriptor)?))
}

#[cfg(not(any(simulated, target_vendor = "apple")))]
unsafe extern "C" {
    fn at_quick_exit(function: extern "C" fn()) -> libc::c_int;
}

/// quick_exit(3) calls no destructors of libraries, only whoever has asked for it. Apple's C
/// library has none.
#[cfg(not(simulated))]
pub(super) fn watch_quick_exits() {
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: the function stays where it is, because the library is never unloaded.
    unsafe {
        at_quick_exit(ask)
    };
}

// Not atexit(3): handlers run last in, first out, so that ours would come before those which the
// application registered early, and which may still send. The dynamic linker calls this last.
// SAFETY: the section holds pointers to functions without arguments, and this is one.
#[cfg(not(simulated))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".fini_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_term_func"))]
#[used]
static AT_EXIT: extern "C" fn() = ask;

static DESK: Inherited<Desk> = Inherited::new(Desk::new());
const NONE: RawFd = -1;
/// How long a thread that is asked may take to say so: it may itself wait for a lock that is never
/// given back.
const ANSWER: Duration = Duration::from_millis(200);
/// Nanoseconds after which the number is looked at, whether or not somebody woke the sleeper.
const LOOK_AGAIN: u64 = 1_000_000_000;
/// Longer than signalling takes a thread that has not lost its processor.
const SIGNALLING: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::EventFd;
    use std::os::fd::AsRawFd;

    #[test]
    fn exiting_waits_for_who_answers_and_for_nobody_else() {
        let desk = Desk::new();
        // Nobody is there.
        desk.ask();
        assert!(!desk.is_asked());
        let descriptor = EventFd::new().unwrap();
        desk.answer_through(descriptor.signalled_through());
        std::thread::scope(|scope| {
            let exiting = scope.spawn(|| desk.ask());
            while !desk.is_asked() {
                std::thread::yield_now();
            }
            desk.promise(Duration::from_secs(3600));
            assert!(!exiting.is_finished());
            desk.promise(Duration::ZERO);
            exiting.join().unwrap();
        });
        // Somebody is there, who does not answer: it takes a moment.
        desk.ask();
        assert!(desk.is_asked() && !desk.is_asked());
        desk.withdraw(descriptor.signalled_through() + 1);
        assert_eq!(desk.descriptor.load(Ordering::Relaxed), descriptor.signalled_through());
        desk.withdraw(descriptor.signalled_through());
        desk.ask();
        assert!(!desk.is_asked());
    }

    #[test]
    fn nothing_is_written_to_what_the_application_has_put_in_its_place() {
        let (desk, descriptor) = (Desk::new(), EventFd::new().unwrap());
        desk.answer_through(descriptor.signalled_through());
        let (own, other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_ne!(file_of(own.as_raw_fd()), file_of(descriptor.signalled_through()));
        desk.descriptor.store(own.as_raw_fd(), Ordering::Relaxed);
        desk.ask();
        other.set_nonblocking(true).unwrap();
        assert!(std::io::Read::read(&mut &other, &mut [0; 8]).is_err());
    }

    #[test]
    fn who_comes_next_is_asked_again() {
        let (desk, descriptor) = (Desk::new(), EventFd::new().unwrap());
        desk.is_asked.store(true, Ordering::Relaxed);
        desk.answer_through(descriptor.signalled_through());
        assert_eq!(
            crate::sys::poll(
                std::iter::once((descriptor.as_raw_fd(), crate::sys::WaitFor::Readable)),
                Some(Duration::ZERO),
            )
            .unwrap(),
            [0]
        );
    }
}
