//! Whole programs on a simulated machine: one seed decides who runs, what fails and what is sent,
//! and the same seed does it again (`RUSTFLAGS="--cfg simulated"`).
//!
//! `sync/simulated` has the scheduler, `sys/simulated` the kernel. Here are the programs that use
//! the library as C does, and those who judge what they see.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "nobody ships it, and it is watched"
)]

mod api;
mod broadcasts;
mod chaos;
mod delivery;
mod habits;
mod payload;
mod plan;
mod requests;
mod strangers;
mod surveys;
mod world;

pub use plan::{Plan, Shrinking};
pub use world::{Report, run};
