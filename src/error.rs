//! Why a public call failed. Names only: the numbers that C sees live in `ffi/errno.rs`.

use crate::memory::OutOfMemory;

/// The reason that a caller is given. A peer's mistake never becomes one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The handle names no open socket, or the socket is being closed.
    NotOpen,
    /// The library was terminated; no socket can be opened any more.
    Terminated,
    /// The domain is neither cooked nor raw.
    UnknownDomain,
    /// An argument has a value that is not allowed.
    Invalid,
    /// An address, or a text of options, is not written as it has to be, because of this part.
    Malformed(Part),
    /// A pointer is null where memory is needed, or points to something that is not ours.
    BadPointer,
    /// No further socket or descriptor can be had.
    TooManySockets,
    /// Memory for a message or an object cannot be had.
    OutOfMemory,
    /// The level and option name nothing that this socket has.
    UnknownOption,
    /// The address is longer than addresses may be.
    NameTooLong,
    /// The scheme names no transport.
    UnknownTransport,
    /// It names one that is encrypted, and the library that encrypts is not installed.
    NoEncryption,
    /// What encrypts cannot be set up with what it is to show or to trust: of which of that, and
    /// what is wrong with it, as the machine numbers them; and for which reason of the kernel.
    Unusable { setting: u8, flaw: u8, code: SystemCode },
    /// The interface part of an address names no local interface.
    NoDevice,
    /// Somebody else is bound to the address.
    AddressInUse,
    /// The socket type cannot do this, or this library cannot do it yet.
    NotSupported,
    /// The protocol's state does not allow the operation now.
    WrongState,
    /// The operation cannot proceed and the caller does not wish to wait.
    WouldBlock,
    /// The operation could not proceed within its timeout.
    TimedOut,
    /// The peer that was to answer has gone.
    PeerLost,
    /// A signal handler ran while the caller waited.
    Interrupted,
    /// There is no peer of that number, or it has gone.
    NoPeer,
    /// A count or a size is beyond what the interface can express.
    TooLong,
    /// A system call failed, for the reason that the kernel gave.
    System(SystemCode),
}

/// A part of a text that is not what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands in front of `://`, or that itself.
    Scheme,
    /// Behind the last colon.
    Port,
    /// Whom to connect to.
    Host,
    /// The same, and it would do if `NN_IPV4ONLY` were off.
    Family,
    /// What a WebSocket asks for.
    Path,
    /// What ipc calls a file, or a place without one.
    Name,
    /// Of a list of networks, the one at that place: its address, its number of bits, or bits of it
    /// that no network has; or how many there are.
    Network(u8),
    NetworkBits(u8),
    NetworkHost(u8),
    NetworkCount,
    /// Of the headers of a WebSocket, the line at that place, or its name; or how many there are.
    Header(u8),
    HeaderName(u8),
    HeaderCount,
}

/// Why a message is not taken, from a connection's queue up to the caller. It stays where it is,
/// whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody can take it now; wait.
    Busy,
    /// The same for want of memory, which may be had when something has been written.
    BusyForMemory,
    /// Somebody could, but memory cannot be had.
    NoMemory,
    /// Nothing may be sent before something has been received.
    WrongState,
    /// The caller gave it a header that this type cannot send, or did not say whom it is for.
    Header,
    /// The peer that it is for is not there.
    NoPeer,
}

/// A connection does not become a pipe: the socket does not want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected;

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Error {
        Error::OutOfMemory
    }
}

impl From<OutOfMemory> for Refusal {
    fn from(_: OutOfMemory) -> Refusal {
        Refusal::NoMemory
    }
}

impl From<OutOfMemory> for Rejected {
    fn from(_: OutOfMemory) -> Rejected {
        Rejected
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Busy | Refusal::BusyForMemory => Error::WouldBlock,
            Refusal::NoMemory => Error::OutOfMemory,
            Refusal::WrongState => Error::WrongState,
            Refusal::Header => Error::Invalid,
            Refusal::NoPeer => Error::NoPeer,
        }
    }
}

/// The kernel's own code for a failed system call. Only `sys/` makes it, only `ffi/` opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemCode(pub i32);

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::OutOfMemory => Error::OutOfMemory,
            std::io::ErrorKind::AddrInUse => Error::AddressInUse,
            std::io::ErrorKind::InvalidInput => Error::Invalid,
            _ => match error.raw_os_error() {
                Some(code) => Error::System(SystemCode(code)),
                None => Error::Invalid,
            },
        }
    }
}
