//! Who gets the message. Pure machines, one for each socket type, named after the public headers.
//!
//! A machine has no I/O, clock, lock or thread: pipes are a trait that `core/` implements over real
//! connections and tests over vectors.

mod backtrace;
mod branch;
mod bus;
mod pair;
mod pipe_map;
mod pipeline;
mod pubsub;
mod reqrep;
mod return_path;
mod routing;
mod survey;

use std::time::Instant;

use crate::error::Error;
use crate::message::{Limit, Message};

pub use branch::{Branch, BranchId, Branches};
pub use pipe_map::PipeMap;
pub use routing::Priority;

pub use crate::error::{Refusal, Rejected};

/// A pipe of one socket. Numbers are not used again while the socket lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId(pub u32);

impl PipeId {
    /// What users call the peer at its other end. Never 0.
    #[must_use]
    pub fn peer_number(self) -> u32 {
        self.0.wrapping_add(1)
    }

    #[must_use]
    pub fn from_peer_number(number: u32) -> PipeId {
        PipeId(number.wrapping_sub(1))
    }
}

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

/// Why a machine has no message to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// None has arrived; wait.
    Yet,
    /// Many have been dropped that nobody wants, and there may be more: call again, so that the
    /// lock is not held for long.
    Again,
    /// Nothing can be received before something has been sent.
    WrongState,
    /// The time for an answer is over. Said once.
    Expired,
    /// Who was to answer has gone, and nobody else is asked. Said once.
    Lost,
}

/// Why a message goes nowhere that was accepted, or that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A peer that it was meant for cannot take it now, or has gone, or takes a newer one instead.
    Busy,
    /// Memory for it cannot be had.
    NoMemory,
    /// Its header says of no peer that it was meant for it.
    Astray,
    /// It has arrived, and no topic is subscribed to that it begins with.
    Unsubscribed,
    /// It has arrived over more hops than are allowed.
    Hops,
    /// It has arrived without what its type has in front.
    Malformed,
    /// It has arrived, and answers what nobody asks any more; or a newer one of its topic has come
    /// for one who wants no other.
    Stale,
}

impl Loss {
    pub const COUNT: usize = Loss::Stale as usize + 1;

    pub const ALL: [Loss; Loss::COUNT] = [
        Loss::Busy,
        Loss::NoMemory,
        Loss::Astray,
        Loss::Unsubscribed,
        Loss::Hops,
        Loss::Malformed,
        Loss::Stale,
    ];
}

/// Whose turn it is among the pipes of a socket, by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priorities {
    pub send: Priority,
    pub recv: Priority,
}

/// What receiving on a pipe has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InTurn {
    pub has_message: bool,
    /// The pipe is to have another turn.
    pub has_next: bool,
}

/// What a machine can do with the pipes of its socket, and what it may know.
pub trait Pipes {
    /// Takes `message` to send it on a pipe that was [`Flow::Ready`]. Says whether the pipe can
    /// take another.
    ///
    /// # Errors
    /// When the pipe is busy or gone, or has no memory; the message is not touched.
    fn send(&mut self, pipe: PipeId, message: &mut Message) -> Result<Flow, Refusal>;

