//! What a connection has accepted and its kernel has not, and who writes it.
//!
//! Accepting appends to the queue under a short lock and says whether the caller should write now.
//! Writing is done by one thread at a time, which holds the batch's lock during the system call
//! and takes everything that is queued. A thread that finds the batch busy leaves its bytes to
//! its holder, who lets go of it under the queue's lock and looks at the queue again, so nothing is
//! forgotten. `models` in this file's tests walks through every interleaving of that.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
#[cfg(not(loom))]
use std::time::Duration;

#[cfg(test)]
use super::batch::Segment;
use super::batch::{Batch, Done, Kept};
use super::byte_stream::Sink;
use super::circumstances::{Before, Circumstances, Gathering};
use super::codec::Encoder;
use super::driver::{Content, Look};
use super::queue::Queue;
use super::written::Written;
use crate::error::{Error, Refusal};
use crate::memory::OutOfMemory;
use crate::message::Message;
use crate::sync::{BiasedMutex, Mutex, Rank};
use crate::transports::pace::{Moment, Rhythm, Workload};
use crate::transports::{Bounds, Load, Sent};

pub struct Writer {
    encoder: Arc<dyn Encoder>,
    queue: BiasedMutex<Queue>,
    /// Held by the one who writes.
    batch: Mutex<Batch>,
    gathering: Gathering,
    hints: Hints,
}

/// What the application does beside sending, as the receiving side saw it last. Nothing depends on
/// these but when a message is written: relaxed, and without a lock.
#[derive(Default)]
struct Hints {
    /// It has received since it last sent.
    has_received: AtomicBool,
    /// Received messages wait for it, with which it will be busy.
    has_more: AtomicBool,
    /// And many of them.
    has_much: AtomicBool,
}

impl Writer {
    /// A writer that accepts what `bounds` say. Where those are bytes, it is a little more.
    #[must_use]
    pub fn new(
        encoder: Arc<dyn Encoder>,
        bounds: impl Into<Bounds>,
        gathering: Gathering,
    ) -> Writer {
        Writer {
            encoder,
            queue: BiasedMutex::biased(Rank::Outbound, Queue::new(bounds)),
            batch: Mutex::new(Rank::Writing, Batch::default()),
            gathering,
            hints: Hints::default(),
        }
    }

    /// What has been written may wait in the kernel while more seems to follow.
    #[must_use]
    pub fn waiting_in_kernel(self) -> Writer {
        if self.gathering != Gathering::Never {
            self.queue.lock().may_wait = true;
        }
        self
    }

    /// Takes `message`.
    ///
    /// # Errors
    /// When nothing more is accepted; the message is not touched.
    pub fn accept(
        &self,
        message: &mut Message,
        rhythm: &Rhythm,
        clock: impl Fn() -> Moment,
    ) -> Result<Sent, Refusal> {
        let circumstances = self.circumstances();
        self.queue.lock().accept(&*self.encoder, message, circumstances, rhythm, clock)
    }

    /// Has memory ready for `message`, unless somebody writes meanwhile.
    ///
    /// # Errors
    /// As for [`Writer::accept`].
    pub fn prepare(&self, message: &Message) -> Result<(), Refusal> {
        self.queue.lock().prepare(&*self.encoder, message)
    }

    /// The application has received something, and more has arrived or has not.
    pub fn note_received(&self, more: Option<Workload>) {
        self.hints.has_received.store(true, Relaxed);
        self.hints.has_more.store(more.is_some(), Relaxed);
        self.hints.has_much.store(more == Some(Workload::Much), Relaxed);
    }

    /// How many messages have been thrown away for newer ones since this was last asked.
    pub fn take_displaced(&self) -> usize {
        self.queue.lock().take_displaced()
    }

    pub fn can_accept(&self) -> bool {
        self.queue.lock().can_accept()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.lock().is_empty()
    }

    /// Whether everything is on its way to the peer.
    pub fn is_settled(&self) -> bool {
        self.queue.lock().is_settled()
    }

    /// The kernel takes no more for now.
    #[cold]
    #[inline(never)]
    pub fn note_standstill(&self, now_ms: impl FnOnce() -> u32) {
        self.queue.lock().note_standstill(now_ms);
    }

    /// What has passed here and what waits.
    pub fn load(&self, now_ms: u32) -> Load {
        self.queue.lock().load(now_ms)
    }

    /// Puts `words` in front of the first message.
    pub fn begin(&self, words: Vec<u8>) {
        self.queue.lock().begin(words);
    }

    /// Appends a whole frame of the connection's own, whatever the limit. Of several that nobody
    /// has written only the last is kept.
    pub fn interject(&self, frame: Vec<u8>) {
        self.queue.lock().interject(frame);
    }

    /// Appends a frame that the peer answers. False where it would not come to it soon, or there is
    /// no such frame: see [`Queue::ask`].
    pub fn ask(&self) -> bool {
        self.encoder.ping().is_some_and(|ping| self.queue.lock().ask(ping))
    }

