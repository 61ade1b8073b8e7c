//! The kind of a message as control data: what an application may say, and is told. Pure.

use super::frame::Kind;
use crate::message::control::{Entry, entries};
use crate::message::{Chunk, Message, OutOfMemory};

/// Control data that says so. The padding is zero.
///
/// # Errors
/// When memory for it cannot be had.
pub fn write(kind: Kind) -> Result<Chunk, OutOfMemory> {
    // The length counts the padding, as with libnanomsg.
    Entry { level: LEVEL, kind: MESSAGE_TYPE, data: &[kind as u8] }.to_chunk()
}

/// What the control data of `message` says. Anything but the two kinds is as good as nothing.
#[must_use]
pub fn read(message: &Message) -> Option<Kind> {
    let block = message.ancillary.as_ref()?;
    let is_ours = |entry: &Entry<'_>| entry.level == LEVEL && entry.kind == MESSAGE_TYPE;
    let entry = entries(block.as_slice()).find(is_ours)?;
    Kind::from_number(*entry.data.first()?)
}

/// As the C interface numbers the transport, and the entry; `ffi/options.rs` holds them to it.
pub const LEVEL: i32 = -4;
pub const MESSAGE_TYPE: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::control::{HEAD, WORD};

    fn said(level: i32, kind: i32, data: &[u8]) -> Option<Kind> {
        let ancillary = Some(Entry { level, kind, data }.to_chunk().unwrap());
        read(&Message { ancillary, ..Message::default() })
    }

    #[test]
    fn writes_as_the_specification_shows() {
        let chunk = write(Kind::Binary).unwrap();
        let (len, rest) = chunk.as_slice().split_first_chunk::<WORD>().unwrap();
        assert_eq!((chunk.len(), *len), (HEAD + WORD, (HEAD + WORD).to_ne_bytes()));
        assert_eq!(rest[..8], [(-4_i32).to_ne_bytes(), 1_i32.to_ne_bytes()].concat());
        assert_eq!((rest[8], &rest[9..]), (2, &[0; WORD - 1][..]));
    }

    #[test]
    fn reads_the_two_kinds_only() {
        assert_eq!(read(&Message::default()), None);
        assert_eq!(said(LEVEL, MESSAGE_TYPE, &[1]), Some(Kind::Text));
        assert_eq!(said(LEVEL, MESSAGE_TYPE, &[2, 9]), Some(Kind::Binary));
        for number in [0, 3, 8, 9, 0x41, 0x88] {
            assert_eq!(said(LEVEL, MESSAGE_TYPE, &[number]), None);
        }
        assert_eq!(said(LEVEL, MESSAGE_TYPE, &[]), None);
        assert_eq!(said(1, 1, &[1]), None);
        assert_eq!(said(LEVEL, 2, &[1]), None);
    }
}
