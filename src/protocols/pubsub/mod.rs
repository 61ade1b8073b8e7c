//! PUBSUB: a publisher speaks to everybody, a subscriber hears what it asked for (protocols
//! 6). Raw and cooked are alike, and there is no header.

mod pool;
mod publisher;
mod subscriber;
mod subscriptions;

use self::publisher::Publisher;
use self::subscriber::Subscriber;
use super::{SocketType, WhenBusy};

pub static PUB: SocketType = SocketType {
    number: 0x20,
    name: "pub",
    peer: &SUB,
    can_send: true,
    can_recv: false,
    when_busy: WhenBusy::DropsOrWaits,
    hands_on: false,
    answers_for_sure: false,
    hands_out: false,
    accepts_nameless_peers: false,
    cooked: |_| Box::new(Publisher::default()),
    raw: |_| Box::new(Publisher::default()),
};

pub static SUB: SocketType = SocketType {
    number: 0x21,
    name: "sub",
    peer: &PUB,
    can_send: false,
    can_recv: true,
    when_busy: WhenBusy::Waits,
    hands_on: false,
    answers_for_sure: false,
    hands_out: false,
    accepts_nameless_peers: false,
    cooked: |_| Box::new(Subscriber::default()),
    raw: |_| Box::new(Subscriber::default()),
};
