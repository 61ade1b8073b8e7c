//! A look at memory that may have gone back to the kernel.

#[cfg(all(target_os = "linux", not(miri)))]
use std::sync::atomic::{AtomicBool, Ordering};

/// The word there, if there is memory.
///
/// # Safety
/// If there is memory, it may be read, whatever is in it.
pub(super) unsafe fn peek(word: *const u64) -> Option<u64> {
    match ask_kernel(word) {
        Ok(found) => found,
        // Somebody else could give it back in between, which is the best that can be done here.
        // SAFETY: the caller vouches for it, and the memory was there.
        Err(Untold) => is_mapped(word).then(|| unsafe { word.read() }),
    }
}

/// The kernel cannot be asked.
struct Untold;

/// Has the kernel read it, which finds out whether it is there in the same step.
#[cfg(all(target_os = "linux", not(miri)))]
fn ask_kernel(word: *const u64) -> Result<Option<u64>, Untold> {
    if IS_DENIED.load(Ordering::Relaxed) {
        return Err(Untold);
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
        return Ok(Some(found));
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EFAULT) => Ok(None),
        // Not allowed, or the kernel has no such call.
        _ => {
            IS_DENIED.store(true, Ordering::Relaxed);
            Err(Untold)
        }
    }
}

/// Nobody has to ask again.
#[cfg(all(target_os = "linux", not(miri)))]
static IS_DENIED: AtomicBool = AtomicBool::new(false);

#[cfg(any(not(target_os = "linux"), miri))]
fn ask_kernel(_: *const u64) -> Result<Option<u64>, Untold> {
    Err(Untold)
}

/// Whether there is memory in the page of `word`.
fn is_mapped(word: *const u64) -> bool {
    if cfg!(miri) {
        return true;
    }
    // Some machines have larger ones than we count in.
    // SAFETY: no pointer is passed.
    let page_size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let page = word.cast_mut().map_addr(|address| address / page_size * page_size);
    let mut residency = 0;
    // SAFETY: one byte of answer for the one page, of which nothing is read.
    unsafe { libc::mincore(page.cast(), 1, &raw mut residency) == 0 }
}
