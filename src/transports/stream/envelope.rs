//! What is put around a payload on its way to the wire. Pure.

use super::mask::Mask;

/// A way of putting payloads into frames.
pub trait Envelope {
    /// Most payload that one frame takes; more of it needs several.
    fn frame_max(&self) -> usize;

    /// What stands in front of `size` bytes of payload.
    fn prefix(&self, size: usize, place: Place) -> Prefix;
}

/// Where a frame stands in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub is_first: bool,
    pub is_last: bool,
}

/// A few bytes in front of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u8; PREFIX_MAX],
    len: usize,
    mask: Option<Mask>,
}

impl Place {
    /// The message is this one frame.
    pub const WHOLE: Place = Place { is_first: true, is_last: true };
}

impl Prefix {
    /// The first `len` of `bytes`.
    #[must_use]
    #[inline]
    pub fn new(bytes: [u8; PREFIX_MAX], len: usize) -> Prefix {
        Prefix { bytes, len, mask: None }
    }

    /// The same, and the payload behind it is to be masked.
    #[must_use]
    pub fn masked(bytes: [u8; PREFIX_MAX], len: usize, mask: Option<Mask>) -> Prefix {
        Prefix { bytes, len, mask }
    }

    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[must_use]
    #[inline]
    pub fn mask(&self) -> Option<Mask> {
        self.mask
    }
}

/// The longest prefix there is, rounded up to whole words.
pub const PREFIX_MAX: usize = 16;

#[cfg(test)]
impl<const N: usize> Envelope for [u8; N] {
    fn frame_max(&self) -> usize {
        usize::MAX
    }

    fn prefix(&self, _size: usize, _place: Place) -> Prefix {
        let mut bytes = [0; PREFIX_MAX];
        bytes[..N].copy_from_slice(self);
        Prefix::new(bytes, N)
    }
}
