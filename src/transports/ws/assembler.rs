//! From what arrives on a WebSocket to whole messages, as `stream/` stores them. Pure.
//!
//! A message that is complete is stored as its kind, its size, and its payload, whatever frames it
//! came in. A big one that is not yet complete gets memory of its own.

use std::sync::Arc;

use super::close::{Close, Violation};
use super::decoder::{Decoder, Found};
use super::frame::Kind;
use super::label;
use super::sending::Sending;
use crate::memory::{self, Attempt, OutOfMemory};
use crate::message::Chunk;
use crate::transports::Fault;
use crate::transports::stream::{self, BIG, Farewell, Front, Partial, Parting, Store, Tag};

/// What is known of the messages that are arriving.
pub struct Assembler {
    /// How answers are sent.
    sending: Arc<Sending>,
    decoder: Decoder,
    /// Where in the store the message begins that is not complete yet.
    open_at: usize,
    /// How much of the partial message the decoder has seen.
    seen: usize,
    ping: Option<Vec<u8>>,
    close: Option<Close>,
    /// What is wrong, if that is why.
    fault: Option<Fault>,
}

impl Assembler {
    /// A kind, and a size.
    pub const PREFIX_LEN: usize = 1 + size_of::<u64>();

    #[must_use]
    pub fn new(sending: Arc<Sending>) -> Assembler {
        let decoder = Decoder::new(sending.role());
        let (ping, close, fault) = (None, None, None);
        Assembler { sending, decoder, open_at: 0, seen: 0, ping, close, fault }
    }

    /// The size of the complete message that begins there in the store.
    fn stored(&self, store: &Store, at: usize) -> Option<usize> {
        // A store at rest has nothing, and its start lies before whatever was the end.
        let is_complete = at < self.open_at && at < store.bytes.len();
        let bytes = is_complete.then(|| &store.bytes[at + 1..])?;
        Some(u64::from_ne_bytes(*bytes.first_chunk()?) as usize)
    }

    /// Nothing that comes behind the reason for a farewell is looked at.
    fn assemble(
        &mut self,
        store: &mut Store,
        partial: Option<Partial>,
        bytes: &mut [u8],
        size_max: Option<u64>,
    ) -> Result<Option<Partial>, OutOfMemory> {
        if self.close.is_some() {
            return Ok(None);
        }
        self.open_at = self.open_at.min(store.bytes.len()).saturating_sub(store.start);
        store.compact();
        let mut arriving = Arriving { store, partial, open_at: self.open_at };
        let found = self.take_all(&mut arriving, bytes, size_max);
        let Arriving { store, partial, open_at } = arriving;
        self.open_at = open_at;
        match found {
            Ok(()) if self.close.is_none() => self.keep_partial(store, partial),
            Ok(()) => Ok(None),
            Err(Trouble::Violation(violation)) => {
                self.close = Some(violation.close());
                self.fault = Some(violation.into());
                Ok(None)
            }
            Err(Trouble::Memory) => Err(OutOfMemory),
        }
        .inspect(|_| {
            // What was begun and will not be completed is not for anybody.
            if self.close.is_some() {
                store.bytes.truncate(self.open_at);
            }
        })
    }

    fn take_all(
        &mut self,
        arriving: &mut Arriving<'_>,
        bytes: &mut [u8],
        size_max: Option<u64>,
    ) -> Result<(), Trouble> {
        if let Some(partial) = &mut arriving.partial
            && let Some(kind) = self.decoder.took(&mut partial.as_mut_slice()[self.seen..])?
        {
            arriving.complete(kind);
        }
        let mut at = 0;
        while at < bytes.len() {
            let step = self.decoder.step(&mut bytes[at..], size_max)?;
            match step.found {
                Found::Nothing => {}
                Found::Payload { at: range, end } => {
                    arriving.extend(&bytes[at..][range])?;
                    end.into_iter().for_each(|kind| arriving.complete(kind));
                }
                Found::Ping => {
                    let mut payload = Vec::new();
                    memory::reserve_exact(&mut payload, self.decoder.ping().len())?;
                    payload.extend_from_slice(self.decoder.ping());
                    self.ping = Some(payload);
                }
                Found::Close(close) => {
                    self.close = Some(close);
                    self.fault = close.complaint();
                    return Ok(());
                }
            }
            at += step.used;
        }
        Ok(())
    }

