//! Where messages begin and end among the bytes that a connection has accepted: known only where
//! messages are counted, or where the oldest of them are thrown away for newer ones. No I/O.

use std::collections::VecDeque;

use super::batch::{Batch, Segment};
use super::circumstances::{Circumstances, Gathering};
use super::codec::{Encoder, PREFIX_MAX};
use super::queue::{GATHERED_BODY_MAX, GATHERED_MAX, Position, Queue, Room, SEGMENTS_OF_FRAME};
use super::written::Written;
use crate::error::Refusal;
use crate::memory::{self, OutOfMemory};
use crate::message::{Limit, Message};
use crate::transports::pace::{Moment, Rhythm};
use crate::transports::{AfterSend, Bounds, Sent, WhenFull};

/// What is accepted and not with the kernel, piece by piece. Those that no writer has taken are the
/// last ones, and all of them are messages.
pub struct Muster {
    bounds: Bounds,
    pieces: VecDeque<Piece>,
    /// How many of them are messages.
    messages: usize,
    /// How much of the first one is with the kernel.
    written: usize,
    /// What comes before all of them.
    words: usize,
    /// Bytes of those that no writer has taken, if there are any.
    untaken: usize,
    /// Thrown away since somebody asked.
    displaced: usize,
    /// Thrown away in all.
    lost: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    size: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Message,
    Interjection,
}

impl Muster {
    /// `None` where bytes are counted and nothing is thrown away: then there is no need for it.
    #[must_use]
    pub fn of(bounds: Bounds) -> Option<Box<Muster>> {
        let is_needed =
            bounds.when_full == WhenFull::DropOldest || matches!(bounds.limit, Limit::Messages(_));
        let muster = || Muster {
            bounds,
            pieces: VecDeque::new(),
            messages: 0,
            written: 0,
            words: 0,
            untaken: 0,
            displaced: 0,
            lost: 0,
        };
        is_needed.then(|| Box::new(muster()))
    }

    /// Makes sure that a message and an interjection can be noted.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn reserve(&mut self) -> Result<(), OutOfMemory> {
        memory::reserve(&mut self.pieces, 2)
    }

    /// So many bytes come before everything else.
    pub fn note_words(&mut self, size: usize) {
        self.words += size;
    }

    /// A writer takes all there is, and this behind it. Memory for it has been reserved.
    pub fn note_interjection(&mut self, size: usize) {
        self.pieces.push_back(Piece { size, kind: Kind::Interjection });
    }

    fn note_message(&mut self, size: usize, position: Position) {
        if position == Position::First {
            self.untaken = 0;
        }
        self.pieces.push_back(Piece { size, kind: Kind::Message });
        self.messages += 1;
        self.untaken += size;
    }

    /// So many bytes are with the kernel now.
    pub fn advance(&mut self, mut count: usize) -> Room {
        let words = count.min(self.words);
        self.words -= words;
        count -= words;
        while let Some(piece) = self.pieces.front() {
            let rest = piece.size - self.written;
            if count < rest {
                self.written += count;
                break;
            }
            count -= rest;
            self.written = 0;
            self.messages -= usize::from(piece.kind == Kind::Message);
            self.pieces.pop_front();
        }
        self.room()
    }

    fn room(&self) -> Room {
        match (self.bounds.when_full, self.bounds.limit) {
            (WhenFull::Refuse, Limit::Messages(most)) if self.waiting() >= most.get() => Room::Full,
            _ => Room::Open,
        }
    }

    /// Messages of which the kernel has nothing.
    fn waiting(&self) -> usize {
        self.messages - usize::from(self.is_begun())
    }

    fn is_begun(&self) -> bool {
        self.written > 0 && self.pieces.front().is_some_and(|piece| piece.kind == Kind::Message)
    }

    /// How many messages were accepted and thrown away.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether so much waits that it is to be written rather than gathered.
    pub fn is_filling(&self) -> bool {
        match self.bounds.limit {
            Limit::Messages(most) => self.waiting() >= most.get() / 2,
            Limit::Bytes(most) => self.untaken >= most / 2,
        }
    }

    /// Whether the oldest of so many messages that no writer has taken is to go for the last one.
    fn has_excess(&self, untaken: usize) -> bool {
        let last = self.pieces.back().map_or(0, |piece| piece.size);
        self.bounds.when_full == WhenFull::DropOldest
            && untaken > 1
            && match self.bounds.limit {
                Limit::Messages(most) => untaken > most.get(),
                Limit::Bytes(most) => self.untaken - last >= most,
            }
    }

    /// Of the pieces that a writer has taken, how many stay with him, and how many bytes of those
    /// are not with the kernel. What is begun stays, as the first is where the stream is ahead, and
    /// what an interjection comes behind.
    fn kept(&self, taken: usize, is_ahead: bool) -> (usize, usize) {
        let is_interjection = |piece: &Piece| piece.kind == Kind::Interjection;
        let mut before = self.pieces.iter().take(taken);
        let begun = usize::from(self.written > 0 || is_ahead);
        let kept = before.rposition(is_interjection).map_or(begun, |at| at + 1);
        let size: usize = self.pieces.iter().take(kept).map(|piece| piece.size).sum();
        (kept, size - self.written)
    }
}

