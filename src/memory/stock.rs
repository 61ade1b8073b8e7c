//! Big blocks that nobody uses at the moment: the next one who needs such a block has it without
//! the kernel, and without a fault for each of its pages.
//!
//! Blocks are kept only while somebody looks every now and then whether they have rested
//! long enough to be given back, and only up to [`BYTES_MAX`]. Whoever finds no other memory gets
//! theirs.
//!
//! Small ones come here by the tray, see `trays.rs`.
//!
//! Every place holds a block or nothing, and one atomic step puts it there or takes it away. So
//! there is no lock that a fork could leave taken, and what a child finds is whole: it begins to
//! keep blocks when it has somebody who looks, and then has those of its parent, too.
//! `memory/models.rs` walks through what several threads may do at once.

use std::ops::Range;
use std::ptr::{self, NonNull};

use super::atomics::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
use super::block::Block;
use super::sizes::Sizes;
use super::{OutOfMemory, trays};

pub struct Stock {
    /// Behind those for big blocks stand those for trays.
    shelves: [Shelf; SHELVES + TRAYS],
    /// What all blocks take that are kept, or are about to be.
    bytes: AtomicUsize,
    is_open: AtomicBool,
    /// Something was put here or taken since the last look: a big block, or a tray.
    is_used: [AtomicBool; 2],
    /// Something would have been put here if it had been open.
    is_missed: AtomicBool,
}

/// Blocks of one size.
struct Shelf([AtomicPtr<u8>; PLACES]);

impl Stock {
    pub const fn new() -> Stock {
        Stock {
            shelves: [const { Shelf([const { AtomicPtr::new(ptr::null_mut()) }; PLACES]) };
                SHELVES + TRAYS],
            bytes: AtomicUsize::new(0),
            is_open: AtomicBool::new(false),
            is_used: [const { AtomicBool::new(false) }; 2],
            is_missed: AtomicBool::new(false),
        }
    }

    /// A block of at least `size` bytes, from here or from the system.
    pub fn take(&self, size: usize) -> Result<Block, OutOfMemory> {
        let shelf = SIZES.number(size);
        match shelf.and_then(|shelf| Some((shelf, self.take_from(shelf)?))) {
            Some((shelf, start)) => Ok(Block { start, size: size_on(shelf) }),
            None => self.take_fresh(size),
        }
    }

    /// The same, from the system in any case: what is kept here takes memory, also where nobody
    /// writes to it.
    pub fn take_fresh(&self, size: usize) -> Result<Block, OutOfMemory> {
        let Some(shelf) = SIZES.number(size) else { return self.ask_system(size) };
        let whole = size_on(shelf);
        // Where so much more cannot be had, what is needed may be there.
        self.ask_system(whole).or_else(|OutOfMemory| self.ask_system(size))
    }

    /// # Safety
    /// The block came from [`Stock::take`], and nobody uses it any more.
    pub unsafe fn give_back(&self, block: Block) {
        let shelf = SIZES.number(block.size).filter(|shelf| size_on(*shelf) == block.size);
        if !shelf.is_some_and(|shelf| self.put_on(shelf, block.start)) {
            // SAFETY: forwarded from our own contract.
            unsafe { block.free() };
        }
    }

    /// A full tray for blocks of that size, if one is here.
    pub fn take_tray(&self, place: usize) -> Option<NonNull<u8>> {
        self.take_from(SHELVES + place)
    }

    /// False when it cannot be kept.
    pub fn put_tray(&self, place: usize, tray: NonNull<u8>) -> bool {
        self.put_on(SHELVES + place, tray)
    }

    fn take_from(&self, shelf: usize) -> Option<NonNull<u8>> {
        let start = self.take_unnoted(shelf);
        if start.is_some() {
            self.note_use(shelf);
        }
        start
    }

