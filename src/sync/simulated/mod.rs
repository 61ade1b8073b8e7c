//! What stands for locks, atomics and threads when a seed decides everything
//! (`RUSTFLAGS="--cfg simulated"`): one thread at a time runs, and each of these operations is a
//! place where another one may go on instead.
//!
//! Outside of a simulation all of them work for the one thread that there is.

#[allow(dead_code, reason = "all of them have all operations")]
pub mod atomic;
pub mod ending;
pub mod history;
mod once;
pub mod parking_lot;
mod queue;
pub mod random;
pub mod scheduler;
pub mod thread;
mod turn;

/// A lock that the scheduler does not know: for what is never held while the turn is given away.
pub use ::parking_lot::Mutex as Plain;
pub use once::{OnceCell, OnceLock};
pub use queue::SegQueue;

/// A turn of a loop that waits without sleeping.
pub fn spin_loop() {
    scheduler::spin();
}
