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

    /// Becomes empty, and `place` what this has been.
    #[inline]
    pub fn move_to(&mut self, place: &mut Header) {
        match (&mut self.0, &mut place.0) {
            (Storage::Inline { len, bytes }, Storage::Inline { len: new_len, bytes: room }) => {
                *room = *bytes;
                *new_len = std::mem::take(len);
            }
            _ => *place = std::mem::take(self),
        }
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
        self.as_slice().len()
    }

    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

const INLINE_MAX: usize = 14;

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
            for before in [0, 14, 40] {
                let (mut moved, mut place) =
                    (header.clone(), Header::copy_from(&vec![7; before]).unwrap());
                moved.move_to(&mut place);
                assert_eq!((place.as_slice(), moved.len()), (&bytes[..], 0));
            }
        }
        assert!(Header::default().is_empty());
        assert_eq!(Header::short([1, 2, 3]).as_slice(), [1, 2, 3]);
    }
}
