//! The functions of C that the tool needs, as safe as their manual allows.

use spmsg::ffi::abi::nn::{
    AF_SP, EFSM, NN_DONTWAIT, NN_LINGER, NN_MSG, NN_RCVTIMEO, NN_SNDTIMEO, NN_SOCKET_NAME,
    NN_SOL_SOCKET, nn_cmsghdr, nn_iovec, nn_msghdr,
};
use spmsg::ffi::abi::pubsub::{NN_SUB, NN_SUB_SUBSCRIBE};
use spmsg::ffi::abi::spmsg::{
    SPMSG_CONTROL, SPMSG_PEER_ADDRESS, SPMSG_PEER_INFO, SPMSG_TLS, SPMSG_TLS_CERTIFICATE,
    SPMSG_TLS_KEY, SPMSG_TLS_NAME, SPMSG_TLS_TRUST, SPMSG_TLS_VERIFY, SPMSG_TLS_VERIFY_NONE,
    SPMSG_TLS_VERIFY_REQUIRED,
};
use spmsg::ffi::{ancillary, errno, extension, message, options, socket, statistics, transfer};
use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::ptr;
use std::slice;

/// Why a call has failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorNumber(c_int);

impl ErrorNumber {
    /// Nothing came in the time that was set.
    pub fn is_timeout(self) -> bool {
        self.0 == libc::ETIMEDOUT
    }

    /// There is nothing to wait for: nothing was asked.
    pub fn is_wrong_state(self) -> bool {
        self.0 == EFSM
    }

    /// It would have to be waited for.
    pub fn is_not_yet(self) -> bool {
        self.0 == libc::EAGAIN
    }

    fn is_interrupted(self) -> bool {
        self.0 == libc::EINTR
    }
}

impl fmt::Display for ErrorNumber {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = errno::nn_strerror(self.0);
        // SAFETY: the text of an error is a string, and stays until this thread asks again.
        let text = unsafe { CStr::from_ptr(text) };
        write!(to, "{}", text.to_string_lossy())
    }
}

/// What the library says of the call that has just failed, which is more than its number tells.
pub fn reason() -> String {
    let mut text = [0_u8; 256];
    // SAFETY: there is so much room, and what is stored ends with a zero.
    let stored = unsafe { extension::spmsg_error_text(text.as_mut_ptr().cast(), text.len()) };
    let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    if stored < 0 { String::new() } else { text.to_string_lossy().into_owned() }
}

fn outcome(returned: c_int) -> Result<c_int, ErrorNumber> {
    if returned >= 0 { Ok(returned) } else { Err(ErrorNumber(errno::nn_errno())) }
}

/// Calls again whatever a signal has interrupted.
fn patiently(call: impl Fn() -> c_int) -> Result<c_int, ErrorNumber> {
    loop {
        match outcome(call()) {
            Err(number) if number.is_interrupted() => {}
            other => return other,
        }
    }
}

/// What `receive` does while nothing has arrived.
#[derive(Clone, Copy)]
pub enum Wait {
    Never,
    AsSet,
}

/// What `tls+tcp` and `wss` have to be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TlsText {
    Certificate,
    Key,
    Trust,
    Name,
}

/// Whose certificate is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verify {
    /// Who connects looks, and who listens does not.
    AsUsual,
    Everybody,
    Nobody,
}

/// A socket as long as nobody closes it; after that, every call fails.
#[derive(Clone, Copy)]
pub struct Socket(c_int);

impl Socket {
    pub fn open(kind: c_int) -> Result<Socket, ErrorNumber> {
        outcome(socket::nn_socket(AF_SP, kind)).map(Socket)
    }

    pub fn bind(self, address: &CStr) -> Result<(), ErrorNumber> {
        // SAFETY: a string of C.
        outcome(unsafe { socket::nn_bind(self.0, address.as_ptr()) }).map(drop)
    }

    pub fn connect(self, address: &CStr) -> Result<(), ErrorNumber> {
        // SAFETY: a string of C.
        outcome(unsafe { socket::nn_connect(self.0, address.as_ptr()) }).map(drop)
    }

    pub fn set_send_timeout(self, ms: c_int) -> Result<(), ErrorNumber> {
        self.set(NN_SOL_SOCKET, NN_SNDTIMEO, &ms.to_ne_bytes())
    }

    pub fn set_recv_timeout(self, ms: c_int) -> Result<(), ErrorNumber> {
        self.set(NN_SOL_SOCKET, NN_RCVTIMEO, &ms.to_ne_bytes())
    }

    pub fn set_linger(self, ms: c_int) -> Result<(), ErrorNumber> {
        self.set(NN_SOL_SOCKET, NN_LINGER, &ms.to_ne_bytes())
    }

    pub fn set_name(self, name: &[u8]) -> Result<(), ErrorNumber> {
        self.set(NN_SOL_SOCKET, NN_SOCKET_NAME, name)
    }

