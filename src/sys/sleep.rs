//! What a call that blocks sleeps on, and how that ends.

use super::signals::Silence;
use super::{Epoll, EventBuffer, PollEntry};
use crate::sync::{
    atomic::{AtomicU32, Ordering},
    yield_now,
};

/// What to sleep on.
pub enum Nap<'a> {
    /// Until somebody wakes those who sleep on the number, while it is this one.
    Word(&'a AtomicU32, u32),
    /// Until the set has something to report.
    Events(&'a Epoll, &'a mut EventBuffer),
    /// Until one of the descriptors is ready.
    Ready(&'a mut [PollEntry]),
    /// Nothing: others run on this processor who would like to. With a number they do so several
    /// times, while it is this one.
    GiveWay(Option<(&'a AtomicU32, u32)>),
}

/// How a sleep has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// By news, or for no reason at all.
    Woken,
    TimedOut,
    Interrupted,
    /// The kernel would not have it.
    Failed,
}

/// Lets others run who would like to. Signals are held off meanwhile: their handlers run at the
/// end, of which the caller learns unless there is news, and need not come back: there is nothing
/// to drop.
pub(super) fn give_way(look: impl Fn() -> Look) -> Slept {
    let silence = Silence::begin();
    let has_news = (0..TURNS).find_map(|_| {
        yield_now();
        match look() {
            Look::News => Some(true),
            Look::Nothing => None,
            Look::Unknown => Some(false),
        }
    });
    let is_interrupted = has_news != Some(true) && silence.is_disturbed();
    silence.end();
    if is_interrupted { Slept::Interrupted } else { Slept::Woken }
}

/// What one sees who gives way.
pub(super) enum Look {
    News,
    Nothing,
    /// He has to go and look elsewhere.
    Unknown,
}

impl Look {
    pub fn at(number: Option<(&AtomicU32, u32)>) -> Look {
        match number {
            None => Look::Unknown,
            Some((word, expected)) if word.load(Ordering::Relaxed) == expected => Look::Nothing,
            Some(_) => Look::News,
        }
    }
}

/// How often the others have their turn.
const TURNS: u32 = 2;

#[cfg(all(test, not(simulated)))]
mod tests {
    use super::super::signals::tests::{is_blocked, let_be_handled};
    use super::*;
    use crate::sync::thread;

    /// What giving way tells a thread of its own, to which `signal` comes meanwhile, and whether
    /// its mask is what it was.
    fn give_way_struck_by(signal: i32, is_blocked_before: bool, sight: fn() -> Look) -> Slept {
        let thread = thread::spawn(move || {
            if is_blocked_before {
                block(signal);
            }
            let slept = give_way(|| {
                // SAFETY: the thread is the calling one.
                unsafe { libc::pthread_kill(libc::pthread_self(), signal) };
                sight()
            });
            assert_eq!(is_blocked(signal), is_blocked_before);
            slept
        });
        thread.join().unwrap()
    }

    fn block(signal: i32) {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: there is room for a set, which is filled before it is read.
        unsafe {
            libc::sigaddset(set.as_mut_ptr(), signal);
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        }
    }

    #[test]
    fn who_gives_way_learns_of_handlers_and_of_nothing_else() {
        let_be_handled(libc::SIGUSR1);
        let struck = |sight| give_way_struck_by(libc::SIGUSR1, false, sight);
        assert_eq!(struck(|| Look::Nothing), Slept::Interrupted);
        assert_eq!(struck(|| Look::Unknown), Slept::Interrupted);
        assert_eq!(struck(|| Look::News), Slept::Woken);
        assert_eq!(give_way_struck_by(libc::SIGUSR1, true, || Look::Nothing), Slept::Woken);
        // Nobody handles it.
        assert_eq!(give_way_struck_by(libc::SIGWINCH, false, || Look::Nothing), Slept::Woken);
    }
}
