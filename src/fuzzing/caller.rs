//! The functions of C, as safe as a caller can make them who keeps to their manual.
//!
//! A failure is its error number. What no call may do whatever it is given, is checked here: fail
//! without a number, or write behind the room that it has.

use crate::ffi::abi::nn::{
    AF_SP, AF_SP_RAW, NN_DONTWAIT, NN_LINGER, NN_MSG, NN_POLLIN, NN_POLLOUT, NN_SOL_SOCKET,
    nn_cmsghdr, nn_iovec, nn_msghdr, nn_pollfd,
};
use crate::ffi::{
    ancillary, errno, extension, message, options, poll, socket, statistics, transfer,
};
use std::ffi::{CStr, c_int, c_short, c_uint, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

/// What a call returned, or the error number.
pub type Outcome = Result<c_int, c_int>;

fn outcome(returned: c_int) -> Outcome {
    if returned >= 0 {
        return Ok(returned);
    }
    let number = errno::nn_errno();
    assert!(returned == -1 && number > 0, "{returned} with error number {number}");
    Err(number)
}

pub fn open(domain: c_int, socket_type: c_int) -> Outcome {
    outcome(socket::nn_socket(domain, socket_type))
}

pub fn close(s: c_int) -> Outcome {
    outcome(socket::nn_close(s))
}

pub fn bind(s: c_int, address: &CStr) -> Outcome {
    // SAFETY: a string of C.
    outcome(unsafe { socket::nn_bind(s, address.as_ptr()) })
}

pub fn connect(s: c_int, address: &CStr) -> Outcome {
    // SAFETY: a string of C.
    outcome(unsafe { socket::nn_connect(s, address.as_ptr()) })
}

pub fn bind_anywhere(s: c_int, address: &CStr) -> Outcome {
    // SAFETY: a string of C.
    outcome(unsafe { extension::spmsg_bind(s, address.as_ptr()) })
}

pub fn shutdown(s: c_int, endpoint: c_int) -> Outcome {
    outcome(socket::nn_shutdown(s, endpoint))
}

/// The address of an endpoint, as far as so much room holds it, and its whole length.
pub fn address(s: c_int, endpoint: c_int, room: usize) -> Result<(Vec<u8>, usize), c_int> {
    let mut place = Room::new(room);
    // SAFETY: the room is as large as it is said to be.
    let len = unsafe { extension::spmsg_address(s, endpoint, place.start().cast(), room) };
    let len = outcome(len)? as usize;
    Ok((place.filled(room.min(len + 1)), len))
}

/// Without a value, the length is that of nothing.
pub fn set_option(s: c_int, level: c_int, option: c_int, value: Option<&[u8]>) -> Outcome {
    let start = value.map_or(ptr::null(), <[u8]>::as_ptr);
    let len = value.map_or(0, <[u8]>::len);
    // SAFETY: a slice, or null without a length.
    outcome(unsafe { options::nn_setsockopt(s, level, option, start.cast(), len) })
}

pub fn set_int(s: c_int, option: c_int, value: c_int) -> Outcome {
    set_option(s, NN_SOL_SOCKET, option, Some(&value.to_ne_bytes()))
}

/// What an option has, as far as so much room holds it, and its whole size.
pub fn option(s: c_int, level: c_int, option: c_int, room: usize) -> Result<Vec<u8>, c_int> {
    let mut place = Room::new(room);
    let mut size = room;
    // SAFETY: the room is as large as it is said to be, and the size has its place.
    let got = unsafe { options::nn_getsockopt(s, level, option, place.start(), &raw mut size) };
    outcome(got)?;
    // A text fills its room, whatever its size is.
    let _ = place.filled(room);
    Ok(place.filled(room.min(size)))
}

pub fn send(s: c_int, body: &[u8]) -> Outcome {
    // SAFETY: a slice.
    outcome(unsafe { transfer::nn_send(s, body.as_ptr().cast(), body.len(), NN_DONTWAIT) })
}

/// Sends memory of the library, which is lost to it when that succeeds.
pub fn send_chunk(s: c_int, chunk: Chunk) -> Result<c_int, (c_int, Chunk)> {
    let place = &raw const chunk.0;
    // SAFETY: the place of a message.
    let sent = unsafe { transfer::nn_send(s, place.cast(), NN_MSG, NN_DONTWAIT) };
    match outcome(sent) {
        Ok(count) => {
            std::mem::forget(chunk);
            Ok(count)
        }
        Err(number) => Err((number, chunk)),
    }
}

/// Sends a body in pieces, with control data.
pub fn send_pieces(s: c_int, pieces: &[&[u8]], control: Option<&[u8]>) -> Outcome {
    let mut list: Vec<_> = pieces
        .iter()
        .map(|piece| nn_iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() })
        .collect();
    let header = nn_msghdr {
        msg_iov: list.as_mut_ptr(),
        msg_iovlen: list.len() as c_int,
        msg_control: control.map_or(ptr::null_mut(), |control| control.as_ptr().cast_mut().cast()),
        msg_controllen: control.map_or(0, <[u8]>::len),
    };
    // SAFETY: slices, which are only read.
    outcome(unsafe { transfer::nn_sendmsg(s, &raw const header, NN_DONTWAIT) })
}

