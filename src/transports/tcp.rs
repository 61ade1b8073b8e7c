//! tcp: addresses; everything else is shared (`stream/`).

use std::borrow::Cow;
use std::sync::Arc;

use super::address::{self, Literals};
use super::sp::frame::Framing;
use super::stream::{Dialer, Listener};
use super::{Endpoint, Host, Transport};
use crate::error::Error;
use crate::sys::{Address, Socket};

pub struct Tcp;

impl Transport for Tcp {
    fn scheme(&self) -> &'static str {
        "tcp"
    }

    fn bind(&self, address: &[u8], host: Arc<dyn Host>) -> Result<Arc<dyn Endpoint>, Error> {
        let address = Address::Internet(address::to_bind(&text(address), literals(&host))?);
        let socket = Socket::listening(&address, BACKLOG)?;
        Ok(Listener::new(socket, Box::new(Framing::Tcp), host, Box::new(|| ()))?)
    }

    fn connect(&self, address: &[u8], host: Arc<dyn Host>) -> Result<Arc<dyn Endpoint>, Error> {
        let target = address::to_connect(&text(address), literals(&host))?;
        Ok(Dialer::new(target, Box::new(Framing::Tcp), host)?)
    }
}

/// What is not UTF-8 is no part of any address; it is rejected where it stands.
fn text(address: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(address)
}

fn literals(host: &Arc<dyn Host>) -> Literals {
    if host.settings().ipv4_only { Literals::Ipv4 } else { Literals::Any }
}

const BACKLOG: i32 = 100;
