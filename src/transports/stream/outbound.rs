//! What a connection has accepted and its kernel has not: the gatherer.
//!
//! Accepting appends to a queue under a short lock and says whether the caller should write now.
//! Writing is done by one thread at a time, which holds the writer's lock during the system call
//! and takes everything that is queued. A thread that finds the writer busy leaves its bytes to
//! it: the writer looks at the queue again after it has let go of its lock, so nothing is
//! forgotten. `models` in this file's tests walks through every interleaving of that.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use super::batch::{Batch, Done, Segment, Sink};
use super::envelope::{Envelope, PREFIX_MAX, Place};
use super::rhythm::Rhythm;
use crate::error::Refusal;
use crate::message::Message;
use crate::sync::Mutex;

pub struct Outbound {
    queue: Mutex<Queue>,
    /// Held by the one who writes.
    batch: Mutex<Batch>,
}

struct Queue {
    segments: VecDeque<Segment>,
    /// Small messages gathered behind the segments.
    gathered: Vec<u8>,
    /// A used buffer to gather in next time.
    spare: Vec<u8>,
    /// A frame that no application has sent, to be written behind everything else.
    interjection: Option<Vec<u8>>,
    /// Bytes accepted and not with the kernel, those in the writer's batch included.
    pending: usize,
    /// Messages likewise.
    messages: usize,
    /// Of these, the messages that no writer has taken yet.
    untaken: usize,
    /// Bytes that may be pending before another message is refused.
    limit: usize,
    /// Nothing more is accepted until something is written.
    is_busy: bool,
    /// The kernel took less than it was offered.
    is_stuck: bool,
    is_closed: bool,
    /// Somebody wants to have written what is queued.
    is_wanted: bool,
    /// Something was accepted since the last look.
    is_fresh: bool,
    /// Messages have been gathered lately, so that a big buffer is worth keeping.
    gathers: bool,
    rhythm: Rhythm,
}

/// What accepting a message asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub can_accept_more: bool,
    pub urgency: Urgency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Write now.
    Now,
    /// Write before blocking. It is the first message to be gathered if `first`.
    Later { first: bool },
    /// Whoever was to write before writes this too.
    Covered,
}

/// What writing led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Messages are accepted again that were refused before.
    pub became_ready: bool,
    /// The kernel is full: somebody has to wait for it.
    pub is_stuck: bool,
    pub is_broken: bool,
}

/// What a look at the queue from time to time finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Empty,
    /// Somebody is at it.
    Fresh,
    /// Bytes lie there untouched since the last look.
    Left,
}

impl Outbound {
    #[must_use]
    pub fn new(limit: usize) -> Outbound {
        let queue = Queue {
            segments: VecDeque::new(),
            gathered: Vec::new(),
            spare: Vec::new(),
            interjection: None,
            pending: 0,
            messages: 0,
            untaken: 0,
            limit,
            is_busy: false,
            is_stuck: false,
            is_closed: false,
            is_wanted: false,
            is_fresh: false,
            gathers: false,
            rhythm: Rhythm::default(),
        };
        Outbound { queue: Mutex::new(queue), batch: Mutex::new(Batch::default()) }
    }

    /// Takes `message` and appends it as `envelope` wraps it.
    ///
    /// # Errors
    /// When nothing more is accepted; the message is not touched.
    pub fn accept(
        &self,
        envelope: &impl Envelope,
        message: &mut Message,
        pace: Pace,
        clock: impl Fn() -> Instant,
    ) -> Result<Accepted, Refusal> {
        let mut queue = self.queue.lock();
        if queue.is_busy || queue.is_closed {
            return Err(Refusal::Busy);
        }
        let is_first = queue.untaken == 0;
        let Some(size) = queue.append(envelope, message) else {
            // Without memory it is as if nothing more fitted, until something has been written.
            queue.is_busy = queue.pending > 0;
            return Err(if queue.is_busy { Refusal::Busy } else { Refusal::NoMemory });
        };
        queue.is_busy = queue.pending >= queue.limit && queue.messages >= MESSAGES_MIN;
        queue.is_fresh = true;
        let urgency = queue.urgency(size, is_first, pace, clock);
        queue.is_wanted |= urgency == Urgency::Now;
        Ok(Accepted { can_accept_more: !queue.is_busy, urgency })
    }

    #[must_use]
    pub fn can_accept(&self) -> bool {
        let queue = self.queue.lock();
        !queue.is_busy && !queue.is_closed
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        let queue = self.queue.lock();
        queue.pending == 0 || queue.is_closed
    }

