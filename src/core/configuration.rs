//! Setting and reading a socket's options, whoever knows them.

use super::options::{OptionValue, option::*};
use super::readiness::Side;
use super::socket::{Joint, Socket};
use crate::error::Error;
use crate::protocols::WhenBusy;
use crate::sync::atomic::Ordering;

impl Socket {
    /// # Errors
    /// `UnknownOption`, `Invalid` for a value of the wrong length or out of range.
    pub fn set_option(&self, level: i32, option: i32, value: Option<&[u8]>) -> Result<(), Error> {
        if (level, option) == (LEVEL, NAME) {
            return self.options().set_name(value.unwrap_or_default());
        }
        match &self.joint {
            Some(joint) => self.set_option_of(joint, level, option, value),
            None if self.is_own_level(level) => {
                let (follows, owes, takes_at_once) = {
                    let protocol = &mut self.lock().protocol;
                    protocol.set_option(option, value)?;
                    let owes = protocol.owes_after_option();
                    (protocol.follows_pipes(), owes, protocol.takes_at_once())
                };
                if owes {
                    self.tell(|protocol, view| protocol.option_set(view));
                }
                self.follows_pipes.store(follows, Ordering::Relaxed);
                if takes_at_once {
                    // What has come already is taken first.
                    self.read_in_background();
                    self.tell(|protocol, view| protocol.timeout(view));
                }
                Ok(())
            }
            None if DROP.is(level, option) => self.set_drop(value),
            None => self.options().set(level, option, value),
        }
    }

    /// Those who wait for every peer may have to do so no longer, or others may have to from now.
    fn set_drop(&self, value: Option<&[u8]>) -> Result<(), Error> {
        let chosen = value.and_then(|value| value.try_into().ok()).map(i32::from_ne_bytes);
        let is_possible = match (chosen, self.socket_type().when_busy) {
            (Some(DROP_OLDEST), when_busy) => when_busy.drops(),
            (Some(DROP_NOTHING), when_busy) => when_busy == WhenBusy::DropsOrWaits,
            _ => true,
        };
        if !is_possible {
            return Err(Error::NotSupported);
        }
        self.options().set(DROP.level, DROP.number, value)?;
        self.tell(|_, _| ());
        self.waiting.ring_all();
        Ok(())
    }

    /// # Errors
    /// `UnknownOption`; `TooManySockets` when no descriptor can be had for the readiness.
    pub fn option(&self, level: i32, option: i32) -> Result<OptionValue, Error> {
        Ok(match (level, option) {
            (LEVEL, NAME) => OptionValue::Text(self.context.name()),
            (LEVEL, SEND_DESCRIPTOR) => OptionValue::Int(self.readiness_descriptor(Side::Send)?),
            (LEVEL, RECV_DESCRIPTOR) => OptionValue::Int(self.readiness_descriptor(Side::Recv)?),
            (LEVEL, DOMAIN) => OptionValue::Int(self.context.domain),
            (LEVEL, PROTOCOL) => OptionValue::Int(self.socket_type().number.into()),
            _ => match &self.joint {
                Some(joint) => self.option_of(joint, level, option)?,
                None if self.is_own_level(level) => {
                    OptionValue::ExactInt(self.lock().protocol.option(option)?)
                }
                None => self.options().get(level, option)?,
            },
        })
    }

    /// The same for a branch, of which most options are those of its socket.
    fn set_option_of(
        &self,
        joint: &Joint,
        level: i32,
        option: i32,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        if self.is_own_level(level) {
            joint.ask(|branches, id| branches.set_option_of(id, option, value))?;
            joint.trunk.tell(|protocol, view| protocol.option_set(view));
            return Ok(());
        }
        if !is_of_a_branch(level, option) {
            // One that nobody knows is told first.
            self.options().get(level, option)?;
            return Err(Error::NotSupported);
        }
        self.options().set(level, option, value)
    }

