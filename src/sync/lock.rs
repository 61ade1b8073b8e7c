//! The locks of the product, each with its place in the order of all.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
#[cfg(not(simulated))]
use std::time::Instant;

#[cfg(not(simulated))]
use super::biased::RawBiased;
use super::rank::{Checked, Held, Rank};
#[cfg(not(simulated))]
use super::raw::{RawMutex, RawRwLock};
#[cfg(simulated)]
use super::simulated::parking_lot::{RawMutex, RawRwLock};
#[cfg(not(simulated))]
use super::thread;

pub struct Mutex<T, R: lock_api::RawMutex = RawMutex> {
    checked: Checked,
    inner: lock_api::Mutex<R, T>,
}

/// One that mostly the same thread takes.
#[cfg(not(simulated))]
pub type BiasedMutex<T> = Mutex<T, RawBiased>;
#[cfg(simulated)]
pub type BiasedMutex<T> = Mutex<T>;
#[cfg(not(simulated))]
pub type BiasedGuard<'a, T> = MutexGuard<'a, T, RawBiased>;
#[cfg(simulated)]
pub type BiasedGuard<'a, T> = MutexGuard<'a, T>;

#[must_use = "the lock is released when it is dropped"]
pub struct MutexGuard<'a, T, R: lock_api::RawMutex = RawMutex> {
    inner: lock_api::MutexGuard<'a, R, T>,
    _held: Held,
}

pub struct RwLock<T> {
    checked: Checked,
    inner: lock_api::RwLock<RawRwLock, T>,
}

#[must_use = "the lock is released when it is dropped"]
pub struct RwLockReadGuard<'a, T> {
    inner: lock_api::RwLockReadGuard<'a, RawRwLock, T>,
    held: Held,
}

/// A part of what is locked.
#[must_use = "the lock is released when it is dropped"]
pub struct MappedRwLockReadGuard<'a, T> {
    inner: lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>,
    _held: Held,
}

#[must_use = "the lock is released when it is dropped"]
pub struct RwLockWriteGuard<'a, T> {
    inner: lock_api::RwLockWriteGuard<'a, RawRwLock, T>,
    _held: Held,
}

impl<T> Mutex<T> {
    #[inline]
    pub const fn new(rank: Rank, value: T) -> Mutex<T> {
        Mutex { checked: Checked::new(rank), inner: lock_api::Mutex::new(value) }
    }

    /// The lock, unless it is held for longer than that.
    #[cfg(simulated)]
    pub fn try_lock_for(&self, patience: Duration) -> Option<MutexGuard<'_, T>> {
        let held = self.checked.take();
        self.inner.try_lock_for(patience).map(|inner| MutexGuard { inner, _held: held })
    }
}

impl<T> BiasedMutex<T> {
    #[inline]
    pub const fn biased(rank: Rank, value: T) -> BiasedMutex<T> {
        Mutex { checked: Checked::new(rank), inner: lock_api::Mutex::new(value) }
    }
}

impl<T, R: lock_api::RawMutex> Mutex<T, R> {
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T, R> {
        // First, because waiting may be for ever.
        let held = self.checked.take();
        MutexGuard { inner: self.inner.lock(), _held: held }
    }

