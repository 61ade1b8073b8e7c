//! loom's mutex with the interface of ours, and what ours sleep on. A model has no ranks.

use std::ops::{Deref, DerefMut};

use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::Rank;

#[derive(Debug)]
pub struct Mutex<T> {
    inner: loom::sync::Mutex<T>,
    /// Whether somebody has it. Who only tries looks here first: loom knows no order of his look
    /// and a release, so that nobody would come between two locks that are released.
    held: AtomicBool,
}

#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    inner: loom::sync::MutexGuard<'a, T>,
    held: &'a AtomicBool,
}

impl<T> Mutex<T> {
    pub fn new(_rank: Rank, value: T) -> Mutex<T> {
        Mutex { inner: loom::sync::Mutex::new(value), held: AtomicBool::new(false) }
    }

    pub fn biased(rank: Rank, value: T) -> Mutex<T> {
        Mutex::new(rank, value)
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.guard(self.inner.lock().expect("a model does not panic under a lock"))
    }

    pub fn lock_promptly(&self) -> MutexGuard<'_, T> {
        self.lock()
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let is_held = self.held.load(Ordering::Acquire);
        if is_held { None } else { self.inner.try_lock().ok().map(|inner| self.guard(inner)) }
    }

    fn guard<'a>(&'a self, inner: loom::sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.held.store(true, Ordering::Relaxed);
        MutexGuard { inner, held: &self.held }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.held.store(false, Ordering::Release);
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// futex(2), or a lobby, in a model: the number is looked at, and the thread put to sleep, in one
/// step.
#[derive(Debug, Default)]
pub struct Futex {
    number: AtomicU32,
    kernel: loom::sync::Mutex<()>,
    woken: loom::sync::Condvar,
}

impl Futex {
    pub fn wait(&self, expected: u32) {
        let kernel = self.kernel.lock().expect("a model does not panic under a lock");
        if self.number.load(Ordering::Relaxed) == expected {
            drop(self.woken.wait(kernel).expect("a model does not panic under a lock"));
        }
    }

    pub fn wake_one(&self) {
        let _kernel = self.kernel.lock().expect("a model does not panic under a lock");
        self.woken.notify_one();
    }

    pub fn wake_all(&self) {
        let _kernel = self.kernel.lock().expect("a model does not panic under a lock");
        self.woken.notify_all();
    }
}

impl Deref for Futex {
    type Target = AtomicU32;

    fn deref(&self) -> &AtomicU32 {
        &self.number
    }
}
