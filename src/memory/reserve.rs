//! Memory that the process has from the beginning, for when there is no other.
//!
//! Blocks of a few sizes, each size with a bitmap of those that are given out. There is no lock
//! that a fork or a signal could leave taken, and nothing moves. Nobody has touched the pages
//! before they are needed, so that they cost an address only.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub struct Reserve {
    taken: [AtomicU64; WORDS],
    /// How many blocks are given out, of all sizes.
    given: AtomicUsize,
    memory: Memory,
}

/// As strictly aligned as anything is given out.
#[repr(C, align(4096))]
struct Memory(UnsafeCell<[u8; SIZE]>);

// SAFETY: only who has set the bit of a block, and owns what was given out, touches its bytes.
unsafe impl Sync for Memory {}

/// Blocks of one size, which lie one behind the other.
struct Class {
    block: usize,
    count: usize,
    /// Where the first one lies.
    start: usize,
    /// The first word of its bitmap.
    word: usize,
}

impl Reserve {
    pub const fn new() -> Reserve {
        Reserve {
            taken: [const { AtomicU64::new(0) }; WORDS],
            given: AtomicUsize::new(0),
            memory: Memory(UnsafeCell::new([0; SIZE])),
        }
    }

    #[inline]
    fn base(&self) -> *mut u8 {
        self.memory.0.get().cast()
    }

    #[inline]
    pub fn has(&self, memory: *mut u8) -> bool {
        (memory as usize).wrapping_sub(self.base() as usize) < SIZE
    }

    /// Null when nothing fits any more.
    pub fn draw(&self, layout: Layout) -> *mut u8 {
        if layout.align() > align_of::<Memory>() {
            return ptr::null_mut();
        }
        let size = layout.size().max(layout.align());
        let fitting = CLASSES.iter().filter(|class| class.block >= size);
        let place = fitting.filter_map(|class| self.take(class)).next();
        place.map_or(ptr::null_mut(), |at| self.base().wrapping_add(at))
    }

    fn take(&self, class: &Class) -> Option<usize> {
        for (number, word) in self.words(class).iter().enumerate() {
            let first = number * 64;
            let count = (class.count - first).min(64);
            let mut seen = word.load(Ordering::Relaxed);
            loop {
                let bit = seen.trailing_ones() as usize;
                if bit >= count {
                    break;
                }
                // Acquire: pairs with the release in `give_back`, before which its owner was done.
                match word.compare_exchange_weak(
                    seen,
                    seen | 1 << bit,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        self.given.fetch_add(1, Ordering::Relaxed);
                        return Some(class.start + (first + bit) * class.block);
                    }
                    Err(now) => seen = now,
                }
            }
        }
        None
    }

    /// What [`Reserve::draw`] gave out, and nobody uses any more.
    #[cold]
    #[inline(never)]
    pub fn give_back(&self, memory: *mut u8) {
        let at = memory as usize - self.base() as usize;
        let is_here = |class: &&Class| at >= class.start;
        let Some(class) = CLASSES.iter().rfind(is_here) else { return };
        let number = (at - class.start) / class.block;
        // Release: pairs with the acquire in `take`.
        self.taken[class.word + number / 64].fetch_and(!(1 << (number % 64)), Ordering::Release);
        self.given.fetch_sub(1, Ordering::Relaxed);
    }

    fn words(&self, class: &Class) -> &[AtomicU64] {
        &self.taken[class.word..class.word + class.count.div_ceil(64)]
    }

    /// Of the blocks of some size more than half are given out.
    #[inline]
    pub fn is_low(&self) -> bool {
        // Mostly none is, and nobody has to count.
        self.given.load(Ordering::Relaxed) > FEWEST / 2 && self.is_any_low()
    }

    #[inline(never)]
    fn is_any_low(&self) -> bool {
        let used = |class: &Class| -> usize {
            let ones = |word: &AtomicU64| word.load(Ordering::Relaxed).count_ones() as usize;
            self.words(class).iter().map(ones).sum()
        };
        CLASSES.iter().any(|class| used(class) * 2 > class.count)
    }
}

/// The sizes and how many there are of each. Each size is a multiple of the one before, so that
/// all blocks are aligned to theirs.
const SHAPE: [(usize, usize); 6] =
    [(64, 1024), (256, 512), (1024, 192), (4096, 64), (16 * 1024, 8), (64 * 1024, 4)];

