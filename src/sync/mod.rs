//! Locks, atomics and threads of the product, and of the parts whose interleavings are modelled:
//! parking_lot's and the standard library's in the product, loom's in a model
//! (`RUSTFLAGS="--cfg loom"`). For ThreadSanitizer (`--cfg tsan`), fences are ones that it sees.
//!
//! Every lock has a [`Rank`], and debug builds check that they are taken in that order.

#[cfg(tsan)]
pub mod atomic;
#[cfg(not(loom))]
mod lock;
#[cfg(loom)]
mod model;
mod rank;

#[cfg(not(loom))]
pub use crossbeam_queue::SegQueue;
#[cfg(not(loom))]
pub use lock::{MappedRwLockReadGuard, Mutex, MutexGuard, RwLock, RwLockReadGuard};
#[cfg(loom)]
pub use loom::sync::atomic;
#[cfg(loom)]
pub use model::Mutex;
#[cfg(not(loom))]
pub use once_cell::sync::OnceCell;
pub use rank::{Rank, before_io};
#[cfg(not(loom))]
pub use std::hint::spin_loop;
#[cfg(not(loom))]
pub use std::sync::OnceLock;
#[cfg(not(any(loom, tsan)))]
pub use std::sync::atomic;
#[cfg(not(loom))]
pub use std::thread;
