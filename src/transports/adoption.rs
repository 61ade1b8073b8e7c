//! Sockets of the kernel that somebody else has opened, such as a manager of services: what speaks
//! tcp or ipc on them is the same as on our own.

use std::os::fd::RawFd;
use std::sync::Arc;

use super::ipc::IPC;
use super::sp::frame::Framing;
use super::stream::{Adopted, Bound, Listener};
use super::tcp::Tcp;
use super::{Host, Maker, Transport};
use crate::error::Error;
use crate::sys::{Foreign, OsListener, OsStream, Site};

/// What a descriptor is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Listener,
    Stream,
}

/// A descriptor that is fit for its role, and that its owner still has.
pub struct Adoption {
    subject: Subject,
    framing: Framing,
    scheme: &'static str,
    address: Vec<u8>,
    foreign: Foreign,
}

enum Subject {
    Listener(OsListener),
    Stream(OsStream),
}

/// The owner's descriptor, which is ours as soon as this is kept.
#[must_use]
pub struct Keepsake(Foreign);

impl Adoption {
    /// # Errors
    /// That of the kernel, or why it is not fit: see [`OsListener::adopt`] and [`OsStream::adopt`].
    pub fn of(descriptor: RawFd, role: Role) -> Result<Adoption, Error> {
        let (subject, site, foreign) = match role {
            Role::Listener => {
                let (listener, site, foreign) = OsListener::adopt(descriptor)?;
                (Subject::Listener(listener), site, foreign)
            }
            Role::Stream => {
                let (stream, site, foreign) = OsStream::adopt(descriptor)?;
                (Subject::Stream(stream), site, foreign)
            }
        };
        let (scheme, framing, address) = match site {
            Site::Internet(address) => {
                (Tcp.scheme(), Framing::Tcp, address.to_string().into_bytes())
            }
            Site::Local(name) => (IPC.scheme(), Framing::Ipc, name),
        };
        Ok(Adoption { subject, framing, scheme, address, foreign })
    }

    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The part behind `://`.
    pub fn address(&self) -> &[u8] {
        &self.address
    }

    /// What listens or talks there. Whatever else the address occupies, such as a file, stays with
    /// who has made it.
    ///
    /// # Errors
    /// When the reactor cannot be had.
    pub fn make(self, host: Arc<dyn Host>) -> Result<(Arc<dyn Maker>, Keepsake), Error> {
        let Adoption { subject, framing, address, foreign, .. } = self;
        let wire = Box::new(framing);
        let maker: Arc<dyn Maker> = match subject {
            Subject::Listener(listener) => {
                Listener::new(Bound::plain(listener, address), wire, host)?
            }
            Subject::Stream(stream) => Adopted::new(stream, wire, host)?,
        };
        Ok((maker, Keepsake(foreign)))
    }
}

impl Keepsake {
    pub fn keep(self) {
        self.0.keep();
    }
}
