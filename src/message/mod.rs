//! What moves: a message is a header of the protocol, a body of the user, and control data.
//!
//! A message has one owner. It never knows where it came from or where it goes.

mod body;
#[allow(unsafe_code, reason = "memory that C may hold")]
mod chunk;
pub mod control;
mod freed;
mod header;
mod limit;
mod packed;
#[allow(unsafe_code, reason = "memory that C may hold")]
mod peek;
#[allow(unsafe_code, reason = "memory of callers")]
mod room;

pub use crate::memory::OutOfMemory;
pub use body::Body;
pub use chunk::{Chunk, Lender, Lent, Memory, SharedChunk};
pub use header::Header;
pub use limit::Limit;
pub use packed::{PACKED_MAX, PACKED_MIN};
pub use room::{Landed, Landing, Room};

/// One message of the scalability protocols, header and body apart.
#[derive(Debug, Default)]
pub struct Message {
    /// The protocol's own bytes, in front of the body on the wire. Where a message comes off a
    /// wire they are still a part of the body: only the protocol knows where they end.
    pub header: Header,
    /// The user's bytes.
    pub body: Body,
    /// Control data as the user gave it; only some transports look at it.
    pub ancillary: Option<Chunk>,
    /// Of a message to receive into: whether somebody looks at its control data.
    pub control: Control,
}

/// Whether control data are made for a message that arrives. Making them costs memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Control {
    #[default]
    Wanted,
    Unwanted,
}

impl Message {
    /// A message without header or control data.
    #[must_use]
    pub fn from_body(body: Body) -> Message {
        Message { body, ..Message::default() }
    }

    /// One to receive into for who looks at nothing but the body.
    #[must_use]
    #[inline]
    pub fn without_control() -> Message {
        Message { control: Control::Unwanted, ..Message::default() }
    }

    /// Another message that says the same. A big body is shared with this one.
    ///
    /// # Errors
    /// When memory for the control data, or for a body that is lent, cannot be had.
    pub fn share(&mut self) -> Result<Message, OutOfMemory> {
        let ancillary = match &self.ancillary {
            Some(ancillary) => Some(Chunk::copy_from(ancillary.as_slice())?),
            None => None,
        };
        let (header, body) = (self.header.clone(), self.body.share()?);
        Ok(Message { header, body, ancillary, ..Message::default() })
    }

    /// Whether it has no memory but its own: to drop it would do nothing.
    #[must_use]
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.is_small() && self.ancillary.is_none()
    }

    /// Puts the header in front of the body, where it stands on a wire: to whom it means nothing,
    /// it is a part of what the peer said.
    ///
    /// # Errors
    /// When memory for both cannot be had; the message is unchanged.
    #[inline]
    pub fn join(&mut self) -> Result<(), OutOfMemory> {
        if self.header.is_empty() { Ok(()) } else { self.join_both() }
    }

    #[inline(never)]
    fn join_both(&mut self) -> Result<(), OutOfMemory> {
        let parts = [self.header.as_slice(), self.body.as_slice()];
        self.body = Body::concat(self.wire_len(), parts)?;
        self.header = Header::default();
        Ok(())
    }

    /// Appends `entries` to its control data.
    ///
    /// # Errors
    /// When memory for them cannot be had; the message is unchanged.
    pub fn say(&mut self, entries: &[u8]) -> Result<(), OutOfMemory> {
        let said = self.control();
        let mut all = Chunk::with_capacity(said.len() + entries.len())?;
        all.extend(said);
        all.extend(entries);
        self.ancillary = Some(all);
        Ok(())
    }

    /// Its control data.
    #[must_use]
    pub fn control(&self) -> &[u8] {
        self.ancillary.as_ref().map_or(&[], Chunk::as_slice)
    }

    /// Bytes that the message takes on a wire, without the transport's own prefix.
    #[must_use]
    #[inline]
    pub fn wire_len(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_what_stands_on_a_wire() {
        for (header, body) in [("", ""), ("", "b"), ("head", ""), ("head", "body")] {
            let mut message = Message::from_body(Body::copy_from(body.as_bytes()).unwrap());
            message.header = Header::copy_from(header.as_bytes()).unwrap();
            let shared = message.share().unwrap();
            message.join().unwrap();
            assert_eq!(message.body.as_slice(), [header, body].concat().as_bytes());
            assert!(message.header.is_empty());
            assert_eq!(shared.header.as_slice(), header.as_bytes());
        }
    }

    #[test]
    fn a_message_fits_two_cache_lines() {
        assert!(size_of::<Message>() <= 128);
    }
}
