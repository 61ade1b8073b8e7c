//! Memory comes from whoever has asked for the table: what he has not is nobody's, and he finds it
//! out in his own way. Until somebody asks there is the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::table::Memory;
use super::wiping;

pub struct Forwarding;

/// Never freed, as little as the library that it lies in is unloaded.
static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(ptr::null_mut());

/// From now on memory comes from there, unless somebody else was first: two of libspmsg in one
/// process have reserves of their own, and neither takes back what the other has lent of his.
pub fn forward_to(memory: &'static Memory) {
    let memory = ptr::from_ref(memory).cast_mut();
    // Release: pairs with the acquire in `memory`.
    let _ = MEMORY.compare_exchange(ptr::null_mut(), memory, Ordering::Release, Ordering::Relaxed);
}

fn memory() -> Option<&'static Memory> {
    // Acquire: pairs with the release in `forward_to`.
    let memory = MEMORY.load(Ordering::Acquire);
    // SAFETY: it is null, or points to what lives as long as the process.
    unsafe { memory.as_ref() }
}

// SAFETY: all are the functions of one allocator, libspmsg's, which takes back what the system's
// has given out before it was known: it gives to the system what it has not given out itself.
unsafe impl GlobalAlloc for Forwarding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match memory() {
            // SAFETY: forwarded from our own contract.
            Some(memory) => unsafe { (memory.allocate)(layout.size(), layout.align()) },
            // SAFETY: as above.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match memory() {
            // SAFETY: forwarded from our own contract.
            Some(memory) => unsafe { (memory.allocate_zeroed)(layout.size(), layout.align()) },
            // SAFETY: as above.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if wiping::is_on() {
            // SAFETY: forwarded from our own contract.
            unsafe { wiping::overwrite(start, layout.size()) };
        }
        match memory() {
            // SAFETY: forwarded from our own contract.
            Some(memory) => unsafe { (memory.release)(start, layout.size(), layout.align()) },
            // SAFETY: as above.
            None => unsafe { System.dealloc(start, layout) },
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, wanted: usize) -> *mut u8 {
        if wiping::is_on() {
            // SAFETY: forwarded from our own contract.
            return unsafe { self.move_to(start, layout, wanted) };
        }
        match memory() {
            // SAFETY: forwarded from our own contract.
            Some(memory) => unsafe {
                (memory.resize)(start, layout.size(), layout.align(), wanted)
            },
            // SAFETY: as above.
            None => unsafe { System.realloc(start, layout, wanted) },
        }
    }
}

impl Forwarding {
    /// What grows in its place, or is moved by somebody else, would leave a copy behind.
    ///
    /// # Safety
    /// That of `realloc`.
    unsafe fn move_to(&self, start: *mut u8, layout: Layout, wanted: usize) -> *mut u8 {
        // SAFETY: who calls `realloc` vouches that the size is possible with this alignment.
        let fresh_layout = unsafe { Layout::from_size_align_unchecked(wanted, layout.align()) };
        // SAFETY: who calls `realloc` vouches that the size is not zero.
        let fresh = unsafe { self.alloc(fresh_layout) };
        if !fresh.is_null() {
            // SAFETY: both have at least that many bytes, and the fresh ones are nobody else's.
            unsafe { ptr::copy_nonoverlapping(start, fresh, layout.size().min(wanted)) };
            // SAFETY: forwarded from the contract of `realloc`.
            unsafe { self.dealloc(start, layout) };
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::super::wiping::Wiping;
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    static FIRST: AtomicUsize = AtomicUsize::new(0);
    static SECOND: AtomicUsize = AtomicUsize::new(0);
    static IS_WIPED: AtomicBool = AtomicBool::new(false);
    /// Of nobody else's memory.
    const KNOWN: usize = 12_347;

    unsafe fn look(start: *const u8, size: usize) {
        if size == KNOWN {
            // SAFETY: whoever calls passes what has that size, and is given back behind this.
            let bytes = unsafe { std::slice::from_raw_parts(start, size) };
            IS_WIPED.store(bytes.iter().all(|byte| *byte == 0), Ordering::Relaxed);
        }
    }

    macro_rules! memory {
        ($calls:ident) => {{
            unsafe extern "C" fn allocate(size: usize, align: usize) -> *mut u8 {
                $calls.fetch_add(1, Ordering::Relaxed);
                // SAFETY: whoever calls passes what an allocator was asked for, as in all of these.
                unsafe { System.alloc(Layout::from_size_align_unchecked(size, align)) }
            }
            unsafe extern "C" fn allocate_zeroed(size: usize, align: usize) -> *mut u8 {
                // SAFETY: as above.
                unsafe { System.alloc_zeroed(Layout::from_size_align_unchecked(size, align)) }
            }
            unsafe extern "C" fn release(start: *mut u8, size: usize, align: usize) {
                // SAFETY: as above.
                unsafe { look(start, size) };
                // SAFETY: as above; both that give out here have it from the system.
                unsafe { System.dealloc(start, Layout::from_size_align_unchecked(size, align)) }
            }
            unsafe extern "C" fn resize(
                start: *mut u8,
                size: usize,
                align: usize,
                wanted: usize,
            ) -> *mut u8 {
                // SAFETY: as above.
                let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
                // SAFETY: as above.
                unsafe { System.realloc(start, layout, wanted) }
            }
            static MEMORY: Memory = Memory { allocate, allocate_zeroed, release, resize };
            &MEMORY
        }};
    }

    #[test]
    fn memory_goes_back_to_who_was_first() {
        forward_to(memory!(FIRST));
        let before = FIRST.load(Ordering::Relaxed);
        forward_to(memory!(SECOND));
        drop(std::hint::black_box(Box::new(7)));
        assert!(FIRST.load(Ordering::Relaxed) > before);
        assert_eq!(SECOND.load(Ordering::Relaxed), 0);
        // What is given back, or moved, while keys come and go is overwritten.
        let known = || std::hint::black_box(vec![7_u8; KNOWN]);
        drop(known());
        let was_wiped = IS_WIPED.load(Ordering::Relaxed);
        let wiping = Wiping::begin();
        for change in [drop, |mut bytes: Vec<u8>| bytes.reserve_exact(10 * KNOWN)] {
            IS_WIPED.store(false, Ordering::Relaxed);
            change(known());
            assert!(IS_WIPED.load(Ordering::Relaxed));
        }
        drop(wiping);
        // Another test may have a key at this moment.
        assert!(!was_wiped || wiping::is_on());
    }
}
