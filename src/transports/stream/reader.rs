//! What a connection has read and nobody has received, and who reads.
//!
//! Blocked callers read for themselves, so that messages take no detour over the reactor's thread.
//! While none does, the reactor reads one message ahead: else a peer's violation, or its end behind
//! unread messages, would go unnoticed in a program that only sends.
//!
//! One at a time reads, and has the turn for that time. Receiving needs the inbox alone, which
//! nobody holds during a system call. `models` in this file walks through the interleavings.

use std::time::Duration;

use super::arrival::{Arrival, Handback, News, Passage, Taken};
use super::byte_stream::Source;
use super::codec::{Decoder, Farewell, Front, Tag};
use super::inbox::Inbox;
use super::landing::Visitor;
use super::ration::{BEHIND_BIG, EVERYTHING, Grant, Most};
use super::readership::{Asked, Caller, Readership};
use super::store::{Partial, Store};
use super::tally::ReceiveTally;
use super::width::{Reach, Width};
use crate::message::{Limit, Message, Room};
use crate::sync::{BiasedMutex, Mutex, Rank};
use crate::sys::Read;
use crate::transports::{Fault, Load};

pub struct Reader {
    /// Held during a read.
    turn: Mutex<Turn>,
    pub(super) inbox: BiasedMutex<Inbox>,
    /// How much one read takes.
    read_size: u32,
    /// Whether messages are counted.
    pub(super) is_rationed: bool,
    /// What becomes of the kernel's buffer.
    pub width: Width,
}

#[derive(Default)]
pub(super) struct Turn {
    pub partial: Option<Partial>,
    pub is_at_end: bool,
    /// The last message was one that is worth reading into its place: the next one may be, too.
    pub is_behind_big: bool,
}

/// How much of its room a read has filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    Part,
    Whole,
}

impl Turn {
    /// The stream has come to its end.
    pub(super) fn end(&mut self) -> Arrival {
        *self = Turn { is_at_end: true, ..Turn::default() };
        Arrival { news: News::Ended, answer: None }
    }
}

impl Reader {
    /// A reader for an application that grants it so much.
    #[must_use]
    pub fn new(decoder: Box<dyn Decoder>, limit: impl Into<Limit>) -> Reader {
        let Grant { ahead, read_size, ration } = Grant::of(limit.into(), &*decoder);
        let readership = Readership::Reactor { asked: Asked::No };
        Reader {
            turn: Mutex::new(Rank::Reading, Turn::default()),
            is_rationed: ration.is_some(),
            inbox: BiasedMutex::biased(
                Rank::Inbound,
                Inbox {
                    decoder,
                    store: Store::default(),
                    ahead,
                    readership,
                    tally: ReceiveTally::default(),
                    ration,
                },
            ),
            read_size,
            width: Width::new(None, Reach::Machine),
        }
    }

    /// The same, and the kernel's buffer may grow.
    #[must_use]
    pub fn with_width(self, width: Width) -> Reader {
        Reader { width, ..self }
    }

    /// Puts the next message into `message`, if it is complete. `size_max` is asked for once at the
    /// most, when there is something behind it.
    pub fn take(&self, size_max: impl FnOnce() -> Option<u64>, message: &mut Message) -> Taken {
        let mut inbox = self.inbox.lock();
        let has_message = inbox.take(size_max, message);
        if has_message {
            inbox.tally.count(message.body.len());
        }
        Taken {
            has_message,
            more: inbox.workload(message.body.len()),
            must_resume: inbox.is_broken() || inbox.must_ask(),
        }
    }

    pub fn is_readable(&self) -> bool {
        self.inbox.lock().is_readable()
    }

    /// Whether nothing more is read before something is received.
    pub fn is_full(&self) -> bool {
        self.inbox.lock().is_full()
    }

    /// Bytes of whole messages, and of what follows them, that nobody has received.
    pub fn held(&self) -> usize {
        self.inbox.lock().store.waiting()
    }

    /// What has passed here and what waits, with what it is of the writer.
    pub fn load(&self, now_ms: u32, of_writer: Load) -> Load {
        let mut guard = self.inbox.lock();
        let inbox = &mut *guard;
        let is_readable = inbox.is_readable();
        let waiting = inbox.store.waiting();
        let reader = inbox.readership.told();
        inbox.tally.load(waiting, is_readable.then_some(now_ms), Load { reader, ..of_writer })
    }

