//! What libspmsg and libspmsg-tls say to each other: C types only, because each has been made by a
//! compiler of its own. Both have this file; whoever changes anything in it raises [`VERSION`].

use std::ffi::c_void;

/// Of this page. A library that speaks another one is not used.
pub const VERSION: u32 = 4;

/// The one function that is exported, which returns a [`Table`], or null for another version.
pub const ENTRY: &[u8] = b"spmsg_tls_table\0";

/// What [`ENTRY`] names.
pub type Entry = unsafe extern "C" fn(version: u32, memory: *const Memory) -> *const Table;

/// Where memory comes from: all of it is had from the one who asks for the table, so that he finds
/// out when there is none.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub allocate: unsafe extern "C" fn(size: usize, align: usize) -> *mut u8,
    pub allocate_zeroed: unsafe extern "C" fn(size: usize, align: usize) -> *mut u8,
    pub release: unsafe extern "C" fn(start: *mut u8, size: usize, align: usize),
    pub resize:
        unsafe extern "C" fn(start: *mut u8, size: usize, align: usize, wanted: usize) -> *mut u8,
}

/// Bytes that are lent for a call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    pub start: *const u8,
    pub len: usize,
}

/// Room that is lent for a call, of which nothing is read.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Space {
    pub start: *mut u8,
    pub len: usize,
}

/// What a configuration is made of. A certificate, a key, trust and revocations are PEM, or the
/// path of a file of it, or for the last two of a directory of such files; empty where there is
/// none.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// [`CLIENT`] or [`SERVER`].
    pub role: u32,
    /// [`VERIFY_NONE`], [`VERIFY_OPTIONAL`] or [`VERIFY_REQUIRED`].
    pub verify: u32,
    /// [`TLS_1_2`] or [`TLS_1_3`]: the oldest version that is spoken.
    pub version_min: u32,
    /// Not 0 where HTTP is spoken, of the version that WebSocket needs.
    pub is_http: u32,
    /// Not 0 where the process may do more than the user who has started it, whose environment
    /// tells nothing then.
    pub is_privileged: u32,
    pub certificate: Bytes,
    pub key: Bytes,
    /// Whom to trust: the system's authorities when it is empty.
    pub trust: Bytes,
    pub revoked: Bytes,
}

pub const CLIENT: u32 = 0;
pub const SERVER: u32 = 1;

pub const VERIFY_NONE: u32 = 0;
pub const VERIFY_OPTIONAL: u32 = 1;
pub const VERIFY_REQUIRED: u32 = 2;

pub const TLS_1_2: u32 = 12;
pub const TLS_1_3: u32 = 13;

/// Why something failed: its number, and in words for a trace. No secret is ever part of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Complaint {
    /// One of those that begin with FAULT.
    pub fault: u32,
    /// With [`FAULT_SETTINGS`], what of them cannot be used, and what is wrong with it.
    pub setting: u32,
    pub flaw: u32,
    /// With [`FLAW_SYSTEM`], the system's number for that.
    pub code: i32,
    pub len: usize,
    pub text: [u8; TEXT_MAX],
}

/// Longest words about a failure.
pub const TEXT_MAX: usize = 240;
/// Text about a certificate is shorter.
pub const IDENTITY_MAX: usize = 4096;

pub const FAULT_NONE: u32 = 0;
/// The stream ended although nobody had said that it would.
pub const FAULT_TRUNCATED: u32 = 1;
/// What the peer says is no TLS.
pub const FAULT_NOT_TLS: u32 = 2;
/// The peer breaks the rules of TLS.
pub const FAULT_PROTOCOL: u32 = 3;
/// There is no version, or no cipher, that both speak.
pub const FAULT_INCOMPATIBLE: u32 = 4;
/// The peer refuses us, with an alert whose number is added to this.
pub const FAULT_ALERT: u32 = 0x100;
/// The peer has shown no certificate.
pub const FAULT_NO_CERTIFICATE: u32 = 5;
/// Nobody who is trusted vouches for the peer's certificate.
pub const FAULT_UNTRUSTED: u32 = 6;
pub const FAULT_EXPIRED: u32 = 7;
pub const FAULT_NOT_YET_VALID: u32 = 8;
pub const FAULT_WRONG_NAME: u32 = 9;
pub const FAULT_REVOKED: u32 = 10;
/// The certificate is not for this end of a connection.
pub const FAULT_WRONG_PURPOSE: u32 = 11;
/// The certificate is damaged, its signature is wrong, or its key is too weak.
pub const FAULT_BAD_CERTIFICATE: u32 = 12;
/// A greeting that takes too many bytes.
pub const FAULT_TOO_LONG: u32 = 13;
/// Our own certificate, key or trust cannot be read or used.
pub const FAULT_SETTINGS: u32 = 14;
/// Something else, or a bug.
pub const FAULT_OTHER: u32 = 15;
/// Whether the certificate is revoked is not known: there is no list of its authority.
pub const FAULT_NO_REVOCATIONS: u32 = 16;
/// The same: the list is of no use any more, because the next one should be there.
pub const FAULT_OLD_REVOCATIONS: u32 = 17;

