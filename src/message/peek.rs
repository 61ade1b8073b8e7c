//! A look at memory that may have gone back to the kernel.

use std::ptr::NonNull;
#[cfg(all(target_os = "linux", not(miri)))]
use std::sync::atomic::{AtomicBool, Ordering};

/// What a look at memory that may be gone has found.
pub(super) enum Peeked {
    Word(u64),
    Nothing,
    Untold,
}

/// Has the kernel read it, which finds out whether it is there in the same step.
#[cfg(all(target_os = "linux", not(miri)))]
pub(super) fn peek(word: *const u64) -> Peeked {
    if IS_DENIED.load(Ordering::Relaxed) {
        return Peeked::Untold;
    }
    let mut found = 0_u64;
    let length = size_of::<u64>();
    let here = libc::iovec { iov_base: (&raw mut found).cast(), iov_len: length };
    let there = libc::iovec { iov_base: word.cast_mut().cast(), iov_len: length };
    // SAFETY: it only tells.
    let process = unsafe { libc::getpid() };
    // SAFETY: it writes to `found` at most, and reads what is there or says that nothing is.
    let count = unsafe { libc::process_vm_readv(process, &here, 1, &there, 1, 0) };
    if usize::try_from(count) == Ok(length) {
        return Peeked::Word(found);
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EFAULT) => Peeked::Nothing,
        // Not allowed, or the kernel has no such call.
        _ => {
            IS_DENIED.store(true, Ordering::Relaxed);
            Peeked::Untold
        }
    }
}

/// Nobody has to ask again.
#[cfg(all(target_os = "linux", not(miri)))]
static IS_DENIED: AtomicBool = AtomicBool::new(false);

#[cfg(any(not(target_os = "linux"), miri))]
pub(super) fn peek(_: *const u64) -> Peeked {
    Peeked::Untold
}

/// Whether there is memory in the page of `payload`.
pub(super) fn is_mapped(payload: NonNull<u8>) -> bool {
    if cfg!(miri) {
        return true;
    }
    // Some machines have larger ones than we count in.
    // SAFETY: no pointer is passed.
    let page_size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let page = payload.as_ptr().map_addr(|address| address / page_size * page_size);
    let mut residency = 0;
    // SAFETY: one byte of answer for the one page, of which nothing is read.
    unsafe { libc::mincore(page.cast(), 1, &raw mut residency) == 0 }
}