    /// The same for one who meets one other at the lock, again and again. In general few looks are
    /// best, because each takes the cache line from who works under it. But who looks seldom misses
    /// the moments between two locks of one who has hardly anything else to do.
    #[inline]
    pub fn lock_promptly(&self) -> MutexGuard<'_, T, R> {
        if let Some(guard) = self.try_lock() {
            return guard;
        }
        self.watch();
        self.lock()
    }

    /// Comes back when it is free, or has been held for long.
    #[cold]
    #[inline(never)]
    fn watch(&self) {
        // Another thread of a simulation runs when it is waited for.
        let looks = if cfg!(simulated) { 0 } else { LOOKS };
        for _ in 0..looks {
            if !self.inner.is_locked() {
                return;
            }
            super::spin_loop();
        }
    }

    /// The lock, unless it is held for longer than that. It is looked at from time to time, which
    /// is often enough for the one who asks so: who ends a process.
    #[cfg(not(simulated))]
    pub fn try_lock_for(&self, patience: Duration) -> Option<MutexGuard<'_, T, R>> {
        let deadline = Instant::now() + patience;
        loop {
            let guard = self.try_lock();
            if guard.is_some() || Instant::now() >= deadline {
                return guard;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T, R>> {
        self.inner.try_lock().map(|inner| MutexGuard { inner, _held: self.checked.take() })
    }
}

impl<T> RwLock<T> {
    #[inline]
    pub const fn new(rank: Rank, value: T) -> RwLock<T> {
        RwLock { checked: Checked::new(rank), inner: lock_api::RwLock::new(value) }
    }

    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let held = self.checked.take();
        RwLockReadGuard { inner: self.inner.read(), held }
    }

    /// For who may hold a lock of this rank already: it passes those who wait to write.
    #[inline]
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        let held = self.checked.take_again();
        RwLockReadGuard { inner: self.inner.read_recursive(), held }
    }

    #[inline]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.inner.try_read().map(|inner| RwLockReadGuard { inner, held: self.checked.take() })
    }

    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let held = self.checked.take();
        RwLockWriteGuard { inner: self.inner.write(), _held: held }
    }
}

impl<'a, T> RwLockReadGuard<'a, T> {
    /// Keeps what `part` finds, or gives the guard back when it finds nothing.
    ///
    /// # Errors
    /// The guard.
    #[inline]
    pub fn try_map<U>(
        guard: RwLockReadGuard<'a, T>,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<MappedRwLockReadGuard<'a, U>, RwLockReadGuard<'a, T>> {
        let RwLockReadGuard { inner, held } = guard;
        match lock_api::RwLockReadGuard::try_map(inner, part) {
            Ok(inner) => Ok(MappedRwLockReadGuard { inner, _held: held }),
            Err(inner) => Err(RwLockReadGuard { inner, held }),
        }
    }
}

impl<T: fmt::Debug, R: lock_api::RawMutex> fmt::Debug for Mutex<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T, R: lock_api::RawMutex> Deref for MutexGuard<'_, T, R> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T, R: lock_api::RawMutex> DerefMut for MutexGuard<'_, T, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> Deref for MappedRwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[cfg(not(simulated))]
const BETWEEN_LOOKS: Duration = Duration::from_micros(100);
/// With a pause behind each: a few microseconds at most.
const LOOKS: u32 = 64;

