//! The types of sockets, and which options go together with them.

use spmsg::ffi::abi::bus::NN_BUS;
use spmsg::ffi::abi::pair::NN_PAIR;
use spmsg::ffi::abi::pipeline::{NN_PULL, NN_PUSH};
use spmsg::ffi::abi::pubsub::{NN_PUB, NN_SUB};
use spmsg::ffi::abi::reqrep::{NN_REP, NN_REQ};
use spmsg::ffi::abi::survey::{NN_RESPONDENT, NN_SURVEYOR};
use std::ffi::c_int;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Push,
    Pull,
    Pub,
    Sub,
    Req,
    Rep,
    Surveyor,
    Respondent,
    Bus,
    Pair,
}

/// The types as options name them, and their numbers.
pub const KINDS: [(&str, Kind, c_int); 10] = [
    ("push", Kind::Push, NN_PUSH),
    ("pull", Kind::Pull, NN_PULL),
    ("pub", Kind::Pub, NN_PUB),
    ("sub", Kind::Sub, NN_SUB),
    ("req", Kind::Req, NN_REQ),
    ("rep", Kind::Rep, NN_REP),
    ("surveyor", Kind::Surveyor, NN_SURVEYOR),
    ("respondent", Kind::Respondent, NN_RESPONDENT),
    ("bus", Kind::Bus, NN_BUS),
    ("pair", Kind::Pair, NN_PAIR),
];

/// What an option has to do with the type of the socket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Concern {
    Sending,
    Receiving,
    Topics,
}

impl Kind {
    pub fn named(name: &str) -> Option<Kind> {
        KINDS.iter().find(|(other, ..)| *other == name).map(|(_, kind, _)| *kind)
    }

    pub fn number(self) -> c_int {
        KINDS.iter().find(|(_, kind, _)| *kind == self).map_or(-1, |(.., number)| *number)
    }

    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind, _)| *kind == self).map_or("", |(name, ..)| *name)
    }

    pub fn knows(self, concern: Concern) -> bool {
        match concern {
            Concern::Sending => !matches!(self, Kind::Pull | Kind::Sub),
            Concern::Receiving => !matches!(self, Kind::Push | Kind::Pub),
            Concern::Topics => self == Kind::Sub,
        }
    }

    /// These do nothing of their own accord without something to send.
    pub fn needs_input(self) -> bool {
        matches!(self, Kind::Push | Kind::Pub | Kind::Req | Kind::Surveyor)
    }

    /// These wait for a peer to send to, and so they wait, too, until it has got all.
    pub fn waits_for_peers(self) -> bool {
        matches!(self, Kind::Push | Kind::Pair)
    }
}

/// The only type that was chosen, by an option or by the name of the program.
pub fn only(chosen: &[Kind]) -> Result<Kind, String> {
    match chosen {
        [] => Err("a type of socket is missing, such as --pull".to_owned()),
        [kind] => Ok(*kind),
        [first, second, ..] => {
            Err(format!("one type of socket is enough: --{} and --{}", first.name(), second.name()))
        }
    }
}

/// Whether the type has a use for an option.
pub fn check(kind: Kind, option: &str, concern: Concern) -> Result<(), String> {
    if kind.knows(concern) {
        return Ok(());
    }
    let what = match concern {
        Concern::Sending => "sends",
        Concern::Receiving => "receives",
        Concern::Topics => "subscribes",
    };
    Err(format!("--{option} is for sockets of a type that {what}, not for --{}", kind.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for (name, kind, number) in KINDS {
            assert_eq!(Kind::named(name), Some(kind));
            assert_eq!((kind.name(), kind.number()), (name, number));
        }
        assert_eq!(Kind::named("pus"), None);
    }

    #[test]
    fn one_type_is_enough() {
        assert!(only(&[]).is_err());
        assert_eq!(only(&[Kind::Sub]), Ok(Kind::Sub));
        assert!(only(&[Kind::Sub, Kind::Sub]).is_err());
    }

    #[test]
    fn options_need_a_type_that_knows_them() {
        assert!(check(Kind::Pull, "data", Concern::Sending).is_err());
        assert!(check(Kind::Push, "raw", Concern::Receiving).is_err());
        assert!(check(Kind::Pull, "subscribe", Concern::Topics).is_err());
        for kind in [Kind::Req, Kind::Rep, Kind::Surveyor, Kind::Respondent, Kind::Bus, Kind::Pair]
        {
            assert_eq!(check(kind, "data", Concern::Sending), Ok(()));
            assert_eq!(check(kind, "raw", Concern::Receiving), Ok(()));
        }
    }
}
