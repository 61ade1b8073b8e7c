//! What a connection has accepted and its kernel has not: the gatherer.
//!
//! Accepting appends to a queue under a short lock and says whether the caller should write now.
//! Writing is done by one thread at a time, which holds the writer's lock during the system call
//! and takes everything that is queued. A thread that finds the writer busy leaves its bytes to
//! it: the writer looks at the queue again after it has let go of its lock, so nothing is
//! forgotten. `models` in this file's tests walks through every interleaving of that.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Instant;

use super::envelope::Envelope;
use super::rhythm::Rhythm;
use crate::message::{Body, Message};
use crate::sync::Mutex;

/// Where bytes are written. It takes 0 bytes when it is full.
pub trait Sink {
    /// # Errors
    /// When the stream is broken.
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

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

#[derive(Default)]
struct Batch {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that are written.
    offset: usize,
    messages: usize,
    /// A buffer whose bytes are written.
    used: Vec<u8>,
}

enum Segment {
    Bytes(Vec<u8>),
    Body(Body),
}

/// Nothing more is accepted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

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
    ) -> Result<Accepted, Refused> {
        let mut queue = self.queue.lock();
        if queue.is_busy || queue.is_closed {
            return Err(Refused);
        }
        let is_first = queue.untaken == 0;
        let Some(size) = queue.append(envelope, message) else {
            // Without memory it is as if nothing more fitted, until something has been written.
            queue.is_busy = queue.pending > 0;
            return Err(Refused);
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

    /// Accepts nothing any more and forgets what is queued.
    pub fn close(&self) {
        let mut queue = self.queue.lock();
        queue.is_closed = true;
        queue.segments.clear();
        queue.gathered = Vec::new();
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
        let prefix = envelope.prefix(message.wire_len());
        let prefix = prefix.as_slice();
        let size = prefix.len() + message.wire_len();
        if self.gathered.len() >= GATHERED_MAX {
            self.close_gathered();
        }
        let is_gathered = message.body.len() <= GATHERED_BODY_MAX;
        let copied = if is_gathered { size } else { size - message.body.len() };
        self.gathered.try_reserve(copied).ok()?;
        self.gathered.extend_from_slice(prefix);
        self.gathered.extend_from_slice(message.header.as_slice());
        if is_gathered {
            self.gathered.extend_from_slice(message.body.as_slice());
        } else {
            self.close_gathered();
            self.segments.push_back(Segment::Body(std::mem::take(&mut message.body)));
        }
        self.pending += size;
        self.messages += 1;
        self.untaken += 1;
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
        let may_gather = (is_streaming || pace.more_to_come)
            && !pace.no_gathering
            && size <= GATHERED_BODY_MAX
            && self.pending < GATHERED_MAX;
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

/// One turn of writing, as the queue has to know it.
struct Done {
    result: io::Result<usize>,
    is_empty: bool,
    messages: usize,
    used: Vec<u8>,
}

impl Written {
    fn note(&mut self, turn: Written) {
        self.became_ready |= turn.became_ready;
        self.is_stuck = turn.is_stuck;
        self.is_broken |= turn.is_broken;
    }
}

impl Segment {
    fn as_slice(&self) -> &[u8] {
        match self {
            Segment::Bytes(bytes) => bytes,
            Segment::Body(body) => body.as_slice(),
        }
    }
}

impl Batch {
    fn write(&mut self, sink: &impl Sink) -> Done {
        let result = self.write_until_full(sink);
        let is_empty = self.segments.is_empty();
        Done {
            result,
            is_empty,
            messages: if is_empty { std::mem::take(&mut self.messages) } else { 0 },
            used: std::mem::take(&mut self.used),
        }
    }

    /// Writes until everything is written or the sink is full.
    fn write_until_full(&mut self, sink: &impl Sink) -> io::Result<usize> {
        let mut total = 0;
        while !self.segments.is_empty() {
            let mut parts = [IoSlice::new(&[]); PARTS_MAX];
            let mut offered = 0;
            let mut count = 0;
            for (part, segment) in parts.iter_mut().zip(&self.segments) {
                let skipped = if count == 0 { self.offset } else { 0 };
                let bytes = &segment.as_slice()[skipped..];
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

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.segments.front() {
            let rest = first.as_slice().len() - self.offset;
            if count < rest {
                self.offset += count;
                return;
            }
            count -= rest;
            self.offset = 0;
            if let Some(Segment::Bytes(mut buffer)) = self.segments.pop_front() {
                buffer.clear();
                self.used = buffer;
            }
        }
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
/// Parts of one system call.
const PARTS_MAX: usize = 16;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

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
    use loom::sync::Arc;
    use loom::sync::Mutex as LoomMutex;
    use loom::thread;

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