    fn option_of(&self, joint: &Joint, level: i32, option: i32) -> Result<OptionValue, Error> {
        if self.is_own_level(level) {
            let value = joint.ask(|branches, id| branches.option_of(id, option))?;
            return Ok(OptionValue::ExactInt(value));
        }
        let whose = if is_of_a_branch(level, option) { self } else { &joint.trunk };
        whose.options().get(level, option)
    }

    /// Socket types number their options for themselves.
    fn is_own_level(&self, level: i32) -> bool {
        level == i32::from(self.socket_type().number)
    }
}

/// How long its calls wait is a branch's own matter.
fn is_of_a_branch(level: i32, option: i32) -> bool {
    [&SEND_TIMEOUT, &RECV_TIMEOUT].into_iter().any(|row| row.is(level, option))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::{Opened, PAIR, REQ, SUB};
    use crate::core::registry::RAW;
    use crate::protocols::option::{REQ_RESEND_INTERVAL, SUB_SUBSCRIBE};

    fn set(socket: &Opened, level: i32, option: i32, value: i32) -> Result<(), Error> {
        socket.get().set_option(level, option, Some(&value.to_ne_bytes()))
    }

    #[test]
    fn facts_are_told_and_cannot_be_set() {
        let socket = Opened::new(RAW, REQ);
        assert_eq!(socket.get().option(LEVEL, DOMAIN), Ok(OptionValue::Int(RAW)));
        assert_eq!(socket.get().option(LEVEL, PROTOCOL), Ok(OptionValue::Int(REQ)));
        for option in [DOMAIN, PROTOCOL, SEND_DESCRIPTOR, RECV_DESCRIPTOR] {
            assert_eq!(set(&socket, LEVEL, option, 1), Err(Error::UnknownOption));
        }
    }

    #[test]
    fn a_socket_is_called_by_its_number_until_it_has_a_name() {
        let socket = Opened::cooked(PAIR);
        let name = || socket.get().option(LEVEL, NAME);
        assert_eq!(name(), Ok(OptionValue::Text(socket.0.to_string().into_bytes())));
        socket.get().set_option(LEVEL, NAME, Some(b"mine")).unwrap();
        assert_eq!(name(), Ok(OptionValue::Text(b"mine".to_vec())));
        socket.get().set_option(LEVEL, NAME, None).unwrap();
        assert_eq!(name(), Ok(OptionValue::Text(Vec::new())));
    }

    #[test]
    fn options_of_a_type_are_known_at_its_own_level_only() {
        let (req, raw, sub) = (Opened::cooked(REQ), Opened::new(RAW, REQ), Opened::cooked(SUB));
        assert_eq!(set(&req, REQ, REQ_RESEND_INTERVAL, 5), Ok(()));
        let resend = req.get().option(REQ, REQ_RESEND_INTERVAL);
        assert_eq!(resend, Ok(OptionValue::ExactInt(5)));
        assert_eq!(set(&raw, REQ, REQ_RESEND_INTERVAL, 5), Err(Error::UnknownOption));
        assert_eq!(set(&sub, REQ, REQ_RESEND_INTERVAL, 5), Err(Error::UnknownOption));
        assert_eq!(sub.get().set_option(SUB, SUB_SUBSCRIBE, Some(b"any length")), Ok(()));
        assert_eq!(sub.get().option(SUB, SUB_SUBSCRIBE), Err(Error::UnknownOption));
        assert_eq!(set(&sub, REQ, 99, 5), Err(Error::UnknownOption));
    }

    #[test]
    fn options_of_transports_are_there_whatever_transport_is_used() {
        let socket = Opened::cooked(PAIR);
        assert_eq!(set(&socket, -3, 1, 1), Ok(()));
        assert_eq!(socket.get().option(-3, 1), Ok(OptionValue::Int(1)));
        assert_eq!(set(&socket, -1, 1, 1), Err(Error::UnknownOption));
    }
}
