//! A name server that knows one name, sooner or later.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::calls::{begin, kernel};
use super::faults::Fault;
use super::stream::random;
use crate::sync::before_io;
use crate::sync::simulated::thread;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFamily {
    Ipv4Only,
    Any,
}

/// The stream addresses of a host.
///
/// # Errors
/// When nobody knows, now.
pub fn look_up(host: &str, port: u16, family: NameFamily) -> io::Result<Vec<SocketAddr>> {
    before_io();
    begin("getaddrinfo");
    let (is_unknown, takes) = kernel(|state| {
        let is_unknown = state.fault(|faults| Fault("name not found", faults.unknown_name));
        Ok((is_unknown || host != "localhost", random(0, state.machine.lookup_max)))
    })
    .unwrap_or_default();
    thread::sleep(Duration::from_nanos(takes));
    if is_unknown {
        return Err(io::ErrorKind::NotFound.into());
    }
    let four = SocketAddr::from(([127, 0, 0, 1], port));
    let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    Ok(match family {
        NameFamily::Ipv4Only => vec![four],
        NameFamily::Any => vec![six, four],
    })
}

/// The number of an interface: there is one.
#[must_use]
pub fn interface_number(name: &str) -> Option<u32> {
    matches!(name, "lo" | "1").then_some(1)
}
