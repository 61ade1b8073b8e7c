//! Descriptors that somebody else has opened: here nobody does.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use crate::sys::{OsListener, OsStream};

/// There is none.
#[derive(Debug)]
pub enum Foreign {}

/// Where a stream or a listener is.
#[allow(dead_code, reason = "nobody makes one")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    Internet(SocketAddr),
    Local(Vec<u8>),
}

impl Foreign {
    pub fn keep(self) {
        match self {}
    }
}

impl OsListener {
    pub fn adopt(_descriptor: RawFd) -> io::Result<(OsListener, Site, Foreign)> {
        Err(io::Error::from_raw_os_error(libc::ENOTSOCK))
    }
}

impl OsStream {
    pub fn adopt(_descriptor: RawFd) -> io::Result<(OsStream, Site, Foreign)> {
        Err(io::Error::from_raw_os_error(libc::ENOTSOCK))
    }
}
