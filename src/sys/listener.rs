//! What streams are accepted from.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::thread;
use std::time::Duration;

use super::address::Family;
use super::{Address, OsStream, check, random};
use crate::sync::before_io;

/// A socket of the kernel that accepts streams, once it listens.
#[derive(Debug)]
pub struct OsListener {
    inner: socket2::Socket,
    family: Family,
}

/// What one attempt to accept gave.
#[derive(Debug)]
pub enum Accepted {
    Connection(OsStream),
    /// Nobody waits.
    Nobody,
    /// That one went away before it was accepted; the next may be fine.
    Gone,
}

impl OsListener {
    /// One fit for `address`, which is neither bound nor listens.
    pub fn new(address: &Address) -> io::Result<OsListener> {
        let (inner, family) = address.open()?;
        Ok(OsListener { inner, family })
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
        check(unsafe { libc::fchmod(self.as_raw_fd(), mode) }).map(drop)
    }

    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        self.inner.listen(backlog)
    }

    pub fn accept(&self) -> io::Result<Accepted> {
        before_io();
        // Close-on-exec from birth: accept4(2).
        match self.inner.accept() {
            Ok((inner, peer)) => {
                inner.set_nonblocking(true)?;
                Ok(Accepted::Connection(OsStream::of(inner, self.family, peer.as_socket())))
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => Ok(Accepted::Nobody),
                // accept(2): errors that the new connection had already, to be treated as a retry.
                Some(
                    libc::ECONNABORTED
                    | libc::EINTR
                    | libc::ENETDOWN
                    | libc::EPROTO
                    | libc::ENOPROTOOPT
                    | libc::EHOSTDOWN
                    | libc::ENONET
                    | libc::EHOSTUNREACH
                    | libc::EOPNOTSUPP
                    | libc::ENETUNREACH,
                ) => Ok(Accepted::Gone),
                _ => Err(error),
            },
        }
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

/// Each try halves at least the chance of meeting the other again.
const LISTEN_TRIES: u32 = 6;