    /// Has memory ready for `message` on a pipe that was [`Flow::Ready`], and for the same on so
    /// many others. That is as far as it goes: who writes meanwhile may take memory along, and
    /// what is large may need more.
    ///
    /// # Errors
    /// As for [`Pipes::send`].
    fn prepare(
        &mut self,
        _pipe: PipeId,
        _others: usize,
        _message: &Message,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    /// Puts the next message that the pipe holds into `message`. False when it holds none.
    ///
    /// What the peer's protocol put in front of the body stands in the header when both are in one
    /// process, else at the front of the body.
    fn recv(&mut self, pipe: PipeId, message: &mut Message) -> bool;

    /// The same for who serves several pipes in turn.
    fn recv_in_turn(&mut self, pipe: PipeId, message: &mut Message) -> InTurn {
        let has_message = self.recv(pipe, message);
        InTurn { has_message, has_next: self.is_readable(pipe) }
    }

    fn flow(&self, pipe: PipeId) -> Flow;

    fn is_readable(&self, pipe: PipeId) -> bool;

    /// The time, for the machines that need it: reading the clock costs as much as all the rest of
    /// a send, so that it is not an argument of every call.
    fn now(&self) -> Instant;

    /// How many hops a request may have made.
    fn hop_limit(&self) -> usize;

    /// How much may wait for one who receives.
    fn recv_limit(&self) -> Limit;

    /// Whether a message for all of several pipes waits until each of them can take it.
    fn drops_nothing(&self) -> bool {
        false
    }

    /// Counts one that has arrived, and that nobody will receive.
    fn count_lost(&mut self, _pipe: PipeId, _why: Loss) {}

    /// Counts messages that were accepted and then had nowhere to go.
    fn count_dropped(&mut self, count: usize, why: Loss);

    /// The same for one message, where the peer is known on whose account it is lost.
    fn count_dropped_of(&mut self, _pipe: PipeId, why: Loss) {
        self.count_dropped(1, why);
    }

    /// Counts for a peer what it has missed of what was for everybody, which has been counted for
    /// the socket already.
    fn count_missed(&mut self, _pipe: PipeId, _count: u64) {}

    /// Something has happened to a branch of the socket that it has not asked for.
    fn tell_branch(&mut self, _branch: BranchId) {}

    /// For the machine of a branch: asks that of the socket. Nobody is asked when the socket is of
    /// no use any more.
    fn on_trunk(&mut self, _ask: &mut dyn FnMut(&mut dyn Branches, &mut dyn Pipes)) {}

    /// For the machine of a branch: what that of the socket says the branch can do now.
    fn trunk_says(&self, _branch: BranchId) -> Readiness {
        Readiness::default()
    }
}

/// The behaviour of a socket type. Called under the socket's lock, so everything is short.
///
/// Messages are handed over by reference: one is as big as two cache lines, and moving it through
/// every layer would cost more than all the rest. Who sends leaves the message behind if it is
/// taken, and still has it if it is not.
pub trait Protocol: Send {
    /// Whether another pipe would be taken.
    fn wants_pipe(&self) -> bool {
        true
    }

    /// A connection is about to become a pipe. It can be used when [`Protocol::pipe_writable`] or
    /// [`Protocol::pipe_readable`] says so.
    ///
    /// # Errors
    /// When the socket does not want it.
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected>;

    /// Whether the machine wants to hear of each pipe that is added from now on what
    /// [`Protocol::pipe_readable`] and [`Protocol::pipe_writable`] say. One that looks for itself
    /// saves the lock.
    fn follows_pipes(&self) -> bool {
        true
    }

    /// Whether messages are taken as they come, be there a caller who wants one or not.
    fn takes_at_once(&self) -> bool {
        false
    }

    /// A message is there where none was. It may have been taken meanwhile.
    fn pipe_readable(&mut self, _pipe: PipeId, _pipes: &mut dyn Pipes) {}

    /// Another message can be sent where none could. It may have been sent meanwhile.
    fn pipe_writable(&mut self, _pipe: PipeId, _pipes: &mut dyn Pipes) {}

    /// The peer broke the rules, or sent more than it may; [`Protocol::pipe_ended`] follows.
    fn pipe_violated(&mut self, _pipe: PipeId) {}

    /// The peer is gone: nothing can be sent any more, and nothing will arrive beyond what the
    /// pipe still holds. [`Protocol::remove_pipe`] follows when that has been taken.
    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes);

    /// The pipe, which has ended, does not exist any more.
    fn remove_pipe(&mut self, pipe: PipeId);

    /// Takes `message` and sends it.
    ///
    /// # Errors
    /// When it cannot be sent now; the message is not touched.
    fn send(&mut self, _message: &mut Message, _pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        Err(Refusal::Busy)
    }

    /// Puts the next message into `message`.
    ///
    /// # Errors
    /// When there is nothing to receive.
    fn recv(&mut self, _message: &mut Message, _pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        Err(Nothing::Yet)
    }

    fn readiness(&self, pipes: &dyn Pipes) -> Readiness;

    /// When [`Protocol::timeout`] is to be called. It may have become later by then.
    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// The time for something may be over.
    fn timeout(&mut self, _pipes: &mut dyn Pipes) {}

    /// Sets an option of the socket type. `None` is a null pointer of no length.
    ///
    /// # Errors
    /// `UnknownOption`, `Invalid`, `OutOfMemory`.
    fn set_option(&mut self, _option: i32, _value: Option<&[u8]>) -> Result<(), Error> {
        Err(Error::UnknownOption)
    }

    /// Whether an option that has been set, of the socket or of a branch, leaves something to be
    /// done with the pipes.
    fn owes_after_option(&self) -> bool {
        false
    }

    /// Does it.
    fn option_set(&mut self, _pipes: &mut dyn Pipes) {}

    /// # Errors
    /// `UnknownOption` when there is none, or when it cannot be read.
    fn option(&self, _option: i32) -> Result<i32, Error> {
        Err(Error::UnknownOption)
    }

