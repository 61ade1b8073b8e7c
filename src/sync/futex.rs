//! A number that threads sleep on, by futex(2). The kernel keeps the list of who sleeps, for each
//! process its own: there is nothing in memory that the child of a fork could inherit.

use std::ops::Deref;

use super::atomic::AtomicU32;

#[derive(Debug, Default)]
pub struct Futex(AtomicU32);

impl Futex {
    #[inline]
    pub const fn new(value: u32) -> Futex {
        Futex(AtomicU32::new(value))
    }

    /// Sleeps while the number is `expected`, until woken, or for no reason less long.
    pub fn wait(&self, expected: u32) {
        atomic_wait::wait(&self.0, expected);
    }

    pub fn wake_one(&self) {
        atomic_wait::wake_one(&self.0);
    }

    pub fn wake_all(&self) {
        atomic_wait::wake_all(&self.0);
    }
}

impl Deref for Futex {
    type Target = AtomicU32;

    #[inline]
    fn deref(&self) -> &AtomicU32 {
        &self.0
    }
}
