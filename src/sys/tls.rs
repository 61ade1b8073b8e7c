//! The machine that encrypts, which lies in a library of its own: it is loaded when somebody first
//! asks for it. With the feature `tls` it is a part of this one.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

#[cfg(not(simulated))]
use super::process::is_privileged;

#[path = "../tls/table.rs"]
#[cfg_attr(
    any(feature = "tls", simulated),
    allow(dead_code, reason = "nothing is loaded, and nobody asks for memory")
)]
mod table;

use self::table::{Bytes, Complaint, Fed, Memory, Request, Space, Table};
use crate::memory::{self, Attempt, OutOfMemory};
use crate::message::Room;

/// The functions of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine(&'static Table);

/// What an end of encrypted streams shows, and whom it believes.
#[derive(Debug)]
pub struct TlsConfig {
    machine: Machine,
    config: NonNull<c_void>,
}

// SAFETY: any number of threads may use a configuration, and any may free it (`Table`).
unsafe impl Send for TlsConfig {}
// SAFETY: as above.
unsafe impl Sync for TlsConfig {}

/// One end of an encrypted stream: bytes in, bytes out.
#[derive(Debug)]
pub struct TlsSession {
    machine: Machine,
    session: NonNull<c_void>,
}

// SAFETY: one thread at a time uses a session, and that may be any; `&mut` sees to it.
unsafe impl Send for TlsSession {}

/// What a configuration is made of: PEM, or paths of files of it, or for the last two of
/// directories.
#[derive(Clone, Copy, Debug)]
pub struct TlsWishes<'a> {
    pub role: TlsRole,
    /// As the option numbers them: none, optional, required.
    pub verify: u32,
    /// 12 or 13.
    pub version_min: u32,
    pub is_http: bool,
    pub certificate: &'a [u8],
    pub key: &'a [u8],
    pub trust: &'a [u8],
    pub revoked: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRole {
    Client,
    Server,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsState(u32);

/// Why something was not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsTrouble {
    OutOfMemory,
    /// What cannot be used and what is wrong with it, as the machine numbers them, the kernel's
    /// number for that, or 0; and words for a trace.
    Complaint {
        setting: u8,
        flaw: u8,
        code: i32,
        words: String,
    },
}

impl From<OutOfMemory> for TlsTrouble {
    fn from(OutOfMemory: OutOfMemory) -> TlsTrouble {
        TlsTrouble::OutOfMemory
    }
}

impl Machine {
    /// `None` when its library is not installed, or is not of our version.
    pub fn get() -> Option<Machine> {
        static TABLE: AtomicPtr<Table> = AtomicPtr::new(ptr::null_mut());
        // Acquire: pairs with the release below.
        let mut table = TABLE.load(Ordering::Acquire);
        if table.is_null() {
            table = load().cast_mut();
            // Release: pairs with the acquire above. Who is late stores the same.
            TABLE.store(table, Ordering::Release);
        }
        // SAFETY: it is null, or points to a table that stays as long as the process.
        unsafe { table.as_ref() }.map(Machine)
    }

    /// # Errors
    /// When something cannot be read, is no PEM, or does not belong together.
    pub fn config(self, wishes: &TlsWishes<'_>) -> Result<TlsConfig, TlsTrouble> {
        let role = match wishes.role {
            TlsRole::Client => table::CLIENT,
            TlsRole::Server => table::SERVER,
        };
        let request = Request {
            role,
            verify: wishes.verify,
            version_min: wishes.version_min,
            is_http: wishes.is_http.into(),
            is_privileged: is_privileged().into(),
            certificate: lent(wishes.certificate),
            key: lent(wishes.key),
            trust: lent(wishes.trust),
            revoked: lent(wishes.revoked),
        };
        let mut why = NO_COMPLAINT;
        let attempt = Attempt::begin()?;
        // SAFETY: request and bytes live as long as the call, and there is room for a complaint.
        let config = unsafe { (self.0.config_new)(&raw const request, &raw mut why) };
        let config = NonNull::new(config).map(|config| TlsConfig { machine: self, config });
        attempt.check()?;
        config.ok_or_else(|| trouble(&why))
    }
}

