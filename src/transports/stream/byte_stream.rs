//! The seam below reading and writing: what carries the bytes of a connection.
//!
//! That is a stream of the kernel. What puts something between, such as encryption, stands in its
//! place without the writer and the framings taking notice.

use std::io::{self, IoSlice};

use crate::message::Room;
use crate::sys::Read;

/// Where bytes come from. Nothing here waits.
pub trait Source {
    /// Reads into `room` first, then into `rest`.
    fn read(&self, room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read;

    /// Whether bytes wait here of which the kernel knows nothing, and whose coming it will not
    /// report. That may only be when a read has filled all the room that it was given.
    fn holds(&self) -> bool {
        false
    }
}

/// Where bytes are written. Nothing here waits.
pub trait Sink {
    /// Says how many bytes it took: 0 when it is full.
    ///
    /// # Errors
    /// [`UNREADABLE`], or when the stream is broken.
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Has what it takes from now on wait for more, if it can.
    fn keep(&self) {}

    /// Has it go out.
    fn release(&self) {}

    /// Whether there are bytes where the application says so.
    fn has_bytes(&self, _bytes: &[u8]) -> bool {
        true
    }

    /// Whether the byte behind those that it said it took is on its way, too, so that no other may
    /// take its place.
    fn is_ahead(&self) -> bool {
        false
    }
}

/// The first bytes to be written cannot be read: an application has said that they are there.
pub const UNREADABLE: io::ErrorKind = io::ErrorKind::InvalidData;

#[cfg(not(loom))]
pub use os::{Awaits, ByteStream};

#[cfg(not(loom))]
mod os {
    use std::net::SocketAddr;
    use std::os::fd::{AsRawFd, RawFd};
    use std::time::Duration;

    use super::super::attended::Attention;
    use super::{IoSlice, Read, Room, Sink, Source, io};
    use crate::sys::{Credentials, OsStream, is_mapped, is_writable_within};
    use crate::transports::Fault;

    /// What a stream waits for that has a greeting of its own, below that of its users.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Awaits {
        /// It takes what is written.
        Nothing,
        /// Its peer, before which it takes nothing.
        Peer,
        /// The kernel, which has not taken what it has to say itself. A write of nothing says it.
        Room,
    }

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

        /// Has the kernel take that much before it is full, if it can.
        fn set_send_buffer(&self, size: u32);

        /// Has the kernel keep that much of what has not been read, if it can.
        fn set_recv_buffer(&self, size: u32);

        /// Bytes written of which nobody knows yet that they have arrived.
        fn unacknowledged(&self) -> usize;

        /// Why it broke, if it did.
        fn failure(&self) -> Option<io::Error>;

        /// The same, or what is wrong with what lies between.
        fn fault(&self) -> Option<Fault> {
            self.failure().map(|error| Fault::System(error.into()))
        }

        /// That in the words of who has found it, for a trace.
        fn complaint(&self) -> Option<String> {
            None
        }

        fn awaits(&self) -> Awaits {
            Awaits::Nothing
        }

        /// How long its own greeting may take.
        fn greeting_time(&self) -> Duration {
            Duration::ZERO
        }

        /// Whether what is written is read here, and not by the kernel: where an application says
        /// that bytes are, there may be none.
        fn reads_bytes(&self) -> bool {
            false
        }

        /// Waits until more can be written, for so long at most. False when it cannot by then.
        fn await_room(&self, _limit: Duration) -> bool {
            false
        }

        /// Whether nobody holds a lock of this for so long that he may be gone.
        fn is_within_reach(&self, _patience: Duration) -> bool {
            true
        }

        /// Whether what is written may wait in the kernel for more: see [`Sink::keep`].
        fn can_wait(&self) -> bool {
            false
        }

        fn peer_address(&self) -> Option<SocketAddr>;

        fn peer_credentials(&self) -> Option<Credentials>;

        /// What the peer has said besides when it greeted, where somebody wanted to know that.
        fn peer_headers(&self) -> Option<&[u8]> {
            None
        }

        /// Whom the certificate is for that the peer has shown, if it has: lines of text.
        fn peer_certificate(&self) -> Option<&[u8]> {
            None
        }

        /// What attends to the silence of the peer, where somebody wants that.
        fn attention(&self) -> Option<&Attention> {
            None
        }
    }

    impl Source for OsStream {
        fn read(&self, room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
            OsStream::read(self, room, rest)
        }
    }

    impl Sink for OsStream {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            OsStream::write(self, parts)
        }

        fn keep(&self) {
            OsStream::keep(self);
        }

        fn release(&self) {
            OsStream::release(self);
        }

        fn has_bytes(&self, bytes: &[u8]) -> bool {
            is_mapped(bytes)
        }
    }

    impl ByteStream for OsStream {
        fn descriptor(&self) -> RawFd {
            self.as_raw_fd()
        }

        fn end(&self) {
            OsStream::end(self);
        }

        fn set_send_buffer(&self, size: u32) {
            OsStream::set_send_buffer(self, size);
        }

        fn set_recv_buffer(&self, size: u32) {
            OsStream::set_recv_buffer(self, size);
        }

        fn await_room(&self, limit: Duration) -> bool {
            is_writable_within(self.as_raw_fd(), limit)
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

        fn can_wait(&self) -> bool {
            OsStream::can_wait(self)
        }

        fn peer_address(&self) -> Option<SocketAddr> {
            OsStream::peer_address(self)
        }

        fn peer_credentials(&self) -> Option<Credentials> {
            OsStream::peer_credentials(self)
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sys::OsStream;
    use std::os::fd::AsRawFd;

    /// What a connection sees of a stream of the kernel.
    fn seen(stream: &OsStream) -> &dyn ByteStream {
        stream
    }

    #[test]
    fn a_stream_of_the_kernel_is_one_in_every_respect() {
        let (own, peer) = OsStream::pair();
        let (here, there) = (seen(&own), seen(&peer));
        assert_eq!((here.descriptor(), here.peer_address()), (own.as_raw_fd(), None));
        assert_eq!(here.peer_credentials(), own.peer_credentials());
        assert!(here.peer_credentials().is_some());
        assert_eq!(here.write(&[IoSlice::new(b"ab"), IoSlice::new(b"cdef")]).unwrap(), 6);
        assert!(here.unacknowledged() > 0);
        let (mut chunk, mut rest) = (crate::message::Chunk::with_capacity(8).unwrap(), [0; 3]);
        assert_eq!(chunk.fill(2, |room| there.read(Some(room), &mut rest)), Read::Bytes(5));
        assert_eq!((chunk.as_slice(), &rest), (&b"ab"[..], b"cde"));
        there.discard_input();
        assert_eq!(there.read(None, &mut rest), Read::Nothing);
        assert_eq!(here.unacknowledged(), 0);
        here.end();
        assert_eq!(there.read(None, &mut rest), Read::End);
        assert_eq!(there.write(&[IoSlice::new(b"back")]).unwrap(), 4);
        assert!(there.failure().is_none());
        here.break_off();
        assert!(there.write(&[IoSlice::new(b"x")]).is_err());
        assert!(there.failure().is_some());
    }
}
