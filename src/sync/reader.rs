//! What tells one thread from all others that there are, in an instruction.

/// A thread. When it has ended, another one may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader(usize);

impl Reader {
    /// The calling thread: where the C library keeps what belongs to it.
    #[cfg(all(target_arch = "x86_64", target_os = "linux", not(any(loom, miri))))]
    #[allow(clippy::inline_always, reason = "it is an instruction")]
    #[inline(always)]
    pub fn me() -> Reader {
        let me: usize;
        // SAFETY: by the rules of thread-local storage for this processor the first word there is
        // its own address, and it changes nothing.
        unsafe {
            std::arch::asm!(
                "mov {}, qword ptr fs:[0]",
                out(reg) me,
                options(nostack, preserves_flags, pure, readonly)
            );
        }
        Reader(me)
    }

    /// The calling thread: where the C library keeps what belongs to it.
    #[cfg(all(target_arch = "aarch64", target_os = "linux", not(any(loom, miri))))]
    #[allow(clippy::inline_always, reason = "it is an instruction")]
    #[inline(always)]
    pub fn me() -> Reader {
        let me: usize;
        // SAFETY: it reads a register that every program may read.
        unsafe {
            std::arch::asm!(
                "mrs {}, tpidr_el0",
                out(reg) me,
                options(nomem, nostack, preserves_flags, pure)
            );
        }
        Reader(me)
    }

    /// The thread of the model.
    #[cfg(loom)]
    pub fn me() -> Reader {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        Reader(hasher.hash_one(loom::thread::current().id()) as usize | 1)
    }

    /// Nobody can be told from others here.
    #[cfg(not(any(
        loom,
        all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))
    )))]
    #[inline]
    pub fn me() -> Reader {
        Reader(UNKNOWN)
    }

    /// As a number, which is not 0. `None` where it cannot be told from others.
    #[inline]
    pub fn number(self) -> Option<usize> {
        (self.0 != UNKNOWN).then_some(self.0)
    }
}

/// The address of nothing that belongs to a thread.
const UNKNOWN: usize = 0;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_from_each_other_while_they_are() {
        let (me, again) = (Reader::me(), Reader::me());
        assert_eq!(me, again);
        let other = std::thread::scope(|scope| scope.spawn(Reader::me).join().unwrap());
        assert_eq!(me.number().is_some(), other.number().is_some());
        assert!(me.number().is_none() || me != other);
    }
}
