//! Byte streams of the kernel: TCP and Unix domain.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use socket2::{MaybeUninitSlice, TcpKeepalive};

use super::address::Family;
use super::cancellation::{Owned, held};
use super::{Address, Read, kernel};
use crate::message::Room;
use crate::sync::{
    atomic::{AtomicBool, AtomicI32, Ordering},
    before_io,
};
#[cfg(portable)]
use kernel::{peer_credentials, unacknowledged};

/// Settings of one connection, as the application left them when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    pub send_buffer: usize,
    pub recv_buffer: usize,
    /// How long an Internet peer may be silent before it is asked whether it is there.
    pub keepalive: Option<Duration>,
}

/// A stream that is connecting or connected.
#[derive(Debug)]
pub struct OsStream {
    inner: Owned<kernel::Socket>,
    family: Family,
    /// Kept, because the kernel forgets it when the stream breaks.
    peer: Option<SocketAddr>,
    /// The code with which it broke; 0 while it has not.
    failure: AtomicI32,
    /// Everything has been read that there ever will be.
    is_at_end: AtomicBool,
}

/// Who opened the other end of a stream inside the machine, when he did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub process: i32,
    pub user: u32,
    pub group: u32,
}

impl OsStream {
    /// One fit for `address`, which is not connected yet.
    pub fn new(address: &Address) -> io::Result<OsStream> {
        let (inner, family) = address.open()?;
        Ok(OsStream::of(inner, family, None))
    }

    pub(super) fn of(inner: kernel::Socket, family: Family, peer: Option<SocketAddr>) -> OsStream {
        OsStream {
            inner: Owned::new(inner),
            family,
            peer,
            failure: AtomicI32::new(0),
            is_at_end: AtomicBool::new(false),
        }
    }

    /// Binds it to a local address, from which it connects then.
    pub fn bind(&self, address: &Address) -> io::Result<()> {
        if self.family == Family::Internet {
            self.inner.set_reuse_address(true)?;
        }
        self.inner.bind(&address.to_kernel()?)
    }

