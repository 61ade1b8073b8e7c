//! tcp: addresses; everything else is shared (`stream/`).

use std::sync::Arc;

use super::address::{self, literals, text};
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
        let address = Address::Internet(address::to_bind(&text(address), literals(&*host))?);
        let socket = Socket::listening(&address, BACKLOG)?;
        Ok(Listener::new(socket, Box::new(Framing::Tcp), host, Box::new(|| ()))?)
    }

    fn connect(&self, address: &[u8], host: Arc<dyn Host>) -> Result<Arc<dyn Endpoint>, Error> {
        let target = address::to_connect(&text(address), literals(&*host))?;
        Ok(Dialer::new(target, Box::new(Framing::Tcp), host)?)
    }
}

const BACKLOG: i32 = 100;
