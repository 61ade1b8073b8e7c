//! How many messages have arrived that nobody has received, where they are counted. Pure.
//!
//! No more is read than completes the last message that may wait, so that all further ones stay
//! with the kernel.

use super::arrival::{Arrival, News};
use super::byte_stream::Source;
use super::codec::{Decoder, Front};
use super::inbox::Inbox;
use super::reader::{READ_MAX, Reader, Turn};
use super::store::Store;
use crate::message::Limit;

#[derive(Debug)]
pub struct Ration {
    most: usize,
    /// Whole messages that waited when something last arrived.
    whole: usize,
    /// How many had been received by then.
    received: u64,
    /// How much there was behind the whole ones.
    tail: usize,
}

/// What there is before more arrives.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// Where the first message begins that is not whole.
    at: usize,
    is_apart: bool,
}

/// How much one read may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    pub anyway: usize,
    /// The same behind a big message of which a part has arrived.
    pub behind_big: usize,
}

impl Ration {
    #[must_use]
    pub fn new(most: usize) -> Ration {
        Ration { most, whole: 0, received: 0, tail: 0 }
    }

    /// Whether as many wait as may, of which so many have been received in all.
    #[must_use]
    pub fn is_full(&self, received: u64) -> bool {
        self.waiting(received) >= self.most
    }

    fn waiting(&self, received: u64) -> usize {
        self.whole.saturating_sub((received - self.received) as usize)
    }

    #[must_use]
    pub fn before(&self, store: &Store) -> Before {
        let is_apart = matches!(store.front, Front::Apart { .. });
        Before { at: store.rest().len().saturating_sub(self.tail), is_apart }
    }

    /// Counts what has become whole.
    pub fn note(&mut self, decoder: &dyn Decoder, store: &Store, before: Before, received: u64) {
        let len = store.rest().len();
        let mut at = before.at.min(len);
        self.whole = self.waiting(received);
        self.received = received;
        if matches!(store.front, Front::Apart { .. }) && !before.is_apart {
            self.whole += 1;
        }
        while let Some(size) = decoder.whole_at(store, at) {
            at += size;
            self.whole += 1;
        }
        self.tail = len - at.min(len);
    }

    /// How much can be read that does not make more messages whole than may wait.
    #[must_use]
    pub fn room(&self, decoder: &dyn Decoder, store: &Store, received: u64) -> Most {
        let further = self.most.saturating_sub(self.waiting(received) + 1);
        let behind_big = further.saturating_mul(decoder.least());
        let missing = decoder.missing_at(store, self.before(store).at);
        Most { anyway: missing.saturating_add(behind_big), behind_big }
    }
}

/// What a reader may do that is granted so much.
pub struct Grant {
    /// Bytes that may wait although a message can be received.
    pub ahead: u32,
    /// How much one read takes.
    pub read_size: u32,
    pub ration: Option<Box<Ration>>,
}

impl Grant {
    pub fn of(limit: Limit, decoder: &dyn Decoder) -> Grant {
        let (ahead, read_size, ration) = match limit {
            Limit::Bytes(most) => (decoder.ahead(most), most.clamp(READ_MIN, READ_MAX), None),
            Limit::Messages(most) => (0, READ_MAX, Some(Box::new(Ration::new(most.get())))),
        };
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        Grant { ahead, read_size: read_size as u32, ration }
    }
}

impl Reader {
    /// Reads what may wait. Where messages are counted that takes some reads: one has to tell how
    /// large the message is which the next one completes.
    pub(super) fn read_next(
        &self,
        turn: &mut Turn,
        source: &(impl Source + ?Sized),
        size_max: impl Fn() -> Option<u64>,
        buffer: &mut [u8],
    ) -> Arrival {
        if !self.is_rationed {
            return self.read(turn, source, size_max, buffer, EVERYTHING);
        }
        let room = self.inbox.lock().room();
        let mut arrival = self.read(turn, source, &size_max, buffer, room);
        for _ in 1..READS_OF_RATION {
            if arrival.news != News::Bytes {
                break;
            }
            let room = self.inbox.lock().room();
            let next = self.read(turn, source, &size_max, buffer, room);
            if next.news == News::Nothing {
                break;
            }
            arrival = Arrival { news: next.news, answer: next.answer.or(arrival.answer) };
        }
        arrival
    }
}

impl Inbox {
    /// What there is before more arrives, where messages are counted.
    #[cold]
    pub(super) fn before(&self) -> Option<Before> {
        self.ration.as_ref().map(|ration| ration.before(&self.store))
    }

    /// Counts what has arrived.
    #[cold]
    pub(super) fn count(&mut self, before: Before) {
        if let Some(ration) = &mut self.ration {
            ration.note(&*self.decoder, &self.store, before, self.tally.messages());
        }
    }

    /// How much may be read.
    pub(super) fn room(&self) -> Most {
        let room =
            |ration: &Ration| ration.room(&*self.decoder, &self.store, self.tally.messages());
        self.ration.as_ref().map_or(EVERYTHING, |ration| room(ration))
    }
}

