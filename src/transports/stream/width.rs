//! When a buffer of the kernel is worth being large. Pure.
//!
//! A big message that does not fit takes a turn of both sides for each part that does: many system
//! calls and as many changes of threads. So the buffers grow with the first message above a limit,
//! each on its side, unless the application has said how large they are to be.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// What becomes of one buffer. No bytes depend on it: relaxed.
#[derive(Debug)]
pub struct Width {
    /// What it grows to; 0 when it is not to grow, or not any more.
    size: AtomicU32,
    is_wanted: AtomicBool,
    reach: Reach,
}

/// How far away a peer can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Machine,
    Internet,
}

impl Reach {
    /// That of a peer whom the kernel gives such an address.
    #[must_use]
    pub fn of(address: Option<SocketAddr>) -> Reach {
        if address.is_some() { Reach::Internet } else { Reach::Machine }
    }

    /// Messages up to this size pass buffers of the usual size at least as fast: inside the
    /// machine, larger ones are used to the end, and then no longer lie in the processor's cache
    /// when they are read. Of a TCP a good part of the buffer is taken by what the kernel notes
    /// about segments, and by what has not been acknowledged.
    fn size_of_big(self) -> usize {
        match self {
            Reach::Machine => 64 * 1024,
            Reach::Internet => 32 * 1024,
        }
    }
}

impl Width {
    #[must_use]
    pub fn new(size: Option<u32>, reach: Reach) -> Width {
        let size = AtomicU32::new(size.unwrap_or(0));
        Width { size, is_wanted: AtomicBool::new(false), reach }
    }

    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// A message of that size passes.
    #[inline]
    pub fn note(&self, size: usize) {
        if size > self.reach.size_of_big() && self.size.load(Relaxed) > 0 {
            self.is_wanted.store(true, Relaxed);
        }
    }

    /// The size that the buffer is to have from now on. Says so once.
    #[must_use]
    #[inline]
    pub fn take(&self) -> Option<u32> {
        if !self.is_wanted.load(Relaxed) {
            return None;
        }
        self.is_wanted.store(false, Relaxed);
        Some(self.size.swap(0, Relaxed)).filter(|size| *size > 0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_once_with_the_first_message_above_the_limit() {
        for (reach, limit) in [(Reach::Machine, 64 * 1024), (Reach::Internet, 32 * 1024)] {
            let width = Width::new(Some(7), reach);
            for size in [0, 1, limit] {
                width.note(size);
                assert_eq!(width.take(), None);
            }
            width.note(limit + 1);
            assert_eq!((width.take(), width.take()), (Some(7), None));
            width.note(limit + 1);
            assert_eq!(width.take(), None);
        }
    }

    #[test]
    fn what_is_not_to_grow_does_not() {
        let width = Width::new(None, Reach::Machine);
        width.note(usize::MAX);
        assert_eq!(width.take(), None);
    }
}