/// So many there are of the size of which there are fewest.
const FEWEST: usize = SHAPE[SHAPE.len() - 1].1;

const CLASSES: [Class; SHAPE.len()] = classes();
const SIZE: usize = end(SHAPE.len()).0;
const WORDS: usize = end(SHAPE.len()).1;

/// Where the blocks and the bitmaps of the first `count` sizes end.
const fn end(count: usize) -> (usize, usize) {
    let (mut bytes, mut words, mut at) = (0, 0, 0);
    while at < count {
        bytes += SHAPE[at].0 * SHAPE[at].1;
        words += SHAPE[at].1.div_ceil(64);
        at += 1;
    }
    (bytes, words)
}

const fn classes() -> [Class; SHAPE.len()] {
    let mut classes = [const { Class { block: 0, count: 0, start: 0, word: 0 } }; SHAPE.len()];
    let mut at = 0;
    while at < SHAPE.len() {
        let (start, word) = end(at);
        assert!(at == 0 || start.is_multiple_of(SHAPE[at].0));
        assert!(SHAPE[at].1 >= FEWEST);
        classes[at] = Class { block: SHAPE[at].0, count: SHAPE[at].1, start, word };
        at += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// Too big for a stack.
    fn reserve() -> &'static Reserve {
        static RESERVES: [Reserve; 5] = [const { Reserve::new() }; 5];
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        &RESERVES[NEXT.fetch_add(1, Ordering::Relaxed)]
    }

    #[test]
    fn all_of_it_is_given_out_once_and_again_when_it_came_back() {
        let reserve = reserve();
        for _ in 0..2 {
            let all: HashSet<_> = std::iter::repeat_with(|| reserve.draw(layout(1, 1)) as usize)
                .take_while(|place| *place != 0)
                .collect();
            let blocks: usize = CLASSES.iter().map(|class| class.count).sum();
            assert_eq!((all.len(), reserve.is_low()), (blocks, true));
            for place in all {
                assert!(reserve.has(place as *mut u8));
                reserve.give_back(place as *mut u8);
            }
            assert!(!reserve.is_low());
        }
    }

    #[test]
    fn blocks_are_big_enough_and_aligned_and_apart() {
        let reserve = reserve();
        let wishes = [(1, 1), (65, 8), (256, 256), (100, 128), (3000, 4096), (65_536, 16)];
        let mut spans: Vec<_> = wishes
            .map(|(size, align)| {
                let place = reserve.draw(layout(size, align)) as usize;
                assert!(place != 0 && place.is_multiple_of(align));
                (place, place + size)
            })
            .into();
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    }

    #[test]
    fn what_is_too_big_or_too_strict_is_not_to_be_had() {
        let reserve = reserve();
        assert!(reserve.draw(layout(65_537, 1)).is_null());
        assert!(reserve.draw(layout(1, 8192)).is_null());
        let base = reserve.base();
        assert!(!reserve.has(base.wrapping_sub(1)) && !reserve.has(base.wrapping_add(SIZE)));
        assert!(!reserve.has(ptr::null_mut()));
    }

    #[test]
    fn it_is_low_when_half_of_one_size_is_gone() {
        let reserve = reserve();
        let drawn = [(); 3].map(|()| reserve.draw(layout(65_536, 1)));
        assert!(reserve.is_low());
        reserve.give_back(drawn[0]);
        assert!(!reserve.is_low());
    }

    #[test]
    fn no_two_threads_get_the_same_block() {
        let reserve = reserve();
        let rounds = if cfg!(miri) { 20 } else { 2000 };
        let work = || {
            for round in 0..rounds {
                let mine = [(); 8].map(|()| reserve.draw(layout(200, 8)));
                for (at, block) in mine.iter().enumerate() {
                    // SAFETY: it was given out to this thread alone.
                    unsafe { ptr::write_bytes(*block, (round + at) as u8, 200) };
                }
                for (at, block) in mine.iter().enumerate() {
                    // SAFETY: as above, and it was written.
                    let bytes = unsafe { std::slice::from_raw_parts(*block, 200) };
                    assert!(bytes.iter().all(|byte| *byte == (round + at) as u8));
                    reserve.give_back(*block);
                }
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(work)));
        });
        assert!(reserve.taken.iter().all(|word| word.load(Ordering::Relaxed) == 0));
        assert_eq!(reserve.given.load(Ordering::Relaxed), 0);
    }
}
