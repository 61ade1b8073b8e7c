//! The wire format that tcp and ipc share: eight bytes of greeting, then messages with their
//! length in front. Pure.

pub mod frame;
mod greeter;
pub(super) mod handshake;
