//! A piece of memory that the system has given, which knows its size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

use super::{OutOfMemory, allocator};

/// Memory of at least the size that was asked for.
#[derive(Debug)]
pub struct Block {
    pub start: NonNull<u8>,
    pub size: usize,
}

impl Block {
    /// From the system, which is asked once more where `make_room` has given something back to it.
    ///
    /// # Errors
    /// When it has nothing.
    #[cold]
    pub fn ask(size: usize, make_room: impl FnOnce() -> bool) -> Result<Block, OutOfMemory> {
        let layout = layout(size).ok_or(OutOfMemory)?;
        let get = || NonNull::new(allocator::from_system(layout));
        let start = get().or_else(|| if make_room() { get() } else { None });
        start.map(|start| Block { start, size }).ok_or(OutOfMemory)
    }

    /// Gives it back to the system.
    ///
    /// # Safety
    /// It came from [`Block::ask`] with that size, and nobody uses it any more.
    #[inline(never)]
    pub unsafe fn free(self) {
        if let Some(layout) = layout(self.size) {
            // SAFETY: forwarded from our own contract; it was had with this layout.
            unsafe { System.dealloc(self.start.as_ptr(), layout) };
        }
    }
}

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.max(1), ALIGNMENT).ok()
}

/// What malloc(3) aligns to: more would have each block cut out of a larger one.
const ALIGNMENT: usize = 2 * size_of::<usize>();
