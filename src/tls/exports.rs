//! The machine as C functions. Each catches what panics, and answers as if it had failed.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use super::complaint::Trouble;
use super::config::{Config, Role, Verify, Wishes};
use super::identity;
use super::room::Room;
use super::session::Session;
#[cfg(feature = "loaded")]
use super::table::Memory;
use super::table::{self, Bytes, Complaint, Fed, Request, Space, Table};
use super::wiping::Wiping;

/// For those into whose library this one is linked, and who have the same memory.
pub static TABLE: Table = Table {
    version: table::VERSION,
    config_new,
    config_free,
    session_new,
    session_free,
    held,
    feed,
    take,
    put,
    emit,
    state,
    end,
    complain,
    peer,
    spoken,
};

/// The door of the shared library.
///
/// # Safety
/// `memory` is null, or points to functions of an allocator which live as long as the process. Who
/// first calls with some owns the global allocator of this library from then on.
#[cfg(feature = "loaded")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_tls_table(version: u32, memory: *const Memory) -> *const Table {
    if version != table::VERSION {
        return ptr::null();
    }
    // SAFETY: the caller vouches for it.
    if let Some(memory) = unsafe { memory.as_ref() } {
        super::allocator::forward_to(memory);
        // What panics is told by libspmsg, which writes without the locks of a standard library.
        std::panic::set_hook(Box::new(|_| ()));
    }
    &raw const TABLE
}

unsafe extern "C" fn config_new(request: *const Request, why: *mut Complaint) -> *mut c_void {
    // SAFETY: libspmsg passes a request, with bytes that live as long as the call.
    let request = unsafe { &*request };
    // SAFETY: as above.
    let wishes = unsafe { request.wishes() };
    let wiping = Wiping::begin();
    let config = guarded(|| Config::new(&wishes?));
    drop(wiping);
    // SAFETY: it passes a place for a complaint, or null.
    unsafe { boxed(config, why) }
}

unsafe extern "C" fn config_free(config: *mut c_void) {
    // SAFETY: it was given out by `config_new`, and nobody uses it any more.
    unsafe { free::<Config>(config) };
}

unsafe extern "C" fn session_new(
    config: *mut c_void,
    name: Bytes,
    why: *mut Complaint,
) -> *mut c_void {
    // SAFETY: it was given out by `config_new`.
    let config = unsafe { &*config.cast::<Config>() };
    // SAFETY: the bytes live as long as the call.
    let name = unsafe { name.slice() };
    let session = guarded(|| Session::new(config, name));
    // SAFETY: libspmsg passes a place for a complaint, or null.
    unsafe { boxed(session, why) }
}

unsafe extern "C" fn session_free(session: *mut c_void) {
    // SAFETY: it was given out by `session_new`, and nobody uses it any more.
    unsafe { free::<Session>(session) };
}

unsafe extern "C" fn held(session: *mut c_void) -> usize {
    // SAFETY: it was given out by `session_new`, and is this thread's.
    unsafe { with(session, 0, |session| session.held()) }
}

unsafe extern "C" fn feed(
    session: *mut c_void,
    start: *mut u8,
    len: usize,
    rooms: *const [Space; 2],
) -> Fed {
    // SAFETY: libspmsg passes that many bytes, of which it wants nothing any more.
    let bytes = unsafe { std::slice::from_raw_parts_mut(start, len) };
    // SAFETY: it passes two rooms, which lie elsewhere.
    let mut room = unsafe { room(rooms) };
    let fed = |session: &mut Session| {
        session.feed(bytes, &mut room);
        session.state()
    };
    // SAFETY: it was given out by `session_new`, and is this thread's.
    let state = unsafe { with(session, table::IS_FAILED, fed) };
    Fed { count: room.filled(), state }
}

unsafe extern "C" fn take(session: *mut c_void, rooms: *const [Space; 2]) -> usize {
    // SAFETY: libspmsg passes two rooms.
    let mut room = unsafe { room(rooms) };
    // SAFETY: it was given out by `session_new`, and is this thread's.
    unsafe { with(session, (), |session| session.take(&mut room)) };
    room.filled()
}