    /// Reads for a caller, unless he has something to receive already.
    pub fn pump(
        &self,
        source: &(impl Source + ?Sized),
        size_max: impl Fn() -> Option<u64>,
        buffer: &mut [u8],
        visitor: Option<&Visitor<'_>>,
    ) -> (Arrival, Passage) {
        let mut turn = self.turn.lock();
        let (has_begun, passage) = {
            let mut inbox = self.inbox.lock();
            let passage = inbox.readership.note_caller();
            if inbox.is_readable() || turn.is_at_end {
                return (NOTHING, passage);
            }
            if turn.partial.is_none() && !self.is_rationed {
                turn.partial = inbox.begun(&size_max);
                (turn.partial.is_some(), passage)
            } else {
                (false, passage)
            }
        };
        if turn.partial.is_some() || turn.is_behind_big || self.is_rationed {
            if has_begun && self.width.reach() == Reach::Internet {
                // Messages stream: the fewer the reads, the less their sender is disturbed.
                turn.partial.as_mut().map(Partial::stay);
            }
            return (self.pump_big(&mut turn, source, size_max, buffer, visitor), passage);
        }
        let size = buffer.len().min(self.read_size as usize);
        let arrival = match source.read(None, &mut buffer[..size]) {
            Read::Nothing => NOTHING,
            Read::End => turn.end(),
            Read::Bytes(count) => {
                let arrival = self.digest_here(&mut turn, &mut buffer[..count], &size_max);
                if count == size && source.holds() {
                    let held = self.read_held(&mut turn, source, size_max, buffer, arrival);
                    return (held, passage);
                }
                arrival
            }
        };
        if arrival.news == News::Bytes && turn.partial.is_some() {
            return (self.go_on(arrival, &mut turn, source, size_max, buffer, visitor), passage);
        }
        (arrival, passage)
    }

    /// The same where a big message has begun, or is likely to, or where messages are counted.
    #[inline(never)]
    fn pump_big(
        &self,
        turn: &mut Turn,
        source: &(impl Source + ?Sized),
        size_max: impl Fn() -> Option<u64>,
        buffer: &mut [u8],
        visitor: Option<&Visitor<'_>>,
    ) -> Arrival {
        if self.is_rationed {
            let size = buffer.len().min(self.read_size as usize);
            return self.read_next(turn, source, size_max, &mut buffer[..size]);
        }
        if let Some(landed) = self.read_for(visitor, turn, source, &size_max, buffer) {
            return landed;
        }
        let was_behind_big = std::mem::take(&mut turn.is_behind_big);
        let most = if was_behind_big { BEHIND_BIG } else { self.read_size as usize };
        let size = most.min(buffer.len());
        let arrival = self.read(turn, source, &size_max, &mut buffer[..size], EVERYTHING);
        let has_begun = arrival.news == News::Bytes && turn.partial.is_some();
        // Or it has been noted just now, of the message that this read has completed.
        let is_as_before = turn.partial.is_some() || arrival.news == News::Nothing;
        turn.is_behind_big |= was_behind_big && is_as_before;
        if has_begun {
            self.go_on(arrival, turn, source, size_max, buffer, visitor)
        } else {
            arrival
        }
    }

    /// Reads more of a big message that has just begun: what it is to be read into is known only
    /// now, and mostly there is more of it.
    #[inline(never)]
    fn go_on(
        &self,
        arrival: Arrival,
        turn: &mut Turn,
        source: &(impl Source + ?Sized),
        size_max: impl Fn() -> Option<u64>,
        buffer: &mut [u8],
        visitor: Option<&Visitor<'_>>,
    ) -> Arrival {
        if arrival.answer.is_some() {
            return arrival;
        }
        if let Some(landed) = self.read_for(visitor, turn, source, &size_max, buffer) {
            return landed;
        }
        let size = buffer.len().min(self.read_size as usize);
        let more = self.read(turn, source, size_max, &mut buffer[..size], EVERYTHING);
        if more == NOTHING { arrival } else { more }
    }