    /// Puts `words` in front of the first message.
    pub fn begin(&self, words: Vec<u8>) {
        let mut queue = self.queue.lock();
        queue.pending += words.len();
        queue.segments.push_front(Segment::Bytes(words));
        queue.is_wanted = true;
        queue.is_fresh = true;
    }

    /// Appends a whole frame of the connection's own, whatever the limit. Of several that nobody
    /// has written only the last is kept.
    pub fn interject(&self, frame: Vec<u8>) {
        let mut queue = self.queue.lock();
        if queue.is_closed {
            return;
        }
        queue.pending += frame.len();
        let outdated = queue.interjection.replace(frame);
        queue.pending -= outdated.map_or(0, |frame| frame.len());
        queue.is_wanted = true;
        queue.is_fresh = true;
    }

    /// Accepts nothing any more and forgets what is queued.
    pub fn close(&self) {
        let mut queue = self.queue.lock();
        queue.is_closed = true;
        queue.segments.clear();
        queue.gathered = Vec::new();
        queue.interjection = None;
    }

    /// The same, and `frame` is the last that is written, unless another one is only half written.
    /// Waits for whoever writes at this moment: the kernel does not keep him.
    pub fn close_with(&self, frame: &[u8], sink: &impl Sink) {
        self.close();
        let batch = self.batch.lock();
        if batch.segments.is_empty() {
            // A kernel that is full now would not let the peer read it in time anyway.
            let _ = sink.write(&[IoSlice::new(frame)]);
        }
    }

    /// Writes what somebody wants to have written, unless another thread is about to. That one may
    /// have lost its processor in the middle: nobody goes on filling the queue behind it while
    /// the kernel has room.
    pub fn write(&self, sink: &impl Sink, clock: impl Fn() -> Option<Instant>) -> Written {
        let mut written = Written::default();
        loop {
            let mut batch = match self.batch.try_lock() {
                Some(batch) => batch,
                None if self.queue.lock().is_filling() => self.batch.lock(),
                None => break,
            };
            self.fill(&mut batch);
            let done = batch.write(sink);
            written.note(self.queue.lock().note_written(done, clock()));
            drop(batch);
            // Only now does a look at the queue see what was left to us while we wrote.
            if !self.queue.lock().wants_writer() {
                break;
            }
        }
        written
    }

    /// Writes everything, wanted or not.
    pub fn write_all(&self, sink: &impl Sink, clock: impl Fn() -> Option<Instant>) -> Written {
        {
            let mut queue = self.queue.lock();
            if queue.pending == 0 || queue.is_closed {
                return Written::default();
            }
            queue.is_wanted = true;
            queue.is_stuck = false;
        }
        self.write(sink, clock)
    }

    /// Looks whether bytes lie untouched. A buffer that nothing gathers in is given back.
    pub fn look(&self) -> Look {
        let mut queue = self.queue.lock();
        let is_fresh = std::mem::take(&mut queue.is_fresh);
        if queue.pending == 0 || queue.is_closed {
            if !is_fresh {
                queue.gathers = false;
                queue.spare = Vec::new();
                drop(queue);
                if let Some(mut batch) = self.batch.try_lock() {
                    batch.rest();
                }
            }
            return Look::Empty;
        }
        if is_fresh { Look::Fresh } else { Look::Left }
    }

    fn fill(&self, batch: &mut Batch) {
        let mut queue = self.queue.lock();
        queue.is_wanted = false;
        batch.messages += std::mem::take(&mut queue.untaken);
        batch.segments.append(&mut queue.segments);
        if !queue.gathered.is_empty() {
            let spare = std::mem::take(&mut queue.spare);
            let gathered = std::mem::replace(&mut queue.gathered, spare);
            batch.segments.push_back(Segment::Bytes(gathered));
        }
        if let Some(frame) = queue.interjection.take() {
            batch.segments.push_back(Segment::Bytes(frame));
        }
    }
}

/// Circumstances under which a message is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The sender is busy with more before it can block.
    pub more_to_come: bool,
    /// The application did something else than sending since the last message.
    pub after_pause: bool,
    /// The application wants every message written by itself.
    pub no_gathering: bool,
}

impl Queue {
    /// Returns the bytes that it takes, or nothing when there is no memory.
    fn append(&mut self, envelope: &impl Envelope, message: &mut Message) -> Option<usize> {
        let payload = message.wire_len();
        if self.gathered.len() >= GATHERED_MAX {
            self.close_gathered();
        }
        let size = if payload <= envelope.frame_max() {
            self.append_frame(envelope, message)?
        } else {
            self.append_frames(envelope, message)?
        };
        self.pending += size;
        self.messages += 1;
        self.untaken += 1;
        Some(size)
    }

