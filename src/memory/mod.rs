//! Memory that cannot be had: what stands in for it, and how everybody finds out.
//!
//! The collections of the standard library end the process when there is no memory, so that every
//! allocation that says nothing of failures would be an abort. Here are the two ways around it:
//!
//! * What may be big, lives long or comes often (messages, queues, heads that strangers send) is
//!   had by [`reserve()`] or [`shared`], which fail. `testing/layering.rs` keeps `try_reserve` from
//!   being called elsewhere.
//! * All the rest is small. When the allocator has nothing, it comes out of the process's own
//!   `Reserve`, and the thread is marked. Who sets something up, such as a socket or a
//!   connection, looks at the mark when it has finished ([`Attempt`]): what was made with the help
//!   of the reserve is taken back at once, and the call says so. So the reserve is lent for
//!   moments, and what runs already can go on.
//!
//! doc/failures.md tells what cannot be covered, and why.

mod allocator;
mod block;
#[cfg(all(test, loom))]
mod models;
mod reserve;
mod sizes;
mod stock;
mod trays;
mod wiped;

/// The machine's. A model has others in their place.
mod atomics {
    pub use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
}

use std::cell::Cell;
use std::collections::{HashMap, TryReserveError, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::Arc;

use self::allocator::Allocator;
use self::reserve::Reserve;
use self::stock::Stock;

pub use self::block::Block;
pub use self::trays::{give_back_small, keep_trays, take_small};
pub use self::wiped::Wiped;

/// Memory cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Something is being set up by the calling thread, which is given up when it takes more memory
/// than the process has.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// How often this thread had drawn on the reserve before.
    draws: u32,
}

impl Attempt {
    /// # Errors
    /// When too little is left of the reserve to try it at all, and there is no other memory.
    pub fn begin() -> Result<Attempt, OutOfMemory> {
        if RESERVE.is_low() && !allocator::has_plenty() {
            return Err(OutOfMemory);
        }
        Ok(Attempt::watch())
    }

    /// Begins without a look at what is left: what is done takes little, and may be given up.
    #[must_use]
    pub fn watch() -> Attempt {
        Attempt { draws: DRAWS.get() }
    }

    /// # Errors
    /// When the allocator had nothing at least once since the beginning.
    pub fn check(self) -> Result<(), OutOfMemory> {
        if DRAWS.get() == self.draws { Ok(()) } else { Err(OutOfMemory) }
    }
}

/// Finds its seed without the kernel, which may have none. No peer chooses a key in our tables.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// A collection that can be told in advance how much will come.
pub trait Roomy {
    fn has_room_for(&self, more: usize) -> bool;

    /// # Errors
    /// When memory cannot be had.
    fn make_room(&mut self, more: usize) -> Result<(), TryReserveError>;
}

impl<T> Roomy for Vec<T> {
    #[inline]
    fn has_room_for(&self, more: usize) -> bool {
        self.capacity() - self.len() >= more
    }

    fn make_room(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.try_reserve(more)
    }
}

impl<T> Roomy for VecDeque<T> {
    #[inline]
    fn has_room_for(&self, more: usize) -> bool {
        self.capacity() - self.len() >= more
    }

