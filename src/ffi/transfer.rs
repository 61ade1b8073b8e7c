//! Send and receive: the bytes of C become a message and the other way round, once and no more.
//!
//! A small body is copied into the message itself, so that nothing is allocated on the way. Memory
//! that the caller lends with the size NN_MSG is not copied at all, and not freed before the
//! message has been accepted.

use super::abi::nn::{NN_DONTWAIT, NN_MSG, nn_iovec, nn_msghdr};
use super::ancillary::{self, Control};
use super::enter_socket;
use super::raw::{self, LentChunk, OutPlace};
use crate::core::{Blocking, Socket};
use crate::error::Error;
use crate::message::{Body, Message};
use libc::size_t;
use std::ffi::{c_int, c_void};
use std::mem::{self, ManuallyDrop};
use std::ptr;

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
pub unsafe extern "C" fn nn_send(s: c_int, buf: *const c_void, len: size_t, flags: c_int) -> c_int {
    enter_socket(s, |socket| {
        if len != NN_MSG {
            // SAFETY: forwarded from our own contract.
            return unsafe { send_bytes(socket, buf, len, flags) };
        }
        let mut piece = nn_iovec { iov_base: buf.cast_mut(), iov_len: len };
        // SAFETY: forwarded from our own contract.
        unsafe { send(socket, &bare(&mut piece), flags) }
    })
}

/// Receives a message and copies its body to the len bytes at buf. What does not fit is lost.
///
/// With a len of NN_MSG, buf is the address of a pointer that is set to the message; nn_freemsg
/// frees it. With the flag NN_DONTWAIT the call does not wait for a message.
///
/// Returns the size of the body, also when it did not fit, or -1 with errno EBADF, ENOTSUP on a
/// socket that cannot receive, EFSM when the protocol does not allow it now, EFAULT for a buf of
/// NULL that something has to be stored in, EAGAIN with NN_DONTWAIT, ETIMEDOUT after NN_RCVTIMEO
/// or at the end of a survey, EINTR when a signal arrived, ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_recv(s: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> c_int {
    enter_socket(s, |socket| {
        if len != NN_MSG {
            // SAFETY: forwarded from our own contract.
            return unsafe { recv_bytes(socket, buf, len, flags) };
        }
        let mut piece = nn_iovec { iov_base: buf, iov_len: len };
        // SAFETY: forwarded from our own contract.
        unsafe { recv(socket, &bare(&mut piece), flags) }
    })
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
pub unsafe extern "C" fn nn_sendmsg(s: c_int, msghdr: *const nn_msghdr, flags: c_int) -> c_int {
    enter_socket(s, |socket| {
        // SAFETY: forwarded from our own contract.
        let message = unsafe { raw::value(msghdr) }.ok_or(Error::Invalid)?;
        // SAFETY: forwarded from our own contract.
        unsafe { send(socket, &message, flags) }
    })
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
pub unsafe extern "C" fn nn_recvmsg(s: c_int, msghdr: *mut nn_msghdr, flags: c_int) -> c_int {
    enter_socket(s, |socket| {
        // SAFETY: forwarded from our own contract.
        let message = unsafe { raw::value(msghdr) }.ok_or(Error::Invalid)?;
        // SAFETY: forwarded from our own contract.
        unsafe { recv(socket, &message, flags) }
    })
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

/// The short way of the most frequent call.
///
/// # Safety
/// As `raw` says, for `len` bytes.
#[inline]
unsafe fn send_bytes(
    socket: &Socket,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
) -> Result<c_int, Error> {
    if buf.is_null() && len > 0 {
        return Err(Error::BadPointer);
    }
    let count = raw::claimed_count(len)?;
    socket.check_can_send()?;
    // SAFETY: forwarded from our own contract.
    let bytes = unsafe { raw::bytes(buf, len) }?;
    let mut message = Message::default();
    message.body.fill(bytes)?;
    socket.send(&mut message, blocking(flags))?;
    Ok(count)
}

/// The short way of the most frequent call.
///
/// # Safety
/// As `raw` says, for `len` bytes.
#[inline]
unsafe fn recv_bytes(
    socket: &Socket,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
) -> Result<c_int, Error> {
    socket.check_can_recv()?;
    let check = |size: usize| match buf.is_null() && len.min(size) > 0 {
        true => Err(Error::BadPointer),
        false => Ok(()),
    };
    let mut message = Message::default();
    socket.recv(&mut message, blocking(flags), check)?;
    let received = raw::count(message.body.len())?;
    // SAFETY: forwarded from our own contract.
    unsafe { raw::copy_out(message.body.as_slice(), buf, len) }?;
    Ok(received)
}

/// # Safety
/// As `raw` says.
#[inline]
unsafe fn send(socket: &Socket, message: &nn_msghdr, flags: c_int) -> Result<c_int, Error> {
    let count = raw::piece_count(message)?;
    // SAFETY: forwarded from our own contract.
    let pieces = unsafe { raw::array(message.msg_iov, count) }?;
    // SAFETY: forwarded from our own contract.
    let outgoing = unsafe { Outgoing::of(pieces) }?;
    // SAFETY: forwarded from our own contract.
    let control = unsafe { Control::of(message) }?;
    if let (Source::Lent(body), Control::Lent(control)) = (&outgoing.source, &control)
        && ptr::eq(body.as_slice().as_ptr(), control.as_slice().as_ptr())
    {
        return Err(Error::BadPointer);
    }
    let (header, ancillary) = control.take()?;
    socket.check_can_send()?;
    match outgoing.source {
        Source::Pieces(pieces) => {
            // SAFETY: the pieces have been looked at.
            let parts = pieces.iter().map(|piece| unsafe { part(piece) });
            let body = Body::concat(outgoing.len, parts)?;
            let mut message = Message { header, body, ancillary };
            socket.send(&mut message, blocking(flags))?;
        }
        Source::Lent(chunk) => {
            let body = Body::from_chunk(ManuallyDrop::into_inner(chunk));
            // A panic on the way must not free what the caller then still owns.
            let mut message = ManuallyDrop::new(Message { header, body, ancillary });
            let sent = socket.send(&mut message, blocking(flags));
            let message = ManuallyDrop::into_inner(message);
            if let Err(error) = sent {
                // The chunk is the caller's again, who may send or free it.
                mem::forget(message.body);
                return Err(error);
            }
        }
    }
    Ok(outgoing.count)
}

/// A body that the caller offers and that has been found right.
struct Outgoing<'a> {
    source: Source<'a>,
    len: usize,
    count: c_int,
}

enum Source<'a> {
    Pieces(&'a [nn_iovec]),
    Lent(LentChunk),
}

impl Outgoing<'_> {
    /// # Safety
    /// As `raw` says.
    #[inline]
    unsafe fn of(pieces: &[nn_iovec]) -> Result<Outgoing<'_>, Error> {
        if let [piece] = pieces
            && piece.iov_len == NN_MSG
        {
            // SAFETY: forwarded from our own contract.
            let chunk = unsafe { raw::chunk_at(piece.iov_base) }?;
            let len = chunk.len();
            return Ok(Outgoing { source: Source::Lent(chunk), len, count: raw::count(len)? });
        }
        let mut len = 0_usize;
        for piece in pieces {
            if piece.iov_len == NN_MSG {
                return Err(Error::Invalid);
            }
            if piece.iov_base.is_null() && piece.iov_len > 0 {
                return Err(Error::BadPointer);
            }
            len = len.checked_add(piece.iov_len).ok_or(Error::Invalid)?;
        }
        Ok(Outgoing { source: Source::Pieces(pieces), len, count: raw::claimed_count(len)? })
    }
}

