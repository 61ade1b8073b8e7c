//! What streams are accepted from.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use super::address::Family;
use super::cancellation::{Owned, held};
use super::descriptor::above_standard;
use super::{Address, OsStream, check, kernel, pacing, random};
use crate::sync::{before_io, thread};

/// A socket of the kernel that accepts streams, once it listens.
#[derive(Debug)]
pub struct OsListener {
    inner: Owned<kernel::Socket>,
    family: Family,
    /// Peers in this machine may come to it, and others, too.
    is_mixed: bool,
}

/// What one attempt to accept gave.
#[derive(Debug)]
pub enum Accepted {
    Connection(OsStream),
    /// Nobody waits.
    Nobody,
    /// That one went away before it was accepted; the next may be fine.
    Gone(io::Error),
}

impl OsListener {
    /// One fit for `address`, which is neither bound nor listens.
    pub fn new(address: &Address) -> io::Result<OsListener> {
        let (inner, family) = address.open()?;
        let mut listener = OsListener::of(inner, family);
        listener.is_mixed &= !address.is_in_machine();
        Ok(listener)
    }

    pub(super) fn of(inner: kernel::Socket, family: Family) -> OsListener {
        OsListener { inner: Owned::new(inner), family, is_mixed: family == Family::Internet }
    }

    /// One that listens at `address`.
    ///
    /// Two sockets of the kernel may be bound to one Internet address while neither listens. If
    /// both begin to listen at the same moment, each may find the other in its way, and nobody
    /// would have the address. So who was bound and cannot listen tries again a little later:
    /// somebody who listens by then refuses the bind.
    pub fn listening(address: &Address, backlog: i32) -> io::Result<OsListener> {
        let mut tries = 0;
        loop {
            let listener = OsListener::new(address)?;
            listener.bind(address)?;
            match listener.listen(backlog) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < LISTEN_TRIES => {}
                result => return result.map(|()| listener),
            }
            drop(listener);
            tries += 1;
            // Not the same moment for both.
            thread::sleep(Duration::from_micros(random() % (500 << tries)));
        }
    }

    pub fn bind(&self, address: &Address) -> io::Result<()> {
        if self.family == Family::Internet {
            self.inner.set_reuse_address(true)?;
        }
        self.inner.bind(&address.to_kernel()?)
    }

    /// Decides what permissions the file has that binding will make, but for those that the umask
    /// of the process denies: it has them from birth, so that nobody gets in between.
    pub fn set_file_mode(&self, mode: u32) -> io::Result<()> {
        // SAFETY: the descriptor is ours and open.
        check(unsafe { kernel::fchmod(self.as_raw_fd(), mode) }).map(drop)
    }

    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        self.inner.listen(backlog)
    }

    pub fn accept(&self) -> io::Result<Accepted> {
        before_io();
        match held(|| kernel::accept(&self.inner)) {
            Ok((fresh, peer)) => {
                let (inner, peer) = (above_standard(fresh)?, peer.as_socket());
                if self.is_mixed && peer.is_some_and(pacing::is_in_machine) {
                    pacing::end(&inner);
                }
                Ok(Accepted::Connection(OsStream::of(inner, self.family, peer)))
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => Ok(Accepted::Nobody),
                Some(code) if GONE.contains(&code) => Ok(Accepted::Gone(error)),
                _ => Err(error),
            },
        }
    }

    /// Whether it is still there: a program may have closed all descriptors that it has, and what
    /// it has opened since may have the number of this one.
    #[must_use]
    pub fn is_at(&self, address: &Address) -> bool {
        match (self.inner.local_addr(), address.to_kernel()) {
            (Ok(found), Ok(own)) => found == own,
            _ => false,
        }
    }

    /// Whether those who come may come from a network.
    #[must_use]
    pub fn is_on_network(&self) -> bool {
        self.family == Family::Internet
    }

    /// The Internet address that it has, now that it was bound to that one.
    #[must_use]
    pub fn bound_address(&self, asked: SocketAddr) -> SocketAddr {
        // The kernel chooses ports, and scopes of IPv6.
        if asked.is_ipv4() && asked.port() != 0 {
            return asked;
        }
        self.own_address().unwrap_or(asked)
    }

    /// The Internet address that it has itself.
    #[must_use]
    pub fn own_address(&self) -> Option<SocketAddr> {
        self.inner.local_addr().ok()?.as_socket()
    }
}

