//! What C sends: the bytes or the memory that it offers, and the message that this becomes.

use super::abi::nn::{NN_MSG, nn_iovec, nn_msghdr};
use super::ancillary::Control;
use super::raw::{self, LentChunk};
use crate::core::Socket;
use crate::error::Error;
use crate::message::{Body, Message};
use std::ffi::c_int;
use std::mem::{self, ManuallyDrop};
use std::ptr;

/// A message on its way, and what the call returns when it is sent.
pub(super) struct Prepared {
    pub message: ManuallyDrop<Message>,
    ownership: Ownership,
    count: c_int,
}

/// Whose the body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ownership {
    Ours,
    /// Until the message is sent.
    Callers,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: the message is not looked at any more.
        let message = unsafe { ManuallyDrop::take(&mut self.message) };
        if self.ownership == Ownership::Callers {
            // He may send or free it.
            mem::forget(message.body);
        }
    }
}

impl Prepared {
    /// # Safety
    /// As `raw` says.
    #[inline]
    pub unsafe fn new(socket: &Socket, message: &nn_msghdr) -> Result<Prepared, Error> {
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
        let (body, ownership) = match outgoing.source {
            Source::Pieces(pieces) => {
                // SAFETY: the pieces have been looked at.
                let parts = pieces.iter().map(|piece| unsafe { part(piece) });
                (Body::concat(outgoing.len, parts)?, Ownership::Ours)
            }
            // What is dropped on the way must not free what the caller then still owns.
            Source::Lent(chunk) => {
                (Body::from_chunk(ManuallyDrop::into_inner(chunk)), Ownership::Callers)
            }
        };
        let message = ManuallyDrop::new(Message { header, body, ancillary, ..Message::default() });
        Ok(Prepared { message, ownership, count: outgoing.count })
    }

    /// The message has been sent.
    #[inline]
    pub fn finish(&mut self) -> c_int {
        self.ownership = Ownership::Ours;
        self.count
    }
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
}
