//! Signals belong to the application: threads of the library receive none.

use std::mem::MaybeUninit;
use std::ptr;

use super::kernel;

/// Runs `start` with all signals blocked; a thread that it starts inherits that.
pub fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: there is room for a set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` was filled by the call above; `before` is only written.
    unsafe { kernel::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    let result = start();
    // SAFETY: `before` was filled by the call above.
    unsafe { kernel::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    result
}

/// Signals are held off: all but those that a thread gets for what it does itself.
pub(super) struct Silence {
    /// What the thread has blocked besides. Nothing, where that cannot be found out.
    before: Option<libc::sigset_t>,
}

impl Silence {
    /// Holds them off from now on.
    pub fn begin() -> Silence {
        let mut held_off = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: there is room for a set.
        unsafe { libc::sigfillset(held_off.as_mut_ptr()) };
        for signal in OF_THE_THREAD {
            // SAFETY: the set was filled by the call above.
            unsafe { libc::sigdelset(held_off.as_mut_ptr(), signal) };
        }
        // SAFETY: `held_off` was filled above; `before` is only written.
        let result = unsafe {
            kernel::pthread_sigmask(libc::SIG_BLOCK, held_off.as_ptr(), before.as_mut_ptr())
        };
        // SAFETY: the call that has succeeded has filled it.
        Silence { before: (result == 0).then(|| unsafe { before.assume_init() }) }
    }

    /// Whether one has come whose handler runs when this ends.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        let Some(before) = &self.before else { return false };
        // The C library need not fill all of it.
        let mut pending = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: there is room for a set.
        if unsafe { kernel::sigpending(pending.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: each byte was written above, and there are as many.
        let bytes = unsafe { pending.as_ptr().cast::<[u8; size_of::<libc::sigset_t>()]>().read() };
        if bytes.iter().all(|byte| *byte == 0) {
            return false;
        }
        // SAFETY: both sets were filled by the kernel.
        let has = |set: *const libc::sigset_t, signal| unsafe { libc::sigismember(set, signal) };
        // The C library has no part in the numbers behind the last one, nor tells of its own ones.
        (1..=LAST).any(|signal| {
            has(pending.as_ptr(), signal) == 1 && has(before, signal) == 0 && is_handled(signal)
        })
    }

    /// Holds them off no longer. A handler that runs now need not come back.
    pub fn end(self) {
        if let Some(before) = &self.before {
            // SAFETY: `before` was filled by the kernel.
            unsafe { kernel::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
        }
    }
}

/// Whether a signal runs code of the application.
fn is_handled(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with no new action, the old one is only written.
    let result = unsafe { kernel::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    result == 0 && {
        // SAFETY: the call above has filled it.
        let handler = unsafe { action.assume_init() }.sa_sigaction;
        handler != libc::SIG_DFL && handler != libc::SIG_IGN
    }
}

/// Where there are fewer, the C library says of none behind the last that it has come.
const LAST: libc::c_int = 127;
const OF_THE_THREAD: [libc::c_int; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGSYS,
];

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::ptr;
    use std::sync::mpsc;
    use std::thread;

    /// What `wait` returns in a thread of its own, which gets signals until it does.
    pub fn interrupted<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
        let_be_handled(libc::SIGUSR1);
        let (tell, told) = mpsc::channel();
        let (finish, finished) = mpsc::channel();
        let waiter = thread::spawn(move || {
            // SAFETY: no pointer is passed.
            tell.send(unsafe { libc::pthread_self() }).unwrap();
            let result = wait();
            finish.send(()).unwrap();
            result
        });
        let thread = told.recv().unwrap();
        while finished.try_recv().is_err() {
            // SAFETY: it has not been joined, so that its number is still its own.
            unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
            thread::yield_now();
        }
        waiter.join().unwrap()
    }

    /// By a handler that does nothing.
    pub fn let_be_handled(signal: libc::c_int) {
        extern "C" fn nothing(_signal: libc::c_int) {}
        // SAFETY: a zeroed sigaction is one without flags, and the handler touches nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
            // Restarting is what a wait must not do even when it is asked for.
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &action, ptr::null_mut());
        }
    }

    pub fn is_blocked(signal: libc::c_int) -> bool {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: with no new set, the old one is only written.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn threads_started_inside_receive_no_signal_and_the_starter_does_again() {
        let started = with_signals_blocked(|| thread::spawn(|| is_blocked(libc::SIGUSR2)));
        assert!(started.join().unwrap());
        assert!(!is_blocked(libc::SIGUSR2));
    }
}
