//! loom's mutex with the interface of ours, and what ours sleep on. A model has no ranks.

use std::ops::Deref;

use loom::sync::atomic::{AtomicU32, Ordering};

use super::Rank;

#[derive(Debug)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(_rank: Rank, value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub fn biased(rank: Rank, value: T) -> Mutex<T> {
        Mutex::new(rank, value)
    }

    pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("a model does not panic under a lock")
    }

    pub fn lock_promptly(&self) -> loom::sync::MutexGuard<'_, T> {
        self.lock()
    }

    pub fn try_lock(&self) -> Option<loom::sync::MutexGuard<'_, T>> {
        self.0.try_lock().ok()
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
