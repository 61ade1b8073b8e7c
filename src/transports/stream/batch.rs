//! What a writer has taken from the queue, on its way into the kernel.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use super::byte_stream::{Sink, UNREADABLE};
use super::codec::{Encoder, Veil};
use super::runs::Follows;
use crate::error::Error;
use crate::memory::{self, OutOfMemory};
use crate::message::Body;

/// Segments in their order, the first of which may be half written.
#[derive(Default)]
pub struct Batch {
    pub segments: VecDeque<Segment>,
    /// Bytes of the first segment that are written.
    offset: usize,
    /// A buffer whose bytes are written.
    used: Vec<u8>,
    pub messages: u32,
    is_unreadable: bool,
    /// What comes behind what is here.
    pub follows: Follows,
    /// What the kernel has been given last waits there for more.
    waits: bool,
    /// Where bodies are veiled. It stays while it is of use: fresh memory for each would cost more
    /// than the veiling. Most connections veil nothing, and have no room for it.
    veil_buffer: Option<Box<VeilBuffer>>,
}

#[derive(Default)]
struct VeilBuffer(Vec<u8>);

/// Bytes that lie together.
pub enum Segment {
    Bytes(Vec<u8>),
    /// The same without what it began with.
    Rest {
        bytes: Vec<u8>,
        start: usize,
    },
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
    pub messages: u32,
    pub used: Vec<u8>,
    /// What a sender lends cannot be read. If nothing of its frame was written, all of it counts
    /// as written now.
    pub is_unreadable: bool,
    /// The kernel has been told that more follows, and may keep what it has until then.
    pub waits: bool,
}

/// What has become of the rest of a body when its sender took it back.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// There is a copy of what is left.
    All,
    /// There is none, and nothing of the frame was written: it is gone, with so many bytes.
    NoneOf { removed: usize, is_empty: bool, why: Error },
    /// There is none, and a part of the frame was written: nothing can follow that.
    Half(Error),
}

impl Default for Done {
    fn default() -> Done {
        let (used, is_unreadable) = (Vec::new(), false);
        Done { result: Ok(0), is_empty: true, messages: 0, used, is_unreadable, waits: false }
    }
}

impl Done {
    /// Nothing was written, nor will be.
    pub fn failed(why: io::ErrorKind) -> Done {
        Done { result: Err(why.into()), ..Done::default() }
    }
}

impl Batch {
    /// Writes as much as the sink takes.
    pub fn write(&mut self, sink: &(impl Sink + ?Sized), encoder: &dyn Encoder) -> Done {
        let follows = std::mem::take(&mut self.follows);
        if follows == Follows::More && !self.waits {
            self.waits = true;
            sink.keep();
        }
        let result = self.write_until_full(sink, encoder);
        let is_empty = self.segments.is_empty();
        if self.waits && (follows == Follows::Unknown || !is_empty) {
            self.waits = false;
            sink.release();
        }
        Done {
            waits: self.waits,
            result,
            is_empty,
            messages: if is_empty { std::mem::take(&mut self.messages) } else { 0 },
            used: std::mem::take(&mut self.used),
            is_unreadable: std::mem::take(&mut self.is_unreadable),
        }
    }

    /// Nothing has been written lately.
    pub fn rest(&mut self) {
        self.veil_buffer = None;
    }

