//! SUB: the messages that begin with a topic it subscribed to, from all publishers in turn.
//!
//! The filter is applied when a message is received, with the subscriptions of that moment. With
//! branches, each has subscriptions of its own: from the first of them on messages are taken from
//! the pipes as they come, and a copy is kept for each that wants it, as long as it has room. So it
//! is where only the newest message of each topic is kept, for the socket itself.

use std::collections::BTreeMap;
use std::time::Instant;

use super::subscriptions::{NotSubscribed, Subscriptions};
use crate::error::Error;
use crate::message::{Message, OutOfMemory};
use crate::protocols::routing::{FairQueue, Inbox, Latest};
use crate::protocols::{
    BranchId, Branches, DISCARDS_MAX, Loss, Nothing, PipeId, Pipes, Priorities, Protocol,
    Readiness, Rejected, flag, option,
};

#[derive(Debug, Default)]
pub struct Subscriber {
    publishers: FairQueue,
    subscriptions: Subscriptions,
    /// From the first branch on, or where the newest messages only are kept.
    others: Option<Box<Others>>,
    /// More has come than could be taken at once.
    sort_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Others {
    /// What the socket itself wants.
    own: Shelf,
    /// Who has never said what it wants gets nothing, and takes next to nothing.
    members: BTreeMap<BranchId, Option<Box<Member>>>,
    lost: Lost,
}

/// How many messages that waited have gone with an option, and are not counted yet, by why.
#[derive(Debug, Default)]
struct Lost([usize; Loss::COUNT]);

#[derive(Debug, Default)]
struct Member {
    subscriptions: Subscriptions,
    shelf: Shelf,
}

impl Subscriber {
    /// Takes what has come, for whoever wants it. Where that is much, others have the lock in
    /// between.
    fn sort(&mut self, pipes: &mut dyn Pipes) {
        let Some(others) = &mut self.others else { return };
        let mut message = Message::default();
        for _ in 0..SORTED_MAX {
            let Some(pipe) = self.publishers.recv_whole(&mut message, pipes) else {
                self.sort_at = None;
                return;
            };
            let own = others.own.keep((&mut message, pipe), &self.subscriptions, pipes);
            let mut is_wanted = own != Kept::Unwanted;
            for (branch, member) in &mut others.members {
                let Some(member) = member else { continue };
                let kept = member.shelf.keep((&mut message, pipe), &member.subscriptions, pipes);
                is_wanted |= kept != Kept::Unwanted;
                if kept == Kept::First {
                    pipes.tell_branch(*branch);
                }
            }
            if !is_wanted {
                pipes.count_lost(pipe, Loss::Unsubscribed);
            }
        }
        self.sort_at = Some(pipes.now());
    }

    /// Counts what options have cost.
    fn count_lost(&mut self, pipes: &mut dyn Pipes) {
        let Some(others) = &mut self.others else { return };
        for (why, count) in Loss::ALL.into_iter().zip(std::mem::take(&mut others.lost.0)) {
            if count > 0 {
                pipes.count_dropped(count, why);
            }
        }
    }

    /// What one who has nothing is told.
    fn nothing(&self) -> Nothing {
        if self.sort_at.is_some() { Nothing::Again } else { Nothing::Yet }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// The only one, so that there is something to receive now.
    First,
    Other,
    Unwanted,
}

/// What waits for one who receives.
#[derive(Debug)]
enum Shelf {
    All(Inbox),
    /// The newest of each topic.
    Last(Latest),
}

impl Default for Shelf {
    fn default() -> Shelf {
        Shelf::All(Inbox::default())
    }
}

impl Shelf {
    fn is_empty(&self) -> bool {
        match self {
            Shelf::All(inbox) => inbox.is_empty(),
            Shelf::Last(latest) => latest.is_empty(),
        }
    }

    fn take(&mut self) -> Option<Message> {
        match self {
            Shelf::All(inbox) => inbox.take(),
            Shelf::Last(latest) => latest.take(),
        }
    }

