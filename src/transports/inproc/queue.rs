//! One direction of an inproc link: a bounded queue from one socket to another.
//!
//! The producer's end and the consumer's end have a lock each, so that the two sides seldom
//! touch the same memory: the consumer takes all that has been pushed at once and then serves
//! itself. What it has popped it publishes in counters of its own, which the producer reads only
//! when the queue seems full.
//!
//! The bound is that of the reference, to the byte: a message is queued when the queue is empty
//! or `queued bytes + its bytes < limit`; one more, of any size, waits with the producer, who
//! then cannot send. It moves up as soon as it fits. Where messages are counted, that one is the
//! last of them.

use std::collections::VecDeque;

use super::outcome::{DISPLACED, NOTHING, Popped, Pushed};
use crate::error::Refusal;
use crate::memory;
use crate::message::{Limit, Message, OutOfMemory, PACKED_MAX, PACKED_MIN};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, Rank, prefetch};
use crate::transports::{AfterSend, Backup, Bounds, Stamp, WhenFull};

pub struct Queue {
    pub(super) back: OwnLines<Mutex<Back>>,
    pub(super) front: OwnLines<Front>,
}

/// What one side writes for each message must not share a cache line with what the other side
/// uses for each message.
#[repr(align(128))]
pub(super) struct OwnLines<T>(pub(super) T);

pub(super) struct Front {
    pub(super) consumer: Mutex<Consumer>,
    pub(super) popped_bytes: AtomicU64,
    popped_count: AtomicU64,
}

#[derive(Default)]
pub(super) struct Consumer {
    messages: Batch,
    /// A message waits with the producer.
    pub(super) is_blocked: bool,
    /// So many times nobody sleeps patiently, because that has been of no use lately.
    pub(super) strict_for: u8,
    /// The producer is not told of room before so many bytes have been popped in all.
    pub(super) tell_at: u64,
}

pub(super) struct Back {
    messages: Batch,
    /// In bytes; 0 where messages are counted.
    pub(super) limit: u64,
    /// In messages; 0 where bytes are counted.
    pub(super) places: u64,
    when_full: WhenFull,
    /// Queued in all; the waiting message is not.
    pub(super) pushed_bytes: u64,
    pushed_count: u64,
    /// What the producer knows of the consumer's counters.
    seen_bytes: u64,
    seen_count: u64,
    /// The size of the last message, while it waits.
    pub(super) waiting: Option<u64>,
    /// The most messages and bytes that there were when somebody looked, or nothing more fitted.
    most: (u64, u64),
    oldest: Stamp,
    /// Thrown away for newer ones since somebody asked.
    displaced: usize,
    /// Thrown away in all: messages and bytes that were popped, but not received.
    lost: (u64, u64),
    /// The consumer found nothing when it last looked.
    is_consumer_idle: bool,
    pub(super) is_open: bool,
}

/// Messages in their order. It is filled, then emptied, then filled again: the memory stays.
#[derive(Default)]
struct Batch {
    /// What is small lies here, one behind the other, so that few cache lines go from processor to
    /// processor. In the place of what is large stands a mark.
    packed: Vec<u8>,
    /// The messages are those from here...
    start: usize,
    /// ...to here.
    end: usize,
    /// What is large, in its order.
    large: VecDeque<Message>,
}

impl Queue {
    /// A queue that takes nothing until it is opened.
    #[must_use]
    pub fn new(bounds: impl Into<Bounds>) -> Queue {
        let bounds = bounds.into();
        let (limit, places) = match (bounds.limit, bounds.when_full) {
            (Limit::Bytes(limit), _) => (limit as u64, 0),
            (Limit::Messages(most), WhenFull::Refuse) => (0, most.get() as u64),
            // None of them has to wait with the producer.
            (Limit::Messages(most), WhenFull::DropOldest) => (0, most.get() as u64 + 1),
        };
        let back = Back {
            messages: Batch::default(),
            limit,
            places,
            when_full: bounds.when_full,
            pushed_bytes: 0,
            // Where messages are counted, one more than there are: an empty queue is no exception
            // then.
            pushed_count: places.min(1),
            seen_bytes: 0,
            seen_count: 0,
            waiting: None,
            most: (0, 0),
            oldest: Stamp::default(),
            displaced: 0,
            lost: (0, 0),
            is_consumer_idle: true,
            is_open: false,
        };
        let front = Front {
            consumer: Mutex::new(Rank::Front, Consumer::default()),
            popped_bytes: AtomicU64::new(0),
            popped_count: AtomicU64::new(0),
        };
        Queue { back: OwnLines(Mutex::new(Rank::Back, back)), front: OwnLines(front) }
    }

