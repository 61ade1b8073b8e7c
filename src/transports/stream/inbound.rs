//! What a connection has read and nobody has received. No I/O: bytes in, messages out.
//!
//! Small messages stay as bytes until they are received, many from one read. The body of a big
//! one is read straight into the memory that it is delivered in, which grows as data arrives.

use super::wire::Format;
use crate::message::{Body, Chunk, Message, OutOfMemory};
use crate::transports::sp::Violation;
use crate::transports::sp::frame::Framing;
use crate::transports::ws;

/// Complete messages and the bytes behind them.
pub struct Inbound {
    codec: Codec,
    store: Store,
    /// Bytes that may wait here although a message can be received.
    ahead: usize,
    /// What follows cannot be decoded.
    violation: Option<Violation>,
}

enum Codec {
    /// Messages are stored as they lie on the wire.
    Sp(Framing),
    /// Messages are stored without what WebSocket puts into and between them.
    Ws(Box<ws::Assembler>),
}

/// Where messages lie until they are received.
#[derive(Default)]
pub struct Store {
    /// A big message that is complete, with its kind; it comes before the bytes.
    pub whole: Option<(Chunk, ws::Kind)>,
    pub bytes: Vec<u8>,
    /// How many of the bytes are consumed.
    pub start: usize,
}

/// A big message of which a part has arrived.
pub struct Partial {
    chunk: Chunk,
    /// How far the stream may be read straight into the chunk.
    size: usize,
    /// How large the chunk may have to be.
    capacity_max: usize,
}

impl Inbound {
    /// What arrives in `format`, at an application that grants it `recv_buffer` bytes.
    #[must_use]
    pub fn new(format: &Format, recv_buffer: usize) -> Inbound {
        let (codec, ahead) = match format {
            // The kernel keeps to the receiver's buffer size by itself.
            Format::Sp(Framing::Tcp) => (Codec::Sp(Framing::Tcp), 0),
            // The kernel knows the sender's buffer size only.
            Format::Sp(Framing::Ipc) => (Codec::Sp(Framing::Ipc), recv_buffer),
            // A ping behind messages that nobody wants yet is to be answered.
            Format::Ws(sending) => {
                (Codec::Ws(Box::new(ws::Assembler::new(sending.role()))), WS_AHEAD)
            }
        };
        Inbound { codec, store: Store::default(), ahead, violation: None }
    }

    /// Puts the next message into `message`, if it is complete.
    pub fn next(&mut self, size_max: Option<u64>, message: &mut Message) -> bool {
        if let Some((chunk, kind)) = self.store.whole.take() {
            message.body = Body::from_chunk(chunk);
            return self.label(kind as u8, message);
        }
        let Some(size) = self.complete(size_max) else { return false };
        let from = self.store.start + self.prefix_len();
        let first = self.store.bytes[self.store.start];
        // Without memory for the message the connection cannot go on.
        if message.body.fill(&self.store.bytes[from..from + size]).is_err() {
            self.violation = Some(Violation::TooLarge);
            return false;
        }
        self.store.start = from + size;
        if self.store.start == self.store.bytes.len() {
            self.store.rest();
        }
        self.label(first, message)
    }

    /// Notes on a message what only its wire knows of it.
    fn label(&mut self, kind: u8, message: &mut Message) -> bool {
        if let (Codec::Ws(_), Some(kind)) = (&self.codec, ws::Kind::from_number(kind)) {
            message.ancillary = self.note_memory(ws::label::write(kind));
            return message.ancillary.is_some();
        }
        true
    }