    /// Whether the kernel does not take what is to be written: the peer does not read.
    pub fn is_stuck(&self) -> bool {
        self.queue.lock().is_stuck()
    }

    /// Accepts nothing any more and forgets what is queued.
    pub fn close(&self) {
        self.queue.lock().close();
    }

    /// The same, and `frame` is the last that is written, unless another one is only half written.
    /// Waits for whoever writes at this moment: the kernel does not keep him.
    pub fn close_with(&self, frame: &[u8], sink: &(impl Sink + ?Sized)) {
        self.close();
        let batch = self.batch.lock();
        if batch.segments.is_empty() {
            // A kernel that is full now would not let the peer read it in time anyway.
            let _ = sink.write(&[IoSlice::new(frame)]);
        }
    }

    /// Writes what somebody wants to have written, unless another thread is about to who need not
    /// be waited for.
    pub fn write(&self, sink: &(impl Sink + ?Sized)) -> Written {
        let mut written = Written::default();
        loop {
            let mut batch = match self.batch.try_lock() {
                Some(batch) => batch,
                None if self.queue.lock().is_writer_awaited() => self.batch.lock(),
                None => break,
            };
            let filled = self.queue.lock().fill(&mut batch);
            let done = match filled {
                Ok(()) => batch.write(sink, &*self.encoder),
                Err(OutOfMemory) => Done::failed(io::ErrorKind::OutOfMemory),
            };
            let mut queue = self.queue.lock();
            let mut turn = queue.note_written(done);
            if turn.is_stuck {
                drop(queue);
                let is_ahead = sink.is_ahead();
                queue = self.queue.lock();
                queue.take_back(&mut batch, &mut turn, is_ahead);
            }
            written.note(turn);
            // Under the queue's lock: who left his bytes to us before is seen now, and who comes
            // later finds the batch free.
            drop(batch);
            if !queue.wants_writer() {
                break;
            }
        }
        written
    }

    /// Whether a body that is lent is written from where it lies.
    pub fn takes_loans(&self) -> bool {
        self.encoder.is_plain() && self.queue.lock().takes_loans()
    }

    /// See [`Queue::begin_staying`].
    #[must_use]
    pub fn begin_staying(&self) -> Option<usize> {
        self.queue.lock().begin_staying()
    }

    /// A sender takes back the body that he has lent; what has not been written of it is copied.
    pub fn return_loan(&self, sink: &(impl Sink + ?Sized)) -> (Written, Result<(), Error>) {
        if let Some(result) = self.queue.lock().end_loan() {
            return (Written::default(), result);
        }
        // Whoever writes it at this moment is not kept by the kernel.
        let mut batch = self.batch.lock();
        let is_untaken = {
            let mut queue = self.queue.lock();
            let has_loan = queue.has_loan();
            if has_loan && queue.fill(&mut batch).is_err() || queue.has_loan() {
                queue.close();
                return (
                    Written { is_broken: true, ..Written::default() },
                    Err(Error::OutOfMemory),
                );
            }
            has_loan
        };
        // A big one takes its time, in which others may append to the queue.
        let kept = match batch.keep_lent(|bytes| sink.has_bytes(bytes)) {
            // Of its frame the first byte is on its way.
            Kept::NoneOf { why, .. } if sink.is_ahead() => Kept::Half(why),
            kept => kept,
        };
        let (mut written, result) = self.queue.lock().note_kept(kept);
        if is_untaken {
            let done = batch.write(sink, &*self.encoder);
            written.note(self.queue.lock().note_written(done));
        }
        drop(batch);
        // As in `write`.
        if self.queue.lock().wants_writer() {
            written.note(self.write(sink));
        }
        (written, result)
    }

    /// Forgets everything, above all what is lent.
    pub fn abandon(&self) {
        self.close();
        self.batch.lock().clear();
    }

    /// Writes everything, wanted or not.
    pub fn write_all(&self, sink: &(impl Sink + ?Sized)) -> Written {
        {
            let mut queue = self.queue.lock();
            if queue.is_settled() {
                // Who wrote it may have done so while somebody else was to write.
                return Written { must_tick: queue.must_tick(false), ..Written::default() };
            }
            queue.want_all();
        }
        self.write(sink)
    }

    /// Something was gathered. True when the reactor is to look often from now on.
    #[must_use]
    pub fn rely_on_ticks(&self) -> bool {
        self.queue.lock().driver.rely_on_ticks()
    }

    /// The reactor looks whether bytes lie untouched. What nothing gathers in is given back.
    #[must_use]
    pub fn look(&self) -> Look {
        let mut queue = self.queue.lock();
        let content = queue.content();
        let look = queue.driver.look(content);
        if look == Look::Done && content == Content::Nothing {
            queue.rest();
        } else if look == Look::AgainAtRest {
            queue.rest();
            drop(queue);
            if let Some(mut batch) = self.batch.try_lock() {
                batch.rest();
            }
            // Meanwhile somebody may have left his bytes to who has the batch.
            return if self.queue.lock().wants_writer() { Look::Write } else { look };
        }
        look
    }

