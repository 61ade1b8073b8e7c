//! Binding and connecting: endpoints come, are asked where they are, and go.

use std::fmt::Display;
use std::os::fd::RawFd;
use std::sync::Arc;

use super::attachment::Whose;
use super::drain;
use super::endpoint::{Endpoint, transport_of};
use super::socket::Socket;
use crate::error::Error;
use crate::memory::Attempt;
use crate::protocols::PipeId;
use crate::trace::{self, Happening, Plain, Reason};
use crate::transports::{Adoption, Dialect, Host, Keepsake, Maker, Parting, Role, with_rhythm};

#[derive(Clone, Copy)]
enum Way {
    Bind,
    Connect,
    /// Of a stream that is connected.
    Adopt,
}

impl Socket {
    /// Starts listening at `address`. Returns the number of the endpoint.
    ///
    /// # Errors
    /// When the address is malformed or cannot be had; `NotSupported` on a branch.
    pub fn bind(&self, address: &[u8], dialect: Dialect) -> Result<i32, Error> {
        self.add_endpoint(address, dialect, Way::Bind)
    }

    /// Starts connecting to `address`. Returns the number of the endpoint.
    ///
    /// # Errors
    /// When the address is malformed; `NotSupported` on a branch.
    pub fn connect(&self, address: &[u8], dialect: Dialect) -> Result<i32, Error> {
        self.add_endpoint(address, dialect, Way::Connect)
    }

    fn add_endpoint(&self, address: &[u8], dialect: Dialect, way: Way) -> Result<i32, Error> {
        self.check_is_trunk()?;
        let added = self.try_add_endpoint(address, dialect, way);
        if let Err(error) = added {
            let event = match way {
                Way::Bind => Happening::NotBound,
                Way::Connect | Way::Adopt => Happening::NotDialing,
            };
            let (plain, error) = (Plain(address), Reason(error));
            let address: &dyn Display = if address.is_empty() { &"\"\"" } else { &plain };
            self.context.trace(event, format_args!("address={address} error={error}"));
        }
        added
    }

    /// Takes over a descriptor that somebody else has opened. Returns the number of the endpoint;
    /// the descriptor is the caller's until then, and stays so when this fails.
    ///
    /// # Errors
    /// When it is not fit for that role.
    pub fn adopt(&self, descriptor: RawFd, role: Role) -> Result<i32, Error> {
        self.check_is_trunk()?;
        let adopted = self.try_adopt(descriptor, role);
        if let Err(error) = adopted {
            let error = Reason(error);
            let details = format_args!("fd={descriptor} error={error}");
            self.context.trace(Happening::NotAdopted, details);
        }
        adopted
    }

    fn try_adopt(&self, descriptor: RawFd, role: Role) -> Result<i32, Error> {
        let attempt = Attempt::begin()?;
        let adoption = Adoption::of(descriptor, role)?;
        let endpoint = self.reserve_endpoint(adoption.scheme(), adoption.address())?;
        let way = match role {
            Role::Listener => Way::Bind,
            Role::Stream => Way::Adopt,
        };
        let (maker, keepsake) = match adoption.make(Arc::clone(&endpoint) as _) {
            Ok((maker, keepsake)) => (Ok(maker), Some(keepsake)),
            Err(error) => (Err(error), None),
        };
        let id = self.start_endpoint(&endpoint, way, maker, attempt)?;
        keepsake.into_iter().for_each(Keepsake::keep);
        Ok(id)
    }

    fn try_add_endpoint(&self, address: &[u8], dialect: Dialect, way: Way) -> Result<i32, Error> {
        let (transport, rest) = transport_of(address)?;
        let attempt = Attempt::begin()?;
        // It is known before the transport starts, which may attach connections at once.
        let endpoint = self.reserve_endpoint(transport.scheme(), rest)?;
        let host = Arc::clone(&endpoint) as _;
        let maker = match way {
            Way::Bind => transport.bind(rest, dialect, host),
            Way::Connect | Way::Adopt => transport.connect(rest, dialect, host),
        };
        self.start_endpoint(&endpoint, way, maker, attempt)
    }

