//! Messages that take more than one frame: pieces of one body, each behind a prefix of its own.

use std::sync::Arc;

use super::batch::{PartVeil, Segment};
use super::codec::{Encoder, PREFIX_MAX, Place};
use super::queue::{Queue, SEGMENTS_OF_FRAME};
use crate::memory;
use crate::message::{Body, Message};

impl Queue {
    /// Appends a message that takes more than one frame, and returns the bytes that it takes, or
    /// nothing when there is no memory.
    pub(super) fn append_frames(
        &mut self,
        encoder: &dyn Encoder,
        message: &mut Message,
    ) -> Option<usize> {
        let payload = message.wire_len();
        let frames = payload.div_ceil(encoder.frame_max());
        memory::reserve(&mut self.segments, 1 + frames * SEGMENTS_OF_FRAME).ok()?;
        if !self.gathered.is_empty() {
            self.close_gathered();
        }
        let (before, body) = (self.segments.len(), share_body(message)?);
        let size = self.append_pieces(encoder, message, payload, &body);
        if size.is_none() {
            self.gathered.clear();
            self.segments.truncate(before);
            message.body = Arc::into_inner(body).expect("the pieces are gone");
        }
        size
    }

    fn append_pieces(
        &mut self,
        encoder: &dyn Encoder,
        message: &Message,
        payload: usize,
        body: &Arc<Body>,
    ) -> Option<usize> {
        let header = message.header.as_slice();
        let (mut at, mut size) = (0, payload);
        while at < payload {
            let end = payload.min(at + encoder.frame_max());
            let place = Place { is_first: at == 0, is_last: end == payload };
            let prefix = encoder.prefix(message, end - at, place);
            size += prefix.as_slice().len();
            let own = &header[at.min(header.len())..end.min(header.len())];
            memory::reserve(&mut self.gathered, PREFIX_MAX + own.len()).ok()?;
            self.gathered.extend_from_slice(prefix.as_slice());
            let start = self.gathered.len();
            self.gathered.extend_from_slice(own);
            if let Some(veil) = prefix.veil() {
                encoder.apply(veil, 0, &mut self.gathered[start..]);
            }
            let skipped = own.len();
            let range = (at + skipped).max(header.len()) - header.len()
                ..end.max(header.len()) - header.len();
            self.close_gathered();
            self.segments.push_back(Segment::Part {
                body: Arc::clone(body),
                range,
                veil: prefix.veil().map(|veil| PartVeil { veil, at: skipped }),
            });
            at = end;
        }
        Some(size)
    }
}

/// The body apart, for pieces of it to share. It is untouched without memory for that.
pub(super) fn share_body(message: &mut Message) -> Option<Arc<Body>> {
    message.body.own().ok()?;
    memory::shared(std::mem::take(&mut message.body)).map_err(|body| message.body = body).ok()
}
