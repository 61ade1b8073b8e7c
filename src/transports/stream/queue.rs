//! What a connection has accepted and no writer has taken: the gatherer. No I/O and no lock.
//!
//! Small messages lie together in one buffer, so that one system call takes many of them. Bodies
//! that are big are referred to where they lie.

use std::collections::VecDeque;

use super::batch::{Batch, Done, PartVeil, Segment};
use super::circumstances::{Before, Circumstances, Gathering};
use super::codec::{Encoder, Place};
use super::driver::{Content, Driver};
use super::loan::Loan;
use super::muster::Muster;
use super::pieces::share_body;
use super::runs::{Follows, Runs};
use super::tally::SendTally;
use super::urgency::Urgency;
use super::written::Written;
use crate::error::{Error, Refusal};
use crate::memory::{self, OutOfMemory};
use crate::message::Message;
use crate::transports::pace::{Moment, NEVER, Pace, Rhythm, Since, Workload};
use crate::transports::{AfterSend, Bounds, Sent};

pub struct Queue {
    pub(super) segments: VecDeque<Segment>,
    /// Small messages gathered behind the segments.
    pub(super) gathered: Vec<u8>,
    /// A used buffer to gather in next time.
    spare: Vec<u8>,
    /// A frame that no application has sent, to be written behind everything else.
    pub(super) interjection: Option<Box<Frame>>,
    /// Bytes accepted and not with the kernel, those in the writer's batch included.
    pub(super) pending: usize,
    /// Messages likewise: fewer than bytes, of which no queue holds so many.
    pub(super) messages: u32,
    /// Of these, the messages that no writer has taken yet.
    pub(super) untaken: u32,
    pub(super) tally: SendTally,
    /// Bytes that may be pending before another message is refused.
    limit: usize,
    /// Where messages are counted, or thrown away.
    pub(super) muster: Option<Box<Muster>>,
    pub(super) room: Room,
    pub(super) kernel: Kernel,
    pub(super) loan: Loan,
    /// Somebody wants to have written what is queued.
    pub(super) is_wanted: bool,
    urgency: Urgency,
    /// Messages have been gathered lately, so that a big buffer is worth keeping.
    gathers: bool,
    /// What the kernel has taken may wait there for more.
    pub(super) may_wait: bool,
    /// How many messages come here in a run of their sender, where they may wait, and have come in
    /// runs.
    pub(super) runs: Option<Box<Runs>>,
    /// What comes behind what is queued.
    follows: Follows,
    /// What the kernel has taken waits there for more.
    pub(super) waits: bool,
    /// When the last message was accepted, as far as its sender knew the time.
    last: Moment,
    /// When the first message was gathered that lies here.
    since: Since,
    /// Who writes what its sender leaves here.
    pub driver: Driver,
}

/// A frame in memory of its own: few connections ever have one.
pub(super) struct Frame(pub Vec<u8>);

/// Whether messages are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Open,
    /// Not until something is written.
    Full,
    /// Never again.
    Closed,
}

/// What the kernel did when it was last offered something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    TookAll,
    /// It is stuck: it took less than it was offered.
    TookLess,
}

/// Where a message stands among those that no writer has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    First,
    Behind,
}

impl Queue {
    #[must_use]
    pub fn new(bounds: impl Into<Bounds>) -> Queue {
        let bounds = bounds.into();
        let muster = Muster::of(bounds);
        Queue {
            segments: VecDeque::new(),
            gathered: Vec::new(),
            spare: Vec::new(),
            interjection: None,
            pending: 0,
            messages: 0,
            untaken: 0,
            tally: SendTally::default(),
            limit: bounds.bytes(),
            room: Room::Open,
            kernel: Kernel::TookAll,
            loan: if muster.is_none() { Loan::None } else { Loan::Never },
            muster,
            is_wanted: false,
            urgency: Urgency::None,
            gathers: false,
            may_wait: false,
            runs: None,
            follows: Follows::Unknown,
            waits: false,
            last: NEVER,
            since: Since::default(),
            driver: Driver::default(),
        }
    }

