//! Small blocks that nobody uses at the moment. Each thread keeps some on trays, by their size, to
//! which nobody else comes.
//!
//! What one thread takes and another gives back, as who sends and who receives do, malloc(3) has to
//! carry back block by block, which costs several times what all the rest of a message does. So a
//! full tray goes to the stock as a whole, and who has none left gets it there: threads meet once
//! for a tray, and not for each block.
//!
//! A thread keeps two trays of a size at most, and gives them back when it ends; those in the stock
//! rest there no longer than big blocks do.

use std::cell::RefCell;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use super::block::Block;
use super::sizes::Sizes;
use super::stock::Stock;
use super::{OutOfMemory, STOCK};

/// A block of at least `size` bytes, of which nobody keeps more than a few for himself.
///
/// # Errors
/// When that much memory cannot be had.
#[inline]
pub fn take_small(size: usize) -> Result<Block, OutOfMemory> {
    let Some(place) = SIZES.number(size) else { return ask_system(size) };
    let kept = with_trays(|trays| trays.take(place, &STOCK)).flatten();
    match kept {
        Some(start) => Ok(Block { start, size: SIZES.size(place) }),
        None => ask_system(SIZES.size(place)),
    }
}

/// # Safety
/// The block came from [`take_small`], and nobody uses it any more.
#[inline]
pub unsafe fn give_back_small(block: Block) {
    let Block { start, size } = block;
    let place = SIZES.number(size).filter(|place| SIZES.size(*place) == size);
    // SAFETY: forwarded from our own contract.
    let keep = |place| with_trays(|trays| unsafe { trays.give(place, start, &STOCK) });
    if place.and_then(keep) != Some(true) {
        // SAFETY: forwarded from our own contract.
        unsafe { Block { start, size }.free() };
    }
}

/// From now on threads keep blocks that `at_thread_end` can have a function called for when they
/// end.
pub fn keep_trays(at_thread_end: AtThreadEnd) {
    let _ = AT_THREAD_END.set(at_thread_end);
}

/// What one thread keeps.
struct Trays {
    keeping: Keeping,
    of_size: [Pair; SIZES.count()],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// Nobody has asked yet whether it will be told of its end.
    Unsure,
    Kept,
    /// It will not be, or has been.
    Never,
}

/// The trays for blocks of one size.
#[derive(Clone, Copy)]
struct Pair {
    /// The blocks on the first one: each begins with the address of the next.
    first: *mut Link,
    count: usize,
    /// The other one, which is full, or null.
    full: *mut Link,
}

struct Link {
    next: *mut Link,
}

impl Trays {
    const fn new() -> Trays {
        let none = Pair { first: ptr::null_mut(), count: 0, full: ptr::null_mut() };
        Trays { keeping: Keeping::Unsure, of_size: [none; SIZES.count()] }
    }

    #[inline]
    fn take(&mut self, place: usize, stock: &Stock) -> Option<NonNull<u8>> {
        if self.of_size[place].first.is_null() {
            self.fetch(place, stock);
        }
        let pair = &mut self.of_size[place];
        let block = NonNull::new(pair.first)?;
        // SAFETY: a block on a tray begins with a link.
        pair.first = unsafe { block.as_ref() }.next;
        pair.count -= 1;
        Some(block.cast())
    }

    #[inline(never)]
    fn fetch(&mut self, place: usize, stock: &Stock) {
        let pair = &mut self.of_size[place];
        let mut tray = std::mem::replace(&mut pair.full, ptr::null_mut());
        if tray.is_null() && self.is_kept() {
            tray = stock.take_tray(place).map_or(ptr::null_mut(), |tray| tray.as_ptr().cast());
        }
        if !tray.is_null() {
            let pair = &mut self.of_size[place];
            (pair.first, pair.count) = (tray, blocks_in(place));
        }
    }

