//! What C sees: the constants and types of the public headers, one file per header.
//!
//! `build.rs` makes the headers from these files, in the order in which things stand here, and
//! their doc comments become the comments of the headers. No file holds anything else.

#![allow(non_camel_case_types, reason = "C spells its types this way")]

pub mod bus;
pub mod inproc;
pub mod ipc;
pub mod nn;
pub mod pair;
pub mod pipeline;
pub mod pubsub;
pub mod reqrep;
pub mod spmsg;
pub mod survey;
pub mod tcp;
pub mod unix;
pub mod winpipe;
pub mod ws;