impl Queue {
    /// What [`Queue::accept`] does where there is a muster.
    #[cold]
    #[inline(never)]
    pub(super) fn accept_mustered(
        &mut self,
        encoder: &dyn Encoder,
        message: &mut Message,
        circumstances: Circumstances,
        rhythm: &Rhythm,
        clock: impl Fn() -> Moment,
    ) -> Result<Sent, Refusal> {
        let position = self.position();
        let appended = self.append_mustered(encoder, message, position);
        let Some(size) = appended else { return Err(self.refuse_for_memory()) };
        let has_excess = self.displace();
        let Some(muster) = &self.muster else { return Err(Refusal::Busy) };
        self.room = muster.room();
        // Nobody is told that there is no room, and nothing is thrown away, before the kernel was
        // asked for some.
        let gathering =
            if muster.is_filling() { Gathering::Never } else { circumstances.gathering };
        let circumstances = Circumstances { gathering, ..circumstances };
        self.driver.note_fresh();
        let then = self.next_step(size, position, circumstances, rhythm, clock);
        self.is_wanted |= then.is_delivery();
        // What is thrown away either waits for the kernel, or for the senders of others that are
        // about to write all of it.
        let then = if has_excess { AfterSend::Displaced } else { then };
        Ok(Sent { can_send_more: self.room == Room::Open, then })
    }

    fn append_mustered(
        &mut self,
        encoder: &dyn Encoder,
        message: &mut Message,
        position: Position,
    ) -> Option<usize> {
        memory::reserve(&mut self.segments, 1).ok()?;
        self.muster.as_mut()?.reserve().ok()?;
        let size = self.append(encoder, message)?;
        self.muster.as_mut()?.note_message(size, position);
        Some(size)
    }

    /// Has memory ready for what [`Queue::accept`] is about to append. What takes several frames,
    /// or is large and veiled, takes more.
    ///
    /// # Errors
    /// When nothing more is accepted.
    #[cold]
    pub fn prepare(&mut self, encoder: &dyn Encoder, message: &Message) -> Result<(), Refusal> {
        if self.room != Room::Open {
            return Err(Refusal::Busy);
        }
        self.reserve(encoder, message).map_err(|OutOfMemory| self.refuse_for_memory())
    }

    fn reserve(&mut self, encoder: &dyn Encoder, message: &Message) -> Result<(), OutOfMemory> {
        let frames = message.wire_len().div_ceil(encoder.frame_max()).max(1);
        memory::reserve(&mut self.segments, 1 + frames * SEGMENTS_OF_FRAME)?;
        if self.gathered.len() >= GATHERED_MAX {
            self.close_gathered();
        }
        let body = message.body.len();
        let copied = if body <= GATHERED_BODY_MAX { body } else { 0 };
        memory::reserve(&mut self.gathered, PREFIX_MAX + message.header.len() + copied)?;
        self.muster.as_mut().map_or(Ok(()), |muster| muster.reserve())
    }

