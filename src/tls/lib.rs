//! TLS for libspmsg, which loads this when an encrypted address is first used: a machine that takes
//! bytes and gives bytes, and knows neither descriptors nor sockets.
//!
//! The two talk over [`table`], which is C: each may have been made by another compiler. Nothing
//! unwinds out of here, and memory is whatever libspmsg says it is.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

#[cfg(feature = "loaded")]
#[allow(unsafe_code, reason = "an allocator")]
mod allocator;
pub mod complaint;
pub mod config;
#[cfg(test)]
mod end;
#[cfg(test)]
mod exhaustion;
#[allow(unsafe_code, reason = "the C boundary")]
pub mod exports;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod identity;
mod place;
mod provider;
#[cfg(test)]
mod records;
pub mod room;
pub mod session;
#[cfg(test)]
mod settings;
pub mod table;
#[cfg(test)]
mod tests;
mod unverified;
#[allow(unsafe_code, reason = "memory that is about to be given back")]
pub mod wiping;

#[cfg(feature = "loaded")]
#[global_allocator]
static ALLOCATOR: allocator::Forwarding = allocator::Forwarding;
