//! The seam below reading and writing: what carries the bytes of a connection.
//!
//! Today that is a stream of the kernel. What puts something between, such as encryption, stands
//! in its place without the reader, the writer and the framings taking notice.

use std::io::{self, IoSlice};

use crate::message::Chunk;
use crate::sys::Read;

/// Where bytes come from. Nothing here waits.
pub trait Source {
    /// Reads into the spare room of a chunk first, as far as is said, then into `rest`.
    fn read(&self, place: Option<(&mut Chunk, usize)>, rest: &mut [u8]) -> Read;
}

/// Where bytes are written. Nothing here waits.
pub trait Sink {
    /// Says how many bytes it took: 0 when it is full.
    ///
    /// # Errors
    /// When the stream is broken.
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

#[cfg(not(loom))]
pub use os::ByteStream;

#[cfg(not(loom))]
mod os {
    use std::net::SocketAddr;
    use std::os::fd::{AsRawFd, RawFd};

    use super::{Chunk, IoSlice, Read, Sink, Source, io};
    use crate::sys::{Credentials, OsStream};

    /// Bytes in both directions, between us and one peer.
    pub trait ByteStream: Source + Sink + Send + Sync {
        /// What becomes readable and writable with it.
        fn descriptor(&self) -> RawFd;

        /// Ends our direction; what was written before still reaches the peer.
        fn end(&self);

        /// Ends both directions: whoever waits for the descriptor wakes up.
        fn break_off(&self);

        /// Reads and forgets what has arrived, up to a bound.
        fn discard_input(&self);

        /// Bytes written of which nobody knows yet that they have arrived.
        fn unacknowledged(&self) -> usize;

        /// Why it broke, if it did.
        fn failure(&self) -> Option<io::Error>;

        fn peer_address(&self) -> Option<SocketAddr>;

        fn peer_credentials(&self) -> Option<Credentials>;
    }

    impl Source for OsStream {
        fn read(&self, place: Option<(&mut Chunk, usize)>, rest: &mut [u8]) -> Read {
            OsStream::read(self, place, rest)
        }
    }

    impl Sink for OsStream {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            OsStream::write(self, parts)
        }
    }

    impl ByteStream for OsStream {
        fn descriptor(&self) -> RawFd {
            self.as_raw_fd()
        }

        fn end(&self) {
            OsStream::end(self);
        }

        fn break_off(&self) {
            OsStream::break_off(self);
        }

        fn discard_input(&self) {
            OsStream::discard_input(self);
        }

        fn unacknowledged(&self) -> usize {
            OsStream::unacknowledged(self)
        }

        fn failure(&self) -> Option<io::Error> {
            OsStream::failure(self)
        }

        fn peer_address(&self) -> Option<SocketAddr> {
            OsStream::peer_address(self)
        }

        fn peer_credentials(&self) -> Option<Credentials> {
            OsStream::peer_credentials(self)
        }
    }
}