/// The beginning of a message that was received, and how long it is as a whole.
pub struct Received {
    pub len: usize,
    pub beginning: Vec<u8>,
    pub control: Vec<u8>,
}

pub fn recv(s: c_int, room: usize, flags: c_int) -> Result<Received, c_int> {
    let mut place = Room::new(room);
    // SAFETY: the room is as large as it is said to be.
    let len = outcome(unsafe { transfer::nn_recv(s, place.start(), room, flags) })? as usize;
    Ok(Received { len, beginning: place.filled(room.min(len)), control: Vec::new() })
}

pub fn recv_chunk(s: c_int) -> Result<Chunk, c_int> {
    let mut place = ptr::null_mut::<c_void>();
    // SAFETY: a place for a message.
    let len =
        outcome(unsafe { transfer::nn_recv(s, (&raw mut place).cast(), NN_MSG, NN_DONTWAIT) })?;
    Ok(Chunk(place, len as usize))
}

/// Receives into pieces, and control data into so much room.
pub fn recv_pieces(s: c_int, rooms: &[usize], control: usize) -> Result<Received, c_int> {
    let mut places: Vec<_> = rooms.iter().map(|room| Room::new(*room)).collect();
    let mut list: Vec<_> = places
        .iter_mut()
        .zip(rooms)
        .map(|(place, room)| nn_iovec { iov_base: place.start(), iov_len: *room })
        .collect();
    let mut entries = Room::new(control);
    let mut header = nn_msghdr {
        msg_iov: list.as_mut_ptr(),
        msg_iovlen: list.len() as c_int,
        msg_control: entries.start(),
        msg_controllen: control,
    };
    // SAFETY: all room is as large as it is said to be.
    let len = unsafe { transfer::nn_recvmsg(s, &raw mut header, NN_DONTWAIT) };
    let len = outcome(len)? as usize;
    let (mut beginning, mut rest) = (Vec::new(), len);
    for (place, room) in places.iter_mut().zip(rooms) {
        beginning.extend(place.filled(rest.min(*room)));
        rest -= rest.min(*room);
    }
    Ok(Received { len, beginning, control: entries.filled(control) })
}

/// The same, with control data in memory of the library.
pub fn recv_whole(s: c_int) -> Result<(Chunk, usize), c_int> {
    let (mut body, mut control) = (ptr::null_mut::<c_void>(), ptr::null_mut::<c_void>());
    let mut piece = nn_iovec { iov_base: (&raw mut body).cast(), iov_len: NN_MSG };
    let mut header = nn_msghdr {
        msg_iov: &raw mut piece,
        msg_iovlen: 1,
        msg_control: (&raw mut control).cast(),
        msg_controllen: NN_MSG,
    };
    // SAFETY: places for two messages.
    let len = outcome(unsafe { transfer::nn_recvmsg(s, &raw mut header, NN_DONTWAIT) })?;
    let body = Chunk(body, len as usize);
    let count = count_entries(&header);
    drop(Chunk(control, 0));
    Ok((body, count))
}