    fn take_unnoted(&self, shelf: usize) -> Option<NonNull<u8>> {
        for place in &self.shelves[shelf].0 {
            if !place.load(Ordering::Relaxed).is_null() {
                // Acquire: pairs with the release in `put_on`, before which its user was done.
                let start = NonNull::new(place.swap(ptr::null_mut(), Ordering::Acquire));
                if start.is_some() {
                    self.bytes.fetch_sub(size_on(shelf), Ordering::Relaxed);
                    return start;
                }
            }
        }
        None
    }

    /// False when it cannot be kept.
    fn put_on(&self, shelf: usize, start: NonNull<u8>) -> bool {
        // In a simulation several processes share this, of which no run must depend on another.
        if !self.is_open.load(Ordering::Relaxed) || cfg!(simulated) {
            self.is_missed.store(!cfg!(simulated), Ordering::Relaxed);
            return false;
        }
        let size = size_on(shelf);
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size <= BYTES_MAX {
            for place in &self.shelves[shelf].0 {
                let (none, block) = (ptr::null_mut(), start.as_ptr());
                // Release: pairs with the acquire in `take_from`.
                if place.load(Ordering::Relaxed).is_null()
                    && place
                        .compare_exchange(none, block, Ordering::Release, Ordering::Relaxed)
                        .is_ok()
                {
                    self.note_use(shelf);
                    // Pairs with the fence in `close`: one of the two finds the block.
                    fence(Ordering::SeqCst);
                    if !self.is_open.load(Ordering::Relaxed) {
                        self.clear();
                    }
                    return true;
                }
            }
        }
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        false
    }

    fn ask_system(&self, size: usize) -> Result<Block, OutOfMemory> {
        Block::ask(size, || self.clear())
    }

