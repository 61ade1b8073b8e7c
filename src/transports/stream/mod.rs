//! Everything that transports over streams share: greeting, gathering, reading, connecting again,
//! listening. What they differ in is behind [`Wire`] and [`Greeter`] while a connection begins, and
//! behind [`Encoder`] and [`Decoder`] from then on. What carries the bytes is behind
//! [`byte_stream::ByteStream`].

mod adopted;
mod arrival;
mod attended;
mod batch;
mod beginning;
mod byte_stream;
mod circumstances;
mod codec;
mod connection;
mod dialer;
mod driver;
mod ending;
#[cfg(test)]
mod fixtures;
mod greeter;
mod greeting;
mod held;
mod inbox;
mod interjection;
mod landing;
mod listener;
mod loan;
mod looks;
mod muster;
mod patience;
mod pieces;
mod pulse;
mod queue;
mod ration;
mod reader;
mod readership;
mod runs;
pub mod scratch;
mod staying;
mod store;
mod tally;
mod urgency;
mod watch;
mod width;
mod writer;
mod written;

pub use adopted::Adopted;
#[cfg(any(test, fuzzing))]
pub use arrival::News;
pub use attended::Wishes;
pub use byte_stream::{Awaits, ByteStream, Sink, Source};
pub use codec::{
    Codec, Decoder, Encoder, Farewell, Front, PREFIX_MAX, Parting, Place, Prefix, Tag, Veil,
    Violation,
};
pub use dialer::{Dialer, HostName, Target};
pub use greeter::{Claim, Decline, Greeter, Heard, Welcome, Wire};
#[cfg(test)]
pub use landing::Visitor;
pub use listener::{Bound, Listener};
#[cfg(any(test, fuzzing))]
pub use reader::Reader;
#[cfg(test)]
pub use store::FIRST_CAPACITY;
pub use store::{BIG, Partial, Store};
