//! Two sockets' locks are never held together: a debug build checks it.

use parking_lot::{Mutex, MutexGuard};

/// The lock of one socket.
#[derive(Debug, Default)]
pub struct SocketLock<T>(Mutex<T>);

/// Released when dropped.
pub struct SocketGuard<'a, T> {
    guard: MutexGuard<'a, T>,
    #[cfg(debug_assertions)]
    _held: debug::Held,
}

impl<T> SocketLock<T> {
    pub fn new(value: T) -> SocketLock<T> {
        SocketLock(Mutex::new(value))
    }

    #[inline]
    pub fn lock(&self) -> SocketGuard<'_, T> {
        SocketGuard {
            #[cfg(debug_assertions)]
            _held: debug::Held::new(),
            guard: self.0.lock(),
        }
    }
}

impl<T> std::ops::Deref for SocketGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> std::ops::DerefMut for SocketGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[cfg(debug_assertions)]
mod debug {
    use std::cell::Cell;

    thread_local! {
        static IS_HELD: Cell<bool> = const { Cell::new(false) };
    }

    pub struct Held;

    impl Held {
        pub fn new() -> Held {
            assert!(!IS_HELD.replace(true), "a thread takes a second socket's lock");
            Held
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            IS_HELD.set(false);
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "second socket's lock")]
    fn a_second_lock_is_a_bug() {
        let (one, two) = (SocketLock::new(1), SocketLock::new(2));
        let _one = one.lock();
        let _two = two.lock();
    }

    #[test]
    fn one_after_the_other_is_fine() {
        let (one, two) = (SocketLock::new(1), SocketLock::new(2));
        assert_eq!(*one.lock(), 1);
        assert_eq!(*two.lock(), 2);
    }
}
