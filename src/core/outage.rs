//! A bug in one socket is that socket's alone, wherever it shows.
//!
//! Each test waits for what it expects, for as long as it takes: a test that fails hangs or says
//! why, and none depends on who is faster.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::endpoint::Owner;
use super::fixtures::{FakeConnection, Opened, PAIR, fresh_name, pairs};
use super::options::option::{LEVEL, LINGER, RECV_DESCRIPTOR};
use super::poll::{Question, poll};
use super::registry;
use super::statistics::number::MESSAGES_DROPPED;
use crate::error::Error;
use crate::message::Message;
use crate::protocols::{
    Loss, Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected, SOCKET_TYPES,
    SocketType, WhenBusy,
};
use crate::sys::{self, WaitFor};
use crate::transports::Connection;

/// Where a machine panics.
#[derive(Clone, Copy, PartialEq)]
enum Bug {
    Readable,
    /// The time comes as soon as somebody has tried to send.
    Timeout,
    Recv,
    Ended,
    Remove,
    Readiness,
    Wanting,
}

/// A machine that takes no message, and breaks.
struct Trap {
    bug: Bug,
    due: Option<Instant>,
}

impl Trap {
    fn spring(&self, at: Bug) {
        assert!(self.bug != at, "on purpose");
    }
}

impl Protocol for Trap {
    fn add_pipe(&mut self, _pipe: PipeId, _priorities: Priorities) -> Result<(), Rejected> {
        Ok(())
    }

    fn pipe_readable(&mut self, _pipe: PipeId, _pipes: &mut dyn Pipes) {
        self.spring(Bug::Readable);
    }

    fn pipe_ended(&mut self, _pipe: PipeId, _pipes: &mut dyn Pipes) {
        self.spring(Bug::Ended);
    }

    fn remove_pipe(&mut self, _pipe: PipeId) {
        self.spring(Bug::Remove);
    }

    fn send(&mut self, _message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        // So that tests see that somebody has tried.
        pipes.count_dropped(1, Loss::Busy);
        if self.bug == Bug::Timeout {
            self.due = Some(pipes.now());
        }
        Err(Refusal::Busy)
    }

    fn recv(&mut self, _message: &mut Message, _pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        self.spring(Bug::Recv);
        Err(Nothing::Yet)
    }

    fn wants_pipe(&self) -> bool {
        self.spring(Bug::Wanting);
        true
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        self.spring(Bug::Readiness);
        Readiness::default()
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn timeout(&mut self, _pipes: &mut dyn Pipes) {
        self.spring(Bug::Timeout);
    }
}

/// A type that PAIRs take for one of theirs.
macro_rules! trap {
    ($bug:expr) => {{
        static TYPE: SocketType =
            SocketType { cooked: |_| Box::new(Trap { bug: $bug, due: None }), ..TRAP };
        Opened::of(&TYPE)
    }};
}

const TRAP: SocketType = SocketType {
    number: PAIR as u16,
    name: "pair",
    peer: SOCKET_TYPES[0],
    can_send: true,
    can_recv: true,
    when_busy: WhenBusy::Waits,
    hands_on: false,
    answers_for_sure: false,
    hands_out: true,
    accepts_nameless_peers: false,
    cooked: |_| unreachable!("each trap has its own"),
    raw: |_| unreachable!("traps are cooked"),
};

/// Every call says that the socket is not open; closing it works.
fn expect_out_of_service(trap: Opened) {
    assert_eq!(registry::find(trap.0).err(), Some(Error::NotOpen));
    assert_eq!(trap.close(), Ok(()));
}

fn expect_that_others_work() {
    let [one, other] = pairs();
    one.send("still").unwrap();
    assert_eq!(other.recv(), Ok("still".into()));
}

/// A caller that is blocked in a send hears of the end.
fn outlast(trap: &Opened, cause: impl FnOnce()) {
    thread::scope(|scope| {
        let blocked = scope.spawn(|| trap.send("nobody takes it"));
        until(|| has_tried(trap));
        cause();
        assert_eq!(blocked.join().unwrap(), Err(Error::NotOpen));
    });
}

fn has_tried(trap: &Opened) -> bool {
    registry::find(trap.0).is_ok_and(|trap| trap.statistic(MESSAGES_DROPPED).unwrap() > 0)
}

fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never comes");
        thread::yield_now();
    }
}

#[test]
fn a_panic_in_timeout_on_the_reactors_thread() {
    let trap = trap!(Bug::Timeout);
    // It comes by itself, maybe before the send can block.
    assert_eq!(trap.send("nobody takes it"), Err(Error::NotOpen));
    expect_out_of_service(trap);
    expect_that_others_work();
}

