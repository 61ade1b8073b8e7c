//! ws: messages over WebSocket (RFC 6455). Streams, gathering and reconnecting are `stream/`'s.

mod address;
mod assembler;
mod close;
mod decoder;
mod frame;
mod greeter;
pub(super) mod handshake;
pub mod label;
mod mask;
mod sending;
mod utf8;

use std::sync::Arc;

pub use frame::{Kind, Role};

use self::assembler::Assembler;
use self::greeter::{Client, Server};
use self::sending::Sending;
use super::address::{literals, text};
use super::stream::{Bound, Codec, Dialer, Listener};
use super::{Dialect, Host, Maker, Transport};
use crate::error::Error;
use crate::sys::{Address, OsListener};

pub struct Ws;

impl Transport for Ws {
    fn scheme(&self) -> &'static str {
        "ws"
    }

    fn bind(
        &self,
        address: &[u8],
        dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let (address, path) = address::to_bind(&text(address), literals(&*host), dialect.into())?;
        let listener = OsListener::listening(&Address::Internet(address), BACKLOG)?;
        let address = listener.own_address().unwrap_or(address);
        let address = format!("{address}{}", path.as_deref().unwrap_or_default());
        Ok(Listener::new(Bound::plain(listener, address), Box::new(Server { path }), host)?)
    }

    fn connect(
        &self,
        address: &[u8],
        _dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let (target, resource) = address::to_connect(&text(address), literals(&*host))?;
        let kind = option::message_kind(&host.settings());
        Ok(Dialer::new(target, Box::new(Client { resource, kind }), host)?)
    }
}

/// One connection's framing, whose messages are of `kind` unless they say otherwise.
#[must_use]
pub fn codec(role: Role, kind: Kind) -> Codec {
    let sending = Arc::new(Sending::new(role, kind));
    Codec { decoder: Box::new(Assembler::new(Arc::clone(&sending))), encoder: sending }
}

const BACKLOG: i32 = 100;

/// Options of WebSockets, by their rows and by what they mean; `ffi/options.rs` holds the numbers
/// to the headers.
pub mod option {
    use super::frame::Kind;
    use crate::transports::Settings;
    use crate::transports::options::{Len, Row, Table, Unit};

    pub const LEVEL: i32 = super::label::LEVEL;

    pub static TABLE: Table = Table { level: LEVEL, len: Len::Exact, rows: &[MESSAGE_TYPE] };

    pub const MESSAGE_TYPE: Row = Row {
        level: LEVEL,
        number: super::label::MESSAGE_TYPE,
        name: "message type",
        default: Kind::Binary as i32,
        range: Kind::Text as i32..=Kind::Binary as i32,
        unit: Unit::Choice,
    };

    /// What messages are said to be unless they say so themselves.
    #[must_use]
    pub fn message_kind(settings: &Settings) -> Kind {
        let number = u8::try_from(settings.values.get(&MESSAGE_TYPE)).ok();
        number.and_then(Kind::from_number).unwrap_or(Kind::Binary)
    }
}
