//! Descriptors that somebody else has opened, and gives away.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{SockAddr, SockRef};

use super::address::Family;
use super::cancellation::Owned;
use super::descriptor::copy_above_standard;
use super::{OsListener, OsStream, check, kernel};
use crate::sync::before_io;

/// A descriptor that is its owner's until it is kept. Until then we have a copy, which is
/// close-on-exec from birth: whatever fails, the owner still has his, in the state in which he gave
/// it.
#[derive(Debug)]
pub struct Foreign {
    descriptor: RawFd,
    /// How it was before it was made non-blocking, which both share.
    flags: libc::c_int,
    is_kept: bool,
}

/// Where a stream or a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    Internet(SocketAddr),
    /// The name of a file, or `@` and a name without one; nothing where it has no name.
    Local(Vec<u8>),
}

impl Foreign {
    /// It is ours from now on, and what is left of it is the copy.
    pub fn keep(mut self) {
        self.is_kept = true;
        before_io();
        // SAFETY: its owner has given it away, and nobody else closes it.
        drop(Owned::new(unsafe { OwnedFd::from_raw_fd(self.descriptor) }));
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if !self.is_kept {
            // SAFETY: no pointer is passed.
            unsafe { kernel::fcntl(self.descriptor, libc::F_SETFL, self.flags) };
        }
    }
}

impl OsListener {
    /// One that listens already.
    ///
    /// # Errors
    /// EBADF and ENOTSOCK for what is no socket; EPROTOTYPE for one without streams, EAFNOSUPPORT
    /// and EPROTONOSUPPORT for another kind of streams, EISCONN for one of its streams, EINVAL for
    /// one that does not listen; EMFILE when no copy can be had.
    pub fn adopt(descriptor: RawFd) -> io::Result<(OsListener, Site, Foreign)> {
        let stranger = Stranger::look_at(descriptor)?;
        if number(descriptor, libc::SO_ACCEPTCONN)? == 0 {
            let is_stream = stranger.socket().peer_addr().is_ok();
            return Err(code(if is_stream { libc::EISCONN } else { libc::EINVAL }));
        }
        let (site, family) = (stranger.own_site()?, stranger.family);
        let (copy, foreign) = stranger.copy()?;
        Ok((OsListener::of(copy, family), site, foreign))
    }
}

impl OsStream {
    /// One that is connected already, and where its peer is; or where it is itself, if its peer is
    /// nowhere.
    ///
    /// # Errors
    /// As above; ENOTCONN for one that is not connected.
    pub fn adopt(descriptor: RawFd) -> io::Result<(OsStream, Site, Foreign)> {
        let stranger = Stranger::look_at(descriptor)?;
        let (address, family) = (stranger.socket().peer_addr()?, stranger.family);
        let (peer, site) = (address.as_socket(), site(&address)?);
        let site = if site == Site::Local(Vec::new()) { stranger.own_site()? } else { site };
        let (copy, foreign) = stranger.copy()?;
        Ok((OsStream::of(copy, family, peer), site, foreign))
    }
}

/// Somebody else's socket, as far as its kind is known.
struct Stranger<'a> {
    descriptor: BorrowedFd<'a>,
    family: Family,
}

impl Stranger<'_> {
    fn look_at<'a>(descriptor: RawFd) -> io::Result<Stranger<'a>> {
        // The kernel says of what is no descriptor, and no socket, that it is none.
        let kind = number(descriptor, libc::SO_TYPE)?;
        // SAFETY: it is open, and its owner closes it behind the call.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let own = SockRef::from(&borrowed).local_addr()?;
        let family = match libc::c_int::from(own.family()) {
            libc::AF_INET | libc::AF_INET6 => Family::Internet,
            libc::AF_UNIX => Family::Local,
            _ => return Err(code(libc::EAFNOSUPPORT)),
        };
        if kind != libc::SOCK_STREAM {
            return Err(code(libc::EPROTOTYPE));
        }
        #[cfg(target_os = "linux")]
        if family == Family::Internet {
            let protocol = number(descriptor, libc::SO_PROTOCOL)?;
            if !matches!(protocol, libc::IPPROTO_TCP | libc::IPPROTO_MPTCP) {
                return Err(code(libc::EPROTONOSUPPORT));
            }
        }
        Ok(Stranger { descriptor: borrowed, family })
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.descriptor)
    }

    fn own_site(&self) -> io::Result<Site> {
        site(&self.socket().local_addr()?)
    }

    /// A copy as all of ours are, and what keeps the original.
    fn copy(&self) -> io::Result<(kernel::Socket, Foreign)> {
        let descriptor = self.descriptor.as_raw_fd();
        let copy: kernel::Socket = copy_above_standard(descriptor)?;
        // SAFETY: no pointer is passed.
        let flags = check(unsafe { kernel::fcntl(descriptor, libc::F_GETFL) })?;
        let foreign = Foreign { descriptor, flags, is_kept: false };
        copy.set_nonblocking(true)?;
        if self.family == Family::Internet {
            // As for our own, which those inherit that are accepted.
            let _ = copy.set_tcp_nodelay(true);
        }
        #[cfg(target_vendor = "apple")]
        copy.set_nosigpipe(true)?;
        Ok((copy, foreign))
    }
}