    /// Without memory it is as if nothing more fitted, until something has been written.
    #[cold]
    pub(super) fn refuse_for_memory(&mut self) -> Refusal {
        if self.pending == 0 {
            return Refusal::NoMemory;
        }
        self.room = Room::Full;
        Refusal::BusyForMemory
    }

    pub(super) fn position(&self) -> Position {
        if self.untaken == 0 { Position::First } else { Position::Behind }
    }

    /// How many messages have been thrown away since this was last asked.
    pub fn take_displaced(&mut self) -> usize {
        self.muster.as_mut().map_or(0, |muster| std::mem::take(&mut muster.displaced))
    }

    /// Throws the oldest messages away that are too many, if there are any.
    fn displace(&mut self) -> bool {
        let mut has_excess = false;
        while let Some(muster) = &mut self.muster
            && muster.has_excess(self.untaken as usize)
        {
            let oldest = muster.pieces.len() - self.untaken as usize;
            let Some(piece) = muster.pieces.remove(oldest) else { break };
            muster.messages -= 1;
            muster.untaken -= piece.size;
            self.untaken -= 1;
            self.messages -= 1;
            self.pending -= piece.size;
            muster.displaced += 1;
            muster.lost += 1;
            self.drop_front(piece.size);
            has_excess = true;
        }
        has_excess
    }

    /// Forgets so many bytes of what no writer has taken. Bodies that lie apart end with their
    /// messages. There is room for another segment.
    fn drop_front(&mut self, mut size: usize) {
        if self.segments.is_empty() {
            self.close_gathered();
        }
        while let Some(first) = self.segments.pop_front() {
            if size < first.len() {
                self.segments.push_front(first.without(size));
                return;
            }
            size -= first.len();
            if size == 0 {
                return;
            }
            if self.segments.is_empty() {
                self.close_gathered();
            }
        }
    }

    /// Takes back what a writer has not begun because the kernel is full: from now on others may
    /// come in its place. Where there is no memory for that, nothing is changed.
    #[cold]
    pub(super) fn take_back(&mut self, batch: &mut Batch, written: &mut Written, is_ahead: bool) {
        let Some(muster) = &mut self.muster else { return };
        if self.room == Room::Closed {
            return;
        }
        if muster.bounds.when_full != WhenFull::DropOldest || muster.words > 0 || !written.is_stuck
        {
            return;
        }
        let taken = muster.pieces.len() - self.untaken as usize;
        let (kept, size) = muster.kept(taken, is_ahead);
        if kept < taken
            && memory::reserve(&mut self.segments, batch.segments.len() + 1).is_ok()
            && let Ok(mut rest) = batch.split_off(size)
        {
            while let Some(segment) = rest.pop_back() {
                self.segments.push_front(segment);
            }
            let sizes = muster.pieces.iter().take(taken).skip(kept).map(|piece| piece.size);
            let untaken = if self.untaken == 0 { 0 } else { muster.untaken };
            muster.untaken = untaken + sizes.sum::<usize>();
            let returned = (taken - kept) as u32;
            batch.messages -= returned;
            self.untaken += returned;
        }
        written.has_displaced |= self.displace();
    }
}

