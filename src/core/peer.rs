//! Whom messages come from, as control data that travels with them.

use std::ffi::CString;
use std::fmt::{self, Display};

use super::endpoint::Endpoint;
use crate::message::control::{Entry, peer as number};
use crate::message::{Chunk, OutOfMemory};
use crate::protocols::PipeId;
use crate::sys::Credentials;
use crate::trace::Plain;
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
    let mut parts = vec![
        entry(number::NUMBER, &pipe.peer_number().to_ne_bytes())?,
        entry(number::ADDRESS, address.as_bytes_with_nul())?,
    ];
    if let Some(Credentials { process, user, group }) = stream.and_then(Stream::peer_credentials) {
        let data = [process.to_ne_bytes(), user.to_ne_bytes(), group.to_ne_bytes()].concat();
        parts.push(entry(number::CREDENTIALS, &data)?);
    }
    // These have no zero inside, and may be long: whoever has room for less has the others.
    let texts = [
        (number::CERTIFICATE, stream.and_then(Stream::peer_certificate)),
        (number::HEADERS, stream.and_then(Stream::peer_headers)),
    ];
    for (kind, text) in texts {
        if let Some(text) = text {
            parts.push(entry(kind, &[text, b"\0"].concat())?);
        }
    }
    joined(&parts)
}

fn entry(kind: i32, data: &[u8]) -> Result<Chunk, OutOfMemory> {
    Entry { level: number::LEVEL, kind, data }.to_chunk()
}

fn joined(parts: &[Chunk]) -> Result<Chunk, OutOfMemory> {
    let mut all = Chunk::with_capacity(parts.iter().map(Chunk::len).sum())?;
    parts.iter().for_each(|part| all.extend(part.as_slice()));
    Ok(all)
}

/// A peer as the kernel knows it, and as its certificate says.
pub struct Who<'a>(pub Option<&'a dyn Stream>);

impl Display for Who<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(stream) = self.0 else { return Ok(()) };
        if let Some(known) = stream.peer_credentials() {
            write!(to, " process={} user={}", known.process, known.user)?;
        }
        let lines = stream.peer_certificate().unwrap_or_default().split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            write!(to, " {}", Plain(line))?;
        }
        Ok(())
    }
}
