//! Addresses of tcp, and what ws has in common with them: `IFACE:PORT` to bind,
//! `[LOCAL;]HOST:PORT` to connect. Pure, but for the numbers of interfaces that are named.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::stream::{HostName, Target};
use super::{Dialect, Host};
use crate::error::{Error, Part};
use crate::sys;

/// Which literals an address may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literals {
    Ipv4,
    Any,
}

/// Which ports an address may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    Proper,
    /// Also 0, for whichever is free.
    Any,
}

impl From<Dialect> for Ports {
    fn from(dialect: Dialect) -> Ports {
        match dialect {
            Dialect::Reference => Ports::Proper,
            Dialect::Extended => Ports::Any,
        }
    }
}

/// Where to listen.
///
/// # Errors
/// `Malformed` without a proper port, `NoDevice` when the rest is not a literal address or `*`.
pub fn to_bind(address: &str, literals: Literals, ports: Ports) -> Result<SocketAddr, Error> {
    let (interface, port) = split_port(address, ports)?;
    interface_address(interface, port, literals)
}

/// Whom to connect to, and from where.
///
/// # Errors
/// `Malformed` for port or host, `NoDevice` for a host in the scope of no interface, and then for
/// the local part.
pub fn to_connect(address: &str, literals: Literals) -> Result<Target, Error> {
    let (local, rest) = match address.split_once(';') {
        Some((local, rest)) => (Some(local), rest),
        None => (None, address),
    };
    let (host, port) = split_port(rest, Ports::Proper)?;
    let host = match literal(host, port, literals)? {
        Some(address) => HostName::Literal(address),
        None if is_host_name(host) => HostName::Name(host.to_owned(), port),
        None if matches!(literal(host, port, Literals::Any), Ok(Some(_))) => {
            return Err(Error::Malformed(Part::Family));
        }
        None => return Err(Error::Malformed(Part::Host)),
    };
    let local = match local {
        // A wildcard leaves the choice to the kernel, as no local part does.
        None | Some("*") => None,
        Some(local) => Some(interface_address(local, 0, literals)?),
    };
    Ok(Target::Internet { local, host })
}

/// What is not UTF-8 is no part of any address; it is rejected where it stands.
#[must_use]
pub fn text(address: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(address)
}

/// The literals that the socket allows.
#[must_use]
pub fn literals(host: &dyn Host) -> Literals {
    if host.settings().ipv4_only { Literals::Ipv4 } else { Literals::Any }
}

fn split_port(address: &str, ports: Ports) -> Result<(&str, u16), Error> {
    let wrong = Error::Malformed(Part::Port);
    let (front, port) = address.rsplit_once(':').ok_or(wrong)?;
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong);
    }
    match port.parse() {
        Ok(0) if ports == Ports::Proper => Err(wrong),
        Ok(port) => Ok((front, port)),
        Err(_) => Err(wrong),
    }
}

fn interface_address(interface: &str, port: u16, literals: Literals) -> Result<SocketAddr, Error> {
    match (interface, literals) {
        ("*", Literals::Ipv4) => Ok((Ipv4Addr::UNSPECIFIED, port).into()),
        ("*", Literals::Any) => Ok((Ipv6Addr::UNSPECIFIED, port).into()),
        _ => literal(interface, port, literals)?.ok_or(Error::NoDevice),
    }
}

/// A literal address, in brackets or not; one of IPv6 may name the interface in whose scope it is,
/// or give its number. None when it is something else.
fn literal(text: &str, port: u16, literals: Literals) -> Result<Option<SocketAddr>, Error> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if literals == Literals::Ipv4 {
        return Ok(bare.parse::<Ipv4Addr>().ok().map(|ip| (ip, port).into()));
    }
    let (ip, zone) = match bare.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (bare, None),
    };
    match (ip.parse::<Ipv6Addr>(), zone) {
        (Ok(ip), None) => Ok(Some((ip, port).into())),
        (Ok(ip), Some(zone)) => {
            let scope = sys::interface_number(zone).ok_or(Error::NoDevice)?;
            Ok(Some(SocketAddrV6::new(ip, port, 0, scope).into()))
        }
        (Err(_), _) => Ok(bare.parse::<Ipv4Addr>().ok().map(|ip| (ip, port).into())),
    }
}

/// The syntax only; whether it can be resolved is found out when connecting.
fn is_host_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let labels = text.strip_suffix('.').unwrap_or(text);
    (1..=HOST_NAME_MAX).contains(&text.len())
        && text.bytes().all(is_allowed)
        && !text.starts_with('-')
        && labels.split('.').all(|label| (1..=LABEL_MAX).contains(&label.len()))
}

