//! Where streams of the kernel are bound and connected to.

use std::ffi::OsStr;
use std::io;
use std::mem::offset_of;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use socket2::{Domain, SockAddr};

use super::descriptor::above_standard;
use super::{kernel, pacing};

/// Where a stream socket is bound or connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Internet(SocketAddr),
    File(PathBuf),
    /// A name that is no file and that nobody has to remove: unix(7), "abstract".
    Name(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Internet,
    Local,
}

impl Address {
    /// A socket of the kernel that is fit for it, and so are those that it accepts: on Linux they
    /// inherit what is set here.
    pub(super) fn open(&self) -> io::Result<(kernel::Socket, Family)> {
        let (domain, family) = match self {
            Address::Internet(SocketAddr::V4(_)) => (Domain::IPV4, Family::Internet),
            Address::Internet(SocketAddr::V6(_)) => (Domain::IPV6, Family::Internet),
            Address::File(_) | Address::Name(_) => (Domain::UNIX, Family::Local),
        };
        let fresh = above_standard(kernel::open(domain)?)?;
        if family == Family::Internet {
            // Always: what Nagle's algorithm would gather is gathered before it gets here. Best
            // effort: it works without, if slowly.
            let _ = fresh.set_tcp_nodelay(true);
        }
        if self.is_in_machine() {
            pacing::end(&fresh);
        }
        Ok((fresh, family))
    }

    /// Whether it is an Internet address that every machine has for itself.
    pub(super) fn is_in_machine(&self) -> bool {
        matches!(self, Address::Internet(address) if pacing::is_in_machine(*address))
    }

    /// Whether names without a file are to be had.
    pub const HAS_NAMES: bool = cfg!(target_os = "linux");

    /// The longest name of a file, without what ends it.
    pub const FILE_NAME_MAX: usize =
        size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;

    pub(super) fn to_kernel(&self) -> io::Result<SockAddr> {
        match self {
            Address::Internet(address) => Ok(SockAddr::from(*address)),
            Address::File(path) => SockAddr::unix(path),
            // Nobody else has them.
            Address::Name(_) if !Address::HAS_NAMES => Err(io::ErrorKind::Unsupported.into()),
            // The zero in front tells it from the name of a file.
            Address::Name(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", &name[..]].concat())),
        }
    }
}
