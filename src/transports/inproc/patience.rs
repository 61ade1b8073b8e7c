//! How a producer sleeps in front of a full queue: until there is room for many messages at first.

use super::queue::{Back, Queue};
use crate::sync::atomic::Ordering;
use crate::transports::RoomWanted;

impl Queue {
    /// Whether more than one of that size is queued at once.
    pub fn holds_several(&self, size: u64) -> bool {
        self.back.0.lock().holds_several(size)
    }

    /// The producer is about to sleep until there is room, and looks again soon by himself: he is
    /// not told before half of the bytes are popped, or all. One that was woken for each little
    /// room would fill it and sleep again, and both would do little else. False when he is told of
    /// any room, as where some is free already.
    pub fn begin_patience(&self, room: RoomWanted) -> bool {
        let mut consumer = self.front.0.consumer.lock();
        let back = self.back.0.lock();
        let popped = self.front.0.popped_bytes.load(Ordering::Relaxed);
        let left = if room == RoomWanted::All { 0 } else { back.limit / 2 };
        let tell_at = back.pushed_bytes.saturating_sub(left);
        // One behind which no other fits is all that there is: behind it the consumer would sleep.
        let is_alone = back.waiting.is_some_and(|size| !back.holds_several(size));
        if !consumer.is_blocked || !back.is_open || back.places > 0 || is_alone || tell_at <= popped
        {
            return false;
        }
        if consumer.strict_for > 0 {
            consumer.strict_for -= 1;
            // He sleeps for as long as it takes, and another one may be in his patience.
            consumer.tell_at = 0;
            return false;
        }
        consumer.tell_at = tell_at;
        true
    }

    /// He sleeps no more. True when there is room of which nobody has told him.
    pub fn end_patience(&self) -> bool {
        let mut consumer = self.front.0.consumer.lock();
        consumer.tell_at = 0;
        if !consumer.is_blocked {
            return false;
        }
        let has_room = self.unblock(&mut consumer);
        if !has_room {
            consumer.strict_for = STRICT_FOR;
        }
        has_room
    }
}

impl Back {
    /// Whether more than one of that size is queued at once.
    fn holds_several(&self, size: u64) -> bool {
        // The last place is for the one that waits with the producer.
        if self.places > 0 { self.places > 2 } else { 2 * size < self.limit }
    }
}

/// Behind a patient sleep during which nothing was popped, so many sleeps are not.
pub(super) const STRICT_FOR: u8 = 16;