    /// Writes until everything is written or the sink is full.
    fn write_until_full(
        &mut self,
        sink: &(impl Sink + ?Sized),
        encoder: &dyn Encoder,
    ) -> io::Result<usize> {
        if let Some(written) = self.write_only(sink) {
            return written;
        }
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
            let written = match sink.write(&parts[..count]) {
                Err(error) if error.kind() == UNREADABLE => {
                    self.is_unreadable = true;
                    total += self.remove_lent().map_err(|()| error)?;
                    continue;
                }
                result => result?,
            };
            total += written;
            self.advance(written);
            // Of what is lent it may be a page that is not there that ends it, which the next call
            // tells: nobody else may find that out.
            let is_to_ask = written > 0 && self.segments.iter().take(2).any(Segment::is_lent);
            if written < offered && !is_to_ask {
                break;
            }
        }
        Ok(total)
    }

    /// The same where there is one buffer, and nothing of it is written: so it is mostly.
    #[inline]
    fn write_only(&mut self, sink: &(impl Sink + ?Sized)) -> Option<io::Result<usize>> {
        let ([Segment::Bytes(bytes)], []) = self.segments.as_slices() else { return None };
        if self.offset > 0 {
            return None;
        }
        let result = sink.write(&[IoSlice::new(bytes)]);
        match result {
            Ok(written) if written == bytes.len() => {
                if let Some(Segment::Bytes(mut bytes)) = self.segments.pop_front() {
                    bytes.clear();
                    self.used = bytes;
                }
            }
            Ok(written) => self.offset = written,
            Err(_) => {}
        }
        Some(result)
    }

    /// Veils a piece of what is next, or next but the head of a frame. That is done as late as
    /// possible: the piece is in the cache when the kernel copies it.
    fn veil_next(&mut self, encoder: &dyn Encoder) -> io::Result<()> {
        let needs_veil = |segment: &Segment| segment.bytes().is_none();
        let Some(place) = self.segments.iter().take(2).position(needs_veil) else { return Ok(()) };
        let no_memory = |OutOfMemory| io::ErrorKind::OutOfMemory;
        memory::reserve(&mut self.segments, 1).map_err(no_memory)?;
        let Segment::Part { body, range, veil: Some(PartVeil { veil, at }) } =
            &mut self.segments[place]
        else {
            return Ok(());
        };
        let piece = range.start..range.end.min(range.start + VEILED_AT_ONCE);
        let kept = self.veil_buffer.as_mut().map(|kept| std::mem::take(&mut kept.0));
        let mut bytes = kept.unwrap_or_default();
        let more = piece.len().saturating_sub(bytes.len());
        memory::reserve_exact(&mut bytes, more).map_err(no_memory)?;
        // It has been of this size mostly, and is not made empty in between.
        bytes.resize(piece.len(), 0);
        encoder.copy(*veil, *at, &body.as_slice()[piece.clone()], &mut bytes);
        *at += piece.len();
        range.start = piece.end;
        if range.start == range.end {
            self.segments[place] = Segment::Veiled(bytes);
        } else {
            self.segments.insert(place, Segment::Veiled(bytes));
        }
        Ok(())
    }

    /// Copies what is left of a body that its sender lends, who takes it back.
    pub fn keep_lent(&mut self, has_bytes: impl FnOnce(&[u8]) -> bool) -> Kept {
        let Some(at) = self.segments.iter().position(Segment::is_lent) else { return Kept::All };
        let skipped = if at == 0 { self.offset } else { 0 };
        let Segment::Body(body) = &mut self.segments[at] else { return Kept::All };
        body.trim_front(skipped);
        let kept = if has_bytes(body.as_slice()) {
            body.own().map_err(Error::from)
        } else {
            Err(Error::BadPointer)
        };
        if at == 0 {
            self.offset = 0;
        }
        let Err(why) = kept else { return Kept::All };
        let Ok(removed) = self.remove_lent() else { return Kept::Half(why) };
        self.messages -= 1;
        Kept::NoneOf { removed, is_empty: self.segments.is_empty(), why }
    }

    /// Removes the frame with the body that is lent, and says how long it was.
    ///
    /// # Errors
    /// When a part of it was written. Then the body alone is gone: who looks still finds that a
    /// frame is half written.
    fn remove_lent(&mut self) -> Result<usize, ()> {
        let at = self.segments.iter().position(Segment::is_lent).ok_or(())?;
        // What stands in front of the body is in a segment of its own.
        if let Some(head) = at.checked_sub(1)
            && (head > 0 || self.offset == 0)
        {
            let frame = self.segments.drain(head..=at);
            return Ok(frame.map(|segment| segment.len()).sum());
        }
        self.offset = if at == 0 { 0 } else { self.offset };
        self.segments[at] = Segment::Body(Body::default());
        Err(())
    }

    /// Keeps so many bytes, with which a message ends, and gives back what is behind them.
    ///
    /// # Errors
    /// When there is no memory for that; nothing is changed.
    pub fn split_off(&mut self, size: usize) -> Result<VecDeque<Segment>, OutOfMemory> {
        let (mut at, mut left, mut skipped) = (0, size, self.offset);
        while let Some(segment) = self.segments.get(at)
            && left > 0
        {
            let len = segment.len() - skipped;
            if left < len {
                break;
            }
            (at, left, skipped) = (at + 1, left - len, 0);
        }
        let mut rest = VecDeque::new();
        memory::reserve(&mut rest, self.segments.len() - at)?;
        if left > 0
            && let Some(segment) = self.segments.get_mut(at)
        {
            let mut head = Vec::new();
            memory::reserve_exact(&mut head, left)?;
            head.extend_from_slice(&segment.bytes().unwrap_or_default()[skipped..skipped + left]);
            let whole = std::mem::replace(segment, Segment::Bytes(head));
            rest.push_back(whole.without(skipped + left));
            (at, self.offset) = (at + 1, if at == 0 { 0 } else { self.offset });
        }
        rest.extend(self.segments.drain(at..));
        Ok(rest)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.offset = 0;
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
                Some(Segment::Veiled(buffer)) => {
                    self.veil_buffer.get_or_insert_default().0 = buffer;
                }
                Some(Segment::Rest { .. } | Segment::Body(_) | Segment::Part { .. }) | None => {}
            }
        }
    }
}

