//! Two fences that make a pair: a light one for who comes by often, which is an instruction less,
//! and a heavy one for who comes seldom and pays for both.
//!
//! Each side writes, passes its fence and reads what the other side writes; so one of the two sees
//! the other. By membarrier(2) the heavy side has every processor that runs a thread of the process
//! pass a fence, wherever that thread is: the light one has only to keep the compiler from moving
//! anything across it. Where the kernel does not offer that, or has not been asked for it, both are
//! sequentially consistent fences, and so they are in models.

use super::atomic::{Ordering, fence};

#[cfg(all(target_os = "linux", not(any(portable, loom, simulated, tsan, miri))))]
pub use offered::{agree, heavy, is_light, light, lightest};

/// Pairs with [`heavy`].
#[cfg(not(all(target_os = "linux", not(any(portable, loom, simulated, tsan, miri)))))]
#[inline]
pub fn light() {
    // Pairs with the fence in `heavy`.
    fence(Ordering::SeqCst);
}

/// The same where [`is_light`] has said so before. Pairs with [`heavy`].
#[cfg(not(all(target_os = "linux", not(any(portable, loom, simulated, tsan, miri)))))]
#[inline]
pub fn lightest() {
    light();
}

/// Pairs with [`light`].
#[cfg(not(all(target_os = "linux", not(any(portable, loom, simulated, tsan, miri)))))]
pub fn heavy() {
    // Pairs with the fence in `light`.
    fence(Ordering::SeqCst);
}

/// A model tells whether it would work, and ThreadSanitizer whether what it makes possible does.
#[cfg(not(all(target_os = "linux", not(any(portable, loom, simulated, tsan, miri)))))]
pub fn is_light() -> bool {
    cfg!(any(loom, tsan))
}

#[cfg(all(target_os = "linux", not(any(portable, loom, simulated, tsan, miri))))]
mod offered {
    use std::ffi::{c_int, c_long};
    use std::os::linux::fs::MetadataExt;
    use std::{fs, io};

    use super::{Ordering, fence};
    use crate::sync::atomic::{AtomicBool, compiler_fence};

    /// Pairs with [`heavy`].
    #[allow(clippy::inline_always, reason = "mostly it is two instructions")]
    #[inline(always)]
    pub fn light() {
        // Acquire: pairs with the release in `agree`. Who has found before that the kernel has not
        // agreed has passed a fence, and is seen by who finds that it has.
        if AGREED.0.load(Ordering::Acquire) {
            compiler_fence(Ordering::SeqCst);
        } else {
            // Pairs with the fence in `heavy`.
            fence(Ordering::SeqCst);
        }
    }

    /// The same where [`is_light`] has said so before: the kernel does not take back what it has
    /// agreed to. Pairs with [`heavy`].
    #[allow(clippy::inline_always, reason = "it is no instruction")]
    #[inline(always)]
    pub fn lightest() {
        compiler_fence(Ordering::SeqCst);
    }

    /// Whether the light one costs next to nothing, and the heavy one little.
    pub fn is_light() -> bool {
        AGREED.0.load(Ordering::Relaxed) && !IS_DENIED.load(Ordering::Relaxed)
    }

    /// Pairs with [`light`].
    pub fn heavy() {
        // Pairs with the fence in `light`.
        fence(Ordering::SeqCst);
        if AGREED.0.load(Ordering::Relaxed) && !ask(EXPEDITED) {
            // The kernel has agreed, and a filter of system calls that was installed later denies
            // it. What the other side wrote before, no processor keeps to itself for so long.
            IS_DENIED.store(true, Ordering::Relaxed);
            nap();
        }
    }

    /// Has the kernel offer it, where that is quick: while there are several threads, it would wait
    /// until each processor has been idle or elsewhere, which takes some ten milliseconds. It holds
    /// for children, too.
    pub fn agree() {
        if is_alone() && ask(REGISTER_EXPEDITED) {
            // Release: pairs with the acquire in `light`.
            AGREED.0.store(true, Ordering::Release);
        }
    }

    /// Whether the process is known to have one thread.
    fn is_alone() -> bool {
        fs::metadata(THREADS).is_ok_and(|threads| threads.st_nlink() == 3)
    }

    /// A sleep in which the thread cannot be cancelled.
    #[cold]
    fn nap() {
        /// As the system call wants it, whatever the C library makes of time.
        #[repr(C)]
        struct Time {
            seconds: c_long,
            nanoseconds: c_long,
        }
        let mut time = Time { seconds: 0, nanoseconds: NAP_NS };
        let time = &raw mut time;
        // What is left when a signal has ended it, for whose handler it has not gone on.
        // SAFETY: the time is there until the call is over, which may write it.
        while unsafe { libc::syscall(libc::SYS_nanosleep, time, time) } != 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }

    fn ask(command: c_int) -> bool {
        let (flags, processor): (c_int, c_int) = (0, 0);
        // SAFETY: it touches no memory.
        let answer = unsafe { libc::syscall(libc::SYS_membarrier, command, flags, processor) };
        answer == 0
    }

    /// On a line that nobody writes to: everybody reads it all the time.
    #[repr(align(128))]
    struct OwnLine(AtomicBool);

    static AGREED: OwnLine = OwnLine(AtomicBool::new(false));
    /// It was denied afterwards: nothing more is to rely on it than does already.
    static IS_DENIED: AtomicBool = AtomicBool::new(false);

    const NAP_NS: c_long = 1_000_000;

    /// A directory with one entry for each thread beside its own two.
    const THREADS: &str = "/proc/self/task";
    /// MEMBARRIER_CMD_PRIVATE_EXPEDITED, which libc does not have.
    const EXPEDITED: c_int = 1 << 3;
    /// MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED.
    const REGISTER_EXPEDITED: c_int = 1 << 4;

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn who_has_several_threads_does_not_wait_for_an_agreement() {
            let is_alone_beside_another = std::thread::scope(|scope| {
                let other = scope.spawn(is_alone);
                other.join().unwrap()
            });
            assert!(!is_alone_beside_another);
        }

        #[test]
        fn what_the_kernel_offers_is_had_from_the_load_on() {
            /// MEMBARRIER_CMD_QUERY.
            const QUERY: c_int = 0;
            let (flags, processor): (c_int, c_int) = (0, 0);
            // SAFETY: it touches no memory.
            let offers = unsafe { libc::syscall(libc::SYS_membarrier, QUERY, flags, processor) };
            if offers > 0 && offers & c_long::from(REGISTER_EXPEDITED) != 0 {
                assert!(is_light() && ask(EXPEDITED));
            }
        }

        #[test]
        fn both_sides_can_be_had_whether_the_kernel_has_agreed_or_not() {
            light();
            heavy();
            nap();
        }
    }
}