/// What a configuration is made of.
pub const SETTING_OTHER: u32 = 0;
pub const SETTING_CERTIFICATE: u32 = 1;
pub const SETTING_KEY: u32 = 2;
pub const SETTING_TRUST: u32 = 3;
pub const SETTING_REVOKED: u32 = 4;
pub const SETTING_NAME: u32 = 5;

/// Something that has no number.
pub const FLAW_OTHER: u32 = 0;
/// The system does not let it be read.
pub const FLAW_SYSTEM: u32 = 1;
pub const FLAW_TOO_LARGE: u32 = 2;
/// It is damaged, or no PEM.
pub const FLAW_DAMAGED: u32 = 3;
/// There is nothing in it of what there should be.
pub const FLAW_EMPTY: u32 = 4;
/// It is not there, and must be.
pub const FLAW_MISSING: u32 = 5;
/// It is a key that can be read with a password only.
pub const FLAW_ENCRYPTED: u32 = 6;
/// It is a key of a kind that is of no use.
pub const FLAW_UNKNOWN_KIND: u32 = 7;
/// It is a key that does not belong to the certificate.
pub const FLAW_OF_ANOTHER: u32 = 8;
/// It is the path of what is neither a file nor a pipe, such as a device.
pub const FLAW_NO_FILE: u32 = 9;

/// How a session stands: a sum of these.
pub const IS_HANDSHAKING: u32 = 1;
/// Plaintext can be taken.
pub const HAS_PLAINTEXT: u32 = 2;
/// Ciphertext can be taken.
pub const HAS_CIPHERTEXT: u32 = 4;
/// The peer has said that nothing follows.
pub const IS_ENDED: u32 = 8;
/// It has failed; what ciphertext there is tells the peer why.
pub const IS_FAILED: u32 = 16;

/// Plaintext in a record, a little less than there may be (RFC 8446, section 5.1): with the type
/// behind it that is whole blocks of every cipher, and four records pass a loopback in one packet.
/// Of larger ones the last bytes would take a packet more with each write.
pub const RECORD: usize = 127 * 128 - 1;
/// What is around it when it is encrypted, with what may have to be said before.
pub const AROUND: usize = 512;

/// What comes of feeding a session.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Fed {
    /// Bytes of plaintext that are in the rooms.
    pub count: usize,
    pub state: u32,
}

/// All that libspmsg-tls does. No function blocks, and none unwinds. Each session is used by one
/// thread at a time; a configuration by any number.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub version: u32,
    /// Null when it cannot be had, and the complaint tells why.
    pub config_new: unsafe extern "C" fn(*const Request, *mut Complaint) -> *mut c_void,
    pub config_free: unsafe extern "C" fn(*mut c_void),
    /// A session of that configuration; a client expects a peer of that name, or of that address.
    pub session_new: unsafe extern "C" fn(*mut c_void, Bytes, *mut Complaint) -> *mut c_void,
    pub session_free: unsafe extern "C" fn(*mut c_void),
    /// Bytes that are to be free in front of what is fed next.
    pub held: unsafe extern "C" fn(*mut c_void) -> usize,
    /// Takes all of the ciphertext, which lies behind so many bytes, and is destroyed; none of them
    /// is ciphertext. Plaintext goes into the two rooms, of which the first is filled first; what
    /// finds no room there is taken later. How much they were filled, and what state it leads to.
    pub feed: unsafe extern "C" fn(*mut c_void, *mut u8, usize, *const [Space; 2]) -> Fed,
    /// Gives plaintext that found no room, as before: how many bytes.
    pub take: unsafe extern "C" fn(*mut c_void, *const [Space; 2]) -> usize,
    /// Takes all of the plaintext and makes records of it in the room, whose bytes have been
    /// written to: how many bytes they are. None while it is handshaking or has something to say
    /// itself, and where there is less room than that with [`AROUND`] for every [`RECORD`] begun.
    pub put: unsafe extern "C" fn(*mut c_void, Bytes, *mut u8, usize) -> usize,
    /// Gives what it has to say itself: how many bytes.
    pub emit: unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> usize,
    pub state: unsafe extern "C" fn(*mut c_void) -> u32,
    /// Tells the peer that nothing follows.
    pub end: unsafe extern "C" fn(*mut c_void),
    /// Why it has failed.
    pub complain: unsafe extern "C" fn(*mut c_void, *mut Complaint),
    /// Whom the peer's certificate is for, if it has shown one: lines of text, each a key, `=` and
    /// a value. Their length, below [`IDENTITY_MAX`], and as much of them as there is room.
    pub peer: unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> usize,
    /// The version that is spoken, or 0.
    pub spoken: unsafe extern "C" fn(*mut c_void) -> u32,
}
