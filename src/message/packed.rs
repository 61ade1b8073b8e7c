//! A small message as plain bytes, for who keeps many of them and hands them to another processor:
//! one of 64 bytes takes one cache line of him and a little more, instead of two.
//!
//! In front stand the sizes of header and body, then body and header. What is copied has a size
//! that the compiler knows, so that more is copied than is there: what is behind the end means
//! nothing.

use super::body::INLINE_MAX as BODY_MAX;
use super::header::INLINE_MAX as HEADER_MAX;
use super::{Header, Message};

/// What a message may take, and what is copied of it.
pub const PACKED_MAX: usize = SIZES + BODY_MAX + HEADER_MAX;
/// What an empty one takes, or the mark of one that is not small.
pub const PACKED_MIN: usize = SIZES;

impl Message {
    /// Whether [`Message::pack`] would take it.
    #[must_use]
    #[inline]
    pub fn is_small(&self) -> bool {
        self.body.is_small() && self.header.is_small()
    }

    /// Writes header and body to the front of `room`, and leaves both empty. Says how much they
    /// take, or `None` when they are not small: then they stay, and a mark of [`PACKED_MIN`] says
    /// so.
    #[inline]
    pub fn pack(&mut self, room: &mut [u8; PACKED_MAX]) -> Option<usize> {
        let (Some(header), Some(body)) = (self.header.small(), self.body.small()) else {
            (room[0], room[1]) = MARK;
            return None;
        };
        let (header_len, body_len) = (std::mem::take(header.len), std::mem::take(body.len));
        (room[0], room[1]) = (header_len, body_len);
        room[SIZES..SIZES + BODY_MAX].copy_from_slice(body.bytes);
        let end = SIZES + usize::from(body_len);
        if header_len > 0 {
            room[end..][..HEADER_MAX].copy_from_slice(header.bytes);
        }
        Some(end + usize::from(header_len))
    }

    /// Takes header and body from what [`Message::pack`] has written. Says how much that is, or
    /// `None` when it is a mark.
    ///
    /// The control data are not touched.
    #[allow(clippy::inline_always, reason = "it is on the way of every message")]
    #[inline(always)]
    pub fn unpack(&mut self, packed: &[u8; PACKED_MAX]) -> Option<usize> {
        let [header_len, body_len, rest @ ..] = packed;
        if (*header_len, *body_len) == MARK {
            return None;
        }
        let (body, _) = rest.split_first_chunk().expect("a body is shorter than that");
        self.body.become_small(*body_len, body);
        let end = SIZES + usize::from(*body_len);
        if *header_len > 0 {
            let header = packed[end..].first_chunk().expect("there is room for any header");
            self.header.become_small(*header_len, header);
        } else if !self.header.is_empty() {
            self.header = Header::default();
        }
        Some(end + usize::from(*header_len))
    }
}

const SIZES: usize = 2;
/// No header is as long as that.
const MARK: (u8, u8) = (0xff, 0xff);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Body, Chunk};

    fn message(header: usize, body: usize) -> Message {
        let bytes: Vec<u8> = (1..=200).collect();
        let header = Header::copy_from(&bytes[200 - header..]).unwrap();
        Message { header, ..Message::from_body(Body::copy_from(&bytes[..body]).unwrap()) }
    }

    #[test]
    fn what_is_packed_and_unpacked_says_the_same_whatever_was_there_before() {
        for (header, body) in [(0, 0), (0, 94), (14, 0), (14, 94), (4, 64), (0, 1), (8, 93)] {
            for before in [message(0, 0), message(14, 94), message(15, 95)] {
                let (mut packed, mut other, mut room) =
                    (message(header, body), before, [0xee; PACKED_MAX]);
                other.ancillary = Some(Chunk::copy_from(b"stays").unwrap());
                assert!(packed.is_small());
                assert_eq!(packed.pack(&mut room), Some(2 + header + body));
                assert_eq!(packed.wire_len(), 0);
                assert_eq!(other.unpack(&room), Some(2 + header + body));
                let expected = message(header, body);
                assert_eq!(other.header.as_slice(), expected.header.as_slice());
                assert_eq!(other.body.as_slice(), expected.body.as_slice());
                assert!(other.ancillary.is_some());
            }
        }
    }

    #[test]
    fn what_is_not_small_stays_as_it_is() {
        for (header, body) in [(15, 0), (0, 95), (15, 95), (200, 200)] {
            let (mut message, mut room) = (message(header, body), [0xee; PACKED_MAX]);
            assert!(!message.is_small());
            assert_eq!(message.pack(&mut room), None);
            assert_eq!((message.header.len(), message.body.len()), (header, body));
            assert_eq!(message.unpack(&room), None);
            assert_eq!((message.header.len(), message.body.len()), (header, body));
        }
    }
}
