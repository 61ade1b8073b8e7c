//! Locks with the names and ways of parking_lot's, whose waiters the scheduler knows.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ::parking_lot::lock_api;

use super::scheduler::{self, For, Woken};

pub struct RawMutex {
    is_locked: AtomicBool,
    waiting: AtomicU32,
}

impl RawMutex {
    fn place(&self) -> For {
        For::Address(std::ptr::from_ref(self).addr())
    }

    #[track_caller]
    fn lock_until(&self, until: Option<u64>) -> bool {
        scheduler::point();
        while self.is_locked.swap(true, Relaxed) {
            self.waiting.fetch_add(1, Relaxed);
            let woken = scheduler::block(self.place(), until);
            self.waiting.fetch_sub(1, Relaxed);
            if woken == Woken::TimedOut && self.is_locked.load(Relaxed) {
                return false;
            }
        }
        true
    }
}

// SAFETY: one thread at a time runs, and the flag says whether somebody has the lock.
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait wants it")]
    const INIT: RawMutex =
        RawMutex { is_locked: AtomicBool::new(false), waiting: AtomicU32::new(0) };
    type GuardMarker = lock_api::GuardNoSend;

    #[track_caller]
    fn lock(&self) {
        self.lock_until(None);
    }

    #[track_caller]
    fn try_lock(&self) -> bool {
        scheduler::point();
        !self.is_locked.swap(true, Relaxed)
    }

    unsafe fn unlock(&self) {
        self.is_locked.store(false, Relaxed);
        if self.waiting.load(Relaxed) > 0 {
            scheduler::wake_all(self.place());
        }
        scheduler::point();
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, patience: Duration) -> bool {
        let now = scheduler::now().unwrap_or_default();
        self.lock_until(Some(now + patience.as_nanos() as u64))
    }

    fn try_lock_until(&self, _deadline: Instant) -> bool {
        unreachable!("nobody asks for it")
    }
}

pub struct RawRwLock {
    readers: AtomicU32,
    is_written: AtomicBool,
    /// Those who wait to write keep others from beginning to read.
    writers: AtomicU32,
    waiting: AtomicU32,
}

impl RawRwLock {
    fn place(&self) -> For {
        For::Address(std::ptr::from_ref(self).addr())
    }

    #[track_caller]
    fn wait(&self) {
        self.waiting.fetch_add(1, Relaxed);
        scheduler::block(self.place(), None);
        self.waiting.fetch_sub(1, Relaxed);
    }

    fn wake(&self) {
        if self.waiting.load(Relaxed) > 0 {
            scheduler::wake_all(self.place());
        }
        scheduler::point();
    }

    fn begin_reading(&self, is_allowed: bool) -> bool {
        if is_allowed && !self.is_written.load(Relaxed) {
            self.readers.fetch_add(1, Relaxed);
            return true;
        }
        false
    }

    fn is_free_for_readers(&self) -> bool {
        self.writers.load(Relaxed) == 0
    }

    fn is_free_for_recursion(&self) -> bool {
        self.readers.load(Relaxed) > 0 || self.is_free_for_readers()
    }

    fn begin_writing(&self) -> bool {
        self.readers.load(Relaxed) == 0 && !self.is_written.swap(true, Relaxed)
    }
}

// SAFETY: one thread at a time runs, and the numbers say who has the lock.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait wants it")]
    const INIT: RawRwLock = RawRwLock {
        readers: AtomicU32::new(0),
        is_written: AtomicBool::new(false),
        writers: AtomicU32::new(0),
        waiting: AtomicU32::new(0),
    };
    type GuardMarker = lock_api::GuardNoSend;

    #[track_caller]
    fn lock_shared(&self) {
        scheduler::point();
        while !self.begin_reading(self.is_free_for_readers()) {
            self.wait();
        }
    }

    #[track_caller]
    fn try_lock_shared(&self) -> bool {
        scheduler::point();
        self.begin_reading(self.is_free_for_readers())
    }

    unsafe fn unlock_shared(&self) {
        self.readers.fetch_sub(1, Relaxed);
        self.wake();
    }

    #[track_caller]
    fn lock_exclusive(&self) {
        scheduler::point();
        self.writers.fetch_add(1, Relaxed);
        while !self.begin_writing() {
            self.wait();
        }
        self.writers.fetch_sub(1, Relaxed);
    }

    #[track_caller]
    fn try_lock_exclusive(&self) -> bool {
        scheduler::point();
        self.begin_writing()
    }

    unsafe fn unlock_exclusive(&self) {
        self.is_written.store(false, Relaxed);
        self.wake();
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockRecursive for RawRwLock {
    #[track_caller]
    fn lock_shared_recursive(&self) {
        scheduler::point();
        while !self.begin_reading(self.is_free_for_recursion()) {
            self.wait();
        }
    }

    #[track_caller]
    fn try_lock_shared_recursive(&self) -> bool {
        scheduler::point();
        self.begin_reading(self.is_free_for_recursion())
    }
}