    /// Reads for the reactor what it may have, now that the kernel has reported some. `None` when
    /// it may have nothing.
    pub fn read_ahead(
        &self,
        source: &(impl Source + ?Sized),
        size_max: impl Fn() -> Option<u64>,
        buffer: &mut [u8],
    ) -> Option<Arrival> {
        let mut turn = self.turn.lock();
        let size =
            self.inbox.lock().size_ahead(self.read_size as usize).filter(|_| !turn.is_at_end)?;
        let size = size.min(buffer.len());
        Some(self.read_next(&mut turn, source, size_max, &mut buffer[..size]))
    }

    /// Reads although messages wait: the stream has come to its end behind them.
    pub fn read_on(
        &self,
        source: &(impl Source + ?Sized),
        size_max: impl Fn() -> Option<u64>,
        buffer: &mut [u8],
    ) -> Arrival {
        let mut turn = self.turn.lock();
        if turn.is_at_end {
            return Arrival { news: News::Ended, answer: None };
        }
        self.read(&mut turn, source, size_max, buffer, EVERYTHING)
    }

    /// Takes bytes that came with the greeting.
    pub fn begin(&self, early: &mut [u8], size_max: impl FnOnce() -> Option<u64>) -> Arrival {
        if early.is_empty() {
            return NOTHING;
        }
        self.digest(&mut self.turn.lock(), early, size_max)
    }

    /// Whether the kernel is to be asked to report what arrives. From now on it is taken for asked.
    pub fn ask(&self) -> bool {
        let mut inbox = self.inbox.lock();
        let is_wanted = inbox.readership.is_reactor_reading() && !inbox.is_full();
        inbox.readership.note_asked(if is_wanted { Asked::Yes } else { Asked::No });
        is_wanted
    }

    /// Leaves reading to callers, of whom one waits already, though none has read.
    pub fn leave_to_callers(&self) -> Passage {
        self.inbox.lock().readership.note_waiting()
    }

    /// Whether the reactor reads whoever else may read.
    pub fn is_shared(&self) -> bool {
        matches!(self.inbox.lock().readership, Readership::Everybody { .. })
    }

    /// Has the reactor read from now on, whoever else may read.
    pub fn share(&self) {
        let readership = &mut self.inbox.lock().readership;
        if !matches!(readership, Readership::Everybody { .. }) {
            *readership = Readership::Everybody { asked: Asked::No };
        }
    }

    /// Looks whether callers still read, of whom one may be waiting for a message right now.
    pub fn look(
        &self,
        is_awaited: impl FnOnce() -> bool,
        now_ms: impl FnOnce() -> u32,
    ) -> Handback {
        // Not under the lock: it asks the socket.
        let caller = if is_awaited() { Caller::Waits } else { Caller::IsElsewhere };
        let mut inbox = self.inbox.lock();
        // Nobody has received for a while: what waits is older than that.
        if inbox.is_readable() {
            inbox.tally.note_oldest(now_ms);
        }
        inbox.readership.look(caller)
    }

    /// Whether nothing is left of what has arrived but a violation.
    pub fn is_broken(&self) -> bool {
        self.inbox.lock().is_broken()
    }

    /// What is wrong with what the peer has sent.
    pub fn fault(&self) -> Option<Fault> {
        let inbox = self.inbox.lock();
        inbox.store.front.fault().or_else(|| inbox.decoder.fault())
    }

    /// Whether that is against the rules, and no message has been received before, or can be.
    pub fn is_futile(&self) -> bool {
        let is_of_use = |inbox: &Inbox| inbox.tally.messages() > 0 || inbox.is_readable();
        self.fault().is_some_and(Fault::is_breach) && !is_of_use(&self.inbox.lock())
    }

    /// Whether nothing has arrived that nobody has received, not even a part of a message.
    pub fn is_empty(&self) -> bool {
        self.inbox.lock().is_empty()
    }

    /// Whether nobody holds a lock of this for so long that he may be gone.
    #[cfg(not(loom))]
    pub fn is_within_reach(&self, patience: Duration) -> bool {
        self.inbox.try_lock_for(patience).is_some()
    }

    pub fn farewell(&self) -> Option<Farewell> {
        self.inbox.lock().decoder.farewell()
    }

