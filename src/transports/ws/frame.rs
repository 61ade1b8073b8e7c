//! What a frame looks like, and writing them (RFC 6455 section 5). Pure.

use super::close::Close;
use super::mask::Mask;
use crate::transports::stream::{PREFIX_MAX, Place, Prefix, Veil};

/// Which side of the handshake we were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Masks what it sends, and accepts no mask.
    Client,
    /// The other way round.
    Server,
}

/// What a message is said to contain. The numbers are those of the wire, and of the C interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text = 1,
    Binary = 2,
}

impl Kind {
    #[must_use]
    pub fn from_number(number: u8) -> Option<Kind> {
        [Kind::Text, Kind::Binary].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// The head of a frame of a message.
#[must_use]
pub fn head(kind: Kind, place: Place, size: usize, mask: Option<Mask>) -> Prefix {
    let opcode = if place.is_first { kind as u8 } else { CONTINUATION };
    encode(if place.is_last { FINAL | opcode } else { opcode }, size, mask)
}

/// A whole control frame that answers a ping.
#[must_use]
pub fn pong(payload: &[u8], mask: Option<Mask>) -> Vec<u8> {
    control_frame(PONG, payload, mask)
}

/// A whole control frame that asks for an answer.
#[must_use]
pub fn ping(mask: Option<Mask>) -> Vec<u8> {
    control_frame(PING, &[], mask)
}

/// A whole control frame that ends the conversation.
#[must_use]
pub fn farewell(close: Close, mask: Option<Mask>) -> Vec<u8> {
    control_frame(CLOSE, &close.code.to_be_bytes(), mask)
}

fn control_frame(opcode: u8, payload: &[u8], mask: Option<Mask>) -> Vec<u8> {
    let head = encode(FINAL | opcode, payload.len(), mask);
    let mut frame = head.as_slice().to_vec();
    let start = frame.len();
    frame.extend_from_slice(payload);
    mask.iter().for_each(|mask| mask.apply(&mut frame[start..]));
    frame
}

fn encode(first: u8, size: usize, mask: Option<Mask>) -> Prefix {
    let masked = if mask.is_some() { MASKED } else { 0 };
    let mut bytes = [0; PREFIX_MAX];
    bytes[0] = first;
    let mut len = match size {
        0..=125 => {
            bytes[1] = masked | size as u8;
            2
        }
        126..=0xffff => {
            bytes[1] = masked | 126;
            bytes[2..4].copy_from_slice(&(size as u16).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = masked | 127;
            bytes[2..10].copy_from_slice(&(size as u64).to_be_bytes());
            10
        }
    };
    if let Some(Mask(key)) = mask {
        bytes[len..len + 4].copy_from_slice(&key);
        len += 4;
    }
    Prefix::veiled(bytes, len, mask.map(|Mask(key)| Veil(key)))
}

pub(super) const FINAL: u8 = 0x80;
pub(super) const RESERVED: u8 = 0x70;
pub(super) const OPCODE: u8 = 0x0f;
pub(super) const MASKED: u8 = 0x80;
pub(super) const LENGTH: u8 = 0x7f;

pub(super) const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = Kind::Text as u8;
pub(super) const BINARY: u8 = Kind::Binary as u8;
/// Opcodes with this bit are of control frames.
pub(super) const CONTROL: u8 = 0x8;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

/// Longest payload of a control frame.
pub(super) const CONTROL_MAX: usize = 125;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_specification_shows() {
        let key = Some(Mask([1, 2, 3, 4]));
        let whole = |size, mask| head(Kind::Binary, Place::WHOLE, size, mask).as_slice().to_vec();
        assert_eq!(whole(2, None), [0x82, 2]);
        assert_eq!(whole(0, key), [0x82, 0x80, 1, 2, 3, 4]);
        assert_eq!(whole(125, None), [0x82, 125]);
        assert_eq!(whole(126, None), [0x82, 126, 0, 126]);
        assert_eq!(whole(65_535, key), [0x82, 0xfe, 0xff, 0xff, 1, 2, 3, 4]);
        assert_eq!(whole(65_536, None), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        let place = |is_first, is_last| Place { is_first, is_last };
        let first = |place| head(Kind::Text, place, 1, None).as_slice()[0];
        assert_eq!(first(place(true, false)), 0x01);
        assert_eq!(first(place(false, false)), 0x00);
        assert_eq!(first(place(false, true)), 0x80);
    }

    #[test]
    fn control_frames_are_whole() {
        assert_eq!(pong(b"ab", None), [0x8a, 2, b'a', b'b']);
        let close = Close { code: 1000, comes_back: true };
        assert_eq!(farewell(close, None), [0x88, 2, 0x03, 0xe8]);
        let masked = farewell(close, Some(Mask([1, 2, 3, 4])));
        assert_eq!(masked, [0x88, 0x82, 1, 2, 3, 4, 0x02, 0xea]);
    }
}