unsafe extern "C" fn put(
    session: *mut c_void,
    plaintext: Bytes,
    start: *mut u8,
    len: usize,
) -> usize {
    // SAFETY: the bytes live as long as the call.
    let plaintext = unsafe { plaintext.slice() };
    // SAFETY: libspmsg passes that many bytes, all of which it has written to before.
    let room = unsafe { std::slice::from_raw_parts_mut(start, len) };
    // SAFETY: it was given out by `session_new`, and is this thread's.
    unsafe { with(session, 0, |session| session.put(plaintext, room)) }
}

unsafe extern "C" fn emit(session: *mut c_void, start: *mut u8, len: usize) -> usize {
    // SAFETY: libspmsg passes room for that many bytes.
    let room = unsafe { std::slice::from_raw_parts_mut(start, len) };
    // SAFETY: it was given out by `session_new`, and is this thread's.
    unsafe { with(session, 0, |session| session.emit(room)) }
}

unsafe extern "C" fn state(session: *mut c_void) -> u32 {
    // SAFETY: it was given out by `session_new`, and is this thread's.
    unsafe { with(session, table::IS_FAILED, |session| session.state()) }
}

unsafe extern "C" fn end(session: *mut c_void) {
    // SAFETY: it was given out by `session_new`, and is this thread's.
    unsafe { with(session, (), Session::end) }
}

unsafe extern "C" fn complain(session: *mut c_void, why: *mut Complaint) {
    let bug = Complaint::from(&Trouble::new(table::FAULT_OTHER, "a bug"));
    let failure =
        |session: &mut Session| session.failure().map_or(Complaint::NONE, Complaint::from);
    // SAFETY: it was given out by `session_new`, and is this thread's.
    let complaint = unsafe { with(session, bug, failure) };
    // SAFETY: libspmsg passes a place for a complaint.
    unsafe { why.write(complaint) };
}

unsafe extern "C" fn peer(session: *mut c_void, start: *mut u8, len: usize) -> usize {
    // SAFETY: libspmsg passes room for that many bytes.
    let room = unsafe { std::slice::from_raw_parts_mut(start, len) };
    let peer = |session: &mut Session| {
        let text = session.peer().map(|certificate| identity::text(certificate));
        let bytes = text.as_deref().unwrap_or_default().as_bytes();
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        bytes.len()
    };
    // SAFETY: it was given out by `session_new`, and is this thread's.
    unsafe { with(session, 0, peer) }
}

unsafe extern "C" fn spoken(session: *mut c_void) -> u32 {
    // SAFETY: it was given out by `session_new`, and is this thread's.
    unsafe { with(session, 0, |session| session.spoken()) }
}

impl Bytes {
    /// # Safety
    /// They are there for as long as it is used.
    unsafe fn slice<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the caller vouches for it.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl Space {
    /// # Safety
    /// Nobody else uses it for as long as this is.
    unsafe fn slice<'a>(self) -> &'a mut [MaybeUninit<u8>] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: the caller vouches for it, and what is there need not have been written to.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.len) }
    }
}

/// # Safety
/// There are two rooms, which are nobody else's for as long as this is used.
unsafe fn room<'a>(rooms: *const [Space; 2]) -> Room<'a> {
    // SAFETY: the caller vouches for it.
    let [first, second] = unsafe { *rooms };
    // SAFETY: as above.
    let first = unsafe { first.slice() };
    // SAFETY: as above, and the two are not one.
    Room::new(first, unsafe { second.slice() })
}

