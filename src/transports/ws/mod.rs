//! ws: messages over WebSocket (RFC 6455). Streams, gathering and reconnecting are `stream/`'s.

mod address;
mod assembler;
mod close;
mod decoder;
mod frame;
mod greeter;
pub(super) mod handshake;
pub(super) mod headers;
pub mod label;
mod mask;
mod sending;
mod utf8;

use std::net::SocketAddr;
use std::sync::Arc;

pub use frame::{Kind, Role};

use self::assembler::Assembler;
use self::greeter::{Client, Server};
use self::sending::Sending;
use super::address::{literals, text};
use super::stream::{Bound, Codec, Dialer, Listener, Target};
use super::{Dialect, Host, Maker, Transport};
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
    ) -> Result<Arc<dyn Maker>, Error> {
        let Place { address, path } = to_bind(address, dialect, &*host)?;
        let listener = OsListener::listening(&Address::Internet(address), BACKLOG)?;
        let address = listener.bound_address(address);
        let address = format!("{address}{}", path.as_deref().unwrap_or_default());
        Ok(Listener::new(Bound::plain(listener, address), Box::new(server(path)), host)?)
    }

    fn connect(
        &self,
        address: &[u8],
        _dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let (target, client) = to_connect(address, DEFAULT_PORT, &*host)?;
        Ok(Dialer::new(target, Box::new(client), host)?)
    }
}

/// Where to listen, and the one path to serve if not all are.
pub struct Place {
    pub address: SocketAddr,
    pub path: Option<String>,
}

/// # Errors
/// When the address is malformed.
pub fn to_bind(address: &[u8], dialect: Dialect, host: &dyn Host) -> Result<Place, Error> {
    let (address, path) = address::to_bind(&text(address), literals(host), dialect.into())?;
    Ok(Place { address, path })
}

/// Whom to connect to, and how the conversation begins there.
///
/// # Errors
/// When the address is malformed.
pub fn to_connect(address: &[u8], port: u16, host: &dyn Host) -> Result<(Target, Client), Error> {
    let (target, resource) = address::to_connect(&text(address), port, literals(host))?;
    let kind = option::message_kind(&host.settings());
    let headers = headers::lines(host.text(&option::HEADERS)?.as_slice())?;
    Ok((target, Client { resource, kind, headers }))
}

/// How conversations begin where others connect.
#[must_use]
pub fn server(path: Option<String>) -> Server {
    Server { path }
}

/// One connection's framing, whose messages are of `kind` unless they say otherwise.
#[must_use]
pub fn codec(role: Role, kind: Kind) -> Codec {
    let sending = Arc::new(Sending::new(role, kind));
    Codec { decoder: Box::new(Assembler::new(Arc::clone(&sending))), encoder: sending }
}

const BACKLOG: i32 = 100;
const DEFAULT_PORT: u16 = 80;

/// Options of WebSockets, by their rows and by what they mean; `ffi/options.rs` holds the numbers
/// to the headers.
pub mod option {
    use std::time::Duration;

    use super::frame::Kind;
    use crate::transports::Settings;
    use crate::transports::options::{Len, Row, Secrecy, Table, Text, Unit};

    pub const LEVEL: i32 = super::label::LEVEL;

    pub static TABLE: Table = Table { level: LEVEL, len: Len::Exact, rows: &[MESSAGE_TYPE, PING] };

    pub const MESSAGE_TYPE: Row = Row {
        level: LEVEL,
        number: super::label::MESSAGE_TYPE,
        name: "message type",
        default: Kind::Binary as i32,
        range: Kind::Text as i32..=Kind::Binary as i32,
        unit: Unit::Choice,
    };

    /// What the reference does not have is far away from what it has.
    pub const PING: Row = Row {
        level: LEVEL,
        number: 0x5350_000b,
        name: "silence before a ping",
        default: 0,
        range: 0..=32_767,
        unit: Unit::Seconds,
    };

    /// Lines of the request of what connects, besides those of the handshake.
    pub static HEADERS: Text = Text {
        level: LEVEL,
        number: 0x5350_000c,
        len_max: 4096,
        secrecy: Secrecy::Public,
        check: |text| super::headers::lines(text).map(|_| ()),
    };