impl Drop for OsListener {
    fn drop(&mut self) {
        before_io();
    }
}

impl AsRawFd for OsListener {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// accept(2): errors that the new connection had already, to be treated as a retry.
const GONE: &[libc::c_int] = &[
    libc::ECONNABORTED,
    libc::EINTR,
    libc::ENETDOWN,
    libc::EPROTO,
    libc::ENOPROTOOPT,
    libc::EHOSTDOWN,
    #[cfg(target_os = "linux")]
    libc::ENONET,
    libc::EHOSTUNREACH,
    libc::EOPNOTSUPP,
    libc::ENETUNREACH,
];

/// Each try halves at least the chance of meeting the other again.
const LISTEN_TRIES: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{WaitFor, poll};

    fn loopback(port: u16) -> Address {
        Address::Internet(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn listening() -> (OsListener, Address) {
        let listener = OsListener::listening(&loopback(0), 10).unwrap();
        let address = loopback(listener.own_address().unwrap().port());
        (listener, address)
    }

    fn connect(address: &Address) -> OsStream {
        let mut stream = OsStream::new(address).unwrap();
        stream.connect(address).unwrap();
        stream
    }

    #[test]
    fn accepts_who_waits_and_says_when_nobody_does() {
        let (listener, address) = listening();
        assert!(matches!(listener.accept(), Ok(Accepted::Nobody)));
        let _peers = [connect(&address), connect(&address)];
        for _ in 0..2 {
            poll(std::iter::once((listener.as_raw_fd(), WaitFor::Readable)), None).unwrap();
            let Ok(Accepted::Connection(stream)) = listener.accept() else { panic!("nobody") };
            assert!(stream.peer_address().unwrap().ip().is_loopback());
            // It does not block.
            assert_eq!(stream.read(None, &mut [0; 8]), crate::sys::Read::Nothing);
        }
        assert!(matches!(listener.accept(), Ok(Accepted::Nobody)));
    }

    #[test]
    fn an_address_is_taken_while_somebody_listens_and_free_behind_him() {
        let (listener, address) = listening();
        let Address::Internet(own) = address else { panic!("no address") };
        for asked in [own, ([127, 0, 0, 1], 0).into()] {
            assert_eq!(listener.bound_address(asked), own);
        }
        let taken = OsListener::listening(&address, 10).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let peer = connect(&address);
        poll(std::iter::once((listener.as_raw_fd(), WaitFor::Readable)), None).unwrap();
        let accepted = listener.accept().unwrap();
        drop(listener);
        // For all that connections of the first are there.
        OsListener::listening(&address, 10).unwrap();
        drop((peer, accepted));
    }

    #[test]
    fn a_name_without_a_file_is_one_listeners_too() {
        let name = format!("spmsg listener {}", std::process::id()).into_bytes();
        let address = Address::Name(name);
        let listener = OsListener::listening(&address, 10).unwrap();
        assert!(listener.own_address().is_none());
        assert!(listener.is_at(&address) && !listener.is_at(&Address::Name(b"other".to_vec())));
        assert!(OsListener::listening(&address, 10).is_err());
        let peer = connect(&address);
        let Ok(Accepted::Connection(stream)) = listener.accept() else { panic!("nobody") };
        let credentials = stream.peer_credentials().unwrap();
        assert_eq!(credentials.process, std::process::id() as i32);
        assert_eq!(peer.peer_credentials().unwrap(), credentials);
        assert!(stream.peer_address().is_none());
    }
}
