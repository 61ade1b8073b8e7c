//! How bytes become messages. A transport makes connections; a connection carries messages.
//!
//! A connection is called in two ways. Under its socket's lock it only moves messages between
//! queues in memory ([`Connection::send`], [`Connection::recv`]). System calls and calls up
//! happen in [`Connection::deliver`], [`Connection::resume`] and [`Stream::pump`], when no lock is
//! held.

mod address;
mod adoption;
mod bounds;
mod fault;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod guard;
mod inproc;
mod ipc;
mod load;
mod options;
mod outcome;
mod pace;
mod sp;
mod stream;
#[cfg(test)]
mod suite;
mod tcp;
mod tls;
mod ws;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use adoption::{Adoption, Keepsake, Role};
pub use bounds::{Bounds, RoomWanted, WhenFull};
pub use fault::{Fault, TlsFault};
pub use guard::{Guard, Networks, Visitor};
pub use ipc::option as ipc_option;
pub use load::{Backup, Load, ReadBy, Stamp};
pub use options::{Len, NETWORKS, ROWS, Row, Secrecy, TABLES, TEXTS, Table, Text, Unit, Values};
pub use outcome::{AfterRecv, AfterSend, Next, Received, Sent};
pub use pace::{Moment, with_rhythm};
pub use stream::Parting;
pub use tcp::option as tcp_option;
#[cfg(all(feature = "tls-fuzzing", any(test, fuzzing)))]
pub use tls::fuzzing as tls_fuzzing;
pub use tls::option as tls_option;
pub use ws::Kind as MessageKind;
pub use ws::label as message_label;
pub use ws::option as ws_option;

pub use crate::error::Rejected;

use crate::error::{Error, Refusal};
use crate::io::Reactor;
use crate::memory::{OutOfMemory, Wiped};
use crate::message::{Landing, Limit, Message};
use crate::sys::{Credentials, Tuning};
use crate::trace::Happening;

/// One way of moving bytes, known by the scheme of its addresses.
pub trait Transport: Sync {
    fn scheme(&self) -> &'static str;

    /// Listens at `address`, the part behind `://`.
    ///
    /// # Errors
    /// When the address is malformed or cannot be had.
    fn bind(
        &self,
        address: &[u8],
        dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error>;

    /// Will connect to `address`, for as long as the endpoint lives.
    ///
    /// # Errors
    /// When the address is malformed; whether somebody is there does not matter.
    fn connect(
        &self,
        address: &[u8],
        dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error>;
}

/// Which addresses are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Those of the reference, in its meaning.
    Reference,
    /// Also port 0 to bind to any free port, and names of ipc that are no files.
    Extended,
}

/// Every transport there is, under each of its schemes.
pub static TRANSPORTS: [&dyn Transport; 7] =
    [&inproc::Inproc, &ipc::IPC, &tcp::Tcp, &ws::Ws, &ipc::UNIX, &tls::TlsTcp, &tls::Wss];

/// Puts in its place what was read anew.
pub type Renewal<'a> = Box<dyn FnOnce() + 'a>;

/// A listener or dialer of a transport.
pub trait Maker: Send + Sync {
    /// Begins to make connections. From now on its owner hears of them, and tells it of losses.
    fn start(&self);

    /// Makes no further connection, and gives the address up before it returns.
    fn close(&self);

    /// A connection that this endpoint made is gone.
    fn connection_lost(&self, parting: Parting);

    /// The socket may want a connection that it rejected before.
    fn retry(&self) {}

    /// Reads anew what connections show and believe that are made once the result is called.
    ///
    /// # Errors
    /// When that cannot be had.
    fn renew(&self) -> Result<Renewal<'_>, Error> {
        Ok(Box::new(|| ()))
    }

    /// Where it listens, as far as the kernel decided about it: the part behind `://`.
    fn address(&self) -> Option<&[u8]> {
        None
    }
}

/// What a transport needs of the endpoint's owner above it.
pub trait Host: Send + Sync {
    /// # Errors
    /// When the reactor's thread or descriptors cannot be had.
    fn reactor(&self) -> io::Result<Arc<Reactor>>;

    fn settings(&self) -> Settings;

    /// Whether somebody wants to know what peers say besides, when they greet.
    fn wants_headers(&self) -> bool {
        false
    }

    /// Whom a listener that is made now lets in.
    fn guard(&self) -> Guard {
        Guard::default()
    }

    /// What an option is set to that is a text; empty where it is not set.
    ///
    /// # Errors
    /// When memory for it cannot be had.
    fn text(&self, _option: &Text) -> Result<Wiped, OutOfMemory> {
        Ok(Wiped::default())
    }

    /// The largest payload that a peer may send, where there is a limit.
    fn size_max(&self) -> Option<u64>;

    /// The type that the own socket announces, and the only one it accepts.
    fn own_type(&self) -> TypeTag;
    fn peer_type(&self) -> TypeTag;

    fn if_nameless(&self) -> IfNameless;

    /// Whether all that is sent answers somebody who would ask again if no answer came.
    fn answers_for_sure(&self) -> bool {
        false
    }