    /// Starts connecting. True when the connection is there at once.
    pub fn connect(&mut self, address: &Address) -> io::Result<bool> {
        before_io();
        self.peer = match address {
            Address::Internet(address) => Some(*address),
            Address::File(_) | Address::Name(_) => None,
        };
        let address = address.to_kernel()?;
        match held(|| self.inner.connect(&address)) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
                // Inside the machine it is mostly there by now, which the next call tells.
                match held(|| self.inner.connect(&address)) {
                    Ok(()) => Ok(true),
                    Err(error) => match error.raw_os_error() {
                        Some(libc::EISCONN) => Ok(true),
                        Some(libc::EALREADY | libc::EINPROGRESS | libc::EINTR) => Ok(false),
                        _ => Err(error),
                    },
                }
            }
            Err(error) => Err(error),
        }
    }

    /// How the connecting that was started has ended.
    pub fn connected(&self) -> io::Result<()> {
        self.inner.take_error()?.map_or(Ok(()), Err)
    }

    /// Best effort: a connection works with other buffer sizes too.
    pub fn tune(&self, tuning: Tuning) {
        let _ = self.inner.set_send_buffer_size(tuning.send_buffer);
        let _ = self.inner.set_recv_buffer_size(tuning.recv_buffer);
        if self.family == Family::Internet
            && let Some(silence) = tuning.keepalive
        {
            let probes = TcpKeepalive::new().with_time(silence).with_interval(silence);
            let _ = self.inner.set_tcp_keepalive(&probes.with_retries(PROBES));
        }
    }

    /// Best effort, as above.
    pub fn set_send_buffer(&self, size: u32) {
        let _ = self.inner.set_send_buffer_size(size as usize);
    }

    /// Likewise.
    pub fn set_recv_buffer(&self, size: u32) {
        let _ = self.inner.set_recv_buffer_size(size as usize);
    }

    /// Writes as much as the kernel takes; 0 when it takes nothing now. Bytes that are not there
    /// are an error of the kind `InvalidData`, which breaks nothing.
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        before_io();
        let flags = NO_SIGNAL | libc::MSG_DONTWAIT;
        loop {
            match kernel::send(&self.inner, parts, flags) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The kernel is short of memory for the moment, not the connection broken.
                Err(error) if is_shortage(&error) => return Ok(0),
                Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                result => return result.inspect_err(|error| self.note_failure(error)),
            }
        }
    }

    /// Whether the kernel can be told to wait for more: see [`OsStream::keep`].
    #[must_use]
    pub fn can_wait(&self) -> bool {
        cfg!(target_os = "linux") && self.family == Family::Internet
    }

    /// What is written from now on waits in the kernel until there is a packet full of it, or
    /// [`OsStream::release`]. If the stream ends before that, it goes out with the end.
    pub fn keep(&self) {
        self.set_waiting(true);
    }

    /// What waits goes out, and so does what is written from now on.
    pub fn release(&self) {
        self.set_waiting(false);
    }

    #[cfg(target_os = "linux")]
    fn set_waiting(&self, waits: bool) {
        before_io();
        let _ = self.inner.set_tcp_cork(waits);
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "only Linux's can wait")]
    fn set_waiting(&self, _waits: bool) {}

    /// Reads into `room` first, then into `rest`.
    pub fn read(&self, room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, and recvmsg only writes valid bytes.
        let rest = unsafe { &mut *(std::ptr::from_mut(rest) as *mut [MaybeUninit<u8>]) };
        let Some(room) = room.filter(|room| room.missing() > 0) else {
            return self.read_parts(&mut [MaybeUninitSlice::new(rest)]);
        };
        let first = MaybeUninitSlice::new(room.spare());
        let read = self.read_parts(&mut [first, MaybeUninitSlice::new(rest)]);
        if let Read::Bytes(count) = read {
            // SAFETY: the kernel fills the first part before it touches the second.
            unsafe { room.advance(count.min(room.missing())) };
        }
        read
    }

    fn read_parts(&self, parts: &mut [MaybeUninitSlice<'_>]) -> Read {
        before_io();
        loop {
            match kernel::receive(&self.inner, parts, libc::MSG_DONTWAIT) {
                Ok(0) => {
                    self.is_at_end.store(true, Ordering::Relaxed);
                    return Read::End;
                }
                Ok(count) => return Read::Bytes(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Read::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_shortage(&error) => return Read::Nothing,
                // Memory of a caller to which the kernel may not write. Only a copy to it raises
                // the signal that he may be prepared for.
                Err(error) if error.raw_os_error() == Some(libc::EFAULT) => return Read::Nothing,
                Err(error) => {
                    self.note_failure(&error);
                    return Read::End;
                }
            }
        }
    }

    /// The first one counts: the others follow from it.
    #[cold]
    fn note_failure(&self, error: &io::Error) {
        let code = error.raw_os_error().unwrap_or_default();
        let _ = self.failure.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Why it broke, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<io::Error> {
        let code = self.failure.load(Ordering::Relaxed);
        (code != 0).then(|| io::Error::from_raw_os_error(code))
    }

    /// Reads and forgets what has arrived, up to a bound. A TCP that is closed with unread input
    /// resets the stream instead of ending it.
    pub fn discard_input(&self) {
        if self.is_at_end.load(Ordering::Relaxed) {
            return;
        }
        let mut buffer = [0; 4096];
        for _ in 0..DISCARDS_MAX {
            if !matches!(self.read(None, &mut buffer), Read::Bytes(_)) {
                return;
            }
        }
    }

    /// The Internet address of the other end.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Who is at the other end, if it is in this machine.
    #[must_use]
    pub fn peer_credentials(&self) -> Option<Credentials> {
        let is_local = self.family == Family::Local;
        is_local.then(|| peer_credentials(self.as_raw_fd())).flatten()
    }

    /// Ends our direction of the stream; what was written before still reaches the peer.
    pub fn end(&self) {
        before_io();
        let _ = self.inner.shutdown(Shutdown::Write);
    }

    /// Nothing more is read: who watches the descriptor is told of the end.
    pub fn end_reading(&self) {
        before_io();
        let _ = self.inner.shutdown(Shutdown::Read);
    }

    /// Ends both directions: whoever waits for the descriptor wakes up.
    pub fn break_off(&self) {
        before_io();
        let _ = self.inner.shutdown(Shutdown::Both);
    }

    /// Bytes written that the peer's kernel has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        unacknowledged(self.as_raw_fd())
    }
}

impl Drop for OsStream {
    fn drop(&mut self) {
        before_io();
    }
}

impl AsRawFd for OsStream {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// No write raises SIGPIPE. Apple's sockets have an option for that, which they get when they are
/// made.
const NO_SIGNAL: libc::c_int = if cfg!(target_vendor = "apple") { 0 } else { libc::MSG_NOSIGNAL };
const DISCARDS_MAX: usize = 256;
/// How many questions a peer may leave without an answer.
const PROBES: u32 = 3;

fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(not(portable))]
fn peer_credentials(descriptor: RawFd) -> Option<Credentials> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    let place = (&raw mut found).cast();
    // SAFETY: the kernel writes at most `len` bytes, which are there.
    let result = unsafe { kernel::getsockopt(descriptor, level, option, place, &raw mut len) };
    let libc::ucred { pid, uid, gid } = found;
    (result == 0).then_some(Credentials { process: pid, user: uid, group: gid })
}