    fn append_frame(&mut self, envelope: &impl Envelope, message: &mut Message) -> Option<usize> {
        let prefix = envelope.prefix(message.wire_len(), Place::WHOLE);
        let size = prefix.as_slice().len() + message.wire_len();
        let is_gathered = message.body.len() <= GATHERED_BODY_MAX;
        let copied = if is_gathered { size } else { size - message.body.len() };
        self.gathered.try_reserve(copied).ok()?;
        self.gathered.extend_from_slice(prefix.as_slice());
        let start = self.gathered.len();
        self.gathered.extend_from_slice(message.header.as_slice());
        if is_gathered {
            self.gathered.extend_from_slice(message.body.as_slice());
        }
        if let Some(mask) = prefix.mask() {
            mask.apply(&mut self.gathered[start..]);
        }
        if !is_gathered {
            let skipped = self.gathered.len() - start;
            self.close_gathered();
            let body = std::mem::take(&mut message.body);
            self.segments.push_back(match prefix.mask() {
                None => Segment::Body(body),
                Some(mask) => Segment::Part {
                    range: 0..body.len(),
                    body: Arc::new(body),
                    mask: Some(mask.behind(skipped)),
                },
            });
        }
        Some(size)
    }

    /// The same for a message that takes more than one frame.
    fn append_frames(&mut self, envelope: &impl Envelope, message: &mut Message) -> Option<usize> {
        let (header, payload) = (message.header.as_slice(), message.wire_len());
        self.gathered.try_reserve(PREFIX_MAX + header.len()).ok()?;
        let body = Arc::new(std::mem::take(&mut message.body));
        let (mut at, mut size) = (0, payload);
        while at < payload {
            let end = payload.min(at + envelope.frame_max());
            let place = Place { is_first: at == 0, is_last: end == payload };
            let prefix = envelope.prefix(end - at, place);
            size += prefix.as_slice().len();
            self.gathered.extend_from_slice(prefix.as_slice());
            let own = &header[at.min(header.len())..end.min(header.len())];
            let start = self.gathered.len();
            self.gathered.extend_from_slice(own);
            if let Some(mask) = prefix.mask() {
                mask.apply(&mut self.gathered[start..]);
            }
            let skipped = own.len();
            let range = (at + skipped).max(header.len()) - header.len()
                ..end.max(header.len()) - header.len();
            self.close_gathered();
            self.segments.push_back(Segment::Part {
                body: Arc::clone(&body),
                range,
                mask: prefix.mask().map(|mask| mask.behind(skipped)),
            });
            at = end;
        }
        Some(size)
    }

    /// What follows is gathered in another buffer.
    fn close_gathered(&mut self) {
        let spare = std::mem::take(&mut self.spare);
        let gathered = std::mem::replace(&mut self.gathered, spare);
        self.segments.push_back(Segment::Bytes(gathered));
    }

    fn urgency(
        &mut self,
        size: usize,
        is_first: bool,
        pace: Pace,
        clock: impl Fn() -> Instant,
    ) -> Urgency {
        if pace.after_pause {
            self.rhythm.interrupt();
        }
        // While messages lie here unwritten, the last one was sent a moment ago: else somebody
        // would have written them.
        let is_streaming =
            (!is_first && self.rhythm.goes_on()) || self.rhythm.is_streaming(clock());
        if self.is_stuck {
            // The kernel was full a moment ago. Ask again only when it matters.
            return if self.is_busy { Urgency::Now } else { Urgency::Covered };
        }
        // Nobody is told that there is no room before the kernel was asked for some.
        let may_gather = (is_streaming || pace.more_to_come)
            && !pace.no_gathering
            && size <= GATHERED_BODY_MAX
            && self.pending < GATHERED_MAX.min(self.limit / 2);
        self.gathers |= may_gather;
        if may_gather { Urgency::Later { first: is_first } } else { Urgency::Now }
    }

    /// It will soon be full, for all that the kernel may have room.
    fn is_filling(&self) -> bool {
        self.pending >= self.limit / 2 && !self.is_closed
    }

