//! BUS: everybody hears everybody he is connected to (protocols 9). Nothing is passed on.
//!
//! A raw BUS is told which pipe a message came from, by eight bytes that never reach a wire, and
//! leaves out the pipe that it is told to.

use super::routing::{Distributor, FairQueue};
use super::{
    Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected, Seed, SocketType,
    WhenBusy,
};
use crate::message::{Header, Message};

pub static BUS: SocketType = SocketType {
    number: 0x70,
    name: "bus",
    peer: &BUS,
    can_send: true,
    can_recv: true,
    when_busy: WhenBusy::DropsOrWaits,
    hands_on: false,
    answers_for_sure: false,
    hands_out: true,
    accepts_nameless_peers: false,
    cooked: |_| Box::new(Bus { names: None, ..Bus::default() }),
    raw: |seed| Box::new(Bus { names: Some(Names::new(seed)), ..Bus::default() }),
};

#[derive(Debug, Default)]
pub struct Bus {
    hearers: Distributor,
    speakers: FairQueue,
    /// A raw one names its pipes.
    names: Option<Names>,
}

/// Names of pipes that no other socket of the process uses.
#[derive(Clone, Copy, Debug)]
struct Names {
    first: u64,
}

impl Names {
    fn new(seed: Seed) -> Names {
        // A name is never zero.
        Names { first: (u64::from(seed.serial) << 32) | (1 << 63) }
    }

    fn name(self, pipe: PipeId) -> Header {
        Header::short((self.first | u64::from(pipe.0)).to_be_bytes())
    }

    /// Another socket's pipe has no name here, and there is none to leave out.
    fn pipe(self, name: [u8; 8]) -> Option<PipeId> {
        let number = u64::from_be_bytes(name) ^ self.first;
        u32::try_from(number).ok().map(PipeId)
    }
}

impl Bus {
    /// The pipe that the caller wants to leave out.
    fn except(&self, header: &Header) -> Result<Option<PipeId>, Refusal> {
        match (header.as_slice().try_into(), self.names) {
            _ if header.is_empty() => Ok(None),
            (Ok(name), Some(names)) => Ok(names.pipe(name)),
            _ => Err(Refusal::Header),
        }
    }
}

impl Protocol for Bus {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.hearers.add(pipe);
        self.speakers.add(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.speakers.note_readable(pipe, pipes);
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.hearers.note_writable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.hearers.remove(pipe, pipes);
        self.speakers.note_readable(pipe, pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.speakers.remove(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        let except = self.except(&message.header)?;
        let header = std::mem::take(&mut message.header);
        self.hearers.offer(message, except, pipes).inspect_err(|_| message.header = header)
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        let pipe = self.speakers.recv_whole(message, pipes).ok_or(Nothing::Yet)?;
        if let Some(names) = self.names {
            message.header = names.name(pipe);
        }
        Ok(())
    }

    fn account(&mut self, pipes: &mut dyn Pipes) {
        self.hearers.account(pipes);
    }

    fn readiness(&self, pipes: &dyn Pipes) -> Readiness {
        let must_wait = self.hearers.is_held_up(None) && pipes.drops_nothing();
        Readiness { can_send: !must_wait, can_recv: self.speakers.is_readable() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    const A: PipeId = PipeId(0);
    const B: PipeId = PipeId(1);

    fn connected(mut bus: Box<dyn Protocol>) -> (Box<dyn Protocol>, FakePipes) {
        let mut pipes = FakePipes::default();
        for pipe in [A, B] {
            pipes.connect(pipe);
            bus.add_pipe(pipe, Priorities::default()).unwrap();
            bus.pipe_writable(pipe, &mut pipes);
        }
        (bus, pipes)
    }

    fn raw(serial: u32) -> (Box<dyn Protocol>, FakePipes) {
        connected((BUS.raw)(Seed { serial, random: 0 }))
    }

    fn hear(bus: &mut dyn Protocol, pipes: &mut FakePipes, from: PipeId, text: &str) -> Message {
        let mut message = Message::default();
        pipes.arrive(from, text);
        bus.pipe_readable(from, pipes);
        bus.recv(&mut message, pipes).unwrap();
        assert_eq!(message.body.as_slice(), text.as_bytes());
        message
    }

    #[test]
    fn everybody_hears_and_is_heard() {
        let (mut bus, mut pipes) = connected((BUS.cooked)(Seed { serial: 1, random: 0 }));
        bus.send(&mut FakePipes::message("hi"), &mut pipes).unwrap();
        assert_eq!((pipes.sent_to(A), pipes.sent_to(B)), (&["hi".into()][..], &["hi".into()][..]));
        assert!(hear(&mut *bus, &mut pipes, B, "ho").header.is_empty());
        assert_eq!(bus.recv(&mut Message::default(), &mut pipes), Err(Nothing::Yet));
        for header in [&b"x"[..], b"12345678"] {
            let mut message = FakePipes::with_header(header, "no");
            assert_eq!(bus.send(&mut message, &mut pipes), Err(Refusal::Header));
        }
    }

    #[test]
    fn a_raw_bus_leaves_out_whom_it_is_told_to() {
        for serial in [0, 1, u32::MAX] {
            let (mut bus, mut pipes) = raw(serial);
            let mut message = hear(&mut *bus, &mut pipes, A, "hi");
            assert_eq!(message.header.len(), 8);
            assert_ne!(message.header.as_slice(), [0; 8]);
            bus.send(&mut message, &mut pipes).unwrap();
            assert_eq!((pipes.sent_to(A).len(), pipes.sent_to(B)), (0, &["hi".into()][..]));
        }
    }

    #[test]
    fn who_is_left_out_is_not_waited_for() {
        let (mut bus, mut pipes) = raw(1);
        pipes.drops_nothing = true;
        let message = hear(&mut *bus, &mut pipes, A, "hi");
        pipes.set_room(A, 0);
        let mut forward = |pipes: &mut FakePipes| {
            let mut copy = FakePipes::with_header(message.header.as_slice(), "hi");
            bus.send(&mut copy, pipes).map_err(|refusal| (refusal, copy.header.len()))
        };
        pipes.set_room(B, 1);
        assert_eq!(forward(&mut pipes), Ok(()));
        assert_eq!(forward(&mut pipes), Err((Refusal::Busy, 8)));
        assert_eq!((pipes.sent_to(A).len(), pipes.sent_to(B).len()), (0, 1));
        assert_eq!(bus.send(&mut FakePipes::message("all"), &mut pipes), Err(Refusal::Busy));
        assert!(!bus.readiness(&pipes).can_send);
        assert_eq!(pipes.dropped(), 0);
    }

    #[test]
    fn names_of_other_sockets_mean_nobody_here() {
        let (mut bus, mut pipes) = raw(7);
        let (mut other, mut other_pipes) = raw(8);
        let mut message = hear(&mut *other, &mut other_pipes, A, "hi");
        bus.send(&mut message, &mut pipes).unwrap();
        assert_eq!((pipes.sent_to(A).len(), pipes.sent_to(B).len()), (1, 1));
        for header in [&b"1234567"[..], b"123456789"] {
            let mut message = FakePipes::with_header(header, "no");
            assert_eq!(bus.send(&mut message, &mut pipes), Err(Refusal::Header));
            assert_eq!(message.body.as_slice(), b"no");
        }
    }
}
