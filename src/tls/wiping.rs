//! While keys come and go, memory that is given back is overwritten first: of what decodes, parses
//! and keeps them, not everything does so itself.

use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As long as one of these is there, whoever gives memory back overwrites it, on all threads.
pub struct Wiping(());

/// How many there are. A thread sees its own at least, which is all that counts.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

impl Wiping {
    #[must_use]
    pub fn begin() -> Wiping {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        Wiping(())
    }
}

impl Drop for Wiping {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For an allocator: whether memory is to be overwritten now.
#[inline]
#[must_use]
pub fn is_on() -> bool {
    UNDER_WAY.load(Ordering::Relaxed) != 0
}

/// Overwrites what is about to be given back.
///
/// # Safety
/// There are so many bytes, and nobody uses them any more.
pub unsafe fn overwrite(start: *mut u8, len: usize) {
    // SAFETY: forwarded from our own contract.
    unsafe { ptr::write_bytes(start, 0, len) };
    // Somebody might look, as far as the compiler knows.
    black_box(start);
}
