//! The body of a message: inside the message while it is small, else a chunk, or for the time of a
//! call where its sender has it.

use super::{Chunk, Lender, Lent, OutOfMemory, SharedChunk};

/// The user's bytes. Cheap to move; a big one can be shared, and is copied only for an owner who
/// wants it alone.
pub struct Body(Storage);

enum Storage {
    Inline {
        len: u8,
        bytes: [u8; INLINE_MAX],
    },
    /// All of the chunk but the first `start` bytes.
    Chunk {
        chunk: Chunk,
        start: usize,
    },
    Shared {
        chunk: SharedChunk,
        start: usize,
    },
    /// The same of what somebody lends.
    Lent {
        bytes: Lent,
        start: usize,
        lender: Lender,
    },
}

/// The parts of a small body.
pub(super) struct Small<'a> {
    pub len: &'a mut u8,
    pub bytes: &'a mut [u8; INLINE_MAX],
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
            return Ok(Body::from_chunk(chunk));
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
    #[allow(clippy::inline_always, reason = "a send copies with it, and seldom more than a little")]
    #[inline(always)]
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

    #[inline]
    pub(super) fn is_small(&self) -> bool {
        matches!(self.0, Storage::Inline { .. })
    }

    /// A small body with the room that it lies in.
    #[inline]
    pub(super) fn small(&mut self) -> Option<Small<'_>> {
        match &mut self.0 {
            Storage::Inline { len, bytes } => Some(Small { len, bytes }),
            Storage::Chunk { .. } | Storage::Shared { .. } | Storage::Lent { .. } => None,
        }
    }

    /// Becomes a small body of the first `len` of these bytes, in the room where it is.
    #[inline]
    pub(super) fn become_small(&mut self, len: u8, content: &[u8; INLINE_MAX]) {
        if let Storage::Inline { len: old, bytes } = &mut self.0 {
            *bytes = *content;
            *old = len;
        } else {
            self.shrink(len, content);
        }
    }

    #[inline(never)]
    fn shrink(&mut self, len: u8, content: &[u8; INLINE_MAX]) {
        *self = Body(Storage::Inline { len, bytes: *content });
    }

    #[must_use]
    pub fn from_chunk(chunk: Chunk) -> Body {
        Body(Storage::Chunk { chunk, start: 0 })
    }

    /// What somebody lends until the body is dropped or [`Body::own`] has succeeded.
    #[must_use]
    pub fn lent(bytes: Lent) -> Body {
        Body(Storage::Lent { bytes, start: 0, lender: Lender::Goes })
    }

    /// Whoever lends it stays with it for a moment.
    pub fn let_stay(&mut self) {
        if let Storage::Lent { lender, .. } = &mut self.0 {
            *lender = Lender::Stays;
        }
    }

    /// Who lends it, if somebody does.
    #[must_use]
    #[inline]
    pub fn lender(&self) -> Option<Lender> {
        if let Storage::Lent { lender, .. } = self.0 { Some(lender) } else { None }
    }

    #[must_use]
    #[inline]
    pub fn is_lent(&self) -> bool {
        matches!(self.0, Storage::Lent { .. })
    }

    /// Becomes a copy of what somebody lends, if it is that.
    ///
    /// # Errors
    /// When memory for the copy cannot be had; the body is unchanged.
    #[inline]
    pub fn own(&mut self) -> Result<(), OutOfMemory> {
        if self.is_lent() { self.become_copy() } else { Ok(()) }
    }

    #[inline(never)]
    fn become_copy(&mut self) -> Result<(), OutOfMemory> {
        *self = Body::copy_from(self.as_slice())?;
        Ok(())
    }

    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Storage::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Storage::Chunk { chunk, start } => &chunk.as_slice()[*start..],
            Storage::Shared { chunk, start } => &chunk.as_slice()[*start..],
            Storage::Lent { bytes, start, .. } => &bytes.as_slice()[*start..],
        }
    }

    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Storage::Inline { len, .. } => usize::from(*len),
            Storage::Chunk { chunk, start } => chunk.len() - start,
            Storage::Shared { .. } | Storage::Lent { .. } => self.as_slice().len(),
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
        let body = match self.0 {
            Storage::Chunk { mut chunk, start } => {
                chunk.remove_front(start);
                return Ok(chunk);
            }
            Storage::Shared { chunk, start } => match chunk.into_exclusive() {
                Ok(mut chunk) => {
                    chunk.remove_front(start);
                    return Ok(chunk);
                }
                Err(chunk) => Body(Storage::Shared { chunk, start }),
            },
            other @ (Storage::Inline { .. } | Storage::Lent { .. }) => Body(other),
        };
        Chunk::copy_from(body.as_slice()).map_err(|OutOfMemory| body)
    }

    /// Another body with the same bytes, which are not copied unless they are few or lent.
    ///
    /// # Errors
    /// When memory for the copy cannot be had; the body is unchanged.
    pub fn share(&mut self) -> Result<Body, OutOfMemory> {
        self.own()?;
        if let Storage::Chunk { .. } = &self.0
            && let Storage::Chunk { chunk, start } = std::mem::take(self).0
        {
            self.0 = Storage::Shared { chunk: chunk.into_shared(), start };
        }
        Ok(match &self.0 {
            Storage::Inline { len, bytes } => Body(Storage::Inline { len: *len, bytes: *bytes }),
            Storage::Shared { chunk, start } => {
                Body(Storage::Shared { chunk: chunk.clone(), start: *start })
            }
            Storage::Chunk { .. } => unreachable!("it has just been shared"),
            Storage::Lent { .. } => unreachable!("it has just been copied"),
        })
    }

    /// Gives up the first `count` bytes, or all when there are fewer.
    pub fn trim_front(&mut self, count: usize) {
        let count = count.min(self.len());
        match &mut self.0 {
            Storage::Inline { len, bytes } => {
                bytes.copy_within(count..usize::from(*len), 0);
                *len -= count as u8;
            }
            Storage::Chunk { start, .. }
            | Storage::Shared { start, .. }
            | Storage::Lent { start, .. } => *start += count,
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Body({} bytes)", self.len())
    }
}