    /// The reactor looks a second time, soon after the first.
    #[must_use]
    pub fn glance(&self) -> Look {
        let mut queue = self.queue.lock();
        let content = queue.content();
        queue.driver.glance(content)
    }

    /// The kernel took less than a look wanted to write. True when it is to say when it takes more.
    #[must_use]
    pub fn leave_to_kernel(&self) -> bool {
        self.queue.lock().driver.leave_to_kernel()
    }

    /// Whether the kernel is to say when it takes more.
    pub fn awaits_room(&self) -> bool {
        self.queue.lock().driver.awaits_room()
    }

    /// It has said so.
    pub fn note_room(&self) {
        self.queue.lock().driver.note_room();
    }

    /// A caller waits for room from now on.
    pub fn begin_driving(&self) {
        self.queue.lock().driver.begin_driving();
    }

    /// He waits no more, and writes before he does anything else.
    pub fn end_driving(&self) {
        self.queue.lock().driver.end_driving();
    }

    /// Whether nobody holds a lock of this for so long that he may be gone.
    #[cfg(not(loom))]
    pub fn is_within_reach(&self, patience: Duration) -> bool {
        let batch = self.batch.try_lock_for(patience);
        batch.is_some() && self.queue.try_lock_for(patience).is_some()
    }

    /// Two long runs of one length have passed here.
    #[cfg(test)]
    pub fn expect_a_long_run(&self) {
        let mut queue = self.queue.lock();
        (queue.may_wait, queue.runs) = (true, Some(super::runs::Runs::long()));
    }

    /// Whether these bytes, which somebody has lent, are still in use.
    #[cfg(test)]
    pub fn uses(&self, bytes: &[u8]) -> bool {
        let uses = |segment: &Segment| match segment {
            Segment::Body(body) => {
                body.is_lent() && bytes.as_ptr_range().contains(&body.as_slice().as_ptr())
            }
            _ => false,
        };
        let batch = self.batch.lock();
        batch.segments.iter().any(uses) || self.queue.lock().segments.iter().any(uses)
    }

