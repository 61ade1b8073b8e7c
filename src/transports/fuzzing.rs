//! The codecs as fuzz targets use them.

use std::cell::Cell;

pub use super::stream::Codec;

use super::IfNameless;
use super::sp::{self, frame::Framing};
use super::stream::{News, Reader, Source};
use super::ws;
use crate::message::{Message, Room};
use crate::sys::Read;

#[must_use]
pub fn tcp() -> Codec {
    Framing::Tcp.codec()
}

#[must_use]
pub fn ipc() -> Codec {
    Framing::Ipc.codec()
}

#[must_use]
pub fn ws_server() -> Codec {
    ws::codec(ws::Role::Server, ws::Kind::Binary)
}

#[must_use]
pub fn ws_client() -> Codec {
    ws::codec(ws::Role::Client, ws::Kind::Binary)
}

/// Whether `bytes` begin with a request that a listener serves.
#[must_use]
pub fn accepts_request(bytes: &[u8]) -> bool {
    let demand = ws::handshake::Demand {
        token: ws::handshake::token("pair"),
        if_nameless: IfNameless::Accept,
        path: None,
    };
    // What somebody may want to know of it, whether or not it is served.
    if let Ok(told) = ws::headers::told(bytes) {
        assert!(told.is_empty() || told.ends_with(b"\r\n"));
        assert!(!told.contains(&0) && told.len() <= bytes.len() * 3);
    }
    ws::handshake::head_len(bytes, 0)
        .is_some_and(|len| ws::handshake::judge_request(&bytes[..len], &demand).is_ok())
}

/// Whether `bytes` begin with the response that a dialer asked for.
#[must_use]
pub fn accepts_response(bytes: &[u8]) -> bool {
    ws::handshake::head_len(bytes, 0).is_some_and(|len| {
        ws::handshake::judge_response(&bytes[..len], KEY, "pair.sp.nanomsg.org").is_ok()
    })
}

/// What a peer of that type says first on tcp and ipc.
#[must_use]
pub fn greeting(socket_type: u16) -> [u8; 8] {
    sp::handshake::encode(socket_type)
}

/// What a client says first to a socket of that type.
#[must_use]
pub fn request(socket_type: &str) -> Vec<u8> {
    ws::handshake::request("localhost", "/", KEY, &ws::handshake::token(socket_type), b"")
}

/// What a server of that type answers; nothing when it refuses the request.
#[must_use]
pub fn response(request: &[u8], socket_type: &str) -> Vec<u8> {
    let demand = ws::handshake::Demand {
        token: ws::handshake::token(socket_type),
        if_nameless: IfNameless::Refuse,
        path: None,
    };
    ws::handshake::judge_request(request, &demand)
        .map_or_else(|_| Vec::new(), |agreement| ws::handshake::acceptance(&agreement))
}

/// All messages of `wire`, which is read in steps as a kernel would give it.
#[must_use]
pub fn receive(codec: Codec, wire: &[u8], step: usize) -> Vec<Message> {
    let reader = Reader::new(codec.decoder, usize::MAX);
    let source = Pieces { rest: Cell::new(wire), step };
    let mut buffer = vec![0; wire.len().clamp(1, step.max(1))];
    let mut messages = Vec::new();
    loop {
        let (arrival, _) = reader.pump(&source, || SIZE_MAX, &mut buffer, None);
        let mut message = Message::default();
        while reader.take(|| SIZE_MAX, &mut message).has_message {
            messages.push(std::mem::take(&mut message));
        }
        if matches!(arrival.news, News::Ended | News::Last) {
            return messages;
        }
    }
}

/// A stream that gives so many bytes at a time.
struct Pieces<'a> {
    rest: Cell<&'a [u8]>,
    step: usize,
}

impl Source for Pieces<'_> {
    fn read(&self, place: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
        let wire = self.rest.get();
        let piece = &wire[..self.step.min(wire.len())];
        let room = place.as_ref().map_or(0, |room| room.missing());
        let (own, behind) = piece.split_at(room.min(piece.len()));
        if let Some(room) = place {
            room.extend(own);
        }
        let behind = &behind[..behind.len().min(rest.len())];
        rest[..behind.len()].copy_from_slice(behind);
        let count = own.len() + behind.len();
        self.rest.set(&wire[count..]);
        if count == 0 { Read::End } else { Read::Bytes(count) }
    }
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const SIZE_MAX: Option<u64> = Some(1 << 20);
