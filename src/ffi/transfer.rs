//! Send and receive: the bytes of C become a message and the other way round, once and no more.
//!
//! A small body is copied into the message itself, so that nothing is allocated on the way. A big
//! one is lent: what the kernel takes at once is copied by nobody else. Memory
//! that the caller lends with the size NN_MSG is not copied at all, and not freed before the
//! message has been accepted.

use super::abi::nn::{NN_DONTWAIT, NN_MSG, nn_iovec, nn_msghdr};
use super::ancillary;
use super::blocking::{Begun, Job, block, on_socket};
use super::outgoing::Prepared;
use super::raw::{self, OutPlace};
use super::with_socket;
use crate::core::{Berth, Blocking, Now, Socket, Step, Turn};
use crate::error::Error;
use crate::message::{Body, Landing, Lent, Message};
use libc::size_t;
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::{self, NonNull};

/// Sends a message whose body is the len bytes at buf.
///
/// With a len of NN_MSG, buf is the address of a pointer to a message of nn_allocmsg, which is
/// sent and then belongs to the library; when the call fails it still belongs to the caller. With
/// the flag NN_DONTWAIT the call does not wait for a peer that can take the message.
///
/// Returns the size of the body, or -1 with errno EBADF, EFAULT for a buf that is NULL or no
/// message, EMSGSIZE for a body whose size is no int, ENOTSUP on a socket that cannot send, EFSM
/// when the protocol does not allow it now, EAGAIN with NN_DONTWAIT, ETIMEDOUT after NN_SNDTIMEO,
/// EINTR when a signal arrived, ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn nn_send(
    s: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
) -> c_int {
    if len != NN_MSG {
        // SAFETY: this frame has nothing to drop.
        return unsafe { block(|| SendBytes::begin(s, buf, len, flags)) };
    }
    let mut piece = nn_iovec { iov_base: buf.cast_mut(), iov_len: len };
    let message = bare(&mut piece);
    // SAFETY: this frame has nothing to drop.
    unsafe { block(|| Send::begin(s, &raw const message, flags)) }
}

/// Receives a message and copies its body to the len bytes at buf. What does not fit is lost.
///
/// With a len of NN_MSG, buf is the address of a pointer that is set to the message; nn_freemsg
/// frees it. With the flag NN_DONTWAIT the call does not wait for a message.
///
/// Returns the size of the body, also when it did not fit, or -1 with errno EBADF, ENOTSUP on a
/// socket that cannot receive, EFSM when the protocol does not allow it now, EFAULT for a buf of
/// NULL that something has to be stored in, EAGAIN with NN_DONTWAIT, ETIMEDOUT after NN_RCVTIMEO
/// or at the end of a survey, ECONNRESET when a request is lost that is not to be asked again
/// (SPMSG_REQ_RESEND_ON_LOSS), EINTR when a signal arrived, ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn nn_recv(
    s: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
) -> c_int {
    if len != NN_MSG {
        // SAFETY: this frame has nothing to drop.
        return unsafe { block(|| RecvBytes::begin(s, buf, len, flags)) };
    }
    let mut piece = nn_iovec { iov_base: buf, iov_len: len };
    let message = bare(&mut piece);
    // SAFETY: this frame has nothing to drop.
    unsafe { block(|| Recv::begin(s, &raw const message, flags)) }
}

/// Sends a message whose body lies in pieces, with control data.
///
/// A single piece of size NN_MSG is a message of nn_allocmsg as in nn_send. A msg_control that is
/// not NULL holds control data, with a msg_controllen of NN_MSG as the address of a pointer to a
/// message of nn_allocmsg: this one belongs to the library as soon as the arguments are found to
/// be right, whether the message can be sent or not.
///
/// Returns what nn_send returns, and fails as it does. It also fails with EINVAL when msghdr is
/// NULL, when NN_MSG is the size of one piece among others, when the sizes have no sum, or when
/// the control data holds a header that the protocol cannot send, EFAULT when a piece or control
/// data is NULL or no message, EMSGSIZE when the number of pieces is negative.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn nn_sendmsg(
    s: c_int,
    msghdr: *const nn_msghdr,
    flags: c_int,
) -> c_int {
    // SAFETY: this frame has nothing to drop.
    unsafe { block(|| Send::begin(s, msghdr, flags)) }
}