/// Fills the message up to two cache lines; the messages of chatty programs fit.
pub(super) const INLINE_MAX: usize = 94;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_size_around_the_inline_border() {
        let big = if cfg!(miri) { 300 } else { 100_000 };
        for len in (0..200).step_by(if cfg!(miri) { 19 } else { 1 }).chain([94, 96, 4096, big]) {
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
    fn a_shared_body_is_copied_only_for_who_wants_it_alone() {
        for len in [0, 5, 94, 95, 5000] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut body = Body::copy_from(&bytes).unwrap();
            let mut other = body.share().unwrap();
            other.trim_front(3);
            assert_eq!(body.as_slice(), bytes);
            assert_eq!(other.as_slice(), &bytes[bytes.len().min(3)..]);
            let place = body.as_slice().as_ptr();
            assert_eq!(body.share().unwrap().into_chunk().unwrap().as_slice(), bytes);
            drop(other);
            let chunk = body.into_chunk().unwrap();
            assert_eq!(chunk.as_slice(), bytes);
            assert!(len <= INLINE_MAX || chunk.as_slice().as_ptr() == place);
        }
    }

    #[test]
    fn what_is_trimmed_is_gone_from_the_chunk() {
        for len in [0_usize, 3, 90, 200, 5000] {
            for count in [0, 1, 4, 90, 6000] {
                let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let mut body = Body::copy_from(&bytes).unwrap();
                body.trim_front(count);
                let expected = &bytes[count.min(len)..];
                assert_eq!((body.as_slice(), body.len()), (expected, expected.len()));
                assert_eq!(body.into_chunk().unwrap().as_slice(), expected);
            }
        }
    }

    #[test]
    fn joins_scattered_parts() {
        let body = Body::concat(6, [&b"ab"[..], b"", b"cdef"]).unwrap();
        assert_eq!(body.as_slice(), b"abcdef");
    }
}
