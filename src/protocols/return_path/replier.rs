//! REP and RESPONDENT. A cooked one answers whoever asked last; a raw one leaves the header of a
//! request to the application, which gives it back with the answer.

use std::collections::BTreeMap;

use super::ReturnPath;
use crate::message::{Header, Message};
use crate::protocols::{
    BranchId, Branches, Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected,
    Seed,
};

#[derive(Debug)]
pub struct Replier {
    path: ReturnPath,
    asker: Asker,
    /// Those of the branches, from the first one on.
    others: Option<Box<Others>>,
}

/// Whom the next answer goes to.
#[derive(Debug)]
enum Asker {
    /// Raw: whomever its header names.
    Named,
    /// Nobody has asked since the last answer.
    Nobody,
    /// Who has that header.
    Last(Header),
}

impl Replier {
    #[must_use]
    pub fn cooked(seed: Seed) -> Replier {
        Replier { path: ReturnPath::new(seed), asker: Asker::Nobody, others: None }
    }

    #[must_use]
    pub fn raw(seed: Seed) -> Replier {
        Replier { path: ReturnPath::new(seed), asker: Asker::Named, others: None }
    }
}

impl Protocol for Replier {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.path.add_pipe(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.path.requests.note_readable(pipe, pipes);
        self.tell_others(pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.path.requests.note_readable(pipe, pipes);
        self.tell_others(pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.path.requests.remove(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        self.asker.address(message)?;
        self.path.send(message, pipes);
        Ok(())
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        if matches!(self.asker, Asker::Named) {
            return self.path.recv(message, pipes);
        }
        // Asking for another request gives the last one up.
        self.asker = Asker::Nobody;
        self.path.recv(message, pipes)?;
        self.asker = Asker::Last(std::mem::take(&mut message.header));
        self.tell_others(pipes);
        Ok(())
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        let can_send = !matches!(self.asker, Asker::Nobody);
        Readiness { can_send, can_recv: self.path.requests.is_readable() }
    }

    fn branches(&mut self) -> Option<&mut dyn Branches> {
        if matches!(self.asker, Asker::Named) { None } else { Some(self) }
    }
}

impl Branches for Replier {
    fn add(&mut self, branch: BranchId) {
        let member = Member { asker: Asker::Nobody, is_curious: false };
        self.others.get_or_insert_default().members.insert(branch, member);
    }

    fn remove(&mut self, branch: BranchId) {
        if let Some(others) = &mut self.others {
            others.members.remove(&branch);
            others.curious.retain(|curious| *curious != branch);
        }
    }

    fn send_on(
        &mut self,
        branch: BranchId,
        message: &mut Message,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        let others = self.others.as_mut().ok_or(Refusal::WrongState)?;
        let member = others.members.get_mut(&branch).ok_or(Refusal::WrongState)?;
        member.asker.address(message)?;
        self.path.send(message, pipes);
        Ok(())
    }

    fn recv_on(
        &mut self,
        branch: BranchId,
        message: &mut Message,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Nothing> {
        let others = self.others.as_mut().ok_or(Nothing::WrongState)?;
        let member = others.members.get_mut(&branch).ok_or(Nothing::WrongState)?;
        // Asking for another request gives the last one up.
        member.asker = Asker::Nobody;
        let received = self.path.recv(message, pipes);
        if received.is_ok() {
            member.asker = Asker::Last(std::mem::take(&mut message.header));
        }
        self.tell_others(pipes);
        if received == Err(Nothing::Yet) {
            self.note_curious(branch);
        }
        received
    }

    fn readiness_of(&mut self, branch: BranchId) -> Readiness {
        self.note_curious(branch);
        let others = self.others.as_ref();
        let member = others.and_then(|others| others.members.get(&branch));
        let can_send = member.is_some_and(|member| matches!(member.asker, Asker::Last(_)));
        Readiness { can_send, can_recv: self.path.requests.is_readable() }
    }
}

impl Replier {
    /// Tells who wants to know that there are requests now, or none any more.
    #[inline]
    fn tell_others(&mut self, pipes: &mut dyn Pipes) {
        if let Some(others) = &mut self.others {
            others.tell(self.path.requests.is_readable(), pipes);
        }
    }

    /// The branch has learnt whether there are requests now, and wants to know when that changes.
    fn note_curious(&mut self, branch: BranchId) {
        let Some(others) = &mut self.others else { return };
        others.is_readable = self.path.requests.is_readable();
        if let Some(member) = others.members.get_mut(&branch)
            && !std::mem::replace(&mut member.is_curious, true)
        {
            others.curious.push(branch);
        }
    }
}

/// The branches of one socket, any of which takes the next request.
#[derive(Debug, Default)]
struct Others {
    members: BTreeMap<BranchId, Member>,
    /// Whether there were requests when they were told last.
    is_readable: bool,
    curious: Vec<BranchId>,
}

#[derive(Debug)]
struct Member {
    asker: Asker,
    is_curious: bool,
}

impl Others {
    fn tell(&mut self, is_readable: bool, pipes: &mut dyn Pipes) {
        if is_readable == std::mem::replace(&mut self.is_readable, is_readable) {
            return;
        }
        for branch in self.curious.drain(..) {
            if let Some(member) = self.members.get_mut(&branch) {
                member.is_curious = false;
            }
            pipes.tell_branch(branch);
        }
    }
}

impl Asker {
    /// Has an answer go to whoever asked, who has it now.
    #[inline]
    fn address(&mut self, message: &mut Message) -> Result<(), Refusal> {
        match self {
            Asker::Named => {}
            Asker::Nobody => return Err(Refusal::WrongState),
            Asker::Last(_) if !message.header.is_empty() => return Err(Refusal::Header),
            Asker::Last(header) => {
                message.header = std::mem::take(header);
                *self = Asker::Nobody;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod cooked {
    use super::*;
    use crate::testing::FakePipes;

    const SEED: Seed = Seed { serial: 0, random: 77 };
    const A: PipeId = PipeId(1);
    const B: PipeId = PipeId(2);

    fn connected() -> (Replier, FakePipes) {
        let (mut rep, mut pipes) = (Replier::cooked(SEED), FakePipes::default());
        for pipe in [A, B] {
            pipes.connect(pipe);
            rep.add_pipe(pipe, Priorities::default()).unwrap();
        }
        (rep, pipes)
    }

    fn arrive(rep: &mut Replier, pipes: &mut FakePipes, from: PipeId, bytes: &[u8]) {
        pipes.arrive_bytes(from, bytes);
        rep.pipe_readable(from, pipes);
    }

    fn recv(rep: &mut Replier, pipes: &mut FakePipes) -> Result<String, Nothing> {
        let mut message = Message::default();
        rep.recv(&mut message, pipes)?;
        assert!(message.header.is_empty());
        Ok(String::from_utf8_lossy(message.body.as_slice()).into_owned())
    }

    fn send(rep: &mut Replier, pipes: &mut FakePipes, text: &str) -> Result<(), Refusal> {
        rep.send(&mut FakePipes::message(text), pipes)
    }

    #[test]
    fn answers_who_asked_with_his_words_in_front() {
        let (mut rep, mut pipes) = connected();
        assert_eq!(send(&mut rep, &mut pipes, "x"), Err(Refusal::WrongState));
        arrive(&mut rep, &mut pipes, B, b"\0\0\0\x05\x80\0\0\x01q");
        assert_eq!(recv(&mut rep, &mut pipes).unwrap(), "q");
        assert!(rep.readiness(&pipes).can_send);
        send(&mut rep, &mut pipes, "a").unwrap();
        assert_eq!(pipes.sent_bytes(B), [b"\0\0\0\x05\x80\0\0\x01a"]);
        assert_eq!(send(&mut rep, &mut pipes, "again"), Err(Refusal::WrongState));
    }

    #[test]
    fn branches_take_requests_as_they_ask_and_answer_in_any_order() {
        let (mut rep, mut pipes) = connected();
        let [one, two] = [BranchId(1), BranchId(2)];
        [one, two].into_iter().for_each(|branch| rep.add(branch));
        let recv_on = |rep: &mut Replier, pipes: &mut FakePipes, branch| {
            let mut message = Message::default();
            let received = rep.recv_on(branch, &mut message, pipes);
            assert!(message.header.is_empty());
            received.map(|()| String::from_utf8_lossy(message.body.as_slice()).into_owned())
        };
        assert_eq!(recv_on(&mut rep, &mut pipes, one), Err(Nothing::Yet));
        arrive(&mut rep, &mut pipes, A, b"\x80\0\0\x01q");
        assert_eq!(pipes.take_told(), [one], "the other one does not wait");
        arrive(&mut rep, &mut pipes, B, b"\x80\0\0\x02r");
        assert!(rep.readiness_of(two).can_recv);
        assert_eq!(recv_on(&mut rep, &mut pipes, one).unwrap(), "q");
        assert!(pipes.take_told().is_empty(), "there is another request");
        assert_eq!(recv_on(&mut rep, &mut pipes, two).unwrap(), "r");
        assert_eq!(pipes.take_told(), [two], "there is none, which it has not seen yet");
        let mut answer = FakePipes::message("to r");
        rep.send_on(two, &mut answer, &mut pipes).unwrap();
        rep.send_on(one, &mut FakePipes::message("to q"), &mut pipes).unwrap();
        assert_eq!(pipes.sent_bytes(A), [b"\x80\0\0\x01to q"]);
        assert_eq!(pipes.sent_bytes(B), [b"\x80\0\0\x02to r"]);
        let again = rep.send_on(one, &mut FakePipes::message("x"), &mut pipes);
        assert_eq!(again, Err(Refusal::WrongState));
        assert_eq!(send(&mut rep, &mut pipes, "x"), Err(Refusal::WrongState));
        assert!(Replier::raw(SEED).branches().is_none());
    }

    #[test]
    fn asking_for_another_request_gives_the_last_one_up() {
        let (mut rep, mut pipes) = connected();
        arrive(&mut rep, &mut pipes, A, b"\x80\0\0\x01q");
        recv(&mut rep, &mut pipes).unwrap();
        assert_eq!(recv(&mut rep, &mut pipes), Err(Nothing::Yet));
        assert_eq!(send(&mut rep, &mut pipes, "a"), Err(Refusal::WrongState));
        arrive(&mut rep, &mut pipes, A, b"\x80\0\0\x02q");
        arrive(&mut rep, &mut pipes, B, b"\x80\0\0\x03r");
        assert_eq!(recv(&mut rep, &mut pipes).unwrap(), "q");
        assert_eq!(recv(&mut rep, &mut pipes).unwrap(), "r");
        send(&mut rep, &mut pipes, "a").unwrap();
        assert!(pipes.sent_bytes(A).is_empty());
        assert_eq!(pipes.sent_bytes(B), [b"\x80\0\0\x03a"]);
    }

    #[test]
    fn an_answer_to_who_has_left_is_dropped() {
        let (mut rep, mut pipes) = connected();
        arrive(&mut rep, &mut pipes, A, b"\x80\0\0\x01q");
        recv(&mut rep, &mut pipes).unwrap();
        pipes.disconnect(A);
        rep.pipe_ended(A, &mut pipes);
        rep.remove_pipe(A);
        assert_eq!(send(&mut rep, &mut pipes, "a"), Ok(()));
        assert_eq!(pipes.dropped(), 1);
    }

    #[test]
    fn a_header_of_the_caller_is_refused() {
        let (mut rep, mut pipes) = connected();
        arrive(&mut rep, &mut pipes, A, b"\x80\0\0\x01q");
        recv(&mut rep, &mut pipes).unwrap();
        let mut message = FakePipes::with_header(b"\x80\0\0\x01", "a");
        assert_eq!(rep.send(&mut message, &mut pipes), Err(Refusal::Header));
        assert_eq!(message.body.as_slice(), b"a");
        assert_eq!(send(&mut rep, &mut pipes, "a"), Ok(()));
    }

    #[test]
    fn what_a_peer_asked_before_it_left_can_be_received() {
        let (mut rep, mut pipes) = connected();
        pipes.arrive_bytes(A, b"\x80\0\0\x01q");
        rep.pipe_ended(A, &mut pipes);
        assert_eq!(recv(&mut rep, &mut pipes).unwrap(), "q");
    }
}

#[cfg(test)]
mod raw {
    use super::*;
    use crate::testing::FakePipes;

    const SEED: Seed = Seed { serial: 0, random: 0x4000_0000 };
    const A: PipeId = PipeId(1);

    fn connected() -> (Replier, FakePipes) {
        let (mut rep, mut pipes) = (Replier::raw(SEED), FakePipes::default());
        pipes.connect(A);
        rep.add_pipe(A, Priorities::default()).unwrap();
        (rep, pipes)
    }

    fn arrive(rep: &mut Replier, pipes: &mut FakePipes, bytes: &[u8]) {
        pipes.arrive_bytes(A, bytes);
        rep.pipe_readable(A, pipes);
    }

    /// protocols 11: what a device sees of a request that took a hop already.
    #[test]
    fn the_key_of_the_pipe_stands_in_front() {
        let (mut rep, mut pipes) = connected();
        let mut message = Message::default();
        arrive(&mut rep, &mut pipes, b"\x7f\xd0\xf3\x33\x80\0\0\x07q");
        rep.recv(&mut message, &mut pipes).unwrap();
        let expected = b"\x40\0\0\x01\x7f\xd0\xf3\x33\x80\0\0\x07";
        assert_eq!(message.header.as_slice(), expected);
        assert_eq!(message.body.as_slice(), b"q");
        rep.send(&mut message, &mut pipes).unwrap();
        assert_eq!(pipes.sent_bytes(A), [b"\x7f\xd0\xf3\x33\x80\0\0\x07q"]);
    }

    #[test]
    fn malformed_requests_vanish() {
        let (mut rep, mut pipes) = connected();
        let mut message = Message::default();
        for bytes in [&b""[..], b"\0\0\0\x01", b"\x80\0\0", b"\x80\0\0\x01"] {
            arrive(&mut rep, &mut pipes, bytes);
        }
        assert!(rep.readiness(&pipes).can_recv);
        rep.recv(&mut message, &mut pipes).unwrap();
        assert!(message.body.is_empty());
        assert_eq!(rep.recv(&mut message, &mut pipes), Err(Nothing::Yet));
        assert!(!rep.readiness(&pipes).can_recv);
    }

    #[test]
    fn a_flood_of_malformed_requests_does_not_hold_the_lock() {
        let (mut rep, mut pipes) = connected();
        (0..100).for_each(|_| arrive(&mut rep, &mut pipes, b"bad"));
        let mut message = Message::default();
        assert_eq!(rep.recv(&mut message, &mut pipes), Err(Nothing::Again));
        assert_eq!(rep.recv(&mut message, &mut pipes), Err(Nothing::Yet));
    }

    #[test]
    fn answers_to_nobody_are_dropped() {
        let (mut rep, mut pipes) = connected();
        for header in [&b""[..], b"\x40\0\0", b"\x40\0\0\x02", b"\x40\0\0\0\x80\0\0\0"] {
            rep.send(&mut FakePipes::with_header(header, "a"), &mut pipes).unwrap();
        }
        pipes.set_room(A, 0);
        rep.send(&mut FakePipes::with_header(b"\x40\0\0\x01", "a"), &mut pipes).unwrap();
        assert_eq!(pipes.dropped(), 5);
        assert!(rep.readiness(&pipes).can_send);
    }
}