/// Receives a message, spreads its body over the pieces in turn, and stores the control data.
///
/// A single piece of size NN_MSG is set to a message as in nn_recv. A msg_control that is not NULL
/// receives the control data, or with a msg_controllen of NN_MSG the address of a message with it,
/// which nn_freemsg frees. Control data whose first entry does not fit is left out. The sizes are
/// not changed.
///
/// Returns what nn_recv returns, and fails as it does. It also fails with EINVAL when msghdr is
/// NULL or when a piece of size NN_MSG among others was to be filled, which loses the message,
/// and with EMSGSIZE when the number of pieces is negative.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn nn_recvmsg(
    s: c_int,
    msghdr: *mut nn_msghdr,
    flags: c_int,
) -> c_int {
    // SAFETY: this frame has nothing to drop.
    unsafe { block(|| Recv::begin(s, msghdr, flags)) }
}

/// One piece and no control data.
#[inline]
fn bare(piece: &mut nn_iovec) -> nn_msghdr {
    nn_msghdr { msg_iov: piece, msg_iovlen: 1, msg_control: ptr::null_mut(), msg_controllen: 0 }
}

#[inline]
fn blocking(flags: c_int) -> Blocking<'static> {
    if flags & NN_DONTWAIT == 0 { Blocking::Wait } else { Blocking::DontWait }
}

/// A send of bytes that has to wait: the short way of the most frequent call.
struct SendBytes {
    s: c_int,
    flags: c_int,
    message: Message,
    count: c_int,
}

impl SendBytes {
    #[inline]
    fn begin(
        s: c_int,
        buf: *const c_void,
        len: size_t,
        flags: c_int,
    ) -> Result<Begun<SendBytes>, Error> {
        with_socket(s, |socket| {
            if buf.is_null() && len > 0 {
                return Err(Error::BadPointer);
            }
            let count = raw::claimed_count(len)?;
            socket.check_can_send()?;
            // SAFETY: forwarded from the contract of the exported function.
            let bytes = unsafe { raw::bytes(buf, len) }?;
            let mut message = Message::default();
            if len > LENT_FROM {
                // SAFETY: the caller vouches for the bytes until the call is over, and so long they
                // are used: see `Connection::deliver_lent`.
                message.body = Body::lent(unsafe { Lent::new(bytes) });
            } else {
                message.body.fill(bytes)?;
            }
            match socket.send_now(&mut message, blocking(flags))? {
                Now::Done => Ok(Begun::Done(count)),
                Now::Later(miss) => {
                    let job = SendBytes { s, flags, message, count };
                    Ok(Begun::GoesOn(job, Some(miss)))
                }
            }
        })
    }
}

impl Job for SendBytes {
    type Value = c_int;

    fn step(&mut self, turn: &mut Turn) -> Result<Step<c_int>, Error> {
        on_socket(self.s, turn, |socket, turn| {
            let step = socket.send_step(turn, &mut self.message, blocking(self.flags))?;
            Ok(step.map(|()| self.count))
        })
    }
}

/// A receive of bytes that has to wait: the short way of the most frequent call.
struct RecvBytes {
    s: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
}

