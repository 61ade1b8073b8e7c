//! The clock that never jumps: as a moment, and as a plain number for those who compare many of
//! them and keep them in atomics.

use super::kernel;
use std::time::Instant;

/// This moment.
#[inline]
#[must_use]
pub fn now() -> Instant {
    kernel::now()
}

/// Nanoseconds of the clock that never jumps, since some moment before this process.
#[inline]
#[must_use]
pub fn nanoseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, which is there. This clock always exists.
    unsafe { kernel::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn it_goes_as_fast_as_the_clock_of_the_standard_library() {
        let start = nanoseconds();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2) {}
        let inside = began.elapsed();
        assert!(u128::from(nanoseconds() - start) >= inside.as_nanos());
        let outside = Instant::now();
        let (first, second) = (nanoseconds(), nanoseconds());
        assert!(u128::from(second - first) <= outside.elapsed().as_nanos());
    }
}
