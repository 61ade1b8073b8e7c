//! The heads of HTTP with which a WebSocket begins (RFC 6455 section 4). Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, general_purpose};
use httparse::{Header, ParserConfig, Status};
use sha1::{Digest, Sha1};

use crate::transports::IfNameless;

/// What a server asks of a request.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The sub-protocol: the name of the server's socket type.
    pub token: String,
    pub if_nameless: IfNameless,
    /// The only path that is served, where not all are.
    pub path: Option<String>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    BadRequest,
    /// It asks for a socket of another type.
    OtherType,
    NotFound,
    UpgradeRequired,
    HeadTooLarge,
    /// The socket has no use for a peer now.
    Unavailable,
}

/// A request for a socket that speaks our language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    accept: String,
    /// As the client wrote it.
    token: Option<String>,
}

/// The response is not that of a peer for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit;

/// The sub-protocol of a socket type with that name.
#[must_use]
pub fn token(socket_type: &str) -> String {
    format!("{socket_type}.sp.nanomsg.org")
}

/// The length of the head at the front of `bytes`, of which the first `seen` hold no end of it.
#[must_use]
pub fn head_len(bytes: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(END.len() - 1);
    let found = bytes[from..].windows(END.len()).position(|window| window == END)?;
    Some(from + found + END.len())
}

/// Whether a request may begin like this.
#[must_use]
pub fn may_be_request(bytes: &[u8]) -> bool {
    let len = bytes.len().min(METHOD.len());
    bytes[..len] == METHOD[..len]
}

/// Judges a whole head.
///
/// # Errors
/// When it is no request that we serve.
pub fn judge_request(head: &[u8], demand: &Demand) -> Result<Agreement, Denial> {
    let head = &*with_target(head);
    let mut room = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut room);
    let mut parser = ParserConfig::default();
    parser.ignore_invalid_headers_in_requests(true);
    let parsed = parser.parse_request(&mut request, head);
    check_parsed(parsed, head)?;
    if request.method != Some("GET") || request.version != Some(1) {
        return Err(Denial::BadRequest);
    }
    let headers = Headers(request.headers);
    let upgrades = headers.lists("upgrade", "websocket")
        && headers.lists("connection", "upgrade")
        && headers.last("host").is_some();
    let version = headers.last("sec-websocket-version").ok_or(Denial::BadRequest)?;
    if !upgrades {
        return Err(Denial::BadRequest);
    }
    if version != b"13" {
        return Err(Denial::UpgradeRequired);
    }
    let key = headers.last("sec-websocket-key").filter(|key| is_key(key));
    let key = key.ok_or(Denial::BadRequest)?;
    if demand.path.as_deref().is_some_and(|own| !is_path(own, request.path.unwrap_or_default())) {
        return Err(Denial::NotFound);
    }
    let token = headers.token(demand)?;
    Ok(Agreement { accept: accept_value(key), token })
}

/// nng leaves the target of its request out where its address has no path.
fn with_target(head: &[u8]) -> Cow<'_, [u8]> {
    match head.strip_prefix(b"GET  HTTP/") {
        Some(rest) => [b"GET / HTTP/", rest].concat().into(),
        None => head.into(),
    }
}

/// The answer to a request that is accepted.
#[must_use]
pub fn acceptance(agreement: &Agreement) -> Vec<u8> {
    let token = match &agreement.token {
        Some(token) => format!("Sec-WebSocket-Protocol: {token}\r\n"),
        None => String::new(),
    };
    let accept = &agreement.accept;
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{token}\r\n"
    )
    .into_bytes()
}

/// The answer to a request that is refused.
#[must_use]
pub fn refusal(refusal: Denial) -> Vec<u8> {
    let (status, more) = match refusal {
        Denial::BadRequest | Denial::OtherType => ("400 Bad Request", ""),
        Denial::NotFound => ("404 Not Found", ""),
        Denial::UpgradeRequired => {
            ("426 Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
        }
        Denial::HeadTooLarge => ("431 Request Header Fields Too Large", ""),
        Denial::Unavailable => ("503 Service Unavailable", ""),
    };
    let connection = if more.is_empty() { "close" } else { "Upgrade, close" };
    format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\nConnection: {connection}\r\n\r\n")
        .into_bytes()
}

/// The same to one that asks for a socket of another type than ours, which is told.
#[must_use]
pub fn refusal_naming(token: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Protocol: {token}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}

/// The socket type that a head names first, whatever else may be wrong with it.
#[must_use]
pub fn type_name(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol:"))?;
    let name = value.split(',').next()?.trim().strip_suffix(".sp.nanomsg.org")?;
    Some(name.to_owned())
}

/// The status in the head of a response, whatever else may be wrong with it.
#[must_use]
pub fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The request of a client, with lines of its program's.
#[must_use]
pub fn request(host: &str, path: &str, key: &str, token: &str, more: &[u8]) -> Vec<u8> {
    let own = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {token}\r\n"
    );
    [own.as_bytes(), more, b"\r\n"].concat()
}

