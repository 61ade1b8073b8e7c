//! PUBSUB: a publisher speaks to everybody, a subscriber hears what it asked for (protocols
//! 6). Raw and cooked are alike, and there is no header.

mod pool;
mod publisher;
mod subscriber;
mod subscriptions;

use self::publisher::Publisher;
use self::subscriber::Subscriber;
use super::SocketType;

pub static PUB: SocketType = SocketType {
    number: 0x20,
    peer: 0x21,
    can_send: true,
    can_recv: false,
    drops_when_busy: true,
    cooked: |_| Box::new(Publisher::default()),
    raw: |_| Box::new(Publisher::default()),
};

pub static SUB: SocketType = SocketType {
    number: 0x21,
    peer: 0x20,
    can_send: false,
    can_recv: true,
    drops_when_busy: false,
    cooked: |_| Box::new(Subscriber::default()),
    raw: |_| Box::new(Subscriber::default()),
};
