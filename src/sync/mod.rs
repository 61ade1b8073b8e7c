//! Locks, atomics and threads of the product, and of the parts whose interleavings are modelled:
//! parking_lot's and the standard library's in the product, loom's in a model
//! (`RUSTFLAGS="--cfg loom"`), those of a scheduler in a simulation
//! (`RUSTFLAGS="--cfg simulated"`). For ThreadSanitizer (`--cfg tsan`), fences are ones that it
//! sees.
//!
//! Every lock has a [`Rank`], and debug builds check that they are taken in that order.

#[cfg(tsan)]
pub mod atomic;
#[cfg(not(loom))]
mod lock;
#[cfg(loom)]
mod model;
mod rank;
#[cfg(simulated)]
pub mod simulated;

pub use rank::{Rank, before_io};

#[cfg(not(loom))]
pub use lock::{MappedRwLockReadGuard, Mutex, MutexGuard, RwLock, RwLockReadGuard};

#[cfg(loom)]
pub use loom::sync::atomic;
#[cfg(loom)]
pub use model::Mutex;

#[cfg(simulated)]
pub use simulated::{OnceCell, OnceLock, SegQueue, atomic, spin_loop, thread};

#[cfg(not(any(loom, simulated)))]
pub use {
    crossbeam_queue::SegQueue, once_cell::sync::OnceCell, std::hint::spin_loop,
    std::sync::OnceLock, std::thread,
};

#[cfg(not(any(loom, simulated, tsan)))]
pub use std::sync::atomic;