#[cfg(not(portable))]
fn unacknowledged(descriptor: RawFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let result = unsafe { kernel::ioctl(descriptor, libc::TIOCOUTQ, &mut count) };
    if result == 0 { count.max(0) as usize } else { 0 }
}

#[cfg(any(test, fuzzing))]
impl OsStream {
    /// Two connected ones.
    #[must_use]
    pub fn pair() -> (OsStream, OsStream) {
        let (domain, kind) = (socket2::Domain::UNIX, socket2::Type::STREAM);
        let (one, other) = kernel::Socket::pair(domain, kind, None).expect("descriptors are left");
        for end in [&one, &other] {
            end.set_nonblocking(true).expect("a stream need not wait");
        }
        (OsStream::of(one, Family::Local, None), OsStream::of(other, Family::Local, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Landing;
    use crate::sys::{Accepted, OsListener, WaitFor, poll};
    use std::ptr::NonNull;

    fn write(stream: &OsStream, bytes: &[u8]) -> usize {
        stream.write(&[IoSlice::new(bytes)]).unwrap()
    }

    fn await_input(stream: &OsStream) {
        poll(std::iter::once((stream.as_raw_fd(), WaitFor::Readable)), None).unwrap();
    }

    /// Both ends of a TCP connection.
    fn tcp_pair() -> (OsStream, OsStream) {
        let address = Address::Internet(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = OsListener::listening(&address, 10).unwrap();
        let address = Address::Internet(listener.own_address().unwrap());
        let mut own = OsStream::new(&address).unwrap();
        own.connect(&address).unwrap();
        poll(std::iter::once((listener.as_raw_fd(), WaitFor::Readable)), None).unwrap();
        let Ok(Accepted::Connection(peer)) = listener.accept() else { panic!("nobody") };
        own.connected().unwrap();
        (own, peer)
    }

    #[test]
    #[cfg_attr(miri, ignore = "it has no memory that faults")]
    fn memory_that_cannot_be_written_takes_nothing_and_breaks_nothing() {
        let size = 4096;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANON;
        let place = std::ptr::null_mut();
        // SAFETY: a mapping anywhere.
        let start = unsafe { libc::mmap(place, size, libc::PROT_NONE, kind, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        for (own, peer) in [OsStream::pair(), tcp_pair()] {
            // SAFETY: the memory is nobody else's, and nothing lands there.
            let landing = unsafe { Landing::new(NonNull::new(start.cast()).unwrap(), size) };
            write(&own, b"kept");
            await_input(&peer);
            let mut room = landing.room(size);
            assert_eq!(peer.read(room.as_mut(), &mut []), Read::Nothing);
            assert!(peer.failure().is_none());
            let mut buffer = [0; 8];
            assert_eq!(peer.read(None, &mut buffer), Read::Bytes(4));
            assert_eq!(&buffer[..4], b"kept");
        }
        // SAFETY: it is what was mapped above.
        unsafe { libc::munmap(start, size) };
    }

    #[test]
    fn reads_what_was_written_in_parts() {
        let (own, peer) = OsStream::pair();
        let parts = [IoSlice::new(b"he"), IoSlice::new(b""), IoSlice::new(b"llo")];
        assert_eq!(own.write(&parts).unwrap(), 5);
        let mut buffer = [0; 8];
        assert_eq!(peer.read(None, &mut buffer[..3]), Read::Bytes(3));
        assert_eq!(peer.read(None, &mut buffer[3..]), Read::Bytes(2));
        assert_eq!(&buffer[..5], b"hello");
        assert_eq!(peer.read(None, &mut buffer), Read::Nothing);
    }

    #[test]
    fn a_chunk_is_filled_before_the_rest() {
        let (own, peer) = OsStream::pair();
        let mut chunk = crate::message::Chunk::with_capacity(100).unwrap();
        let mut rest = [0; 8];
        write(&own, b"chunkrest");
        assert_eq!(chunk.fill(5, |room| peer.read(Some(room), &mut rest)), Read::Bytes(9));
        assert_eq!((chunk.as_slice(), &rest[..4]), (&b"chunk"[..], &b"rest"[..]));
        write(&own, b"ab");
        assert_eq!(chunk.fill(5, |room| peer.read(Some(room), &mut rest)), Read::Bytes(2));
        assert_eq!(chunk.as_slice(), b"chunkab");
        // Room for nothing is no room.
        write(&own, b"cd");
        assert_eq!(chunk.fill(0, |room| peer.read(Some(room), &mut rest)), Read::Bytes(2));
        assert_eq!((chunk.as_slice(), &rest[..2]), (&b"chunkab"[..], &b"cd"[..]));
        assert_eq!(chunk.fill(5, |room| peer.read(Some(room), &mut rest)), Read::Nothing);
        assert_eq!(chunk.as_slice(), b"chunkab");
    }

    #[test]
    fn a_full_kernel_takes_nothing_and_later_more() {
        let (own, peer) = OsStream::pair();
        let bytes = [7; 64 * 1024];
        let mut taken = 0;
        loop {
            match write(&own, &bytes) {
                0 => break,
                count => taken += count,
            }
        }
        let mut buffer = vec![0; 1 << 20];
        let mut arrived = 0;
        while let Read::Bytes(count) = peer.read(None, &mut buffer) {
            arrived += count;
        }
        assert_eq!(arrived, taken);
        assert!(write(&own, &bytes) > 0);
        assert!(own.failure().is_none());
    }

    #[test]
    fn what_was_written_before_the_end_arrives_and_the_way_back_is_open() {
        let (own, peer) = OsStream::pair();
        write(&own, b"last");
        own.end();
        let mut buffer = [0; 8];
        assert_eq!(peer.read(None, &mut buffer), Read::Bytes(4));
        assert_eq!(peer.read(None, &mut buffer), Read::End);
        assert!(peer.failure().is_none());
        assert_eq!(write(&peer, b"back"), 4);
        assert_eq!(own.read(None, &mut buffer), Read::Bytes(4));
        assert!(own.write(&[IoSlice::new(b"x")]).is_err());
    }

    #[test]
    fn the_first_failure_is_kept() {
        let (own, peer) = OsStream::pair();
        assert!(own.failure().is_none());
        drop(peer);
        let error = own.write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(own.failure().unwrap().kind(), io::ErrorKind::BrokenPipe);
        own.note_failure(&io::Error::from_raw_os_error(libc::ECONNRESET));
        assert_eq!(own.failure().unwrap().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_tcp_that_is_closed_with_unread_input_is_reset_and_discarding_prevents_it() {
        for is_discarded in [false, true] {
            let (own, peer) = tcp_pair();
            write(&peer, b"never read");
            await_input(&own);
            if is_discarded {
                own.discard_input();
            }
            drop(own);
            await_input(&peer);
            assert_eq!(peer.read(None, &mut [0; 8]), Read::End);
            let reset = peer.failure().map(|error| error.kind());
            assert_eq!(reset, (!is_discarded).then_some(io::ErrorKind::ConnectionReset));
        }
    }

    #[test]
    fn breaking_off_wakes_who_waits() {
        let (own, peer) = tcp_pair();
        own.break_off();
        await_input(&own);
        assert_eq!(own.read(None, &mut [0; 8]), Read::End);
        await_input(&peer);
        assert_eq!(peer.read(None, &mut [0; 8]), Read::End);
    }

    #[test]
    fn both_ends_know_where_the_other_is() {
        let (own, peer) = tcp_pair();
        assert!(own.peer_address().unwrap().ip().is_loopback());
        assert_ne!(own.peer_address(), peer.peer_address());
        assert_eq!(own.peer_credentials(), None);
        let tuning = Tuning { send_buffer: 9999, recv_buffer: 9999, keepalive: None };
        own.tune(Tuning { keepalive: Some(Duration::from_secs(7)), ..tuning });
        assert_eq!(own.inner.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        assert!(own.inner.keepalive().unwrap() && own.inner.tcp_nodelay().unwrap());
        peer.tune(tuning);
        assert!(peer.inner.tcp_nodelay().unwrap() && !peer.inner.keepalive().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_waits_for_more_goes_out_when_it_is_released_and_with_the_end() {
        let (own, peer) = tcp_pair();
        assert!(own.can_wait() && !OsStream::pair().0.can_wait());
        let mut buffer = [0; 8];
        // The kernel waits for a fifth of a second, in which a busy machine may not get this far.
        let has_waited = (0..10).any(|_| {
            own.keep();
            assert_eq!((write(&own, b"ab"), write(&own, b"c")), (2, 1));
            if let Read::Bytes(mut count) = peer.read(None, &mut buffer) {
                own.release();
                while count < 3 {
                    await_input(&peer);
                    let Read::Bytes(more) = peer.read(None, &mut buffer) else { panic!("gone") };
                    count += more;
                }
                return false;
            }
            own.release();
            await_input(&peer);
            assert_eq!((peer.read(None, &mut buffer), &buffer[..3]), (Read::Bytes(3), &b"abc"[..]));
            true
        });
        assert!(has_waited);
        write(&own, b"d");
        await_input(&peer);
        assert_eq!(peer.read(None, &mut buffer), Read::Bytes(1));
        own.keep();
        write(&own, b"last");
        // As at the end of a process, whatever ends it.
        drop(own);
        await_input(&peer);
        assert_eq!((peer.read(None, &mut buffer), &buffer[..4]), (Read::Bytes(4), &b"last"[..]));
        await_input(&peer);
        assert_eq!(peer.read(None, &mut buffer), Read::End);
    }

    #[test]
    fn nobody_listens_is_a_failure_to_connect() {
        let address = Address::Internet(SocketAddr::from(([127, 0, 0, 1], 0)));
        let unused = OsListener::new(&address).unwrap();
        // Bound, so that nobody else gets it, but not listening.
        unused.bind(&address).unwrap();
        let address = Address::Internet(unused.own_address().unwrap());
        let mut own = OsStream::new(&address).unwrap();
        let refused = match own.connect(&address) {
            Ok(_) => {
                poll(std::iter::once((own.as_raw_fd(), WaitFor::Writable)), None).unwrap();
                own.connected().unwrap_err()
            }
            Err(error) => error,
        };
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(own.peer_address(), unused.own_address());
    }
}
