//! The figures of this process for who watches it from another one, where the environment asks for
//! that: without it there is nothing at all, neither a thread nor a descriptor.
//!
//! A thread listens at a name that is no file, which has the number of the process in it. Whoever
//! connects as the same user, or as the administrator, is written the figures of all sockets as
//! text, and nothing is read from him. One is served at a time, and for a second at most.
//!
//! A program may close every descriptor that it finds, this one with the others. Its number is no
//! claim then, because the next one that the program opens gets it: it is looked at whose it is
//! before anybody is accepted, it is never closed here, and the thread listens anew. It sleeps in
//! steps for that, because nothing wakes who polls what somebody else closes.
//!
//! A forked child has no such thread. It begins one of its own, under a name of its own, with its
//! first socket.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::process;
use std::time::Duration;

use super::context::Printer;
use super::{exposition, registry};
use crate::error::Error;
use crate::memory::Attempt;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread;
use crate::sys::{self, Accepted, Address, OsListener, OsStream, PerProcess, Thread, WaitFor};

/// Opens a socket, as `registry::open` does. From a process's first one on it answers, if the
/// environment asks for that.
///
/// # Errors
/// Those of `registry::open`.
pub fn open(
    domain: i32,
    protocol: i32,
    printer: impl FnOnce() -> Option<Printer>,
) -> Result<i32, Error> {
    let handle = registry::open(domain, protocol, printer)?;
    begin();
    Ok(handle)
}

fn begin() {
    if HAS_BEGUN.get().swap(true, Ordering::Relaxed) || !is_wanted() {
        return;
    }
    // Nobody is told when it cannot be had: the program would have worked without it.
    let Ok(seat) = listen() else { return };
    let _ = Thread::start(c"spmsg-stats", sys::STACK_SIZE, move || serve_all(seat));
}

/// What somebody listens at, as long as the program has not closed it.
struct Seat {
    listener: ManuallyDrop<OsListener>,
    address: Address,
}

fn is_wanted() -> bool {
    Address::HAS_NAMES && sys::environment(VARIABLE).is_some_and(|value| value == "1")
}

/// The name is free, but for a child that has inherited its parent's, or a stranger.
fn listen() -> io::Result<Seat> {
    let mut last = ErrorKind::AddrInUse.into();
    for attempt in 0..NAMES_MAX {
        let address = Address::Name(format!("{NAME}{}.{attempt}", process::id()).into());
        match OsListener::listening(&address, BACKLOG).map(ManuallyDrop::new) {
            Ok(listener) => return Ok(Seat { listener, address }),
            Err(error) if error.kind() == ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn serve_all(mut seat: Seat) {
    loop {
        if !seat.listener.is_at(&seat.address) {
            match listen() {
                Ok(fresh) => seat = fresh,
                Err(_) => thread::sleep(PAUSE),
            }
            continue;
        }
        match seat.listener.accept() {
            Ok(Accepted::Connection(visitor)) => {
                // Who goes before everything is written does not want it.
                let _ = serve(&visitor);
            }
            Ok(Accepted::Gone(_)) => {}
            Ok(Accepted::Nobody) => wait(&*seat.listener, WaitFor::Readable, STEP),
            // There may be descriptors again a little later.
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn serve(visitor: &OsStream) -> io::Result<()> {
    let known = visitor.peer_credentials();
    if !known.is_some_and(|known| known.user == sys::user() || known.user == ROOT) {
        return Err(ErrorKind::PermissionDenied.into());
    }
    let attempt = Attempt::begin().map_err(|_| ErrorKind::OutOfMemory)?;
    let process = process::id();
    let figures = exposition::text(&exposition::report_all());
    let text = format!("# spmsg-stats 1 process={process}\n{figures}# EOF\n");
    attempt.check().map_err(|_| ErrorKind::OutOfMemory)?;
    write(visitor, text.as_bytes())
}

fn write(visitor: &OsStream, mut rest: &[u8]) -> io::Result<()> {
    let until = sys::now() + PATIENCE;
    while !rest.is_empty() {
        match visitor.write(&[IoSlice::new(rest)]) {
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let left = until.saturating_duration_since(sys::now());
                if left.is_zero() {
                    return Err(ErrorKind::TimedOut.into());
                }
                wait(visitor, WaitFor::Writable, left);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whatever ends it, the caller looks again.
fn wait(what: &impl AsRawFd, wait_for: WaitFor, limit: Duration) {
    if sys::poll([(what.as_raw_fd(), wait_for)].into_iter(), Some(limit)).is_err() {
        // There is no memory for one entry, or the program has closed the descriptor.
        thread::sleep(PAUSE);
    }
}

static HAS_BEGUN: PerProcess<AtomicBool> = PerProcess::new(|| AtomicBool::new(false));

const VARIABLE: &str = "SPMSG_STATS";
/// The number of the process follows, and which of its names it is.
const NAME: &str = "spmsg/stats/";
const NAMES_MAX: usize = 8;
const BACKLOG: i32 = 16;
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the number of a descriptor is taken on trust.
const STEP: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);
const ROOT: u32 = 0;