/// How many entries a program finds in the control data of a message.
pub fn count_entries(header: &nn_msghdr) -> usize {
    let next = |entry: *const nn_cmsghdr| {
        // SAFETY: the header is one, and the entry one of it or null.
        unsafe { ancillary::nn_cmsg_nxthdr_(ptr::from_ref(header), entry) }
    };
    let (mut count, mut entry) = (0, next(ptr::null()));
    while !entry.is_null() {
        count += 1;
        entry = next(entry);
    }
    count
}

/// How many entries it finds in these bytes.
pub fn count_entries_in(control: &[u8]) -> usize {
    count_entries(&nn_msghdr {
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: control.as_ptr().cast_mut().cast(),
        msg_controllen: control.len(),
    })
}

/// Polls sockets for some events each; tells which they have.
pub fn poll(wanted: &[(c_int, c_short)], ms: c_int) -> Result<Vec<c_short>, c_int> {
    let mut entries: Vec<_> = wanted
        .iter()
        .map(|(fd, events)| nn_pollfd { fd: *fd, events: *events, revents: 0 })
        .collect();
    // SAFETY: a slice that is ours alone.
    let count = unsafe { poll::nn_poll(entries.as_mut_ptr(), entries.len() as c_int, ms) };
    let count = outcome(count)? as usize;
    let both = (NN_POLLIN | NN_POLLOUT) as c_short;
    for entry in &entries {
        assert_eq!(entry.revents & !(entry.events & both), 0, "events that were not wanted");
    }
    assert_eq!(entries.iter().filter(|entry| entry.revents != 0).count(), count);
    Ok(entries.iter().map(|entry| entry.revents).collect())
}

pub fn statistic(s: c_int, number: c_int) -> u64 {
    statistics::nn_get_statistic(s, number)
}

pub fn events(s: c_int) -> Outcome {
    outcome(extension::spmsg_events(s))
}

pub fn disconnect(s: c_int, peer: c_uint) -> Outcome {
    outcome(extension::spmsg_disconnect(s, peer))
}

pub fn next_event(s: c_int) -> Outcome {
    let mut event = MaybeUninit::uninit();
    // SAFETY: a place for an event.
    outcome(unsafe { extension::spmsg_next_event(s, event.as_mut_ptr()) })
}

/// Memory that the library gave, and how much of it there is.
pub struct Chunk(*mut c_void, usize);

impl Chunk {
    pub fn new(size: usize, kind: c_int) -> Option<Chunk> {
        let start = message::nn_allocmsg(size, kind);
        (!start.is_null()).then_some(Chunk(start, size))
    }

    /// What there was stays there, as far as the new size holds it.
    pub fn resize(&mut self, size: usize) -> bool {
        // SAFETY: memory of the library, which we own.
        let start = unsafe { message::nn_reallocmsg(self.0, size) };
        if start.is_null() {
            return false;
        }
        (self.0, self.1) = (start, size);
        true
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: so much memory is there, and ours.
        unsafe { slice::from_raw_parts_mut(self.0.cast(), self.1) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: memory of the library, which we own, or null.
        let freed = unsafe { message::nn_freemsg(self.0) };
        assert_eq!(freed, 0);
    }
}

/// Room for an answer, and behind it what nobody may write to.
struct Room(Vec<u8>);

impl Room {
    fn new(room: usize) -> Room {
        Room(vec![UNTOUCHED; room + GUARD])
    }

    fn start(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }

    /// The first so many bytes, of which as many may have been written as there was room.
    fn filled(&mut self, count: usize) -> Vec<u8> {
        let room = self.0.len() - GUARD;
        assert!(count <= room && self.0[room..] == [UNTOUCHED; GUARD], "a write behind the room");
        self.0[..count].to_vec()
    }
}

/// A socket that is closed at the end, without waiting for peers that do not read.
pub struct Socket(pub c_int);

impl Socket {
    pub fn open(domain: Domain, socket_type: c_int) -> Socket {
        let domain = match domain {
            Domain::Cooked => AF_SP,
            Domain::Raw => AF_SP_RAW,
        };
        Socket(open(domain, socket_type).expect("there is room for a socket"))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let closed = set_int(self.0, NN_LINGER, 0).and_then(|_| close(self.0));
        assert_eq!(closed, Ok(0), "a socket cannot be closed");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    Cooked,
    Raw,
}

const UNTOUCHED: u8 = 0xee;
const GUARD: usize = 16;