    /// After how much silence a peer is asked whether it is there, if it is.
    #[must_use]
    pub fn patience(settings: &Settings) -> Option<Duration> {
        let seconds = u64::try_from(settings.values.get(&PING)).ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// What messages are said to be unless they say so themselves.
    #[must_use]
    pub fn message_kind(settings: &Settings) -> Kind {
        let number = u8::try_from(settings.values.get(&MESSAGE_TYPE)).ok();
        number.and_then(Kind::from_number).unwrap_or(Kind::Binary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeSocket, Traits};
    use crate::transports::suite::{self, Subject};
    use crate::transports::{Fault, Report};
    use std::time::Duration;

    #[test]
    fn exchanges_messages_of_all_sizes_both_ways() {
        suite::exchanges_messages_of_all_sizes_both_ways(Subject::Ws);
    }

    #[test]
    fn a_busy_address_is_refused_and_stays_whose_it_is() {
        suite::a_busy_address_is_refused_and_stays_whose_it_is(Subject::Ws);
    }

    #[test]
    fn an_address_is_free_right_after_the_close() {
        suite::an_address_is_free_right_after_the_close(Subject::Ws);
    }

    #[test]
    fn a_dialer_that_comes_first_waits_for_a_listener() {
        suite::a_dialer_that_comes_first_waits_for_a_listener(Subject::Ws);
    }

    #[test]
    fn a_lost_peer_is_connected_to_again() {
        suite::a_lost_peer_is_connected_to_again(Subject::Ws);
    }

    #[test]
    fn a_peer_of_the_wrong_type_is_refused_on_both_sides() {
        suite::a_peer_of_the_wrong_type_is_refused_on_both_sides(Subject::Ws);
    }

    #[test]
    fn who_is_not_wanted_now_is_taken_in_later_and_knows_nothing_before() {
        suite::who_is_not_wanted_now_is_taken_in_later_and_knows_nothing_before(Subject::Ws);
    }

    #[test]
    fn a_dialer_whose_socket_wants_nobody_waits_with_its_attempt() {
        suite::a_dialer_whose_socket_wants_nobody_waits_with_its_attempt(Subject::Ws);
    }

    #[test]
    fn garbage_is_refused_and_hurts_nobody_else() {
        suite::garbage_is_refused_and_hurts_nobody_else(Subject::Ws);
    }

    #[test]
    fn half_a_greeting_is_none() {
        suite::half_a_greeting_is_none(Subject::Ws);
    }

    #[test]
    fn a_close_during_the_greeting_drops_it_once() {
        suite::a_close_during_the_greeting_drops_it_once(Subject::Ws);
    }

    #[test]
    fn a_close_between_attempts_reports_nothing() {
        suite::a_close_between_attempts_reports_nothing(Subject::Ws);
    }

    #[test]
    fn a_message_beyond_the_limit_ends_its_own_connection_only() {
        suite::a_message_beyond_the_limit_ends_its_own_connection_only(Subject::Ws);
    }

    #[test]
    fn a_close_delivers_what_the_kernel_has() {
        suite::a_close_delivers_what_the_kernel_has(Subject::Ws);
    }

    #[test]
    fn a_listener_with_a_path_serves_that_path_only() {
        let listener = FakeSocket::new(Traits::pair());
        let address = listener.bind(&Ws, b"127.0.0.1:0/there").unwrap();
        assert!(address.starts_with(b"127.0.0.1:") && address.ends_with(b"/there"));
        let elsewhere = [&address[..], b"not"].concat();
        let [right, wrong] = [address, elsewhere].map(|address| {
            let dialer = FakeSocket::new(Traits::pair());
            dialer.connect(&Ws, &address);
            dialer
        });
        let await_refusal = |socket: &FakeSocket, why: Fault| {
            socket.await_report(|report| match report {
                Report::HandshakeFailed { fault, .. } => *fault == Some(why),
                _ => false,
            });
        };
        await_refusal(&wrong, Fault::Denied(404));
        await_refusal(&listener, Fault::Violation);
        right.pipe(0).send(b"hi");
        assert_eq!(listener.pipe(0).recv().as_deref(), Some(&b"hi"[..]));
        assert_eq!((wrong.pipes(), listener.pipes()), (0, 1));
    }

    #[test]
    fn patience_is_a_number_of_seconds_or_without_end() {
        let patience =
            |value| option::patience(&Traits::pair().with(&[(&option::PING, value)]).settings);
        assert_eq!([0, -1].map(patience), [None; 2]);
        assert_eq!(patience(7), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_kind_of_messages_is_a_value_of_the_option() {
        let kind = |value| {
            let values = [(&option::MESSAGE_TYPE, value)];
            option::message_kind(&Traits::pair().with(&values).settings)
        };
        assert_eq!([1, 2].map(kind), [Kind::Text, Kind::Binary]);
        // What cannot be set means what is so without.
        assert_eq!([0, 3, -1, 257].map(kind), [Kind::Binary; 4]);
        assert_eq!(option::message_kind(&Traits::pair().settings), Kind::Binary);
    }
}