/// Where messages are not counted.
pub const EVERYTHING: Most = Most { anyway: usize::MAX, behind_big: BEHIND_BIG };
/// One for the size, one for the rest, and some as messages come in pieces.
const READS_OF_RATION: usize = 4;
/// A read of less would not pay, whatever the application's buffer size.
pub const READ_MIN: usize = 8 * 1024;
/// How much one read takes of what is behind a big message: of another one it is the beginning.
pub const BEHIND_BIG: usize = 4 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::{Body, Message, Room};
    use crate::sys::Read;
    use crate::transports::fuzzing::{ipc, tcp, ws_client, ws_server};
    use crate::transports::pace::{Moment, Rhythm};
    use crate::transports::stream::byte_stream::Sink;
    use crate::transports::stream::circumstances::Gathering;
    use crate::transports::stream::codec::Encoder;
    use crate::transports::stream::writer::Writer;
    use std::cell::{Cell, RefCell};
    use std::io::{self, IoSlice};
    use std::sync::Arc;

    /// Everything that was written, of which so much has been read.
    #[derive(Default)]
    struct Wire {
        bytes: RefCell<Vec<u8>>,
        read: Cell<usize>,
        /// At most so much at a time.
        step: usize,
    }

    impl Sink for Wire {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let before = self.bytes.borrow().len();
            parts.iter().for_each(|part| self.bytes.borrow_mut().extend_from_slice(part));
            Ok(self.bytes.borrow().len() - before)
        }
    }

    impl Source for Wire {
        fn read(&self, room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
            let bytes = self.bytes.borrow();
            let mut left = &bytes[self.read.get()..];
            left = &left[..left.len().min(self.step)];
            let all = left.len();
            if let Some(room) = room {
                let (own, behind) = left.split_at(room.missing().min(left.len()));
                room.extend(own);
                left = behind;
            }
            let count = left.len().min(rest.len());
            rest[..count].copy_from_slice(&left[..count]);
            let read = all - left.len() + count;
            self.read.set(self.read.get() + read);
            if read == 0 { Read::Nothing } else { Read::Bytes(read) }
        }
    }

    const SIZES: [usize; 14] =
        [5, 0, 0, 0, 100, 125, 126, 70_000, 3, 16_384, 0, 40_000, 17_000, 65_536];

    /// All of them on a wire, and where each ends.
    fn wire(encoder: Arc<dyn Encoder>, step: usize) -> (Wire, Vec<usize>) {
        let writer = Writer::new(encoder, 1 << 30, Gathering::Never);
        let wire = Wire { step, ..Wire::default() };
        let ends = SIZES.map(|size| {
            let mut message = Message::from_body(Body::copy_from(&vec![7; size]).unwrap());
            let rhythm = Rhythm::undisturbed();
            writer.accept(&mut message, &rhythm, || Moment(1)).unwrap();
            writer.write_all(&wire);
            wire.bytes.borrow().len()
        });
        (wire, ends.to_vec())
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn so_many_messages_are_read_ahead_and_no_other() {
        let both = || {
            [(tcp(), tcp()), (ipc(), ipc())]
                .into_iter()
                .chain([(ws_client(), ws_server()), (ws_server(), ws_client())])
        };
        for (most, step) in [(1, 1 << 20), (2, 1 << 20), (5, 1 << 20), (3, 1000), (1000, 9999)] {
            for (from, to) in both() {
                let (wire, ends) = wire(from.encoder, step);
                let reader = Reader::new(to.decoder, Limit::of(most, 0));
                let mut buffer = vec![0; READ_MAX];
                for (taken, size) in SIZES.into_iter().enumerate() {
                    let mut read = || reader.read_ahead(&wire, || None, &mut buffer);
                    while read().is_some_and(|arrival| arrival.news != News::Nothing) {}
                    let whole = ends.iter().filter(|end| **end <= wire.read.get()).count();
                    assert_eq!(whole, SIZES.len().min(taken + most), "{most} behind {taken}");
                    let mut message = Message::default();
                    assert!(reader.take(|| None, &mut message).has_message);
                    assert_eq!(message.body.len(), size);
                }
                assert!(reader.is_empty());
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn who_receives_reads_a_whole_message_at_once() {
        for (from, to) in [(tcp(), tcp()), (ipc(), ipc()), (ws_client(), ws_server())] {
            let (wire, _) = wire(from.encoder, 1 << 20);
            let reader = Reader::new(to.decoder, Limit::of(1, 0));
            for size in SIZES {
                let mut message = Message::default();
                if !reader.is_readable() {
                    let (arrival, _) = reader.pump(&wire, || None, &mut vec![0; READ_MAX], None);
                    assert_eq!(arrival.news, News::Readable, "{size}");
                }
                assert!(reader.take(|| None, &mut message).has_message);
                assert_eq!(message.body.len(), size);
            }
        }
    }
}
