//! PIPELINE: work is spread over many and gathered from many (protocols 7). Raw and cooked
//! are alike, and there is no header.

mod pull;
mod push;

use self::pull::Pull;
use self::push::Push;
use super::{SocketType, WhenBusy};

pub static PUSH: SocketType = SocketType {
    number: 0x50,
    name: "push",
    peer: &PULL,
    can_send: true,
    can_recv: false,
    when_busy: WhenBusy::Waits,
    hands_on: true,
    answers_for_sure: false,
    hands_out: false,
    accepts_nameless_peers: false,
    cooked: |_| Box::new(Push::default()),
    raw: |_| Box::new(Push::default()),
};

pub static PULL: SocketType = SocketType {
    number: 0x51,
    name: "pull",
    peer: &PUSH,
    can_send: false,
    can_recv: true,
    when_busy: WhenBusy::Waits,
    hands_on: false,
    answers_for_sure: false,
    hands_out: true,
    accepts_nameless_peers: false,
    cooked: |_| Box::new(Pull::default()),
    raw: |_| Box::new(Pull::default()),
};
