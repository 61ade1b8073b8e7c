//! Memory for the parts of a trie: blocks of equal cells in one vector, named by 32-bit places.
//!
//! A pointer is half the size of the machine's, nothing is allocated one by one, and everything
//! goes back at once. Room is reserved first, so that taking a block cannot fail.

use std::ops::{Index, IndexMut, Range};

use crate::memory::{self, OutOfMemory};

/// What a pool is made of. A free cell remembers the next free block of its class.
pub trait Cell: Copy + Default {
    fn linked_to(next: u32) -> Self;
    fn link(self) -> u32;
}

#[derive(Debug)]
pub struct Pool<T> {
    cells: Vec<T>,
    /// The first free block of each class.
    free: [u32; CLASSES],
    free_cells: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool { cells: Vec::new(), free: [NONE; CLASSES], free_cells: 0 }
    }
}

impl<T: Cell> Pool<T> {
    /// All cells, those of free blocks included.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Cells that belong to a block which was taken and not given back.
    pub fn live(&self) -> usize {
        self.cells.len() - self.free_cells
    }

    /// Makes room for blocks of `cells` cells in all, each rounded up by [`class_size`].
    pub fn reserve(&mut self, cells: usize) -> Result<(), OutOfMemory> {
        #[cfg(test)]
        shortage::strike()?;
        let len = self.cells.len();
        if cells <= self.cells.capacity() - len {
            return Ok(());
        }
        if cells > NONE as usize - len {
            return Err(OutOfMemory);
        }
        // A quarter more each time keeps adding linear and wastes little. When that much cannot
        // be had, what is needed may still be.
        let generous = cells.max(len / 4);
        memory::reserve_exact(&mut self.cells, generous)
            .or_else(|_| memory::reserve_exact(&mut self.cells, cells))
    }

    /// A block for `count` cells, at least one. The caller has reserved room for it.
    pub fn take(&mut self, count: usize) -> u32 {
        let class = class(count);
        let at = self.free[class];
        if at == NONE {
            let end = self.cells.len();
            debug_assert!(end + class_size(count) <= self.cells.capacity(), "reserved");
            self.cells.resize(end + class_size(count), T::default());
            return end as u32;
        }
        self.free[class] = self[at].link();
        self.free_cells -= class_size(count);
        at
    }

    /// Gives a block for `count` cells back.
    pub fn give(&mut self, at: u32, count: usize) {
        let class = class(count);
        self[at] = T::linked_to(self.free[class]);
        self.free[class] = at;
        self.free_cells += class_size(count);
    }

    /// Makes a block for `count` cells one for a cell less, and says where it is now.
    pub fn shrink(&mut self, at: u32, count: usize) -> u32 {
        let (kept, had) = (class_size(count - 1), class_size(count));
        if kept == had {
            return at;
        }
        // A smaller block that is free keeps blocks whole that grow and shrink in turns.
        if self.free[class(count - 1)] != NONE {
            let smaller = self.take(count - 1);
            self.copy(at..at + count as u32 - 1, smaller);
            self.give(at, count);
            return smaller;
        }
        // Neighbouring classes differ by the size of a class, so the rest is a block as well.
        self.give(at + kept as u32, had - kept);
        at
    }

    pub fn slice(&self, at: u32, count: usize) -> &[T] {
        &self.cells[at as usize..][..count]
    }

    pub fn slice_mut(&mut self, at: u32, count: usize) -> &mut [T] {
        &mut self.cells[at as usize..][..count]
    }

    pub fn copy(&mut self, from: Range<u32>, to: u32) {
        self.cells.copy_within(from.start as usize..from.end as usize, to as usize);
    }
}

impl<T> Index<u32> for Pool<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.cells[at as usize]
    }
}

impl<T> IndexMut<u32> for Pool<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.cells[at as usize]
    }
}

/// How many cells a block for `count` cells really has: every number up to eight, then four sizes
/// for each doubling.
pub fn class_size(count: usize) -> usize {
    let step = step(count);
    count.div_ceil(1 << step) << step
}

fn class(count: usize) -> usize {
    let step = step(count);
    4 * step + count.div_ceil(1 << step)
}

/// The binary logarithm of the distance between sizes near `count`.
fn step(count: usize) -> usize {
    debug_assert!(0 < count && count <= BLOCK_MAX);
    if count <= 8 { 0 } else { (count - 1).ilog2() as usize - 2 }
}

/// The largest block, enough for a child for each byte.
pub const BLOCK_MAX: usize = 256;
const CLASSES: usize = 4 * 5 + 8 + 1;
const NONE: u32 = u32::MAX;

/// Memory that runs out when a test says so.
#[cfg(test)]
pub mod shortage {
    use std::cell::Cell;

    use crate::message::OutOfMemory;

    thread_local! {
        static PLENTY: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Lets `reservations` more succeed on this thread and all others fail, until `None`.
    pub fn after(reservations: Option<u32>) {
        PLENTY.set(reservations);
    }

    pub fn strike() -> Result<(), OutOfMemory> {
        let Some(plenty) = PLENTY.get() else { return Ok(()) };
        PLENTY.set(Some(plenty.checked_sub(1).ok_or(OutOfMemory)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Cell for u32 {
        fn linked_to(next: u32) -> u32 {
            next
        }

        fn link(self) -> u32 {
            self
        }
    }

    #[test]
    fn classes_grow_with_the_block_and_waste_a_fifth_at_most() {
        for count in 1..=BLOCK_MAX {
            let size = class_size(count);
            assert!(count <= size && size <= count + count / 4, "{count} in {size}");
            assert!(class(count) < CLASSES);
            assert_eq!(class(size), class(count));
            assert_eq!(class_size(size), size);
        }
        assert_eq!(class_size(BLOCK_MAX), BLOCK_MAX);
    }

    #[test]
    fn what_a_block_loses_by_shrinking_is_a_block() {
        for count in 2..=BLOCK_MAX {
            let rest = class_size(count) - class_size(count - 1);
            assert!(rest == 0 || class_size(rest) == rest, "{count}");
        }
    }

    #[test]
    fn blocks_that_came_back_are_taken_again() {
        let mut pool = Pool::<u32>::default();
        pool.reserve(300).unwrap();
        let (large, small) = (pool.take(256), pool.take(3));
        assert_eq!(pool.live(), 259);
        pool.give(large, 256);
        pool.give(small, 3);
        assert_eq!(pool.live(), 0);
        assert_eq!((pool.take(3), pool.take(256)), (small, large));
        assert_eq!((pool.live(), pool.len()), (259, 259));
    }

    #[test]
    fn a_block_that_grows_and_shrinks_in_turns_takes_no_new_cells() {
        let mut pool = Pool::<u32>::default();
        pool.reserve(18).unwrap();
        let mut block = pool.take(8);
        for _ in 0..100 {
            let larger = pool.take(9);
            pool.give(block, 8);
            block = pool.shrink(larger, 9);
        }
        assert_eq!((pool.live(), pool.len()), (8, 18));
    }

    #[test]
    fn taking_after_reserving_does_not_allocate() {
        let mut pool = Pool::<u32>::default();
        for count in 1..=BLOCK_MAX {
            pool.reserve(class_size(count)).unwrap();
            let before = pool.cells.capacity();
            pool.take(count);
            assert_eq!(pool.cells.capacity(), before);
        }
    }

    #[test]
    fn more_than_can_be_named_cannot_be_had() {
        assert_eq!(
            Pool::<u32>::default().reserve((u32::MAX as usize).saturating_add(1)),
            Err(OutOfMemory)
        );
    }
}
