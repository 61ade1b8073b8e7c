//! Locks, atomics and threads of the product, and of the parts whose interleavings are modelled:
//! ours and the standard library's in the product, loom's in a model (`RUSTFLAGS="--cfg loom"`),
//! those of a scheduler in a simulation (`RUSTFLAGS="--cfg simulated"`). For ThreadSanitizer
//! (`--cfg tsan`), fences are ones that it sees.
//!
//! Every lock has a [`Rank`], and debug builds check that they are taken in that order.

#[cfg(tsan)]
#[forbid(unsafe_code)]
pub mod atomic;
#[cfg(any(not(simulated), loom))]
#[allow(unsafe_code, reason = "the kernel is asked for a fence")]
#[cfg_attr(loom, allow(dead_code, reason = "models use it, and nothing else"))]
mod barrier;
#[cfg(any(not(simulated), loom))]
#[allow(unsafe_code, reason = "what is a lock says so")]
#[cfg_attr(loom, allow(dead_code, reason = "models use it, and nothing else"))]
mod biased;
#[cfg(any(not(simulated), loom))]
#[forbid(unsafe_code)]
#[cfg_attr(loom, allow(dead_code, reason = "models use it, and nothing else"))]
mod desk;
#[cfg(not(any(loom, simulated, tsan)))]
#[allow(unsafe_code, reason = "instructions that the language has no word for")]
mod fence;
#[cfg(not(any(loom, simulated, portable)))]
#[forbid(unsafe_code)]
mod futex;
#[cfg(all(portable, not(any(loom, simulated))))]
#[allow(unsafe_code, reason = "what is slept in is the C library's")]
mod lobby;
#[cfg(not(loom))]
#[forbid(unsafe_code)]
mod lock;
#[cfg(loom)]
#[forbid(unsafe_code)]
mod model;
#[allow(unsafe_code, reason = "instructions that the language has no word for")]
mod prefetch;
#[forbid(unsafe_code)]
mod rank;
#[cfg(any(not(simulated), loom))]
#[allow(unsafe_code, reason = "what is a lock says so")]
#[cfg_attr(loom, allow(dead_code, reason = "models use it, and nothing else"))]
mod raw;
#[cfg(any(not(simulated), loom))]
#[allow(unsafe_code, reason = "instructions that the language has no word for")]
#[cfg_attr(loom, allow(dead_code, reason = "models use it, and nothing else"))]
mod reader;
#[cfg(simulated)]
#[allow(unsafe_code, reason = "locks of a scheduler promise what others do")]
pub mod simulated;

#[cfg(all(target_os = "linux", not(any(portable, loom, simulated, tsan, miri))))]
pub use barrier::agree;
pub use prefetch::prefetch;
pub use rank::{Rank, before_io};

#[cfg(not(loom))]
pub use lock::{
    BiasedGuard, BiasedMutex, MappedRwLockReadGuard, Mutex, MutexGuard, RwLock, RwLockReadGuard,
};

#[cfg(all(portable, not(any(loom, simulated))))]
pub use lobby::begin_child;

#[cfg(loom)]
pub use loom::sync::atomic;
#[cfg(loom)]
pub use loom::{hint::spin_loop, thread, thread::yield_now};
#[cfg(loom)]
pub use model::{Mutex, Mutex as BiasedMutex};

#[cfg(simulated)]
pub use simulated::{
    OnceCell, OnceLock, SegQueue, atomic, spin_loop, spin_loop as yield_now, thread,
};

#[cfg(not(any(loom, simulated)))]
pub use {
    crossbeam_queue::SegQueue, once_cell::sync::OnceCell, std::hint::spin_loop,
    std::sync::OnceLock, std::thread, std::thread::yield_now,
};

#[cfg(not(any(loom, simulated, tsan)))]
pub mod atomic {
    pub use super::fence::fence;
    pub use std::sync::atomic::*;
}
