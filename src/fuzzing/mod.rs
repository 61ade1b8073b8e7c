//! What the fuzz targets of `fuzz/` run: any bytes, through the codecs, in pieces, and into
//! connections, and as calls of C. A panic is a finding, and so is an answer that depends on where
//! the bytes were cut.
//!
//! Each tells how many things it recognised, so that a sample can be known for a good one.

mod caller;
mod connections;
mod input;
mod kind;
mod ledger;
mod operations;
mod place;
mod stranger;
#[cfg(feature = "tls-fuzzing")]
mod tls_streams;

pub use connections::{connections, keep_reactor};
pub use operations::operations;
pub use place::Belongings;
#[cfg(feature = "tls-fuzzing")]
pub use tls_streams::tls_streams;

use crate::message::{Message, control};
use crate::transports::fuzzing as transports;

/// A request, as a listener judges it.
pub fn ws_request(bytes: &[u8]) -> usize {
    usize::from(transports::accepts_request(bytes))
}

/// A response, as a dialer judges it.
pub fn ws_response(bytes: &[u8]) -> usize {
    usize::from(transports::accepts_response(bytes))
}

/// Frames: the first byte says how they are cut, and who receives.
pub fn ws_frames(bytes: &[u8]) -> usize {
    let Some((first, wire)) = bytes.split_first() else { return 0 };
    let codec = if first & 1 == 0 { transports::ws_server } else { transports::ws_client };
    compare(codec, wire, usize::from(first >> 1) + 1)
}

/// Messages of tcp and ipc: the first byte says how they are cut, and which it is.
pub fn sp_messages(bytes: &[u8]) -> usize {
    let Some((first, wire)) = bytes.split_first() else { return 0 };
    let codec = if first & 1 == 0 { transports::tcp } else { transports::ipc };
    compare(codec, wire, usize::from(first >> 1) + 1)
}

/// Control data, as a caller in C may give it.
pub fn control_data(bytes: &[u8]) -> usize {
    let count = control::entries(bytes).count();
    assert!(count <= bytes.len() / control::HEAD);
    count
}

fn compare(codec: fn() -> transports::Codec, wire: &[u8], step: usize) -> usize {
    let whole = transports::receive(codec(), wire, wire.len().max(1));
    let cut = transports::receive(codec(), wire, step);
    let bodies = |messages: &[Message]| -> Vec<Vec<u8>> {
        messages.iter().map(|message| message.body.as_slice().to_vec()).collect()
    };
    assert_eq!(bodies(&whole), bodies(&cut), "read step {step}");
    whole.len()
}
