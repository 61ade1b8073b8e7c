//! The body of a message: inside the message while it is small, else a chunk.

use super::{Chunk, OutOfMemory};

/// The user's bytes. Cheap to move, never shared.
pub struct Body(Storage);

enum Storage {
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
    Chunk(Chunk),
}

impl Default for Body {
    fn default() -> Body {
        Body(Storage::Inline { len: 0, bytes: [0; INLINE_MAX] })
    }
}

impl Body {
    /// A copy of `parts` one behind the other, `len` bytes in all.
    ///
    /// # Errors
    /// When memory for `len` bytes cannot be had.
    pub fn concat<'a>(
        len: usize,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Body, OutOfMemory> {
        if len > INLINE_MAX {
            let mut chunk = Chunk::with_capacity(len)?;
            parts.into_iter().for_each(|part| chunk.extend(part));
            return Ok(Body(Storage::Chunk(chunk)));
        }
        let (mut bytes, mut end) = ([0; INLINE_MAX], 0);
        for part in parts {
            bytes[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        Ok(Body(Storage::Inline { len: end as u8, bytes }))
    }

    /// # Errors
    /// When memory for the copy cannot be had.
    pub fn copy_from(bytes: &[u8]) -> Result<Body, OutOfMemory> {
        let mut body = Body::default();
        body.fill(bytes)?;
        Ok(body)
    }

    /// Becomes a copy of `content`, where it is: moving a body costs more than filling it.
    ///
    /// # Errors
    /// When memory for the copy cannot be had; the body is unchanged.
    #[inline]
    pub fn fill(&mut self, content: &[u8]) -> Result<(), OutOfMemory> {
        match &mut self.0 {
            Storage::Inline { len, bytes } if content.len() <= INLINE_MAX => {
                bytes[..content.len()].copy_from_slice(content);
                *len = content.len() as u8;
            }
            _ => *self = Body::concat(content.len(), [content])?,
        }
        Ok(())
    }

    #[must_use]
    pub fn from_chunk(chunk: Chunk) -> Body {
        Body(Storage::Chunk(chunk))
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
            Storage::Chunk(chunk) => chunk.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The body as memory that C may hold, without a copy when it is a chunk already.
    ///
    /// # Errors
    /// When memory cannot be had; the body comes back.
    pub fn into_chunk(self) -> Result<Chunk, Body> {
        match self.0 {
            Storage::Chunk(chunk) => Ok(chunk),
            Storage::Inline { .. } => match Chunk::copy_from(self.as_slice()) {
                Ok(chunk) => Ok(chunk),
                Err(OutOfMemory) => Err(self),
            },
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Body({} bytes)", self.len())
    }
}

/// Fills the message up to two cache lines; the messages of chatty programs fit.
const INLINE_MAX: usize = 94;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_size_around_the_inline_border() {
        for len in (0..200).chain([4096, 100_000]) {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let body = Body::copy_from(&bytes).unwrap();
            assert_eq!(body.as_slice(), bytes);
            assert_eq!(body.len(), bytes.len());
            assert_eq!(body.into_chunk().unwrap().as_slice(), bytes);
            for before in [0, 94, 95] {
                let mut body = Body::copy_from(&vec![7; before]).unwrap();
                body.fill(&bytes).unwrap();
                assert_eq!(body.as_slice(), bytes);
            }
        }
    }

    #[test]
    fn joins_scattered_parts() {
        let body = Body::concat(6, [&b"ab"[..], b"", b"cdef"]).unwrap();
        assert_eq!(body.as_slice(), b"abcdef");
    }
}
