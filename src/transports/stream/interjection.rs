//! Frames of a connection's own, which no application has sent, such as the answer to a ping.

use super::queue::{Frame, Kernel, Queue, Room};

impl Queue {
    /// Appends a whole frame of the connection's own, whatever the limit. Of several that nobody
    /// has written only the last is kept.
    pub fn interject(&mut self, frame: Vec<u8>) {
        if self.room == Room::Closed {
            return;
        }
        // Without memory the connection has nothing to say.
        if self.muster.as_mut().is_some_and(|muster| muster.reserve().is_err()) {
            return;
        }
        self.pending += frame.len();
        let outdated = self.interjection.replace(Box::new(Frame(frame)));
        self.pending -= outdated.map_or(0, |outdated| outdated.0.len());
        self.is_wanted = true;
        self.driver.note_fresh();
    }

    /// The same with a frame that asks for an answer. False, and nothing is appended, where that
    /// would not be read soon, because the kernel is full; or where another such frame waits, which
    /// has more right to its place: the peer has asked for that one.
    #[must_use]
    pub fn ask(&mut self, frame: Vec<u8>) -> bool {
        let is_free = self.interjection.is_none() && !self.is_stuck() && self.room != Room::Closed;
        if is_free {
            self.interject(frame);
        }
        is_free
    }

    /// Whether something waits that the kernel did not take when it was last asked.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.kernel == Kernel::TookLess && !self.is_empty()
    }
}
