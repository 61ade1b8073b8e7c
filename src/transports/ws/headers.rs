//! Headers of HTTP that have no part in the handshake: those that a program adds to its request,
//! and those that its peer has sent. Pure.
//!
//! What a program adds can neither end the head nor say again what the handshake says.

use crate::error::{Error, Part};
use crate::memory::{self, OutOfMemory};

/// The lines that a request is to have besides, each with its end.
///
/// # Errors
/// `Malformed`, with the number of the first line that cannot be sent.
pub fn lines(text: &[u8]) -> Result<Vec<u8>, Error> {
    let mut lines = Vec::new();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Ok(lines);
    }
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = u8::try_from(at + 1).ok().filter(|number| *number <= OWN_MAX);
        let number = number.ok_or(Error::Malformed(Part::HeaderCount))?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (name, value) = split(line).ok_or(Error::Malformed(Part::Header(number)))?;
        if is_reserved(name) {
            return Err(Error::Malformed(Part::HeaderName(number)));
        }
        append(&mut lines, name, value)?;
    }
    Ok(lines)
}

/// The headers of a whole head, without those of the handshake, as lines. What is no header is
/// passed over, as it is in the handshake.
///
/// # Errors
/// When there is no memory for them.
pub fn told(head: &[u8]) -> Result<Vec<u8>, OutOfMemory> {
    let mut lines = Vec::new();
    let all = head.split(|byte| *byte == b'\n').skip(1).map(<[u8]>::trim_ascii_end);
    for (name, value) in all.filter_map(split).filter(|(name, _)| !is_of_handshake(name)) {
        append(&mut lines, name, value)?;
    }
    Ok(lines)
}

fn append(lines: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), OutOfMemory> {
    memory::reserve(lines, name.len() + value.len() + 4)?;
    for part in [name, b": ", value, b"\r\n"] {
        lines.extend_from_slice(part);
    }
    Ok(())
}

/// A name and a value, if they may be such.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_name = !name.is_empty() && name.iter().all(|byte| is_of_name(*byte));
    let is_value = value.iter().all(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f);
    (is_name && is_value).then_some((name, value))
}

/// RFC 9110 section 5.6.2.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What the handshake says itself, or what would say that the request has a body or is for somebody
/// on the way.
fn is_reserved(name: &[u8]) -> bool {
    is_of_handshake(name) || RESERVED.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
}

fn is_of_handshake(name: &[u8]) -> bool {
    let start = &name[..name.len().min(PREFIX.len())];
    start.eq_ignore_ascii_case(PREFIX)
        || [&b"upgrade"[..], b"connection"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

const PREFIX: &[u8] = b"sec-websocket-";
const RESERVED: [&str; 8] = [
    "host",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "expect",
    "keep-alive",
    "proxy-connection",
];
/// Most lines that a program adds.
const OWN_MAX: u8 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::ws::handshake;
    use proptest::prelude::*;

    fn wrong(text: &[u8]) -> Part {
        match lines(text) {
            Err(Error::Malformed(part)) => part,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn lines_have_one_form_whatever_ends_them() {
        let expected = b"Authorization: Bearer x y\r\nX-A: \r\nx_b: c:d\xe9\r\n";
        for text in [
            &b"Authorization: Bearer x y\r\nX-A:\r\nx_b: c:d\xe9\r\n"[..],
            b"Authorization:Bearer x y\nX-A: \t\nx_b:\tc:d\xe9 ",
            b"Authorization:  Bearer x y  \r\nX-A:\nx_b: c:d\xe9\n",
        ] {
            assert_eq!(lines(text).as_deref(), Ok(&expected[..]));
        }
        assert_eq!(lines(b"").as_deref(), Ok(&b""[..]));
        assert_eq!(lines(b"\n").as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn nothing_is_smuggled_in() {
        for line in [
            &b"no colon"[..],
            b": x",
            b" A: b",
            b"A : b",
            b"A: b\rC: d",
            b"A: b\0",
            b"A: \x7f",
            b"A\xe9: b",
            b"(A): b",
            b"A: b\x1b[0m",
            b"\tA: b",
            b"\r",
        ] {
            assert_eq!(wrong(line), Part::Header(1), "{line:?}");
            let second = [b"Fine: yes\r\n", line].concat();
            assert_eq!(wrong(&second), Part::Header(2), "{line:?}");
        }
        // An empty line would end the head, and what follows would be another request.
        for text in [&b"A: b\r\n\r\nGET / HTTP/1.1"[..], b"A: b\n\n", b"A: b\n\r\n"] {
            assert_eq!(wrong(text), Part::Header(2), "{text:?}");
        }
        for name in [
            "Host",
            "hOST",
            "Upgrade",
            "CONNECTION",
            "Sec-WebSocket-Key",
            "sec-websocket-protocol",
            "Sec-WebSocket-",
            "Content-Length",
            "Transfer-Encoding",
            "TE",
            "Trailer",
            "Expect",
            "Keep-Alive",
            "Proxy-Connection",
        ] {
            let text = format!("A: b\n{name}: x");
            assert_eq!(wrong(text.as_bytes()), Part::HeaderName(2), "{name}");
        }
        let many = |count: usize| "A: b\n".repeat(count);
        assert!(lines(many(32).as_bytes()).is_ok());
        assert_eq!(wrong(many(33).as_bytes()), Part::HeaderCount);
        assert_eq!(wrong(many(300).as_bytes()), Part::HeaderCount);
    }

    #[test]
    fn what_a_peer_has_sent_is_told_without_the_handshake() {
        let own = lines(b"Authorization: secret\nX-Forwarded-For: 192.0.2.7").unwrap();
        let head = handshake::request("h:1", "/a", "key", "pair.sp.nanomsg.org", &own);
        let expected = "Host: h:1\r\nAuthorization: secret\r\nX-Forwarded-For: 192.0.2.7\r\n";
        assert_eq!(String::from_utf8(told(&head).unwrap()).unwrap(), expected);
        let head =
            b"HTTP/1.1 101 x\r\nServer:a\nno header\r\nBad\x01: x\r\nY: \x01\r\nZ:  \xe9 \r\n\r\n";
        assert_eq!(told(head).unwrap(), b"Server: a\r\nZ: \xe9\r\n");
        assert_eq!(told(b"").unwrap(), b"");
        assert_eq!(told(b"A: b").unwrap(), b"");
    }

    proptest! {
        #[test]
        fn whatever_is_taken_leaves_a_request_as_it_is(text in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(&b"aB:\r\n -\t"[..])], 0..80))
        {
            if let Ok(lines) = lines(&text) {
                let key = handshake::key([7; 16]);
                let head = handshake::request("h", "/", &key, "pair.sp.nanomsg.org", &lines);
                assert_eq!(handshake::head_len(&head, 0), Some(head.len()));
                let demand = handshake::Demand {
                    token: handshake::token("pair"),
                    if_nameless: crate::transports::IfNameless::Refuse,
                    path: None,
                };
                assert!(handshake::judge_request(&head, &demand).is_ok());
                let host = b"Host: h\r\n";
                assert_eq!(told(&head).unwrap(), [&host[..], &lines].concat());
            }
        }

        #[test]
        fn whatever_is_sent_is_told_in_lines(head in prop::collection::vec(any::<u8>(), 0..200)) {
            let told = told(&head).unwrap();
            assert!(told.is_empty() || told.ends_with(b"\r\n"));
            assert!(!told.contains(&0) && told.len() <= head.len() * 3);
        }
    }
}