    pub fn subscribe(self, prefix: &[u8]) -> Result<(), ErrorNumber> {
        self.set(NN_SUB, NN_SUB_SUBSCRIBE, prefix)
    }

    pub fn tell_peers(self) -> Result<(), ErrorNumber> {
        self.set(NN_SOL_SOCKET, SPMSG_PEER_INFO, &c_int::from(true).to_ne_bytes())
    }

    /// A string of level `SPMSG_TLS`.
    pub fn set_tls(self, what: TlsText, value: &[u8]) -> Result<(), ErrorNumber> {
        let option = match what {
            TlsText::Certificate => SPMSG_TLS_CERTIFICATE,
            TlsText::Key => SPMSG_TLS_KEY,
            TlsText::Trust => SPMSG_TLS_TRUST,
            TlsText::Name => SPMSG_TLS_NAME,
        };
        self.set(SPMSG_TLS, option, value)
    }

    pub fn verify(self, whom: Verify) -> Result<(), ErrorNumber> {
        let choice = match whom {
            Verify::AsUsual => return Ok(()),
            Verify::Everybody => SPMSG_TLS_VERIFY_REQUIRED,
            Verify::Nobody => SPMSG_TLS_VERIFY_NONE,
        };
        self.set(SPMSG_TLS, SPMSG_TLS_VERIFY, &choice.to_ne_bytes())
    }

    fn set(self, level: c_int, option: c_int, value: &[u8]) -> Result<(), ErrorNumber> {
        let (start, len) = (value.as_ptr().cast(), value.len());
        // SAFETY: a slice.
        outcome(unsafe { options::nn_setsockopt(self.0, level, option, start, len) }).map(drop)
    }

    pub fn send(self, body: &[u8]) -> Result<(), ErrorNumber> {
        let start = body.as_ptr().cast();
        // SAFETY: a slice.
        patiently(|| unsafe { transfer::nn_send(self.0, start, body.len(), 0) }).map(drop)
    }

    /// A message, and the address of its sender once `tell_peers` was called.
    pub fn receive(self, wait: Wait) -> Result<(Message, Option<String>), ErrorNumber> {
        let flags = match wait {
            Wait::Never => NN_DONTWAIT,
            Wait::AsSet => 0,
        };
        loop {
            match self.receive_once(flags) {
                Err(number) if number.is_interrupted() => {}
                other => return other,
            }
        }
    }

    fn receive_once(self, flags: c_int) -> Result<(Message, Option<String>), ErrorNumber> {
        let (mut body, mut control) = (ptr::null_mut::<c_void>(), ptr::null_mut::<c_void>());
        let mut piece = nn_iovec { iov_base: (&raw mut body).cast(), iov_len: NN_MSG };
        let mut header = nn_msghdr {
            msg_iov: &raw mut piece,
            msg_iovlen: 1,
            msg_control: (&raw mut control).cast(),
            msg_controllen: NN_MSG,
        };
        // SAFETY: places for two messages.
        let len = outcome(unsafe { transfer::nn_recvmsg(self.0, &raw mut header, flags) })?;
        let body = Message(body, len.unsigned_abs() as usize);
        let control = Message(control, 0);
        let peer = peer(&header);
        drop(control);
        Ok((body, peer))
    }

    pub fn statistic(self, number: c_int) -> u64 {
        statistics::nn_get_statistic(self.0, number)
    }

    pub fn close(self) -> Result<(), ErrorNumber> {
        patiently(|| socket::nn_close(self.0)).map(drop)
    }
}

/// The address in the control data of a message, whose memory is still there.
fn peer(header: &nn_msghdr) -> Option<String> {
    let mut entry: *const nn_cmsghdr = ptr::null();
    loop {
        // SAFETY: the header is one that nn_recvmsg has filled in, and the entry is null or one of
        // it.
        entry = unsafe { ancillary::nn_cmsg_nxthdr_(header, entry) };
        if entry.is_null() {
            return None;
        }
        // SAFETY: an entry begins with its head.
        let head = unsafe { entry.read_unaligned() };
        if head.cmsg_level != SPMSG_CONTROL || head.cmsg_type != SPMSG_PEER_ADDRESS {
            continue;
        }
        let len = head.cmsg_len - size_of::<nn_cmsghdr>();
        // SAFETY: the data of an entry lies behind its head.
        let data = unsafe { entry.add(1) };
        // SAFETY: so long is the entry.
        let data = unsafe { slice::from_raw_parts(data.cast::<u8>(), len) };
        let text = CStr::from_bytes_until_nul(data).ok()?;
        return Some(text.to_string_lossy().into_owned());
    }
}

/// Memory of the library.
pub struct Message(*mut c_void, usize);

impl Message {
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: so much memory is there, and ours until it is freed.
        unsafe { slice::from_raw_parts(self.0.cast(), self.1) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: memory of the library, which we own.
        unsafe { message::nn_freemsg(self.0) };
    }
}