    fn note_written(&mut self, done: Done, now: Option<Instant>) -> Written {
        if self.gathers || done.used.capacity() <= SMALL_BUFFER {
            self.spare = done.used;
        }
        self.messages -= done.messages;
        if let Some(now) = now {
            self.rhythm.wrote(now);
        }
        let Ok(count) = done.result else {
            self.is_closed = true;
            return Written { is_broken: true, ..Written::default() };
        };
        self.pending -= count;
        self.is_stuck = !done.is_empty;
        let was_busy = std::mem::replace(
            &mut self.is_busy,
            self.pending >= self.limit && self.messages >= MESSAGES_MIN,
        );
        Written {
            became_ready: was_busy && !self.is_busy,
            is_stuck: self.is_stuck,
            is_broken: false,
        }
    }

    fn wants_writer(&self) -> bool {
        self.is_wanted && !self.is_stuck && !self.is_closed
    }
}

impl Written {
    fn note(&mut self, turn: Written) {
        self.became_ready |= turn.became_ready;
        self.is_stuck = turn.is_stuck;
        self.is_broken |= turn.is_broken;
    }
}

/// At most so much body is copied into the gathering buffer; more is referred to.
const GATHERED_BODY_MAX: usize = 16 * 1024;
/// From so many pending bytes on they are written. Twice as many no longer fit into the caches
/// that both sides work in, and the peer waits longer for the first of them.
const GATHERED_MAX: usize = 32 * 1024;
/// So many messages are always accepted, however big.
const MESSAGES_MIN: usize = 2;
/// A buffer that may stay with an idle connection.
const SMALL_BUFFER: usize = 4 * 1024;
#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::Body;
    use crate::transports::stream::Mask;
    use std::cell::{Cell, RefCell};
    use std::io;

    /// A kernel with room for so many bytes.
    #[derive(Default)]
    struct Kernel {
        room: Cell<usize>,
        taken: RefCell<Vec<u8>>,
        is_broken: Cell<bool>,
        calls: Cell<usize>,
    }

    impl Sink for Kernel {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            self.calls.set(self.calls.get() + 1);
            if self.is_broken.get() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let mut count = 0;
            for part in parts {
                let taken = part.len().min(self.room.get());
                self.taken.borrow_mut().extend_from_slice(&part[..taken]);
                self.room.set(self.room.get() - taken);
                count += taken;
            }
            Ok(count)
        }
    }

    fn kernel(room: usize) -> Kernel {
        Kernel { room: Cell::new(room), ..Kernel::default() }
    }

    fn message(byte: u8, size: usize) -> Message {
        Message::from_body(Body::copy_from(&vec![byte; size]).unwrap())
    }

    const PACE: Pace = Pace { more_to_come: false, after_pause: false, no_gathering: false };

    fn at(start: Instant, micros: u64) -> impl Fn() -> Instant {
        move || start + std::time::Duration::from_micros(micros)
    }

    /// An outbound whose sender has been streaming for a while.
    fn streaming(limit: usize, start: Instant) -> Outbound {
        let outbound = Outbound::new(limit);
        for i in 0..20 {
            outbound.accept(b"", &mut message(0, 1), PACE, at(start, i * 5)).unwrap();
        }
        outbound.write_all(&kernel(1000), || None);
        outbound
    }

    #[test]
    fn a_lone_message_is_written_at_once() {
        let (outbound, kernel) = (Outbound::new(1000), kernel(1000));
        let accepted = outbound.accept(b"p", &mut message(7, 3), PACE, Instant::now).unwrap();
        assert_eq!(accepted, Accepted { can_accept_more: true, urgency: Urgency::Now });
        let written = outbound.write(&kernel, || None);
        assert_eq!(written, Written::default());
        assert_eq!(*kernel.taken.borrow(), b"p\x07\x07\x07");
        assert!(outbound.is_empty());
    }

    #[test]
    fn a_stream_is_gathered_until_there_is_enough() {
        let start = Instant::now();
        let (outbound, kernel) = (streaming(1 << 20, start), kernel(1 << 20));
        let accept = || outbound.accept(b"", &mut message(1, 1000), PACE, at(start, 101)).unwrap();
        assert_eq!(accept().urgency, Urgency::Later { first: true });
        let later = (0..).take_while(|_| accept().urgency != Urgency::Now).count();
        assert_eq!(later, 31);
        outbound.write(&kernel, || None);
        assert_eq!((kernel.calls.get(), kernel.taken.borrow().len()), (1, 33_000));
    }

    #[test]
    fn big_bodies_keep_their_place() {
        let start = Instant::now();
        let (outbound, kernel) = (streaming(1 << 20, start), kernel(1 << 20));
        for (byte, size) in [(1, 3), (2, 20_000), (3, 1), (4, 16_385)] {
            outbound.accept(&[byte], &mut message(byte, size), PACE, at(start, 101)).unwrap();
        }
        outbound.write_all(&kernel, || None);
        let sizes = [(1, 4), (2, 20_001), (3, 2), (4, 16_386)];
        let expected: Vec<u8> = sizes.iter().flat_map(|(byte, size)| vec![*byte; *size]).collect();
        assert_eq!(*kernel.taken.borrow(), expected);
    }

    #[test]
    fn two_messages_are_accepted_however_big() {
        let (outbound, kernel) = (Outbound::new(100), kernel(1000));
        let now = Instant::now;
        assert!(outbound.accept(b"", &mut message(1, 5000), PACE, now).unwrap().can_accept_more);
        let written = outbound.write(&kernel, || None);
        assert!(written.is_stuck && !written.became_ready);
        let second = outbound.accept(b"", &mut message(2, 5000), PACE, now).unwrap();
        assert_eq!(second, Accepted { can_accept_more: false, urgency: Urgency::Now });
        assert!(outbound.accept(b"", &mut message(3, 1), PACE, now).is_err());
        kernel.room.set(4500);
        assert!(!outbound.write_all(&kernel, || None).became_ready);
        kernel.room.set(100_000);
        assert!(outbound.write_all(&kernel, || None).became_ready);
        assert_eq!(kernel.taken.borrow().len(), 10_000);
        assert!(outbound.can_accept() && outbound.is_empty());
    }

    #[test]
    fn a_full_kernel_is_not_asked_for_each_message() {
        let (outbound, kernel) = (Outbound::new(10_000), kernel(0));
        let now = Instant::now;
        outbound.accept(b"", &mut message(1, 10), PACE, now).unwrap();
        outbound.write(&kernel, || None);
        let calls = kernel.calls.get();
        for _ in 0..50 {
            let accepted = outbound.accept(b"", &mut message(1, 10), PACE, now).unwrap();
            assert_eq!(accepted.urgency, Urgency::Covered);
        }
        assert_eq!(kernel.calls.get(), calls);
    }

    #[test]
    fn looks_tell_a_busy_sender_from_one_that_left() {
        let start = Instant::now();
        let outbound = streaming(1 << 20, start);
        outbound.look();
        assert_eq!(outbound.look(), Look::Empty);
        outbound.accept(b"", &mut message(1, 10), PACE, at(start, 101)).unwrap();
        assert_eq!(outbound.look(), Look::Fresh);
        assert_eq!(outbound.look(), Look::Left);
        outbound.write_all(&kernel(100), || None);
        assert_eq!(outbound.look(), Look::Empty);
    }

    /// Frames of at most 20 000 bytes, which begin with their number, and a mask.
    struct Frames(Cell<u8>, Option<Mask>);

    impl Envelope for Frames {
        fn frame_max(&self) -> usize {
            20_000
        }

        fn prefix(&self, size: usize, place: Place) -> crate::transports::stream::Prefix {
            let number = self.0.get();
            self.0.set(number + 1);
            let mut bytes = [0; PREFIX_MAX];
            bytes[..3].copy_from_slice(&[number, place.is_first.into(), place.is_last.into()]);
            bytes[3..7].copy_from_slice(&(size as u32).to_be_bytes());
            crate::transports::stream::Prefix::masked(bytes, 7, self.1)
        }
    }

    #[test]
    fn frames_are_cut_and_masked_wherever_the_kernel_stops() {
        let content: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        let mask = Mask([1, 2, 3, 200]);
        for (size, header_len) in
            [(0, 0), (3, 2), (16_385, 3), (20_000, 0), (20_000, 1), (300_000, 7), (3, 50_000)]
        {
            for mask in [None, Some(mask)] {
                let mut message = Message::from_body(Body::copy_from(&content[..size]).unwrap());
                message.header = crate::message::Header::copy_from(&content[..header_len]).unwrap();
                let payload = [&content[..header_len], &content[..size]].concat();
                let (outbound, kernel) = (Outbound::new(10), kernel(0));
                let frames = Frames(Cell::new(0), mask);
                outbound.accept(&frames, &mut message, PACE, Instant::now).unwrap();
                while !outbound.is_empty() {
                    kernel.room.set(7001);
                    outbound.write_all(&kernel, || None);
                }
                let mut expected = Vec::new();
                let pieces: Vec<_> = payload.chunks(20_000).collect();
                for (number, piece) in pieces.iter().enumerate() {
                    let is_last = number + 1 == pieces.len();
                    expected.extend([number as u8, u8::from(number == 0), u8::from(is_last)]);
                    expected.extend((piece.len() as u32).to_be_bytes());
                    let start = expected.len();
                    expected.extend_from_slice(piece);
                    mask.iter().for_each(|mask| mask.apply(&mut expected[start..]));
                }
                if payload.is_empty() {
                    expected = vec![0, 1, 1, 0, 0, 0, 0];
                }
                assert!(*kernel.taken.borrow() == expected, "{size} {header_len} {mask:?}");
            }
        }
    }

    #[test]
    fn an_interjection_waits_for_its_turn_and_replaces_the_last() {
        let (outbound, kernel) = (Outbound::new(10), kernel(3));
        outbound.accept(b"", &mut message(1, 5), PACE, Instant::now).unwrap();
        outbound.write(&kernel, || None);
        outbound.interject(b"one".to_vec());
        outbound.interject(b"other".to_vec());
        kernel.room.set(100);
        outbound.write(&kernel, || None);
        assert_eq!(*kernel.taken.borrow(), b"\x01\x01\x01\x01\x01other");
        assert!(outbound.is_empty());
    }

    #[test]
    fn a_last_frame_is_written_only_between_others() {
        for (room, expected) in [(5, &b"\x01\x01\x01\x01\x01bye"[..]), (4, b"\x01\x01\x01\x01")] {
            let (outbound, kernel) = (Outbound::new(10), kernel(room));
            outbound.accept(b"", &mut message(1, 5), PACE, Instant::now).unwrap();
            outbound.write(&kernel, || None);
            kernel.room.set(100);
            outbound.close_with(b"bye", &kernel);
            outbound.interject(b"more".to_vec());
            outbound.write_all(&kernel, || None);
            assert_eq!(*kernel.taken.borrow(), expected);
        }
    }

    #[test]
    fn a_broken_stream_accepts_nothing() {
        let (outbound, kernel) = (Outbound::new(100), kernel(0));
        kernel.is_broken.set(true);
        let now = Instant::now;
        outbound.accept(b"", &mut message(1, 10), PACE, now).unwrap();
        assert!(outbound.write(&kernel, || None).is_broken);
        assert!(outbound.accept(b"", &mut message(1, 10), PACE, now).is_err());
        assert!(!outbound.can_accept());
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::message::Body;
    use loom::sync::Arc;
    use loom::sync::Mutex as LoomMutex;
    use loom::thread;
    use std::io;

    /// A kernel that takes everything and checks that nobody writes beside the writer.
    #[derive(Default)]
    struct Kernel {
        taken: LoomMutex<Vec<u8>>,
    }

    impl Sink for Kernel {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let mut taken = self.taken.try_lock().expect("two threads write at once");
            parts.iter().for_each(|part| taken.extend_from_slice(part));
            thread::yield_now();
            Ok(parts.iter().map(|part| part.len()).sum())
        }
    }

    fn send(outbound: &Outbound, kernel: &Kernel, now: Instant, bytes: &[u8]) {
        for byte in bytes {
            let mut message = Message::from_body(Body::copy_from(&[*byte]).unwrap());
            let pace = Pace { more_to_come: false, after_pause: true, no_gathering: true };
            let accepted = outbound.accept(b"", &mut message, pace, || now).unwrap();
            assert_eq!(accepted.urgency, Urgency::Now);
            outbound.write(kernel, || None);
        }
    }

    /// Two threads send at once: when both have returned, everything is written, each thread's
    /// messages in order.
    #[test]
    fn model_nothing_is_left_behind_when_senders_return() {
        let now = Instant::now();
        loom::model(move || {
            let outbound = Arc::new(Outbound::new(1000));
            let kernel = Arc::new(Kernel::default());
            let other = {
                let (outbound, kernel) = (outbound.clone(), kernel.clone());
                thread::spawn(move || send(&outbound, &kernel, now, &[1, 2]))
            };
            send(&outbound, &kernel, now, &[11, 12]);
            other.join().unwrap();
            assert!(outbound.is_empty());
            let taken = kernel.taken.lock().unwrap();
            let of = |low: u8| taken.iter().copied().filter(move |byte| byte / 10 == low);
            assert_eq!(of(0).collect::<Vec<_>>(), [1, 2]);
            assert_eq!(of(1).collect::<Vec<_>>(), [11, 12]);
        });
    }
}
