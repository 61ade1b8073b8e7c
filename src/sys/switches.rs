//! How the kernel's scheduler treats the calling thread.

#[cfg(not(target_vendor = "apple"))]
use super::kernel;

/// How often a thread has left its processor since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// To wait for something.
    pub waits: u64,
    /// To let others run, while it could have gone on.
    pub losses: u64,
}

/// Those of the calling thread: none, where the kernel does not count them.
#[must_use]
pub fn switches() -> Switches {
    #[cfg_attr(target_vendor = "apple", allow(unused_mut, reason = "nobody counts"))]
    // SAFETY: an rusage is numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: the kernel writes one rusage, for which there is room, or leaves the zeros.
    unsafe {
        kernel::getrusage(libc::RUSAGE_THREAD, &raw mut usage)
    };
    Switches { waits: usage.ru_nvcsw as u64, losses: usage.ru_nivcsw as u64 }
}

#[cfg(all(test, not(any(loom, simulated))))]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn who_sleeps_waits() {
        let before = switches();
        (0..3).for_each(|_| thread::sleep(Duration::from_millis(1)));
        assert!(switches().waits >= before.waits + 3);
    }

    #[test]
    fn a_thread_has_its_own() {
        let before = thread::spawn(switches).join();
        assert!(before.unwrap().waits < 3);
    }
}