    /// The number of the socket type that wires call so, if there is one.
    fn type_number(&self, _name: &str) -> Option<u16> {
        None
    }

    /// The number of the one that talks to that.
    fn fitting_number(&self, _name: &str) -> Option<u16> {
        None
    }

    /// Here is a connection; the host becomes an owner of it, and calls [`Connection::adopt`].
    ///
    /// # Errors
    /// When the socket does not want it.
    fn attach(&self, connection: Arc<dyn Connection>) -> Result<(), Rejected>;

    /// Whether [`Host::attach`] would succeed now.
    fn is_wanting(&self) -> bool;

    /// Whether so much of peers that have gone is to be received yet that others are to wait where
    /// they send nothing. It is not wanting then, either, and [`Maker::retry`] tells when it is.
    fn is_behind(&self) -> bool;

    /// Whether a thread of the socket waits in the kernel for messages to arrive.
    fn is_awaited(&self) -> bool {
        false
    }

    fn report(&self, event: Report);

    /// Something that nobody but a trace tells, about a peer if the kernel gives it an address.
    /// Ask [`crate::trace::is_on`] before the details are costly.
    fn trace(&self, _event: Happening, _peer: Option<SocketAddr>, _details: fmt::Arguments<'_>) {}

    /// A bug was found in what the endpoint or one of its connections did: the
    /// socket is of no use any more.
    fn broken(&self);
}

/// What a type of sockets is called on wires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeTag {
    pub number: u16,
    pub name: &'static str,
}

/// What becomes of a peer that does not say what it is, where the wire leaves that to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfNameless {
    Accept,
    Refuse,
}

/// Something that statistics count or that the user may want to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// An attempt to connect begins.
    Connecting,
    /// It led to an OS connection, or to an inproc pair.
    Established,
    /// It did not.
    ConnectFailed(Fault),
    /// An attempt was given up because the endpoint closes.
    ConnectAbandoned,
    Accepted,
    AcceptFailed(Error),
    /// A connection ended because the peer left or misbehaved, or because it was rejected.
    Broken,
    /// A connection ended because we closed its endpoint.
    Dropped,
    /// Why a stream was given up before it was a connection. No statistic counts it.
    HandshakeFailed {
        peer: Option<SocketAddr>,
        fault: Option<Fault>,
    },
    /// The socket does not want this one. No statistic counts it.
    Rejected {
        peer: Option<SocketAddr>,
    },
    /// Somebody came who may not, for what the kernel knows of him.
    TurnedAway {
        peer: Option<SocketAddr>,
        fault: Fault,
    },
}

/// Options of a socket as they are at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub send_buffer: usize,
    /// Bytes that may wait for the kernel to take them.
    pub send_budget: usize,
    pub recv_buffer: usize,
    /// How many messages may wait instead of so many bytes; 0 where bytes are counted.
    pub send_messages: usize,
    pub recv_messages: usize,
    pub when_full: WhenFull,
    /// What the kernel's buffers may grow to with big messages, where nobody has said how large
    /// they are to be.
    pub send_buffer_grown: Option<u32>,
    pub recv_buffer_grown: Option<u32>,
    pub reconnect_interval: std::time::Duration,
    pub reconnect_interval_max: std::time::Duration,
    pub ipv4_only: bool,
    /// What each transport asks for besides; only that transport knows what it means.
    pub values: Values,
}

impl Settings {
    /// What may wait for the kernel to take it.
    #[must_use]
    pub fn send_bounds(&self) -> Bounds {
        let limit = Limit::of(self.send_messages, self.send_budget);
        Bounds { limit, when_full: self.when_full }
    }

    /// What may wait for the application to receive it.
    #[must_use]
    pub fn recv_limit(&self) -> Limit {
        Limit::of(self.recv_messages, self.recv_buffer)
    }

    /// What may wait between this socket and one that has these, where nothing else is between.
    #[must_use]
    pub fn bounds_to(&self, receiver: &Settings) -> Bounds {
        let messages = self.send_messages.saturating_add(receiver.recv_messages);
        Bounds { limit: Limit::of(messages, receiver.recv_buffer), when_full: self.when_full }
    }
}

impl From<&Settings> for Tuning {
    fn from(settings: &Settings) -> Tuning {
        Tuning {
            send_buffer: settings.send_buffer,
            recv_buffer: settings.recv_buffer,
            keepalive: tcp::option::keepalive(settings),
        }
    }
}

/// Messages over a stream after its handshake, or one side of an inproc link.
pub trait Connection: Send + Sync {
    /// Tells the connection whom to call about news from now on.
    fn adopt(&self, adopter: Box<dyn Adopter>);

    /// Takes `message` to be sent. Under the socket's lock.
    ///
    /// # Errors
    /// `Busy` when it is full or has come to its end, `NoMemory`; the message is not touched.
    fn send(&self, message: &mut Message) -> Result<Sent, Refusal>;

    /// Has memory ready for `message`, as far as it goes: who writes, or receives at the other end,
    /// may take some of it along. Under the socket's lock.
    ///
    /// # Errors
    /// As for [`Connection::send`].
    fn prepare(&self, message: &Message) -> Result<(), Refusal>;

