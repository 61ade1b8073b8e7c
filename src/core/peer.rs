//! Whom messages come from, as control data that travels with them.

use std::ffi::CString;
use std::fmt::{self, Display};

use super::endpoint::Endpoint;
use crate::message::control::{Entry, peer as number};
use crate::message::{Chunk, OutOfMemory};
use crate::protocols::PipeId;
use crate::sys::Credentials;
use crate::transports::{Connection, Stream};

/// What control data says about the peer of a connection: its number, its address, and who it is.
///
/// # Errors
/// When memory for it cannot be had.
pub fn describe(
    pipe: PipeId,
    endpoint: &Endpoint,
    connection: &dyn Connection,
) -> Result<Chunk, OutOfMemory> {
    let stream = connection.stream();
    // Addresses of endpoints came as strings of C, and so have no zero inside.
    let address = CString::new(endpoint.peer_address(stream.and_then(Stream::peer_address)))
        .unwrap_or_default();
    let number = entry(number::NUMBER, &pipe.peer_number().to_ne_bytes())?;
    let address = entry(number::ADDRESS, address.as_bytes_with_nul())?;
    // They have no zero inside, and may be long: whoever has room for less has the others.
    if let Some(headers) = stream.and_then(Stream::peer_headers) {
        let headers = entry(number::HEADERS, &[headers, b"\0"].concat())?;
        return joined(&[number, address, headers]);
    }
    let Some(credentials) = stream.and_then(Stream::peer_credentials) else {
        return joined(&[number, address]);
    };
    let Credentials { process, user, group } = credentials;
    let data = [process.to_ne_bytes(), user.to_ne_bytes(), group.to_ne_bytes()].concat();
    joined(&[number, address, entry(number::CREDENTIALS, &data)?])
}

fn entry(kind: i32, data: &[u8]) -> Result<Chunk, OutOfMemory> {
    Entry { level: number::LEVEL, kind, data }.to_chunk()
}

fn joined(parts: &[Chunk]) -> Result<Chunk, OutOfMemory> {
    let mut all = Chunk::with_capacity(parts.iter().map(Chunk::len).sum())?;
    parts.iter().for_each(|part| all.extend(part.as_slice()));
    Ok(all)
}

/// A peer as the kernel knows it.
pub struct Who(pub Option<Credentials>);

impl Display for Who {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(known) => write!(to, " process={} user={}", known.process, known.user),
            None => Ok(()),
        }
    }
}
