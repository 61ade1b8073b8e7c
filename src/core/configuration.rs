//! Setting and reading a socket's options, whoever knows them.

use super::options::{OptionValue, option::*};
use super::readiness::Side;
use super::socket::Socket;
use crate::error::Error;

impl Socket {
    /// # Errors
    /// `UnknownOption`, `Invalid` for a value of the wrong length or out of range.
    pub fn set_option(&self, level: i32, option: i32, value: Option<&[u8]>) -> Result<(), Error> {
        match (level, option) {
            (LEVEL, NAME) => self.options().set_name(value.unwrap_or_default()),
            _ if self.is_own_level(level) => self.lock().protocol.set_option(option, value),
            _ => self.options().set(level, option, value),
        }
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
            _ if self.is_own_level(level) => {
                OptionValue::ExactInt(self.lock().protocol.option(option)?)
            }
            _ => self.options().get(level, option)?,
        })
    }

    /// Socket types number their options for themselves.
    fn is_own_level(&self, level: i32) -> bool {
        level == i32::from(self.socket_type().number)
    }
}