    /// False when it is not kept.
    ///
    /// # Safety
    /// The block has the size of that place and came from the system, and nobody uses it any more.
    #[inline]
    unsafe fn give(&mut self, place: usize, start: NonNull<u8>, stock: &Stock) -> bool {
        let is_first_full = self.of_size[place].count == blocks_in(place);
        if self.keeping != Keeping::Kept || is_first_full {
            if !self.is_kept() {
                return false;
            }
            self.hand_on(place, stock);
        }
        let pair = &mut self.of_size[place];
        let block = start.cast::<Link>();
        // SAFETY: any block has room for a link, and is aligned for it; this one is ours.
        unsafe { block.write(Link { next: pair.first }) };
        pair.first = block.as_ptr();
        pair.count += 1;
        true
    }

    /// Makes room on the first tray.
    #[inline(never)]
    fn hand_on(&mut self, place: usize, stock: &Stock) {
        let pair = &mut self.of_size[place];
        if pair.count < blocks_in(place) {
            return;
        }
        let first = std::mem::replace(&mut pair.first, ptr::null_mut());
        let full = NonNull::new(std::mem::replace(&mut pair.full, first));
        pair.count = 0;
        if let Some(full) = full.map(NonNull::cast)
            && !stock.put_tray(place, full)
        {
            // SAFETY: it is a tray of that size, and was ours.
            unsafe { free_tray(place, full) };
        }
    }

    fn is_kept(&mut self) -> bool {
        if self.keeping == Keeping::Unsure {
            // Constructors of a program may run before the library is ready.
            let Some(at_thread_end) = AT_THREAD_END.get() else { return false };
            let can_be = at_thread_end(leave);
            self.keeping = if can_be { Keeping::Kept } else { Keeping::Never };
        }
        self.keeping == Keeping::Kept
    }

    /// Gives all back, and keeps no more.
    fn end(&mut self) {
        self.keeping = Keeping::Never;
        for place in 0..SIZES.count() {
            let pair = std::mem::replace(&mut self.of_size[place], Trays::new().of_size[place]);
            for tray in [pair.first, pair.full].into_iter().filter_map(NonNull::new) {
                // SAFETY: blocks of that size are linked there, and were ours.
                unsafe { free_tray(place, tray.cast()) };
            }
        }
    }
}

/// # Safety
/// Blocks of the size of that place are linked there, came from the system, and are nobody's.
pub(super) unsafe fn free_tray(place: usize, tray: NonNull<u8>) {
    let mut next = tray.as_ptr().cast::<Link>();
    while let Some(block) = NonNull::new(next) {
        // SAFETY: a block on a tray begins with a link.
        next = unsafe { block.as_ref() }.next;
        // SAFETY: forwarded from our own contract.
        unsafe { Block { start: block.cast(), size: SIZES.size(place) }.free() };
    }
}

fn leave() {
    with_trays(Trays::end);
}

/// Nothing where a signal handler has come in between, or has jumped away from there.
#[inline]
fn with_trays<T>(change: impl FnOnce(&mut Trays) -> T) -> Option<T> {
    TRAYS.with(|trays| Some(change(&mut *trays.try_borrow_mut().ok()?)))
}

#[inline(never)]
fn ask_system(size: usize) -> Result<Block, OutOfMemory> {
    Block::ask(size, || STOCK.clear())
}

/// How many blocks a full tray has.
#[inline]
const fn blocks_in(place: usize) -> usize {
    let count = TRAY_BYTES / SIZES.size(place);
    if count < 2 { 2 } else { count }
}

/// What a full tray takes.
pub(super) const fn bytes_in(place: usize) -> usize {
    blocks_in(place) * SIZES.size(place)
}

// Without a destructor: the C library would have to allocate for that, and end the process when it
// cannot.
thread_local! {
    static TRAYS: RefCell<Trays> = const { RefCell::new(Trays::new()) };
}

/// Has a function called when the calling thread ends. False when that cannot be had.
type AtThreadEnd = fn(tidy: fn()) -> bool;