    /// Gives a reserved endpoint what has been made for it, and starts that.
    fn start_endpoint(
        &self,
        endpoint: &Endpoint,
        way: Way,
        maker: Result<Arc<dyn Maker>, Error>,
        attempt: Attempt,
    ) -> Result<i32, Error> {
        let id = endpoint.id;
        let started = maker.and_then(|maker| match attempt.check() {
            Ok(()) => Ok(maker),
            Err(error) => {
                maker.close();
                Err(error.into())
            }
        });
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
            trace_start(endpoint, way, maker.address());
            maker.start();
            if let Err(error) = attempt.check() {
                let _ = self.shutdown(id);
                return Err(error.into());
            }
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
    /// `Invalid` when there is no such endpoint, `NotSupported` on a branch.
    pub fn address(&self, id: i32) -> Result<Vec<u8>, Error> {
        self.check_is_trunk()?;
        let state = self.lock();
        let entry = state.endpoints.get(id).ok_or(Error::Invalid)?;
        Ok(entry.endpoint.address(entry.maker.as_ref().and_then(|maker| maker.address())))
    }

    /// Ends one endpoint and its connections, when what was sent on them is written.
    ///
    /// # Errors
    /// `Invalid` when there is no such endpoint, `NotSupported` on a branch.
    pub fn shutdown(&self, id: i32) -> Result<(), Error> {
        self.check_is_trunk()?;
        let entry = self.lock().endpoints.remove(id).ok_or(Error::Invalid)?;
        entry.endpoint.trace(Happening::ShutDown, None, format_args!(""));
        entry.close();
        drain::end(self.detach(Whose::Endpoint(id)));
        // As when a socket is closed.
        with_rhythm(|rhythm| rhythm.interrupt());
        self.retry_endpoints();
        Ok(())
    }

    /// Ends the connection to the peer with this number, when what was sent on it is written. The
    /// peer may come again.
    ///
    /// # Errors
    /// `NoPeer` when it is not there.
    pub fn disconnect(&self, peer: u32) -> Result<(), Error> {
        self.check_is_trunk()?;
        let pipes = self.detach(Whose::Peer(PipeId::from_peer_number(peer)));
        let endpoint = pipes.first().ok_or(Error::NoPeer)?.endpoint.id;
        drain::end(pipes);
        // As when a socket is closed.
        with_rhythm(|rhythm| rhythm.interrupt());
        let maker = self.lock().endpoints.get(endpoint).and_then(|entry| entry.maker.clone());
        if let Some(maker) = maker {
            maker.connection_lost(Parting::Passing);
        }
        self.retry_endpoints();
        Ok(())
    }

    /// Reads anew what connections that are made from now on show and believe, as far as they are
    /// encrypted. Those that are there stay.
    ///
    /// # Errors
    /// `Unusable` when that cannot be used, `OutOfMemory`: then it stays as it was.
    pub fn renew(&self) -> Result<(), Error> {
        self.check_is_trunk()?;
        let makers = self.lock().endpoints.makers();
        // All or none: who reads of a failure goes on with what there was.
        let fresh = makers.iter().map(|maker| maker.renew()).collect::<Result<Vec<_>, _>>()?;
        fresh.into_iter().for_each(|replace| replace());
        Ok(())
    }

    /// A connection that was rejected for the sake of another may be welcome now.
    pub(super) fn retry_endpoints(&self) {
        if let Some(joint) = &self.joint {
            return joint.trunk.retry_endpoints();
        }
        let makers = self.contain(|| {
            let mut state = self.lock();
            if state.must_retry() { state.endpoints.makers() } else { Vec::new() }
        });
        makers.iter().flatten().for_each(|maker| maker.retry());
    }
}

fn trace_start(endpoint: &Endpoint, way: Way, known: Option<&[u8]>) {
    if trace::is_on() {
        let address = endpoint.address(known);
        let at = Plain(&address);
        match way {
            Way::Bind => endpoint.trace(Happening::Bound, None, format_args!("at={at}")),
            Way::Connect => endpoint.trace(Happening::Dialing, None, format_args!("")),
            Way::Adopt => endpoint.trace(Happening::Adopted, None, format_args!("")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::{Opened, PAIR, fresh_name};
    use crate::core::statistics::number::{CONNECTIONS, IN_PROGRESS};
    use crate::error::Part;

    fn bind(socket: &Opened, address: &str) -> Result<i32, Error> {
        socket.get().bind(address.as_bytes(), Dialect::Reference)
    }

    #[test]
    fn a_peer_that_is_sent_away_comes_again_as_another() {
        let [here, there] = [(); 2].map(|()| Opened::cooked(PAIR));
        let address = fresh_name();
        here.bind(&address);
        there.connect(&address);
        let disconnect = |number| here.get().disconnect(number);
        assert_eq!([0, 2, u32::MAX].map(disconnect), [Err(Error::NoPeer); 3]);
        for number in 1..4 {
            there.send("before").unwrap();
            assert_eq!(disconnect(number), Ok(()));
            assert_eq!(disconnect(number), Err(Error::NoPeer));
            // What it had said goes with it.
            assert_eq!(here.try_recv(), Err(Error::WouldBlock));
            here.send("after").unwrap();
            assert_eq!(there.recv(), Ok("after".into()));
        }
    }

    #[test]
    fn numbers_grow_and_a_failing_call_uses_none_up() {
        let (socket, taken) = (Opened::cooked(PAIR), fresh_name());
        assert_eq!(bind(&socket, &taken), Ok(1));
        assert_eq!(bind(&socket, &taken), Err(Error::AddressInUse));
        assert_eq!(bind(&socket, "nonsense"), Err(Error::Malformed(Part::Scheme)));
        assert_eq!(bind(&socket, "tcp://nonsense"), Err(Error::Malformed(Part::Port)));
        assert_eq!(bind(&socket, &fresh_name()), Ok(2));
        socket.get().shutdown(2).unwrap();
        assert_eq!(bind(&socket, &fresh_name()), Ok(3));
    }

    #[test]
    fn an_endpoint_is_known_until_it_is_shut_down() {
        let (socket, address) = (Opened::cooked(PAIR), fresh_name());
        let endpoint = socket.bind(&address);
        assert_eq!(socket.address(endpoint), address);
        assert_eq!(socket.get().address(endpoint + 1), Err(Error::Invalid));
        assert_eq!(socket.get().shutdown(endpoint + 1), Err(Error::Invalid));
        socket.get().shutdown(endpoint).unwrap();
        assert_eq!(socket.get().address(endpoint), Err(Error::Invalid));
        assert_eq!(socket.get().shutdown(endpoint), Err(Error::Invalid));
        // The address is free as soon as the call returns.
        assert_eq!(bind(&Opened::cooked(PAIR), &address), Ok(1));
    }

    #[test]
    fn the_kernel_decides_about_a_port_that_was_left_open() {
        let socket = Opened::cooked(PAIR);
        let address = socket.address(socket.bind("tcp://127.0.0.1:0"));
        let port = address.strip_prefix("tcp://127.0.0.1:").unwrap();
        assert_ne!(port.parse::<u16>().unwrap(), 0);
    }

    #[test]
    fn who_was_turned_away_gets_his_turn_when_the_peer_leaves() {
        let (server, address) = (Opened::cooked(PAIR), fresh_name());
        server.bind(&address);
        let [first, second] = [(); 2].map(|()| Opened::cooked(PAIR));
        let endpoint = first.connect(&address);
        second.connect(&address);
        let connections = || [&first, &second].map(|one| one.statistic(CONNECTIONS));
        assert_eq!((connections(), second.statistic(IN_PROGRESS)), ([1, 0], 1));
        first.get().shutdown(endpoint).unwrap();
        assert_eq!((connections(), second.statistic(IN_PROGRESS)), ([0, 1], 0));
    }

    #[test]
    fn an_own_endpoint_that_waited_gets_its_turn_when_another_is_shut_down() {
        let (socket, [one, other]) = (Opened::cooked(PAIR), [(); 2].map(|()| fresh_name()));
        let servers = [&one, &other].map(|address| {
            let server = Opened::cooked(PAIR);
            server.bind(address);
            server
        });
        let endpoint = socket.connect(&one);
        socket.connect(&other);
        let connections = || [&servers[0], &servers[1]].map(|one| one.statistic(CONNECTIONS));
        assert_eq!(connections(), [1, 0]);
        socket.get().shutdown(endpoint).unwrap();
        assert_eq!(connections(), [0, 1]);
    }

    #[test]
    fn a_socket_that_is_out_of_service_gets_no_endpoint() {
        let socket = Opened::cooked(PAIR);
        let found = socket.get();
        found.take_out_of_service();
        let address = fresh_name();
        assert_eq!(found.bind(address.as_bytes(), Dialect::Reference), Err(Error::NotOpen));
    }
}
