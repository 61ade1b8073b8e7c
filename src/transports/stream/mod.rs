//! Everything that transports over OS streams share: greeting, gathering, reading, connecting
//! again, listening. What they differ in is behind [`Wire`], [`Greeter`] and [`Format`].

mod background;
mod connection;
mod dialer;
mod envelope;
mod greeting;
mod inbound;
mod listener;
mod outbound;
mod rhythm;
mod scratch;
mod wire;

pub use dialer::{Dialer, HostName, Target};
pub use envelope::{Envelope, PREFIX_MAX, Prefix};
pub use listener::Listener;
pub use wire::{Format, Greeter, Heard, Welcome, Wire};