    pub(super) fn read(
        &self,
        turn: &mut Turn,
        source: &(impl Source + ?Sized),
        size_max: impl Fn() -> Option<u64>,
        buffer: &mut [u8],
        most: Most,
    ) -> Arrival {
        let (arrival, fill) = self.read_once(turn, source, &size_max, buffer, most);
        if fill == Fill::Whole && source.holds() {
            return self.read_held(turn, source, size_max, buffer, arrival);
        }
        arrival
    }

    /// The same, and whether it has filled all the room that there was.
    pub(super) fn read_once(
        &self,
        turn: &mut Turn,
        source: &(impl Source + ?Sized),
        size_max: impl Fn() -> Option<u64>,
        buffer: &mut [u8],
        most: Most,
    ) -> (Arrival, Fill) {
        if turn.partial.is_none() {
            turn.partial = self.inbox.lock().begun(&size_max);
        }
        let missing = turn.partial.as_ref().map_or(0, Partial::missing);
        let room = turn.partial.as_mut().map_or(0, Partial::room);
        let behind = if missing > 0 { missing - room + most.behind_big } else { most.anyway };
        let size = behind.min(buffer.len());
        let rest = &mut buffer[..size];
        let read = match &mut turn.partial {
            Some(partial) => partial.fill(room, |place| source.read(Some(place), rest)),
            None => source.read(None, rest),
        };
        match read {
            Read::Nothing => (NOTHING, Fill::Part),
            Read::End => (turn.end(), Fill::Part),
            Read::Bytes(count) => {
                let bytes = &mut buffer[..count.saturating_sub(room)];
                let fill = if count == room + size { Fill::Whole } else { Fill::Part };
                (self.digest(turn, bytes, &size_max), fill)
            }
        }
    }

    /// Whether the rest of a message may be read into a caller's memory.
    pub(super) fn lands(&self) -> bool {
        self.inbox.lock().decoder.is_plain()
    }

    /// What was read into a caller's memory is a message.
    pub(super) fn land(&self, room: Room<'_>, turn: &mut Turn) {
        self.width.note(room.len());
        turn.is_behind_big |= room.len() > BIG_BEFORE;
        self.inbox.lock().store.put_in_place(room.land(), Tag::default());
    }

    pub(super) fn with_front(&self, change: impl FnOnce(&mut Front)) {
        change(&mut self.inbox.lock().store.front);
    }

    /// Makes messages of `bytes`, and of what was read straight into its place.
    #[inline(never)]
    pub(super) fn digest(
        &self,
        turn: &mut Turn,
        bytes: &mut [u8],
        size_max: impl FnOnce() -> Option<u64>,
    ) -> Arrival {
        self.digest_here(turn, bytes, size_max)
    }

    #[allow(clippy::inline_always, reason = "it is most of what a small message takes to arrive")]
    #[inline(always)]
    fn digest_here(
        &self,
        turn: &mut Turn,
        bytes: &mut [u8],
        size_max: impl FnOnce() -> Option<u64>,
    ) -> Arrival {
        let size_max = size_max();
        let size = turn.partial.as_ref().map_or(0, Partial::size);
        let mut inbox = self.inbox.lock();
        let before = if self.is_rationed { inbox.before() } else { None };
        turn.partial = inbox.absorb(turn.partial.take(), bytes, size_max);
        if let Some(before) = before {
            inbox.count(before);
        }
        let Inbox { tally, store, .. } = &mut *inbox;
        tally.note_most(|| store.waiting());
        turn.is_behind_big |= turn.partial.is_none() && size > BIG_BEFORE;
        self.width.note(turn.partial.as_ref().map_or(0, Partial::size));
        let is_over = inbox.decoder.is_over();
        let news = match inbox.is_readable() {
            true if is_over => News::Last,
            true => News::Readable,
            false if is_over || inbox.is_broken() => News::Ended,
            false => News::Bytes,
        };
        Arrival { news, answer: inbox.decoder.take_answer() }
    }
}

const NOTHING: Arrival = Arrival { news: News::Nothing, answer: None };
/// Behind a larger message only the beginning of the next one is read, so that the rest can be read
/// into its place. Several smaller ones are copied sooner than each of them is read.
const BIG_BEFORE: usize = 32 * 1024;
/// Most bytes that one read takes.
pub const READ_MAX: usize = 256 * 1024;

