//! Telling the processor what will be written soon.

/// Has the memory of `place` brought near, to be written: a hint, which changes nothing and waits
/// for nothing.
#[allow(clippy::inline_always, reason = "it is an instruction or two")]
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(any(miri, loom))))]
    for line in (0..size_of::<T>()).step_by(LINE) {
        // SAFETY: the instruction reads and writes nothing, wherever the address leads.
        unsafe {
            std::arch::asm!(
                "prefetchw [{}]",
                in(reg) std::ptr::from_ref(place).wrapping_byte_add(line),
                options(nostack, preserves_flags, readonly)
            );
        }
    }
    #[cfg(all(target_arch = "aarch64", not(any(miri, loom))))]
    for line in (0..size_of::<T>()).step_by(LINE) {
        // SAFETY: the instruction reads and writes nothing, wherever the address leads.
        unsafe {
            std::arch::asm!(
                "prfm pstl1keep, [{}]",
                in(reg) std::ptr::from_ref(place).wrapping_byte_add(line),
                options(nostack, preserves_flags, readonly)
            );
        }
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(any(miri, loom)))))]
    let _ = place;
}

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(any(miri, loom))))]
const LINE: usize = 64;
