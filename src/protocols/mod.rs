//! Who gets the message. Pure machines, one for each socket type, named after the public headers.
//!
//! A machine has no I/O, clock, lock or thread: pipes are a trait that `core/` implements over
//! real connections and tests over vectors.

mod pair;

use crate::message::Message;

/// A pipe of one socket. Numbers are not used again while the socket lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId(pub u32);

/// Whether a pipe can take another message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Ready,
    Busy,
}

/// Whether the socket can send and receive now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    pub can_send: bool,
    pub can_recv: bool,
}

/// Why a machine did not take a message. The message stays where it is, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody can take it now; wait.
    Busy,
}

/// Why a machine has no message to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// None has arrived; wait.
    Yet,
}

/// The socket does not want this pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected;

/// What a machine can do with the pipes of its socket.
pub trait Pipes {
    /// Takes `message` to send it on a pipe that was [`Flow::Ready`]. Says whether the pipe can
    /// take another.
    ///
    /// # Errors
    /// When the pipe is busy or gone; the message is not touched.
    fn send(&mut self, pipe: PipeId, message: &mut Message) -> Result<Flow, Refusal>;

    /// Puts the next message that the pipe holds into `message`. False when it holds none.
    fn recv(&mut self, pipe: PipeId, message: &mut Message) -> bool;

    fn flow(&self, pipe: PipeId) -> Flow;

    fn is_readable(&self, pipe: PipeId) -> bool;
}

/// The behaviour of a socket type. Called under the socket's lock, so everything is short.
///
/// Messages are handed over by reference: one is as big as two cache lines, and moving it through
/// every layer would cost more than all the rest. Who sends leaves the message behind if it is
/// taken, and still has it if it is not.
pub trait Protocol: Send {
    /// Whether another pipe would be taken.
    fn wants_pipe(&self) -> bool;

    /// A connection has become a pipe.
    ///
    /// # Errors
    /// When the socket does not want it.
    fn add_pipe(&mut self, pipe: PipeId) -> Result<(), Rejected>;

    /// The peer is gone: nothing can be sent any more, and nothing will arrive beyond what the
    /// pipe still holds. [`Protocol::remove_pipe`] follows when that has been taken.
    fn pipe_ended(&mut self, pipe: PipeId);

    /// The pipe does not exist any more.
    fn remove_pipe(&mut self, pipe: PipeId);

    /// Takes `message` and sends it.
    ///
    /// # Errors
    /// When it cannot be sent now; the message is not touched.
    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal>;

    /// Puts the next message into `message`.
    ///
    /// # Errors
    /// When there is nothing to receive.
    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing>;

    fn readiness(&self, pipes: &dyn Pipes) -> Readiness;
}

/// What a socket type is called, whom it talks to, and how it is made.
pub struct SocketType {
    /// The number on the wire and in the C interface.
    pub number: u16,
    /// The only type of peer.
    pub peer: u16,
    pub can_send: bool,
    pub can_recv: bool,
    /// `None` while the machine is not written: such a socket cannot be opened yet.
    pub machine: Option<fn() -> Box<dyn Protocol>>,
}

/// The socket type with this number, if there is one.
#[must_use]
pub fn socket_type(number: i32) -> Option<&'static SocketType> {
    SOCKET_TYPES.iter().find(|known| i32::from(known.number) == number)
}

const fn planned(number: u16, peer: u16, can_send: bool, can_recv: bool) -> SocketType {
    SocketType { number, peer, can_send, can_recv, machine: None }
}

/// Every socket type there is. Raw and cooked share a row until a type needs two machines.
pub static SOCKET_TYPES: [SocketType; 10] = [
    SocketType {
        number: pair::NUMBER,
        peer: pair::NUMBER,
        can_send: true,
        can_recv: true,
        machine: Some(|| Box::new(pair::Pair::default())),
    },
    planned(0x20, 0x21, true, false),
    planned(0x21, 0x20, false, true),
    planned(0x30, 0x31, true, true),
    planned(0x31, 0x30, true, true),
    planned(0x50, 0x51, true, false),
    planned(0x51, 0x50, false, true),
    planned(0x62, 0x63, true, true),
    planned(0x63, 0x62, true, true),
    planned(0x70, 0x70, true, true),
];