impl RecvBytes {
    #[inline]
    fn begin(
        s: c_int,
        buf: *mut c_void,
        len: size_t,
        flags: c_int,
    ) -> Result<Begun<RecvBytes>, Error> {
        with_socket(s, |socket| {
            socket.check_can_recv()?;
            let job = RecvBytes { s, buf, len, flags };
            // SAFETY: forwarded from the contract of the exported function.
            if let Some(berth) = unsafe { job.berth() } {
                return job.begin_with(berth, socket);
            }
            let mut message = ManuallyDrop::new(Message::without_control());
            let begun = match socket.recv_now(&mut message, blocking(flags), |size| job.check(size))
            {
                Ok(Now::Done) => job.copy_out(&message).map(Begun::Done),
                Ok(Now::Later(miss)) => Ok(Begun::GoesOn(job, Some(miss))),
                Err(error) => Err(error),
            };
            // Most have nothing to give back, which is found out here at a glance.
            if !message.is_plain() {
                drop(ManuallyDrop::into_inner(message));
            }
            begun
        })
    }

    #[inline(never)]
    fn begin_with(self, berth: Berth, socket: &Socket) -> Result<Begun<RecvBytes>, Error> {
        let mut message = Message::without_control();
        let check = |size| self.check(size);
        match socket.recv_now(&mut message, Blocking::WaitWith(&berth), check)? {
            Now::Done => self.finish(&message, Some(berth)).map(Begun::Done),
            Now::Later(miss) => {
                drop(berth);
                Ok(Begun::GoesOn(self, Some(miss)))
            }
        }
    }

    #[inline]
    fn check(&self, size: usize) -> Result<(), Error> {
        let is_missing = self.buf.is_null() && self.len.min(size) > 0;
        if is_missing { Err(Error::BadPointer) } else { Ok(()) }
    }

    /// The caller's memory, for a message that is worth reading straight into it.
    ///
    /// # Safety
    /// As `raw` says; and what this gives is dropped before the call sleeps or returns.
    #[inline]
    unsafe fn berth(&self) -> Option<Berth> {
        if self.len < LANDED_FROM || self.flags & NN_DONTWAIT != 0 {
            return None;
        }
        let offset = self.buf.addr() % PAGE;
        let start = NonNull::new(self.buf.cast()).filter(|_| !SLOW_OFFSETS.contains(&offset))?;
        // SAFETY: the caller vouches for the bytes, and dropping the berth reclaims what is there.
        Some(Berth::new(unsafe { Landing::new(start, self.len) }))
    }

    #[inline]
    fn blocking<'a>(&self, berth: Option<&'a Berth>) -> Blocking<'a> {
        berth.map_or(blocking(self.flags), Blocking::WaitWith)
    }

    fn finish(&self, message: &Message, berth: Option<Berth>) -> Result<c_int, Error> {
        if message.body.is_lent() && ptr::eq(message.body.as_slice().as_ptr(), self.buf.cast()) {
            // It was read into its place.
            return raw::count(message.body.len());
        }
        // What may lie there goes elsewhere.
        drop(berth);
        self.copy_out(message)
    }

    #[inline]
    fn copy_out(&self, message: &Message) -> Result<c_int, Error> {
        let body = message.body.as_slice();
        let received = raw::count(body.len())?;
        // SAFETY: forwarded from the contract of the exported function.
        unsafe { raw::copy_out(body, self.buf, self.len) }?;
        Ok(received)
    }
}

impl Job for RecvBytes {
    type Value = c_int;

    fn step(&mut self, turn: &mut Turn) -> Result<Step<c_int>, Error> {
        on_socket(self.s, turn, |socket, turn| {
            let mut message = Message::without_control();
            let check = |size| self.check(size);
            // SAFETY: forwarded from the contract of the exported function.
            let berth = unsafe { self.berth() };
            match socket.recv_step(turn, &mut message, self.blocking(berth.as_ref()), check)? {
                Step::Sleep => Ok(Step::Sleep),
                Step::Done(()) => self.finish(&message, berth).map(Step::Done),
            }
        })
    }
}

/// Every other send that has to wait.
struct Send {
    s: c_int,
    flags: c_int,
    prepared: Prepared,
}

