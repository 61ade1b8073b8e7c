//! Whom messages come from, as control data that travels with them.

use std::ffi::CString;

use super::endpoint::Endpoint;
use crate::message::control::Entry;
use crate::message::{Chunk, Message, OutOfMemory};
use crate::sys::Credentials;
use crate::transports::{Connection, Stream};

/// What control data says about the peer of a connection.
///
/// # Errors
/// When memory for it cannot be had.
pub fn describe(endpoint: &Endpoint, connection: &dyn Connection) -> Result<Chunk, OutOfMemory> {
    // Addresses of endpoints came as strings of C, and so have no zero inside.
    let text =
        CString::new(endpoint.peer_address(connection.stream().and_then(Stream::peer_address)))
            .unwrap_or_default();
    let text =
        Entry { level: number::LEVEL, kind: number::ADDRESS, data: text.as_bytes_with_nul() };
    let Some(credentials) = connection.stream().and_then(Stream::peer_credentials) else {
        return text.to_chunk();
    };
    let Credentials { process, user, group } = credentials;
    let data = [process.to_ne_bytes(), user.to_ne_bytes(), group.to_ne_bytes()].concat();
    let who = Entry { level: number::LEVEL, kind: number::CREDENTIALS, data: &data };
    joined(&text.to_chunk()?, &who.to_chunk()?)
}

/// Lets `message` say what `description` does, behind what its transport says.
///
/// # Errors
/// When memory for it cannot be had; the message is unchanged.
pub fn label(message: &mut Message, description: &Chunk) -> Result<(), OutOfMemory> {
    message.ancillary = Some(match &message.ancillary {
        Some(said) => joined(said, description)?,
        None => Chunk::copy_from(description.as_slice())?,
    });
    Ok(())
}

fn joined(first: &Chunk, second: &Chunk) -> Result<Chunk, OutOfMemory> {
    let mut both = Chunk::with_capacity(first.len() + second.len())?;
    both.extend(first.as_slice());
    both.extend(second.as_slice());
    Ok(both)
}

/// Entries as C numbers them; `ffi/extension.rs` holds them to the header.
pub mod number {
    pub const LEVEL: i32 = 0x5350_0000;
    pub const ADDRESS: i32 = 0x5350_0001;
    pub const CREDENTIALS: i32 = 0x5350_0002;
}