impl TlsConfig {
    /// A session; a client expects a peer of that name.
    ///
    /// # Errors
    /// When the name is none.
    pub fn session(&self, name: &[u8]) -> Result<TlsSession, TlsTrouble> {
        let (machine, mut why) = (self.machine, NO_COMPLAINT);
        let attempt = Attempt::begin()?;
        let (config, name) = (self.config.as_ptr(), lent(name));
        // SAFETY: it is a configuration of this machine, and the rest lives as long as the call.
        let session = unsafe { (machine.0.session_new)(config, name, &raw mut why) };
        let session = NonNull::new(session).map(|session| TlsSession { machine, session });
        attempt.check()?;
        session.ok_or_else(|| trouble(&why))
    }
}

impl Drop for TlsConfig {
    fn drop(&mut self) {
        // SAFETY: it is a configuration of this machine, and sessions have their share of it.
        unsafe { (self.machine.0.config_free)(self.config.as_ptr()) };
    }
}

impl TlsSession {
    /// Plaintext in a record, and what is around it at most.
    pub const RECORD: usize = table::RECORD;
    pub const AROUND: usize = table::AROUND;

    /// Bytes that are to be free in front of what is fed next.
    #[must_use]
    pub fn held(&self) -> usize {
        // SAFETY: it is a session of this machine, and nobody changes it meanwhile.
        unsafe { (self.machine.0.held)(self.session.as_ptr()) }
    }

    /// Takes all of the ciphertext, which lies in `bytes` behind as many as are held and does not
    /// survive that. Fills `room` first, then `rest`, and says how much; what finds no room waits.
    ///
    /// # Errors
    /// When there was no memory for something: then it is of no use any more.
    pub fn feed(
        &mut self,
        bytes: &mut [u8],
        mut room: Option<&mut Room<'_>>,
        rest: &mut [u8],
    ) -> Result<(usize, TlsState), OutOfMemory> {
        assert!(self.held() <= bytes.len(), "what is held has no place");
        let attempt = Attempt::begin()?;
        let spaces = spaces(room.as_deref_mut(), rest);
        let (session, start, len) = (self.session.as_ptr(), bytes.as_mut_ptr(), bytes.len());
        // SAFETY: it is a session of this machine, and bytes and spaces are ours for the call.
        let Fed { count, state } =
            unsafe { (self.machine.0.feed)(session, start, len, &raw const spaces) };
        // SAFETY: the machine has filled so many bytes of the spaces.
        unsafe { note_filled(room, &spaces, count) };
        attempt.check()?;
        Ok((count, TlsState(state)))
    }

    /// Gives plaintext that found no room when it was fed, as there.
    pub fn take(&mut self, mut room: Option<&mut Room<'_>>, rest: &mut [u8]) -> usize {
        let spaces = spaces(room.as_deref_mut(), rest);
        // SAFETY: it is a session of this machine, and the spaces are ours for the call.
        let count = unsafe { (self.machine.0.take)(self.session.as_ptr(), &raw const spaces) };
        // SAFETY: the machine has filled so many bytes of the spaces.
        unsafe { note_filled(room, &spaces, count) };
        count
    }

    /// Takes all of the plaintext and makes records of it, says how many bytes they are. It takes
    /// none where [`TlsState`] says that it is handshaking or has ciphertext, and where there is
    /// less room than that with [`TlsSession::AROUND`] for each [`TlsSession::RECORD`] begun.
    ///
    /// # Errors
    /// As [`TlsSession::feed`].
    pub fn put(&mut self, plaintext: &[u8], room: &mut [u8]) -> Result<usize, OutOfMemory> {
        let attempt = Attempt::begin()?;
        let (session, start, len) = (self.session.as_ptr(), room.as_mut_ptr(), room.len());
        // SAFETY: it is a session of this machine, and bytes and room are ours for the call.
        let count = unsafe { (self.machine.0.put)(session, lent(plaintext), start, len) };
        attempt.check()?;
        Ok(count.min(len))
    }

    /// Gives ciphertext that is no plaintext of anybody, and says how much.
    pub fn emit(&mut self, room: &mut [u8]) -> usize {
        // SAFETY: it is a session of this machine, and there is so much room.
        unsafe { (self.machine.0.emit)(self.session.as_ptr(), room.as_mut_ptr(), room.len()) }
    }

