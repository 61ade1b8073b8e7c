//! REQREP: one asks, one of many answers (protocols 4 and 5).

mod crowd;
mod inquiry;
mod raw_req;
mod req;

use self::raw_req::RawReq;
use self::req::Req;
use super::return_path::Replier;
use super::{SocketType, WhenBusy};

pub static REQ: SocketType = SocketType {
    number: 0x30,
    name: "req",
    peer: &REP,
    can_send: true,
    can_recv: true,
    when_busy: WhenBusy::Waits,
    hands_on: false,
    answers_for_sure: false,
    hands_out: false,
    accepts_nameless_peers: false,
    cooked: |seed| Box::new(Req::new(seed)),
    raw: |_| Box::new(RawReq::default()),
};

pub static REP: SocketType = SocketType {
    number: 0x31,
    name: "rep",
    peer: &REQ,
    can_send: true,
    can_recv: true,
    when_busy: WhenBusy::Drops,
    hands_on: true,
    answers_for_sure: true,
    hands_out: false,
    accepts_nameless_peers: false,
    cooked: |seed| Box::new(Replier::cooked(seed)),
    raw: |seed| Box::new(Replier::raw(seed)),
};
