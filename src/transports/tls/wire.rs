//! How encrypted connections begin: as those that are not, on a stream that is covered first.

use std::sync::Arc;

use super::option;
use super::stream::TlsStream;
use crate::error::{Error, SystemCode};
use crate::sync::{Mutex, Rank};
use crate::sys::{Machine, OsStream, TlsConfig, TlsRole, TlsTrouble, TlsWishes};
use crate::trace::{Happening, Plain};
use crate::transports::stream::{ByteStream, Greeter, Wire};
use crate::transports::{Host, Renewal};

/// A wire whose conversation goes over streams that are covered.
pub struct Covered<W> {
    wire: W,
    cover: Cover,
}

/// What covers the streams of one endpoint.
struct Cover {
    purpose: Purpose,
    /// Whom a client expects.
    name: Vec<u8>,
    config: Mutex<Arc<TlsConfig>>,
}

/// Which end of which conversation.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    pub role: TlsRole,
    pub is_http: bool,
}

impl<W: Wire> Covered<W> {
    /// A client expects a peer of the name that an option tells, or else of `name`.
    ///
    /// # Errors
    /// `NoEncryption` when the library that encrypts is not installed, `Unusable` when what the
    /// options say cannot be used, `OutOfMemory`.
    pub fn new(wire: W, purpose: Purpose, name: &str, host: &dyn Host) -> Result<Self, Error> {
        Ok(Covered { wire, cover: Cover::new(purpose, name, host)? })
    }
}

impl<W: Wire> Wire for Covered<W> {
    fn greeter(&self, host: &dyn Host) -> Box<dyn Greeter> {
        self.wire.greeter(host)
    }

    fn cover(&self, stream: OsStream) -> Result<Arc<dyn ByteStream>, OsStream> {
        self.cover.over(stream)
    }

    fn beginnings_max(&self, host: &dyn Host) -> usize {
        option::handshakes_max(&host.settings())
    }

    fn renew(&self, host: &dyn Host) -> Result<Renewal<'_>, Error> {
        self.cover.renew(host)
    }
}

impl Cover {
    fn new(purpose: Purpose, name: &str, host: &dyn Host) -> Result<Cover, Error> {
        let config = config(purpose, host)?;
        let expected = host.text(&option::NAME)?;
        let name = match expected.as_slice() {
            b"" => name.as_bytes(),
            expected => expected,
        };
        let name = name.to_vec();
        // A name that is none is found out here, and not with each connection.
        config.session(&name).map_err(|trouble| told(trouble, host))?;
        let config = Mutex::new(Rank::Ciphers, Arc::new(config));
        Ok(Cover { purpose, name, config })
    }

    fn over(&self, stream: OsStream) -> Result<Arc<dyn ByteStream>, OsStream> {
        let config = Arc::clone(&self.config.lock());
        let Ok(session) = config.session(&self.name) else { return Err(stream) };
        Ok(Arc::new(TlsStream::new(stream, session)))
    }

    fn renew(&self, host: &dyn Host) -> Result<Renewal<'_>, Error> {
        let fresh = Arc::new(config(self.purpose, host)?);
        Ok(Box::new(|| {
            let outdated = std::mem::replace(&mut *self.config.lock(), fresh);
            drop(outdated);
        }))
    }
}

fn config(purpose: Purpose, host: &dyn Host) -> Result<TlsConfig, Error> {
    let Some(machine) = Machine::get() else {
        let details = format_args!("words=libspmsg-tls is not installed, or of another version");
        host.trace(Happening::Encryption, None, details);
        return Err(Error::NoEncryption);
    };
    let settings = host.settings();
    let certificate = host.text(&option::CERTIFICATE)?;
    let key = host.text(&option::KEY)?;
    let trust = host.text(&option::TRUST)?;
    let revoked = host.text(&option::REVOKED)?;
    let wishes = TlsWishes {
        role: purpose.role,
        verify: option::verify(&settings, purpose.role),
        version_min: option::version_min(&settings),
        is_http: purpose.is_http,
        certificate: certificate.as_slice(),
        key: key.as_slice(),
        trust: trust.as_slice(),
        revoked: revoked.as_slice(),
    };
    machine.config(&wishes).map_err(|trouble| told(trouble, host))
}

/// What a call fails with; why is told to whoever traces.
fn told(trouble: TlsTrouble, host: &dyn Host) -> Error {
    match trouble {
        TlsTrouble::OutOfMemory => Error::OutOfMemory,
        TlsTrouble::Complaint { setting, flaw, code, words } => {
            let words = Plain(words.as_bytes());
            host.trace(Happening::Encryption, None, format_args!("words={words}"));
            Error::Unusable { setting, flaw, code: SystemCode(code) }
        }
    }
}
