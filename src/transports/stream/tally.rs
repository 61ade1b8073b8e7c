//! What is counted of a stream for whoever wants to know. Pure.
//!
//! Everybody pays for it, so that it is little: what is counted for each message fits into a word,
//! and what does not, or need not be known of streams at which nobody looks and on which nothing
//! stands still, lies in memory of its own.

use super::queue::Queue;
use crate::transports::{Backup, Load, Stamp};

/// Of what is sent.
#[derive(Default)]
pub struct SendTally {
    /// Messages that are with the kernel: the low half of the number.
    left: u32,
    /// Bytes accepted, but for what a framing puts around them: the low half.
    bytes: u32,
    detail: Option<Box<Detail>>,
}

/// Of what is received.
#[derive(Default)]
pub struct ReceiveTally {
    /// The low halves of the numbers.
    messages: u32,
    bytes: u32,
    detail: Option<Box<Detail>>,
}

#[derive(Default)]
struct Detail {
    /// The high halves of the numbers.
    messages: u32,
    bytes: u32,
    messages_most: u32,
    bytes_most: u64,
    oldest: Stamp,
}

impl SendTally {
    /// A message is accepted.
    #[inline]
    pub fn count(&mut self, bytes: usize) {
        let high = add(&mut self.bytes, bytes);
        if high > 0 {
            carry(&mut self.detail, 0, high);
        }
    }

    /// So many messages of all that are pending have left: before that, a queue is at its longest.
    #[inline]
    pub fn note_written(&mut self, messages: u32, bytes: usize, left: u32) {
        if let Some(detail) = &mut self.detail {
            detail.note_most(messages, bytes);
        }
        let high = add(&mut self.left, left as usize);
        if high > 0 {
            carry(&mut self.detail, high, 0);
        }
    }

    /// Messages that have left, and bytes that were accepted.
    fn whole(&self) -> (u64, u64) {
        let (messages, bytes) = high(&self.detail);
        (whole(self.left, messages), whole(self.bytes, bytes))
    }
}

impl ReceiveTally {
    /// A message is received.
    #[inline]
    pub fn count(&mut self, bytes: usize) {
        let (messages, bytes) = (add(&mut self.messages, 1), add(&mut self.bytes, bytes));
        if messages + bytes > 0 {
            carry(&mut self.detail, messages, bytes);
        }
    }

    pub fn messages(&self) -> u64 {
        whole(self.messages, high(&self.detail).0)
    }

    /// So many bytes wait.
    #[inline]
    pub fn note_most(&mut self, waiting: impl FnOnce() -> usize) {
        if let Some(detail) = &mut self.detail {
            detail.note_most(0, waiting());
        }
    }

    /// A message waits at this moment, and has for a while.
    pub fn note_oldest(&mut self, now_ms: impl FnOnce() -> u32) {
        let messages = self.messages();
        let oldest = &mut self.detail.get_or_insert_default().oldest;
        if oldest.is_outdated(messages) {
            oldest.note(messages, now_ms());
        }
    }

    /// What has passed and what waits, where there is a message at that moment.
    pub fn load(&mut self, waiting: usize, now_ms: Option<u32>, of_others: Load) -> Load {
        let messages_received = self.messages();
        let detail = self.detail.get_or_insert_default();
        detail.note_most(0, waiting);
        Load {
            messages_received,
            bytes_received: whole(self.bytes, detail.bytes),
            receiving: Backup {
                bytes: waiting,
                bytes_most: detail.bytes_most as usize,
                oldest_ms: now_ms.map_or(0, |now_ms| detail.oldest.age(messages_received, now_ms)),
                ..Backup::default()
            },
            ..of_others
        }
    }
}

impl Detail {
    fn note_most(&mut self, messages: u32, bytes: usize) {
        self.messages_most = self.messages_most.max(messages);
        self.bytes_most = self.bytes_most.max(bytes as u64);
    }
}

fn whole(low: u32, high: u32) -> u64 {
    u64::from(high) << u32::BITS | u64::from(low)
}

/// Adds to the low half of a number, and returns what is to be added to the high one.
#[inline]
fn add(low: &mut u32, more: usize) -> u32 {
    let sum = u64::from(*low) + more as u64;
    *low = sum as u32;
    (sum >> u32::BITS) as u32
}

/// The high halves of the numbers.
fn high(detail: &Option<Box<Detail>>) -> (u32, u32) {
    detail.as_ref().map_or((0, 0), |detail| (detail.messages, detail.bytes))
}

