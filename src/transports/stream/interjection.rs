//! Frames of a connection's own, which no application has sent, such as the answer to a ping.

use super::queue::{Queue, Room};

impl Queue {
    /// Appends a whole frame of the connection's own, whatever the limit. Of several that nobody
    /// has written only the last is kept.
    pub fn interject(&mut self, frame: Vec<u8>) {
        if self.room == Room::Closed {
            return;
        }
        self.pending += frame.len();
        let outdated = self.interjection.replace(frame);
        self.pending -= outdated.map_or(0, |frame| frame.len());
        self.is_wanted = true;
        self.driver.note_fresh();
    }
}