static AT_THREAD_END: OnceLock<AtThreadEnd> = OnceLock::new();

/// Smaller ones are cheap to have, larger ones lie in the stock one by one.
pub(super) const SIZES: Sizes = Sizes { min: 64, max: 16 * 1024, extra: 64 };
/// What a full tray takes about.
const TRAY_BYTES: usize = 8 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    impl Trays {
        /// Those of a thread that is told of its end.
        fn kept() -> Trays {
            Trays { keeping: Keeping::Kept, ..Trays::new() }
        }

        fn take_or_ask(&mut self, place: usize, stock: &Stock) -> NonNull<u8> {
            self.take(place, stock).unwrap_or_else(|| ask_system(SIZES.size(place)).unwrap().start)
        }

        fn put(&mut self, place: usize, start: NonNull<u8>, stock: &Stock) {
            // SAFETY: tests give what they had for that place, once.
            if !unsafe { self.give(place, start, stock) } {
                // SAFETY: as above.
                unsafe { Block { start, size: SIZES.size(place) }.free() };
            }
        }
    }

    /// A block on its way to another thread.
    struct Given(NonNull<u8>);

    // SAFETY: who gives it does not use it any more.
    unsafe impl Send for Given {}

    fn open() -> Stock {
        let stock = Stock::new();
        stock.open();
        stock
    }

    #[test]
    fn no_tray_takes_much_more_than_another() {
        let most = |place| TRAY_BYTES.max(2 * SIZES.size(place));
        assert!((0..SIZES.count()).all(|place| bytes_in(place) <= most(place)));
    }

    #[test]
    fn what_is_given_back_is_the_next_to_be_taken() {
        let (mut trays, stock) = (Trays::kept(), Stock::new());
        let count = 2 * blocks_in(5);
        let mut all: Vec<_> = (0..count).map(|_| trays.take_or_ask(5, &stock)).collect();
        all.iter().for_each(|start| trays.put(5, *start, &stock));
        assert!(trays.take(6, &stock).is_none(), "they have another size");
        let again: Vec<_> = (0..count).map(|_| trays.take(5, &stock).unwrap()).collect();
        all.reverse();
        // One that is full is emptied before the other one.
        assert_eq!(all, again);
        assert!(trays.take(5, &stock).is_none());
        again.into_iter().for_each(|start| trays.put(5, start, &stock));
        trays.end();
    }

    #[test]
    fn no_more_than_two_trays_stay_where_there_is_no_stock_for_them() {
        let (mut trays, stock) = (Trays::kept(), Stock::new());
        for place in [0, 3, SIZES.count() - 1] {
            let count = 10 * blocks_in(place);
            let all: Vec<_> = (0..count).map(|_| trays.take_or_ask(place, &stock)).collect();
            all.into_iter().for_each(|start| trays.put(place, start, &stock));
            assert!(stock.wants_to_open() && stock.kept() == 0);
            let left = || trays.take(place, &stock);
            let left: Vec<_> = std::iter::from_fn(left).collect();
            assert_eq!(left.len(), 2 * blocks_in(place));
            left.into_iter().for_each(|start| trays.put(place, start, &stock));
        }
        trays.end();
    }

    #[test]
    fn full_trays_go_from_who_receives_to_who_sends_and_rest_no_longer_than_others() {
        let (mut from, mut to, stock) = (Trays::kept(), Trays::kept(), open());
        let count = 5 * blocks_in(4);
        let all: Vec<_> = (0..count).map(|_| from.take_or_ask(4, &stock)).collect();
        all.iter().for_each(|start| to.put(4, *start, &stock));
        assert_eq!(stock.kept(), 3 * bytes_in(4));
        let again = |from: &mut Trays| from.take(4, &stock);
        let again: Vec<_> = std::iter::from_fn(|| again(&mut from)).collect();
        assert!(again.len() == 3 * blocks_in(4) && again.iter().all(|start| all.contains(start)));
        assert_eq!(stock.kept(), 0);
        again.into_iter().for_each(|start| to.put(4, start, &stock));
        assert!(stock.kept() > 0 && stock.look() && !stock.look());
        assert_eq!(stock.kept(), 0);
        [from, to].iter_mut().for_each(Trays::end);
    }

    #[test]
    fn a_child_counts_the_trays_that_its_parent_has_kept() {
        let (mut trays, stock) = (Trays::kept(), open());
        let all: Vec<_> = (0..3 * blocks_in(4)).map(|_| trays.take_or_ask(4, &stock)).collect();
        all.into_iter().for_each(|start| trays.put(4, start, &stock));
        stock.begin_child();
        assert_eq!(stock.kept(), bytes_in(4));
        assert!(stock.clear());
        assert_eq!(stock.kept(), 0);
        trays.end();
    }

    #[test]
    fn a_thread_that_is_not_told_of_its_end_or_has_ended_keeps_nothing() {
        for keeping in [Keeping::Never, Keeping::Kept] {
            let (mut trays, stock) = (Trays { keeping, ..Trays::new() }, open());
            trays.end();
            let start = trays.take_or_ask(4, &stock);
            // SAFETY: it is from there, and given once.
            let is_kept = unsafe { trays.give(4, start, &stock) };
            assert!(!is_kept && trays.take(4, &stock).is_none());
            // SAFETY: as above.
            unsafe { Block { start, size: SIZES.size(4) }.free() };
        }
    }

    #[test]
    fn no_two_threads_have_the_same_block() {
        let (stock, is_over) = (open(), AtomicBool::new(false));
        let (hand, handed) = std::sync::mpsc::sync_channel::<(Given, u8)>(100);
        let rounds = if cfg!(miri) { 200 } else { 50_000 };
        let send = move |stock: &Stock| {
            let mut trays = Trays::kept();
            for round in 0..rounds {
                let start = trays.take_or_ask(4, stock);
                // SAFETY: the block has at least that many bytes, and is this thread's.
                unsafe { ptr::write_bytes(start.as_ptr(), round as u8, 100) };
                hand.send((Given(start), round as u8)).unwrap();
            }
            drop(hand);
            trays.end();
        };
        let receive = move |stock: &Stock| {
            let mut trays = Trays::kept();
            for (Given(start), number) in handed {
                // SAFETY: as above, and it was written.
                let bytes: &[u8] = unsafe { std::slice::from_raw_parts(start.as_ptr(), 100) };
                assert!(bytes.iter().all(|byte| *byte == number));
                trays.put(4, start, stock);
            }
            trays.end();
        };
        let upset = || {
            while !is_over.load(Ordering::Relaxed) {
                stock.look();
                stock.clear();
                stock.open();
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            let upsetting = scope.spawn(upset);
            let receiving = scope.spawn(|| receive(&stock));
            scope.spawn(|| send(&stock)).join().unwrap();
            receiving.join().unwrap();
            is_over.store(true, Ordering::Relaxed);
            upsetting.join().unwrap();
        });
        stock.close();
        assert_eq!(stock.kept(), 0);
    }

    #[test]
    fn a_thread_keeps_its_own_until_it_ends() {
        std::thread::spawn(|| {
            let block = take_small(1000).unwrap();
            let start = block.start;
            // SAFETY: it came from there, and is given once.
            unsafe { give_back_small(block) };
            let is_kept = with_trays(|trays| trays.keeping == Keeping::Kept).unwrap();
            assert_eq!(is_kept, !cfg!(miri), "the end of threads is told where there is a process");
            let again = take_small(900).unwrap();
            assert!(again.start == start || !is_kept);
            // SAFETY: as above.
            unsafe { give_back_small(again) };
            leave();
            let count = with_trays(|trays| trays.of_size.iter().map(|pair| pair.count).sum());
            assert_eq!(count, Some(0));
        })
        .join()
        .unwrap();
    }
}
