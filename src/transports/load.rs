//! What has passed over a connection and what waits on it, for whoever wants to know.

/// A connection at one moment. Nothing here is atomic: each direction is looked at under its own
/// lock, a moment after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Messages that it has taken, and their bytes without what a framing puts around them.
    pub messages_sent: u64,
    pub bytes_sent: u64,
    /// Messages that it has given, likewise.
    pub messages_received: u64,
    pub bytes_received: u64,
    pub sending: Backup,
    pub receiving: Backup,
    pub reader: ReadBy,
}

/// What waits in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    /// 0 where messages are not told from each other before somebody receives them.
    pub messages: usize,
    pub bytes: usize,
    /// The most that there was.
    pub messages_most: usize,
    pub bytes_most: usize,
    /// For how many milliseconds, at least, the oldest of it has been waiting.
    pub oldest_ms: u32,
}

/// Who reads what arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadBy {
    /// Those who receive.
    #[default]
    Callers,
    Reactor,
    Everybody,
}

/// Since when the oldest message in a queue is known to be the oldest. The clock is read where
/// nobody is kept from anything by that: when a queue has come to a standstill, and when somebody
/// looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// How many messages had left before it, and one; 0 if there is no stamp.
    behind: u32,
    since_ms: u32,
}

impl Stamp {
    /// The oldest message is the one behind so many others, and it is there at this moment.
    pub fn note(&mut self, left: u64, now_ms: u32) {
        if self.is_outdated(left) {
            *self = Stamp { behind: Stamp::behind(left), since_ms: now_ms };
        }
    }

    /// For how long that has been the oldest, which is noted from now on if it was not.
    pub fn age(&mut self, left: u64, now_ms: u32) -> u32 {
        self.note(left, now_ms);
        now_ms.wrapping_sub(self.since_ms)
    }

    /// Whether it would change with that.
    #[must_use]
    pub fn is_outdated(&self, left: u64) -> bool {
        self.behind != Stamp::behind(left)
    }

    /// One in four thousand million is 0, of which the age is not known.
    fn behind(left: u64) -> u32 {
        (left as u32).wrapping_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_oldest_from_the_first_look_on() {
        let mut stamp = Stamp::default();
        assert_eq!([100, 150, 190].map(|now| stamp.age(0, now)), [0, 50, 90]);
        // It has left; another one is the oldest.
        assert!(stamp.is_outdated(1) && !stamp.is_outdated(0));
        assert_eq!([200, 230].map(|now| stamp.age(1, now)), [0, 30]);
        stamp.note(1, 500);
        assert_eq!(stamp.age(1, 600), 400);
    }

    #[test]
    fn clock_and_count_may_wrap() {
        let mut stamp = Stamp::default();
        let many = u64::from(u32::MAX) + 3;
        stamp.note(many, u32::MAX);
        assert_eq!(stamp.age(many, 9), 10);
        assert!(stamp.is_outdated(many + 1));
    }
}
