//! The SP header of a message: usually empty or a few words, so it lives inside the message.

use super::{Chunk, OutOfMemory, SharedChunk};

/// Up to `INLINE_MAX` bytes need no memory of their own.
#[derive(Clone, Debug)]
pub struct Header(Storage);

#[derive(Clone, Debug)]
enum Storage {
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
    Chunk(SharedChunk),
}

/// The parts of a short header.
pub(super) struct Small<'a> {
    pub len: &'a mut u8,
    pub bytes: &'a mut [u8; INLINE_MAX],
}

impl Default for Header {
    fn default() -> Header {
        Header::short([])
    }
}

impl Header {
    /// A header of a few bytes.
    #[must_use]
    pub fn short<const LEN: usize>(content: [u8; LEN]) -> Header {
        const { assert!(LEN <= INLINE_MAX) };
        let mut bytes = [0; INLINE_MAX];
        bytes[..LEN].copy_from_slice(&content);
        Header(Storage::Inline { len: LEN as u8, bytes })
    }

    /// # Errors
    /// When memory for a long one cannot be had.
    pub fn copy_from(content: &[u8]) -> Result<Header, OutOfMemory> {
        if content.len() > INLINE_MAX {
            return Ok(Header(Storage::Chunk(Chunk::copy_from(content)?.into_shared())));
        }
        let mut bytes = [0; INLINE_MAX];
        bytes[..content.len()].copy_from_slice(content);
        Ok(Header(Storage::Inline { len: content.len() as u8, bytes }))
    }

    /// The same with `word` in front.
    ///
    /// # Errors
    /// When memory for a long one cannot be had.
    pub fn with_front(&self, word: [u8; 4]) -> Result<Header, OutOfMemory> {
        let old = self.as_slice();
        let len = old.len() + word.len();
        if len > INLINE_MAX {
            let mut chunk = Chunk::with_capacity(len)?;
            chunk.extend(&word);
            chunk.extend(old);
            return Ok(Header(Storage::Chunk(chunk.into_shared())));
        }
        let mut bytes = [0; INLINE_MAX];
        bytes[..word.len()].copy_from_slice(&word);
        bytes[word.len()..len].copy_from_slice(old);
        Ok(Header(Storage::Inline { len: len as u8, bytes }))
    }

    #[inline]
    pub(super) fn is_small(&self) -> bool {
        matches!(self.0, Storage::Inline { .. })
    }

    /// A short header with the room that it lies in.
    #[inline]
    pub(super) fn small(&mut self) -> Option<Small<'_>> {
        match &mut self.0 {
            Storage::Inline { len, bytes } => Some(Small { len, bytes }),
            Storage::Chunk(_) => None,
        }
    }

    /// Becomes a header of the first `len` of these bytes.
    #[inline]
    pub(super) fn become_small(&mut self, len: u8, content: &[u8; INLINE_MAX]) {
        *self = Header(Storage::Inline { len, bytes: *content });
    }

    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Storage::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Storage::Chunk(chunk) => chunk.as_slice(),
        }
    }

    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Storage::Inline { len, .. } => usize::from(*len),
            Storage::Chunk(chunk) => chunk.as_slice().len(),
        }
    }

    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

pub(super) const INLINE_MAX: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_short_and_long_headers() {
        for len in 0..64 {
            let bytes: Vec<u8> = (0..len).collect();
            let header = Header::copy_from(&bytes).unwrap();
            assert_eq!(header.as_slice(), bytes);
            let longer = header.with_front([9; 4]).unwrap();
            assert_eq!(longer.as_slice(), [&[9; 4], &bytes[..]].concat());
            assert_eq!(header.clone().as_slice(), bytes);
        }
        assert!(Header::default().is_empty());
        assert_eq!(Header::short([1, 2, 3]).as_slice(), [1, 2, 3]);
    }
}
