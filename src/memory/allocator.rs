//! The allocator of the library: that of the C library, and when that has nothing, what big blocks
//! are kept that nobody uses, and then the reserve.
//!
//! Nothing is counted and nothing is asked as long as there is memory. Giving back costs the
//! comparison of an address.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

use super::{DRAWS, IS_FALLIBLE, RESERVE, STOCK};

pub struct Allocator;

// SAFETY: what is given out comes from one of two allocators, and goes back to the one whose range
// it lies in; both keep to the contract, and nothing here unwinds.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: forwarded from our own contract.
        let memory = if is_empty() { ptr::null_mut() } else { unsafe { System.alloc(layout) } };
        if memory.is_null() { draw(layout) } else { memory }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let memory = match is_empty() {
            true => ptr::null_mut(),
            // SAFETY: forwarded from our own contract.
            false => unsafe { System.alloc_zeroed(layout) },
        };
        if memory.is_null() { draw_zeroed(layout) } else { memory }
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // What encrypts has no allocator of its own here.
        #[cfg(feature = "tls")]
        if spmsg_tls::wiping::is_on() {
            // SAFETY: forwarded from our own contract.
            unsafe { spmsg_tls::wiping::overwrite(memory, layout.size()) };
        }
        if RESERVE.has(memory) {
            RESERVE.give_back(memory);
        } else {
            // SAFETY: forwarded from our own contract; what is not ours is the system's.
            unsafe { System.dealloc(memory, layout) };
        }
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        #[cfg(feature = "tls")]
        let must_move = spmsg_tls::wiping::is_on();
        #[cfg(not(feature = "tls"))]
        let must_move = false;
        let grown = match is_empty() || must_move || RESERVE.has(memory) {
            true => ptr::null_mut(),
            // SAFETY: forwarded from our own contract; what is not ours is the system's.
            false => unsafe { System.realloc(memory, layout, size) },
        };
        // SAFETY: forwarded from our own contract.
        if grown.is_null() { unsafe { self.change_place(memory, layout, size) } } else { grown }
    }
}

impl Allocator {
    /// # Safety
    /// That of `realloc`.
    #[cold]
    unsafe fn change_place(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller of realloc vouches that the size is possible with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller of realloc vouches that the size is not zero.
        let fresh = unsafe { self.alloc(wanted) };
        if !fresh.is_null() {
            // SAFETY: both have at least that many bytes, and the fresh one is nobody else's.
            unsafe { ptr::copy_nonoverlapping(memory, fresh, layout.size().min(size)) };
            // SAFETY: forwarded from the contract of realloc.
            unsafe { self.dealloc(memory, layout) };
        }
        fresh
    }
}

#[cold]
#[inline(never)]
fn draw(layout: Layout) -> *mut u8 {
    if STOCK.clear() {
        let memory = from_system(layout);
        if !memory.is_null() {
            return memory;
        }
    }
    if IS_FALLIBLE.get() {
        return ptr::null_mut();
    }
    DRAWS.set(DRAWS.get().wrapping_add(1));
    RESERVE.draw(layout)
}

#[cold]
#[inline(never)]
fn draw_zeroed(layout: Layout) -> *mut u8 {
    let memory = draw(layout);
    if !memory.is_null() {
        // SAFETY: that many bytes were just given out.
        unsafe { ptr::write_bytes(memory, 0, layout.size()) };
    }
    memory
}

/// Whether the system has as much as anything that is set up takes.
#[cold]
pub fn has_plenty() -> bool {
    let mut memory = from_system(PLENTY);
    if memory.is_null() && STOCK.clear() {
        memory = from_system(PLENTY);
    }
    if memory.is_null() {
        return false;
    }
    // SAFETY: it was had a line ago, with this layout.
    unsafe { System.dealloc(memory, PLENTY) };
    true
}

/// Null when the system has nothing.
pub fn from_system(layout: Layout) -> *mut u8 {
    if is_empty() || layout.size() == 0 {
        return ptr::null_mut();
    }
    // SAFETY: the size is not zero.
    unsafe { System.alloc(layout) }
}

const PLENTY: Layout = Layout::new::<[u8; 64 * 1024]>();

/// Only tests can say so.
#[cfg(not(test))]
#[inline]
fn is_empty() -> bool {
    false
}

#[cfg(test)]
use tests::is_empty;
#[cfg(test)]
pub use tests::without_memory;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    thread_local! {
        static IS_EMPTY: Cell<bool> = const { Cell::new(false) };
    }

    pub fn is_empty() -> bool {
        IS_EMPTY.get()
    }

    /// Within the call the system has no memory for this thread.
    pub fn without_memory<T>(call: impl FnOnce() -> T) -> T {
        IS_EMPTY.set(true);
        let result = call();
        IS_EMPTY.set(false);
        result
    }
}