    /// What the machine does for branches, where its type can have some.
    fn branches(&mut self) -> Option<&mut dyn Branches> {
        None
    }

    /// Somebody is about to look at the figures of the peers: what is not counted yet is now.
    fn account(&mut self, _pipes: &mut dyn Pipes) {}

    /// For the machine of a branch: that of the socket has told of it.
    fn trunk_changed(&mut self, _pipes: &mut dyn Pipes) {}

    /// The best priority of those that could be sent to, when that last changed.
    fn send_priority(&self) -> SendPriority {
        SendPriority::Unknown
    }
}

/// What is known of the priority that is sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendPriority {
    /// Nothing: there was no peer yet, or the type has no priorities for sending.
    #[default]
    Unknown,
    Some(Priority),
    /// The last peer has gone.
    Gone,
}

/// What a socket type is called, whom it talks to, and how it is made.
pub struct SocketType {
    /// The number on the wire and in the C interface.
    pub number: u16,
    /// What wires call it that want a name.
    pub name: &'static str,
    /// The only type of peer.
    pub peer: &'static SocketType,
    pub can_send: bool,
    pub can_recv: bool,
    pub when_busy: WhenBusy,
    /// What is sent goes to one pipe at once, or is dropped or left with its sender: the machine
    /// keeps none of it beyond the call.
    pub hands_on: bool,
    /// What it sends answers somebody who would ask again if no answer came.
    pub answers_for_sure: bool,
    /// What a pipe has received is given to whoever receives next as it is, and nothing else is
    /// done with it.
    pub hands_out: bool,
    /// A peer need not say what it is, where the wire leaves that to it.
    pub accepts_nameless_peers: bool,
    pub cooked: fn(Seed) -> Box<dyn Protocol>,
    pub raw: fn(Seed) -> Box<dyn Protocol>,
}

/// What becomes of a message when a pipe that it is meant for is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// It waits.
    Waits,
    /// It is lost.
    Drops,
    /// It is lost, or it waits where [`Pipes::drops_nothing`].
    DropsOrWaits,
}

impl WhenBusy {
    #[must_use]
    pub fn drops(self) -> bool {
        self != WhenBusy::Waits
    }
}

/// What makes one socket's numbers differ from another's.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// Different for each socket of the process.
    pub serial: u32,
    /// Nobody can foresee it.
    pub random: u32,
}

/// The socket type with this number, if there is one.
#[must_use]
pub fn socket_type(number: i32) -> Option<&'static SocketType> {
    SOCKET_TYPES.into_iter().find(|known| i32::from(known.number) == number)
}

/// Every socket type there is.
pub static SOCKET_TYPES: [&SocketType; 10] = [
    &pair::PAIR,
    &pubsub::PUB,
    &pubsub::SUB,
    &reqrep::REQ,
    &reqrep::REP,
    &pipeline::PUSH,
    &pipeline::PULL,
    &survey::SURVEYOR,
    &survey::RESPONDENT,
    &bus::BUS,
];

/// Options of socket types, at the level that has the type's number; `ffi/options.rs` holds them
/// to the headers.
pub mod option {
    pub const SUB_SUBSCRIBE: i32 = 1;
    pub const SUB_UNSUBSCRIBE: i32 = 2;
    pub const SUB_LAST: i32 = 0x5350_0021;
    pub const REQ_RESEND_INTERVAL: i32 = 1;
    pub const REQ_RESEND_ON_LOSS: i32 = 0x5350_0020;
    pub const SURVEYOR_DEADLINE: i32 = 1;
    pub const PAIR_MANY: i32 = 0x5350_0010;
}

/// A number of milliseconds from a value of an option.
fn milliseconds(value: Option<&[u8]>) -> Result<i32, Error> {
    int(value)
}

/// A number from a value of an option.
fn int(value: Option<&[u8]>) -> Result<i32, Error> {
    let bytes = value.and_then(|value| value.try_into().ok()).ok_or(Error::Invalid)?;
    Ok(i32::from_ne_bytes(bytes))
}

fn flag(value: Option<&[u8]>) -> Result<bool, Error> {
    match int(value)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::Invalid),
    }
}

/// Messages that one call may drop before it lets others have the lock.
const DISCARDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_its_peers_peer() {
        for own in SOCKET_TYPES {
            let peer = own.peer;
            assert_eq!(peer.peer.number, own.number);
            assert_eq!((peer.can_send, peer.can_recv), (own.can_recv, own.can_send));
        }
    }
}