// The product's locks have no rank, and are no larger than they look. The place of a handle is a
// cache line.
#[cfg(not(any(debug_assertions, simulated)))]
const _: () = {
    assert!(size_of::<Mutex<u32>>() == 12);
    assert!(size_of::<BiasedMutex<u32>>() <= 32);
    assert!(size_of::<RwLock<*const u8>>() <= 64);
    assert!(size_of::<MutexGuard<'_, u8>>() == size_of::<usize>());
};

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::sync::before_io;

    /// What a panic says, if `call` panics.
    fn complaint(call: impl FnOnce()) -> Option<String> {
        let panic = catch_unwind(AssertUnwindSafe(call)).err()?;
        Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    fn one_of(rank: Rank) -> Mutex<i32> {
        Mutex::new(rank, 7)
    }

    #[test]
    fn the_right_order_is_fine() {
        let (names, socket, events) =
            (one_of(Rank::Names), one_of(Rank::Socket), one_of(Rank::Events));
        let names = names.lock();
        let first = socket.lock();
        drop(first);
        let mut again = socket.lock();
        *again += *events.lock();
        // Locks need not be released in the order in which they were taken.
        drop(names);
        let events = events.try_lock().unwrap();
        assert_eq!((*again, *events), (14, 7));
    }

    #[test]
    fn the_wrong_order_is_a_bug() {
        let (queue, socket) = (one_of(Rank::Outbound), one_of(Rank::Socket));
        let expected = "Socket is locked under Outbound";
        let found = complaint(|| {
            let _queue = queue.lock();
            drop(socket.lock());
        });
        assert_eq!(found.as_deref(), Some(expected));
        let found = complaint(|| {
            let _queue = queue.lock();
            drop(socket.try_lock());
        });
        assert_eq!(found.as_deref(), Some(expected));
    }

    #[test]
    fn who_is_prompt_is_alone_too_and_waits_for_as_long_as_it_takes() {
        let count = one_of(Rank::Front);
        let rounds = if cfg!(miri) { 50 } else { 5000 };
        thread::scope(|scope| {
            let held = count.lock();
            let add = |prompt: bool| {
                let mut count = if prompt { count.lock_promptly() } else { count.lock() };
                *count = std::hint::black_box(*count) + 1;
            };
            for prompt in [true, true, false] {
                scope.spawn(move || (0..rounds).for_each(|_| add(prompt)));
            }
            // They have given up looking by then.
            thread::sleep(Duration::from_millis(20));
            drop(held);
        });
        assert_eq!(*count.lock_promptly(), 7 + 3 * rounds);
        let found = complaint(|| {
            let _count = count.lock();
            drop(one_of(Rank::Socket).lock_promptly());
        });
        assert_eq!(found.as_deref(), Some("Socket is locked under Front"));
    }

    #[test]
    fn two_sockets_locks_together_are_a_bug() {
        let (one, two) = (one_of(Rank::Socket), one_of(Rank::Socket));
        drop(one.lock());
        drop(two.lock());
        let found = complaint(|| {
            let _one = one.lock();
            drop(two.lock());
        });
        assert_eq!(found.as_deref(), Some("Socket is locked under Socket"));
    }

    #[test]
    fn what_a_panic_has_unwound_is_held_no_more() {
        let (socket, events) = (one_of(Rank::Socket), one_of(Rank::Events));
        for _ in 0..3 {
            let found = complaint(|| {
                let _events = events.lock();
                drop(socket.lock());
            });
            assert!(found.is_some());
            let _socket = socket.lock();
            drop(events.lock());
        }
        before_io();
    }

    #[test]
    fn io_under_a_lock_is_a_bug_unless_it_is_one_for_io() {
        before_io();
        let (slot, writing) = (one_of(Rank::Slot), one_of(Rank::Writing));
        let (_slot, _writing) = (slot.lock(), writing.lock());
        before_io();
        let queue = one_of(Rank::Outbound);
        let found = complaint(|| {
            let _queue = queue.lock();
            before_io();
        });
        assert_eq!(found.as_deref(), Some("the kernel is asked about a stream under Outbound"));
        before_io();
    }

    #[test]
    fn who_reads_again_says_so() {
        let slots = [(); 2].map(|()| RwLock::new(Rank::Slot, Some(7)));
        let first = RwLockReadGuard::try_map(slots[0].read(), Option::as_ref).ok().unwrap();
        let same = slots[0].read_recursive();
        let other = slots[1].read_recursive();
        assert_eq!((*first, *same, *other), (7, Some(7), Some(7)));
        drop(first);
        assert!(complaint(|| drop(slots[1].read())).is_some());
        assert!(complaint(|| drop(slots[1].write())).is_some());
        drop((same, other));
        *slots[1].write() = None;
        assert!(RwLockReadGuard::try_map(slots[1].try_read().unwrap(), Option::as_ref).is_err());
        assert!(complaint(|| drop(slots[1].write())).is_none());
    }

    #[test]
    fn each_thread_keeps_its_own_books() {
        let (socket, names) = (one_of(Rank::Socket), one_of(Rank::Names));
        let _socket = socket.lock();
        let found = std::thread::scope(|scope| scope.spawn(|| *names.lock()).join());
        assert_eq!(found.unwrap(), 7);
    }
}