    /// Whether there is nothing at all, not even a part of a message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.whole.is_none() && self.store.bytes.is_empty()
    }

    /// Whether [`Inbound::next`] has something to give.
    pub fn is_readable(&mut self, size_max: Option<u64>) -> bool {
        self.store.whole.is_some() || self.complete(size_max).is_some()
    }

    /// Whether nothing more should be read before something is received.
    pub fn is_full(&mut self, size_max: Option<u64>) -> bool {
        let whole = self.store.whole.as_ref().map_or(0, |(chunk, _)| chunk.len());
        let waiting = whole + self.store.bytes.len() - self.store.start;
        waiting >= self.ahead && self.is_readable(size_max)
    }

    /// Whether anything may wait behind a message that can be received.
    #[must_use]
    pub fn is_read_ahead(&self) -> bool {
        self.ahead > 0
    }

    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// The frame to leave with, once there is a reason. Everything before it has arrived.
    #[must_use]
    pub fn close(&self) -> Option<ws::Close> {
        match &self.codec {
            Codec::Sp(_) => None,
            Codec::Ws(assembler) => assembler.close(),
        }
    }

    /// The payload of a ping that is to be answered.
    pub fn take_ping(&mut self) -> Option<Vec<u8>> {
        match &mut self.codec {
            Codec::Sp(_) => None,
            Codec::Ws(assembler) => assembler.take_ping(),
        }
    }

    /// Takes `bytes` that were read, which come after `partial` where there is one. Returns the
    /// big message that is still incomplete, if there is one now.
    pub fn absorb(
        &mut self,
        partial: Option<Partial>,
        bytes: &mut [u8],
        size_max: Option<u64>,
    ) -> Option<Partial> {
        if let Codec::Ws(assembler) = &mut self.codec {
            let absorbed = assembler.absorb(&mut self.store, partial, bytes, size_max);
            return self.note_memory(absorbed).flatten();
        }
        let rest = match partial {
            None => &*bytes,
            Some(mut partial) => {
                let missing = partial.size - partial.chunk.len();
                let (own, rest) = bytes.split_at(missing.min(bytes.len()));
                self.note_memory(partial.extend(own))?;
                if partial.chunk.len() < partial.size {
                    return Some(partial);
                }
                self.store.whole = Some((partial.chunk, ws::Kind::Binary));
                rest
            }
        };
        self.store.compact();
        let reserved = self.store.bytes.try_reserve(rest.len());
        self.note_memory(reserved)?;
        self.store.bytes.extend_from_slice(rest);
        if self.store.whole.is_some() { None } else { self.begin_big(size_max) }
    }

    /// Starts a big message when the bytes are the beginning of one.
    fn begin_big(&mut self, size_max: Option<u64>) -> Option<Partial> {
        let size = self.announced(size_max)?;
        let from = self.store.start + self.prefix_len();
        let arrived = self.store.bytes.len() - from;
        if size < BIG || arrived >= size {
            return None;
        }
        let begun = Partial::begin(&self.store.bytes[from..], size, size);
        let partial = self.note_memory(begun)?;
        self.store.rest();
        Some(partial)
    }

    /// The size of the message at the front, when all of it is there.
    fn complete(&mut self, size_max: Option<u64>) -> Option<usize> {
        let size = self.announced(size_max)?;
        let behind_prefix = self.store.bytes.len() - self.store.start - self.prefix_len();
        (size <= behind_prefix).then_some(size)
    }

    fn announced(&mut self, size_max: Option<u64>) -> Option<usize> {
        if self.violation.is_some() {
            return None;
        }
        let framing = match &self.codec {
            Codec::Sp(framing) => framing,
            Codec::Ws(assembler) => return assembler.stored(&self.store),
        };
        match framing.size(&self.store.bytes[self.store.start..], size_max) {
            Ok(size) => size,
            Err(violation) => {
                self.violation = Some(violation);
                None
            }
        }
    }

    fn prefix_len(&self) -> usize {
        match &self.codec {
            Codec::Sp(framing) => framing.prefix_len(),
            Codec::Ws(_) => ws::Assembler::PREFIX_LEN,
        }
    }

    fn note_memory<T, E>(&mut self, result: Result<T, E>) -> Option<T> {
        if result.is_err() {
            self.violation = Some(Violation::TooLarge);
        }
        result.ok()
    }
}