    pub fn open(&self) {
        self.back.0.lock().is_open = true;
    }

    /// Takes no more; what it holds can still be popped.
    pub fn close(&self) {
        self.back.0.lock().is_open = false;
    }

    /// Forgets what it holds.
    pub fn clear(&self) {
        let dropped = {
            let mut consumer = self.front.0.consumer.lock();
            let mut back = self.back.0.lock();
            (std::mem::take(&mut consumer.messages), std::mem::take(&mut back.messages))
        };
        drop(dropped);
    }

    /// Takes `message`, all but its control data, which concern nobody else.
    ///
    /// # Errors
    /// `Busy` when the queue is full or closed; the message is not touched.
    #[inline]
    pub fn push(&self, message: &mut Message) -> Result<Pushed, Refusal> {
        {
            let mut back = self.back.0.lock();
            self.admit(&mut back, message)?;
            let size = size(message);
            if back.fits(size) || self.has_place_now(&mut back, size) {
                back.count(size);
                return Ok(back.take_in(message));
            }
        }
        self.push_last(message)
    }

    /// The same for a message that seems not to fit. The consumer stands still meanwhile: either we
    /// see what it has popped, or it will see that somebody waits.
    #[inline(never)]
    fn push_last(&self, message: &mut Message) -> Result<Pushed, Refusal> {
        // Where so few messages fit, or old ones are thrown away, that this is done for each, he
        // comes as often.
        let mut consumer = self.front.0.consumer.lock_promptly();
        let mut back = self.back.0.lock();
        self.admit(&mut back, message)?;
        self.look_at_consumer(&mut back);
        let size = size(message);
        let displaced = if back.when_full == WhenFull::DropOldest {
            self.make_room(&mut consumer, &mut back, size)
        } else {
            0
        };
        back.displaced += displaced;
        // Without memory it is lost, too, and takes no room.
        if displaced > 0 && back.messages.reserve(message).is_err() {
            back.displaced += 1;
            *message = Message::default();
            return Ok(DISPLACED);
        }
        if back.has_place(size) {
            back.count(size);
        } else {
            back.waiting = Some(size);
            consumer.is_blocked = true;
            back.note_most();
        }
        let pushed = back.take_in(message);
        // The consumer has had something to receive, so that he has been told.
        Ok(if displaced == 0 { pushed } else { DISPLACED })
    }

    /// Throws the oldest messages away until one of that size fits, and says how many.
    #[inline(never)]
    fn make_room(&self, consumer: &mut Consumer, back: &mut Back, size: u64) -> usize {
        let (mut count, mut oldest) = (0, Message::default());
        while !back.has_place(size) {
            if consumer.messages.is_empty() {
                std::mem::swap(&mut consumer.messages, &mut back.messages);
                back.messages.start_again();
            }
            consumer.messages.pop(&mut oldest);
            let size = self::size(&oldest);
            back.lost = (back.lost.0 + 1, back.lost.1 + size);
            self.count_popped(size);
            self.look_at_consumer(back);
            count += 1;
        }
        count
    }

    /// Whether another message may be taken in, be there room for it or not.
    #[inline]
    fn admit(&self, back: &mut Back, message: &Message) -> Result<(), Refusal> {
        if !back.is_open || !self.has_room(back) {
            return Err(Refusal::Busy);
        }
        Ok(back.messages.reserve(message)?)
    }

    /// Has a place ready for `message`, unless the consumer takes it along with others.
    ///
    /// # Errors
    /// As for [`Queue::push`], or when memory cannot be had.
    pub fn prepare(&self, message: &Message) -> Result<(), Refusal> {
        self.admit(&mut self.back.0.lock(), message)
    }

    pub fn take_displaced(&self) -> usize {
        std::mem::take(&mut self.back.0.lock().displaced)
    }

