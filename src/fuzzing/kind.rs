//! The socket types, as those who talk to them from outside know them.

use crate::ffi::abi::{
    bus::NN_BUS,
    pair::NN_PAIR,
    pipeline::{NN_PULL, NN_PUSH},
    pubsub::{NN_PUB, NN_SUB},
    reqrep::{NN_REP, NN_REQ},
    survey::{NN_RESPONDENT, NN_SURVEYOR},
};
use std::ffi::c_int;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    pub number: c_int,
    pub name: &'static str,
    pub peer: c_int,
    pub manner: Manner,
}

/// Who speaks, and whether there is an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    Both,
    Sends,
    Receives,
    Asks,
    Answers,
}

impl Kind {
    pub fn peer(self) -> Kind {
        let found = KINDS.into_iter().find(|kind| kind.number == self.peer);
        found.expect("every type has a peer")
    }

    pub fn can_send(self) -> bool {
        self.manner != Manner::Receives
    }

    pub fn can_recv(self) -> bool {
        self.manner != Manner::Sends
    }
}

const fn kind(number: c_int, name: &'static str, peer: c_int, manner: Manner) -> Kind {
    Kind { number, name, peer, manner }
}

pub const KINDS: [Kind; 10] = [
    kind(NN_PAIR, "pair", NN_PAIR, Manner::Both),
    kind(NN_PUB, "pub", NN_SUB, Manner::Sends),
    kind(NN_SUB, "sub", NN_PUB, Manner::Receives),
    kind(NN_REQ, "req", NN_REP, Manner::Asks),
    kind(NN_REP, "rep", NN_REQ, Manner::Answers),
    kind(NN_PUSH, "push", NN_PULL, Manner::Sends),
    kind(NN_PULL, "pull", NN_PUSH, Manner::Receives),
    kind(NN_SURVEYOR, "surveyor", NN_RESPONDENT, Manner::Asks),
    kind(NN_RESPONDENT, "respondent", NN_SURVEYOR, Manner::Answers),
    kind(NN_BUS, "bus", NN_BUS, Manner::Both),
];