    /// Takes `message` and appends it as `encoder` wraps it. A body that is lent is copied, unless
    /// nothing is in front of it.
    ///
    /// # Errors
    /// When nothing more is accepted; the message is not touched.
    pub fn accept(
        &mut self,
        encoder: &dyn Encoder,
        message: &mut Message,
        circumstances: Circumstances,
        rhythm: &Rhythm,
        clock: impl Fn() -> Moment,
    ) -> Result<Sent, Refusal> {
        if self.room != Room::Open {
            return Err(Refusal::Busy);
        }
        if self.muster.is_some() {
            return self.accept_mustered(encoder, message, circumstances, rhythm, clock);
        }
        let position = self.position();
        let lender = message.body.lender();
        let appended = self.append(encoder, message);
        let Some(size) = appended else { return Err(self.refuse_for_memory()) };
        self.room = self.room_left();
        self.driver.note_fresh();
        let mut then = self.next_step(size, position, circumstances, rhythm, clock);
        self.is_wanted |= then.is_delivery();
        if let Some(lender) = lender
            && self.segments.back().is_some_and(Segment::is_lent)
        {
            (self.loan, self.is_wanted, then) = (Loan::Out(lender), true, AfterSend::DeliverLent);
        }
        Ok(Sent { can_send_more: self.room == Room::Open, then })
    }

    #[must_use]
    pub fn can_accept(&self) -> bool {
        self.room == Room::Open
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending == 0 || self.room == Room::Closed
    }

    /// What the reactor sees here.
    #[must_use]
    pub fn content(&self) -> Content {
        if self.is_settled() { Content::Nothing } else { Content::Something }
    }