    fn make_room(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.try_reserve(more)
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Roomy for HashMap<K, V, S> {
    #[inline]
    fn has_room_for(&self, more: usize) -> bool {
        self.capacity() - self.len() >= more
    }

    fn make_room(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.try_reserve(more)
    }
}

/// Makes sure that `more` can be added without another allocation, and never out of the reserve.
///
/// # Errors
/// When memory cannot be had; the collection is unchanged.
#[inline]
pub fn reserve(collection: &mut impl Roomy, more: usize) -> Result<(), OutOfMemory> {
    if collection.has_room_for(more) { Ok(()) } else { grow(collection, more) }
}

#[cold]
#[inline(never)]
fn grow(collection: &mut impl Roomy, more: usize) -> Result<(), OutOfMemory> {
    without_reserve(|| collection.make_room(more)).map_err(|_| OutOfMemory)
}

/// As [`reserve()`], for a vector that will not grow again.
///
/// # Errors
/// When memory cannot be had; the vector is unchanged.
pub fn reserve_exact<T>(vector: &mut Vec<T>, more: usize) -> Result<(), OutOfMemory> {
    if vector.has_room_for(more) {
        return Ok(());
    }
    without_reserve(|| vector.try_reserve_exact(more)).map_err(|_| OutOfMemory)
}

/// A vector of what the iterator yields.
///
/// # Errors
/// When memory cannot be had.
pub fn collect<T>(items: impl Iterator<Item = T>) -> Result<Vec<T>, OutOfMemory> {
    collect_all(items.map(Ok))
}

/// The same for what may fail: the first failure is the result.
///
/// # Errors
/// As `items` say, or when memory cannot be had.
pub fn collect_all<T, E: From<OutOfMemory>>(
    items: impl Iterator<Item = Result<T, E>>,
) -> Result<Vec<T>, E> {
    let mut all = Vec::new();
    let (least, _) = items.size_hint();
    if least > 0 {
        reserve_exact(&mut all, least)?;
    }
    for item in items {
        reserve(&mut all, 1)?;
        all.push(item?);
    }
    Ok(all)
}

/// An `Arc` for whatever may live long.
///
/// # Errors
/// When memory cannot be had; the value comes back.
pub fn shared<T>(value: T) -> Result<Arc<T>, T> {
    // The standard library has no such function yet: what it gets out of the reserve is taken back.
    let attempt = Attempt::watch();
    let shared = Arc::new(value);
    match attempt.check() {
        Ok(()) => Ok(shared),
        Err(OutOfMemory) => Err(Arc::into_inner(shared).expect("nobody else has seen it")),
    }
}

/// Within the call this thread gets nothing out of the reserve.
#[cold]
fn without_reserve<T>(call: impl FnOnce() -> T) -> T {
    let before = IS_FALLIBLE.replace(true);
    let result = call();
    IS_FALLIBLE.set(before);
    result
}

// Neither has a destructor: the C library would have to allocate for that, and end the process
// when it cannot.
thread_local! {
    /// How often this thread has drawn on the reserve.
    static DRAWS: Cell<u32> = const { Cell::new(0) };
    /// Who allocates can do without.
    static IS_FALLIBLE: Cell<bool> = const { Cell::new(false) };
}

static RESERVE: Reserve = Reserve::new();
static STOCK: Stock = Stock::new();

/// Big blocks for whoever needs some.
#[must_use]
pub fn stock() -> &'static Stock {
    &STOCK
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[cfg(test)]
pub use allocator::without_memory;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_comes_out_of_the_reserve_and_is_marked() {
        let attempt = Attempt::begin().unwrap();
        let kept = without_memory(|| Box::new([7; 100]));
        assert_eq!((attempt.check(), *kept), (Err(OutOfMemory), [7; 100]));
        assert!(RESERVE.has((&raw const *kept).cast_mut().cast()));
        let attempt = Attempt::begin().unwrap();
        drop(kept);
        drop(Box::new([8; 100]));
        assert_eq!(attempt.check(), Ok(()));
    }

    #[test]
    fn what_can_fail_never_does() {
        let attempt = Attempt::begin().unwrap();
        without_memory(|| {
            assert_eq!(reserve(&mut Vec::<u8>::new(), 1), Err(OutOfMemory));
            assert_eq!(reserve(&mut VecDeque::<u8>::new(), 1), Err(OutOfMemory));
            assert_eq!(reserve(&mut Map::<u8, u8>::default(), 1), Err(OutOfMemory));
            assert_eq!(reserve_exact(&mut Vec::<u8>::new(), 1), Err(OutOfMemory));
            assert_eq!(collect([1, 2].into_iter()), Err(OutOfMemory));
            assert_eq!(attempt.check(), Ok(()));
            assert_eq!(shared("here").err(), Some("here"));
        });
        assert_eq!(collect([1, 2].into_iter()).unwrap(), [1, 2]);
        assert_eq!(*shared("there").unwrap(), "there");
        let mut full = Vec::with_capacity(3);
        without_memory(|| assert_eq!(reserve(&mut full, 3), Ok(())));
        full.extend([1, 2, 3]);
    }

    #[test]
    fn what_grows_without_memory_is_moved_and_what_there_was_is_kept() {
        let mut bytes = b"from before".to_vec();
        let place = bytes.as_ptr();
        without_memory(|| {
            bytes.extend_from_slice(&[b'x'; 500]);
            assert!(RESERVE.has(bytes.as_mut_ptr()));
            bytes.extend_from_slice(&[b'y'; 3000]);
        });
        assert_ne!(bytes.as_ptr(), place);
        bytes.extend_from_slice(&[b'z'; 100_000]);
        assert!(!RESERVE.has(bytes.as_mut_ptr()));
        assert!(bytes.starts_with(b"from beforexxx") && bytes.ends_with(b"zzz"));
        let zeroed = without_memory(|| vec![0_u8; 300]);
        assert_eq!(zeroed, [0; 300]);
    }
}