impl Store {
    /// Forgets what is consumed.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Nothing is left of the bytes: only a small buffer is worth keeping.
    pub fn rest(&mut self) {
        self.start = 0;
        if self.bytes.capacity() > SMALL_BUFFER {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

impl Partial {
    /// A message that begins with `arrived`.
    ///
    /// # Errors
    /// When memory for that cannot be had.
    pub fn begin(arrived: &[u8], size: usize, capacity_max: usize) -> Result<Partial, OutOfMemory> {
        let capacity = capacity_max.min(FIRST_CAPACITY.max(arrived.len()));
        let mut chunk = Chunk::with_capacity(capacity)?;
        chunk.extend(arrived);
        Ok(Partial { chunk, size, capacity_max })
    }

    /// Where the next bytes of the message go, and how many at most.
    pub fn room(&mut self) -> (&mut Chunk, usize) {
        let missing = self.size - self.chunk.len();
        if missing > 0 {
            // Without more room the bytes arrive elsewhere and are copied: still correct.
            let _ = self.make_room(0);
        }
        let room = missing.min(self.chunk.spare().len());
        (&mut self.chunk, room)
    }

    /// What has arrived.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.chunk.as_slice()
    }

    #[must_use]
    pub fn into_chunk(self) -> Chunk {
        self.chunk
    }

    /// So much of it may be read straight into its place from now on.
    pub fn expect(&mut self, missing: usize, capacity_max: usize) {
        self.size = self.chunk.len() + missing;
        self.capacity_max = capacity_max;
    }

    /// # Errors
    /// When memory for `bytes` cannot be had.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.make_room(bytes.len())?;
        self.chunk.extend(bytes);
        Ok(())
    }

    /// Doubles the chunk when it is full, so that a peer pays for memory with data.
    fn make_room(&mut self, more: usize) -> Result<(), OutOfMemory> {
        let (len, capacity) = (self.chunk.len(), self.chunk.capacity());
        if len + more.max(1) > capacity && capacity < self.capacity_max {
            self.chunk.reserve(self.capacity_max.min((capacity * 2).max(len + more)))?;
        }
        Ok(())
    }
}

/// From this size on a body is read into its own chunk.
pub const BIG: usize = 16 * 1024;
/// What a peer gets on the strength of an announcement.
const FIRST_CAPACITY: usize = 256 * 1024;
/// A buffer that may stay with an idle connection.
const SMALL_BUFFER: usize = 4 * 1024;
/// Messages that nobody has received fill so much before nothing more is read.
const WS_AHEAD: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::fuzzing::receive;
    use crate::transports::stream::{Envelope, Place};

    fn wire(framing: Framing, sizes: &[usize]) -> Vec<u8> {
        let mut wire = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            wire.extend_from_slice(framing.prefix(*size, Place::WHOLE).as_slice());
            wire.extend((0..*size).map(|i| (i * 7 + index) as u8));
        }
        wire
    }

    fn next(inbound: &mut Inbound, size_max: Option<u64>) -> Option<Message> {
        let mut message = Message::default();
        inbound.next(size_max, &mut message).then_some(message)
    }

    fn decode(framing: Framing, wire: &[u8], step: usize) -> Vec<Vec<u8>> {
        let messages = receive(&Format::Sp(framing), wire, step);
        messages.iter().map(|message| message.body.as_slice().to_vec()).collect()
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
        let mut inbound = Inbound::new(&Format::Sp(Framing::Tcp), 0);
        let mut head = Framing::Tcp.prefix(1 << 30, Place::WHOLE).as_slice().to_vec();
        let mut partial = inbound.absorb(None, &mut head, None);
        let (chunk, room) = partial.as_mut().unwrap().room();
        assert_eq!((chunk.capacity(), room), (FIRST_CAPACITY, FIRST_CAPACITY));
    }

    #[test]
    fn what_came_before_a_violation_is_delivered() {
        let mut inbound = Inbound::new(&Format::Sp(Framing::Tcp), 0);
        let mut bytes = wire(Framing::Tcp, &[5, 6]);
        bytes.extend_from_slice(Framing::Tcp.prefix(101, Place::WHOLE).as_slice());
        assert!(inbound.absorb(None, &mut bytes, Some(100)).is_none());
        assert_eq!(next(&mut inbound, Some(100)).unwrap().body.len(), 5);
        assert_eq!(inbound.violation(), None);
        assert_eq!(next(&mut inbound, Some(100)).unwrap().body.len(), 6);
        assert!(!inbound.is_readable(Some(100)));
        assert_eq!(inbound.violation(), Some(Violation::TooLarge));
        assert!(next(&mut inbound, Some(100)).is_none());
    }

    #[test]
    fn over_ipc_the_receivers_buffer_is_ours_to_keep_to() {
        for (framing, expected) in [(Framing::Tcp, 1), (Framing::Ipc, 10)] {
            let mut inbound = Inbound::new(&Format::Sp(framing), 1000);
            let mut one = wire(framing, &[100 - framing.prefix_len()]);
            let mut absorbed = 0;
            while !inbound.is_full(None) {
                inbound.absorb(None, &mut one, None);
                absorbed += 1;
            }
            assert_eq!(absorbed, expected);
            next(&mut inbound, None).unwrap();
            assert!(!inbound.is_full(None));
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut seed = 0x9e37_79b9_u64;
        for _ in 0..2000 {
            let mut inbound = Inbound::new(&Format::Sp(Framing::Ipc), 0);
            let mut bytes: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    ((seed >> 60) as u8) & 1
                })
                .collect();
            let partial = inbound.absorb(None, &mut bytes, Some(1 << 20));
            assert!(partial.is_none_or(|partial| partial.size <= 1 << 20));
            while next(&mut inbound, Some(1 << 20)).is_some() {}
        }
    }
}