/// The key for a request, out of random bytes.
#[must_use]
pub fn key(random: [u8; 16]) -> String {
    BASE64.encode(random)
}

/// Judges the whole head of a response to the request with that key and token.
///
/// # Errors
/// When the server does not agree.
pub fn judge_response(head: &[u8], key: &str, token: &str) -> Result<(), Unfit> {
    let mut room = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut room);
    let mut parser = ParserConfig::default();
    parser.ignore_invalid_headers_in_responses(true);
    let parsed = parser.parse_response(&mut response, head);
    check_parsed(parsed, head).map_err(|_| Unfit)?;
    let headers = Headers(response.headers);
    let protocol = headers.last("sec-websocket-protocol").unwrap_or_default();
    let agrees = response.version == Some(1)
        && response.code == Some(101)
        && headers.lists("upgrade", "websocket")
        && headers.lists("connection", "upgrade")
        && headers.last("sec-websocket-accept") == Some(accept_value(key.as_bytes()).as_bytes())
        // libnanomsg answers with an empty one where it was asked without.
        && (protocol.is_empty() || protocol.eq_ignore_ascii_case(token.as_bytes()))
        // We ask for none.
        && headers.last("sec-websocket-extensions").unwrap_or_default().is_empty();
    if agrees { Ok(()) } else { Err(Unfit) }
}

/// A head is parsed to its last byte, or else it had two ends; and it is text.
fn check_parsed(parsed: httparse::Result<usize>, head: &[u8]) -> Result<(), Denial> {
    match parsed {
        Ok(Status::Complete(len)) if len == head.len() && !head.contains(&0) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(Denial::HeadTooLarge),
        Ok(_) | Err(_) => Err(Denial::BadRequest),
    }
}

struct Headers<'a>(&'a [Header<'a>]);

impl<'a> Headers<'a> {
    /// Of a repeated header the last one counts, as with libnanomsg.
    fn last(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).last()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let is_it = move |header: &&Header<'a>| header.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(is_it).map(|header| header.value.trim_ascii())
    }

    fn words(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
    }

    fn lists(&self, name: &str, word: &str) -> bool {
        self.words(name).any(|other| other.eq_ignore_ascii_case(word.as_bytes()))
    }

    fn token(&self, demand: &Demand) -> Result<Option<String>, Denial> {
        let is_ours = |word: &&[u8]| word.eq_ignore_ascii_case(demand.token.as_bytes());
        let ours = self.words("sec-websocket-protocol").find(is_ours);
        match ours {
            Some(token) => Ok(Some(String::from_utf8_lossy(token).into_owned())),
            None if self.last("sec-websocket-protocol").is_some() => Err(Denial::OtherType),
            None if demand.if_nameless == IfNameless::Accept => Ok(None),
            None => Err(Denial::BadRequest),
        }
    }
}

/// A query is no part of the path, and a slash at the end makes no difference, as with nng.
fn is_path(own: &str, asked: &str) -> bool {
    let asked = asked.split('?').next().unwrap_or_default();
    let bare = |path: &str| path.strip_suffix('/').unwrap_or(path).to_owned();
    bare(own) == bare(asked)
}

