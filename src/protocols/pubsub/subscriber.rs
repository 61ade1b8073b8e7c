//! SUB: the messages that begin with a topic it subscribed to, from all publishers in turn.
//!
//! The filter is applied when a message is received, with the subscriptions of that moment.

use super::subscriptions::{NotSubscribed, Subscriptions};
use crate::error::Error;
use crate::message::{Message, OutOfMemory};
use crate::protocols::routing::FairQueue;
use crate::protocols::{
    DISCARDS_MAX, Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Rejected, option,
};

#[derive(Debug, Default)]
pub struct Subscriber {
    publishers: FairQueue,
    subscriptions: Subscriptions,
}

impl Protocol for Subscriber {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.publishers.add(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.publishers.note_readable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.publishers.note_readable(pipe, pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.publishers.remove(pipe);
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        for _ in 0..DISCARDS_MAX {
            self.publishers.recv_whole(message, pipes).ok_or(Nothing::Yet)?;
            if self.subscriptions.matches(message.body.as_slice()) {
                return Ok(());
            }
        }
        Err(Nothing::Again)
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness { can_send: false, can_recv: self.publishers.is_readable() }
    }

    fn set_option(&mut self, number: i32, value: Option<&[u8]>) -> Result<(), Error> {
        let topic = value.unwrap_or_default();
        match number {
            option::SUB_SUBSCRIBE => {
                self.subscriptions.add(topic).map_err(|OutOfMemory| Error::OutOfMemory)
            }
            option::SUB_UNSUBSCRIBE => {
                self.subscriptions.remove(topic).map_err(|NotSubscribed| Error::Invalid)
            }
            _ => Err(Error::UnknownOption),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    const A: PipeId = PipeId(1);

    fn connected() -> (Subscriber, FakePipes) {
        let (mut subscriber, mut pipes) = (Subscriber::default(), FakePipes::default());
        pipes.connect(A);
        subscriber.add_pipe(A, Priorities::default()).unwrap();
        (subscriber, pipes)
    }

    fn arrive(subscriber: &mut Subscriber, pipes: &mut FakePipes, texts: &[&str]) {
        texts.iter().for_each(|text| pipes.arrive(A, text));
        subscriber.pipe_readable(A, pipes);
    }

    fn recv(subscriber: &mut Subscriber, pipes: &mut FakePipes) -> Result<String, Nothing> {
        let mut message = Message::default();
        subscriber.recv(&mut message, pipes)?;
        Ok(String::from_utf8_lossy(message.body.as_slice()).into_owned())
    }

    #[test]
    fn hears_only_what_it_asked_for_by_the_time_of_hearing() {
        let (mut subscriber, mut pipes) = connected();
        arrive(&mut subscriber, &mut pipes, &["a1", "b1"]);
        assert_eq!(recv(&mut subscriber, &mut pipes), Err(Nothing::Yet));
        arrive(&mut subscriber, &mut pipes, &["a2", "b2", "a3"]);
        subscriber.set_option(option::SUB_SUBSCRIBE, Some(b"a")).unwrap();
        subscriber.set_option(option::SUB_SUBSCRIBE, Some(b"a2")).unwrap();
        assert_eq!(recv(&mut subscriber, &mut pipes).unwrap(), "a2");
        assert!(subscriber.readiness(&pipes).can_recv);
        subscriber.set_option(option::SUB_UNSUBSCRIBE, Some(b"a")).unwrap();
        assert_eq!(recv(&mut subscriber, &mut pipes), Err(Nothing::Yet));
    }

    #[test]
    fn what_nobody_wants_does_not_hold_the_lock() {
        let (mut subscriber, mut pipes) = connected();
        arrive(&mut subscriber, &mut pipes, &["x"; 100]);
        assert_eq!(recv(&mut subscriber, &mut pipes), Err(Nothing::Again));
        assert_eq!(recv(&mut subscriber, &mut pipes), Err(Nothing::Yet));
    }

    #[test]
    fn options_can_be_set_and_not_read() {
        let (mut subscriber, _) = connected();
        let unsubscribed = subscriber.set_option(option::SUB_UNSUBSCRIBE, Some(b"a"));
        assert_eq!(unsubscribed, Err(Error::Invalid));
        assert_eq!(subscriber.set_option(option::SUB_SUBSCRIBE, None), Ok(()));
        assert_eq!(subscriber.set_option(3, Some(b"a")), Err(Error::UnknownOption));
        assert_eq!(subscriber.option(option::SUB_SUBSCRIBE), Err(Error::UnknownOption));
    }
}
