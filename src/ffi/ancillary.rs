//! Control data between C and messages; what a block looks like is said in `message/control.rs`.

use super::abi::nn::{NN_MSG, PROTO_SP, SP_HDR, nn_cmsghdr, nn_msghdr};
use super::enter_lightly;
use super::raw::{self, LentChunk, OutPlace};
use crate::error::Error;
use crate::message::control::{Entry, HEAD, WORD, entries, entry_len, offset_behind};
use crate::message::{Chunk, Header, OutOfMemory};
use libc::size_t;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr;

/// Finds the entry of control data behind cmsg, or the first one when cmsg is NULL.
///
/// The macros NN_CMSG_FIRSTHDR and NN_CMSG_NXTHDR call it. Returns NULL when there is no room for
/// a further entry. An area of zero bytes counts as an entry, so that one can be filled in.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_cmsg_nxthdr_(
    mhdr: *const nn_msghdr,
    cmsg: *const nn_cmsghdr,
) -> *mut nn_cmsghdr {
    enter_lightly(|| {
        // SAFETY: forwarded from our own contract.
        let Some(message) = (unsafe { raw::value(mhdr) }) else { return Ok(ptr::null_mut()) };
        // SAFETY: forwarded from our own contract.
        let Ok(control) = (unsafe { Control::of(&message) }) else { return Ok(ptr::null_mut()) };
        let block = control.block();
        let found = if cmsg.is_null() {
            entry_len(block, 0).map(|_| 0)
        } else {
            let offset = cmsg.addr().checked_sub(block.as_ptr().addr());
            offset.and_then(|offset| offset_behind(block, offset))
        };
        Ok(found.map_or(ptr::null_mut(), |offset| {
            block[offset..].as_ptr().cast_mut().cast::<nn_cmsghdr>()
        }))
    })
}

/// Control data that comes with a message to send.
pub(super) enum Control<'a> {
    /// Stays the caller's.
    Bytes(&'a [u8]),
    /// Goes with the message, or is freed when the message cannot be sent.
    Lent(LentChunk),
}

impl Control<'_> {
    /// # Safety
    /// As `raw` says.
    pub(super) unsafe fn of(message: &nn_msghdr) -> Result<Self, Error> {
        if message.msg_control.is_null() {
            return Ok(Control::Bytes(&[]));
        }
        if message.msg_controllen == NN_MSG {
            // SAFETY: forwarded from our own contract.
            return Ok(Control::Lent(unsafe { raw::chunk_at(message.msg_control) }?));
        }
        // SAFETY: forwarded from our own contract.
        Ok(Control::Bytes(unsafe { raw::bytes(message.msg_control, message.msg_controllen) }?))
    }

    pub(super) fn block(&self) -> &[u8] {
        match self {
            Control::Bytes(bytes) => bytes,
            Control::Lent(chunk) => chunk.as_slice(),
        }
    }

    /// The protocol's header that it contains, and what is to travel with the message for the
    /// transport to look at. This is where a lent chunk ceases to be the caller's.
    pub(super) fn take(self) -> Result<(Header, Option<Chunk>), OutOfMemory> {
        let header = Header::copy_from(sp_header(self.block()))?;
        let ancillary = match self {
            Control::Lent(chunk) => Some(ManuallyDrop::into_inner(chunk)),
            // Answering with the block that a message came with is worth no copy of it.
            Control::Bytes(bytes) if entries(bytes).all(|entry| is_sp_header(&entry)) => None,
            Control::Bytes(bytes) => Some(Chunk::copy_from(bytes)?),
        };
        Ok((header, ancillary))
    }
}

/// Gives the caller of a receiving function the control data: the protocol's header, and the
/// entries that the transport made.
///
/// A room that the caller offers gets nothing unless the whole header fits, and else as many bytes
/// as it has room for.
///
/// # Safety
/// As `raw` says.
pub(super) unsafe fn deliver(
    target: &nn_msghdr,
    header: &Header,
    transport: Option<&Chunk>,
) -> Result<(), Error> {
    if target.msg_control.is_null() {
        return Ok(());
    }
    let data_len = size_of::<size_t>() + header.len();
    let entry_len = HEAD + data_len.next_multiple_of(WORD);
    let head = sp_header_head(entry_len, header.len());
    let padding = &[0; WORD][..entry_len - HEAD - data_len];
    let entries = transport.map_or(&[][..], Chunk::as_slice);
    let parts = [&head, header.as_slice(), padding, entries];

    if target.msg_controllen == NN_MSG {
        let place = OutPlace::new(target.msg_control.cast::<*mut c_void>())?;
        let mut chunk = Chunk::with_capacity(entry_len + entries.len())?;
        parts.iter().for_each(|part| chunk.extend(part));
        // SAFETY: forwarded from our own contract.
        unsafe { place.write(chunk.into_raw()) };
        return Ok(());
    }
    let (mut at, mut room) = (target.msg_control, target.msg_controllen);
    if room < entry_len {
        return Ok(());
    }
    for part in parts {
        // SAFETY: `room` is what is left behind `at` of what the caller vouches for.
        let count = unsafe { raw::copy_out(part, at, room) }?;
        // SAFETY: at most the end of that room.
        at = unsafe { at.byte_add(count) };
        room -= count;
    }
    Ok(())
}

