//! Messages with their length in front. Pure.
//!
//! ```text
//! tcp:        size (8, big-endian)  payload
//! ipc:  0x01  size (8, big-endian)  payload
//! ```

use super::Violation;
use crate::transports::stream::{Envelope, PREFIX_MAX, Place, Prefix};

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Tcp,
    Ipc,
}

impl Framing {
    #[must_use]
    pub fn prefix_len(self) -> usize {
        match self {
            Framing::Tcp => 8,
            Framing::Ipc => 9,
        }
    }

    /// Reads the prefix at the front of `bytes`: the size of the payload, or `None` when more
    /// bytes are needed.
    ///
    /// # Errors
    /// When the prefix announces something that may not come.
    pub fn size(self, bytes: &[u8], size_max: Option<u64>) -> Result<Option<usize>, Violation> {
        let mut rest = bytes;
        if self == Framing::Ipc {
            match bytes.split_first() {
                None => return Ok(None),
                Some((&IPC_MESSAGE, tail)) => rest = tail,
                Some(_) => return Err(Violation::Kind),
            }
        }
        let Some(size) = rest.first_chunk::<8>() else { return Ok(None) };
        let size = u64::from_be_bytes(*size);
        if size_max.is_some_and(|max| size > max) || size > SIZE_LIMIT {
            return Err(Violation::TooLarge);
        }
        Ok(Some(size as usize))
    }
}

impl Envelope for Framing {
    #[inline]
    fn frame_max(&self) -> usize {
        usize::MAX
    }

    #[inline]
    fn prefix(&self, size: usize, _place: Place) -> Prefix {
        let (mut bytes, size) = ([0; PREFIX_MAX], (size as u64).to_be_bytes());
        match self {
            Framing::Tcp => bytes[..8].copy_from_slice(&size),
            Framing::Ipc => {
                bytes[0] = IPC_MESSAGE;
                bytes[1..9].copy_from_slice(&size);
            }
        }
        Prefix::new(bytes, self.prefix_len())
    }
}

/// The only kind of message on ipc.
const IPC_MESSAGE: u8 = 0x01;

/// The interface reports sizes as a C int: what is larger can never be received, whatever the
/// options say.
const SIZE_LIMIT: u64 = i32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_specification_shows() {
        assert_eq!(Framing::Tcp.prefix(5, Place::WHOLE).as_slice(), [0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(Framing::Ipc.prefix(258, Place::WHOLE).as_slice(), [1, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn asks_for_more_until_the_prefix_is_complete() {
        for framing in [Framing::Tcp, Framing::Ipc] {
            let prefix = framing.prefix(77, Place::WHOLE);
            for end in 0..framing.prefix_len() {
                assert_eq!(framing.size(&prefix.as_slice()[..end], None), Ok(None));
            }
            assert_eq!(framing.size(prefix.as_slice(), None), Ok(Some(77)));
        }
    }

    #[test]
    fn refuses_what_may_not_come() {
        let size = |size: u64, max| Framing::Tcp.size(&size.to_be_bytes(), max);
        assert_eq!(size(10, Some(10)), Ok(Some(10)));
        assert_eq!(size(11, Some(10)), Err(Violation::TooLarge));
        assert_eq!(size(u64::MAX, None), Err(Violation::TooLarge));
        assert_eq!(Framing::Ipc.size(&[2], None), Err(Violation::Kind));
    }
}