impl Send {
    #[inline]
    fn begin(s: c_int, msghdr: *const nn_msghdr, flags: c_int) -> Result<Begun<Send>, Error> {
        with_socket(s, |socket| {
            // SAFETY: forwarded from the contract of the exported function.
            let msghdr = unsafe { raw::value(msghdr) }.ok_or(Error::Invalid)?;
            // SAFETY: forwarded from the contract of the exported function.
            let mut prepared = unsafe { Prepared::new(socket, &msghdr) }?;
            match socket.send_now(&mut prepared.message, blocking(flags))? {
                Now::Done => Ok(Begun::Done(prepared.finish())),
                Now::Later(miss) => Ok(Begun::GoesOn(Send { s, flags, prepared }, Some(miss))),
            }
        })
    }
}

impl Job for Send {
    type Value = c_int;

    fn step(&mut self, turn: &mut Turn) -> Result<Step<c_int>, Error> {
        on_socket(self.s, turn, |socket, turn| {
            let message = &mut self.prepared.message;
            let step = socket.send_step(turn, message, blocking(self.flags))?;
            Ok(step.map(|()| self.prepared.finish()))
        })
    }
}

/// Every other receive that has to wait.
struct Recv {
    s: c_int,
    msghdr: *const nn_msghdr,
    flags: c_int,
}

/// Where a received message goes.
struct Target<'a> {
    msghdr: nn_msghdr,
    pieces: &'a [nn_iovec],
    whole: Option<OutPlace<*mut c_void>>,
}

impl Recv {
    #[inline]
    fn begin(s: c_int, msghdr: *const nn_msghdr, flags: c_int) -> Result<Begun<Recv>, Error> {
        with_socket(s, |socket| {
            let job = Recv { s, msghdr, flags };
            // SAFETY: forwarded from the contract of the exported function.
            let target = unsafe { Target::new(socket, job.msghdr) }?;
            let mut message = Message::default();
            let check = |size| target.check(size);
            match socket.recv_now(&mut message, blocking(flags), check)? {
                // SAFETY: forwarded from the contract of the exported function.
                Now::Done => unsafe { target.deliver(message) }.map(Begun::Done),
                Now::Later(miss) => Ok(Begun::GoesOn(job, Some(miss))),
            }
        })
    }
}

impl Job for Recv {
    type Value = c_int;

    fn step(&mut self, turn: &mut Turn) -> Result<Step<c_int>, Error> {
        on_socket(self.s, turn, |socket, turn| {
            // SAFETY: forwarded from the contract of the exported function.
            let target = unsafe { Target::new(socket, self.msghdr) }?;
            let mut message = Message::default();
            let check = |size| target.check(size);
            match socket.recv_step(turn, &mut message, blocking(self.flags), check)? {
                Step::Sleep => Ok(Step::Sleep),
                // SAFETY: forwarded from the contract of the exported function.
                Step::Done(()) => unsafe { target.deliver(message) }.map(Step::Done),
            }
        })
    }
}

impl Target<'_> {
    /// # Safety
    /// As `raw` says.
    #[inline]
    unsafe fn new<'a>(socket: &Socket, msghdr: *const nn_msghdr) -> Result<Target<'a>, Error> {
        // SAFETY: forwarded from our own contract.
        let msghdr = unsafe { raw::value(msghdr) }.ok_or(Error::Invalid)?;
        let count = raw::piece_count(&msghdr)?;
        socket.check_can_recv()?;
        // SAFETY: forwarded from our own contract.
        let pieces = unsafe { raw::array(msghdr.msg_iov, count) }?;
        // A place for the whole message must be there before one is taken from the socket.
        let whole = match pieces {
            [piece] if piece.iov_len == NN_MSG => {
                Some(OutPlace::new(piece.iov_base.cast::<*mut c_void>())?)
            }
            _ => None,
        };
        Ok(Target { msghdr, pieces, whole })
    }

    #[inline]
    fn check(&self, size: usize) -> Result<(), Error> {
        if self.whole.is_some() { Ok(()) } else { check_room(size, self.pieces) }
    }

    /// # Safety
    /// As `raw` says; the size of the body has been checked.
    unsafe fn deliver(self, message: Message) -> Result<c_int, Error> {
        let Message { header, body, ancillary, .. } = message;
        let received = raw::count(body.len())?;
        if let Some(place) = self.whole {
            let chunk = body.into_chunk().map_err(|_| Error::OutOfMemory)?;
            // SAFETY: forwarded from our own contract.
            unsafe { ancillary::deliver(&self.msghdr, &header, ancillary.as_ref()) }?;
            // Last, because a call that fails leaves the caller's pointer alone.
            // SAFETY: forwarded from our own contract.
            unsafe { place.write(chunk.into_raw()) };
        } else {
            // SAFETY: forwarded from our own contract.
            unsafe { spread(body.as_slice(), self.pieces) };
            // SAFETY: forwarded from our own contract.
            unsafe { ancillary::deliver(&self.msghdr, &header, ancillary.as_ref()) }?;
        }
        Ok(received)
    }
}

