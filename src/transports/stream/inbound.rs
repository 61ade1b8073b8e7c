//! What a connection has read and nobody has received. No I/O: bytes in, messages out.
//!
//! Small messages stay as bytes until they are received, many from one read. The body of a big
//! one is read straight into the memory that it is delivered in, which grows as data arrives.

use super::wire::Format;
use crate::message::{Body, Chunk, Message};
use crate::transports::sp::Violation;
use crate::transports::sp::frame::Framing;

/// Complete messages and the bytes behind them.
pub struct Inbound {
    framing: Framing,
    /// A big message that is complete; it comes before the bytes.
    whole: Option<Chunk>,
    bytes: Vec<u8>,
    /// How many of the bytes are consumed.
    start: usize,
    /// What follows cannot be decoded.
    violation: Option<Violation>,
}

/// A big message of which a part has arrived.
pub struct Partial {
    chunk: Chunk,
    size: usize,
}

impl Inbound {
    #[must_use]
    pub fn new(format: Format) -> Inbound {
        let Format::Sp(framing) = format;
        Inbound { framing, whole: None, bytes: Vec::new(), start: 0, violation: None }
    }

    /// Puts the next message into `message`, if it is complete.
    pub fn next(&mut self, size_max: Option<u64>, message: &mut Message) -> bool {
        if let Some(chunk) = self.whole.take() {
            message.body = Body::from_chunk(chunk);
            return true;
        }
        let Some(size) = self.complete(size_max) else { return false };
        let from = self.start + self.framing.prefix_len();
        // Without memory for the message the connection cannot go on.
        if message.body.fill(&self.bytes[from..from + size]).is_err() {
            self.violation = Some(Violation::TooLarge);
            return false;
        }
        self.start = from + size;
        if self.start == self.bytes.len() {
            self.rest();
        }
        true
    }