    #[must_use]
    pub fn state(&self) -> TlsState {
        // SAFETY: it is a session of this machine, and nobody changes it meanwhile.
        TlsState(unsafe { (self.machine.0.state)(self.session.as_ptr()) })
    }

    /// Tells the peer that nothing follows.
    pub fn end(&mut self) {
        // SAFETY: it is a session of this machine.
        unsafe { (self.machine.0.end)(self.session.as_ptr()) };
    }

    /// Whom the peer's certificate is for, as lines of text; empty if it has shown none.
    ///
    /// # Errors
    /// When there is no memory for that.
    pub fn peer(&self) -> Result<Vec<u8>, OutOfMemory> {
        let mut text = Vec::new();
        let attempt = Attempt::begin()?;
        loop {
            let (start, room) = (text.as_mut_ptr(), text.len());
            // SAFETY: it is a session of this machine, and there is so much room.
            let len = unsafe { (self.machine.0.peer)(self.session.as_ptr(), start, room) };
            attempt.check()?;
            if len <= room {
                return Ok(text);
            }
            memory::reserve_exact(&mut text, len)?;
            text.resize(len, 0);
        }
    }

    /// Why it has failed: the number of it, and words for a trace.
    #[must_use]
    pub fn complaint(&self) -> (u32, String) {
        let mut why = NO_COMPLAINT;
        // SAFETY: it is a session of this machine, and there is room for a complaint.
        unsafe { (self.machine.0.complain)(self.session.as_ptr(), &raw mut why) };
        (why.fault, words(&why))
    }
}

impl Drop for TlsSession {
    fn drop(&mut self) {
        // SAFETY: it is a session of this machine.
        unsafe { (self.machine.0.session_free)(self.session.as_ptr()) };
    }
}

impl TlsState {
    #[must_use]
    pub fn is_handshaking(self) -> bool {
        self.0 & table::IS_HANDSHAKING != 0
    }

    #[must_use]
    pub fn has_plaintext(self) -> bool {
        self.0 & table::HAS_PLAINTEXT != 0
    }

    #[must_use]
    pub fn has_ciphertext(self) -> bool {
        self.0 & table::HAS_CIPHERTEXT != 0
    }

    /// The peer has said that nothing follows.
    #[must_use]
    pub fn is_ended(self) -> bool {
        self.0 & table::IS_ENDED != 0
    }

    #[must_use]
    pub fn is_failed(self) -> bool {
        self.0 & table::IS_FAILED != 0
    }
}

fn lent(bytes: &[u8]) -> Bytes {
    Bytes { start: bytes.as_ptr(), len: bytes.len() }
}

fn spaces(room: Option<&mut Room<'_>>, rest: &mut [u8]) -> [Space; 2] {
    let spare = room.map(Room::spare).unwrap_or_default();
    [
        Space { start: spare.as_mut_ptr().cast(), len: spare.len() },
        Space { start: rest.as_mut_ptr(), len: rest.len() },
    ]
}

/// # Safety
/// So many bytes of the spaces have been filled, of which the first is what is spare in `room`.
unsafe fn note_filled(room: Option<&mut Room<'_>>, spaces: &[Space; 2], count: usize) {
    if let Some(room) = room {
        // SAFETY: the caller vouches for it: the first is filled before the second.
        unsafe { room.advance(count.min(spaces[0].len)) };
    }
}

fn words(why: &Complaint) -> String {
    let text = why.text.get(..why.len).unwrap_or(&why.text);
    String::from_utf8_lossy(text).into_owned()
}

fn trouble(why: &Complaint) -> TlsTrouble {
    let byte = |number: u32| u8::try_from(number).unwrap_or(0);
    let (setting, flaw) = (byte(why.setting), byte(why.flaw));
    TlsTrouble::Complaint { setting, flaw, code: why.code, words: words(why) }
}

#[cfg(feature = "tls")]
fn load() -> *const Table {
    // Both are made of the same page, and with the same compiler.
    ptr::from_ref(&spmsg_tls::exports::TABLE).cast()
}

