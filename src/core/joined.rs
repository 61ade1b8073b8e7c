//! Sockets for tests of waiting: joined over a stream or in the process, used by several threads
//! at once, and closed when they go.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::registry::{self, COOKED, InUse};
use super::transfer::Blocking;
use crate::error::Error;
use crate::message::{Body, Message};
use crate::protocols::Readiness;
use crate::transports::Dialect;

pub const PAIR: i32 = 0x10;
pub const PUSH: i32 = 0x50;
pub const PULL: i32 = 0x51;

pub const BOTH: [By; 2] = [By::Stream, By::Inproc];

/// For those who poll.
pub const NOW: Option<Duration> = Some(Duration::ZERO);
pub const NOTHING: Readiness = Readiness { can_send: false, can_recv: false };
pub const RECV: Readiness = Readiness { can_send: false, can_recv: true };
pub const SEND: Readiness = Readiness { can_send: true, can_recv: false };
pub const EITHER: Readiness = Readiness { can_send: true, can_recv: true };

/// A socket that a test has opened.
pub struct Opened {
    handle: i32,
    is_closed: AtomicBool,
}

/// How two sockets are connected.
#[derive(Clone, Copy, Debug)]
pub enum By {
    Stream,
    Inproc,
}

impl Opened {
    pub fn new(protocol: i32) -> Opened {
        let handle = registry::open(COOKED, protocol, || None).unwrap();
        Opened { handle, is_closed: AtomicBool::new(false) }
    }

    /// Two PAIRs that have each other.
    pub fn pair(by: By) -> [Opened; 2] {
        let pair = [Opened::new(PAIR), Opened::new(PAIR)];
        pair[0].join(&pair[1], by);
        pair
    }

    /// Connects two sockets, and returns when both know of it.
    pub fn join(&self, other: &Opened, by: By) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let scheme = match by {
            By::Stream => "ipc://@",
            By::Inproc => "inproc://",
        };
        let address = format!("{scheme}spmsg {} {number}", std::process::id());
        let before = [self, other].map(|one| one.socket().lock().traffic.connections);
        self.socket().bind(address.as_bytes(), Dialect::Extended).unwrap();
        other.socket().connect(address.as_bytes(), Dialect::Extended).unwrap();
        for (one, before) in [self, other].into_iter().zip(before) {
            until(|| one.socket().lock().traffic.connections > before);
        }
    }

    pub fn handle(&self) -> i32 {
        self.handle
    }

    pub fn socket(&self) -> InUse {
        registry::find_beside(self.handle).unwrap()
    }

    pub fn send(&self, text: &str) -> Result<(), Error> {
        self.send_if(text, Blocking::Wait)
    }

    pub fn send_if(&self, text: &str, blocking: Blocking<'_>) -> Result<(), Error> {
        let mut message = Message::from_body(Body::copy_from(text.as_bytes()).unwrap());
        self.socket().send(&mut message, blocking)
    }

    pub fn recv(&self) -> Result<String, Error> {
        self.recv_if(Blocking::Wait)
    }

    pub fn recv_if(&self, blocking: Blocking<'_>) -> Result<String, Error> {
        let mut message = Message::default();
        self.socket().recv(&mut message, blocking, |_| Ok(()))?;
        Ok(String::from_utf8_lossy(message.body.as_slice()).into_owned())
    }

    pub fn close(&self) {
        // Once only: the number is somebody else's then.
        if !self.is_closed.swap(true, Ordering::SeqCst) {
            registry::close(self.handle).unwrap();
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.close();
    }
}

/// Looks until it is so. What should come of itself may take its time on a busy machine.
pub fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}
