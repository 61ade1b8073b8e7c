//! Everything that transports over OS streams share: greeting, gathering, reading, connecting
//! again, listening. What they differ in is behind [`Wire`], [`Greeter`] and [`Format`].

mod background;
mod batch;
mod connection;
mod dialer;
mod envelope;
mod greeting;
mod inbound;
mod listener;
mod mask;
mod outbound;
mod rhythm;
mod scratch;
mod wire;

pub use dialer::{Dialer, HostName, Target};
pub use envelope::{Envelope, PREFIX_MAX, Place, Prefix};
#[cfg(any(test, fuzzing))]
pub use inbound::Inbound;
pub use inbound::{BIG, Partial, Store};
pub use listener::{Bound, Listener};
pub use mask::Mask;
pub use rhythm::{PAUSE, STREAM};
pub use wire::{Decline, Format, Greeter, Heard, Welcome, Wire};