    /// Whether everything is on its way to the peer.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_empty() && (!self.waits || self.room == Room::Closed)
    }

    /// Whether a sender waits for whoever writes. He may have lost his processor in the middle, and
    /// meanwhile a message that may be the last would not be with the kernel when its sender goes
    /// on, or others would fill the queue while the kernel has room.
    #[must_use]
    pub fn is_writer_awaited(&self) -> bool {
        let is_filling = match &self.muster {
            None => self.pending >= self.limit / 2,
            Some(muster) => muster.is_filling(),
        };
        (self.urgency != Urgency::None || is_filling) && self.room != Room::Closed
    }

    /// Whether somebody wants something written that the kernel may take.
    #[must_use]
    pub fn wants_writer(&self) -> bool {
        self.is_wanted && self.kernel == Kernel::TookAll && self.room != Room::Closed
    }

    /// Wants to have everything written, even if the kernel did not want more a moment ago.
    pub fn want_all(&mut self) {
        self.is_wanted = true;
        self.follows = Follows::Unknown;
        self.kernel = Kernel::TookAll;
    }

    /// Puts `words` in front of the first message.
    pub fn begin(&mut self, words: Vec<u8>) {
        self.pending += words.len();
        if let Some(muster) = &mut self.muster {
            muster.note_words(words.len());
        }
        self.segments.push_front(Segment::Bytes(words));
        self.is_wanted = true;
        self.driver.note_fresh();
    }

    /// Accepts nothing any more and forgets what is queued.
    pub fn close(&mut self) {
        self.room = Room::Closed;
        self.segments.clear();
        (self.gathered, self.spare) = (Vec::new(), Vec::new());
        self.interjection = None;
    }

    /// Gives the buffers back in which nothing is gathered any more.
    pub fn rest(&mut self) {
        self.gathers = false;
        self.spare = Vec::new();
        if self.gathered.is_empty() && self.gathered.capacity() > SMALL_BUFFER {
            self.gathered = Vec::new();
        }
    }

    /// Whether a buffer lies idle that is too big to stay.
    fn can_rest(&self) -> bool {
        let unused = if self.gathered.is_empty() { self.gathered.capacity() } else { 0 };
        unused.max(self.spare.capacity()) > SMALL_BUFFER
    }

    /// True when the reactor is to look often from now on: for what the kernel has not taken, or
    /// because there is something to give back, and nobody else finds out when it is time.
    #[must_use]
    pub fn must_tick(&mut self, is_left: bool) -> bool {
        (is_left || self.can_rest()) && self.driver.rely_on_ticks()
    }

    /// Moves what is queued into a writer's batch.
    ///
    /// # Errors
    /// When there is no memory for that, and nothing in the batch that could be written first.
    pub fn fill(&mut self, batch: &mut Batch) -> Result<(), OutOfMemory> {
        let more = self.segments.len() + OWN_SEGMENTS;
        if let Err(error) = memory::reserve(&mut batch.segments, more) {
            self.is_wanted = true;
            return if batch.segments.is_empty() { Err(error) } else { Ok(()) };
        }
        self.driver.note_taken();
        self.is_wanted = false;
        batch.follows = std::mem::take(&mut self.follows);
        self.urgency.note_taken();
        batch.messages += std::mem::take(&mut self.untaken);
        if !self.segments.is_empty() {
            batch.segments.append(&mut self.segments);
        }
        if !self.gathered.is_empty() {
            let spare = std::mem::take(&mut self.spare);
            let gathered = std::mem::replace(&mut self.gathered, spare);
            batch.segments.push_back(Segment::Bytes(gathered));
        }
        if let Some(frame) = self.interjection.take() {
            let Frame(frame) = *frame;
            if let Some(muster) = &mut self.muster {
                muster.note_interjection(frame.len());
            }
            batch.segments.push_back(Segment::Bytes(frame));
        }
        Ok(())
    }

    /// Notes what a writer has done.
    pub fn note_written(&mut self, done: Done) -> Written {
        let is_over = done.result.is_err() || self.room == Room::Closed;
        if !is_over && (self.gathers || done.used.capacity() <= SMALL_BUFFER) {
            self.reuse(done.used);
        }
        self.tally.note_written(self.messages, self.pending, done.messages);
        self.messages -= done.messages;
        if done.is_unreadable {
            self.loan = Loan::Lost(Error::BadPointer);
        }
        self.waits = done.waits;
        self.urgency.note_written();
        let Ok(count) = done.result else {
            self.room = Room::Closed;
            return Written { is_broken: true, ..Written::default() };
        };
        self.pending -= count;
        let was_full = self.room == Room::Full;
        if self.room != Room::Closed {
            self.room = match &mut self.muster {
                None => self.room_left(),
                Some(muster) => muster.advance(count),
            };
        }
        self.kernel = if done.is_empty { Kernel::TookAll } else { Kernel::TookLess };
        Written {
            became_ready: was_full && self.room == Room::Open,
            is_stuck: !done.is_empty,
            is_broken: false,
            must_tick: self.must_tick(!done.is_empty || done.waits),
            has_displaced: false,
        }
    }

    /// Keeps a buffer that has been written. What follows is gathered in this one, if nothing is
    /// yet: it lies in the cache, where there is no room for two of each of many connections.
    fn reuse(&mut self, used: Vec<u8>) {
        self.spare = if self.gathered.is_empty() && used.capacity() >= self.gathered.capacity() {
            std::mem::replace(&mut self.gathered, used)
        } else {
            used
        };
    }

    fn room_left(&self) -> Room {
        let is_full = self.pending >= self.limit && self.messages >= MESSAGES_MIN;
        if is_full { Room::Full } else { Room::Open }
    }

    /// What the sender of a message has to do about it.
    #[allow(clippy::inline_always, reason = "it is on the way of every message")]
    #[inline(always)]
    pub(super) fn next_step(
        &mut self,
        size: usize,
        position: Position,
        circumstances: Circumstances,
        rhythm: &Rhythm,
        clock: impl Fn() -> Moment,
    ) -> AfterSend {
        let pace = match circumstances.before {
            // While messages lie here unwritten, the last one was sent a moment ago: else somebody
            // would have written them.
            Before::Sent if position == Position::Behind && rhythm.goes_on() => Pace::Streaming,
            Before::Sent => rhythm.begin(clock()),
            Before::ReceivedSome(load) if circumstances.gathering == Gathering::Answers => {
                rhythm.begin_busy(clock(), load)
            }
            Before::ReceivedSome(_) => rhythm.begin_busy(clock(), Workload::Little),
            Before::Received => rhythm.begin_after_receipt(clock()),
        };
        let last = std::mem::replace(&mut self.last, rhythm.last());
        let has_had_one = rhythm.includes(last);
        if !has_had_one {
            rhythm.note_connection();
        }
        let follows = if !self.may_wait {
            Follows::Unknown
        } else if has_had_one {
            self.runs.get_or_insert_with(Runs::begun).go_on(rhythm.last())
        } else {
            self.runs.iter_mut().for_each(|runs| runs.begin());
            Follows::Unknown
        };
        if self.kernel == Kernel::TookLess {
            // It was full a moment ago. Ask again only when it matters.
            return if self.room == Room::Full { AfterSend::Deliver } else { AfterSend::Nothing };
        }
        if pace == Pace::Unhurried {
            self.urgency = Urgency::Queued;
        }
        // Nobody is told that there is no room before the kernel was asked for some.
        // What waits in the kernel would wait for what is gathered behind it.
        let may_gather = !self.waits
            && pace == Pace::Streaming
            && has_had_one
            && circumstances.gathering != Gathering::Never
            && size <= GATHERED_BODY_MAX
            && self.pending < GATHERED_MAX.min(self.limit / 2)
            && (position == Position::First || !self.since.is_ripe(self.untaken as usize, rhythm));
        self.gathers |= may_gather;
        // Who has received in between works for each message: the next is not there in a moment.
        let may_wait = follows == Follows::More
            && circumstances.before == Before::Sent
            && position == Position::First
            && pace == Pace::Unhurried
            && size <= GATHERED_BODY_MAX;
        self.follows = if may_wait { Follows::More } else { Follows::Unknown };
        match position {
            _ if pace == Pace::Streaming && rhythm.is_at_end() => AfterSend::DeliverAll,
            _ if may_wait && !self.waits => AfterSend::DeliverAhead,
            _ if !may_gather => AfterSend::Deliver,
            Position::First => {
                self.since = rhythm.since();
                AfterSend::WriteLater
            }
            // Whoever was to write the first one writes this too.
            Position::Behind => AfterSend::Nothing,
        }
    }

    /// Returns the bytes that it takes, or nothing when there is no memory.
    #[allow(clippy::inline_always, reason = "it is on the way of every message")]
    #[inline(always)]
    pub(super) fn append(&mut self, encoder: &dyn Encoder, message: &mut Message) -> Option<usize> {
        let payload = message.wire_len();
        if !self.takes_loans() {
            message.body.own().ok()?;
        }
        if self.gathered.len() >= GATHERED_MAX {
            memory::reserve(&mut self.segments, 1).ok()?;
            self.close_gathered();
        }
        let size = if payload <= encoder.frame_max() {
            self.append_frame(encoder, message)?
        } else {
            self.append_frames(encoder, message)?
        };
        self.pending += size;
        self.messages += 1;
        self.untaken += 1;
        self.tally.count(payload);
        Some(size)
    }

    #[allow(clippy::inline_always, reason = "it is on the way of every message")]
    #[inline(always)]
    fn append_frame(&mut self, encoder: &dyn Encoder, message: &mut Message) -> Option<usize> {
        if message.body.len() > GATHERED_BODY_MAX {
            return self.append_apart(encoder, message);
        }
        let prefix = encoder.prefix(message, message.wire_len(), Place::WHOLE);
        let size = prefix.as_slice().len() + message.wire_len();
        memory::reserve(&mut self.gathered, size).ok()?;
        self.gathered.extend_from_slice(prefix.as_slice());
        let start = self.gathered.len();
        self.gathered.extend_from_slice(message.header.as_slice());
        self.gathered.extend_from_slice(message.body.as_slice());
        if let Some(veil) = prefix.veil() {
            encoder.apply(veil, 0, &mut self.gathered[start..]);
        }
        Some(size)
    }

    /// The same for a body that stays where it lies.
    fn append_apart(&mut self, encoder: &dyn Encoder, message: &mut Message) -> Option<usize> {
        let prefix = encoder.prefix(message, message.wire_len(), Place::WHOLE);
        let size = prefix.as_slice().len() + message.wire_len();
        memory::reserve(&mut self.gathered, size - message.body.len()).ok()?;
        memory::reserve(&mut self.segments, SEGMENTS_OF_FRAME).ok()?;
        let veiled = match prefix.veil() {
            Some(veil) => Some((share_body(message)?, veil)),
            None => None,
        };
        self.gathered.extend_from_slice(prefix.as_slice());
        let start = self.gathered.len();
        self.gathered.extend_from_slice(message.header.as_slice());
        if let Some(veil) = prefix.veil() {
            encoder.apply(veil, 0, &mut self.gathered[start..]);
        }
        let at = self.gathered.len() - start;
        self.close_gathered();
        self.segments.push_back(match veiled {
            None => Segment::Body(std::mem::take(&mut message.body)),
            Some((body, veil)) => {
                Segment::Part { range: 0..body.len(), body, veil: Some(PartVeil { veil, at }) }
            }
        });
        Some(size)
    }

    /// What follows is gathered in another buffer.
    pub(super) fn close_gathered(&mut self) {
        let spare = std::mem::take(&mut self.spare);
        let gathered = std::mem::replace(&mut self.gathered, spare);
        self.segments.push_back(Segment::Bytes(gathered));
    }
}

