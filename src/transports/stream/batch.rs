//! What a writer has taken from the queue, on its way into the kernel.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use super::byte_stream::Sink;
use super::codec::{Encoder, Veil};
use crate::message::Body;

/// Segments in their order, the first of which may be half written.
#[derive(Default)]
pub struct Batch {
    pub segments: VecDeque<Segment>,
    /// Bytes of the first segment that are written.
    offset: usize,
    pub messages: usize,
    /// A buffer whose bytes are written.
    used: Vec<u8>,
    /// Where bodies are veiled. It stays while it is of use: fresh memory for each would cost more
    /// than the veiling.
    veil_buffer: Vec<u8>,
}

/// Bytes that lie together.
pub enum Segment {
    Bytes(Vec<u8>),
    /// A veiled piece of a body.
    Veiled(Vec<u8>),
    Body(Body),
    /// What one frame takes of a body.
    Part {
        body: Arc<Body>,
        range: Range<usize>,
        veil: Option<PartVeil>,
    },
}

/// How a part is veiled. Others may hold the body, so that happens in a copy.
#[derive(Clone, Copy)]
pub struct PartVeil {
    pub veil: Veil,
    /// How far behind its prefix the part begins.
    pub at: usize,
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
    pub fn write(&mut self, sink: &(impl Sink + ?Sized), encoder: &dyn Encoder) -> Done {
        let result = self.write_until_full(sink, encoder);
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
        self.veil_buffer = Vec::new();
    }

    /// Writes until everything is written or the sink is full.
    fn write_until_full(
        &mut self,
        sink: &(impl Sink + ?Sized),
        encoder: &dyn Encoder,
    ) -> io::Result<usize> {
        let mut total = 0;
        while !self.segments.is_empty() {
            self.veil_next(encoder)?;
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

    /// Veils a piece of what is next, or next but the head of a frame. That is done as late as
    /// possible: the piece is in the cache when the kernel copies it.
    fn veil_next(&mut self, encoder: &dyn Encoder) -> io::Result<()> {
        let needs_veil = |segment: &Segment| segment.bytes().is_none();
        let Some(place) = self.segments.iter().take(2).position(needs_veil) else { return Ok(()) };
        let Segment::Part { body, range, veil: Some(PartVeil { veil, at }) } =
            &mut self.segments[place]
        else {
            return Ok(());
        };
        let piece = range.start..range.end.min(range.start + VEILED_AT_ONCE);
        let mut bytes = std::mem::take(&mut self.veil_buffer);
        bytes.try_reserve_exact(piece.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        bytes.extend_from_slice(&body.as_slice()[piece.clone()]);
        encoder.apply(*veil, *at, &mut bytes);
        *at += piece.len();
        range.start = piece.end;
        if range.start == range.end {
            self.segments[place] = Segment::Veiled(bytes);
        } else {
            self.segments.insert(place, Segment::Veiled(bytes));
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
                Some(Segment::Veiled(mut buffer)) => {
                    buffer.clear();
                    self.veil_buffer = buffer;
                }
                Some(Segment::Body(_) | Segment::Part { .. }) | None => {}
            }
        }
    }
}

impl Segment {
    pub fn len(&self) -> usize {
        match self {
            Segment::Bytes(bytes) | Segment::Veiled(bytes) => bytes.len(),
            Segment::Body(body) => body.len(),
            Segment::Part { range, .. } => range.len(),
        }
    }

    /// The bytes as they are written, unless they have to be veiled first.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Segment::Bytes(bytes) | Segment::Veiled(bytes) => Some(bytes),
            Segment::Body(body) => Some(body.as_slice()),
            Segment::Part { body, range, veil: None } => Some(&body.as_slice()[range.clone()]),
            Segment::Part { veil: Some(_), .. } => None,
        }
    }
}

/// How much is veiled before it is written: what fits into a cache.
const VEILED_AT_ONCE: usize = 128 * 1024;
/// Parts of one system call.
const PARTS_MAX: usize = 16;