/// Sixteen bytes in base64.
fn is_key(key: &[u8]) -> bool {
    key.len() == KEY_LEN && BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

fn accept_value(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Some clients make a key of 22 random letters, whose last bits mean nothing.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, general_purpose::PAD.with_decode_allow_trailing_bits(true));

const METHOD: &[u8] = b"GET ";
const END: &[u8] = b"\r\n\r\n";
/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_LEN: usize = 24;
/// Longest head that is read.
pub const HEAD_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn demand() -> Demand {
        let token = token("pair");
        Demand { token, if_nameless: IfNameless::Accept, path: None }
    }

    fn judge(head: &str) -> Result<Agreement, Denial> {
        judge_request(head.as_bytes(), &demand())
    }

    /// A good request in which a header is replaced, or one is added.
    fn with(line: &str) -> String {
        let lines = [
            "Host: 127.0.0.1:9",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: pair.sp.nanomsg.org",
        ];
        let name = line.split(':').next().unwrap_or_default();
        let is_other = |other: &&&str| other.split(':').next() != Some(name);
        let mut head = String::from("GET / HTTP/1.1\r\n");
        for line in lines.iter().filter(is_other).copied().chain([line]) {
            head += line;
            head += "\r\n";
        }
        head + "\r\n"
    }

    #[test]
    fn answers_as_the_specification_shows() {
        let agreement = judge(&with("X: y")).unwrap();
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
            Sec-WebSocket-Protocol: pair.sp.nanomsg.org\r\n\r\n";
        assert_eq!(String::from_utf8(acceptance(&agreement)).unwrap(), expected);
        let without = with("Sec-WebSocket-Protocol").replace("Sec-WebSocket-Protocol\r\n", "");
        let bare = expected.replace("Sec-WebSocket-Protocol: pair.sp.nanomsg.org\r\n", "");
        assert_eq!(String::from_utf8(acceptance(&judge(&without).unwrap())).unwrap(), bare);
    }

    #[test]
    fn asks_as_the_specification_shows() {
        let expected = "GET /a?b=c HTTP/1.1\r\nHost: [::1]:9\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n\r\n";
        let asked =
            request("[::1]:9", "/a?b=c", &key(*b"the sample nonce"), "rep.sp.nanomsg.org", b"");
        assert_eq!(String::from_utf8(asked).unwrap(), expected);
    }

    #[test]
    fn accepts_every_spelling_that_is_allowed() {
        for line in [
            "X-No-Colon",
            "upgrade: WebSocket",
            "UPGRADE:websocket",
            "Upgrade: h2c, websocket",
            "Connection: keep-alive, Upgrade",
            "Connection:\tupgrade\t",
            "Sec-WebSocket-Protocol: PAIR.sp.nanomsg.ORG",
            "Sec-WebSocket-Protocol: chat, pair.sp.nanomsg.org",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Origin: http://example.org",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==",
        ] {
            assert!(judge(&with(line)).is_ok(), "{line}");
        }
        let list = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: Pair.sp.nanomsg.org";
        assert_eq!(judge(&with(list)).unwrap().token.as_deref(), Some("Pair.sp.nanomsg.org"));
        // nng, dialing an address without a path.
        assert!(judge(&with("X: y").replacen("GET / ", "GET  ", 1)).is_ok());
        let big = format!("Cookie: {}", "c".repeat(8 * 1024));
        assert!(judge(&with(&big)).is_ok());
    }

    /// transports 7.4, line by line.
    #[test]
    fn refuses_every_request_that_is_wrong() {
        use Denial::{BadRequest, HeadTooLarge, OtherType, UpgradeRequired};
        for (line, expected) in [
            ("Host", BadRequest),
            ("Upgrade", BadRequest),
            ("Upgrade: h2c", BadRequest),
            ("Connection", BadRequest),
            ("Connection: keep-alive", BadRequest),
            ("Connection: noupgrade", BadRequest),
            ("Sec-WebSocket-Version", BadRequest),
            ("Sec-WebSocket-Version: 8", UpgradeRequired),
            ("Sec-WebSocket-Version: 13, 8", UpgradeRequired),
            ("Sec-WebSocket-Key", BadRequest),
            ("Sec-WebSocket-Key:", BadRequest),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=", BadRequest),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===", BadRequest),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q==", BadRequest),
            ("Sec-WebSocket-Protocol:", OtherType),
            ("Sec-WebSocket-Protocol: rep.sp.nanomsg.org", OtherType),
            ("Sec-WebSocket-Protocol: pair.sp.nanomsg.organ", OtherType),
            (&"A: b\r\n".repeat(100), HeadTooLarge),
            ("X: a\0b", BadRequest),
        ] {
            assert_eq!(judge(&with(line)), Err(expected), "{line}");
        }
        let good = with("X: y");
        for (from, to) in [
            ("GET /", "get /"),
            ("GET /", "GET  /"),
            ("GET /", "POST /"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("HTTP/1.1", "HTTP/2.0"),
            ("HTTP/1.1", "HTTP/1.12"),
            ("HTTP/1.1", ""),
            ("X: y\r\n", "X: y\n\n"),
        ] {
            assert_eq!(judge(&good.replacen(from, to, 1)), Err(BadRequest), "{to}");
        }
        let other = Demand { if_nameless: IfNameless::Refuse, ..demand() };
        let without = with("Sec-WebSocket-Protocol").replace("Sec-WebSocket-Protocol\r\n", "");
        assert_eq!(judge_request(without.as_bytes(), &other), Err(BadRequest));
    }

    #[test]
    fn serves_its_path_only_where_it_has_one() {
        let ask = |own: &str, path: &str| {
            let head = with("X: y").replacen("GET /", &format!("GET {path}"), 1);
            judge_request(head.as_bytes(), &Demand { path: Some(own.to_owned()), ..demand() })
        };
        for (own, path) in [("/a", "/a"), ("/a", "/a/"), ("/a/", "/a?b=/c"), ("/", "/")] {
            assert!(ask(own, path).is_ok(), "{own} {path}");
        }
        for (own, path) in [("/a", "/"), ("/a", "/b"), ("/a", "/a/b"), ("/", "/a"), ("/a", "/A")] {
            assert_eq!(ask(own, path), Err(Denial::NotFound), "{own} {path}");
        }
    }

    /// transports 7.5, line by line.
    #[test]
    fn judges_responses() {
        let judge = |head: &str| judge_response(head.as_bytes(), KEY, "pair.sp.nanomsg.org");
        let good = String::from_utf8(acceptance(&super::tests::judge(&with("X: y")).unwrap()));
        let good = good.unwrap();
        for (from, to) in [
            ("", ""),
            ("101 Switching Protocols", "101 Fine"),
            ("101 Switching Protocols", "101"),
            ("Upgrade: websocket", "uPGRADE:WebSocket"),
            ("Connection: Upgrade", "Connection: keep-alive, upgrade"),
            ("Sec-WebSocket-Protocol: pair.sp.nanomsg.org", "Server: some\r\nno colon"),
            ("Sec-WebSocket-Protocol: pair.sp.nanomsg.org", "Sec-WebSocket-Protocol:"),
            ("Sec-WebSocket-Protocol: pair", "Sec-WebSocket-Protocol: PAIR"),
        ] {
            assert_eq!(judge(&good.replacen(from, to, 1)), Ok(()), "{to}");
        }
        for (from, to) in [
            ("HTTP/1.1", "HTTP/1.0"),
            ("HTTP/1.1", "HTTP/2"),
            ("HTTP/1.1", "ICY"),
            ("101", "200"),
            ("101", "400"),
            ("101", "1010"),
            ("Upgrade: websocket\r\n", ""),
            ("Connection: Upgrade\r\n", ""),
            ("xOo=", "xOO="),
            ("Sec-WebSocket-Accept", "X"),
            ("pair.sp", "rep.sp"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        ] {
            assert_eq!(judge(&good.replacen(from, to, 1)), Err(Unfit), "{to}");
        }
    }

    #[test]
    fn who_is_refused_tells_what_it_is() {
        let named = String::from_utf8(refusal_naming(&token("rep"))).unwrap();
        assert_eq!(type_name(named.as_bytes()).as_deref(), Some("rep"));
        assert_eq!(status(named.as_bytes()), Some(400));
        assert_eq!(type_name(with("X: y").as_bytes()).as_deref(), Some("pair"));
        assert_eq!(
            judge(&with("Sec-WebSocket-Protocol: rep.sp.nanomsg.org")),
            Err(Denial::OtherType)
        );
        for head in ["", "HTTP/1.1 4", "HTTP/1.1 4x4 \r\n", "Sec-WebSocket-Protocol: chat\r\n"] {
            assert_eq!(
                (type_name(head.as_bytes()), status(head.as_bytes())),
                (None, None),
                "{head}"
            );
        }
    }

    #[test]
    fn refusals_are_complete() {
        for (refused, start) in [
            (Denial::BadRequest, "HTTP/1.1 400 "),
            (Denial::OtherType, "HTTP/1.1 400 "),
            (Denial::NotFound, "HTTP/1.1 404 "),
            (Denial::UpgradeRequired, "HTTP/1.1 426 "),
            (Denial::HeadTooLarge, "HTTP/1.1 431 "),
            (Denial::Unavailable, "HTTP/1.1 503 "),
        ] {
            let answer = String::from_utf8(refusal(refused)).unwrap();
            assert!(answer.starts_with(start) && answer.ends_with("\r\n\r\n"), "{answer}");
            assert!(answer.contains("\r\nContent-Length: 0\r\n"), "{answer}");
            let names_version = answer.contains("\r\nSec-WebSocket-Version: 13\r\n");
            assert_eq!(names_version, refused == Denial::UpgradeRequired, "{answer}");
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_however_it_is_cut() {
        let head = b"GET / HTTP/1.1\r\n\r\nframes";
        for seen in 0..18 {
            assert_eq!(head_len(&head[..seen.min(17)], 0), None);
            assert_eq!(head_len(head, seen), Some(18));
        }
        assert!(may_be_request(b"") && may_be_request(b"GE") && may_be_request(b"GET /x"));
        assert!(!may_be_request(b"\x16\x03") && !may_be_request(b"get ") && !may_be_request(b"\r"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(
            mut bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in 0_usize..200,
            cut in 0_usize..20,
        ) {
            let _ = judge_request(&bytes, &demand());
            let _ = judge_response(&bytes, KEY, "x");
            // Near misses: a good head with a part overwritten.
            let mut head = with("X: y").into_bytes();
            bytes.truncate(cut);
            let end = (at + bytes.len()).min(head.len());
            let start = at.min(end);
            head[start..end].copy_from_slice(&bytes[..end - start]);
            let _ = judge_request(&head, &demand());
            let _ = judge_response(&head, KEY, "x");
        }
    }
}
