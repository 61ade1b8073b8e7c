//! ws: messages over WebSocket (RFC 6455). Streams, gathering and reconnecting are `stream/`'s.

mod address;
mod assembler;
mod close;
mod decoder;
mod frame;
mod greeter;
pub(super) mod handshake;
pub mod label;
mod sending;
mod utf8;

use std::sync::Arc;

pub use assembler::Assembler;
pub use close::Close;
pub use frame::Kind;
#[cfg(any(test, fuzzing))]
pub use frame::Role;
pub use sending::Sending;

use self::greeter::{Client, Server};
use super::address::{literals, text};
use super::stream::{Bound, Dialer, Listener};
use super::{Dialect, Endpoint, Host, Transport};
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
    ) -> Result<Arc<dyn Endpoint>, Error> {
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
    ) -> Result<Arc<dyn Endpoint>, Error> {
        let (target, resource) = address::to_connect(&text(address), literals(&*host))?;
        let kind = host.settings().message_kind;
        Ok(Dialer::new(target, Box::new(Client { resource, kind }), host)?)
    }
}

const BACKLOG: i32 = 100;