    /// Puts the oldest message into `message`.
    #[inline]
    pub fn pop(&self, message: &mut Message) -> Popped {
        let mut consumer = self.front.0.consumer.lock();
        if consumer.messages.is_empty() && !self.fetch(&mut consumer.messages) {
            return NOTHING;
        }
        consumer.messages.pop(message);
        let popped = self.count_popped(size(message));
        let tell_producer =
            consumer.is_blocked && popped >= consumer.tell_at && self.unblock(&mut consumer);
        Popped { has_message: true, has_more: !consumer.messages.is_empty(), tell_producer }
    }

    /// The counters change under the lock of the front only. Returns the bytes.
    #[inline]
    fn count_popped(&self, size: u64) -> u64 {
        let bytes = self.front.0.popped_bytes.load(Ordering::Relaxed) + size;
        let count = self.front.0.popped_count.load(Ordering::Relaxed) + 1;
        self.front.0.popped_bytes.store(bytes, Ordering::Relaxed);
        // Release: pairs with the acquire in `look_at_consumer`; whoever sees the count sees the
        // bytes.
        self.front.0.popped_count.store(count, Ordering::Release);
        bytes
    }

    /// Takes all that has been pushed. False when that is nothing: then the next push says so.
    fn fetch(&self, messages: &mut Batch) -> bool {
        let mut back = self.back.0.lock();
        if back.messages.is_empty() {
            back.is_consumer_idle = true;
            return false;
        }
        std::mem::swap(messages, &mut back.messages);
        back.messages.start_again();
        true
    }

    /// Whether there is something to pop. If not, the next push says so.
    pub fn is_readable(&self) -> bool {
        if !self.front.0.consumer.lock().messages.is_empty() {
            return true;
        }
        let mut back = self.back.0.lock();
        back.is_consumer_idle = back.messages.is_empty();
        !back.is_consumer_idle
    }

    /// Bytes that have been taken in and not popped.
    pub fn held(&self) -> usize {
        let back = self.back.0.lock();
        let popped = self.front.0.popped_bytes.load(Ordering::Relaxed);
        let pushed = back.pushed_bytes + back.waiting.unwrap_or_default();
        pushed.saturating_sub(popped) as usize
    }

    /// What has been pushed, which is messages and their bytes; an empty one counts as one byte.
    pub fn pushed(&self) -> (u64, u64) {
        self.back.0.lock().all()
    }

    /// What has been popped by who receives, likewise, and what waits.
    pub fn popped(&self, now_ms: impl FnOnce() -> u32) -> ((u64, u64), Backup) {
        let mut back = self.back.0.lock();
        self.look_at_consumer(&mut back);
        let popped = (back.seen_count, back.seen_bytes);
        back.note_most();
        let (messages, bytes) = back.held();
        let oldest_ms = if messages > 0 { back.oldest.age(popped.0, now_ms()) } else { 0 };
        let (messages_most, bytes_most) = (back.most.0 as usize, back.most.1 as usize);
        let (messages, bytes) = (messages as usize, bytes as usize);
        let received = (popped.0 - back.lost.0, popped.1.saturating_sub(back.lost.1));
        (received, Backup { messages, bytes, messages_most, bytes_most, oldest_ms })
    }

    pub fn can_push(&self) -> bool {
        let mut back = self.back.0.lock();
        back.is_open && self.has_room(&mut back)
    }

    /// Lets the waiting message move up if it fits. True when none waits (any more).
    #[inline]
    fn has_room(&self, back: &mut Back) -> bool {
        let Some(size) = back.waiting else { return true };
        if !self.has_place_now(back, size) {
            return false;
        }
        back.count(size);
        back.waiting = None;
        true
    }

    /// Only the consumer takes the mark away, who then tells: a sender that finds room by itself
    /// may not be the one that sleeps.
    #[inline(never)]
    pub(super) fn unblock(&self, consumer: &mut Consumer) -> bool {
        let mut back = self.back.0.lock();
        let has_room = self.has_room(&mut back);
        consumer.is_blocked &= !has_room;
        has_room
    }

    #[inline]
    fn has_place_now(&self, back: &mut Back, size: u64) -> bool {
        self.look_at_consumer(back);
        back.has_place(size)
    }

    fn look_at_consumer(&self, back: &mut Back) {
        // Acquire: pairs with the release in `pop`.
        back.seen_count = self.front.0.popped_count.load(Ordering::Acquire);
        back.seen_bytes = self.front.0.popped_bytes.load(Ordering::Relaxed);
    }
}