const HOST_NAME_MAX: usize = 255;
const LABEL_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_to_literals_and_the_wildcard() {
        let bind =
            |text| to_bind(text, Literals::Ipv4, Ports::Proper).map(|address| address.to_string());
        for (text, expected) in [
            ("*:5555", "0.0.0.0:5555"),
            ("127.0.0.1:5555", "127.0.0.1:5555"),
            ("[127.0.0.1]:5555", "127.0.0.1:5555"),
            ("127.0.0.1:05555", "127.0.0.1:5555"),
        ] {
            assert_eq!(bind(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "[::1]:1",
            "::1:1",
            "eth0:1",
            "localhost:1",
            ":1",
            "[*]:1",
            "127.1:1",
            "256.0.0.1:1",
            "a;b:1",
            "[::1:1",
            "[::1%lo]:1",
        ] {
            assert_eq!(bind(text), Err(Error::NoDevice), "{text}");
        }
        for text in [
            "",
            "127.0.0.1",
            "127.0.0.1:",
            "*:0",
            "*:65536",
            "*:abc",
            "*:80x",
            "*:-1",
            "*:+80",
            "*: 5555",
            "*:1/path",
        ] {
            assert_eq!(bind(text), Err(Error::Malformed(Part::Port)), "{text}");
        }
        let any =
            |text| to_bind(text, Literals::Any, Ports::Proper).map(|address| address.to_string());
        assert_eq!(any("*:1").as_deref(), Ok("[::]:1"));
        assert_eq!(any("::1:1").as_deref(), Ok("[::1]:1"));
        assert_eq!(any("127.0.0.1:1").as_deref(), Ok("127.0.0.1:1"));
    }

    #[test]
    fn connects_to_names_and_literals() {
        let label = "a".repeat(63);
        for text in [
            "127.0.0.1:1",
            "[127.0.0.1]:1",
            "localhost:1",
            "eth0:1",
            "127.1:1",
            "256.0.0.1:1",
            "abc-:1",
            "a.:1",
            "127.0.0.1;127.0.0.1:1",
            "*;127.0.0.1:1",
            &format!("{label}:1"),
        ] {
            assert!(to_connect(text, Literals::Ipv4).is_ok(), "{text}");
        }
        for text in [
            "*:1",
            ":1",
            "-abc:1",
            "a_b:1",
            "a..b:1",
            ".a:1",
            ".:1",
            "foo bar:1",
            "é:1",
            "127.0.0.1;:1",
            "x;y;z:1",
            ":1/path",
            "[::1]:1",
            "nosuch;127.0.0.1:0",
            &format!("a{label}:1"),
        ] {
            let error = to_connect(text, Literals::Ipv4).err();
            assert!(matches!(error, Some(Error::Malformed(_))), "{text}: {error:?}");
        }
        for text in ["lo;127.0.0.1:1", "nosuch;127.0.0.1:1", ";127.0.0.1:1"] {
            assert_eq!(to_connect(text, Literals::Ipv4).err(), Some(Error::NoDevice), "{text}");
        }
        assert!(to_connect("[::1];[::1]:1", Literals::Any).is_ok());
    }

    #[test]
    #[cfg_attr(miri, ignore = "it has no interfaces")]
    fn a_scope_is_the_name_or_the_number_of_an_interface() {
        let bind = |text: &str| to_bind(text, Literals::Any, Ports::Proper);
        let number = sys::interface_number(LOOPBACK).unwrap();
        let expected: SocketAddr =
            SocketAddrV6::new("fe80::1".parse().unwrap(), 5555, 0, number).into();
        for zone in [LOOPBACK, &number.to_string()] {
            for text in [format!("[fe80::1%{zone}]:5555"), format!("fe80::1%{zone}:5555")] {
                assert_eq!(bind(&text), Ok(expected), "{text}");
                assert_eq!(bind(&bind(&text).unwrap().to_string()), Ok(expected));
                let target = to_connect(&format!("[fe80::1%{zone}];{text}"), Literals::Any);
                let Ok(Target::Internet { local: Some(mut local), host }) = target else {
                    panic!("{text}")
                };
                local.set_port(5555);
                assert_eq!(local, expected);
                assert!(matches!(host, HostName::Literal(address) if address == expected));
            }
        }
        for zone in ["", "nosuch", "0", "-1", "4294967296", "lo%lo", "lo\0"] {
            let text = format!("[fe80::1%{zone}]:5555");
            assert_eq!(bind(&text), Err(Error::NoDevice), "{text:?}");
            assert_eq!(to_connect(&text, Literals::Any).err(), Some(Error::NoDevice), "{text:?}");
        }
        // It belongs to IPv6 only.
        assert_eq!(bind("127.0.0.1%1:5555"), Err(Error::NoDevice));
        let four = to_connect("127.0.0.1%1:5555", Literals::Any);
        assert_eq!(four.err(), Some(Error::Malformed(Part::Host)));
        let unwanted = to_connect(&format!("[fe80::1%{LOOPBACK}]:5555"), Literals::Ipv4);
        assert_eq!(unwanted.err(), Some(Error::Malformed(Part::Family)));
    }

    const LOOPBACK: &str = if cfg!(target_os = "linux") { "lo" } else { "lo0" };

    #[test]
    fn the_part_that_is_wrong_is_told() {
        for (text, part) in [
            ("127.0.0.1", Part::Port),
            ("127.0.0.1:70000", Part::Port),
            ("127.0.0.1:http", Part::Port),
            ("a_b:1", Part::Host),
            (":1", Part::Host),
            ("[::1]:1", Part::Family),
            ("[::1:1", Part::Host),
        ] {
            let error = to_connect(text, Literals::Ipv4).err();
            assert_eq!(error, Some(Error::Malformed(part)), "{text}");
        }
    }
}