/// Whether a body of `rest` bytes can be spread over the pieces.
#[inline]
fn check_room(mut rest: usize, pieces: &[nn_iovec]) -> Result<(), Error> {
    for piece in pieces {
        if piece.iov_len == NN_MSG {
            return Err(Error::Invalid);
        }
        if piece.iov_base.is_null() && piece.iov_len.min(rest) > 0 {
            return Err(Error::BadPointer);
        }
        if piece.iov_len > rest {
            return Ok(());
        }
        rest -= piece.iov_len;
    }
    Ok(())
}

/// Copies a body to the pieces, one after the other, until it or they end. There is room, see
/// `check_room`.
///
/// # Safety
/// As `raw` says.
#[inline]
unsafe fn spread(mut rest: &[u8], pieces: &[nn_iovec]) {
    for piece in pieces {
        // SAFETY: forwarded from our own contract.
        let copied = unsafe { raw::copy_out(rest, piece.iov_base, piece.iov_len) };
        let Ok(count @ 1..) = copied else { continue };
        rest = &rest[count..];
    }
}

/// Larger bodies are sent from where they lie, if nothing waits in front of them.
const LENT_FROM: usize = 16 * 1024;
/// Smaller ones arrive among others with one read, and are copied soon.
const LANDED_FROM: usize = 16 * 1024;
const PAGE: usize = 4096;
/// Where in a page the kernel's copies are many times slower on some processors, because what it
/// copies begins at the start of one.
const SLOW_OFFSETS: Range<usize> = 1..48;

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(bytes: &mut [u8]) -> nn_iovec {
        nn_iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
    }

    #[test]
    fn a_body_is_spread_until_it_ends() {
        let (mut a, mut b, mut c) = ([0xee; 2], [0xee; 3], [0xee; 2]);
        let whole = nn_iovec { iov_base: ptr::null_mut(), iov_len: NN_MSG };
        let null = nn_iovec { iov_base: ptr::null_mut(), iov_len: 1 };
        let pieces = [piece(&mut a), piece(&mut b), piece(&mut c)];
        assert_eq!(check_room(5, &pieces[..2]), Ok(()));
        // What is left of the body is nothing, and yet it would have to be placed.
        assert_eq!(check_room(5, &[pieces[0], pieces[1], whole]), Err(Error::Invalid));
        assert_eq!(check_room(4, &[pieces[0], pieces[1], whole]), Ok(()));
        assert_eq!(check_room(3, &[pieces[0], null]), Err(Error::BadPointer));
        assert_eq!(check_room(2, &[pieces[0], null]), Ok(()));
        assert_eq!(check_room(9, &pieces), Ok(()));
        // SAFETY: the pieces are there.
        unsafe { spread(b"1234", &[pieces[0], pieces[1], whole]) };
        assert_eq!((a, b, c), (*b"12", [b'3', b'4', 0xee], [0xee; 2]));
        // SAFETY: the pieces are there.
        unsafe { spread(b"123456789", &pieces) };
        assert_eq!((a, b, c), (*b"12", *b"345", *b"67"));
    }
}
