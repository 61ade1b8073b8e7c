//! Signals that ask the tool to end: a thread waits for them, so that what was accepted is
//! delivered and nothing is left behind.
//!
//! They are blocked before there is another thread, and come to nobody else.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;

/// The blocked signals. Those that whoever started the tool has it ignore stay ignored.
pub struct Blocked(libc::sigset_t);

pub struct Signal(c_int);

pub fn block() -> Blocked {
    let mut set = MaybeUninit::uninit();
    // SAFETY: a place for a set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it was made empty.
    let mut set: libc::sigset_t = unsafe { set.assume_init() };
    for signal in ENDING.into_iter().filter(|&signal| !is_ignored(signal)) {
        // SAFETY: a set and one of the system's signals.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: a set, and no place for the old one.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
    Blocked(set)
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set, and there is a place for what is.
    let told = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: it was filled in when the call has succeeded.
    told == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

impl Blocked {
    /// Waits until one of them comes; never, where there is none.
    pub fn wait(&self) -> Signal {
        loop {
            let mut signal = 0;
            // SAFETY: a set, and a place for the number.
            if unsafe { libc::sigwait(&raw const self.0, &raw mut signal) } == 0 {
                return Signal(signal);
            }
        }
    }
}

impl Signal {
    /// Ends the process by the signal, as if nobody had waited for it.
    pub fn end(&self) {
        // SAFETY: a signal that can be blocked can have its default action.
        unsafe { libc::signal(self.0, libc::SIG_DFL) };
        let mut set = MaybeUninit::uninit();
        // SAFETY: a place for a set.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: it was made empty.
        let mut set: libc::sigset_t = unsafe { set.assume_init() };
        // SAFETY: a set and one of the system's signals.
        unsafe { libc::sigaddset(&raw mut set, self.0) };
        // SAFETY: a set, and no place for the old one.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut()) };
        // SAFETY: one of the system's signals.
        unsafe { libc::raise(self.0) };
    }
}

const ENDING: [c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
