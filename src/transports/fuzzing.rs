//! The codecs as fuzz targets use them.

pub use super::stream::Format;

use super::sp::frame::Framing;
use super::stream::{Inbound, Partial};
use super::ws;
use crate::message::Message;

#[must_use]
pub fn tcp() -> Format {
    Format::Sp(Framing::Tcp)
}

#[must_use]
pub fn ipc() -> Format {
    Format::Sp(Framing::Ipc)
}

#[must_use]
pub fn ws_server() -> Format {
    Format::Ws(ws::Sending::new(ws::Role::Server, ws::Kind::Binary))
}

#[must_use]
pub fn ws_client() -> Format {
    Format::Ws(ws::Sending::new(ws::Role::Client, ws::Kind::Binary))
}

pub fn judge_request(bytes: &[u8]) {
    let demand = ws::handshake::Demand {
        token: "pair.sp.nanomsg.org",
        if_missing: ws::handshake::IfMissing::Accept,
        path: None,
    };
    if let Some(len) = ws::handshake::head_len(bytes, 0) {
        let _ = ws::handshake::judge_request(&bytes[..len], &demand);
    }
}

pub fn judge_response(bytes: &[u8]) {
    if let Some(len) = ws::handshake::head_len(bytes, 0) {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let _ = ws::handshake::judge_response(&bytes[..len], key, "pair.sp.nanomsg.org");
    }
}

/// All messages of `wire`, which is read in steps as a kernel would give it.
#[must_use]
pub fn receive(format: &Format, wire: &[u8], step: usize) -> Vec<Message> {
    let (mut inbound, mut partial) = (Inbound::new(format, AHEAD), None::<Partial>);
    let mut messages = Vec::new();
    for piece in wire.chunks(step) {
        let mut rest = piece;
        if let Some(partial) = &mut partial {
            let (chunk, room) = partial.room();
            let (own, behind) = piece.split_at(room.min(piece.len()));
            chunk.extend(own);
            rest = behind;
        }
        partial = inbound.absorb(partial.take(), &mut rest.to_vec(), SIZE_MAX);
        let mut message = Message::default();
        while inbound.next(SIZE_MAX, &mut message) {
            messages.push(std::mem::take(&mut message));
        }
    }
    messages
}

/// Messages are taken as soon as they are there.
const AHEAD: usize = 0;
const SIZE_MAX: Option<u64> = Some(1 << 20);
