//! What moves: a message is a header of the protocol, a body of the user, and control data.
//!
//! A message has one owner. It never knows where it came from or where it goes.

mod body;
#[allow(unsafe_code, reason = "memory that C may hold")]
mod chunk;
mod header;

pub use body::Body;
pub use chunk::{Chunk, OutOfMemory};
pub use header::Header;

/// One message of the scalability protocols, header and body apart.
#[derive(Debug, Default)]
pub struct Message {
    /// The protocol's own bytes, in front of the body on the wire.
    pub header: Header,
    /// The user's bytes.
    pub body: Body,
    /// Control data as the user gave it; only some transports look at it.
    pub ancillary: Option<Chunk>,
}

impl Message {
    /// A message without header or control data.
    #[must_use]
    pub fn from_body(body: Body) -> Message {
        Message { header: Header::default(), body, ancillary: None }
    }

    /// Bytes that the message takes on a wire, without the transport's own prefix.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_fits_two_cache_lines() {
        assert!(size_of::<Message>() <= 128);
    }
}
