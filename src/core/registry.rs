//! Handles, and the library's life: it exists while a socket does.

use std::sync::{Arc, OnceLock};

use once_cell::sync::Lazy;
use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};

use super::socket::Socket;
use crate::error::Error;
use crate::io::LazyReactor;
use crate::protocols::socket_type;
use crate::sys;

/// A socket during one call. Closing waits until nobody has one any more.
pub struct InUse(MappedRwLockReadGuard<'static, Arc<Socket>>);

/// Opens a socket. Returns its handle.
///
/// # Errors
/// `Terminated`, `UnknownDomain`, `TooManySockets`, `Invalid` for the protocol, in this order.
pub fn open(domain: i32, protocol: i32) -> Result<i32, Error> {
    let mut library = LIBRARY.lock();
    if library.is_terminated {
        return Err(Error::Terminated);
    }
    if domain != COOKED && domain != RAW {
        return Err(Error::UnknownDomain);
    }
    if library.open >= sockets_max() {
        return Err(Error::TooManySockets);
    }
    let socket_type = socket_type(protocol).ok_or(Error::Invalid)?;
    let machine = socket_type.machine.ok_or(Error::NotSupported)?;
    library.was_used = true;
    OWNER.get_or_init(|| {
        sys::flush_at_exit(flush_all);
        std::process::id()
    });
    let handle = library.take_number();
    let reactor = Arc::clone(library.reactor.get_or_insert_default());
    library.open += 1;
    drop(library);
    let slot = slot(handle).ok_or(Error::TooManySockets)?;
    let socket = Socket::new(handle, domain, socket_type, machine(), reactor);
    *slot.0.write() = Some(socket);
    Ok(handle)
}

/// Closes a socket when what was sent is written, and every other thread has left it.
///
/// # Errors
/// `NotOpen`, also when another thread is closing it.
pub fn close(handle: i32) -> Result<(), Error> {
    let slot = slot(handle).ok_or(Error::NotOpen)?;
    let socket = slot.0.read().clone().ok_or(Error::NotOpen)?;
    if !socket.close() {
        return Err(Error::NotOpen);
    }
    // Waits for every call that is still on its way out.
    let last_owner = slot.0.write().take();
    drop((socket, last_owner));
    let unused_reactor = LIBRARY.lock().give_number_back(handle);
    if let Some(reactor) = unused_reactor {
        reactor.stop();
    }
    Ok(())
}

/// The socket behind a handle.
///
/// # Errors
/// `NotOpen`.
#[inline]
pub fn find(handle: i32) -> Result<InUse, Error> {
    let slot = slot(handle).ok_or(Error::NotOpen)?;
    match RwLockReadGuard::try_map(slot.0.read(), Option::as_ref) {
        Ok(socket) if socket.is_usable() => Ok(InUse(socket)),
        _ => Err(Error::NotOpen),
    }
}

/// Closes every socket, and lets none be opened until [`restart`]. Does nothing before the first
/// socket.
pub fn terminate() {
    {
        let mut library = LIBRARY.lock();
        if !library.was_used {
            return;
        }
        library.is_terminated = true;
    }
    for handle in 0..handles_end() {
        // One that is not open, or that somebody else closes, is fine.
        let _ = close(handle);
    }
}

/// Undoes [`terminate`].
pub fn restart() {
    LIBRARY.lock().is_terminated = false;
}

impl std::ops::Deref for InUse {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

/// What all sockets share.
#[derive(Default)]
struct Library {
    /// Numbers that were given back, the last one on top.
    free: Vec<i32>,
    /// The lowest number that was never given out.
    fresh: i32,
    open: usize,
    reactor: Option<Arc<LazyReactor>>,
    was_used: bool,
    is_terminated: bool,
}

impl Library {
    fn take_number(&mut self) -> i32 {
        self.free.pop().unwrap_or_else(|| {
            self.fresh += 1;
            self.fresh - 1
        })
    }

    /// With the last socket the numbering starts again, and the reactor is not needed any more.
    fn give_number_back(&mut self, handle: i32) -> Option<Arc<LazyReactor>> {
        self.free.push(handle);
        self.open -= 1;
        if self.open > 0 {
            return None;
        }
        self.free.clear();
        self.fresh = 0;
        self.reactor.take()
    }
}

/// Where the socket of one handle is. Each has cache lines of its own: threads that use different
/// sockets do not slow each other down.
#[derive(Default)]
#[repr(align(128))]
struct Slot(RwLock<Option<Arc<Socket>>>);

fn slot(handle: i32) -> Option<&'static Slot> {
    let handle = usize::try_from(handle).ok()?;
    let segment = SEGMENTS.get(handle / SEGMENT)?;
    let slots = segment.get_or_init(|| (0..SEGMENT).map(|_| Slot::default()).collect());
    slots.get(handle % SEGMENT)
}

/// No handle is as high as this.
fn handles_end() -> i32 {
    let made = SEGMENTS.iter().take_while(|segment| segment.get().is_some()).count();
    (made * SEGMENT) as i32
}

/// The reference spends two descriptors on each socket, so that half the limit of descriptors
/// is what its users are used to; ours needs none, but a bound there must be.
fn sockets_max() -> usize {
    (sys::descriptor_limit() / 2).min(SEGMENTS.len() * SEGMENT)
}

/// Runs when the process exits: what was accepted is delivered even if nobody closes.
extern "C" fn flush_all() {
    // A forked child has none of the threads that may hold our locks, and nothing to deliver.
    if OWNER.get() != Some(&std::process::id()) {
        return;
    }
    let flushed = std::panic::catch_unwind(|| {
        for handle in 0..handles_end() {
            let Some(slot) = slot(handle) else { continue };
            let socket = slot.0.try_read().and_then(|socket| socket.clone());
            if let Some(socket) = socket {
                socket.flush();
            }
        }
    });
    // There is nobody left to tell.
    drop(flushed);
}

static LIBRARY: Lazy<Mutex<Library>> = Lazy::new(Mutex::default);
/// The process that opened the first socket.
static OWNER: OnceLock<u32> = OnceLock::new();
/// Slots stay for good, so that finding one needs no lock beside its own.
static SEGMENTS: [OnceLock<Box<[Slot]>>; 256] = [const { OnceLock::new() }; 256];
const SEGMENT: usize = 256;

/// The two domains.
pub const COOKED: i32 = 1;
pub const RAW: i32 = 2;
