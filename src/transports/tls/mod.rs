//! tls+tcp and wss: tcp and ws over streams that are encrypted. Addresses, greetings and framings
//! are theirs; what encrypts is a library of its own, which is loaded for the first of them.

#[cfg(all(feature = "tls-fuzzing", any(test, fuzzing)))]
pub mod fuzzing;
mod stream;
mod wire;

use std::sync::Arc;

use self::wire::{Covered, Purpose};
use super::address::{self, literals, text};
use super::sp::frame::Framing;
use super::stream::{Bound, Dialer, HostName, Listener, Target};
use super::ws;
use super::{Dialect, Host, Maker, Transport};
use crate::error::Error;
use crate::sys::{Address, OsListener, TlsRole};

pub struct TlsTcp;
pub struct Wss;

impl Transport for TlsTcp {
    fn scheme(&self) -> &'static str {
        "tls+tcp"
    }

    fn bind(
        &self,
        address: &[u8],
        dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let address = address::to_bind(&text(address), literals(&*host), dialect.into())?;
        let purpose = Purpose { role: TlsRole::Server, is_http: false };
        let wire = Covered::new(Framing::Tcp, purpose, "", &*host)?;
        let listener = OsListener::listening(&Address::Internet(address), BACKLOG)?;
        let address = listener.bound_address(address).to_string();
        Ok(Listener::new(Bound::plain(listener, address), Box::new(wire), host)?)
    }

    fn connect(
        &self,
        address: &[u8],
        _dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let target = address::to_connect(&text(address), literals(&*host))?;
        let purpose = Purpose { role: TlsRole::Client, is_http: false };
        let wire = Covered::new(Framing::Tcp, purpose, &name_of(&target), &*host)?;
        Ok(Dialer::new(target, Box::new(wire), host)?)
    }
}

impl Transport for Wss {
    fn scheme(&self) -> &'static str {
        "wss"
    }

    fn bind(
        &self,
        address: &[u8],
        dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let ws::Place { address, path } = ws::to_bind(address, dialect, &*host)?;
        let purpose = Purpose { role: TlsRole::Server, is_http: true };
        let wire = Covered::new(ws::server(path.clone()), purpose, "", &*host)?;
        let listener = OsListener::listening(&Address::Internet(address), BACKLOG)?;
        let address = listener.bound_address(address);
        let address = format!("{address}{}", path.as_deref().unwrap_or_default());
        Ok(Listener::new(Bound::plain(listener, address), Box::new(wire), host)?)
    }

    fn connect(
        &self,
        address: &[u8],
        _dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let (target, client) = ws::to_connect(address, DEFAULT_PORT, &*host)?;
        let purpose = Purpose { role: TlsRole::Client, is_http: true };
        let wire = Covered::new(client, purpose, &name_of(&target), &*host)?;
        Ok(Dialer::new(target, Box::new(wire), host)?)
    }
}

/// Whom one expects who connects there.
fn name_of(target: &Target) -> String {
    match target {
        Target::Local(_) => String::new(),
        Target::Internet { host: HostName::Literal(address), .. } => address.ip().to_string(),
        Target::Internet { host: HostName::Name(name, _), .. } => name.clone(),
    }
}

const BACKLOG: i32 = 100;
/// That of https.
const DEFAULT_PORT: u16 = 443;

/// Options of encrypted connections, by their rows and by what they mean; `ffi/options.rs` holds
/// the numbers to the headers.
pub mod option {
    use crate::sys::{TlsRole, tls_numbers};
    use crate::transports::Settings;
    use crate::transports::options::{Len, Row, Secrecy, Table, Text, Unit};

    /// Far away from those of the reference, as all of our own.
    const OWN: i32 = 0x5350_0000;
    pub const LEVEL: i32 = OWN + 64;

    pub static TABLE: Table = Table { level: LEVEL, len: Len::Exact, rows: ROWS };
    const ROWS: &[Row] = &[VERIFY, VERSION_MIN, HANDSHAKES_MAX];

    pub static CERTIFICATE: Text = text(OWN + 65, PEM_MAX, Secrecy::Public);
    pub static KEY: Text = text(OWN + 66, PEM_MAX, Secrecy::Secret);
    pub static TRUST: Text = text(OWN + 67, PEM_MAX, Secrecy::Public);
    pub const VERIFY: Row = row(OWN + 68, "verification", AS_USUAL, AS_USUAL, REQUIRED);
    pub static NAME: Text = text(OWN + 69, NAME_MAX, Secrecy::Public);
    pub const VERSION_MIN: Row = row(
        OWN + 70,
        "oldest version",
        tls_numbers::TLS_1_2.cast_signed(),
        tls_numbers::TLS_1_2.cast_signed(),
        tls_numbers::TLS_1_3.cast_signed(),
    );
    pub const HANDSHAKES_MAX: Row =
        Row { unit: Unit::Peers, ..row(OWN + 76, "handshakes at once", 128, 1, i32::MAX) };
    pub static REVOKED: Text = text(OWN + 71, PEM_MAX, Secrecy::Public);

    /// Who connects verifies, and who listens does not.
    pub const AS_USUAL: i32 = -1;
    pub const NONE: i32 = 0;
    pub const OPTIONAL: i32 = 1;
    pub const REQUIRED: i32 = 2;

    /// What is asked of the peer's certificate, as the machine numbers it.
    #[must_use]
    pub fn verify(settings: &Settings, role: TlsRole) -> u32 {
        let usual = if role == TlsRole::Client { REQUIRED } else { NONE };
        let chosen = settings.values.get(&VERIFY);
        if chosen == AS_USUAL { usual.unsigned_abs() } else { chosen.unsigned_abs() }
    }

    /// The oldest version that is spoken.
    #[must_use]
    pub fn version_min(settings: &Settings) -> u32 {
        settings.values.get(&VERSION_MIN).unsigned_abs()
    }

    /// How many who come are greeted at once.
    #[must_use]
    pub fn handshakes_max(settings: &Settings) -> usize {
        usize::try_from(settings.values.get(&HANDSHAKES_MAX)).unwrap_or(1)
    }

    const fn row(number: i32, name: &'static str, default: i32, least: i32, most: i32) -> Row {
        Row { level: LEVEL, number, name, default, range: least..=most, unit: Unit::Choice }
    }

    /// What it says is understood by the machine, when an endpoint is made.
    const fn text(number: i32, len_max: usize, secrecy: Secrecy) -> Text {
        Text { level: LEVEL, number, len_max, secrecy, check: |_| Ok(()) }
    }

    /// More than all authorities of the world take.
    const PEM_MAX: usize = 4 * 1024 * 1024;
    const NAME_MAX: usize = 255;
}
