//! The kernel by what every Unix has, behind the same names as Linux's own: on all other systems,
//! and on Linux with `RUSTFLAGS="--cfg portable"`. doc/platforms.md tells what that costs.

mod bells;
mod conversation;
pub mod epoll;
pub mod event_fd;
pub mod file;
pub mod futex;
pub mod kernel;
pub mod nap;
mod watched;