/// A framing for tests: a byte that is a size, then the payload; some sizes have a meaning of their
/// own.
#[cfg(test)]
pub mod short {
    use super::*;
    use crate::message::{Chunk, OutOfMemory};
    use crate::transports::stream::codec::{Parting, Violation};

    pub const VIOLATION: u8 = 0xff;
    pub const PING: u8 = 0xfe;
    pub const FAREWELL: u8 = 0xfd;

    #[derive(Default)]
    pub struct Short {
        ahead: usize,
        answer: Option<Vec<u8>>,
        is_over: bool,
        /// What it says of each message.
        label: Option<&'static [u8]>,
    }

    impl Short {
        /// One that lets so many bytes wait although a message can be received.
        pub fn ahead(ahead: usize) -> Short {
            Short { ahead, ..Short::default() }
        }

        /// One that says something of each message.
        pub fn labelling(label: &'static [u8]) -> Short {
            Short { label: Some(label), ..Short::default() }
        }
    }

    impl Decoder for Short {
        fn ahead(&self, _recv_buffer: usize) -> usize {
            self.ahead
        }

        fn absorb(
            &mut self,
            store: &mut Store,
            _partial: Option<Partial>,
            bytes: &mut [u8],
            size_max: Option<u64>,
        ) -> Result<Option<Partial>, OutOfMemory> {
            let end = bytes.iter().position(|byte| [PING, FAREWELL].contains(byte));
            match end.map(|end| bytes[end]) {
                Some(PING) => self.answer = Some(b"pong".to_vec()),
                Some(_) => self.is_over = true,
                None => {}
            }
            store.append(&bytes[..end.unwrap_or(bytes.len())])?;
            if matches!(store.front, Front::Incomplete) {
                store.front = self.front(store, size_max);
            }
            Ok(None)
        }

        fn front(&self, store: &Store, _size_max: Option<u64>) -> Front {
            match store.rest() {
                [VIOLATION, ..] => Front::Broken(Violation::Kind),
                [size, payload @ ..] if payload.len() >= usize::from(*size) => {
                    Front::Whole { prefix: 1, size: usize::from(*size) }
                }
                _ => Front::Incomplete,
            }
        }

        fn label(&self, _tag: Tag) -> Result<Option<Chunk>, OutOfMemory> {
            self.label.map(Chunk::copy_from).transpose()
        }

        fn take_answer(&mut self) -> Option<Vec<u8>> {
            self.answer.take()
        }

        fn is_over(&self) -> bool {
            self.is_over
        }