impl Segment {
    /// Whether somebody lends it.
    pub fn is_lent(&self) -> bool {
        matches!(self, Segment::Body(body) if body.is_lent())
    }

    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Segment::Bytes(bytes) | Segment::Veiled(bytes) => bytes.len(),
            Segment::Rest { bytes, start } => bytes.len() - start,
            Segment::Body(body) => body.len(),
            Segment::Part { range, .. } => range.len(),
        }
    }

    /// The bytes as they are written, unless they have to be veiled first.
    #[inline]
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Segment::Bytes(bytes) | Segment::Veiled(bytes) => Some(bytes),
            Segment::Rest { bytes, start } => Some(&bytes[*start..]),
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::transports::stream::codec::{PREFIX_MAX, Place, Prefix};
    use std::cell::{Cell, RefCell};

    /// Adds to each byte a number that depends on where it stands.
    struct Adding;

    impl Encoder for Adding {
        fn prefix(&self, _message: &Message, _size: usize, _place: Place) -> Prefix {
            Prefix::new([0; PREFIX_MAX], 0)
        }

        fn apply(&self, Veil([start, ..]): Veil, at: usize, bytes: &mut [u8]) {
            for (index, byte) in bytes.iter_mut().enumerate() {
                // No power of two, which is what sizes of pieces are made of.
                let place = (at + index) % 251;
                *byte = byte.wrapping_add(start).wrapping_add(place as u8);
            }
        }
    }

    /// A kernel that takes so many bytes at a time, and only so many in all.
    struct Kernel {
        step: usize,
        room: Cell<usize>,
        taken: RefCell<Vec<u8>>,
        calls: RefCell<Vec<usize>>,
    }

    impl Kernel {
        fn new(step: usize, room: usize) -> Kernel {
            let (room, taken, calls) = (Cell::new(room), RefCell::default(), RefCell::default());
            Kernel { step, room, taken, calls }
        }
    }

    impl Sink for Kernel {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            self.calls.borrow_mut().push(parts.len());
            let all: Vec<u8> = parts.iter().flat_map(|part| part.iter()).copied().collect();
            let count = all.len().min(self.step).min(self.room.get());
            self.taken.borrow_mut().extend_from_slice(&all[..count]);
            self.room.set(self.room.get() - count);
            Ok(count)
        }
    }

    struct Broken;

    impl Sink for Broken {
        fn write(&self, _parts: &[IoSlice<'_>]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    fn part(bytes: &[u8], range: Range<usize>, veil: Option<PartVeil>) -> Segment {
        Segment::Part { body: Arc::new(Body::copy_from(bytes).unwrap()), range, veil }
    }

    /// One of each kind, and what the wire shows of them.
    fn batch() -> (Batch, Vec<u8>) {
        let veil = Some(PartVeil { veil: Veil([100, 0, 0, 0]), at: 3 });
        let segments = [
            Segment::Bytes(b"bytes".to_vec()),
            Segment::Body(Body::copy_from(b"body").unwrap()),
            part(b"xpartx", 1..5, None),
            part(&[0; 6], 2..5, veil),
            Segment::Veiled(b"veiled".to_vec()),
            part(b"nothing", 3..3, None),
        ];
        let wire = [&b"bytesbodypart"[..], &[103, 104, 105], b"veiled"].concat();
        let batch = Batch { segments: segments.into(), messages: 4, ..Batch::default() };
        (batch, wire)
    }

    fn wire_len(batch: &Batch) -> usize {
        batch.segments.iter().map(Segment::len).sum::<usize>() - batch.offset
    }

    #[test]
    fn all_kinds_come_out_in_their_order_wherever_the_kernel_stops() {
        for step in 1..30 {
            let (mut batch, wire) = batch();
            let kernel = Kernel::new(step, usize::MAX);
            assert_eq!(wire_len(&batch), wire.len());
            let mut written = 0;
            while !batch.segments.is_empty() {
                assert_eq!(batch.messages, 4);
                let done = batch.write(&kernel, &Adding);
                written += done.result.unwrap();
                assert_eq!(done.is_empty, batch.segments.is_empty());
                assert_eq!(done.messages, if done.is_empty { 4 } else { 0 });
                assert_eq!(wire_len(&batch), wire.len() - written, "step {step}");
            }
            assert_eq!(*kernel.taken.borrow(), wire, "step {step}");
        }
    }

    #[test]
    fn a_kernel_that_took_less_is_not_asked_again() {
        let (mut batch, wire) = batch();
        let kernel = Kernel::new(usize::MAX, 3);
        assert_eq!(batch.write(&kernel, &Adding).result.unwrap(), 3);
        assert_eq!(kernel.calls.borrow().len(), 1);
        assert_eq!(batch.write(&kernel, &Adding).result.unwrap(), 0);
        kernel.room.set(1000);
        assert_eq!(batch.write(&kernel, &Adding).result.unwrap(), wire.len() - 3);
        assert_eq!(batch.write(&kernel, &Adding).result.unwrap(), 0);
        assert_eq!(*kernel.taken.borrow(), wire);
    }

    #[test]
    fn a_used_buffer_is_given_back_empty() {
        let bytes = Vec::with_capacity(1000);
        let segment = Segment::Bytes([bytes, b"ab".to_vec()].concat());
        let mut batch = Batch { segments: [segment].into(), ..Batch::default() };
        let half = batch.write(&Kernel::new(1, 1), &Adding);
        assert_eq!((half.used.capacity(), half.is_empty), (0, false));
        let rest = batch.write(&Kernel::new(1, 1), &Adding);
        assert!(rest.used.is_empty() && rest.used.capacity() >= 2);
    }

    #[test]
    fn a_failure_is_told() {
        let (mut batch, _) = batch();
        let done = batch.write(&Broken, &Adding);
        assert_eq!(done.result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(!done.is_empty);
    }

    #[test]
    fn many_segments_take_few_calls() {
        let segments = (0..2 * PARTS_MAX).map(|at| Segment::Bytes(vec![at as u8]));
        let mut batch = Batch { segments: segments.collect(), ..Batch::default() };
        let kernel = Kernel::new(usize::MAX, usize::MAX);
        assert!(batch.write(&kernel, &Adding).is_empty);
        assert_eq!(*kernel.calls.borrow(), [PARTS_MAX, PARTS_MAX]);
    }

    #[test]
    fn a_big_body_is_veiled_piece_by_piece_in_one_buffer_that_rests() {
        let body: Vec<u8> = (0..3 * VEILED_AT_ONCE + 5).map(|at| (at / 7) as u8).collect();
        let veil = Some(PartVeil { veil: Veil([9, 0, 0, 0]), at: 2 });
        let mut batch = Batch::default();
        batch.segments.push_back(Segment::Bytes(b"head".to_vec()));
        batch.segments.push_back(part(&body, 0..body.len(), veil));
        let kernel = Kernel::new(usize::MAX, usize::MAX);
        assert!(batch.write(&kernel, &Adding).is_empty);
        let mut wire = body.clone();
        Adding.apply(Veil([9, 0, 0, 0]), 2, &mut wire);
        assert!(*kernel.taken.borrow() == [b"head", &wire[..]].concat());
        // The head goes with the first piece.
        assert_eq!(*kernel.calls.borrow(), [2, 1, 1, 1]);
        let capacity = batch.veil_buffer.as_ref().unwrap().0.capacity();
        assert!((1..2 * VEILED_AT_ONCE).contains(&capacity), "{capacity}");
        batch.rest();
        assert!(batch.veil_buffer.is_none());
    }
}
