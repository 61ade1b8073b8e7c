//! What the machine and the process allow.

use super::kernel;
use std::num::NonZeroUsize;

/// How many descriptors the process may have.
#[must_use]
pub fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills a live struct.
    let result = unsafe { kernel::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if result == 0 { limit.rlim_cur.try_into().unwrap_or(usize::MAX) } else { usize::MAX }
}

/// Processors that this process may use, by affinity and by quota.
#[must_use]
pub fn usable_cpus() -> usize {
    kernel::usable_cpus().map_or(1, NonZeroUsize::get)
}