    fn note_use(&self, shelf: usize) {
        let is_used = &self.is_used[usize::from(shelf >= SHELVES)];
        // Most of the time it is noted already, and nobody else has to hear of it.
        if !is_used.load(Ordering::Relaxed) {
            is_used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it would be of use to keep blocks, and nobody looks after them.
    #[inline]
    pub fn wants_to_open(&self) -> bool {
        self.is_missed.load(Ordering::Relaxed)
    }

    /// True for one of those who find that it [`Stock::wants_to_open`]. It sees to it that somebody
    /// looks, if that is possible.
    pub fn begin_opening(&self) -> bool {
        self.is_missed.swap(false, Ordering::Relaxed)
    }

    /// Keeps blocks from now on: somebody will look.
    pub fn open(&self) {
        self.is_used.iter().for_each(|is_used| is_used.store(true, Ordering::Relaxed));
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// Whether any block was put here or taken since the last look. If not, all are given back and
    /// no more are kept: nobody has to look any more. Where that holds for big blocks only, or for
    /// trays only, those are given back.
    pub fn look(&self) -> bool {
        let swap = |is_used: &AtomicBool| is_used.swap(false, Ordering::Relaxed);
        match self.is_used.each_ref().map(swap) {
            [false, false] => self.close(),
            [false, true] => _ = self.clear_some(0..SHELVES),
            [true, false] => _ = self.clear_some(SHELVES..SHELVES + TRAYS),
            [true, true] => {}
        }
        self.is_open.load(Ordering::Relaxed)
    }

    /// Gives all back, and keeps no more.
    pub fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        // Pairs with the fence in `put_on`.
        fence(Ordering::SeqCst);
        self.clear();
    }

    /// Gives all back. True when there was any.
    pub fn clear(&self) -> bool {
        self.clear_some(0..SHELVES + TRAYS)
    }

    fn clear_some(&self, shelves: Range<usize>) -> bool {
        let mut had_any = false;
        for shelf in shelves {
            while let Some(start) = self.take_unnoted(shelf) {
                had_any = true;
                // SAFETY: it was on the shelf, and is nobody else's now.
                unsafe { free_from(shelf, start) };
            }
        }
        had_any
    }

    /// The process is a fresh child, in which nobody looks, and has no other thread: one of its
    /// parent's may have been about to put or take a block, which is lost to the child.
    pub fn begin_child(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        let on = |shelf: usize| {
            let places = self.shelves[shelf].0.iter();
            let count = places.filter(|place| !place.load(Ordering::Relaxed).is_null()).count();
            count * size_on(shelf)
        };
        self.bytes.store((0..SHELVES + TRAYS).map(on).sum(), Ordering::Relaxed);
    }
}

/// # Safety
/// It was on that shelf, and nobody uses it any more.
unsafe fn free_from(shelf: usize, start: NonNull<u8>) {
    match shelf.checked_sub(SHELVES) {
        // SAFETY: forwarded from our own contract.
        None => unsafe { Block { start, size: size_on(shelf) }.free() },
        // SAFETY: as above.
        Some(place) => unsafe { trays::free_tray(place, start) },
    }
}

/// What is on that shelf, a block or a tray, takes.
const fn size_on(shelf: usize) -> usize {
    if shelf >= SHELVES {
        return trays::bytes_in(shelf - SHELVES);
    }
    SIZES.size(shelf)
}

const SIZE_MIN: usize = 16 * 1024;
/// Smaller ones are cheap to have, larger ones too much to keep.
pub(super) const SIZES: Sizes = Sizes {
    min: SIZE_MIN,
    max: if cfg!(loom) { SIZE_MIN } else { 16 * 1024 * 1024 },
    // A place for what they note of their content, for a header, and for its alignment to a page.
    extra: 8 * 1024,
};
const SHELVES: usize = SIZES.count();
/// As many as there are sizes of small blocks.
const TRAYS: usize = if cfg!(loom) { 0 } else { trays::SIZES.count() };
/// Blocks of one size, or trays.
const PLACES: usize = if cfg!(loom) { 2 } else { 32 };
/// What is kept in all.
const BYTES_MAX: usize = if cfg!(loom) { 2 * size_on(0) } else { 64 * 1024 * 1024 };

#[cfg(test)]
impl Stock {
    /// How many bytes are kept.
    pub fn kept(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many blocks.
    #[cfg(loom)]
    pub fn count(&self) -> usize {
        let places = self.shelves.iter().flat_map(|shelf| &shelf.0);
        places.filter(|place| !place.load(Ordering::Relaxed).is_null()).count()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::without_memory;
    use std::sync::atomic::AtomicBool as Flag;

    const MEGABYTE: usize = 1 << 20;

    fn open() -> Stock {
        let stock = Stock::new();
        stock.open();
        stock
    }

    impl Stock {
        fn give(&self, block: Block) {
            // SAFETY: tests take from one stock only, and give each block once.
            unsafe { self.give_back(block) };
        }
    }

    impl Drop for Stock {
        fn drop(&mut self) {
            self.close();
        }
    }

    #[test]
    fn what_is_given_back_is_the_next_to_be_taken() {
        let stock = open();
        let block = stock.take(100_000).unwrap();
        let start = block.start;
        stock.give(block);
        assert_eq!(stock.kept(), SIZES.size(SIZES.number(100_000).unwrap()));
        let other = stock.take(50_000).unwrap();
        let fresh = stock.take_fresh(100_000).unwrap();
        let again = stock.take(100_000).unwrap();
        assert!(other.start != start && fresh.start != start && again.start == start);
        assert_eq!(stock.kept(), 0);
        stock.give(other);
        stock.give(fresh);
        stock.give(again);
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        for size in [SIZES.min, MEGABYTE, SIZES.max] {
            let stock = open();
            let all: Vec<_> = (0..100).map(|_| stock.take(size).unwrap()).collect();
            all.into_iter().for_each(|block| stock.give(block));
            let most = BYTES_MAX.min(PLACES * SIZES.size(SIZES.number(size).unwrap()));
            assert!(stock.kept() <= most && stock.kept() > most / 4 * 3, "{}", stock.kept());
        }
        let stock = open();
        let sizes = (0..SHELVES).flat_map(|shelf| [size_on(shelf); PLACES]);
        let all: Vec<_> = sizes.map(|size| stock.take(size).unwrap()).collect();
        all.into_iter().for_each(|block| stock.give(block));
        assert!(stock.kept() <= BYTES_MAX, "{}", stock.kept());
        let large = stock.take(SIZES.max + SIZES.extra + 1).unwrap();
        let before = stock.kept();
        stock.give(large);
        assert_eq!(stock.kept(), before);
    }

    #[test]
    fn nothing_is_kept_while_nobody_looks() {
        let stock = Stock::new();
        assert!(!stock.wants_to_open());
        let give = || stock.give(stock.take(MEGABYTE).unwrap());
        give();
        assert_eq!((stock.kept(), stock.wants_to_open()), (0, true));
        assert!(stock.begin_opening() && !stock.begin_opening() && !stock.wants_to_open());
        stock.open();
        give();
        assert!(stock.kept() > 0);
        assert!(stock.look(), "it was used since it was opened");
        give();
        assert!(stock.look() && stock.kept() > 0);
        assert!(!stock.look(), "nobody has used it since");
        assert_eq!(stock.kept(), 0);
        give();
        assert_eq!((stock.kept(), stock.wants_to_open()), (0, true));
    }

    #[test]
    fn a_child_begins_with_what_its_parent_has_kept_and_keeps_no_more() {
        let stock = open();
        let (one, other) = (stock.take(MEGABYTE).unwrap(), stock.take(MEGABYTE).unwrap());
        stock.give(one);
        // A thread that the child does not have was about to put another one.
        stock.bytes.fetch_add(MEGABYTE, Ordering::Relaxed);
        stock.begin_child();
        assert_eq!(stock.kept(), SIZES.size(SIZES.number(MEGABYTE).unwrap()));
        stock.give(other);
        assert_eq!(stock.kept(), SIZES.size(SIZES.number(MEGABYTE).unwrap()));
        stock.open();
        assert!(stock.look() && !stock.look());
        assert_eq!(stock.kept(), 0);
    }

    #[test]
    fn who_has_no_memory_gets_what_is_kept() {
        let stock = open();
        let block = stock.take(MEGABYTE).unwrap();
        stock.give(block);
        without_memory(|| {
            let block = stock.take(MEGABYTE).unwrap();
            stock.give(block);
            assert_eq!(stock.take(2 * MEGABYTE).err(), Some(OutOfMemory));
        });
        assert_eq!(stock.kept(), 0, "it was given back for somebody else");
    }

    #[test]
    fn no_two_threads_have_the_same_block() {
        let (stock, is_over) = (open(), Flag::new(false));
        let rounds = if cfg!(miri) { 5 } else { 3000 };
        let work = |number: u8| {
            for round in 0..rounds {
                let size = [20_000, 20_000, 70_000][round % 3];
                let block = stock.take(size).unwrap();
                let start = block.start.as_ptr();
                // SAFETY: the block has at least that many bytes, and is this thread's.
                unsafe { ptr::write_bytes(start, number, 16_384) };
                // SAFETY: as above, and it was written.
                let bytes = unsafe { std::slice::from_raw_parts(start, 16_384) };
                assert!(bytes.iter().all(|byte| *byte == number));
                stock.give(block);
            }
        };
        let upset = || {
            while !is_over.load(Ordering::Relaxed) {
                stock.look();
                stock.open();
                stock.clear();
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            let upsetting = scope.spawn(upset);
            let workers: Vec<_> = (1..=3).map(|number| scope.spawn(move || work(number))).collect();
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            is_over.store(true, Ordering::Relaxed);
            upsetting.join().unwrap();
        });
        stock.close();
        assert_eq!(stock.kept(), 0);
        assert!(!stock.clear(), "a block was put there behind the close");
    }
}
