//! The newest message of each topic, for one who wants no other.

use std::collections::BTreeMap;

use crate::memory::{self, Attempt, Map, OutOfMemory};
use crate::message::Message;

#[derive(Debug, Default)]
pub struct Latest {
    /// In the order in which they came.
    messages: BTreeMap<u64, Held>,
    /// Where in that order the message of a topic stands.
    places: Map<Vec<u8>, u64>,
    next: u64,
}

#[derive(Debug)]
struct Held {
    message: Message,
    /// The topic is what the body begins with, so many bytes.
    topic: usize,
}

impl Latest {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Puts a message in, whose body begins with a topic of so many bytes. Gives back the one
    /// whose place it takes.
    ///
    /// # Errors
    /// When there is no memory for it; then what was there stays.
    pub fn put(&mut self, message: Message, topic: usize) -> Result<Option<Message>, OutOfMemory> {
        let attempt = Attempt::begin()?;
        let place = self.next;
        let name = &message.body.as_slice()[..topic];
        let before = match self.places.get_mut(name) {
            Some(known) => Some(std::mem::replace(known, place)),
            None => {
                let mut own = Vec::new();
                memory::reserve_exact(&mut own, topic)?;
                own.extend_from_slice(name);
                memory::reserve(&mut self.places, 1)?;
                self.places.insert(own, place);
                None
            }
        };
        self.messages.insert(place, Held { message, topic });
        self.next += 1;
        if attempt.check().is_err() {
            self.take_back(place, before);
            return Err(OutOfMemory);
        }
        let outdated = before.and_then(|before| self.messages.remove(&before));
        Ok(outdated.map(|held| held.message))
    }

    /// The one that came first of those that are here.
    pub fn take(&mut self) -> Option<Message> {
        let (_, Held { message, topic }) = self.messages.pop_first()?;
        self.places.remove(&message.body.as_slice()[..topic]);
        if self.is_empty() {
            // Who has nothing costs nothing.
            self.places = Map::default();
        }
        Some(message)
    }

    /// Nobody wants that topic any more. Says whether a message is lost by that.
    pub fn forget(&mut self, topic: &[u8]) -> bool {
        let place = self.places.remove(topic);
        place.and_then(|place| self.messages.remove(&place)).is_some()
    }

    fn take_back(&mut self, place: u64, before: Option<u64>) {
        let Some(Held { message, topic }) = self.messages.remove(&place) else { return };
        let name = &message.body.as_slice()[..topic];
        match (before, self.places.get_mut(name)) {
            (Some(before), Some(known)) => *known = before,
            _ => _ = self.places.remove(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    fn put(latest: &mut Latest, text: &str, topic: usize) -> Option<String> {
        latest.put(FakePipes::message(text), topic).unwrap().map(|old| said(&old))
    }

    fn said(message: &Message) -> String {
        String::from_utf8_lossy(message.body.as_slice()).into_owned()
    }

    #[test]
    fn each_topic_has_its_newest_in_the_order_of_their_coming() {
        let mut latest = Latest::default();
        assert_eq!(put(&mut latest, "a1", 1), None);
        assert_eq!(put(&mut latest, "b1", 1), None);
        assert_eq!(put(&mut latest, "a2", 1), Some("a1".into()));
        assert_eq!(put(&mut latest, "x", 0), None);
        assert_eq!(put(&mut latest, "ab1", 2), None);
        assert_eq!(put(&mut latest, "", 0), Some("x".into()));
        let taken: Vec<_> = std::iter::from_fn(|| latest.take()).map(|it| said(&it)).collect();
        assert_eq!(taken, ["b1", "a2", "ab1", ""]);
        assert!(latest.is_empty() && latest.places.is_empty());
    }

    #[test]
    fn what_is_forgotten_is_gone_and_may_come_again() {
        let mut latest = Latest::default();
        for text in ["a1", "b1"] {
            put(&mut latest, text, 1);
        }
        assert!(latest.forget(b"a"));
        assert!(!latest.forget(b"c"));
        assert_eq!(put(&mut latest, "a2", 1), None);
        let taken: Vec<_> = std::iter::from_fn(|| latest.take()).map(|it| said(&it)).collect();
        assert_eq!(taken, ["b1", "a2"]);
    }

    #[test]
    fn one_that_is_taken_back_leaves_what_was_there() {
        let mut latest = Latest::default();
        put(&mut latest, "a1", 1);
        let place = latest.next;
        for (text, before) in [("a2", Some(0)), ("b1", None)] {
            latest.places.insert(text.as_bytes()[..1].to_vec(), place);
            latest.messages.insert(place, Held { message: FakePipes::message(text), topic: 1 });
            latest.take_back(place, before);
        }
        assert_eq!(put(&mut latest, "a3", 1), Some("a1".into()));
        assert_eq!(latest.places.len(), 1);
    }
}
