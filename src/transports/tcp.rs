//! tcp: addresses; everything else is shared (`stream/`).

use std::sync::Arc;

use super::address::{self, literals, text};
use super::sp::frame::Framing;
use super::stream::{Bound, Dialer, Listener};
use super::{Dialect, Host, Maker, Transport};
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
    ) -> Result<Arc<dyn Maker>, Error> {
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
    ) -> Result<Arc<dyn Maker>, Error> {
        let target = address::to_connect(&text(address), literals(&*host))?;
        Ok(Dialer::new(target, Box::new(Framing::Tcp), host)?)
    }
}

const BACKLOG: i32 = 100;

/// Options of connections over a network, by their rows and by what they mean. Other streams heed
/// them, too, as far as they can; `ffi/options.rs` holds the numbers to the headers.
pub mod option {
    use std::time::Duration;

    use crate::transports::Settings;
    use crate::transports::options::{Len, Row, Table, Unit};

    pub const LEVEL: i32 = -3;

    pub static TABLE: Table = Table { level: LEVEL, len: Len::Exact, rows: &[NO_DELAY, KEEPALIVE] };

    pub const NO_DELAY: Row = Row {
        level: LEVEL,
        number: 1,
        name: "no delay",
        default: 0,
        range: 0..=1,
        unit: Unit::Flag,
    };

    /// More seconds are more than the kernel can count. What the reference does not have is far
    /// away from what it has.
    pub const KEEPALIVE: Row = Row {
        level: LEVEL,
        number: 0x5350_0003,
        name: "keepalive",
        default: 0,
        range: 0..=32_767,
        unit: Unit::Seconds,
    };

    /// Whether the application wants no gathering of its messages.
    #[must_use]
    pub fn no_delay(settings: &Settings) -> bool {
        settings.values.get(&NO_DELAY) != 0
    }

    /// How long a peer over a network may be silent before it is asked whether it is there.
    #[must_use]
    pub fn keepalive(settings: &Settings) -> Option<Duration> {
        match settings.values.get(&KEEPALIVE) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.unsigned_abs().into())),
        }
    }
}
