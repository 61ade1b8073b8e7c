//! What is put around a payload on its way to the wire. Pure.

/// A way of putting payloads into frames.
pub trait Envelope {
    /// What stands in front of a payload of `size` bytes.
    fn prefix(&self, size: usize) -> Prefix;
}

/// A few bytes in front of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u8; PREFIX_MAX],
    len: usize,
}

impl Prefix {
    /// The first `len` of `bytes`.
    #[must_use]
    #[inline]
    pub fn new(bytes: [u8; PREFIX_MAX], len: usize) -> Prefix {
        Prefix { bytes, len }
    }

    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The longest prefix there is, rounded up to whole words.
pub const PREFIX_MAX: usize = 16;

#[cfg(test)]
impl<const N: usize> Envelope for [u8; N] {
    fn prefix(&self, _size: usize) -> Prefix {
        let mut bytes = [0; PREFIX_MAX];
        bytes[..N].copy_from_slice(self);
        Prefix::new(bytes, N)
    }
}