impl Batch {
    #[inline]
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Makes sure of a place for that message.
    #[inline]
    fn reserve(&mut self, message: &Message) -> Result<(), OutOfMemory> {
        if !message.is_small() {
            memory::reserve(&mut self.large, 1)?;
        }
        if self.end + PACKED_MAX <= self.packed.len() { Ok(()) } else { self.grow() }
    }

    #[inline(never)]
    fn grow(&mut self) -> Result<(), OutOfMemory> {
        memory::reserve(&mut self.packed, PACKED_MAX)?;
        self.packed.resize(self.packed.capacity(), 0);
        Ok(())
    }

    /// There is a place for it.
    #[allow(clippy::inline_always, reason = "a call would cost as much as it does")]
    #[inline(always)]
    fn push(&mut self, message: &mut Message) {
        bring_near(&self.packed, self.end);
        let room = self.packed[self.end..].first_chunk_mut().expect("a place was reserved");
        self.end += match message.pack(room) {
            Some(size) => size,
            None => push_large(&mut self.large, message),
        };
    }

    /// There is one to pop.
    #[allow(clippy::inline_always, reason = "it is on the way of every message")]
    #[inline(always)]
    fn pop(&mut self, message: &mut Message) {
        bring_near(&self.packed, self.start);
        let packed: &mut [u8; PACKED_MAX] =
            self.packed[self.start..].first_chunk_mut().expect("there is more room than messages");
        message.ancillary = None;
        let size = match message.unpack(packed) {
            Some(size) => size,
            None => pop_large(&mut self.large, message),
        };
        // The memory is to be this processor's alone. Of lines that two have a copy of, the
        // producer's would not be brought near by a hint, and he would wait with each message until
        // the other copy is gone.
        packed[0] = 0;
        self.start += size;
    }

