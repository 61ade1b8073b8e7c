//! Setting and reading a socket's options, whoever knows them.

use super::options::{OptionValue, number::*};
use super::readiness::Side;
use super::socket::Socket;
use crate::error::Error;

impl Socket {
    /// # Errors
    /// `UnknownOption`, `Invalid` for a value of the wrong length or out of range.
    pub fn set_option(&self, level: i32, option: i32, value: Option<&[u8]>) -> Result<(), Error> {
        match (level, option) {
            (SOCKET_LEVEL, SOCKET_NAME) => self.options().set_name(value.unwrap_or_default()),
            _ if self.is_own_level(level) => self.lock().protocol.set_option(option, value),
            _ => self.options().set(level, option, value),
        }
    }

    /// # Errors
    /// `UnknownOption`; `TooManySockets` when no descriptor can be had for the readiness.
    pub fn option(&self, level: i32, option: i32) -> Result<OptionValue, Error> {
        Ok(match (level, option) {
            (SOCKET_LEVEL, SOCKET_NAME) => OptionValue::Text(self.context.name()),
            (SOCKET_LEVEL, SEND_DESCRIPTOR) => {
                OptionValue::Int(self.readiness_descriptor(Side::Send)?)
            }
            (SOCKET_LEVEL, RECV_DESCRIPTOR) => {
                OptionValue::Int(self.readiness_descriptor(Side::Recv)?)
            }
            (SOCKET_LEVEL, DOMAIN) => OptionValue::Int(self.context.domain),
            (SOCKET_LEVEL, PROTOCOL) => OptionValue::Int(self.socket_type().number.into()),
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
