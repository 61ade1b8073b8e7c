//! SUB: the messages that begin with a topic it subscribed to, from all publishers in turn.
//!
//! The filter is applied when a message is received, with the subscriptions of that moment. With
//! branches, each has subscriptions of its own: from the first of them on messages are taken from
//! the pipes as they come, and a copy is kept for each that wants it, as long as it has room.

use std::collections::BTreeMap;

use super::subscriptions::{NotSubscribed, Subscriptions};
use crate::error::Error;
use crate::message::{Message, OutOfMemory};
use crate::protocols::routing::{FairQueue, Inbox};
use crate::protocols::{
    BranchId, Branches, DISCARDS_MAX, Loss, Nothing, PipeId, Pipes, Priorities, Protocol,
    Readiness, Rejected, option,
};

#[derive(Debug, Default)]
pub struct Subscriber {
    publishers: FairQueue,
    subscriptions: Subscriptions,
    /// From the first branch on.
    others: Option<Box<Others>>,
}

#[derive(Debug, Default)]
struct Others {
    /// What the socket itself wants.
    own: Inbox,
    members: BTreeMap<BranchId, Member>,
}

#[derive(Debug, Default)]
struct Member {
    subscriptions: Subscriptions,
    inbox: Inbox,
}

impl Subscriber {
    /// Takes everything that has come, for whoever wants it.
    fn sort(&mut self, pipes: &mut dyn Pipes) {
        let Some(others) = &mut self.others else { return };
        let mut message = Message::default();
        while let Some(pipe) = self.publishers.recv_whole(&mut message, pipes) {
            let mut is_wanted = self.subscriptions.matches(message.body.as_slice());
            if is_wanted {
                keep(&mut others.own, &mut message, pipes);
            }
            for (branch, member) in &mut others.members {
                if !member.subscriptions.matches(message.body.as_slice()) {
                    continue;
                }
                is_wanted = true;
                if keep(&mut member.inbox, &mut message, pipes) == Kept::First {
                    pipes.tell_branch(*branch);
                }
            }
            if !is_wanted {
                pipes.count_lost(pipe, Loss::Unsubscribed);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// The only one, so that there is something to receive now.
    First,
    Other,
    Lost,
}

/// Keeps a copy that shares its bytes.
fn keep(inbox: &mut Inbox, message: &mut Message, pipes: &mut dyn Pipes) -> Kept {
    let is_first = inbox.is_empty();
    let copy = message.share().map_err(|OutOfMemory| Loss::NoMemory);
    match copy.and_then(|copy| inbox.put(copy, pipes.recv_buffer())) {
        Ok(()) if is_first => Kept::First,
        Ok(()) => Kept::Other,
        Err(why) => {
            pipes.count_dropped(1, why);
            Kept::Lost
        }
    }
}

fn change(
    subscriptions: &mut Subscriptions,
    number: i32,
    value: Option<&[u8]>,
) -> Result<(), Error> {
    let topic = value.unwrap_or_default();
    match number {
        option::SUB_SUBSCRIBE => subscriptions.add(topic).map_err(|OutOfMemory| Error::OutOfMemory),
        option::SUB_UNSUBSCRIBE => {
            subscriptions.remove(topic).map_err(|NotSubscribed| Error::Invalid)
        }
        _ => Err(Error::UnknownOption),
    }
}

impl Protocol for Subscriber {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.publishers.add(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.publishers.note_readable(pipe, pipes);
        self.sort(pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.publishers.note_readable(pipe, pipes);
        self.sort(pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.publishers.remove(pipe);
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        if self.others.is_some() {
            self.sort(pipes);
            let kept = self.others.as_mut().and_then(|others| others.own.take());
            *message = kept.ok_or(Nothing::Yet)?;
            return Ok(());
        }
        for _ in 0..DISCARDS_MAX {
            let pipe = self.publishers.recv_whole(message, pipes).ok_or(Nothing::Yet)?;
            if self.subscriptions.matches(message.body.as_slice()) {
                return Ok(());
            }
            pipes.count_lost(pipe, Loss::Unsubscribed);
        }
        Err(Nothing::Again)
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        let has_kept = self.others.as_ref().is_some_and(|others| !others.own.is_empty());
        Readiness { can_send: false, can_recv: has_kept || self.publishers.is_readable() }
    }

    fn set_option(&mut self, number: i32, value: Option<&[u8]>) -> Result<(), Error> {
        change(&mut self.subscriptions, number, value)
    }

    fn branches(&mut self) -> Option<&mut dyn Branches> {
        Some(self)
    }
}

impl Branches for Subscriber {
    fn add(&mut self, branch: BranchId) {
        self.others.get_or_insert_default().members.insert(branch, Member::default());
    }

    fn remove(&mut self, branch: BranchId) {
        if let Some(others) = &mut self.others {
            others.members.remove(&branch);
        }
    }

    fn recv_on(
        &mut self,
        branch: BranchId,
        message: &mut Message,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Nothing> {
        self.sort(pipes);
        let member = self.others.as_mut().and_then(|others| others.members.get_mut(&branch));
        *message = member.and_then(|member| member.inbox.take()).ok_or(Nothing::Yet)?;
        Ok(())
    }

    fn readiness_of(&mut self, branch: BranchId) -> Readiness {
        let member = self.others.as_ref().and_then(|others| others.members.get(&branch));
        let can_recv = member.is_some_and(|member| !member.inbox.is_empty());
        Readiness { can_send: false, can_recv }
    }

    fn set_option_of(
        &mut self,
        branch: BranchId,
        number: i32,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let others = self.others.as_mut().ok_or(Error::NotOpen)?;
        let member = others.members.get_mut(&branch).ok_or(Error::NotOpen)?;
        change(&mut member.subscriptions, number, value)
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
        assert_eq!(pipes.take_lost(), [(A, Loss::Unsubscribed); 100]);
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

    #[test]
    fn each_branch_hears_what_it_asked_for_as_long_as_it_has_room() {
        let (mut subscriber, mut pipes) = connected();
        let [one, two, three] = [1, 2, 3].map(BranchId);
        subscriber.set_option(option::SUB_SUBSCRIBE, Some(b"b")).unwrap();
        arrive(&mut subscriber, &mut pipes, &["b before"]);
        for (branch, topic) in [(one, "a"), (two, ""), (three, "c")] {
            subscriber.add(branch);
            let topic = Some(topic.as_bytes());
            subscriber.set_option_of(branch, option::SUB_SUBSCRIBE, topic).unwrap();
        }
        arrive(&mut subscriber, &mut pipes, &["a1", "b1", "a2"]);
        assert_eq!(pipes.take_told(), [two, one], "once each");
        let recv_on = |subscriber: &mut Subscriber, pipes: &mut FakePipes, branch| {
            let mut message = Message::default();
            let received = subscriber.recv_on(branch, &mut message, pipes);
            received.map(|()| String::from_utf8_lossy(message.body.as_slice()).into_owned())
        };
        for text in ["a1", "a2"] {
            assert_eq!(recv_on(&mut subscriber, &mut pipes, one).unwrap(), text);
        }
        for text in ["b before", "a1", "b1", "a2"] {
            assert_eq!(recv_on(&mut subscriber, &mut pipes, two).unwrap(), text);
        }
        for text in ["b before", "b1"] {
            assert_eq!(recv(&mut subscriber, &mut pipes).unwrap(), text);
        }
        for branch in [one, two, three] {
            assert!(!subscriber.readiness_of(branch).can_recv);
            assert_eq!(recv_on(&mut subscriber, &mut pipes, branch), Err(Nothing::Yet));
        }
        // One that does not read costs only itself.
        pipes.recv_buffer = 2 * size_of::<Message>() + 4;
        for text in ["a1", "a2", "a3"] {
            arrive(&mut subscriber, &mut pipes, &[text]);
            assert_eq!(recv_on(&mut subscriber, &mut pipes, two).unwrap(), text);
        }
        assert_eq!(pipes.dropped(), 1);
        assert_eq!(recv_on(&mut subscriber, &mut pipes, one).unwrap(), "a1");
        subscriber.remove(two);
        let gone = subscriber.set_option_of(two, option::SUB_SUBSCRIBE, Some(b"x"));
        assert_eq!(gone, Err(Error::NotOpen));
    }
}
