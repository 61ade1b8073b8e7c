//! When a buffer of the kernel is worth being large. Pure.
//!
//! A big message that does not fit takes a turn of both sides for each part that does: many system
//! calls and as many changes of threads. So the buffers grow with the first message above a limit,
//! each on its side, unless the application has said how large they are to be.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// What becomes of one buffer. No bytes depend on it: relaxed.
#[derive(Debug)]
pub struct Width {
    /// What it grows to; 0 when it is not to grow, or not any more.
    size: AtomicU32,
    is_wanted: AtomicBool,
}

impl Width {
    #[must_use]
    pub fn new(size: Option<u32>) -> Width {
        Width { size: AtomicU32::new(size.unwrap_or(0)), is_wanted: AtomicBool::new(false) }
    }

    /// A message of that size passes.
    #[inline]
    pub fn note(&self, size: usize) {
        if size > BIG_MESSAGE && self.size.load(Relaxed) > 0 {
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

/// Messages up to this size pass buffers of the usual size at least as fast: larger ones are used
/// to the end, and then no longer lie in the processor's cache when they are read.
const BIG_MESSAGE: usize = 64 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_once_with_the_first_message_above_the_limit() {
        let width = Width::new(Some(7));
        for size in [0, 1, BIG_MESSAGE] {
            width.note(size);
            assert_eq!(width.take(), None);
        }
        width.note(BIG_MESSAGE + 1);
        assert_eq!((width.take(), width.take()), (Some(7), None));
        width.note(BIG_MESSAGE + 1);
        assert_eq!(width.take(), None);
    }

    #[test]
    fn what_is_not_to_grow_does_not() {
        let width = Width::new(None);
        width.note(usize::MAX);
        assert_eq!(width.take(), None);
    }
}
