//! Options of every socket, as C numbers them; `ffi/options.rs` holds them to the headers.

use std::ops::RangeInclusive;

use crate::transports::{Len, Row, Table, Unit};

pub const LEVEL: i32 = 0;

pub static TABLE: Table = Table {
    level: LEVEL,
    len: Len::Exact,
    rows: &[
        LINGER,
        SEND_BUFFER,
        RECV_BUFFER,
        SEND_TIMEOUT,
        RECV_TIMEOUT,
        RECONNECT_INTERVAL,
        RECONNECT_INTERVAL_MAX,
        SEND_PRIORITY,
        RECV_PRIORITY,
        IPV4_ONLY,
        RECV_MAX_SIZE,
        MAX_TTL,
        PEER_INFO,
        ACCEPT_USER,
        SEND_BUFFER_MESSAGES,
        RECV_BUFFER_MESSAGES,
        DROP,
    ],
};

pub const LINGER: Row = row(1, "linger", 1000, ANY, Unit::Milliseconds);
pub const SEND_BUFFER: Row = row(2, "send buffer", 131_072, 1..=MAX, Unit::Bytes);
pub const RECV_BUFFER: Row = row(3, "receive buffer", 131_072, 1..=MAX, Unit::Bytes);
pub const SEND_TIMEOUT: Row = row(4, "send timeout", -1, ANY, Unit::Milliseconds);
pub const RECV_TIMEOUT: Row = row(5, "receive timeout", -1, ANY, Unit::Milliseconds);
pub const RECONNECT_INTERVAL: Row = row(6, "reconnect interval", 100, 0..=MAX, Unit::Milliseconds);
pub const RECONNECT_INTERVAL_MAX: Row =
    row(7, "longest reconnect interval", 0, 0..=MAX, Unit::Milliseconds);
pub const SEND_PRIORITY: Row = row(8, "send priority", 8, 1..=16, Unit::Priority);
pub const RECV_PRIORITY: Row = row(9, "receive priority", 8, 1..=16, Unit::Priority);
pub const IPV4_ONLY: Row = row(14, "IPv4 only", 1, 0..=1, Unit::Flag);
pub const RECV_MAX_SIZE: Row = row(16, "largest message", 1_048_576, -1..=MAX, Unit::Bytes);
pub const MAX_TTL: Row = row(17, "hop limit", 8, 1..=255, Unit::Hops);
pub const PEER_INFO: Row = row(OWN + 1, "peer information", 0, 0..=2, Unit::Choice);

pub const ACCEPT_USER: Row = row(OWN + 9, "user of peers", -1, -1..=MAX, Unit::Choice);

/// Where the numbers begin that the reference does not have: far away from its own.
pub const OWN: i32 = 0x5350_0000;

pub const SEND_BUFFER_MESSAGES: Row =
    row(0x5350_0006, "send buffer in messages", 0, 0..=MAX, Unit::Messages);
pub const RECV_BUFFER_MESSAGES: Row =
    row(0x5350_0007, "receive buffer in messages", 0, 0..=MAX, Unit::Messages);
pub const DROP: Row = row(0x5350_0008, "what is dropped", DROP_NEWEST, 0..=2, Unit::Choice);

pub const DROP_NEWEST: i32 = 0;
pub const DROP_OLDEST: i32 = 1;
/// Nothing is, and the sender waits.
pub const DROP_NOTHING: i32 = 2;

/// These are no numbers that can be set.
pub const SEND_DESCRIPTOR: i32 = 10;
pub const RECV_DESCRIPTOR: i32 = 11;
pub const DOMAIN: i32 = 12;
pub const PROTOCOL: i32 = 13;
pub const NAME: i32 = 15;

const ANY: RangeInclusive<i32> = i32::MIN..=MAX;
const MAX: i32 = i32::MAX;

const fn row(
    number: i32,
    name: &'static str,
    default: i32,
    range: RangeInclusive<i32>,
    unit: Unit,
) -> Row {
    Row { level: LEVEL, number, name, default, range, unit }
}
