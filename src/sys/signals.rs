//! Signals belong to the application: threads of the library receive none.

use std::mem::MaybeUninit;

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

/// Whether there is a signal that may run code of the application at any moment: not counted are
/// those that a thread gets for what it does itself.
pub fn are_signals_handled() -> bool {
    // The C library has no part in the numbers behind the last one, nor tells of its own ones.
    (1..=LAST).filter(|signal| !OF_THE_THREAD.contains(signal)).any(|signal| {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: with no new action, the old one is only written.
        let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
        result == 0 && {
            // SAFETY: the call above has filled it.
            let handler = unsafe { action.assume_init() }.sa_sigaction;
            handler != libc::SIG_DFL && handler != libc::SIG_IGN
        }
    })
}

const LAST: libc::c_int = 64;
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
        extern "C" fn nothing(_signal: libc::c_int) {}
        // SAFETY: a zeroed sigaction is one without flags, and the handler touches nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
            // Restarting is what a wait must not do even when it is asked for.
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut());
        }
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

    #[test]
    #[cfg_attr(miri, ignore = "it has no signals")]
    fn a_handler_is_noticed() {
        // Whether there was one before depends on what else runs here; it stays from now on.
        interrupted(thread::yield_now);
        assert!(are_signals_handled());
    }

    fn is_blocked(signal: libc::c_int) -> bool {
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