    /// Keeps a copy that shares its bytes, if it is wanted.
    fn keep(
        &mut self,
        (message, pipe): (&mut Message, PipeId),
        wanted: &Subscriptions,
        pipes: &mut dyn Pipes,
    ) -> Kept {
        let is_first = self.is_empty();
        let body = message.body.as_slice();
        let topic = match self {
            Shelf::All(_) => wanted.matches(body).then_some(0),
            Shelf::Last(_) => wanted.longest(body),
        };
        let Some(topic) = topic else { return Kept::Unwanted };
        let copy = message.share().map_err(|OutOfMemory| Loss::NoMemory);
        let put = copy.and_then(|copy| match self {
            Shelf::All(inbox) => inbox.put(copy, pipes.recv_limit()),
            Shelf::Last(latest) => put_newest(latest, copy, topic),
        });
        match put {
            Ok(()) if is_first => Kept::First,
            Ok(()) => Kept::Other,
            Err(why) => {
                pipes.count_dropped_of(pipe, why);
                Kept::Other
            }
        }
    }

    fn keeps_last(&self) -> bool {
        matches!(self, Shelf::Last(_))
    }

    /// Keeps the newest only from now on, or everything.
    fn keep_last(&mut self, keeps_last: bool, wanted: &Subscriptions, lost: &mut Lost) {
        if keeps_last == self.keeps_last() {
            return;
        }
        let mut before = std::mem::take(self);
        if keeps_last {
            *self = Shelf::Last(Latest::default());
        }
        while let Some(message) = before.take() {
            let put = match self {
                Shelf::All(inbox) => inbox.put(message, usize::MAX.into()),
                Shelf::Last(latest) => match wanted.longest(message.body.as_slice()) {
                    Some(topic) => put_newest(latest, message, topic),
                    None => Err(Loss::Unsubscribed),
                },
            };
            put.unwrap_or_else(|why| lost.note(why));
        }
    }
}

impl Lost {
    fn note(&mut self, why: Loss) {
        self.0[why as usize] += 1;
    }
}

/// Fails with why one message is lost, be it this one or the one that waited in its place.
fn put_newest(latest: &mut Latest, message: Message, topic: usize) -> Result<(), Loss> {
    match latest.put(message, topic) {
        Ok(Some(_)) => Err(Loss::Stale),
        Ok(None) => Ok(()),
        Err(OutOfMemory) => Err(Loss::NoMemory),
    }
}

fn change(
    subscriptions: &mut Subscriptions,
    shelf: Option<(&mut Shelf, &mut Lost)>,
    number: i32,
    value: Option<&[u8]>,
) -> Result<(), Error> {
    let topic = value.unwrap_or_default();
    match number {
        option::SUB_SUBSCRIBE => subscriptions.add(topic).map_err(|OutOfMemory| Error::OutOfMemory),
        option::SUB_UNSUBSCRIBE => {
            subscriptions.remove(topic).map_err(|NotSubscribed| Error::Invalid)?;
            if let Some((Shelf::Last(latest), lost)) = shelf
                && !subscriptions.contains(topic)
                && latest.forget(topic)
            {
                lost.note(Loss::Unsubscribed);
            }
            Ok(())
        }
        option::SUB_LAST => {
            let keeps_last = flag(value)?;
            if let Some((shelf, lost)) = shelf {
                shelf.keep_last(keeps_last, subscriptions, lost);
            }
            Ok(())
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
            *message = kept.ok_or_else(|| self.nothing())?;
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

    fn takes_at_once(&self) -> bool {
        self.others.as_ref().is_some_and(|others| others.own.keeps_last())
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.sort_at
    }

    fn timeout(&mut self, pipes: &mut dyn Pipes) {
        self.sort(pipes);
    }

    fn set_option(&mut self, number: i32, value: Option<&[u8]>) -> Result<(), Error> {
        if number == option::SUB_LAST && flag(value)? {
            self.others.get_or_insert_default();
        }
        let shelf = self.others.as_mut().map(|others| (&mut others.own, &mut others.lost));
        change(&mut self.subscriptions, shelf, number, value)
    }

    fn owes_after_option(&self) -> bool {
        self.others.is_some()
    }

    fn option_set(&mut self, pipes: &mut dyn Pipes) {
        self.count_lost(pipes);
    }

    fn option(&self, number: i32) -> Result<i32, Error> {
        match number {
            option::SUB_LAST => Ok(self.takes_at_once().into()),
            _ => Err(Error::UnknownOption),
        }
    }

    fn branches(&mut self) -> Option<&mut dyn Branches> {
        Some(self)
    }
}

impl Branches for Subscriber {
    fn add(&mut self, branch: BranchId) {
        self.others.get_or_insert_default().members.insert(branch, None);
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
        let kept = member.and_then(Option::as_mut).and_then(|member| member.shelf.take());
        *message = kept.ok_or_else(|| self.nothing())?;
        Ok(())
    }

    fn readiness_of(&mut self, branch: BranchId) -> Readiness {
        let member = self.others.as_ref().and_then(|others| others.members.get(&branch));
        let can_recv = member.and_then(Option::as_ref).is_some_and(|it| !it.shelf.is_empty());
        Readiness { can_send: false, can_recv }
    }

    fn set_option_of(
        &mut self,
        branch: BranchId,
        number: i32,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let others = self.others.as_mut().ok_or(Error::NotOpen)?;
        let member = others.members.get_mut(&branch).ok_or(Error::NotOpen)?.get_or_insert_default();
        let shelf = (&mut member.shelf, &mut others.lost);
        change(&mut member.subscriptions, Some(shelf), number, value)
    }

    fn option_of(&self, branch: BranchId, number: i32) -> Result<i32, Error> {
        let member = self.others.as_ref().and_then(|others| others.members.get(&branch));
        let member = member.ok_or(Error::NotOpen)?;
        match number {
            option::SUB_LAST => Ok(member.as_ref().is_some_and(|it| it.shelf.keeps_last()).into()),
            _ => Err(Error::UnknownOption),
        }
    }
}

/// Messages that one call may take before it lets others have the lock.
const SORTED_MAX: usize = 1024;

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

    fn all(subscriber: &mut Subscriber, pipes: &mut FakePipes) -> Vec<String> {
        std::iter::from_fn(|| recv(subscriber, pipes).ok()).collect()
    }

    const ON: Option<&[u8]> = Some(&1_i32.to_ne_bytes());
    const OFF: Option<&[u8]> = Some(&0_i32.to_ne_bytes());

    #[test]
    fn the_newest_of_each_subscription_is_kept() {
        let (mut subscriber, mut pipes) = connected();
        for topic in [&b"a"[..], b"ab", b"c"] {
            subscriber.set_option(option::SUB_SUBSCRIBE, Some(topic)).unwrap();
        }
        assert_eq!(subscriber.option(option::SUB_LAST), Ok(0));
        arrive(&mut subscriber, &mut pipes, &["a1", "c1", "x", "a2"]);
        subscriber.set_option(option::SUB_LAST, ON).unwrap();
        assert_eq!(subscriber.option(option::SUB_LAST), Ok(1));
        assert!(subscriber.takes_at_once());
        subscriber.timeout(&mut pipes);
        assert!(!pipes.is_readable(A), "what has come already is taken, too");
        arrive(&mut subscriber, &mut pipes, &["ab1", "b", "ab2", "a3", "ac"]);
        assert!(subscriber.readiness(&pipes).can_recv);
        assert_eq!(all(&mut subscriber, &mut pipes), ["c1", "ab2", "ac"]);
        assert!(!subscriber.readiness(&pipes).can_recv);
        assert_eq!(pipes.dropped(), 4, "a1, ab1, a2 and a3");
        // What nobody has subscribed to any more takes no room.
        arrive(&mut subscriber, &mut pipes, &["ab3", "a4", "c2"]);
        subscriber.set_option(option::SUB_UNSUBSCRIBE, Some(b"ab")).unwrap();
        assert_eq!(all(&mut subscriber, &mut pipes), ["a4", "c2"]);
        subscriber.set_option(option::SUB_SUBSCRIBE, Some(b"a")).unwrap();
        arrive(&mut subscriber, &mut pipes, &["ab4"]);
        subscriber.set_option(option::SUB_UNSUBSCRIBE, Some(b"a")).unwrap();
        assert_eq!(all(&mut subscriber, &mut pipes), ["ab4"], "it was subscribed twice");
    }

    #[test]
    fn what_waits_stays_when_everything_is_kept_again() {
        let (mut subscriber, mut pipes) = connected();
        subscriber.set_option(option::SUB_SUBSCRIBE, Some(b"")).unwrap();
        subscriber.set_option(option::SUB_LAST, ON).unwrap();
        arrive(&mut subscriber, &mut pipes, &["a", "b"]);
        subscriber.set_option(option::SUB_LAST, OFF).unwrap();
        arrive(&mut subscriber, &mut pipes, &["c", "d"]);
        assert_eq!(all(&mut subscriber, &mut pipes), ["b", "c", "d"]);
        arrive(&mut subscriber, &mut pipes, &["e", "f"]);
        subscriber.set_option(option::SUB_LAST, ON).unwrap();
        assert_eq!(all(&mut subscriber, &mut pipes), ["f"]);
        for wrong in [None, Some(&b"1"[..]), Some(&2_i32.to_ne_bytes())] {
            assert_eq!(subscriber.set_option(option::SUB_LAST, wrong), Err(Error::Invalid));
        }
    }

    #[test]
    fn what_goes_with_an_option_is_counted() {
        let (mut subscriber, mut pipes) = connected();
        let one = BranchId(1);
        subscriber.add(one);
        let set = |subscriber: &mut Subscriber, number, value| {
            subscriber.set_option_of(one, number, value).unwrap();
        };
        set(&mut subscriber, option::SUB_SUBSCRIBE, Some(b"a"));
        set(&mut subscriber, option::SUB_SUBSCRIBE, Some(b"b"));
        set(&mut subscriber, option::SUB_SUBSCRIBE, Some(b"c"));
        arrive(&mut subscriber, &mut pipes, &["a1", "b1", "a2", "c1", "a3"]);
        pipes.take_lost();
        set(&mut subscriber, option::SUB_UNSUBSCRIBE, Some(b"c"));
        set(&mut subscriber, option::SUB_LAST, ON);
        subscriber.option_set(&mut pipes);
        assert_eq!(pipes.take_dropped(), [(1, Loss::Unsubscribed), (2, Loss::Stale)]);
        set(&mut subscriber, option::SUB_UNSUBSCRIBE, Some(b"b"));
        subscriber.option_set(&mut pipes);
        subscriber.option_set(&mut pipes);
        assert_eq!(pipes.take_dropped(), [(1, Loss::Unsubscribed)]);
        let mut message = Message::default();
        subscriber.recv_on(one, &mut message, &mut pipes).unwrap();
        assert_eq!(message.body.as_slice(), b"a3");
        assert_eq!(subscriber.recv_on(one, &mut message, &mut pipes), Err(Nothing::Yet));
    }

    #[test]
    fn each_branch_keeps_the_newest_for_itself() {
        let (mut subscriber, mut pipes) = connected();
        let [one, two] = [1, 2].map(BranchId);
        for branch in [one, two] {
            subscriber.add(branch);
            subscriber.set_option_of(branch, option::SUB_SUBSCRIBE, Some(b"a")).unwrap();
        }
        subscriber.set_option_of(one, option::SUB_LAST, ON).unwrap();
        assert_eq!(subscriber.option_of(one, option::SUB_LAST), Ok(1));
        assert_eq!(subscriber.option_of(two, option::SUB_LAST), Ok(0));
        arrive(&mut subscriber, &mut pipes, &["a1", "a2", "a3"]);
        assert_eq!(pipes.take_told(), [one, two], "once each");
        let mut recv_all = |branch| {
            let mut message = Message::default();
            let mut next = || subscriber.recv_on(branch, &mut message, &mut pipes).is_ok();
            std::iter::from_fn(|| next().then_some(())).count()
        };
        assert_eq!([recv_all(one), recv_all(two)], [1, 3]);
    }

    #[test]
    fn a_flood_does_not_hold_the_lock() {
        let (mut subscriber, mut pipes) = connected();
        subscriber.set_option(option::SUB_SUBSCRIBE, Some(b"x")).unwrap();
        subscriber.set_option(option::SUB_LAST, ON).unwrap();
        assert_eq!(subscriber.next_timeout(), None);
        arrive(&mut subscriber, &mut pipes, &["y"; 2 * SORTED_MAX + 5]);
        assert_eq!(subscriber.next_timeout(), Some(pipes.now()), "it goes on at once");
        assert_eq!(recv(&mut subscriber, &mut pipes), Err(Nothing::Again));
        subscriber.timeout(&mut pipes);
        assert_eq!(subscriber.next_timeout(), None);
        assert_eq!(recv(&mut subscriber, &mut pipes), Err(Nothing::Yet));
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
        pipes.recv_limit = (2 * size_of::<Message>() + 4).into();
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
