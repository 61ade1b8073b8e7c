//! PAIR: both directions, no header. Raw and cooked are alike.

mod one;

use self::one::One;
use super::SocketType;

pub static PAIR: SocketType = SocketType {
    number: 0x10,
    name: "pair",
    peer: &PAIR,
    can_send: true,
    can_recv: true,
    drops_when_busy: false,
    hands_on: true,
    accepts_nameless_peers: true,
    cooked: |_| Box::new(One::default()),
    raw: |_| Box::new(One::default()),
};