/// # Safety
/// As `raw` says; the piece has been found right as one of a body.
#[inline]
unsafe fn part<'a>(piece: &nn_iovec) -> &'a [u8] {
    // SAFETY: forwarded from our own contract.
    let bytes = unsafe { raw::bytes(piece.iov_base, piece.iov_len) };
    bytes.expect("a body of acceptable size has no null or overlong piece")
}

/// # Safety
/// As `raw` says.
#[inline]
unsafe fn recv(socket: &Socket, target: &nn_msghdr, flags: c_int) -> Result<c_int, Error> {
    let count = raw::piece_count(target)?;
    socket.check_can_recv()?;
    // SAFETY: forwarded from our own contract.
    let pieces = unsafe { raw::array(target.msg_iov, count) }?;
    // A place for the whole message must be there before one is taken from the socket.
    let whole = match pieces {
        [piece] if piece.iov_len == NN_MSG => {
            Some(OutPlace::new(piece.iov_base.cast::<*mut c_void>())?)
        }
        _ => None,
    };
    let check = |size| if whole.is_some() { Ok(()) } else { check_room(size, pieces) };
    let mut message = Message::default();
    socket.recv(&mut message, blocking(flags), check)?;
    let Message { header, body, ancillary } = message;
    let received = raw::count(body.len())?;
    if let Some(place) = whole {
        let chunk = body.into_chunk().map_err(|_| Error::OutOfMemory)?;
        // SAFETY: forwarded from our own contract.
        unsafe { ancillary::deliver(target, &header, ancillary.as_ref()) }?;
        // Last, because a call that fails leaves the caller's pointer alone.
        // SAFETY: forwarded from our own contract.
        unsafe { place.write(chunk.into_raw()) };
    } else {
        // SAFETY: forwarded from our own contract.
        unsafe { spread(body.as_slice(), pieces) };
        // SAFETY: forwarded from our own contract.
        unsafe { ancillary::deliver(target, &header, ancillary.as_ref()) }?;
    }
    Ok(received)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(bytes: &mut [u8]) -> nn_iovec {
        nn_iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
    }

    fn offer(pieces: &[nn_iovec]) -> Result<(usize, c_int), Error> {
        // SAFETY: no test offers memory that is not there, and nothing is copied.
        unsafe { Outgoing::of(pieces) }.map(|outgoing| (outgoing.len, outgoing.count))
    }

    #[test]
    fn bodies_are_looked_at_from_the_first_piece() {
        let mut bytes = [0; 8];
        let good = piece(&mut bytes);
        let null = nn_iovec { iov_base: ptr::null_mut(), ..good };
        let empty = nn_iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let whole = nn_iovec { iov_len: NN_MSG, ..good };
        let endless = nn_iovec { iov_len: NN_MSG - 8, ..good };
        assert_eq!(offer(&[]), Ok((0, 0)));
        assert_eq!(offer(&[good, empty, good]), Ok((16, 16)));
        assert_eq!(offer(&[good, whole, null]), Err(Error::Invalid));
        assert_eq!(offer(&[good, null, whole]), Err(Error::BadPointer));
        assert_eq!(offer(&[good, good, endless, null]), Err(Error::Invalid));
        assert_eq!(offer(&[endless]), Err(Error::OutOfMemory));
        assert_eq!(offer(&[nn_iovec { iov_len: 1 << 31, ..good }]), Err(Error::TooLong));
        assert_eq!(offer(&[nn_iovec { iov_len: NN_MSG, ..null }]), Err(Error::BadPointer));
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
