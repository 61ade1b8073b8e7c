//! tcp: addresses; everything else is shared (`stream/`).

use std::sync::Arc;

use super::address::{self, literals, text};
use super::sp::frame::Framing;
use super::stream::{Bound, Dialer, Listener};
use super::{Dialect, Endpoint, Host, Transport};
use crate::error::Error;
use crate::sys::{Address, OsListener};

pub struct Tcp;

impl Transport for Tcp {
    fn scheme(&self) -> &'static str {
        "tcp"
    }

    fn bind(
        &self,
        address: &[u8],
        dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Endpoint>, Error> {
        let address = address::to_bind(&text(address), literals(&*host), dialect.into())?;
        let listener = OsListener::listening(&Address::Internet(address), BACKLOG)?;
        let address = listener.own_address().unwrap_or(address).to_string();
        Ok(Listener::new(Bound::plain(listener, address), Box::new(Framing::Tcp), host)?)
    }

    fn connect(
        &self,
        address: &[u8],
        _dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Endpoint>, Error> {
        let target = address::to_connect(&text(address), literals(&*host))?;
        Ok(Dialer::new(target, Box::new(Framing::Tcp), host)?)
    }
}

const BACKLOG: i32 = 100;
