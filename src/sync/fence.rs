//! The dear fence, made cheap.

use std::sync::atomic::{self, Ordering};

/// As that of the standard library.
///
/// For a sequentially consistent one the compiler takes MFENCE, which also waits for memory that is
/// not cached, and for every load before it: eight times as long as a locked instruction, which
/// orders all of ours as well. Of those the cheapest is one on the stack, which is near.
#[allow(clippy::inline_always, reason = "it is an instruction")]
#[inline(always)]
pub fn fence(ordering: Ordering) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // Pairs with whatever the caller's fence pairs with.
    if ordering == Ordering::SeqCst {
        // SAFETY: it changes nothing: what is there, even if it is the caller's, is as before, in
        // one step also for a signal handler.
        unsafe { std::arch::asm!("lock or dword ptr [rsp - 8], 0", options(nostack)) };
        return;
    }
    atomic::fence(ordering);
}
