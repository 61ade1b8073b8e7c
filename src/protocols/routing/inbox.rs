//! Messages that wait for one of several who receive from the same pipes.

use std::collections::VecDeque;

use crate::memory;
use crate::message::{Limit, Message};
use crate::protocols::Loss;

#[derive(Debug, Default)]
pub struct Inbox {
    messages: VecDeque<Message>,
    /// What they take.
    size: usize,
}

impl Inbox {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Puts a message in. One is taken however big it is; with others it must not be more than
    /// `limit`.
    ///
    /// # Errors
    /// Why the message is lost.
    pub fn put(&mut self, message: Message, limit: Limit) -> Result<(), Loss> {
        let size = self.size + cost(&message);
        let is_full = match limit {
            Limit::Bytes(most) => size > most && !self.is_empty(),
            Limit::Messages(most) => self.messages.len() >= most.get(),
        };
        if is_full {
            return Err(Loss::Busy);
        }
        memory::reserve(&mut self.messages, 1).map_err(|_| Loss::NoMemory)?;
        self.messages.push_back(message);
        self.size = size;
        Ok(())
    }

    pub fn take(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.size -= cost(&message);
        if self.is_empty() {
            // Who has nothing costs nothing.
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    pub fn clear(&mut self) {
        *self = Inbox::default();
    }
}

/// Small messages take room, too.
fn cost(message: &Message) -> usize {
    message.wire_len() + size_of::<Message>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    #[test]
    fn keeps_the_order_and_its_limit() {
        let mut inbox = Inbox::default();
        let limit = (3 * (size_of::<Message>() + 1)).into();
        for text in ["a", "b", "c"] {
            inbox.put(FakePipes::message(text), limit).unwrap();
        }
        assert_eq!(inbox.put(FakePipes::message(""), limit), Err(Loss::Busy));
        let mut take = || inbox.take().map(|message| message.body.as_slice().to_vec());
        let taken = [take(), take(), take(), take()];
        assert_eq!(taken, [Some(b"a".to_vec()), Some(b"b".to_vec()), Some(b"c".to_vec()), None]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn one_is_taken_however_big() {
        let mut inbox = Inbox::default();
        inbox.put(FakePipes::message("too big"), 1.into()).unwrap();
        assert_eq!(inbox.put(FakePipes::message("x"), 1.into()), Err(Loss::Busy));
        inbox.clear();
        inbox.put(FakePipes::message("too big"), 1.into()).unwrap();
    }

    #[test]
    fn where_messages_are_counted_their_size_does_not_matter() {
        let (mut inbox, limit) = (Inbox::default(), Limit::of(2, 1));
        let big = "x".repeat(100_000);
        for text in ["", &big] {
            inbox.put(FakePipes::message(text), limit).unwrap();
        }
        assert_eq!(inbox.put(FakePipes::message(""), limit), Err(Loss::Busy));
        inbox.take().unwrap();
        inbox.put(FakePipes::message(&big), limit).unwrap();
    }
}