impl Segment {
    /// What is left without so many bytes at its front.
    pub fn without(self, count: usize) -> Segment {
        match self {
            Segment::Bytes(bytes) => Segment::Rest { bytes, start: count },
            Segment::Rest { bytes, start } => Segment::Rest { bytes, start: start + count },
            // Messages do not begin within a body.
            other @ (Segment::Veiled(_) | Segment::Body(_) | Segment::Part { .. }) => other,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::Body;
    use crate::transports::stream::byte_stream::Sink;
    use crate::transports::stream::codec::{PREFIX_MAX, Place, Prefix, Veil};
    use crate::transports::stream::writer::Writer;
    use proptest::prelude::*;
    use std::cell::{Cell, RefCell};
    use std::io::{self, IoSlice};
    use std::sync::Arc;

    /// A kernel with room for so many bytes.
    #[derive(Default)]
    struct Kernel {
        room: Cell<usize>,
        taken: RefCell<Vec<u8>>,
    }

    impl Sink for Kernel {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
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

    /// A size in front of each frame, of which large messages take several, and perhaps a veil.
    struct Sized {
        veil: Option<Veil>,
    }

    impl Encoder for Sized {
        fn frame_max(&self) -> usize {
            20_000
        }

        fn prefix(&self, _message: &Message, size: usize, _place: Place) -> Prefix {
            let mut bytes = [0; PREFIX_MAX];
            bytes[..4].copy_from_slice(&(size as u32).to_be_bytes());
            Prefix::veiled(bytes, 4, self.veil)
        }

        fn apply(&self, Veil([key, ..]): Veil, _at: usize, bytes: &mut [u8]) {
            bytes.iter_mut().for_each(|byte| *byte ^= key);
        }
    }

    impl Sized {
        /// What the wire shows of a message whose bytes are all the same.
        fn wire(&self, byte: u8, size: usize) -> Vec<u8> {
            let seen = byte ^ self.veil.map_or(0, |Veil([key, ..])| key);
            let (mut wire, mut left) = (Vec::new(), size);
            loop {
                let piece = left.min(20_000);
                wire.extend((piece as u32).to_be_bytes());
                wire.extend(std::iter::repeat_n(seen, piece));
                left -= piece;
                if left == 0 {
                    return wire;
                }
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Send(usize),
        /// The kernel has so much more room, of which a writer makes use.
        Room(usize),
        Interject,
    }

    fn step() -> impl Strategy<Value = Step> {
        let sizes = prop_oneof![0..40_usize, 1000..3000_usize, 15_000..70_000_usize];
        prop_oneof![
            6 => sizes.prop_map(Step::Send),
            2 => (0..50_000_usize).prop_map(Step::Room),
            1 => Just(Step::Interject),
        ]
    }

    /// What should wait, and how much of the first is written.
    #[derive(Default)]
    struct Expected {
        waiting: VecDeque<Vec<u8>>,
        written: usize,
        wire: Vec<u8>,
        displaced: usize,
    }

    impl Expected {
        fn send(&mut self, wire: Vec<u8>, most: usize) {
            self.waiting.push_back(wire);
            let begun = usize::from(self.written > 0);
            while self.waiting.len() - begun > most {
                self.waiting.remove(begun);
                self.displaced += 1;
            }
        }

        fn write(&mut self, mut room: usize) {
            while let Some(first) = self.waiting.front() {
                let count = room.min(first.len() - self.written);
                self.wire.extend_from_slice(&first[self.written..self.written + count]);
                self.written += count;
                room -= count;
                if self.written < first.len() {
                    return;
                }
                self.written = 0;
                self.waiting.pop_front();
            }
        }
    }

    fn message(byte: u8, size: usize) -> Message {
        Message::from_body(Body::copy_from(&vec![byte; size]).unwrap())
    }

    fn writer(bounds: Bounds, veil: Option<Veil>) -> Writer {
        Writer::new(Arc::new(Sized { veil }), bounds, Gathering::Allowed)
    }

    fn counted(most: usize, when_full: WhenFull) -> Bounds {
        Bounds { limit: Limit::of(most, 0), when_full }
    }

    thread_local! {
        static RHYTHM: Rhythm = const { Rhythm::undisturbed() };
    }

    fn displaced_by(writer: &Writer, written: Written) -> usize {
        if written.has_displaced { writer.take_displaced() } else { 0 }
    }

    /// Sends as callers do, and says how many were thrown away for it.
    fn send(
        writer: &Writer,
        kernel: &Kernel,
        message: &mut Message,
    ) -> Result<(Sent, usize), Refusal> {
        let sent = RHYTHM.with(|rhythm| writer.accept(message, rhythm, || Moment(1)))?;
        let displaced = match sent.then {
            AfterSend::Displaced => writer.take_displaced(),
            AfterSend::Deliver | AfterSend::DeliverAhead | AfterSend::DeliverAll => {
                displaced_by(writer, writer.write(kernel))
            }
            AfterSend::Nothing | AfterSend::WriteLater => 0,
            AfterSend::DeliverLent => panic!("nothing is lent"),
        };
        Ok((sent, displaced))
    }

    /// It says of the last byte that it has taken that it has not, as long as it is full.
    #[derive(Default)]
    struct Ahead {
        kernel: Kernel,
        is_ahead: Cell<bool>,
    }

    impl Sink for Ahead {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
            let before = usize::from(self.is_ahead.get());
            let count = self.kernel.write(&[IoSlice::new(&bytes[before..])])?;
            if before + count < bytes.len() {
                self.is_ahead.set(before + count > 0);
                return Ok((before + count).saturating_sub(1));
            }
            self.is_ahead.set(false);
            Ok(bytes.len())
        }

        fn is_ahead(&self) -> bool {
            self.is_ahead.get()
        }
    }

    #[test]
    fn a_message_of_which_the_stream_has_a_byte_already_is_not_thrown_away() {
        let (sink, writer) = (Ahead::default(), writer(counted(2, WhenFull::DropOldest), None));
        let accept = |byte| {
            let sent = RHYTHM.with(|rhythm| {
                writer.accept(&mut message(byte, 10), rhythm, || Moment(1)).unwrap().then
            });
            if sent == AfterSend::Displaced { writer.take_displaced() } else { 0 }
        };
        assert_eq!((accept(1), accept(2)), (0, 0));
        // All of the first one, and a byte of the second.
        sink.kernel.room.set(15);
        writer.write_all(&sink);
        assert!(sink.is_ahead());
        assert_eq!((accept(3), accept(4)), (0, 0));
        sink.kernel.room.set(1000);
        writer.write_all(&sink);
        let wire: Vec<u8> = (1..=4).flat_map(|byte| Sized { veil: None }.wire(byte, 10)).collect();
        assert_eq!(*sink.kernel.taken.borrow(), wire);
    }

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "too much to interpret")]
        fn the_newest_wait_and_all_are_whole(
            most in 1..6_usize,
            veil in prop_oneof![Just(None), Just(Some(Veil([77; 4])))],
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let (writer, kernel) = (
                writer(counted(most, WhenFull::DropOldest), veil),
                Kernel::default(),
            );
            let (mut expected, mut displaced) = (Expected::default(), 0);
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Send(size) => {
                        expected.send(Sized { veil }.wire(number as u8, size), most);
                        let (sent, count) =
                            send(&writer, &kernel, &mut message(number as u8, size)).unwrap();
                        prop_assert!(sent.can_send_more);
                        displaced += count;
                    }
                    Step::Room(room) => {
                        expected.write(room);
                        kernel.room.set(room);
                        displaced += displaced_by(&writer, writer.write_all(&kernel));
                        kernel.room.set(0);
                    }
                    Step::Interject => {}
                }
                prop_assert_eq!(&*kernel.taken.borrow(), &expected.wire);
            }
            expected.write(usize::MAX);
            kernel.room.set(usize::MAX);
            displaced += displaced_by(&writer, writer.write_all(&kernel));
            prop_assert!(writer.is_empty());
            prop_assert_eq!(&*kernel.taken.borrow(), &expected.wire);
            prop_assert_eq!(displaced, expected.displaced);
        }