    fn circumstances(&self) -> Circumstances {
        let before = if !self.hints.has_received.load(Relaxed) {
            Before::Sent
        } else {
            self.hints.has_received.store(false, Relaxed);
            match (self.hints.has_more.load(Relaxed), self.hints.has_much.load(Relaxed)) {
                (true, true) => Before::ReceivedSome(Workload::Much),
                (true, false) => Before::ReceivedSome(Workload::Little),
                (false, _) => Before::Received,
            }
        };
        Circumstances { before, gathering: self.gathering }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::Body;
    use crate::transports::AfterSend;
    use crate::transports::pace::STREAM;
    use crate::transports::stream::queue::SMALL_BUFFER;
    use crate::transports::stream::{PREFIX_MAX, Place, Prefix, Veil};
    use std::cell::{Cell, RefCell};
    use std::io;

    /// A kernel with room for so many bytes.
    #[derive(Default)]
    struct Kernel {
        room: Cell<usize>,
        taken: RefCell<Vec<u8>>,
        is_broken: Cell<bool>,
        calls: Cell<usize>,
        keeps: Cell<bool>,
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

        fn keep(&self) {
            self.keeps.set(true);
        }

        fn release(&self) {
            self.keeps.set(false);
        }
    }

    fn kernel(room: usize) -> Kernel {
        Kernel { room: Cell::new(room), ..Kernel::default() }
    }

    fn message(byte: u8, size: usize) -> Message {
        Message::from_body(Body::copy_from(&vec![byte; size]).unwrap())
    }

    /// A framing with the same few bytes in front of each message.
    struct Fixed(&'static [u8]);

    impl Encoder for Fixed {
        fn prefix(&self, _message: &Message, _size: usize, _place: Place) -> Prefix {
            let mut bytes = [0; PREFIX_MAX];
            bytes[..self.0.len()].copy_from_slice(self.0);
            Prefix::new(bytes, self.0.len())
        }
    }

    fn writer(limit: usize) -> Writer {
        Writer::new(Arc::new(Fixed(b"")), limit, Gathering::Allowed)
    }

    fn at(micros: u64) -> impl Fn() -> Moment {
        move || Moment(1_000_000 + micros * 1000)
    }

    fn accept(writer: &Writer, mut message: Message) -> Result<Sent, Refusal> {
        RHYTHM.with(|rhythm| writer.accept(&mut message, rhythm, at(66)))
    }

    // Each test has a thread of its own.
    thread_local! {
        static RHYTHM: Rhythm = const { Rhythm::undisturbed() };
    }

    fn accept_at(writer: &Writer, micros: u64) -> AfterSend {
        RHYTHM.with(|it| writer.accept(&mut message(1, 1), it, at(micros))).unwrap().then
    }

    /// A writer whose sender has been streaming for a while.
    fn streaming(limit: usize) -> Writer {
        let writer = writer(limit);
        (0..=u64::from(STREAM)).for_each(|i| _ = accept_at(&writer, i));
        writer.write_all(&kernel(1000));
        writer
    }

    #[test]
    fn a_lone_message_is_written_at_once() {
        let writer = Writer::new(Arc::new(Fixed(b"p")), 1000, Gathering::Allowed);
        let kernel = kernel(1000);
        let sent = accept(&writer, message(7, 3)).unwrap();
        assert_eq!(sent, Sent { can_send_more: true, then: AfterSend::Deliver });
        let written = writer.write(&kernel);
        assert_eq!(written, Written::default());
        assert_eq!(*kernel.taken.borrow(), b"p\x07\x07\x07");
        assert!(writer.is_empty());
    }

    #[test]
    fn in_runs_of_one_length_the_kernel_waits_for_the_last() {
        let (writer, kernel) = (writer(1 << 20).waiting_in_kernel(), kernel(1 << 20));
        let run = |start: u64, count: u64| -> Vec<bool> {
            let send = |at| {
                let then = accept_at(&writer, start + at);
                assert!(then.is_delivery());
                let must_tick = writer.write(&kernel).must_tick;
                // Whoever is first to wait tells the reactor, and is to end that himself.
                assert!(!must_tick || then == AfterSend::DeliverAhead);
                kernel.keeps.get()
            };
            (0..count).map(send).collect()
        };
        let keeps: Vec<bool> = (0..20).map(|at| at > 0 && at < 19).collect();
        assert_eq!([run(0, 20), run(1000, 20)], [vec![false; 20], vec![false; 20]]);
        assert_eq!([run(2000, 20), run(3000, 20)], [keeps.clone(), keeps]);
        assert_eq!(kernel.calls.get(), 80, "each is with the kernel when its sender returns");
        // One that ends before its time: before its sender blocks, or when the reactor looks.
        assert!(run(4000, 10)[9] && writer.is_empty() && !writer.is_settled());
        assert_eq!((writer.look(), writer.look()), (Look::Again, Look::Write));
        writer.write_all(&kernel);
        assert!(!kernel.keeps.get() && writer.is_settled() && kernel.calls.get() == 90);
    }

    #[test]
    fn nothing_waits_in_the_kernel_that_an_application_wants_to_go_at_once() {
        let writer = Writer::new(Arc::new(Fixed(b"")), 1 << 20, Gathering::Never);
        let (writer, kernel) = (writer.waiting_in_kernel(), kernel(1 << 20));
        for start in [0, 1000, 2000, 3000] {
            for at in 0..20 {
                accept_at(&writer, start + at);
                writer.write(&kernel);
                assert!(!kernel.keeps.get() && writer.is_settled());
            }
        }
    }

    #[test]
    fn what_a_full_kernel_has_taken_does_not_wait_there() {
        let (writer, kernel) = (writer(1 << 20), kernel(2));
        writer.expect_a_long_run();
        let stuck = [0, 1, 2].map(|at| {
            accept_at(&writer, at);
            (writer.write(&kernel).is_stuck, kernel.keeps.get())
        });
        assert_eq!(stuck, [(false, false), (false, true), (true, false)]);
    }

    #[test]
    fn a_stream_is_gathered_until_there_is_enough() {
        let (writer, kernel) = (streaming(1 << 20), kernel(1 << 20));
        let then = || accept(&writer, message(1, 2500)).unwrap().then;
        assert_eq!(then(), AfterSend::WriteLater);
        let later = (0..).take_while(|_| then() != AfterSend::Deliver).count();
        assert_eq!(later, 12);
        writer.write(&kernel);
        assert_eq!((kernel.calls.get(), kernel.taken.borrow().len()), (1, 35_000));
    }

    #[test]
    fn nothing_is_gathered_against_the_applications_will_or_after_it_has_received() {
        let writer = Writer::new(Arc::new(Fixed(b"")), 1 << 20, Gathering::Never);
        (0..100).for_each(|i| assert_eq!(accept_at(&writer, i), AfterSend::Deliver));
        let writer = self::streaming(1 << 20);
        writer.note_received(None);
        assert_eq!(accept(&writer, message(1, 1)).unwrap().then, AfterSend::Deliver);
        writer.write_all(&kernel(10));
        // Who has more to receive is busy with that before it can wait for an answer. Yet a few
        // answers are no stream.
        for i in 0..100 {
            writer.note_received(Some(Workload::Little));
            let then = accept_at(&writer, i * 1000);
            assert_eq!(then == AfterSend::Deliver, i < 63, "{i}");
            writer.write(&self::kernel(1000));
        }
        writer.write_all(&self::kernel(1000));
        writer.note_received(None);
        assert_eq!(accept(&writer, message(1, 1)).unwrap().then, AfterSend::Deliver);
    }

    #[test]
    fn big_bodies_keep_their_place() {
        let (writer, kernel) = (streaming(1 << 20), kernel(1 << 20));
        for (byte, size) in [(1, 3), (2, 20_000), (3, 1), (4, 16_385)] {
            accept(&writer, message(byte, size)).unwrap();
        }
        writer.write_all(&kernel);
        let sizes = [(1, 3), (2, 20_000), (3, 1), (4, 16_385)];
        let expected: Vec<u8> = sizes.iter().flat_map(|(byte, size)| vec![*byte; *size]).collect();
        assert_eq!(*kernel.taken.borrow(), expected);
    }

    #[test]
    fn two_messages_are_accepted_however_big() {
        let (writer, kernel) = (writer(100), kernel(1000));
        assert!(accept(&writer, message(1, 5000)).unwrap().can_send_more);
        let written = writer.write(&kernel);
        assert!(written.is_stuck && !written.became_ready);
        let second = accept(&writer, message(2, 5000)).unwrap();
        assert_eq!(second, Sent { can_send_more: false, then: AfterSend::Deliver });
        assert_eq!(accept(&writer, message(3, 1)), Err(Refusal::Busy));
        kernel.room.set(4500);
        assert!(!writer.write_all(&kernel).became_ready);
        kernel.room.set(100_000);
        assert!(writer.write_all(&kernel).became_ready);
        assert_eq!(kernel.taken.borrow().len(), 10_000);
        assert!(writer.can_accept() && writer.is_empty());
    }

    #[test]
    fn a_full_kernel_is_not_asked_for_each_message() {
        let (writer, kernel) = (writer(10_000), kernel(0));
        accept(&writer, message(1, 10)).unwrap();
        assert!(writer.write(&kernel).must_tick, "somebody has to look again");
        let calls = kernel.calls.get();
        for _ in 0..50 {
            assert_eq!(accept(&writer, message(1, 10)).unwrap().then, AfterSend::Nothing);
        }
        assert_eq!(kernel.calls.get(), calls);
    }

    #[test]
    fn looks_tell_a_busy_sender_from_one_that_left() {
        let writer = streaming(1 << 20);
        assert!(writer.rely_on_ticks());
        let _ = writer.look();
        assert_eq!(writer.look(), Look::AgainAtRest);
        accept(&writer, message(1, 10)).unwrap();
        assert_eq!(writer.look(), Look::Again);
        assert_eq!(writer.look(), Look::Write);
        writer.write_all(&kernel(100));
        assert_eq!(writer.look(), Look::AgainAtRest);
    }

    impl Writer {
        fn keeps_much(&self) -> bool {
            self.queue.lock().kept() > SMALL_BUFFER
        }
    }

    fn gather(writer: &Writer) {
        (0..100).for_each(|_| _ = accept(writer, message(1, 100)).unwrap());
    }

    /// Looks until there is nothing to look for.
    fn look_until_quiet(writer: &Writer) {
        let looks = std::iter::repeat_with(|| writer.look()).take_while(|look| *look != Look::Done);
        assert!(looks.take(10).all(|look| look == Look::Again || look == Look::AgainAtRest));
    }

    #[test]
    fn a_big_buffer_that_nobody_looks_at_any_more_has_somebody_look() {
        // Who has written it is the reactor, when the kernel has had room; or somebody before that;
        // or a caller who has waited for room, or somebody meanwhile.
        for (is_callers, is_early) in [(false, false), (false, true), (true, false), (true, true)] {
            let (writer, kernel) = (streaming(1 << 20), kernel(0));
            assert!(writer.rely_on_ticks());
            gather(&writer);
            writer.write_all(&kernel);
            assert!(writer.leave_to_kernel());
            if is_callers {
                writer.begin_driving();
            }
            kernel.room.set(usize::MAX);
            if is_early {
                assert!(!writer.write_all(&kernel).must_tick, "another one is to write");
            }
            if is_callers {
                writer.end_driving();
            } else {
                writer.note_room();
            }
            assert!(writer.write_all(&kernel).must_tick, "{is_callers} {is_early}");
            assert!(writer.keeps_much());
            look_until_quiet(&writer);
            assert!(!writer.keeps_much());
            accept(&writer, message(1, 100)).unwrap();
            assert!(!writer.write_all(&kernel).must_tick, "there is nothing to give back");
        }
    }

    #[test]
    fn a_big_buffer_of_one_who_sends_before_each_look_is_given_back_once() {
        let (writer, kernel) = (streaming(1 << 20), kernel(usize::MAX));
        gather(&writer);
        assert!(writer.write_all(&kernel).must_tick && writer.keeps_much());
        for _ in 0..20 {
            accept(&writer, message(1, 100)).unwrap();
            assert!(!writer.write_all(&kernel).must_tick);
            let _ = writer.look();
        }
        assert!(!writer.keeps_much());
    }

    #[test]
    fn a_kernel_that_stays_full_is_asked_to_say_when_it_is_not() {
        let (writer, kernel) = (writer(1000), kernel(0));
        accept(&writer, message(1, 10)).unwrap();
        assert!(writer.write(&kernel).must_tick);
        assert_eq!((writer.look(), writer.look()), (Look::Again, Look::Write));
        let written = writer.write_all(&kernel);
        assert!(written.is_stuck && !written.must_tick);
        assert!(writer.leave_to_kernel() && writer.awaits_room());
        kernel.room.set(100);
        writer.note_room();
        writer.write_all(&kernel);
        assert!(writer.is_empty() && !writer.awaits_room());
    }

    /// Frames of at most 20 000 bytes, which begin with their number, and a veil that depends on
    /// where a byte stands.
    #[derive(Clone, Copy)]
    struct Frames {
        veil: Option<Veil>,
    }

    impl Encoder for Frames {
        fn frame_max(&self) -> usize {
            20_000
        }

        fn prefix(&self, _message: &Message, size: usize, place: Place) -> Prefix {
            let mut bytes = [0; PREFIX_MAX];
            bytes[..2].copy_from_slice(&[place.is_first.into(), place.is_last.into()]);
            bytes[2..6].copy_from_slice(&(size as u32).to_be_bytes());
            Prefix::veiled(bytes, 6, self.veil)
        }

        fn apply(&self, Veil([start, step, ..]): Veil, at: usize, bytes: &mut [u8]) {
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte ^= start.wrapping_add(step.wrapping_mul((at + index) as u8));
            }
        }
    }

    #[test]
    fn frames_are_cut_and_veiled_wherever_the_kernel_stops() {
        let content: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        for (size, header_len) in
            [(0, 0), (3, 2), (16_385, 3), (20_000, 0), (20_000, 1), (300_000, 7), (3, 50_000)]
        {
            for veil in [None, Some(Veil([1, 3, 0, 0]))] {
                let frames = Frames { veil };
                let mut message = Message::from_body(Body::copy_from(&content[..size]).unwrap());
                message.header = crate::message::Header::copy_from(&content[..header_len]).unwrap();
                let payload = [&content[..header_len], &content[..size]].concat();
                let writer = Writer::new(Arc::new(frames), 10, Gathering::Allowed);
                let kernel = kernel(0);
                accept(&writer, message).unwrap();
                while !writer.is_empty() {
                    kernel.room.set(7001);
                    writer.write_all(&kernel);
                }
                let mut expected = Vec::new();
                let pieces: Vec<_> = payload.chunks(20_000).collect();
                for (number, piece) in pieces.iter().enumerate() {
                    let is_last = number + 1 == pieces.len();
                    expected.extend([u8::from(number == 0), u8::from(is_last)]);
                    expected.extend((piece.len() as u32).to_be_bytes());
                    let start = expected.len();
                    expected.extend_from_slice(piece);
                    veil.iter().for_each(|veil| frames.apply(*veil, 0, &mut expected[start..]));
                }
                if payload.is_empty() {
                    expected = vec![1, 1, 0, 0, 0, 0];
                }
                assert!(*kernel.taken.borrow() == expected, "{size} {header_len} {veil:?}");
            }
        }
    }

    #[test]
    fn an_interjection_waits_for_its_turn_and_replaces_the_last() {
        let (writer, kernel) = (writer(10), kernel(3));
        accept(&writer, message(1, 5)).unwrap();
        writer.write(&kernel);
        writer.interject(b"one".to_vec());
        writer.interject(b"other".to_vec());
        kernel.room.set(100);
        writer.write(&kernel);
        assert_eq!(*kernel.taken.borrow(), b"\x01\x01\x01\x01\x01other");
        assert!(writer.is_empty());
    }

    #[test]
    fn first_words_come_before_the_first_message() {
        let (writer, kernel) = (writer(10), kernel(100));
        accept(&writer, message(1, 2)).unwrap();
        writer.begin(b"words".to_vec());
        writer.write(&kernel);
        assert_eq!(*kernel.taken.borrow(), b"words\x01\x01");
    }

    #[test]
    fn a_last_frame_is_written_only_between_others() {
        for (room, expected) in [(5, &b"\x01\x01\x01\x01\x01bye"[..]), (4, b"\x01\x01\x01\x01")] {
            let (writer, kernel) = (writer(10), kernel(room));
            accept(&writer, message(1, 5)).unwrap();
            writer.write(&kernel);
            kernel.room.set(100);
            writer.close_with(b"bye", &kernel);
            writer.interject(b"more".to_vec());
            writer.write_all(&kernel);
            assert_eq!(*kernel.taken.borrow(), expected);
        }
    }

    #[test]
    fn a_broken_stream_accepts_nothing() {
        let (writer, kernel) = (writer(100), kernel(0));
        kernel.is_broken.set(true);
        accept(&writer, message(1, 10)).unwrap();
        assert!(writer.write(&kernel).is_broken);
        assert_eq!(accept(&writer, message(1, 10)), Err(Refusal::Busy));
        assert!(!writer.can_accept());
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::message::{Body, Lent};
    use crate::transports::AfterSend;
    use crate::transports::stream::codec::{PREFIX_MAX, Place, Prefix};
    use loom::sync::{Arc, Condvar, Mutex as LoomMutex};
    use loom::thread;
    use std::io;

    struct Bare;

    impl Encoder for Bare {
        fn prefix(&self, _message: &Message, _size: usize, _place: Place) -> Prefix {
            Prefix::new([0; PREFIX_MAX], 0)
        }
    }

    /// A writer, its reactor and its kernel.
    struct World {
        writer: Writer,
        kernel: LoomMutex<Kernel>,
        changed: Condvar,
        writing: LoomMutex<()>,
    }

    struct Kernel {
        room: usize,
        taken: Vec<u8>,
        /// What it takes waits for more.
        keeps: bool,
        /// The reactor is to look often.
        is_ticking: bool,
        /// The reactor is to hear when there is room.
        is_asked: bool,
        is_over: bool,
    }

    /// Checks that nobody writes beside the writer.
    impl Sink for World {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let _alone = self.writing.try_lock().expect("two threads write at once");
            let mut kernel = self.kernel.lock().unwrap();
            let mut count = 0;
            for part in parts {
                let taken = part.len().min(kernel.room);
                kernel.taken.extend_from_slice(&part[..taken]);
                kernel.room -= taken;
                count += taken;
            }
            Ok(count)
        }

        fn keep(&self) {
            self.kernel.lock().unwrap().keeps = true;
        }

        fn release(&self) {
            self.kernel.lock().unwrap().keeps = false;
        }
    }

    impl World {
        fn new(room: usize) -> Arc<World> {
            World::gathering(room, Gathering::Allowed)
        }

        fn gathering(room: usize, gathering: Gathering) -> Arc<World> {
            let kernel = Kernel {
                room,
                taken: Vec::new(),
                keeps: false,
                is_ticking: false,
                is_asked: false,
                is_over: false,
            };
            Arc::new(World {
                writer: Writer::new(std::sync::Arc::new(Bare), 1000, gathering),
                kernel: LoomMutex::new(kernel),
                changed: Condvar::new(),
                writing: LoomMutex::new(()),
            })
        }

        fn change(&self, change: impl FnOnce(&mut Kernel)) {
            change(&mut self.kernel.lock().unwrap());
            self.changed.notify_all();
        }

        fn after_write(&self, written: Written) -> Written {
            if written.must_tick {
                self.change(|kernel| kernel.is_ticking = true);
            }
            written
        }

        fn write_all(&self) -> Written {
            self.after_write(self.writer.write_all(self))
        }

        fn send(&self, byte: u8, rhythm: &Rhythm) {
            self.send_body(Body::copy_from(&[byte]).unwrap(), &[], rhythm);
        }

        fn send_body(&self, body: Body, lent: &'static [u8], rhythm: &Rhythm) {
            let mut message = Message::from_body(body);
            match self.writer.accept(&mut message, rhythm, || Moment(1)).unwrap().then {
                AfterSend::Nothing | AfterSend::Displaced => {}
                AfterSend::Deliver | AfterSend::DeliverAhead | AfterSend::DeliverAll => {
                    self.after_write(self.writer.write(self));
                }
                AfterSend::DeliverLent => {
                    self.after_write(self.writer.write(self));
                    let (written, result) = self.writer.return_loan(self);
                    self.after_write(written);
                    assert_eq!(result, Ok(()));
                    // From now on its memory is something else.
                    assert!(!self.writer.uses(lent));
                }
                AfterSend::WriteLater => {
                    if self.writer.rely_on_ticks() {
                        self.change(|kernel| kernel.is_ticking = true);
                    }
                }
            }
        }

        /// A caller waits until there is room, and writes.
        fn drive(&self) {
            self.writer.begin_driving();
            let mut kernel = self.kernel.lock().unwrap();
            while kernel.room == 0 {
                kernel = self.changed.wait(kernel).unwrap();
            }
            drop(kernel);
            self.writer.end_driving();
            self.write_all();
        }

        /// The reactor, until all is over and it has nothing to do.
        fn react(&self) {
            loop {
                let mut kernel = self.kernel.lock().unwrap();
                while !(kernel.is_over || kernel.is_ticking || kernel.is_asked && kernel.room > 0) {
                    kernel = self.changed.wait(kernel).unwrap();
                }
                if kernel.is_ticking {
                    kernel.is_ticking = false;
                    drop(kernel);
                    self.tick();
                } else if kernel.is_asked && kernel.room > 0 {
                    kernel.is_asked = false;
                    drop(kernel);
                    self.writer.note_room();
                    self.write_all();
                    self.ask();
                } else {
                    return;
                }
            }
        }

        fn tick(&self) {
            let mut looks = 0;
            loop {
                // A moment passes.
                thread::yield_now();
                looks += 1;
                let look = if looks == 2 { self.writer.glance() } else { self.writer.look() };
                match look {
                    Look::Again | Look::AgainAtRest => {}
                    Look::Done => return,
                    Look::Write if !self.write_all().is_stuck => {}
                    Look::Write => {
                        if self.writer.leave_to_kernel() {
                            self.ask();
                        }
                        return;
                    }
                }
            }
        }

        fn ask(&self) {
            let is_asked = self.writer.awaits_room();
            self.change(|kernel| kernel.is_asked = is_asked);
        }
    }

    /// Two threads send at once: when one has returned, all of his is written, his messages in
    /// order.
    #[test]
    fn model_nothing_is_left_behind_when_a_sender_returns() {
        let mut builder = loom::model::Builder::new();
        // Each may wait for the other: without a bound there are more ways than days.
        builder.preemption_bound = Some(2);
        builder.check(|| {
            let world = World::new(1000);
            let send = |world: &World, bytes: [u8; 2]| {
                for byte in bytes {
                    world.writer.note_received(None);
                    world.send(byte, &Rhythm::undisturbed());
                    assert!(world.kernel.lock().unwrap().taken.contains(&byte));
                }
            };
            let other = {
                let world = world.clone();
                thread::spawn(move || send(&world, [1, 2]))
            };
            send(&world, [11, 12]);
            other.join().unwrap();
            assert!(world.writer.is_empty());
            let taken = std::mem::take(&mut world.kernel.lock().unwrap().taken);
            let of = |low: u8| taken.iter().copied().filter(move |byte| byte / 10 == low);
            assert_eq!(of(0).collect::<Vec<_>>(), [1, 2]);
            assert_eq!(of(1).collect::<Vec<_>>(), [11, 12]);
        });
    }

    /// Two threads stream and wait for nobody: what one leaves to the other, that one writes.
    #[test]
    fn model_what_is_left_to_who_writes_is_written() {
        loom::model(|| {
            let world = World::gathering(1000, Gathering::Never);
            let other = {
                let world = world.clone();
                thread::spawn(move || world.send(1, &Rhythm::streaming(Moment(1))))
            };
            world.send(11, &Rhythm::streaming(Moment(1)));
            other.join().unwrap();
            assert!(world.writer.is_empty(), "nobody writes what was left");
            assert_eq!(world.kernel.lock().unwrap().taken.len(), 2);
        });
    }

    /// What two threads lend is given back to each, whoever writes it, and all of it is written.
    #[test]
    fn model_nothing_that_is_lent_is_used_behind_the_call() {
        const SIZE: usize = 17 * 1024;
        static BIG: [[u8; SIZE]; 2] = [[7; SIZE]; 2];
        for room in [SIZE / 2, 100 * SIZE] {
            let mut builder = loom::model::Builder::new();
            builder.preemption_bound = Some(3);
            builder.check(move || {
                let world = World::new(room);
                let lend = |world: &World, bytes: &'static [u8]| {
                    world.writer.note_received(None);
                    world.send_body(Body::lent(Lent::of(bytes)), bytes, &Rhythm::undisturbed());
                };
                let other = {
                    let world = world.clone();
                    thread::spawn(move || lend(&world, &BIG[0]))
                };
                lend(&world, &BIG[1]);
                other.join().unwrap();
                world.change(|kernel| kernel.room = 100 * SIZE);
                world.write_all();
                assert!(world.writer.is_empty());
                assert_eq!(world.kernel.lock().unwrap().taken, [7; 2 * SIZE]);
            });
        }
    }

