//! The facts of one socket that all its parts may know: what it is, and what is kept about it.

use std::fmt::{self, Display};
use std::sync::Arc;

use super::events::Events;
use super::options::Options;
use super::statistics::Statistics;
use crate::io::LazyReactor;
use crate::protocols::SocketType;
use crate::trace::{self, Happening, Plain};
use crate::transports::Fault;

pub struct Context {
    pub handle: i32,
    pub domain: i32,
    pub socket_type: &'static SocketType,
    pub reactor: Arc<LazyReactor>,
    pub printer: Option<Printer>,
    pub options: Options,
    pub statistics: Statistics,
    pub events: Events,
}

/// What all sockets of one library state have in common.
#[derive(Clone)]
pub struct Shared {
    pub reactor: Arc<LazyReactor>,
    pub printer: Option<Printer>,
}

/// Tells the user on stderr what becomes of his endpoints.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// Finds the words for what went wrong.
    pub describe: fn(Fault) -> String,
}

impl Context {
    pub fn new(
        handle: i32,
        domain: i32,
        socket_type: &'static SocketType,
        shared: &Shared,
    ) -> Context {
        Context {
            handle,
            domain,
            socket_type,
            reactor: Arc::clone(&shared.reactor),
            printer: shared.printer,
            options: Options::default(),
            statistics: Statistics::default(),
            events: Events::default(),
        }
    }

    /// What it is called in messages to humans.
    pub fn name(&self) -> Vec<u8> {
        self.options.name().unwrap_or_else(|| self.handle.to_string().into_bytes())
    }

    /// Traces what has happened to the socket, if anybody wants to know.
    #[inline]
    pub fn trace(&self, event: Happening, details: fmt::Arguments<'_>) {
        if trace::is_on() {
            trace::tell(event, &Subject(self), details);
        }
    }
}

/// A socket as traces call it.
pub struct Subject<'a>(pub &'a Context);

impl trace::Subject for Subject<'_> {
    fn socket(&self) -> i32 {
        self.0.handle
    }

    fn endpoint(&self) -> Option<i32> {
        None
    }
}

impl Display for Subject<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "socket={}", self.0.handle)?;
        match self.0.options.name_within_reach() {
            Some(name) => write!(to, "({})", Plain(&name)),
            None => Ok(()),
        }
    }
}