        /// Where a frame of the connection's own lies between them, what is in front of it is not
        /// thrown away, and every message is still whole.
        #[test]
        #[cfg_attr(miri, ignore = "too much to interpret")]
        fn a_frame_of_the_connection_is_never_thrown_away(
            most in 1..4_usize,
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let (writer, kernel) = (
                writer(counted(most, WhenFull::DropOldest), None),
                Kernel::default(),
            );
            let (mut sent, mut displaced, mut has_frame) = (0, 0, false);
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Send(size) => {
                        // A frame that is full would be taken for one that goes on.
                        let size = size + usize::from(size > 0 && size % 20_000 == 0);
                        displaced +=
                            send(&writer, &kernel, &mut message(number as u8, size)).unwrap().1;
                        sent += 1;
                    }
                    Step::Room(room) => {
                        kernel.room.set(room);
                        displaced += displaced_by(&writer, writer.write_all(&kernel));
                        kernel.room.set(0);
                    }
                    Step::Interject => {
                        has_frame = true;
                        writer.interject(u32::MAX.to_be_bytes().to_vec());
                    }
                }
            }
            kernel.room.set(usize::MAX);
            displaced += displaced_by(&writer, writer.write_all(&kernel));
            prop_assert!(writer.is_empty());
            let (wire, mut at, mut frames, mut last) = (kernel.taken.borrow(), 0, 0, None);
            let (mut heard, mut continues) = (0, false);
            while at < wire.len() {
                let size = u32::from_be_bytes(*wire[at..].first_chunk().unwrap());
                at += 4;
                if size == u32::MAX {
                    frames += 1;
                    continue;
                }
                let payload = &wire[at..][..size as usize];
                at += payload.len();
                heard += usize::from(!continues);
                continues = size == 20_000;
                if let Some(first) = payload.first() {
                    prop_assert!(payload.iter().all(|byte| byte == first));
                    prop_assert!(last.is_none_or(|last| last <= *first));
                    last = Some(*first);
                }
            }
            prop_assert_eq!(heard + displaced, sent);
            prop_assert!(!has_frame || frames > 0);
        }
    }

    #[test]
    fn so_many_are_accepted_besides_one_that_is_begun() {
        for most in 1..5 {
            let (writer, kernel) =
                (writer(counted(most, WhenFull::Refuse), None), Kernel::default());
            let accepted = || {
                (0..).take_while(|_| send(&writer, &kernel, &mut message(1, 96)).is_ok()).count()
            };
            assert_eq!(accepted(), most);
            kernel.room.set(1);
            assert!(writer.write_all(&kernel).became_ready);
            assert_eq!(accepted(), 1);
            // The rest of the first, and a bit of the second.
            kernel.room.set(100);
            assert!(writer.write_all(&kernel).became_ready);
            assert_eq!(accepted(), 1);
            kernel.room.set(99);
            writer.write_all(&kernel);
            assert_eq!(accepted(), 0, "it ends with a message: nothing is begun");
            kernel.room.set(100_000);
            writer.write_all(&kernel);
            assert!(writer.is_empty());
            assert_eq!(kernel.taken.borrow().len(), (most + 2) * 100);
        }
    }

    #[test]
    fn nothing_is_refused_or_thrown_away_while_the_kernel_has_room() {
        for when_full in [WhenFull::Refuse, WhenFull::DropOldest] {
            for most in [1, 2, 3, 100] {
                let (writer, kernel) = (writer(counted(most, when_full), None), Kernel::default());
                kernel.room.set(usize::MAX);
                for byte in 0..250 {
                    let sent = RHYTHM.with(|rhythm| {
                        rhythm.end(Moment(1));
                        send(&writer, &kernel, &mut message(byte, 10))
                    });
                    assert_eq!(sent.unwrap().1, 0);
                }
            }
        }
    }

    #[test]
    fn bytes_are_counted_where_that_is_the_limit() {
        let bounds = Bounds { limit: 300.into(), when_full: WhenFull::DropOldest };
        let (writer, kernel) = (writer(bounds, None), Kernel::default());
        let displaced: usize =
            (0..10).map(|byte| send(&writer, &kernel, &mut message(byte, 96)).unwrap().1).sum();
        assert_eq!(displaced, 7);
        let (_, displaced) = send(&writer, &kernel, &mut message(10, 10_000)).unwrap();
        assert_eq!(displaced, 1, "what was there before it is below the limit");
        let (_, displaced) = send(&writer, &kernel, &mut message(11, 1)).unwrap();
        assert_eq!(displaced, 3, "and now it is not");
        let load = writer.load(0);
        assert_eq!((load.messages_sent, load.sending.messages), (12, 1), "all were accepted");
        kernel.room.set(100);
        writer.write_all(&kernel);
        assert_eq!(kernel.taken.borrow()[3..], [1, 11]);
    }

    #[test]
    fn what_is_lent_is_copied() {
        for when_full in [WhenFull::Refuse, WhenFull::DropOldest] {
            assert!(!writer(counted(9, when_full), None).takes_loans());
        }
        assert!(writer(1000.into(), None).takes_loans());
    }
}
