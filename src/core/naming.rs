//! Binding and connecting: endpoints come, are asked where they are, and go.

use std::sync::Arc;

use super::endpoint::{Endpoint, transport_of};
use super::linger;
use super::socket::Socket;
use crate::error::Error;
use crate::transports::Dialect;

#[derive(Clone, Copy)]
enum Way {
    Bind,
    Connect,
}

impl Socket {
    /// Starts listening at `address`. Returns the number of the endpoint.
    ///
    /// # Errors
    /// When the address is malformed or cannot be had.
    pub fn bind(&self, address: &[u8], dialect: Dialect) -> Result<i32, Error> {
        self.add_endpoint(address, dialect, Way::Bind)
    }

    /// Starts connecting to `address`. Returns the number of the endpoint.
    ///
    /// # Errors
    /// When the address is malformed.
    pub fn connect(&self, address: &[u8], dialect: Dialect) -> Result<i32, Error> {
        self.add_endpoint(address, dialect, Way::Connect)
    }

    fn add_endpoint(&self, address: &[u8], dialect: Dialect, way: Way) -> Result<i32, Error> {
        let (transport, rest) = transport_of(address)?;
        // It is known before the transport starts, which may attach connections at once.
        let endpoint = self.reserve_endpoint(transport.scheme(), rest)?;
        let (id, host) = (endpoint.id, endpoint as _);
        let started = match way {
            Way::Bind => transport.bind(rest, dialect, host),
            Way::Connect => transport.connect(rest, dialect, host),
        };
        let mut state = self.lock();
        let maker = match started {
            Ok(maker) => maker,
            Err(error) => {
                state.endpoints.release(id);
                return Err(error);
            }
        };
        let entry = state.endpoints.get_mut(id);
        let is_wanted = entry.is_some();
        if let Some(entry) = entry {
            entry.maker = Some(Arc::clone(&maker));
        }
        let is_closing = self.life.is_closing();
        drop(state);
        if is_wanted {
            maker.start();
        } else {
            // Another thread has shut the endpoint down already, or closed the socket.
            maker.close();
        }
        if is_closing { Err(Error::NotOpen) } else { Ok(id) }
    }

    fn reserve_endpoint(&self, scheme: &'static str, rest: &[u8]) -> Result<Arc<Endpoint>, Error> {
        let mut state = self.lock();
        if !self.is_usable() {
            return Err(Error::NotOpen);
        }
        let (context, owner) = (Arc::clone(&self.context), self.me.clone());
        Ok(state.endpoints.reserve(|id| Endpoint::new(id, context, owner, scheme, rest)))
    }

    /// Where an endpoint is bound or connects to, with the scheme.
    ///
    /// # Errors
    /// `Invalid` when there is no such endpoint.
    pub fn address(&self, id: i32) -> Result<Vec<u8>, Error> {
        let state = self.lock();
        let entry = state.endpoints.get(id).ok_or(Error::Invalid)?;
        Ok(entry.endpoint.address(entry.maker.as_ref().and_then(|maker| maker.address())))
    }

    /// Ends one endpoint and its connections, when what was sent on them is written.
    ///
    /// # Errors
    /// `Invalid` when there is no such endpoint.
    pub fn shutdown(&self, id: i32) -> Result<(), Error> {
        let entry = self.lock().endpoints.remove(id).ok_or(Error::Invalid)?;
        entry.close();
        let connections = self.detach_all(|pipe| pipe.endpoint.id == id);
        linger::end(&self.lingering(connections));
        self.retry_endpoints();
        Ok(())
    }

    /// A connection that was rejected for the sake of another may be welcome now.
    pub(super) fn retry_endpoints(&self) {
        let makers = self.lock().endpoints.makers();
        makers.iter().for_each(|maker| maker.retry());
    }
}
