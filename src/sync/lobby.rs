//! A number that threads sleep on, by what POSIX threads have: where there is no futex(2).
//!
//! Sleepers meet in one of some lobbies, which are there from the beginning. Nobody needs memory to
//! sleep in one, and nothing is noted in the thread that does. A child of a fork has lobbies that
//! nobody was ever in, because its parent's threads may have been: see [`begin_child`].
//!
//! `model.rs` has the same out of loom's parts.

use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::ops::Deref;
use std::ptr;
use std::time::Duration;

use super::atomic::{AtomicU32, Ordering};

#[derive(Debug, Default)]
pub struct Futex(AtomicU32);

impl Futex {
    #[inline]
    pub const fn new(value: u32) -> Futex {
        Futex(AtomicU32::new(value))
    }

    /// Sleeps while the number is `expected`, until woken, or for no reason less long.
    pub fn wait(&self, expected: u32) {
        self.lobby().sleep_while(|| self.0.load(Ordering::Relaxed) == expected);
    }

    /// Others may sleep in the same lobby, so that all who do are woken.
    pub fn wake_one(&self) {
        self.wake_all();
    }

    pub fn wake_all(&self) {
        self.lobby().wake_all();
    }

    fn lobby(&self) -> &'static Lobby {
        let place = ptr::from_ref(self).addr() / CACHE_LINE;
        &LOBBIES[(place ^ place >> 8) % LOBBIES.len()]
    }
}

impl Deref for Futex {
    type Target = AtomicU32;

    #[inline]
    fn deref(&self) -> &AtomicU32 {
        &self.0
    }
}

/// Where those sleep whose numbers happen to lead here.
struct Lobby {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    woken: UnsafeCell<libc::pthread_cond_t>,
}

// SAFETY: both are made for being used by many threads, and the C library is passed their addresses
// alone.
unsafe impl Sync for Lobby {}

impl Lobby {
    const fn new() -> Lobby {
        Lobby {
            mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            woken: UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER),
        }
    }

    /// Whoever changes what is asked wakes behind that: either the change is seen here, or the
    /// sleeper there.
    fn sleep_while(&self, is_so: impl Fn() -> bool) {
        let before = set_cancel_state(DISABLED);
        let mut result = self.lock();
        if result == 0 {
            if is_so() {
                // SAFETY: neither is moved, and this thread has locked the mutex.
                result = unsafe { libc::pthread_cond_wait(self.woken.get(), self.mutex.get()) };
            }
            self.unlock();
        }
        if result != 0 {
            // Some systems make them when they are first used, for which there was no memory.
            std::thread::sleep(BETWEEN_LOOKS);
        }
        set_cancel_state(before);
    }

    fn wake_all(&self) {
        // Where it cannot be made, nobody was ever in there.
        if self.lock() == 0 {
            // SAFETY: it is not moved.
            unsafe { libc::pthread_cond_broadcast(self.woken.get()) };
            self.unlock();
        }
    }

    fn lock(&self) -> c_int {
        // SAFETY: it is not moved, and nobody destroys it.
        unsafe { libc::pthread_mutex_lock(self.mutex.get()) }
    }

    fn unlock(&self) {
        // SAFETY: this thread has locked it.
        unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
    }

    /// # Safety
    /// No thread uses it.
    unsafe fn begin_anew(&self) {
        let Lobby { mutex, woken } = Lobby::new();
        // SAFETY: forwarded from our own contract.
        unsafe { self.mutex.get().write(mutex.into_inner()) };
        // SAFETY: forwarded from our own contract.
        unsafe { self.woken.get().write(woken.into_inner()) };
    }
}

/// For the child of a fork, which has none of its parent's threads.
///
/// # Safety
/// There is one thread, and it came here by fork(2).
pub unsafe fn begin_child() {
    for lobby in &LOBBIES {
        // SAFETY: this thread is the only one, and here.
        unsafe { lobby.begin_anew() };
    }
}

/// Returns what was set before. Sleeping in a lobby would be a point at which a thread is
/// cancelled, with frames above that have something to drop.
fn set_cancel_state(state: c_int) -> c_int {
    let mut before = state;
    // SAFETY: the number lives during the call. Setting the state of a thread whose kind is
    // deferred cancels nothing.
    unsafe { pthread_setcancelstate(state, &raw mut before) };
    before
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

static LOBBIES: [Lobby; 64] = [const { Lobby::new() }; 64];
/// Locks of different sockets lie in different lines.
const CACHE_LINE: usize = 64;
const DISABLED: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_number_that_has_changed_is_not_slept_on() {
        Futex::new(2).wait(1);
    }

    #[test]
    fn nobody_is_left_asleep_in_a_lobby_that_numbers_share() {
        const ROUNDS: u32 = 2_000;
        let numbers = [const { Futex::new(0) }; 4];
        let reach = |number: &Futex, round| {
            while number.load(Ordering::SeqCst) != round {
                number.wait(round - 1);
            }
        };
        // They lie in two lines at most.
        assert!(numbers.windows(2).any(|two| ptr::eq(two[0].lobby(), two[1].lobby())));
        thread::scope(|scope| {
            for pair in numbers.chunks(2) {
                scope.spawn(move || {
                    for round in 1..=ROUNDS {
                        reach(&pair[0], round);
                        pair[1].store(round, Ordering::SeqCst);
                        pair[1].wake_one();
                    }
                });
                scope.spawn(move || {
                    for round in 1..=ROUNDS {
                        pair[0].store(round, Ordering::SeqCst);
                        pair[0].wake_all();
                        reach(&pair[1], round);
                    }
                });
            }
        });
    }

    #[test]
    fn a_lobby_that_was_left_in_use_begins_anew() {
        let lobby = Lobby::new();
        assert_eq!(lobby.lock(), 0);
        // SAFETY: no other thread knows it.
        unsafe { lobby.begin_anew() };
        thread::scope(|scope| {
            scope.spawn(|| lobby.wake_all());
        });
        assert_eq!(lobby.lock(), 0);
        lobby.unlock();
    }
}