    /// For the next ones, when there are none any more.
    fn start_again(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

impl Back {
    /// All that was ever taken in: messages and bytes.
    fn all(&self) -> (u64, u64) {
        let waiting = self.waiting.map_or((0, 0), |size| (1, size));
        let pushed = self.pushed_count - self.places.min(1);
        (pushed + waiting.0, self.pushed_bytes + waiting.1)
    }

    /// What of that has not been popped, as far as the producer knows.
    fn held(&self) -> (u64, u64) {
        let (count, bytes) = self.all();
        // The bytes may be newer than the count.
        (count - self.seen_count, bytes.saturating_sub(self.seen_bytes))
    }

    fn note_most(&mut self) {
        let (count, bytes) = self.held();
        self.most = (self.most.0.max(count), self.most.1.max(bytes));
    }

    fn fits(&self, size: u64) -> bool {
        // The bytes may be newer than the count, never the other way round.
        let queued = self.pushed_bytes.saturating_sub(self.seen_bytes);
        self.pushed_count == self.seen_count || queued + size < self.limit
    }

    /// The same where messages may be counted. The last place is for the one that waits with the
    /// producer.
    #[inline(never)]
    fn has_place(&self, size: u64) -> bool {
        self.fits(size) || self.pushed_count.wrapping_sub(self.seen_count) < self.places
    }

    fn count(&mut self, size: u64) {
        self.pushed_bytes += size;
        self.pushed_count += 1;
    }

    #[inline]
    fn take_in(&mut self, message: &mut Message) -> Pushed {
        self.messages.push(message);
        let was_idle = std::mem::take(&mut self.is_consumer_idle);
        let then = if was_idle { AfterSend::Deliver } else { AfterSend::Nothing };
        Pushed { can_push_more: self.waiting.is_none(), then }
    }
}

/// There is a place for it.
#[inline(never)]
fn push_large(large: &mut VecDeque<Message>, message: &mut Message) -> usize {
    let header = std::mem::take(&mut message.header);
    let body = std::mem::take(&mut message.body);
    large.push_back(Message { header, body, ..Message::default() });
    PACKED_MIN
}

#[inline(never)]
fn pop_large(large: &mut VecDeque<Message>, message: &mut Message) -> usize {
    *message = large.pop_front().unwrap_or_default();
    PACKED_MIN
}

/// Has memory brought near that will be used soon.
#[inline]
fn bring_near(packed: &[u8], end: usize) {
    let ahead = packed.get(end + AHEAD..).and_then(|ahead| ahead.first_chunk::<LINES>());
    ahead.map(prefetch);
}

/// So much further on memory is brought near, which takes as long as some messages...
const AHEAD: usize = 384;
/// ...and so much for each of them.
const LINES: usize = 128;

/// An empty message counts too, else any number of them would fit.
#[inline]
fn size(message: &Message) -> u64 {
    message.wire_len().max(1) as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::patience::STRICT_FOR;
    use super::*;
    use crate::memory::without_memory;
    use crate::message::{Body, Chunk, Header};
    use crate::transports::RoomWanted;

    fn message(size: usize) -> Message {
        Message::from_body(Body::copy_from(&vec![7; size]).unwrap())
    }

    fn open_queue(limit: usize) -> Queue {
        let queue = Queue::new(limit);
        queue.open();
        queue
    }

    /// The size of the popped message, and whether the producer has to be told.
    fn pop(queue: &Queue) -> Option<(usize, bool)> {
        let mut message = Message::default();
        let popped = queue.pop(&mut message);
        popped.has_message.then(|| (message.body.len(), popped.tell_producer))
    }

    fn accepted(limit: usize, size: usize) -> usize {
        let queue = open_queue(limit);
        (0..).take_while(|_| queue.push(&mut message(size)).is_ok()).count()
    }

    #[test]
    fn accepts_as_many_as_the_reference() {
        let sizes = [1, 16, 100, 1000, 65_535, 65_536, 1_000_000];
        let counts = [131_072, 8192, 1311, 132, 3, 2, 2];
        assert_eq!(sizes.map(|size| accepted(131_072, size)), counts);
        assert_eq!([1, 9, 10, 11, 50].map(|size| accepted(1000, size)), [1000, 112, 100, 91, 20]);
        assert_eq!([9, 10, 11, 50].map(|size| accepted(100, size)), [12, 10, 10, 2]);
        assert_eq!(accepted(1, 5), 2);
    }

    #[test]
    fn who_sleeps_patiently_is_told_when_half_is_free_or_finds_what_room_there_is() {
        let queue = open_queue(100);
        let fill = || while queue.push(&mut message(10)).is_ok() {};
        let told = || std::iter::from_fn(|| pop(&queue)).take_while(|(_, told)| !told).count();
        fill();
        assert_eq!(told(), 0, "whoever is not patient is told of any room");
        fill();
        assert!(queue.begin_patience(RoomWanted::Half));
        // 90 bytes are there, and one more message: 50 are left when he is told.
        assert_eq!(told(), 3);
        assert!(!queue.end_patience(), "he has been told");
        fill();
        assert!(queue.begin_patience(RoomWanted::Half));
        assert_eq!(pop(&queue), Some((10, false)));
        assert!(queue.end_patience() && queue.can_push());
        assert!(!queue.begin_patience(RoomWanted::Half), "there is room");
        fill();
        assert!(queue.begin_patience(RoomWanted::Half));
        assert!(!queue.end_patience());
        for _ in 0..STRICT_FOR {
            assert!(!queue.begin_patience(RoomWanted::Half), "nobody has popped anything lately");
            assert_eq!(told(), 0);
            fill();
        }
        assert!(queue.begin_patience(RoomWanted::Half));
        queue.close();
        assert!(!queue.begin_patience(RoomWanted::Half));
    }

    #[test]
    fn who_takes_turns_on_one_processor_is_told_when_all_is_free() {
        let queue = open_queue(100);
        while queue.push(&mut message(10)).is_ok() {}
        assert!(queue.begin_patience(RoomWanted::All));
        for left in (0..9).rev() {
            assert_eq!(pop(&queue), Some((10, left == 0)));
        }
    }

    #[test]
    fn for_messages_that_fit_one_by_one_nobody_sleeps_patiently() {
        for (size, is_patient) in [(10, true), (49, true), (50, false), (1000, false)] {
            let queue = open_queue(100);
            assert_eq!(queue.holds_several(size as u64), is_patient);
            while queue.push(&mut message(size)).is_ok() {}
            assert_eq!(queue.begin_patience(RoomWanted::Half), is_patient);
        }
        for (most, holds_several) in [(1, false), (2, false), (3, true)] {
            assert_eq!(counted(most, WhenFull::Refuse).holds_several(1000), holds_several);
        }
    }

    #[test]
    fn where_messages_are_counted_nobody_sleeps_patiently() {
        let queue = counted(10, WhenFull::Refuse);
        while queue.push(&mut message(1)).is_ok() {}
        assert!(!queue.begin_patience(RoomWanted::Half));
    }

    fn counted(most: usize, when_full: WhenFull) -> Queue {
        let queue = Queue::new(Bounds { limit: Limit::of(most, 0), when_full });
        queue.open();
        queue
    }

    #[test]
    fn so_many_messages_wait_and_no_more() {
        for most in 1..6 {
            let queue = counted(most, WhenFull::Refuse);
            for size in [0, 1, 1000, 100_000] {
                let last = |_| queue.push(&mut message(size));
                let pushed: Vec<_> = (0..).map(last).take_while(Result::is_ok).flatten().collect();
                assert_eq!(pushed.len(), most);
                let more: Vec<_> = pushed.iter().map(|pushed| pushed.can_push_more).collect();
                assert!(more[..most - 1].iter().all(|more| *more) && !more[most - 1]);
                for _ in 0..20 {
                    assert!(pop(&queue).unwrap().1 && queue.can_push());
                    assert!(!queue.push(&mut message(size)).unwrap().can_push_more);
                    assert!(!queue.can_push());
                }
                assert!(queue.push(&mut message(size)).is_err());
                assert_eq!(std::iter::from_fn(|| pop(&queue)).count(), most);
            }
        }
    }

    #[test]
    fn the_oldest_make_room_in_both_halves() {
        for (most, taken) in [(1, 0), (4, 0), (4, 2), (4, 4)] {
            let queue = counted(most, WhenFull::DropOldest);
            let push = |size: usize| queue.push(&mut message(size)).unwrap();
            let mut sent = 0;
            let mut send = |count: usize| {
                for _ in 0..count {
                    sent += 1;
                    assert!(push(sent).can_push_more && queue.can_push());
                }
                queue.take_displaced()
            };
            assert_eq!(send(most), 0);
            // Who receives has taken the first half.
            let first: Vec<_> = (0..taken).map(|_| pop(&queue).unwrap()).collect();
            assert!(first.iter().zip(1..).all(|(popped, at)| *popped == (at, false)));
            assert_eq!(send(100), 100 - taken);
            let rest: Vec<_> = std::iter::from_fn(|| pop(&queue)).map(|(size, _)| size).collect();
            assert_eq!(rest, (most + 100 - most + 1..=most + 100).collect::<Vec<_>>());
            assert_eq!(queue.held(), 0);
            let ((received, _), _) = queue.popped(|| 0);
            assert_eq!(received as usize, taken + most, "what is thrown away is not received");
        }
    }

    #[test]
    fn as_many_of_the_oldest_go_as_bytes_are_needed() {
        let bounds = Bounds { limit: 1000.into(), when_full: WhenFull::DropOldest };
        let queue = Queue::new(bounds);
        assert_eq!(queue.push(&mut message(1)), Err(Refusal::Busy), "it is not open");
        queue.open();
        let push = |size: usize| {
            queue.push(&mut message(size)).unwrap();
            queue.take_displaced()
        };
        assert_eq!((0..20).map(|_| push(100)).sum::<usize>(), 11);
        assert_eq!(push(5000), 9, "one that is larger than the limit is alone");
        assert_eq!(push(7), 1);
        assert_eq!((pop(&queue), pop(&queue)), (Some((7, false)), None));
    }

    #[test]
    fn what_is_lost_for_want_of_memory_takes_no_room() {
        let mut lost = 0;
        for limit in 2..200 {
            let bounds = Bounds { limit: limit.into(), when_full: WhenFull::DropOldest };
            let queue = Queue::new(bounds);
            queue.open();
            for _ in 1..limit {
                queue.push(&mut message(1)).unwrap();
            }
            let mut last = message(1);
            // Often there is none for it before something is thrown away.
            if without_memory(|| queue.push(&mut last)).is_err() || queue.take_displaced() < 2 {
                continue;
            }
            lost += 1;
            assert_eq!(queue.held(), limit - 2);
            while pop(&queue).is_some() {}
            queue.push(&mut message(5000)).unwrap();
            assert_eq!((queue.take_displaced(), pop(&queue)), (0, Some((5000, false))));
        }
        assert!(lost > 0);
    }

    #[test]
    fn memory_stays_where_the_oldest_make_room() {
        let queue = counted(8, WhenFull::DropOldest);
        for _ in 0..100_000 {
            queue.push(&mut message(20)).unwrap();
        }
        let sizes = [&queue.front.0.consumer.lock().messages, &queue.back.0.lock().messages]
            .map(|batch| batch.packed.len());
        assert!(sizes.iter().all(|size| *size < 64 * 1024), "{sizes:?}");
    }

    #[test]
    fn after_one_pop_exactly_one_more_is_accepted() {
        let queue = open_queue(200);
        while queue.push(&mut message(10)).is_ok() {}
        // The one that waits counts, too.
        assert_eq!(queue.held(), 200);
        for _ in 0..50 {
            assert!(pop(&queue).unwrap().1);
            assert!(queue.can_push());
            assert!(!queue.push(&mut message(10)).unwrap().can_push_more);
            assert!(queue.push(&mut message(10)).is_err());
        }
    }

    #[test]
    fn tells_the_consumer_only_when_it_had_found_nothing() {
        let queue = open_queue(1000);
        assert_eq!(queue.push(&mut message(1)).unwrap().then, AfterSend::Deliver);
        assert_eq!(queue.push(&mut message(1)).unwrap().then, AfterSend::Nothing);
        assert!(pop(&queue).is_some());
        assert_eq!(queue.push(&mut message(1)).unwrap().then, AfterSend::Nothing);
        while pop(&queue).is_some() {}
        assert_eq!(queue.push(&mut message(1)).unwrap().then, AfterSend::Deliver);
    }

    #[test]
    fn sizes_of_all_kinds_keep_their_order_in_places_that_are_used_again() {
        let queue = open_queue(1 << 20);
        let (mut next, mut expected) = (0_usize, 0_usize);
        let size = |number: usize| number * 37 % 300;
        for round in 0..200 {
            for _ in 0..round % 7 {
                let mut message = message(size(next));
                message.header = Header::copy_from(&vec![9; next % 20]).unwrap();
                queue.push(&mut message).unwrap();
                assert_eq!(message.wire_len(), 0);
                next += 1;
            }
            let mut message = message(round % 200);
            message.ancillary = Some(Chunk::copy_from(b"of another one").unwrap());
            if queue.pop(&mut message).has_message {
                let (header, body) = (vec![9; expected % 20], vec![7; size(expected)]);
                assert_eq!(
                    (message.header.as_slice(), message.body.as_slice()),
                    (&*header, &*body)
                );
                assert!(message.ancillary.is_none());
                expected += 1;
            }
        }
        while pop(&queue).is_some_and(|(len, _)| len == size(expected)) {
            expected += 1;
        }
        assert_eq!((expected, queue.held()), (next, 0));
    }

    #[test]
    fn keeps_what_it_holds_when_it_is_closed() {
        let queue = Queue::new(1000);
        assert!(queue.push(&mut message(1)).is_err());
        queue.open();
        queue.push(&mut message(3)).unwrap();
        queue.close();
        assert!(queue.push(&mut message(1)).is_err());
        assert_eq!(queue.held(), 3);
        assert_eq!(pop(&queue).unwrap().0, 3);
        assert_eq!((queue.is_readable(), queue.held()), (false, 0));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::{AfterSend, Bounds, Limit, Message, Queue, WhenFull};
    use crate::message::Body;
    use crate::transports::RoomWanted;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    fn message(size: usize) -> Message {
        Message::from_body(Body::copy_from(&[7; 64][..size]).unwrap())
    }

    /// Loom reports a deadlock when somebody waits and is never told.
    #[derive(Default)]
    struct Flag {
        is_told: Mutex<bool>,
        told: Condvar,
    }

    impl Flag {
        fn tell(&self) {
            *self.is_told.lock().unwrap() = true;
            self.told.notify_one();
        }

        fn wait(&self) {
            let mut is_told = self.is_told.lock().unwrap();
            while !std::mem::take(&mut *is_told) {
                is_told = self.told.wait(is_told).unwrap();
            }
        }
    }

    /// A producer that is refused waits to be told, a consumer that finds nothing likewise. The
    /// model fails when one of them is never told, or when a message is lost. `bystander` does
    /// what other threads of the producing socket may do meanwhile.
    fn nobody_waits_for_ever(bystander: Option<fn(&Queue)>) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let queue = Arc::new(Queue::new(1));
            queue.open();
            let (to_consumer, to_producer) = (Arc::new(Flag::default()), Arc::new(Flag::default()));
            let producer = {
                let (queue, told, tell) = (queue.clone(), to_producer.clone(), to_consumer.clone());
                thread::spawn(move || produce(&queue, &told, &tell))
            };
            let bystander = bystander.map(|bystander| {
                let queue = queue.clone();
                thread::spawn(move || bystander(&queue))
            });
            for _ in 0..MESSAGES {
                loop {
                    let popped = queue.pop(&mut Message::default());
                    if popped.tell_producer {
                        to_producer.tell();
                    }
                    if popped.has_message {
                        break;
                    }
                    to_consumer.wait();
                }
            }
            producer.join().unwrap();
            bystander.map(|bystander| bystander.join().unwrap());
        });
    }