        fn farewell(&self) -> Option<Farewell> {
            let frame = b"bye".to_vec();
            self.is_over.then_some(Farewell { frame, parting: Parting::Final })
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::short::{FAREWELL, PING, Short, VIOLATION};
    use super::*;
    use crate::transports::stream::readership::{CALLER_WAITS, CALLERS_READ};
    use std::cell::{Cell, RefCell};

    /// A kernel that has some bytes, and then nothing, or the end.
    #[derive(Default)]
    struct Kernel {
        bytes: RefCell<Vec<u8>>,
        is_ended: Cell<bool>,
        reads: Cell<usize>,
    }

    impl Source for Kernel {
        fn read(&self, _room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
            self.reads.set(self.reads.get() + 1);
            let mut bytes = self.bytes.borrow_mut();
            let count = bytes.len().min(rest.len());
            rest[..count].copy_from_slice(&bytes[..count]);
            bytes.drain(..count);
            match count {
                0 if self.is_ended.get() => Read::End,
                0 => Read::Nothing,
                count => Read::Bytes(count),
            }
        }
    }

    fn kernel(bytes: &[u8]) -> Kernel {
        Kernel { bytes: RefCell::new(bytes.to_vec()), ..Kernel::default() }
    }

    fn reader(ahead: usize) -> Reader {
        Reader::new(Box::new(Short::ahead(ahead)), 0)
    }

    fn take(reader: &Reader) -> (Option<Vec<u8>>, Taken) {
        let mut message = Message::default();
        let taken = reader.take(|| None, &mut message);
        (taken.has_message.then(|| message.body.as_slice().to_vec()), taken)
    }

    fn pump(reader: &Reader, kernel: &Kernel) -> (News, Passage) {
        let (arrival, passage) = reader.pump(kernel, || None, &mut [0; 100], None);
        (arrival.news, passage)
    }

    fn read_ahead(reader: &Reader, kernel: &Kernel) -> News {
        reader.read_ahead(kernel, || None, &mut [0; 100]).map_or(News::Nothing, |read| read.news)
    }

    #[test]
    fn control_data_are_made_for_who_looks_at_them() {
        let decoder = Short::labelling(b"label");
        let (reader, kernel) = (Reader::new(Box::new(decoder), 0), kernel(b"\x01a\x01b\x01c"));
        assert_eq!(pump(&reader, &kernel).0, News::Readable);
        let takes = [Message::default(), Message::without_control(), Message::default()];
        let said = takes.map(|mut message| {
            assert!(reader.take(|| None, &mut message).has_message);
            (message.body.as_slice()[0], message.ancillary.map(|said| said.as_slice().to_vec()))
        });
        let label = Some(b"label".to_vec());
        assert_eq!(said, [(b'a', label.clone()), (b'b', None), (b'c', label)]);
    }

    #[test]
    fn gives_what_has_arrived_message_by_message() {
        let (reader, kernel) = (reader(0), kernel(b"\x01a\x02bc\x00\x03d"));
        assert_eq!(pump(&reader, &kernel).0, News::Readable);
        let bodies: Vec<_> = std::iter::from_fn(|| take(&reader).0).collect();
        assert_eq!(bodies, [b"a".to_vec(), b"bc".to_vec(), b"".to_vec()]);
        assert!(!reader.is_empty(), "a part of the next is there");
        kernel.bytes.borrow_mut().extend(b"ef");
        assert_eq!(pump(&reader, &kernel).0, News::Readable);
        let (body, taken) = take(&reader);
        assert_eq!(
            (body.unwrap(), taken.more.is_some(), reader.is_empty()),
            (b"def".to_vec(), false, true)
        );
    }

    #[test]
    fn the_limit_is_asked_for_only_when_something_is_behind_a_message() {
        let (reader, kernel, asked) = (reader(0), kernel(b"\x01a\x01b"), Cell::new(0));
        pump(&reader, &kernel);
        let limit = || {
            asked.set(asked.get() + 1);
            None
        };
        assert!(reader.take(limit, &mut Message::default()).has_message);
        assert_eq!(asked.get(), 1);
        assert!(reader.take(limit, &mut Message::default()).has_message);
        assert!(!reader.take(limit, &mut Message::default()).has_message);
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn a_caller_reads_only_when_there_is_nothing_to_receive() {
        let (reader, kernel) = (reader(0), kernel(b"\x01a"));
        let (_, passage) = pump(&reader, &kernel);
        assert_eq!(passage, Passage::ToCallers { look_after: CALLERS_READ });
        assert_eq!(pump(&reader, &kernel), (News::Nothing, Passage::None));
        assert_eq!(kernel.reads.get(), 1);
    }

    #[test]
    fn the_reactor_reads_one_message_ahead_while_no_caller_does() {
        let (reader, kernel) = (reader(0), kernel(b"\x01a"));
        assert!(reader.ask());
        assert_eq!(read_ahead(&reader, &kernel), News::Readable);
        assert!(!reader.ask());
        assert_eq!(read_ahead(&reader, &kernel), News::Nothing);
        assert_eq!(kernel.reads.get(), 1);
        assert!(take(&reader).1.must_resume, "now there is room for another");
        assert!(reader.ask());
        assert!(!take(&reader).1.must_resume);
        pump(&reader, &kernel);
        assert!(!reader.ask());
        assert_eq!(read_ahead(&reader, &kernel), News::Nothing);
        assert_eq!(kernel.reads.get(), 2);
    }

    #[test]
    fn reading_goes_back_to_the_reactor_when_no_caller_has_read_for_a_while() {
        let (reader, kernel) = (reader(0), kernel(b""));
        pump(&reader, &kernel);
        assert_eq!(reader.look(|| false, || 0), Handback::NotYet(CALLERS_READ));
        pump(&reader, &kernel);
        assert_eq!(reader.look(|| false, || 0), Handback::NotYet(CALLERS_READ));
        assert_eq!(reader.look(|| true, || 0), Handback::NotYet(CALLER_WAITS));
        assert_eq!(reader.look(|| false, || 0), Handback::Done);
        assert!(reader.ask());
        assert_eq!(pump(&reader, &kernel).1, Passage::ToCallers { look_after: CALLERS_READ });
    }

    #[test]
    fn who_wants_everything_noticed_has_the_reactor_read_beside_callers() {
        let (reader, kernel) = (reader(0), kernel(b"\x01a"));
        reader.share();
        assert_eq!(pump(&reader, &kernel), (News::Readable, Passage::None));
        assert_eq!(reader.look(|| false, || 0), Handback::Done);
        assert_eq!(reader.read_ahead(&kernel, || None, &mut [0; 100]), None, "one is enough");
        assert!(take(&reader).1.must_resume && reader.ask() && reader.is_shared());
        assert_eq!(reader.read_ahead(&kernel, || None, &mut [0; 100]), Some(NOTHING));
    }

    #[test]
    fn bytes_may_wait_behind_a_message_up_to_a_bound() {
        let (reader, kernel) = (reader(5), kernel(b"\x01a"));
        for is_wanted in [true, true, false] {
            kernel.bytes.borrow_mut().extend(b"\x01a");
            read_ahead(&reader, &kernel);
            assert_eq!(reader.ask(), is_wanted && kernel.reads.get() < 2, "{}", kernel.reads.get());
        }
        assert_eq!(kernel.reads.get(), 2);
    }

    #[test]
    fn what_came_before_a_violation_is_received() {
        let (reader, kernel) = (reader(0), kernel(&[1, b'a', VIOLATION, 1, b'b']));
        assert_eq!(pump(&reader, &kernel).0, News::Readable);
        let (body, taken) = take(&reader);
        assert_eq!((body.unwrap(), taken.must_resume), (b"a".to_vec(), true));
        assert!(reader.is_broken() && !reader.is_readable());
        assert_eq!(take(&reader).0, None);
        kernel.bytes.borrow_mut().extend(b"\x01c");
        assert_eq!(pump(&reader, &kernel).0, News::Ended);
        assert_eq!(take(&reader).0, None);
    }

    #[test]
    fn a_farewell_is_the_last_that_counts() {
        let (reader, kernel) = (reader(0), kernel(&[1, b'a', FAREWELL]));
        assert_eq!(pump(&reader, &kernel).0, News::Last);
        assert_eq!(take(&reader).0.unwrap(), b"a");
        let kernel = self::kernel(&[FAREWELL]);
        assert_eq!(pump(&self::reader(0), &kernel).0, News::Ended);
    }

    #[test]
    fn an_answer_comes_with_what_was_read() {
        let reader = reader(0);
        let (arrival, _) = reader.pump(&kernel(&[1, b'a', PING]), || None, &mut [0; 100], None);
        assert_eq!(arrival, Arrival { news: News::Readable, answer: Some(b"pong".to_vec()) });
        assert_eq!(reader.begin(&mut [PING], || None).answer, Some(b"pong".to_vec()));
        assert_eq!(reader.begin(&mut [], || None), NOTHING);
    }

    #[test]
    fn behind_the_end_nothing_is_read() {
        let (reader, kernel) = (reader(0), kernel(b"\x01a"));
        kernel.is_ended.set(true);
        for expected in [News::Readable, News::Ended, News::Ended] {
            assert_eq!(reader.read_on(&kernel, || None, &mut [0; 100]).news, expected);
        }
        assert_eq!(kernel.reads.get(), 2);
        assert_eq!(take(&reader).0.unwrap(), b"a");
        assert_eq!(pump(&reader, &kernel).0, News::Nothing);
        assert_eq!(kernel.reads.get(), 2);
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::short::Short;
    use super::*;
    use loom::sync::{Arc, Condvar, Mutex as LoomMutex};
    use loom::thread;

    /// A stream whose kernel reports once what it was asked to report.
    struct World {
        reader: Reader,
        kernel: LoomMutex<Kernel>,
        changed: Condvar,
        /// Held while the kernel is told, as the watch does.
        telling: LoomMutex<()>,
        /// Who reads.
        reading: LoomMutex<()>,
        news: LoomMutex<()>,
        has_news: Condvar,
    }

    #[derive(Default)]
    struct Kernel {
        messages: usize,
        is_asked: bool,
        /// What it has reported it reports again.
        lasts: bool,
        is_over: bool,
    }

    impl Source for World {
        fn read(&self, _room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
            let _alone = self.reading.try_lock().expect("two threads read at once");
            let mut kernel = self.kernel.lock().unwrap();
            if kernel.messages == 0 {
                return Read::Nothing;
            }
            kernel.messages -= 1;
            rest[..2].copy_from_slice(b"\x01a");
            Read::Bytes(2)
        }
    }

    impl World {
        fn new() -> Arc<World> {
            Arc::new(World {
                reader: Reader::new(Box::new(Short::default()), 0),
                kernel: LoomMutex::default(),
                changed: Condvar::new(),
                telling: LoomMutex::new(()),
                reading: LoomMutex::new(()),
                news: LoomMutex::new(()),
                has_news: Condvar::new(),
            })
        }

        fn renew(&self) {
            let _in_order = self.telling.lock().unwrap();
            let is_asked = self.reader.ask();
            let lasts = is_asked && self.reader.is_shared();
            let mut kernel = self.kernel.lock().unwrap();
            (kernel.is_asked, kernel.lasts) = (is_asked, lasts);
            self.changed.notify_all();
        }

        fn arrive(&self) {
            self.kernel.lock().unwrap().messages += 1;
            self.changed.notify_all();
        }

        fn tell(&self, news: News) {
            if news == News::Readable {
                let _news = self.news.lock().unwrap();
                self.has_news.notify_all();
            }
        }

        /// The reactor, until it is told that all is over.
        fn react(&self) {
            loop {
                let mut kernel = self.kernel.lock().unwrap();
                while !(kernel.is_over || kernel.is_asked && kernel.messages > 0) {
                    kernel = self.changed.wait(kernel).unwrap();
                }
                if kernel.is_over {
                    return;
                }
                kernel.is_asked &= kernel.lasts;
                drop(kernel);
                let arrival = self.reader.read_ahead(self, || None, &mut [0; 2]);
                let may_rest = arrival.is_some() && self.lasts();
                arrival.into_iter().for_each(|arrival| self.tell(arrival.news));
                if !may_rest {
                    self.renew();
                }
            }
        }

        /// As the watch knows it, which waits for whom tells the kernel.
        fn lasts(&self) -> bool {
            let _in_order = self.telling.lock().unwrap();
            self.kernel.lock().unwrap().lasts
        }

        fn try_take(&self) -> bool {
            let taken = self.reader.take(|| None, &mut Message::default());
            if taken.must_resume {
                self.renew();
            }
            taken.has_message
        }

        /// Receives from what the reactor reads.
        fn receive(&self) {
            while !self.try_take() {
                let news = self.news.lock().unwrap();
                if !self.reader.is_readable() {
                    drop(self.has_news.wait(news).unwrap());
                }
            }
        }

        fn end(&self) {
            self.kernel.lock().unwrap().is_over = true;
            self.changed.notify_all();
        }
    }

    fn check(receive: fn(&World)) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(move || {
            let world = World::new();
            world.renew();
            let reactor = {
                let world = world.clone();
                thread::spawn(move || world.react())
            };
            let receiver = {
                let world = world.clone();
                thread::spawn(move || receive(&world))
            };
            world.arrive();
            world.arrive();
            receiver.join().unwrap();
            world.end();
            reactor.join().unwrap();
        });
    }

    /// Loom fails the model when somebody sleeps for ever.
    #[test]
    fn model_what_the_reactor_reads_ahead_is_received_and_read_on() {
        check(|world| {
            world.receive();
            world.receive();
        });
    }

    /// The kernel is asked once for all, for as long as messages are received as they come.
    #[test]
    fn model_what_the_reactor_reads_beside_callers_is_received() {
        check(|world| {
            world.reader.share();
            world.renew();
            world.receive();
            world.receive();
        });
    }

    /// A caller that reads for itself and then leaves it to the reactor misses nothing either.
    #[test]
    fn model_reading_passes_to_callers_and_back() {
        check(|world| {
            let (arrival, passage) = world.reader.pump(world, || None, &mut [0; 2], None);
            world.tell(arrival.news);
            if passage != Passage::None {
                world.renew();
            }
            while world.reader.look(|| false, || 0) != Handback::Done {}
            world.renew();
            world.receive();
            world.receive();
        });
    }
}