/// The head of the entry with the protocol's header, and the size in front of its bytes.
fn sp_header_head(entry_len: usize, header_len: usize) -> [u8; HEAD + WORD] {
    let mut head = [0; HEAD + WORD];
    head[..WORD].copy_from_slice(&entry_len.to_ne_bytes());
    head[WORD..WORD + 4].copy_from_slice(&PROTO_SP.to_ne_bytes());
    head[WORD + 4..HEAD].copy_from_slice(&SP_HDR.to_ne_bytes());
    head[HEAD..].copy_from_slice(&header_len.to_ne_bytes());
    head
}

/// The protocol's header. The first entry with one counts, even if what it says makes no sense.
fn sp_header(block: &[u8]) -> &[u8] {
    let claimed = entries(block).find(is_sp_header).and_then(|entry| {
        let (len, rest) = entry.data.split_first_chunk::<WORD>()?;
        rest.get(..size_t::from_ne_bytes(*len))
    });
    claimed.unwrap_or_default()
}

fn is_sp_header(entry: &Entry<'_>) -> bool {
    entry.level == PROTO_SP && entry.kind == SP_HDR
}

const _: () = assert!(HEAD == size_of::<nn_cmsghdr>());

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::c_int;

    fn entry_bytes(len: usize, level: c_int, r#type: c_int, data: &[u8]) -> Vec<u8> {
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(r#type.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(WORD), 0);
        bytes
    }

    fn sp_entry(len: usize, claimed: usize, data: &[u8]) -> Vec<u8> {
        entry_bytes(len, PROTO_SP, SP_HDR, &[&claimed.to_ne_bytes(), data].concat())
    }

    #[test]
    fn finds_the_header_wherever_it_stands() {
        let other = entry_bytes(HEAD + 1, -4, 1, b"x");
        let ours = sp_entry(HEAD + WORD + 3, 3, b"abc");
        assert_eq!(sp_header(&ours), b"abc");
        assert_eq!(sp_header(&[&*other, &ours].concat()), b"abc");
        let padded = sp_entry(HEAD + 2 * WORD, 3, b"abc");
        assert_eq!(sp_header(&[&*padded, &other].concat()), b"abc");
        let second = sp_entry(HEAD + WORD + 2, 2, b"no");
        assert_eq!(sp_header(&[&*ours, &second].concat()), b"abc");
    }

    #[test]
    fn ignores_what_makes_no_sense() {
        for len in [0, 1, HEAD - 1, usize::MAX, usize::MAX - 7, isize::MAX as usize] {
            assert!(sp_header(&sp_entry(len, 3, b"abc")).is_empty(), "length {len}");
        }
        for claimed in [4, 9, usize::MAX, usize::MAX - 7] {
            let entry = sp_entry(HEAD + WORD + 3, claimed, b"abc");
            assert!(sp_header(&entry).is_empty(), "claimed {claimed}");
        }
        assert!(sp_header(&sp_entry(HEAD + WORD, 0, b"")).is_empty());
        assert!(sp_header(&sp_entry(HEAD + WORD - 1, 3, b"abc")).is_empty());
        assert!(sp_header(&[0; 64]).is_empty());
        assert!(sp_header(&[0xff; 64]).is_empty());
        assert!(sp_header(&[0; HEAD - 1]).is_empty());
    }

    fn delivered(header: &[u8], transport: Option<&Chunk>, room: usize) -> Vec<u8> {
        let mut buffer = vec![0xee; room];
        let target = nn_msghdr {
            msg_iov: ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: buffer.as_mut_ptr().cast(),
            msg_controllen: room,
        };
        // SAFETY: the room is as large as it is said to be.
        unsafe { deliver(&target, &Header::copy_from(header).unwrap(), transport) }.unwrap();
        buffer
    }

    #[test]
    fn delivers_the_header_or_nothing() {
        let expected = sp_entry(HEAD + WORD + 8, 5, b"abcde");
        let size = expected.len();
        assert_eq!(delivered(b"abcde", None, size), expected);
        assert_eq!(delivered(b"abcde", None, size - 1), vec![0xee; size - 1]);
        assert_eq!(delivered(b"abcde", None, size + 8), [&*expected, &[0xee; 8]].concat());
        assert_eq!(delivered(b"", None, HEAD + WORD), sp_entry(HEAD + WORD, 0, b""));
    }

    #[test]
    fn cuts_off_the_entries_of_the_transport() {
        let extra = entry_bytes(HEAD + WORD, -4, 1, b"\x02");
        let chunk = Chunk::copy_from(&extra).unwrap();
        let whole = [sp_entry(HEAD + WORD, 0, b""), extra].concat();
        for room in HEAD + WORD..=2 * (HEAD + WORD) {
            assert_eq!(delivered(b"", Some(&chunk), room), whole[..room]);
        }
    }

    #[test]
    fn delivers_a_chunk_of_exactly_the_size() {
        let mut chunk = ptr::null_mut::<c_void>();
        let target = nn_msghdr {
            msg_iov: ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: (&raw mut chunk).cast(),
            msg_controllen: NN_MSG,
        };
        // SAFETY: the place for the chunk is there, and the chunk is freed once.
        unsafe {
            deliver(&target, &Header::copy_from(b"12345678").unwrap(), None).unwrap();
            let chunk = ManuallyDrop::into_inner(raw::chunk(chunk).unwrap());
            assert_eq!(chunk.as_slice(), sp_entry(HEAD + WORD + 8, 8, b"12345678"));
        }
    }
}