/// At most so much body is copied into the gathering buffer; more is referred to.
pub(super) const GATHERED_BODY_MAX: usize = 16 * 1024;
/// From so many pending bytes on they are written. Twice as many no longer fit into the caches
/// that both sides work in, and the peer waits longer for the first of them.
pub(super) const GATHERED_MAX: usize = 32 * 1024;
/// So many messages are always accepted, however big.
const MESSAGES_MIN: u32 = 2;
/// What a frame with a body of its own adds: what was gathered before it, and the body.
pub(super) const SEGMENTS_OF_FRAME: usize = 2;
/// What is moved into a batch behind the segments: what is gathered, and an interjection.
const OWN_SEGMENTS: usize = 2;
/// A buffer that may stay with an idle connection.
pub(super) const SMALL_BUFFER: usize = 4 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::{Body, Header};
    use crate::transports::stream::codec::{PREFIX_MAX, Prefix};
    use std::cell::Cell;
    use std::io;

    /// A framing with a dash in front of each frame, which takes only so much.
    struct Dashed {
        frame_max: usize,
    }

    impl Encoder for Dashed {
        fn frame_max(&self) -> usize {
            self.frame_max
        }

        fn prefix(&self, _message: &Message, _size: usize, place: Place) -> Prefix {
            let mut bytes = [b'-'; PREFIX_MAX];
            bytes[0] = if place.is_first { b'<' } else { b'-' };
            bytes[1] = if place.is_last { b'>' } else { b'-' };
            Prefix::new(bytes, 2)
        }
    }

    const DASHED: Dashed = Dashed { frame_max: usize::MAX };

    const LONE: Circumstances =
        Circumstances { before: Before::Received, gathering: Gathering::Allowed };
    const MORE: Circumstances = Circumstances { before: Before::Sent, ..LONE };

    fn message(header: &[u8], size: usize) -> Message {
        let header = Header::copy_from(header).unwrap();
        let body = Body::copy_from(&vec![b'x'; size]).unwrap();
        Message { header, body, ..Message::default() }
    }

    fn accept(queue: &mut Queue, size: usize, circumstances: Circumstances) -> Option<Sent> {
        accept_in(&Rhythm::undisturbed(), queue, size, circumstances)
    }

    fn accept_in(
        rhythm: &Rhythm,
        queue: &mut Queue,
        size: usize,
        circumstances: Circumstances,
    ) -> Option<Sent> {
        let clock = || Moment(1);
        queue.accept(&DASHED, &mut message(b"", size), circumstances, rhythm, clock).ok()
    }

    /// A thread that streams, as far as this queue knows.
    fn streaming(queue: &mut Queue) -> Rhythm {
        let rhythm = Rhythm::streaming(Moment(1));
        queue.last = Moment(1);
        rhythm
    }

    fn wire(batch: &Batch) -> Vec<u8> {
        let bytes = |segment: &Segment| match segment {
            Segment::Bytes(bytes) | Segment::Veiled(bytes) => bytes.clone(),
            Segment::Rest { bytes, start } => bytes[*start..].to_vec(),
            Segment::Body(body) => body.as_slice().to_vec(),
            Segment::Part { body, range, .. } => body.as_slice()[range.clone()].to_vec(),
        };
        batch.segments.iter().flat_map(bytes).collect()
    }

    fn taken(queue: &mut Queue) -> Vec<u8> {
        let mut batch = Batch::default();
        queue.fill(&mut batch).unwrap();
        wire(&batch)
    }

    impl Queue {
        /// What the larger of its buffers has room for.
        pub fn kept(&self) -> usize {
            self.spare.capacity().max(self.gathered.capacity())
        }
    }

    fn done(count: usize, is_empty: bool, messages: u32) -> Done {
        Done { result: Ok(count), is_empty, messages, used: Vec::new(), ..Done::default() }
    }

    #[test]
    fn frames_are_cut_out_of_header_and_body_alike() {
        for frame_max in 1..12 {
            let mut queue = Queue::new(1000);
            let encoder = Dashed { frame_max };
            let (message, rhythm) = (&mut message(b"header", 5), Rhythm::undisturbed());
            queue.accept(&encoder, message, LONE, &rhythm, || Moment(1)).unwrap();
            let frames: Vec<u8> = b"headerxxxxx".to_vec();
            let pieces: Vec<&[u8]> = frames.chunks(frame_max).collect();
            let expected = pieces.iter().enumerate().flat_map(|(at, piece)| {
                let first = if at == 0 { b'<' } else { b'-' };
                let last = if at + 1 == pieces.len() { b'>' } else { b'-' };
                [&[first, last], *piece].concat()
            });
            let expected: Vec<u8> = expected.collect();
            assert_eq!(queue.pending, expected.len());
            assert_eq!(taken(&mut queue), expected, "{frame_max}");
        }
    }

    #[test]
    fn big_bodies_are_referred_to_and_small_ones_copied() {
        for (size, segments) in [(GATHERED_BODY_MAX, 1), (GATHERED_BODY_MAX + 1, 3)] {
            let (mut queue, mut batch) = (Queue::new(1 << 20), Batch::default());
            accept(&mut queue, size, LONE).unwrap();
            accept(&mut queue, 1, LONE).unwrap();
            queue.fill(&mut batch).unwrap();
            assert_eq!((batch.segments.len(), batch.messages), (segments, 2));
            // They are taken once.
            queue.fill(&mut batch).unwrap();
            assert_eq!((batch.segments.len(), batch.messages), (segments, 2));
            assert_eq!(wire(&batch).len(), size + 1 + 4);
        }
    }

    #[test]
    fn it_is_full_at_the_limit_and_ready_when_something_is_written() {
        let mut queue = Queue::new(30);
        let rhythm = streaming(&mut queue);
        assert!(accept_in(&rhythm, &mut queue, 10, MORE).unwrap().can_send_more);
        assert!(queue.can_accept() && !queue.is_writer_awaited());
        assert!(accept_in(&rhythm, &mut queue, 10, MORE).unwrap().can_send_more);
        assert!(queue.is_writer_awaited());
        assert!(!accept_in(&rhythm, &mut queue, 10, MORE).unwrap().can_send_more);
        assert_eq!((accept(&mut queue, 0, LONE), queue.can_accept()), (None, false));
        taken(&mut queue);
        let written = queue.note_written(done(5, false, 0));
        assert_eq!((written.became_ready, written.is_stuck), (false, true));
        let written = queue.note_written(done(2, false, 0));
        assert!(written.became_ready && queue.can_accept());
        let written = queue.note_written(done(29, true, 3));
        assert_eq!(written, Written::default());
        assert!(queue.is_empty());
    }

    #[test]
    fn only_what_is_wanted_and_what_the_kernel_may_take_wants_a_writer() {
        let mut queue = Queue::new(1000);
        assert!(!queue.wants_writer());
        assert_eq!(accept(&mut queue, 10, LONE).unwrap().then, AfterSend::Deliver);
        assert!(queue.wants_writer());
        taken(&mut queue);
        assert!(!queue.wants_writer());
        queue.note_written(done(2, false, 0));
        // A kernel that is full is not asked for each message.
        assert_eq!(accept(&mut queue, 10, LONE).unwrap().then, AfterSend::Nothing);
        assert!(!queue.wants_writer());
        queue.want_all();
        assert!(queue.wants_writer());
        queue.close();
        assert!(!queue.wants_writer() && queue.is_empty() && !queue.is_writer_awaited());
    }

    #[test]
    fn a_message_that_may_be_the_last_waits_for_whoever_writes() {
        let mut queue = Queue::new(1000);
        assert!(!queue.is_writer_awaited());
        accept(&mut queue, 10, LONE).unwrap();
        assert!(queue.is_writer_awaited());
        let count = taken(&mut queue).len();
        assert!(queue.is_writer_awaited(), "it is on its way");
        queue.note_written(done(count, true, 1));
        assert!(!queue.is_writer_awaited());
        let rhythm = streaming(&mut queue);
        accept_in(&rhythm, &mut queue, 10, MORE).unwrap();
        accept_in(&rhythm, &mut queue, 10, MORE).unwrap();
        assert!(!queue.is_writer_awaited(), "there is more to come");
        accept(&mut queue, 10, LONE).unwrap();
        assert!(queue.is_writer_awaited());
        queue.close();
        assert!(!queue.is_writer_awaited());
    }

    #[test]
    fn a_thread_learns_how_many_connections_it_reaches() {
        let lone = |queues: &mut [Queue]| {
            let (rhythm, now) = (Rhythm::undisturbed(), Cell::new(1_000));
            let mut burst = |count: usize| -> usize {
                now.set(now.get() + 1_000_000);
                let places = queues.len();
                let all = (0..count).flat_map(|_| 0..places);
                let is_lone = |at: usize| {
                    let (mut message, clock) = (message(b"", 1), || Moment(now.get()));
                    now.set(now.get() + 100);
                    let queue = &mut queues[at];
                    let sent = queue.accept(&DASHED, &mut message, MORE, &rhythm, clock).unwrap();
                    let count = taken(queue).len();
                    queue.note_written(done(count, true, 1));
                    sent.then == AfterSend::Deliver
                };
                all.map(is_lone).filter(|is_lone| *is_lone).count()
            };
            [burst(100), burst(100)]
        };
        assert_eq!(lone(&mut [Queue::new(1000)]), [64, 64]);
        assert_eq!(lone(&mut [Queue::new(1000), Queue::new(1000)]), [64, 8]);
    }

    #[test]
    fn one_looks_after_what_is_gathered_for_all() {
        let mut queue = Queue::new(1000);
        let rhythm = streaming(&mut queue);
        let next = [(); 3].map(|()| accept_in(&rhythm, &mut queue, 10, MORE).unwrap().then);
        assert_eq!(next, [AfterSend::WriteLater, AfterSend::Nothing, AfterSend::Nothing]);
        assert!(!queue.wants_writer());
        let never = Circumstances { gathering: Gathering::Never, ..MORE };
        assert_eq!(accept_in(&rhythm, &mut queue, 10, never).unwrap().then, AfterSend::Deliver);
        assert_eq!(taken(&mut queue).len(), 48);
        // Nor does anything wait that fills the queue by half, or that is big.
        let mut queue = Queue::new(40);
        let rhythm = streaming(&mut queue);
        accept_in(&rhythm, &mut queue, 10, MORE).unwrap();
        assert_eq!(accept_in(&rhythm, &mut queue, 10, MORE).unwrap().then, AfterSend::Deliver);
        let mut queue = Queue::new(1 << 20);
        let rhythm = streaming(&mut queue);
        let big = accept_in(&rhythm, &mut queue, GATHERED_BODY_MAX + 1, MORE).unwrap();
        assert_eq!(big.then, AfterSend::Deliver);
    }

    #[test]
    fn only_a_connection_that_has_had_others_in_the_same_run_gathers() {
        let rhythm = Rhythm::streaming(Moment(1));
        let mut queues = [(); 3].map(|()| Queue::new(1000));
        let mut round = || -> Vec<AfterSend> {
            let one = |queue| accept_in(&rhythm, queue, 10, MORE).unwrap().then;
            queues.iter_mut().map(one).collect()
        };
        assert_eq!(round(), [AfterSend::Deliver; 3]);
        queues.iter_mut().for_each(|queue| drop(taken(queue)));
        let mut round = || -> Vec<AfterSend> {
            let one = |queue| accept_in(&rhythm, queue, 10, MORE).unwrap().then;
            queues.iter_mut().map(one).collect()
        };
        assert_eq!(round(), [AfterSend::WriteLater; 3]);
        assert_eq!(round(), [AfterSend::Nothing; 3]);
    }

    #[test]
    fn words_come_first_and_interjections_last() {
        let mut queue = Queue::new(1000);
        queue.interject(b"old ping".to_vec());
        accept(&mut queue, 1, LONE).unwrap();
        queue.begin(b"words".to_vec());
        queue.interject(b"pong".to_vec());
        assert_eq!(queue.pending, 5 + 3 + 4);
        assert!(queue.wants_writer());
        assert_eq!(taken(&mut queue), b"words<>xpong");
        queue.note_written(done(12, true, 1));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_a_broken_one_is_closed() {
        let mut queue = Queue::new(1000);
        accept(&mut queue, 1, LONE).unwrap();
        queue.close();
        queue.interject(b"pong".to_vec());
        assert_eq!((accept(&mut queue, 1, LONE), taken(&mut queue)), (None, vec![]));
        // Who was writing meanwhile leaves no buffer.
        queue.gathers = true;
        let used = || Vec::with_capacity(2 * SMALL_BUFFER);
        assert!(!queue.note_written(Done { used: used(), ..done(0, true, 0) }).must_tick);
        assert_eq!(queue.kept(), 0);
        let mut queue = Queue::new(1000);
        queue.gathers = true;
        let result = Err(io::ErrorKind::BrokenPipe.into());
        let broken = Done { result, used: used(), ..done(0, false, 0) };
        assert!(queue.note_written(broken).is_broken);
        assert_eq!((accept(&mut queue, 1, LONE), queue.kept()), (None, 0));
    }

    #[test]
    fn a_big_buffer_stays_only_while_something_is_gathered() {
        let used = || Vec::with_capacity(2 * SMALL_BUFFER);
        let mut queue = Queue::new(1000);
        queue.note_written(Done { used: used(), ..done(0, true, 0) });
        assert_eq!(queue.kept(), 0);
        accept_in(&streaming(&mut queue), &mut queue, 1, MORE).unwrap();
        queue.note_written(Done { used: used(), ..done(0, true, 0) });
        assert!(queue.kept() > SMALL_BUFFER);
        taken(&mut queue);
        queue.rest();
        assert!(queue.kept() <= SMALL_BUFFER);
    }

    #[test]
    fn what_follows_is_gathered_in_the_buffer_that_was_written_last() {
        let mut queue = Queue::new(1000);
        let mut batch = Batch::default();
        let mut write = |queue: &mut Queue, meanwhile: usize| {
            queue.fill(&mut batch).unwrap();
            let Some(Segment::Bytes(mut used)) = batch.segments.pop_front() else { panic!() };
            (0..meanwhile).for_each(|_| _ = accept(queue, 1, LONE).unwrap());
            let place = used.as_ptr();
            used.clear();
            queue.note_written(Done { used, ..done(0, true, 0) });
            place
        };
        accept(&mut queue, 1, LONE).unwrap();
        let first = write(&mut queue, 0);
        accept(&mut queue, 1, LONE).unwrap();
        assert_eq!(queue.gathered.as_ptr(), first);
        // What has come while it was written lies in another one already.
        assert_eq!(write(&mut queue, 1), first);
        assert_ne!(queue.gathered.as_ptr(), first);
        assert_eq!((queue.spare.as_ptr(), queue.gathered.is_empty()), (first, false));
    }

    #[test]
    fn turns_of_writing_add_up_but_for_the_last_word_on_the_kernel() {
        let (all, none) = (
            Written {
                became_ready: true,
                is_stuck: true,
                is_broken: true,
                must_tick: true,
                has_displaced: true,
            },
            Written::default(),
        );
        let mut sum = none;
        sum.note(all);
        assert_eq!(sum, all);
        sum.note(none);
        assert_eq!(sum, Written { is_stuck: false, ..all });
    }
}