    #[test]
    fn model_nobody_waits_for_ever() {
        nobody_waits_for_ever(None);
    }

    #[test]
    fn model_a_look_from_aside_steals_no_wake_up() {
        nobody_waits_for_ever(Some(|queue| {
            queue.can_push();
        }));
    }

    /// Where the oldest make room, who receives is told as long as something is there, and gets the
    /// newest.
    #[test]
    fn model_the_newest_is_there_and_its_consumer_told() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let bounds = Bounds { limit: Limit::of(1, 0), when_full: WhenFull::DropOldest };
            let (queue, to_consumer) = (Arc::new(Queue::new(bounds)), Arc::new(Flag::default()));
            queue.open();
            let producer = {
                let (queue, to_consumer) = (queue.clone(), to_consumer.clone());
                thread::spawn(move || {
                    for size in 1..=MESSAGES {
                        if queue.push(&mut message(size)).unwrap().then == AfterSend::Deliver {
                            to_consumer.tell();
                        }
                    }
                })
            };
            let (mut last, mut received) = (0, 0);
            while last < MESSAGES {
                let mut message = Message::default();
                if queue.pop(&mut message).has_message {
                    assert!(message.body.len() > last);
                    (last, received) = (message.body.len(), received + 1);
                } else {
                    to_consumer.wait();
                }
            }
            producer.join().unwrap();
            assert_eq!(received + queue.take_displaced(), MESSAGES);
        });
    }

    /// A producer who sleeps until there is room for many messages is told of it, and of less when
    /// he gets up before, if he finds none then.
    fn who_is_patient_does_not_wait_for_ever(gets_up_early: bool) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let queue = Arc::new(Queue::new(6));
            queue.open();
            // One is not half of that, and the last one waits with the producer.
            for size in [1, 4, 2] {
                queue.push(&mut message(size)).unwrap();
            }
            let told = Arc::new(Flag::default());
            let producer = {
                let (queue, told) = (queue.clone(), told.clone());
                thread::spawn(move || {
                    let mut last = message(1);
                    while queue.push(&mut last).is_err() {
                        let is_patient = queue.begin_patience(RoomWanted::Half);
                        if !(is_patient && gets_up_early) {
                            told.wait();
                        }
                        if is_patient && !queue.end_patience() && gets_up_early {
                            told.wait();
                        }
                    }
                })
            };
            for _ in 0..3 {
                let popped = queue.pop(&mut Message::default());
                assert!(popped.has_message);
                if popped.tell_producer {
                    told.tell();
                }
            }
            producer.join().unwrap();
            assert!(queue.pop(&mut Message::default()).has_message);
        });
    }

    #[test]
    fn model_who_is_patient_is_told() {
        who_is_patient_does_not_wait_for_ever(false);
    }

    #[test]
    fn model_who_is_patient_may_get_up_early() {
        who_is_patient_does_not_wait_for_ever(true);
    }

    fn produce(queue: &Queue, told: &Flag, tell: &Flag) {
        for _ in 0..MESSAGES {
            let mut message = message(2);
            loop {
                match queue.push(&mut message) {
                    Ok(pushed) => {
                        if pushed.then == AfterSend::Deliver {
                            tell.tell();
                        }
                        break;
                    }
                    Err(_) => told.wait(),
                }
            }
        }
    }

    const MESSAGES: usize = 3;
}
