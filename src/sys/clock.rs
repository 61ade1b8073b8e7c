//! The clock that never jumps: as a moment, and as a plain number for those who compare many of
//! them and keep them in atomics.

use super::kernel;
use crate::sync::spin_loop;
use std::ffi::{c_int, c_long};
use std::time::{Duration, Instant};

/// This moment.
#[inline]
#[must_use]
pub fn now() -> Instant {
    kernel::now()
}

/// A length of time, as system calls and wrappers under their first names take it: in two words of
/// the machine. Where those have 32 bits, the C library's time may have 64, which such a call would
/// misread.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Span {
    pub seconds: c_long,
    pub nanoseconds: c_long,
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Span {
        Span {
            seconds: duration.as_secs().try_into().unwrap_or(c_long::MAX),
            nanoseconds: duration.subsec_nanos() as c_long,
        }
    }
}

/// As calls of the poll family take a timeout. Rounded up: it is never early. Longer ones than the
/// kernel takes wake up and wait again.
pub(super) fn milliseconds(timeout: Option<Duration>) -> c_int {
    match timeout {
        None => -1,
        Some(timeout) => timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(c_int::MAX),
    }
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

/// The same in milliseconds, and it wraps: for differences of up to some weeks.
pub fn now_ms() -> u32 {
    (nanoseconds() / 1_000_000) as u32
}

/// Busy for a moment that is too short to sleep.
pub fn pause(duration: Duration) {
    let began = now();
    while now().duration_since(began) < duration {
        (0..PAUSES).for_each(|_| spin_loop());
    }
}

/// Pauses of the processor between two looks at the clock.
const PAUSES: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_span_is_never_shorter_than_its_words_can_tell() {
        let span = Span::from(Duration::new(3, 999_999_999));
        assert_eq!((span.seconds, span.nanoseconds), (3, 999_999_999));
        assert_eq!(Span::from(Duration::MAX).seconds, c_long::MAX);
        assert_eq!(size_of::<Span>(), 2 * size_of::<usize>());
    }

    #[test]
    fn timeouts_are_rounded_up_and_bounded() {
        let of = |timeout| milliseconds(Some(timeout));
        assert_eq!(milliseconds(None), -1);
        assert_eq!(of(Duration::ZERO), 0);
        assert_eq!(of(Duration::from_nanos(1)), 1);
        assert_eq!(of(Duration::from_millis(5)), 5);
        assert_eq!(of(Duration::from_nanos(5_000_001)), 6);
        assert_eq!(of(Duration::MAX), c_int::MAX);
    }

    #[test]
    fn a_pause_is_never_too_short() {
        let began = Instant::now();
        pause(Duration::from_micros(50));
        assert!(began.elapsed() >= Duration::from_micros(50));
    }
}
