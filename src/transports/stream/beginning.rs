//! How a connection begins: what came behind the greeting, and who reads first.

use super::arrival::{Arrival, News, Passage};
use super::connection::StreamConnection;
use crate::trace::Happening;

/// What is told when the connection has become a pipe.
pub struct Beginning {
    news: News,
    has_words: bool,
    passage: Passage,
}

impl StreamConnection {
    /// Will have `words` written before any message, and takes what came behind the greeting. Who
    /// waits already for messages reads from the start: the reactor would wake for each, too.
    #[must_use]
    pub fn begin(&self, words: Vec<u8>, mut early: Vec<u8>) -> Beginning {
        let has_words = !words.is_empty();
        if has_words {
            self.writer.begin(words);
        }
        let Arrival { news, answer } = self.reader.begin(&mut early, || self.host.size_max());
        let has_answer = answer.is_some();
        answer.into_iter().for_each(|answer| self.writer.interject(answer));
        let is_awaited = self.host.is_awaited();
        let passage = if is_awaited { self.reader.leave_to_callers() } else { Passage::None };
        Beginning { news, has_words: has_words || has_answer, passage }
    }

    /// Says what was begun, now that there is a pipe that hears of it.
    pub fn go_on(&self, beginning: &Beginning) {
        if let Passage::ToCallers { look_after } = beginning.passage {
            self.trace(Happening::CallersRead);
            self.watch.look_after(look_after);
        }
        if beginning.has_words {
            self.write_wanted();
        }
        self.tell(beginning.news);
        // The kernel does not report what came with the end of the greeting.
        if self.stream.holds() {
            self.listen();
        }
    }
}
