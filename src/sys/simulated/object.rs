//! What descriptors stand for.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use super::stream::Stream;

pub type Id = u64;

#[derive(Debug)]
pub struct Object {
    pub kind: Kind,
    /// How many descriptors there are for it.
    pub owners: u32,
}

#[derive(Debug)]
pub enum Kind {
    Event { count: u64 },
    Epoll(Epoll),
    Stream(Box<Stream>),
}

#[derive(Debug, Default)]
pub struct Epoll {
    pub watched: BTreeMap<(RawFd, Id), Watched>,
}

#[derive(Clone, Copy, Debug)]
pub struct Watched {
    pub events: u32,
    pub key: u64,
    pub is_disarmed: bool,
}

pub const IN: u32 = libc::EPOLLIN as u32;
pub const OUT: u32 = libc::EPOLLOUT as u32;
pub const ENDED: u32 = libc::EPOLLRDHUP as u32;
pub const HANG_UP: u32 = libc::EPOLLHUP as u32;
pub const ERROR: u32 = libc::EPOLLERR as u32;
pub const ONCE: u32 = libc::EPOLLONESHOT as u32;
/// What is reported whether or not anybody asks for it.
pub const ALWAYS: u32 = HANG_UP | ERROR;