#[test]
fn a_panic_in_pipe_readable_on_the_reactors_thread() {
    let (trap, peer) = (trap!(Bug::Readable), Opened::cooked(PAIR));
    let endpoint = trap.bind("tcp://127.0.0.1:0");
    // Whoever has asked for this leaves the reading to the reactor.
    trap.get().option(LEVEL, RECV_DESCRIPTOR).unwrap();
    peer.connect(&trap.address(endpoint));
    outlast(&trap, || peer.send("boo").unwrap());
    expect_out_of_service(trap);
    // The peer was told nothing worse than that the trap is gone.
    until(|| peer.try_send("is somebody there?") == Err(Error::WouldBlock));
    expect_that_others_work();
}

#[test]
fn a_panic_in_pipe_readable_in_a_call_on_another_socket() {
    let (trap, peer, address) = (trap!(Bug::Readable), Opened::cooked(PAIR), fresh_name());
    trap.bind(&address);
    peer.connect(&address);
    outlast(&trap, || assert_eq!(peer.send("boo"), Ok(())));
    expect_out_of_service(trap);
    // The peer has done nothing wrong.
    let other = Opened::cooked(PAIR);
    other.bind(&address);
    until(|| peer.try_send("hello").is_ok());
    assert_eq!(other.recv(), Ok("hello".into()));
}

#[test]
fn a_panic_when_a_peer_leaves() {
    let (trap, peer, address) = (trap!(Bug::Ended), Opened::cooked(PAIR), fresh_name());
    trap.bind(&address);
    peer.connect(&address);
    outlast(&trap, || peer.close().unwrap());
    expect_out_of_service(trap);
    expect_that_others_work();
}

#[test]
fn a_panic_while_somebody_polls_several_sockets() {
    let (trap, other) = (trap!(Bug::Readiness), Opened::cooked(PAIR));
    {
        let sockets = [other.get(), trap.get()];
        let wanted = Readiness { can_send: false, can_recv: true };
        let questions = [0, 1].map(|at| Question { socket: &sockets[at], wanted });
        let answers = poll(&questions, Some(Duration::from_secs(60)));
        assert_eq!(answers.err(), Some(Error::NotOpen));
    }
    expect_out_of_service(trap);
    assert_eq!(other.try_recv(), Err(Error::WouldBlock));
}

#[test]
fn a_panic_when_another_socket_asks_to_be_its_peer() {
    let (trap, peer, address) = (trap!(Bug::Wanting), Opened::cooked(PAIR), fresh_name());
    trap.bind(&address);
    peer.connect(&address);
    expect_out_of_service(trap);
    assert_eq!(peer.try_send("nobody is there"), Err(Error::WouldBlock));
}

#[test]
fn a_panic_while_it_is_closed() {
    let (trap, connection) = (trap!(Bug::Remove), FakeConnection::with_room(0));
    let endpoint = trap.bind(&fresh_name());
    trap.attach(endpoint, &connection).unwrap();
    assert_eq!(trap.close(), Ok(()));
    assert_eq!(connection.closed.load(Ordering::Relaxed), 1);
    expect_that_others_work();
}

/// As the boundary does it: the panic passes through the call, and then the socket is told.
#[test]
fn a_panic_inside_a_call() {
    let trap = trap!(Bug::Recv);
    trap.set_int(&LINGER, 0).unwrap();
    outlast(&trap, || {
        let socket = trap.get();
        let panic = catch_unwind(AssertUnwindSafe(|| trap.try_recv()));
        assert!(panic.is_err());
        socket.take_out_of_service();
    });
    expect_out_of_service(trap);
    expect_that_others_work();
}

#[test]
fn what_is_out_of_service_wants_no_peer_and_wakes_who_polls() {
    let trap = trap!(Bug::Readable);
    let endpoint = trap.bind(&fresh_name());
    let socket = trap.get();
    let descriptor = socket.events().descriptor().unwrap();
    socket.take_out_of_service();
    assert!(!socket.wants_pipe());
    let connection: Arc<dyn Connection> = FakeConnection::with_room(1);
    assert!(socket.attach(endpoint, connection).is_err());
    let waits = [(descriptor, WaitFor::Readable)].into_iter();
    assert_eq!(sys::poll(waits, Some(Duration::ZERO)).unwrap(), [0]);
    drop(socket);
    expect_out_of_service(trap);
}