    /// Gives a big message at the front of the store memory of its own, and tells how far the
    /// stream may be read into that.
    fn keep_partial(
        &mut self,
        store: &mut Store,
        partial: Option<Partial>,
    ) -> Result<Option<Partial>, OutOfMemory> {
        let (missing, is_all) = self.decoder.missing();
        let is_first = self.open_at == 0 && matches!(store.front, Front::Incomplete);
        let mut partial = match partial {
            Some(partial) => partial,
            None if is_first && store.bytes.len() >= Self::PREFIX_LEN => {
                let arrived = &store.bytes[Self::PREFIX_LEN..];
                let size = arrived.len() + missing;
                if size < BIG {
                    return Ok(None);
                }
                let partial = Partial::begin(arrived, size, store)?;
                store.clear();
                partial
            }
            None => return Ok(None),
        };
        self.seen = partial.as_slice().len();
        let capacity_max = if is_all { self.seen + missing } else { usize::MAX };
        partial.expect(self.decoder.placeable(), capacity_max);
        Ok(Some(partial))
    }
}

impl stream::Decoder for Assembler {
    /// A ping behind messages that nobody wants yet is to be answered.
    fn ahead(&self, _recv_buffer: usize) -> usize {
        AHEAD
    }

    fn absorb(
        &mut self,
        store: &mut Store,
        partial: Option<Partial>,
        bytes: &mut [u8],
        size_max: Option<u64>,
    ) -> Result<Option<Partial>, OutOfMemory> {
        let partial = self.assemble(store, partial, bytes, size_max)?;
        if matches!(store.front, Front::Incomplete) {
            store.front = self.front(store, size_max);
        }
        Ok(partial)
    }

    fn whole_at(&self, store: &Store, at: usize) -> Option<usize> {
        Some(Self::PREFIX_LEN + self.stored(store, store.start + at)?)
    }

    fn missing_at(&self, _store: &Store, _at: usize) -> usize {
        self.decoder.needed()
    }

    fn least(&self) -> usize {
        LEAST
    }

    fn front(&self, store: &Store, _size_max: Option<u64>) -> Front {
        match self.stored(store, store.start) {
            Some(size) => Front::Whole { prefix: Self::PREFIX_LEN, size },
            None => Front::Incomplete,
        }
    }

    fn label(&self, Tag(kind): Tag) -> Result<Option<Chunk>, OutOfMemory> {
        Kind::from_number(kind).map(label::write).transpose()
    }

    fn take_answer(&mut self) -> Option<Vec<u8>> {
        // A ping whose answer there is no memory for has none.
        let attempt = Attempt::watch();
        let answer = self.ping.take().map(|payload| self.sending.pong(&payload));
        answer.filter(|_| attempt.check().is_ok())
    }

    fn is_over(&self) -> bool {
        self.close.is_some()
    }

    fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn farewell(&self) -> Option<Farewell> {
        let close = self.close?;
        let parting = if close.comes_back { Parting::Passing } else { Parting::Final };
        Some(Farewell { frame: self.sending.farewell(close), parting })
    }
}

/// The messages while bytes arrive.
struct Arriving<'a> {
    store: &'a mut Store,
    partial: Option<Partial>,
    open_at: usize,
}

impl Arriving<'_> {
    fn extend(&mut self, payload: &[u8]) -> Result<(), OutOfMemory> {
        if let Some(partial) = &mut self.partial {
            return partial.extend(payload);
        }
        let bytes = &mut self.store.bytes;
        memory::reserve(bytes, Assembler::PREFIX_LEN + payload.len())?;
        if bytes.len() == self.open_at {
            bytes.extend_from_slice(&[0; Assembler::PREFIX_LEN]);
        }
        bytes.extend_from_slice(payload);
        Ok(())
    }

    fn complete(&mut self, kind: Kind) {
        if let Some(partial) = self.partial.take() {
            self.store.put_apart(partial.into_chunk(), Tag(kind as u8));
            return;
        }
        let message = &mut self.store.bytes[self.open_at..];
        let size = (message.len() - Assembler::PREFIX_LEN) as u64;
        message[0] = kind as u8;
        message[1..Assembler::PREFIX_LEN].copy_from_slice(&size.to_ne_bytes());
        self.open_at = self.store.bytes.len();
    }
}

/// A frame is no shorter.
const LEAST: usize = 2;
/// Messages that nobody has received fill so much before nothing more is read.
const AHEAD: usize = 64 * 1024;

enum Trouble {
    Violation(Violation),
    Memory,
}

impl From<Violation> for Trouble {
    fn from(violation: Violation) -> Trouble {
        Trouble::Violation(violation)
    }
}