#[cfg(all(not(feature = "tls"), not(simulated)))]
fn load() -> *const Table {
    let names = NAMES;
    let Ok(entry) = std::ffi::CStr::from_bytes_with_nul(table::ENTRY) else { return ptr::null() };
    let Some(entry) = super::library::symbol(&names, entry) else { return ptr::null() };
    // SAFETY: who exports that name has made it of our page, whose first argument is its version.
    let entry = unsafe { std::mem::transmute::<*mut c_void, table::Entry>(entry) };
    // SAFETY: the functions live as long as we do, which is as long as the process does.
    let found = unsafe { entry(table::VERSION, &raw const OURS) };
    // SAFETY: it is null, or a table, whose first field is its version in all versions.
    let is_ours = unsafe { found.as_ref() }.is_some_and(|table| table.version == table::VERSION);
    if is_ours { found } else { ptr::null() }
}

/// A simulated machine loads nothing.
#[cfg(all(not(feature = "tls"), simulated))]
fn load() -> *const Table {
    ptr::null()
}

/// As it is installed, and as it is built.
#[cfg(all(not(feature = "tls"), not(simulated), not(target_os = "macos")))]
const NAMES: [&std::ffi::CStr; 2] = [c"libspmsg-tls.so.0", c"libspmsg_tls.so"];
#[cfg(all(not(feature = "tls"), not(simulated), target_os = "macos"))]
const NAMES: [&std::ffi::CStr; 2] = [c"libspmsg-tls.0.dylib", c"libspmsg_tls.dylib"];

/// Our allocator, with all that it does when there is nothing.
#[cfg_attr(any(feature = "tls", simulated), allow(dead_code, reason = "it has the same anyway"))]
static OURS: Memory = Memory {
    allocate: ours_allocate,
    allocate_zeroed: ours_allocate_zeroed,
    release: ours_release,
    resize: ours_resize,
};

unsafe extern "C" fn ours_allocate(size: usize, align: usize) -> *mut u8 {
    // SAFETY: the machine passes what its own allocator was asked for, as do the next three.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: as above: the size is not zero.
    unsafe { alloc(layout) }
}

unsafe extern "C" fn ours_allocate_zeroed(size: usize, align: usize) -> *mut u8 {
    // SAFETY: as above.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: as above: the size is not zero.
    unsafe { alloc_zeroed(layout) }
}

unsafe extern "C" fn ours_release(start: *mut u8, size: usize, align: usize) {
    // SAFETY: as above.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: as above: it was had with this layout.
    unsafe { dealloc(start, layout) };
}

unsafe extern "C" fn ours_resize(
    start: *mut u8,
    size: usize,
    align: usize,
    wanted: usize,
) -> *mut u8 {
    // SAFETY: as above.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    // SAFETY: as above: it was had with this layout, and the size is not zero.
    unsafe { realloc(start, layout, wanted) }
}

const NO_COMPLAINT: Complaint = Complaint {
    fault: table::FAULT_NONE,
    setting: table::SETTING_OTHER,
    flaw: table::FLAW_OTHER,
    code: 0,
    len: 0,
    text: [0; table::TEXT_MAX],
};

/// The numbers of the machine, which those of the C interface and of the options are held to.
pub mod numbers {
    pub use super::table::{
        FAULT_ALERT, FAULT_BAD_CERTIFICATE, FAULT_EXPIRED, FAULT_INCOMPATIBLE,
        FAULT_NO_CERTIFICATE, FAULT_NO_REVOCATIONS, FAULT_NONE, FAULT_NOT_TLS, FAULT_NOT_YET_VALID,
        FAULT_OLD_REVOCATIONS, FAULT_OTHER, FAULT_PROTOCOL, FAULT_REVOKED, FAULT_SETTINGS,
        FAULT_TOO_LONG, FAULT_TRUNCATED, FAULT_UNTRUSTED, FAULT_WRONG_NAME, FAULT_WRONG_PURPOSE,
        FLAW_DAMAGED, FLAW_EMPTY, FLAW_ENCRYPTED, FLAW_MISSING, FLAW_NO_FILE, FLAW_OF_ANOTHER,
        FLAW_SYSTEM, FLAW_TOO_LARGE, FLAW_UNKNOWN_KIND, IDENTITY_MAX, SETTING_CERTIFICATE,
        SETTING_KEY, SETTING_NAME, SETTING_REVOKED, SETTING_TRUST, TLS_1_2, TLS_1_3, VERIFY_NONE,
        VERIFY_OPTIONAL, VERIFY_REQUIRED,
    };
}

/// A simulated process is nobody's.
#[cfg(simulated)]
fn is_privileged() -> bool {
    false
}