#[cold]
fn carry(detail: &mut Option<Box<Detail>>, messages: u32, bytes: u32) {
    let detail = detail.get_or_insert_default();
    detail.messages += messages;
    detail.bytes += bytes;
}

impl Queue {
    /// The kernel takes no more for now.
    pub fn note_standstill(&mut self, now_ms: impl FnOnce() -> u32) {
        let (left, _) = self.tally.whole();
        let detail = self.tally.detail.get_or_insert_default();
        detail.note_most(self.messages, self.pending);
        if self.messages > 0 && detail.oldest.is_outdated(left) {
            detail.oldest.note(left, now_ms());
        }
    }

    /// What has passed here and what waits.
    pub fn load(&mut self, now_ms: u32) -> Load {
        let (messages, bytes) =
            if self.is_empty() { (0, 0) } else { (self.messages, self.pending) };
        let (left, bytes_sent) = self.tally.whole();
        let detail = self.tally.detail.get_or_insert_default();
        detail.note_most(messages, bytes);
        let sending = Backup {
            messages: messages as usize,
            bytes,
            messages_most: detail.messages_most as usize,
            bytes_most: detail.bytes_most as usize,
            oldest_ms: if messages > 0 { detail.oldest.age(left, now_ms) } else { 0 },
        };
        // What has been counted once stays counted.
        let lost = self.muster.as_ref().map_or(0, |muster| muster.lost());
        let messages_sent = left + self.messages as u64 + lost;
        Load { messages_sent, bytes_sent, sending, ..Load::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(tally: &mut ReceiveTally, waiting: usize, now: Option<u32>) -> (u64, u64, Backup) {
        let load = tally.load(waiting, now, Load::default());
        (load.messages_received, load.bytes_received, load.receiving)
    }

    fn waits(bytes: usize, bytes_most: usize, oldest_ms: u32) -> Backup {
        Backup { bytes, bytes_most, oldest_ms, ..Backup::default() }
    }

    #[test]
    fn the_most_is_remembered_from_the_first_look_on_and_the_oldest_ages() {
        let mut tally = ReceiveTally::default();
        tally.note_most(|| panic!("nobody wants to know"));
        tally.note_oldest(|| 1000);
        tally.note_most(|| 70);
        tally.note_oldest(|| panic!("it is noted already"));
        assert_eq!(seen(&mut tally, 50, Some(1500)), (0, 0, waits(50, 70, 500)));
        tally.count(20);
        assert_eq!(seen(&mut tally, 30, Some(1600)), (1, 20, waits(30, 70, 0)));
        tally.count(30);
        assert_eq!(seen(&mut tally, 0, None), (2, 50, waits(0, 70, 0)));
    }

    #[test]
    fn numbers_grow_beyond_their_low_half() {
        let (messages, bytes) = (u32::MAX - 1, u32::MAX - 9);
        let mut tally = ReceiveTally { messages, bytes, ..ReceiveTally::default() };
        (0..3).for_each(|_| tally.count(5));
        assert_eq!(seen(&mut tally, 0, None), ((1 << 32) + 1, (1 << 32) + 5, waits(0, 0, 0)));
        let mut queue = Queue::new(100);
        queue.tally.left = u32::MAX;
        queue.tally.note_written(0, 0, 3);
        queue.tally.bytes = u32::MAX - 9;
        (0..3).for_each(|_| queue.tally.count(5));
        let sent = queue.load(0);
        assert_eq!((sent.messages_sent, sent.bytes_sent), ((1 << 32) + 2, (1 << 32) + 5));
    }

    #[test]
    fn a_standstill_is_as_old_as_what_stands_first() {
        let mut queue = Queue::new(100);
        queue.note_standstill(|| panic!("nothing waits"));
        (queue.messages, queue.pending) = (2, 60);
        queue.note_standstill(|| 1000);
        queue.note_standstill(|| panic!("it is noted already"));
        let sending = queue.load(1400).sending;
        let most = (sending.messages_most, sending.bytes_most);
        assert_eq!((most, sending.oldest_ms), ((2, 60), 400));
        queue.tally.note_written(2, 60, 1);
        (queue.messages, queue.pending) = (1, 30);
        let sending = queue.load(1500).sending;
        assert_eq!((sending.messages, sending.messages_most, sending.oldest_ms), (1, 2, 0));
    }
}