impl From<OutOfMemory> for Trouble {
    fn from(_: OutOfMemory) -> Trouble {
        Trouble::Memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::fuzzing::{receive, ws_client, ws_server};
    use crate::transports::stream::{Codec, Decoder as _, FIRST_CAPACITY, Place};
    use crate::transports::ws::frame::{self, Role};
    use crate::transports::ws::mask::Mask;
    use proptest::prelude::*;

    fn wire_of(messages: &[Vec<Vec<u8>>], mask: Option<Mask>) -> Vec<u8> {
        let mut wire = Vec::new();
        for parts in messages {
            for (index, part) in parts.iter().enumerate() {
                let place = Place { is_first: index == 0, is_last: index + 1 == parts.len() };
                let head = frame::head(Kind::Binary, place, part.len(), mask);
                wire.extend_from_slice(head.as_slice());
                let start = wire.len();
                wire.extend_from_slice(part);
                mask.iter().for_each(|mask| mask.apply(&mut wire[start..]));
                // An answer to nothing may come in between.
                wire.extend(frame::pong(b"unasked", mask));
            }
        }
        wire
    }

    fn bodies(codec: Codec, wire: &[u8], step: usize) -> Vec<Vec<u8>> {
        let messages = receive(codec, wire, step);
        messages.iter().map(|message| message.body.as_slice().to_vec()).collect()
    }

    fn filled(size: usize) -> Vec<u8> {
        (0..size).map(|i| (i * 7 + size) as u8).collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn big_and_small_messages_survive_every_kind_of_split() {
        let sizes: [&[usize]; 9] = [
            &[3],
            &[BIG - 1],
            &[BIG],
            &[0, 1, 0],
            &[300_000],
            &[70_000, 0, 70_000, 1],
            &[1],
            &[4096; 100],
            &[BIG * 2, 5],
        ];
        let messages: Vec<Vec<Vec<u8>>> =
            sizes.iter().map(|parts| parts.iter().copied().map(filled).collect()).collect();
        let expected: Vec<Vec<u8>> = messages.iter().map(|parts| parts.concat()).collect();
        for mask in [None, Some(Mask([7, 99, 200, 1]))] {
            let wire = wire_of(&messages, mask);
            let codec = || if mask.is_some() { ws_server() } else { ws_client() };
            for step in [wire.len(), 7, 100, 4096, 65_536, 70_001, 262_144] {
                assert!(bodies(codec(), &wire, step) == expected, "read step {step}");
            }
        }
    }

    #[test]
    fn an_announcement_alone_costs_little_memory() {
        for mask in [None, Some(Mask([7, 99, 200, 1]))] {
            let role = if mask.is_some() { Role::Server } else { Role::Client };
            let sending = Arc::new(Sending::new(role, Kind::Binary));
            let (mut assembler, mut store) = (Assembler::new(sending), Store::default());
            let head = frame::head(Kind::Binary, Place::WHOLE, 1 << 30, mask);
            let mut wire = [head.as_slice(), b"beginning"].concat();
            let partial = assembler.absorb(&mut store, None, &mut wire, None).unwrap();
            let mut partial = partial.unwrap();
            let room = partial.room();
            let capacity = partial.into_chunk().capacity();
            assert_eq!((capacity, room), (FIRST_CAPACITY, FIRST_CAPACITY - 9));
        }
    }

    #[test]
    fn nothing_counts_behind_a_farewell() {
        let mut wire = wire_of(&[vec![b"before".to_vec()]], None);
        wire.extend_from_slice(b"\x02\x05begun\x88\x00");
        wire.extend(wire_of(&[vec![b"behind".to_vec()]], None));
        for step in [1, 5, wire.len()] {
            assert_eq!(bodies(ws_client(), &wire, step), [b"before"]);
        }
    }

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "too much to interpret")]
        fn any_split_gives_the_same_messages(
            sizes in prop::collection::vec(
                prop::collection::vec(prop_oneof![0_usize..300, 16_000_usize..40_000], 1..4), 1..6),
            step in 1_usize..50_000,
            is_masked in any::<bool>(),
        ) {
            let messages: Vec<Vec<Vec<u8>>> =
                sizes.iter().map(|parts| parts.iter().copied().map(filled).collect()).collect();
            let expected: Vec<Vec<u8>> = messages.iter().map(|parts| parts.concat()).collect();
            let mask = is_masked.then_some(Mask([1, 2, 3, 4]));
            let codec = if is_masked { ws_server() } else { ws_client() };
            prop_assert!(bodies(codec, &wire_of(&messages, mask), step) == expected);
        }
    }
}
