//! What a writer has taken from the queue, on its way into the kernel.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use super::mask::Mask;
use crate::message::Body;

/// Where bytes are written. It takes 0 bytes when it is full.
pub trait Sink {
    /// # Errors
    /// When the stream is broken.
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// Segments in their order, the first of which may be half written.
#[derive(Default)]
pub struct Batch {
    pub segments: VecDeque<Segment>,
    /// Bytes of the first segment that are written.
    offset: usize,
    pub messages: usize,
    /// A buffer whose bytes are written.
    used: Vec<u8>,
    /// Where bodies are masked. It stays while it is of use: fresh memory for each would cost more
    /// than the masking.
    mask_buffer: Vec<u8>,
}

/// Bytes that lie together.
pub enum Segment {
    Bytes(Vec<u8>),
    /// A masked piece of a body.
    Masked(Vec<u8>),
    Body(Body),
    /// What one frame takes of a body. Others may hold the body, so it is masked in a copy.
    Part {
        body: Arc<Body>,
        range: Range<usize>,
        mask: Option<Mask>,
    },
}

/// One turn of writing, as the queue has to know it.
pub struct Done {
    pub result: io::Result<usize>,
    pub is_empty: bool,
    pub messages: usize,
    pub used: Vec<u8>,
}

impl Batch {
    /// Writes as much as the sink takes.
    pub fn write(&mut self, sink: &impl Sink) -> Done {
        let result = self.write_until_full(sink);
        let is_empty = self.segments.is_empty();
        Done {
            result,
            is_empty,
            messages: if is_empty { std::mem::take(&mut self.messages) } else { 0 },
            used: std::mem::take(&mut self.used),
        }
    }

    /// Nothing has been written lately.
    pub fn rest(&mut self) {
        self.mask_buffer = Vec::new();
    }

    /// Writes until everything is written or the sink is full.
    fn write_until_full(&mut self, sink: &impl Sink) -> io::Result<usize> {
        let mut total = 0;
        while !self.segments.is_empty() {
            self.mask_next()?;
            let mut parts = [IoSlice::new(&[]); PARTS_MAX];
            let mut offered = 0;
            let mut count = 0;
            for (part, segment) in parts.iter_mut().zip(&self.segments) {
                let skipped = if count == 0 { self.offset } else { 0 };
                let Some(bytes) = segment.bytes() else { break };
                let bytes = &bytes[skipped..];
                *part = IoSlice::new(bytes);
                offered += bytes.len();
                count += 1;
            }
            let written = sink.write(&parts[..count])?;
            total += written;
            self.advance(written);
            if written < offered {
                break;
            }
        }
        Ok(total)
    }

    /// Masks a piece of what is next, or next but the head of a frame. That is done as late as
    /// possible: the piece is in the cache when the kernel copies it.
    fn mask_next(&mut self) -> io::Result<()> {
        let needs_mask = |segment: &Segment| segment.bytes().is_none();
        let Some(at) = self.segments.iter().take(2).position(needs_mask) else { return Ok(()) };
        let Segment::Part { body, range, mask: Some(mask) } = &mut self.segments[at] else {
            return Ok(());
        };
        let piece = range.start..range.end.min(range.start + MASKED_AT_ONCE);
        let mut bytes = std::mem::take(&mut self.mask_buffer);
        bytes.try_reserve_exact(piece.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        bytes.extend_from_slice(&body.as_slice()[piece.clone()]);
        mask.apply(&mut bytes);
        *mask = mask.behind(piece.len());
        range.start = piece.end;
        if range.start == range.end {
            self.segments[at] = Segment::Masked(bytes);
        } else {
            self.segments.insert(at, Segment::Masked(bytes));
        }
        Ok(())
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.segments.front() {
            let rest = first.len() - self.offset;
            if count < rest {
                self.offset += count;
                return;
            }
            count -= rest;
            self.offset = 0;
            match self.segments.pop_front() {
                Some(Segment::Bytes(mut buffer)) => {
                    buffer.clear();
                    self.used = buffer;
                }
                Some(Segment::Masked(mut buffer)) => {
                    buffer.clear();
                    self.mask_buffer = buffer;
                }
                Some(Segment::Body(_) | Segment::Part { .. }) | None => {}
            }
        }
    }
}

impl Segment {
    pub fn len(&self) -> usize {
        match self {
            Segment::Bytes(bytes) | Segment::Masked(bytes) => bytes.len(),
            Segment::Body(body) => body.len(),
            Segment::Part { range, .. } => range.len(),
        }
    }

    /// The bytes as they are written, unless they have to be masked first.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Segment::Bytes(bytes) | Segment::Masked(bytes) => Some(bytes),
            Segment::Body(body) => Some(body.as_slice()),
            Segment::Part { body, range, mask: None } => Some(&body.as_slice()[range.clone()]),
            Segment::Part { mask: Some(_), .. } => None,
        }
    }
}

/// How much is masked before it is written: what fits into a cache.
const MASKED_AT_ONCE: usize = 128 * 1024;
/// Parts of one system call.
const PARTS_MAX: usize = 16;
