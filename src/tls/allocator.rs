//! Memory comes from whoever has asked for the table: what he has not is nobody's, and he finds it
//! out in his own way. Until somebody asks there is the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::table::Memory;

pub struct Forwarding;

/// Never freed, as little as the library that it lies in is unloaded.
static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(ptr::null_mut());

/// From now on memory comes from there.
pub fn forward_to(memory: &'static Memory) {
    // Release: pairs with the acquire in `memory`.
    MEMORY.store(ptr::from_ref(memory).cast_mut(), Ordering::Release);
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
        match memory() {
            // SAFETY: forwarded from our own contract.
            Some(memory) => unsafe { (memory.release)(start, layout.size(), layout.align()) },
            // SAFETY: as above.
            None => unsafe { System.dealloc(start, layout) },
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, wanted: usize) -> *mut u8 {
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