    fn check(room: usize, sent: &'static [u8], act: fn(&World)) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(move || {
            let world = World::new(room);
            let reactor = {
                let world = world.clone();
                thread::spawn(move || world.react())
            };
            let actor = {
                let world = world.clone();
                thread::spawn(move || act(&world))
            };
            // The peer reads.
            world.change(|kernel| kernel.room += 100);
            actor.join().unwrap();
            world.change(|kernel| kernel.is_over = true);
            reactor.join().unwrap();
            assert!(world.writer.is_empty(), "nobody writes what was left");
            assert_eq!(world.kernel.lock().unwrap().taken, sent);
            assert!(!world.kernel.lock().unwrap().keeps, "it waits for what does not come");
        });
    }

    fn send_in_a_long_run(world: &World) {
        let rhythm = Rhythm::undisturbed();
        world.writer.expect_a_long_run();
        world.send(1, &rhythm);
        world.send(2, &rhythm);
        world.send(3, &rhythm);
    }

    #[test]
    fn model_what_waits_in_the_kernel_is_released_by_the_reactor() {
        check(100, &[1, 2, 3], send_in_a_long_run);
    }

    #[test]
    fn model_a_full_kernel_keeps_nothing_back() {
        check(2, &[1, 2, 3], send_in_a_long_run);
    }

    #[test]
    fn model_what_is_gathered_is_written_by_the_reactor() {
        check(100, &[1, 2, 3], |world| {
            let rhythm = Rhythm::streaming(Moment(1));
            world.send(1, &rhythm);
            world.send(2, &rhythm);
            world.send(3, &rhythm);
        });
    }

    #[test]
    fn model_what_a_full_kernel_refused_is_written_by_the_reactor() {
        check(1, &[1, 2], |world| {
            world.send(1, &Rhythm::undisturbed());
            world.send(2, &Rhythm::undisturbed());
        });
    }

    #[test]
    fn model_what_a_full_kernel_refused_is_written_when_a_caller_waits_for_room() {
        check(0, &[1, 2], |world| {
            world.send(1, &Rhythm::undisturbed());
            world.drive();
            world.send(2, &Rhythm::undisturbed());
        });
    }
}
