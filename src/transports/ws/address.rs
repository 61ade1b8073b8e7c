//! Addresses of ws: `IFACE:PORT[/PATH]` to bind, `[LOCAL;]HOST[:PORT][/PATH]` to connect. Pure.

use std::net::SocketAddr;

use crate::error::{Error, Part};
use crate::transports::address::{self, Literals, Ports};
use crate::transports::stream::Target;

/// What a client asks a server for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// As it was written.
    pub host: String,
    /// With the query, if there is one.
    pub path: String,
}

/// Where to listen, and the one path to serve if not all are.
///
/// # Errors
/// As for tcp; `Malformed` also for a path that cannot stand in a request.
pub fn to_bind(
    text: &str,
    literals: Literals,
    ports: Ports,
) -> Result<(SocketAddr, Option<String>), Error> {
    let (authority, path) = split(text)?;
    let address = address::to_bind(authority, literals, ports)?;
    Ok((address, path.map(str::to_owned)))
}

/// Whom to connect to, at that port unless another one is named, and what for.
///
/// # Errors
/// As for tcp; `Malformed` also for a path that cannot stand in a request.
pub fn to_connect(text: &str, port: u16, literals: Literals) -> Result<(Target, Resource), Error> {
    let (authority, path) = split(text)?;
    let host = authority.split_once(';').map_or(authority, |(_, host)| host);
    // The colons inside of brackets are the address's own.
    let has_port = host.rsplit(']').next().is_some_and(|tail| tail.contains(':'));
    let target = if has_port {
        address::to_connect(authority, literals)?
    } else {
        address::to_connect(&format!("{authority}:{port}"), literals)?
    };
    Ok((target, Resource { host: without_zone(host), path: path.unwrap_or("/").to_owned() }))
}

/// The name of our interface is no business of the server's (RFC 6874, section 1).
fn without_zone(host: &str) -> String {
    match host.split_once('%') {
        None => host.to_owned(),
        Some((front, zone)) => {
            let end = zone.find([']', ':']).unwrap_or(zone.len());
            [front, &zone[end..]].concat()
        }
    }
}

/// The authority ends at the first slash, so that colons may stand behind it.
fn split(text: &str) -> Result<(&str, Option<&str>), Error> {
    let at = text.find('/').unwrap_or(text.len());
    let (authority, path) = text.split_at(at);
    // A blank or a line end would make another request of it.
    let is_allowed = |character: char| character > ' ' && character != '\x7f';
    if !path.chars().all(is_allowed) {
        return Err(Error::Malformed(Part::Path));
    }
    Ok((authority, (!path.is_empty()).then_some(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::stream::HostName;
    use Literals::{Any, Ipv4};

    #[test]
    fn connects_to_what_the_specification_lists() {
        let connect = |text| {
            to_connect(text, 80, Ipv4).map(|(target, resource)| match target {
                Target::Internet { host: HostName::Name(_, port), .. } => {
                    (port, resource.host, resource.path)
                }
                Target::Internet { host: HostName::Literal(address), .. } => {
                    (address.port(), resource.host, resource.path)
                }
                Target::Local(_) => unreachable!(),
            })
        };
        for (text, port, host, path) in [
            ("127.0.0.1", 80, "127.0.0.1", "/"),
            ("127.0.0.1/", 80, "127.0.0.1", "/"),
            ("127.0.0.1/a", 80, "127.0.0.1", "/a"),
            ("h:9", 9, "h:9", "/"),
            ("h:9/", 9, "h:9", "/"),
            ("h:9/a/b?c=d&e", 9, "h:9", "/a/b?c=d&e"),
            ("127.0.0.1;127.0.0.1:9/x", 9, "127.0.0.1:9", "/x"),
            // Not with libnanomsg, which looks for the last colon of all.
            ("h:9/a:b", 9, "h:9", "/a:b"),
            ("h/a:b", 80, "h", "/a:b"),
            ("h:9/?x=1:2", 9, "h:9", "/?x=1:2"),
            ("h:9/a;b", 9, "h:9", "/a;b"),
        ] {
            let expected = (port, host.to_owned(), path.to_owned());
            assert_eq!(connect(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn connects_to_nothing_else() {
        for text in [
            "",
            "/",
            "h:",
            "h:/",
            "h:0",
            "h:65536/x",
            "*:9",
            "a_b:9/x",
            "h:9?q",
            "h:9#f",
            "user@h:9/",
            "[::1]:9",
            "[::1]",
            "h:9/a b",
            "h:9/a\r\nX: y",
            "h:9/\u{7f}",
        ] {
            assert!(matches!(to_connect(text, 80, Ipv4), Err(Error::Malformed(_))), "{text}");
        }
        assert_eq!(to_connect("h:9/a b", 80, Ipv4).err(), Some(Error::Malformed(Part::Path)));
        assert_eq!(to_connect("eth0;127.0.0.1:9/x", 80, Ipv4).err(), Some(Error::NoDevice));
    }

    #[test]
    #[cfg_attr(miri, ignore = "it has no interfaces")]
    fn the_host_is_told_without_a_zone() {
        for (text, host) in [
            ("[::1]:9/q", "[::1]:9"),
            ("[::1]", "[::1]"),
            ("::1:9", "::1:9"),
            ("[fe80::1%1]:9/q%20", "[fe80::1]:9"),
            ("[fe80::1%1]", "[fe80::1]"),
            ("fe80::1%1:9", "fe80::1:9"),
        ] {
            assert_eq!(to_connect(text, 80, Any).unwrap().1.host, host);
        }
    }

    #[test]
    fn binds_as_tcp_does_and_to_a_path() {
        let bind = |text| {
            to_bind(text, Ipv4, Ports::Proper).map(|(address, path)| (address.to_string(), path))
        };
        assert_eq!(bind("*:9"), Ok(("0.0.0.0:9".to_owned(), None)));
        assert_eq!(bind("127.0.0.1:9/"), Ok(("127.0.0.1:9".to_owned(), Some("/".to_owned()))));
        assert_eq!(
            bind("127.0.0.1:9/a:b"),
            Ok(("127.0.0.1:9".to_owned(), Some("/a:b".to_owned())))
        );
        for text in ["", "127.0.0.1", "*", "*:0", "*/x", "127.0.0.1:9/a b"] {
            assert!(matches!(bind(text), Err(Error::Malformed(_))), "{text}");
        }
        for text in ["localhost:9", "eth0:9", ":9", "[::1]:9"] {
            assert_eq!(bind(text), Err(Error::NoDevice), "{text}");
        }
    }
}
