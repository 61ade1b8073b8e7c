//! Those who have slept on a socket, for whom closing waits.

use std::time::Duration;

use crate::sync::atomic::{AtomicU32, Ordering, fence};
use crate::sys::{self, futex_wait, futex_wake_all};

/// Those who have slept on a socket, and hold no lock on it therefore.
#[derive(Debug, Default)]
pub struct Visitors(AtomicU32);

impl Visitors {
    pub fn enter(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// `is_open` says whether nobody waits for them to leave.
    pub fn leave(&self, is_open: impl FnOnce() -> bool) {
        // Release: pairs with the acquire in `await_leaving`.
        self.0.fetch_sub(1, Ordering::Release);
        // Pairs with the fence in `await_leaving`: either it sees that we have left, or we see
        // that the socket closes.
        fence(Ordering::SeqCst);
        if !is_open() {
            futex_wake_all(&self.0);
        }
    }

    /// Waits until nobody is left. One who has jumped out of his sleep never leaves, so that the
    /// wait has an end. The socket is not open any more.
    pub fn await_leaving(&self) {
        let deadline = sys::now() + PATIENCE_WITH_VISITORS;
        // Pairs with the fence in `leave`.
        fence(Ordering::SeqCst);
        loop {
            // Acquire: pairs with the release in `leave`.
            let left = self.0.load(Ordering::Acquire);
            if left == 0 || sys::now() >= deadline {
                return;
            }
            futex_wait(&self.0, left, Some(deadline));
        }
    }
}

/// Long enough for a thread that was woken to find out why, on a machine that has much to do.
const PATIENCE_WITH_VISITORS: Duration = Duration::from_secs(1);
