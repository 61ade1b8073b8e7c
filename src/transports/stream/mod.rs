//! Everything that transports over OS streams share: greeting, gathering, reading, connecting
//! again, listening. tcp and ipc differ in addresses and in one byte of framing.

mod background;
mod connection;
mod dialer;
mod greeting;
mod inbound;
mod listener;
mod outbound;
mod rhythm;
mod scratch;

pub use dialer::{Dialer, HostName, Target};
pub use listener::Listener;