impl Request {
    /// # Safety
    /// Its bytes are there for as long as it is used.
    unsafe fn wishes(&self) -> Result<Wishes<'_>, Trouble> {
        let unknown = |what| Trouble::new(table::FAULT_SETTINGS, what);
        let role = match self.role {
            table::CLIENT => Role::Client,
            table::SERVER => Role::Server,
            _ => return Err(unknown("an unknown role")),
        };
        let verify = match self.verify {
            table::VERIFY_NONE => Verify::None,
            table::VERIFY_OPTIONAL => Verify::Optional,
            table::VERIFY_REQUIRED => Verify::Required,
            _ => return Err(unknown("an unknown way to verify")),
        };
        let is_modern_only = match self.version_min {
            table::TLS_1_2 => false,
            table::TLS_1_3 => true,
            _ => return Err(unknown("an unknown version")),
        };
        Ok(Wishes {
            role,
            verify,
            is_http: self.is_http != 0,
            is_modern_only,
            is_privileged: self.is_privileged != 0,
            // SAFETY: the caller vouches for it.
            certificate: unsafe { self.certificate.slice() },
            // SAFETY: as above.
            key: unsafe { self.key.slice() },
            // SAFETY: as above.
            trust: unsafe { self.trust.slice() },
            // SAFETY: as above.
            revoked: unsafe { self.revoked.slice() },
        })
    }
}

fn guarded<T>(make: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    let bug = |_| Err(Trouble::new(table::FAULT_OTHER, "a bug"));
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(bug)
}

/// # Safety
/// `why` is null or a place for a complaint.
unsafe fn boxed<T>(made: Result<T, Trouble>, why: *mut Complaint) -> *mut c_void {
    match made {
        Ok(made) => Box::into_raw(Box::new(made)).cast(),
        Err(trouble) => {
            if !why.is_null() {
                // SAFETY: the caller vouches for it.
                unsafe { why.write(Complaint::from(&trouble)) };
            }
            ptr::null_mut()
        }
    }
}

/// # Safety
/// It is a `T` of [`boxed`] that nobody uses any more.
unsafe fn free<T>(made: *mut c_void) {
    // SAFETY: the caller vouches for it.
    let made = unsafe { Box::from_raw(made.cast::<T>()) };
    // The last session of a configuration has its key.
    let _wiping = Wiping::begin();
    let _ = catch_unwind(AssertUnwindSafe(|| drop(made)));
}

/// What has panicked once may be in any state, and is asked nothing any more.
///
/// # Safety
/// It is a session of [`boxed`] that no other thread uses.
unsafe fn with<T>(session: *mut c_void, bug: T, call: impl FnOnce(&mut Session) -> T) -> T {
    // SAFETY: the caller vouches for it.
    let session = unsafe { &mut *session.cast::<Session>() };
    if session.is_condemned() {
        return bug;
    }
    catch_unwind(AssertUnwindSafe(|| call(session))).unwrap_or_else(|_| {
        session.condemn();
        bug
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::client;
    use super::*;

    #[test]
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "all calls are on one session")]
    fn what_has_panicked_is_used_no_more() {
        let session = Box::into_raw(Box::new(Session::new(&client(), b"here.test").unwrap()));
        let session = session.cast::<c_void>();
        let mut room = [0; 1024];
        // SAFETY: it is a session, this thread's, with the room that is told.
        unsafe {
            assert_eq!(state(session) & table::IS_FAILED, 0);
            assert_eq!(emit(session, room.as_mut_ptr(), 10), 10);
            std::panic::set_hook(Box::new(|_| ()));
            assert_eq!(with(session, 7, |_| panic!("a bug")), 7);
            drop(std::panic::take_hook());
            assert_eq!(state(session), table::IS_FAILED);
            assert_eq!(emit(session, room.as_mut_ptr(), room.len()), 0);
            let bytes = Bytes { start: room.as_ptr(), len: room.len() };
            let rooms = [Space { start: ptr::null_mut(), len: 0 }; 2];
            let fed = feed(session, room.as_mut_ptr(), room.len(), &raw const rooms);
            assert_eq!((fed.count, fed.state), (0, table::IS_FAILED));
            assert_eq!(put(session, bytes, room.as_mut_ptr(), room.len()), 0);
            assert_eq!((take(session, &raw const rooms), spoken(session)), (0, 0));
            end(session);
            let mut why = Complaint::NONE;
            complain(session, &raw mut why);
            assert_eq!((why.fault, &why.text[..why.len]), (table::FAULT_OTHER, &b"a bug"[..]));
            session_free(session);
        }
    }
}