    /// Whether there is nothing at all, not even a part of a message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole.is_none() && self.bytes.is_empty()
    }

    /// Whether [`Inbound::next`] has something to give.
    pub fn is_readable(&mut self, size_max: Option<u64>) -> bool {
        self.whole.is_some() || self.complete(size_max).is_some()
    }

    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// Takes `bytes` that were read, which come after `partial` where there is one. Returns the
    /// big message that is still incomplete, if there is one now.
    pub fn absorb(
        &mut self,
        partial: Option<Partial>,
        bytes: &[u8],
        size_max: Option<u64>,
    ) -> Option<Partial> {
        let rest = match partial {
            None => bytes,
            Some(mut partial) => {
                let missing = partial.size - partial.chunk.len();
                let (own, rest) = bytes.split_at(missing.min(bytes.len()));
                self.note_memory(partial.extend(own))?;
                if partial.chunk.len() < partial.size {
                    return Some(partial);
                }
                self.whole = Some(partial.chunk);
                rest
            }
        };
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let reserved = self.bytes.try_reserve(rest.len());
        self.note_memory(reserved)?;
        self.bytes.extend_from_slice(rest);
        if self.whole.is_some() { None } else { self.begin_big(size_max) }
    }

    /// Starts a big message when the bytes are the beginning of one.
    fn begin_big(&mut self, size_max: Option<u64>) -> Option<Partial> {
        let size = self.announced(size_max)?;
        let from = self.start + self.framing.prefix_len();
        let arrived = self.bytes.len() - from;
        if size < BIG || arrived >= size {
            return None;
        }
        let chunk = Chunk::with_capacity(size.min(FIRST_CAPACITY.max(arrived)));
        let mut chunk = self.note_memory(chunk)?;
        chunk.extend(&self.bytes[from..]);
        self.rest();
        Some(Partial { chunk, size })
    }

    /// The size of the message at the front, when all of it is there.
    fn complete(&mut self, size_max: Option<u64>) -> Option<usize> {
        let size = self.announced(size_max)?;
        let behind_prefix = self.bytes.len() - self.start - self.framing.prefix_len();
        (size <= behind_prefix).then_some(size)
    }

    fn announced(&mut self, size_max: Option<u64>) -> Option<usize> {
        if self.violation.is_some() {
            return None;
        }
        match self.framing.size(&self.bytes[self.start..], size_max) {
            Ok(size) => size,
            Err(violation) => {
                self.violation = Some(violation);
                None
            }
        }
    }

    fn note_memory<T, E>(&mut self, result: Result<T, E>) -> Option<T> {
        if result.is_err() {
            self.violation = Some(Violation::TooLarge);
        }
        result.ok()
    }

    /// Nothing is left of the bytes: only a small buffer is worth keeping.
    fn rest(&mut self) {
        self.start = 0;
        if self.bytes.capacity() > SMALL_BUFFER {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

impl Partial {
    /// Where the next bytes of the message go.
    pub fn chunk(&mut self) -> &mut Chunk {
        // Without more room the bytes arrive elsewhere and are copied: still correct.
        let _ = self.make_room(0);
        &mut self.chunk
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), crate::message::OutOfMemory> {
        self.make_room(bytes.len())?;
        self.chunk.extend(bytes);
        Ok(())
    }

    /// Doubles the chunk when it is full, so that a peer pays for memory with data.
    fn make_room(&mut self, more: usize) -> Result<(), crate::message::OutOfMemory> {
        let (len, capacity) = (self.chunk.len(), self.chunk.capacity());
        if len + more.max(1) > capacity && capacity < self.size {
            self.chunk.reserve(self.size.min((capacity * 2).max(len + more)))?;
        }
        Ok(())
    }
}

/// From this size on a body is read into its own chunk.
const BIG: usize = 16 * 1024;
/// What a peer gets on the strength of an announcement.
const FIRST_CAPACITY: usize = 256 * 1024;
/// A buffer that may stay with an idle connection.
const SMALL_BUFFER: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::stream::Envelope;

    fn wire(framing: Framing, sizes: &[usize]) -> Vec<u8> {
        let mut wire = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            wire.extend_from_slice(framing.prefix(*size).as_slice());
            wire.extend((0..*size).map(|i| (i * 7 + index) as u8));
        }
        wire
    }

    fn next(inbound: &mut Inbound, size_max: Option<u64>) -> Option<Message> {
        let mut message = Message::default();
        inbound.next(size_max, &mut message).then_some(message)
    }

    /// Feeds `wire` in steps; reads into the chunk of a big message as the kernel would.
    fn decode(framing: Framing, wire: &[u8], step: usize) -> Vec<Vec<u8>> {
        let (mut inbound, mut partial) = (Inbound::new(Format::Sp(framing)), None::<Partial>);
        let mut messages = Vec::new();
        for piece in wire.chunks(step) {
            let mut rest = piece;
            if let Some(partial) = &mut partial {
                let chunk = partial.chunk();
                let (own, behind) = piece.split_at(chunk.spare().len().min(piece.len()));
                chunk.extend(own);
                rest = behind;
            }
            partial = inbound.absorb(partial.take(), rest, None);
            while let Some(message) = next(&mut inbound, None) {
                messages.push(message.body.as_slice().to_vec());
            }
        }
        assert_eq!(inbound.violation(), None);
        messages
    }

    #[test]
    fn every_split_gives_the_same_messages() {
        let sizes = [0, 1, 5, 94, 95, 300, 0, 0, 2000, 7];
        for framing in [Framing::Tcp, Framing::Ipc] {
            let wire = wire(framing, &sizes);
            let whole = decode(framing, &wire, wire.len());
            assert_eq!(whole.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            for step in 1..400 {
                assert_eq!(decode(framing, &wire, step), whole, "read step {step}");
            }
        }
    }

    #[test]
    fn big_messages_survive_every_kind_of_split() {
        let sizes = [3, BIG - 1, BIG, 70_000, 1, FIRST_CAPACITY * 3 + 5, 12];
        let wire = wire(Framing::Tcp, &sizes);
        let whole = decode(Framing::Tcp, &wire, wire.len());
        assert_eq!(whole.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        for step in [7, 100, 4096, 65_536, 70_001, 300_000] {
            assert_eq!(decode(Framing::Tcp, &wire, step), whole, "read step {step}");
        }
    }

    #[test]
    fn an_announcement_alone_costs_little_memory() {
        let mut inbound = Inbound::new(Format::Sp(Framing::Tcp));
        let mut partial = inbound.absorb(None, Framing::Tcp.prefix(1 << 30).as_slice(), None);
        let chunk = partial.as_mut().unwrap().chunk();
        assert_eq!(chunk.capacity(), FIRST_CAPACITY);
    }

    #[test]
    fn what_came_before_a_violation_is_delivered() {
        let mut inbound = Inbound::new(Format::Sp(Framing::Tcp));
        let mut bytes = wire(Framing::Tcp, &[5, 6]);
        bytes.extend_from_slice(Framing::Tcp.prefix(101).as_slice());
        assert!(inbound.absorb(None, &bytes, Some(100)).is_none());
        assert_eq!(next(&mut inbound, Some(100)).unwrap().body.len(), 5);
        assert_eq!(inbound.violation(), None);
        assert_eq!(next(&mut inbound, Some(100)).unwrap().body.len(), 6);
        assert!(!inbound.is_readable(Some(100)));
        assert_eq!(inbound.violation(), Some(Violation::TooLarge));
        assert!(next(&mut inbound, Some(100)).is_none());
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut seed = 0x9e37_79b9_u64;
        for _ in 0..2000 {
            let mut inbound = Inbound::new(Format::Sp(Framing::Ipc));
            let bytes: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    ((seed >> 60) as u8) & 1
                })
                .collect();
            let partial = inbound.absorb(None, &bytes, Some(1 << 20));
            assert!(partial.is_none_or(|partial| partial.size <= 1 << 20));
            while next(&mut inbound, Some(1 << 20)).is_some() {}
        }
    }
}
