//! SURVEY: one asks many, and gathers what they answer in time (protocols 8).

mod question;
mod raw_surveyor;
mod surveyor;

use self::raw_surveyor::RawSurveyor;
use self::surveyor::Surveyor;
use super::return_path::Replier;
use super::{SocketType, WhenBusy};

// 0x60 and 0x61 were an older survey that cannot talk to this one.
pub static SURVEYOR: SocketType = SocketType {
    number: 0x62,
    name: "surveyor",
    peer: &RESPONDENT,
    can_send: true,
    can_recv: true,
    when_busy: WhenBusy::Drops,
    hands_on: false,
    answers_for_sure: false,
    hands_out: false,
    accepts_nameless_peers: false,
    cooked: |seed| Box::new(Surveyor::new(seed)),
    raw: |_| Box::new(RawSurveyor::default()),
};

pub static RESPONDENT: SocketType = SocketType {
    number: 0x63,
    name: "respondent",
    peer: &SURVEYOR,
    can_send: true,
    can_recv: true,
    when_busy: WhenBusy::Drops,
    hands_on: true,
    answers_for_sure: false,
    hands_out: false,
    accepts_nameless_peers: false,
    cooked: |seed| Box::new(Replier::cooked(seed)),
    raw: |seed| Box::new(Replier::raw(seed)),
};