fn site(address: &SockAddr) -> io::Result<Site> {
    if let Some(address) = address.as_socket() {
        return Ok(Site::Internet(address));
    }
    if !address.is_unix() {
        return Err(code(libc::EAFNOSUPPORT));
    }
    if let Some(path) = address.as_pathname() {
        return Ok(Site::Local(path.as_os_str().as_encoded_bytes().to_vec()));
    }
    #[cfg(target_os = "linux")]
    if let Some(name) = address.as_abstract_namespace() {
        // A zero would look like the end.
        let shown = name.iter().map(|byte| if *byte == 0 { b'@' } else { *byte });
        return Ok(Site::Local(std::iter::once(b'@').chain(shown).collect()));
    }
    Ok(Site::Local(Vec::new()))
}

fn number(descriptor: RawFd, option: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    let place = (&raw mut value).cast();
    // SAFETY: the kernel writes at most `len` bytes, which are there.
    check(unsafe {
        kernel::getsockopt(descriptor, libc::SOL_SOCKET, option, place, &raw mut len)
    })?;
    Ok(value)
}

fn code(code: libc::c_int) -> io::Error {
    io::Error::from_raw_os_error(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Accepted;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::IntoRawFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    fn is_open(descriptor: RawFd) -> bool {
        // SAFETY: no pointer is passed.
        unsafe { libc::fcntl(descriptor, libc::F_GETFD) >= 0 }
    }

    fn is_blocking(descriptor: RawFd) -> bool {
        // SAFETY: no pointer is passed.
        unsafe { libc::fcntl(descriptor, libc::F_GETFL) & libc::O_NONBLOCK == 0 }
    }

    fn listener_error(of: &impl AsRawFd) -> Option<i32> {
        OsListener::adopt(of.as_raw_fd()).unwrap_err().raw_os_error()
    }

    fn stream_error(of: &impl AsRawFd) -> Option<i32> {
        OsStream::adopt(of.as_raw_fd()).unwrap_err().raw_os_error()
    }

    #[test]
    fn what_is_kept_is_ours_alone_and_does_not_block() {
        let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = theirs.local_addr().unwrap();
        let descriptor = theirs.into_raw_fd();
        let (listener, site, foreign) = OsListener::adopt(descriptor).unwrap();
        assert_eq!(site, Site::Internet(address));
        assert!(!is_blocking(listener.as_raw_fd()));
        assert!(matches!(listener.accept(), Ok(Accepted::Nobody)));
        foreign.keep();
        let _peer = TcpStream::connect(address).unwrap();
        assert!(matches!(listener.accept(), Ok(Accepted::Connection(_))));
    }

    #[test]
    fn what_is_not_kept_is_as_it_was() {
        let (mut theirs, mut other) = UnixStream::pair().unwrap();
        let (stream, site, foreign) = OsStream::adopt(theirs.as_raw_fd()).unwrap();
        assert_eq!(site, Site::Local(Vec::new()));
        assert!(!is_blocking(theirs.as_raw_fd()));
        drop((stream, foreign));
        assert!(is_open(theirs.as_raw_fd()) && is_blocking(theirs.as_raw_fd()));
        other.write_all(b"still there").unwrap();
        let mut text = [0; 11];
        theirs.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"still there");
    }

    #[test]
    fn each_wrong_one_is_refused_for_its_reason() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (local, _other) = UnixDatagram::pair().unwrap();
        let idle = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let idle = idle.unwrap();
        for error in [listener_error, stream_error].map(|error| error(&file)) {
            assert_eq!(error, Some(libc::ENOTSOCK));
        }
        assert_eq!(OsListener::adopt(-1).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(OsStream::adopt(-1).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(listener_error(&datagrams), Some(libc::EPROTOTYPE));
        assert_eq!(stream_error(&local), Some(libc::EPROTOTYPE));
        assert_eq!(listener_error(&stream), Some(libc::EISCONN));
        assert_eq!(listener_error(&idle), Some(libc::EINVAL));
        assert_eq!(stream_error(&listener), Some(libc::ENOTCONN));
        assert_eq!(stream_error(&idle), Some(libc::ENOTCONN));
    }
}
