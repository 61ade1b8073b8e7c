//! What threads do at once with the stock, in every order: the same source once more, over loom's
//! atomics, and so small that there is an end to it.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use self::stock::Stock;
use super::block::{self, Block};
use super::{OutOfMemory, sizes, trays};

#[allow(dead_code, reason = "a model is no process, and does not fork or fill a shelf")]
#[path = "stock.rs"]
mod stock;

/// loom's, which are made when they are first used: nothing of theirs is there before a model runs.
mod atomics {
    use std::sync::OnceLock;

    use loom::sync::atomic;
    pub use loom::sync::atomic::{Ordering, fence};

    #[derive(Debug)]
    pub struct Lazy<T, A> {
        first: T,
        atomic: OnceLock<A>,
    }

    pub type AtomicBool = Lazy<bool, atomic::AtomicBool>;
    pub type AtomicUsize = Lazy<usize, atomic::AtomicUsize>;
    pub type AtomicPtr<T> = Lazy<Address<T>, atomic::AtomicPtr<T>>;

    /// A pointer that is only a number here.
    #[derive(Debug)]
    pub struct Address<T>(*mut T);

    // SAFETY: nobody reads or writes what it points to.
    unsafe impl<T> Sync for Address<T> {}

    impl Lazy<bool, atomic::AtomicBool> {
        pub const fn new(first: bool) -> AtomicBool {
            Lazy { first, atomic: OnceLock::new() }
        }
    }

    impl Lazy<usize, atomic::AtomicUsize> {
        pub const fn new(first: usize) -> AtomicUsize {
            Lazy { first, atomic: OnceLock::new() }
        }
    }

    impl<T> Lazy<Address<T>, atomic::AtomicPtr<T>> {
        pub const fn new(first: *mut T) -> AtomicPtr<T> {
            Lazy { first: Address(first), atomic: OnceLock::new() }
        }
    }

    impl std::ops::Deref for Lazy<bool, atomic::AtomicBool> {
        type Target = atomic::AtomicBool;

        fn deref(&self) -> &atomic::AtomicBool {
            self.atomic.get_or_init(|| atomic::AtomicBool::new(self.first))
        }
    }

    impl std::ops::Deref for Lazy<usize, atomic::AtomicUsize> {
        type Target = atomic::AtomicUsize;

        fn deref(&self) -> &atomic::AtomicUsize {
            self.atomic.get_or_init(|| atomic::AtomicUsize::new(self.first))
        }
    }

    impl<T> std::ops::Deref for Lazy<Address<T>, atomic::AtomicPtr<T>> {
        type Target = atomic::AtomicPtr<T>;

        fn deref(&self) -> &atomic::AtomicPtr<T> {
            self.atomic.get_or_init(|| atomic::AtomicPtr::new(self.first.0))
        }
    }
}

const SIZE: usize = 20_000;

/// An open stock, blocks that come from it, and who uses each of them.
struct Model {
    stock: Stock,
    used: Vec<(usize, UnsafeCell<u32>)>,
}

// SAFETY: the cells are what the model checks: loom fails it when two threads use one at once.
unsafe impl Sync for Model {}
// SAFETY: as above.
unsafe impl Send for Model {}

impl Model {
    /// So many blocks are kept, and none is somebody's.
    fn with(kept: usize) -> Arc<Model> {
        let stock = Stock::new();
        // By this thread, before there are others: else whoever came first would be seen to have
        // done everything before that.
        stock.begin_child();
        assert!(!stock.wants_to_open() && !stock.look());
        stock.open();
        let blocks: Vec<_> = (0..kept).map(|_| stock.take_fresh(SIZE).unwrap()).collect();
        let cell = |block: &Block| (block.start.as_ptr() as usize, UnsafeCell::new(0));
        let used = blocks.iter().map(cell).collect();
        blocks.into_iter().for_each(|block| give(&stock, block));
        Arc::new(Model { stock, used })
    }

    /// Has a block, writes to it and gives it back. True when it was one of those that were kept.
    fn use_one(&self) -> bool {
        let block = self.stock.take(SIZE).unwrap();
        let start = block.start.as_ptr() as usize;
        let known = self.used.iter().find(|(address, _)| *address == start);
        // SAFETY: nobody else has the block, which is what loom checks.
        known.inspect(|(_, cell)| cell.with_mut(|count| unsafe { *count += 1 }));
        let is_known = known.is_some();
        give(&self.stock, block);
        is_known
    }
}

fn give(stock: &Stock, block: Block) {
    // SAFETY: it came from this stock, and is given once.
    unsafe { stock.give_back(block) };
}

#[test]
fn model_a_block_is_one_threads_at_a_time() {
    loom::model(|| {
        let model = Model::with(2);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert!(model.use_one()))
        };
        assert!(model.use_one(), "one of two is there for each of two");
        other.join().unwrap();
        assert!(model.stock.clear());
        assert_eq!(model.stock.kept(), 0);
    });
}

#[test]
fn model_what_one_has_written_the_next_one_has() {
    loom::model(|| {
        let model = Model::with(1);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.use_one())
        };
        let mut known = usize::from(model.use_one());
        known += usize::from(other.join().unwrap());
        assert!(known > 0, "nobody has had it");
        model.stock.close();
        assert_eq!(model.stock.kept(), 0);
    });
}

#[test]
fn model_nothing_is_kept_behind_a_close() {
    loom::model(|| {
        let model = Model::with(1);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || give(&model.stock, model.stock.take_fresh(SIZE).unwrap()))
        };
        model.stock.close();
        other.join().unwrap();
        assert!(!model.stock.clear(), "a block was put there behind the close");
        assert_eq!(model.stock.kept(), 0);
    });
}

#[test]
fn model_no_more_is_kept_than_the_bound() {
    loom::model(|| {
        let model = Model::with(1);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || give(&model.stock, model.stock.take_fresh(SIZE).unwrap()))
        };
        give(&model.stock, model.stock.take_fresh(SIZE).unwrap());
        other.join().unwrap();
        // Who comes second to the last place keeps nothing, and counts nothing.
        assert_eq!(model.stock.count(), 2);
        assert!(model.stock.clear());
        assert_eq!(model.stock.kept(), 0);
    });
}