    /// Puts the next message that has arrived into `message`. Under the socket's lock.
    fn recv(&self, message: &mut Message) -> Received;

    fn is_readable(&self) -> bool;

    /// Bytes that have arrived and nobody has received, about.
    fn held(&self) -> usize;

    /// What has passed over it, and what waits. Under the socket's lock or none.
    fn load(&self) -> Load;

    fn can_send(&self) -> bool;

    /// Does what a send left to do: writes, or tells the peer. Under no lock.
    fn deliver(&self);

    /// How many messages have been thrown away for newer ones since this was last asked.
    fn take_displaced(&self) -> usize {
        0
    }

    /// Whether it would make use of a body that is only lent, and has not to copy it.
    fn takes_loans(&self) -> bool {
        false
    }

    /// Whether a body that is lent is read by this process, and not by the kernel, which says so
    /// where nothing is.
    fn reads_loans(&self) -> bool {
        false
    }

    /// Does what [`Connection::deliver`] does. Of the body that was lent nothing is used behind
    /// this: what is left of it is copied.
    ///
    /// # Errors
    /// When it is not sent, because it cannot be read, or because memory for what is left of it
    /// cannot be had.
    fn deliver_lent(&self) -> Result<(), Error> {
        self.deliver();
        Ok(())
    }

    /// Does what a receive left to do now that there is room: reads on, or tells the peer. Under no
    /// lock.
    fn resume(&self);

    /// Whether several messages of that size find room here at the same time. Under no lock.
    fn holds_several(&self, _size: usize) -> bool {
        true
    }

    /// A caller is about to sleep until another message can be sent, and soon looks again by
    /// himself: he need not be told before there is so much room. False when he is told of any.
    /// Under no lock.
    fn begin_patience(&self, _: RoomWanted) -> bool {
        false
    }

    /// He sleeps no more, and has everybody told of what room there is. Under no lock.
    fn end_patience(&self) {}

    /// The stream below, if there is one: an inproc link has none.
    fn stream(&self) -> Option<&dyn Stream> {
        None
    }

    /// Ends it. What the kernel has still reaches the peer; `deadline` bounds what is done to
    /// make sure of that.
    fn close(&self, deadline: Instant);
}

/// The bytes below a connection's messages, and who moves them.
pub trait Stream {
    /// What to wait for.
    fn descriptor(&self) -> RawFd;

    /// Reads what the kernel has, about one buffer full, or a big message into a caller's memory.
    /// Under no lock.
    fn pump(&self, landing: Option<&Landing>);

    /// What has landed in memory of the calling thread, and is not received, is moved elsewhere.
    fn reclaim(&self);

    /// Has the reactor read whatever arrives from now on, whoever else may read, too.
    fn read_in_background(&self);

    /// Sees to it that what was gathered is written soon, whatever the caller does next.
    fn write_later(&self);

    /// Writes what was gathered, if nobody else does. Under no lock.
    fn write_out(&self);

    /// The same, and nobody is told of what that leads to.
    fn drain(&self);

    /// Whether all that [`Stream::drain`] and [`Stream::finish`] need can be had. What a thread has
    /// locked that never runs again, because it is in exit(3), cannot.
    fn is_within_reach(&self, patience: Duration) -> bool;

    /// Ends our direction. What the kernel has still reaches the peer; `deadline` bounds what is
    /// done to make sure of that.
    fn finish(&self, deadline: Instant);

    /// Whether something accepted has not reached the kernel, or waits there for more.
    fn has_unwritten(&self) -> bool;

    /// A caller waits from now on until the kernel takes more, and writes then.
    fn begin_driving(&self);

    /// The caller waits no more.
    fn end_driving(&self);

    /// Where the peer is, if the kernel gives it an address of its own.
    fn peer_address(&self) -> Option<SocketAddr>;

    /// Who the peer is, if the kernel knows.
    fn peer_credentials(&self) -> Option<Credentials>;

    /// What the peer has said besides when it greeted, where somebody wanted to know that.
    fn peer_headers(&self) -> Option<&[u8]> {
        None
    }

    /// Whom the certificate is for that the peer has shown, if it has: lines of text.
    fn peer_certificate(&self) -> Option<&[u8]> {
        None
    }

    /// What went wrong with a stream that has ended.
    fn fault(&self) -> Option<Fault>;

    /// What was said about connecting again when it ended.
    fn parting(&self) -> Parting;
}

/// What a connection tells its socket. Called under no lock.
pub trait Adopter: Send + Sync {
    /// A message is there where none was.
    fn readable(&self);
    /// Another message can be sent where none could.
    fn writable(&self);
    /// The connection comes to nothing before any message was sent on it. May be called under
    /// the lock of inproc's names.
    fn withdrawn(&self);
    /// So many messages that were taken to be sent have been thrown away for newer ones.
    fn displaced(&self, count: usize);
    /// Whether a thread waits in the kernel for messages to arrive.
    fn is_awaited(&self) -> bool;
    /// The peer is gone. What has arrived can still be received.
    fn ended(&self);
}
