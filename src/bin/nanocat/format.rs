//! How a message is shown. The bytes are those of libnanomsg's tool, but for JSON, which is ours.

use super::moment;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::SystemTime;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    Nothing,
    Raw,
    Ascii,
    Quoted,
    Msgpack,
    Hex,
    Json,
}

/// The names that `--format` takes.
pub const FORMATS: [(&str, Format); 7] = [
    ("no", Format::Nothing),
    ("raw", Format::Raw),
    ("ascii", Format::Ascii),
    ("quoted", Format::Quoted),
    ("msgpack", Format::Msgpack),
    ("hex", Format::Hex),
    ("json", Format::Json),
];

/// Appends a message as it is shown. Only JSON tells when it came, and from where if that is known.
pub fn show(format: Format, body: &[u8], peer: Option<&str>, now: SystemTime, to: &mut Vec<u8>) {
    match format {
        Format::Nothing => {}
        Format::Raw => to.extend(body),
        Format::Ascii => {
            to.extend(body.iter().map(|&byte| if is_plain(byte) { byte } else { b'.' }));
            to.push(b'\n');
        }
        Format::Quoted => quoted(body, quote, to),
        Format::Msgpack => {
            msgpack_head(body.len(), to);
            to.extend(body);
        }
        Format::Hex => quoted(body, escape, to),
        Format::Json => json(body, peer, now, to),
    }
}

fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

fn quoted(body: &[u8], one: impl Fn(u8, &mut Vec<u8>), to: &mut Vec<u8>) {
    to.push(b'"');
    for &byte in body {
        one(byte, to);
    }
    to.extend(b"\"\n");
}

fn quote(byte: u8, to: &mut Vec<u8>) {
    match byte {
        b'\n' => to.extend(b"\\n"),
        b'\r' => to.extend(b"\\r"),
        b'"' | b'\\' => to.extend([b'\\', byte]),
        _ if is_plain(byte) => to.push(byte),
        _ => escape(byte, to),
    }
}

fn escape(byte: u8, to: &mut Vec<u8>) {
    let digit = |value: u8| DIGITS[usize::from(value)];
    to.extend([b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
}

/// The shortest head of a MessagePack bin that can say so much.
fn msgpack_head(len: usize, to: &mut Vec<u8>) {
    if let Ok(len) = u8::try_from(len) {
        to.extend([0xc4, len]);
    } else if let Ok(len) = u16::try_from(len) {
        to.push(0xc5);
        to.extend(len.to_be_bytes());
    } else {
        to.push(0xc6);
        // The library counts the bytes of a message in an int.
        to.extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    }
}

/// An object on a line of its own. What is no text in UTF-8 is encoded, and named accordingly.
fn json(body: &[u8], peer: Option<&str>, now: SystemTime, to: &mut Vec<u8>) {
    let mut line = format!("{{\"time\":\"{}\",", moment::text(now));
    if let Some(peer) = peer {
        line.push_str("\"peer\":");
        json_string(peer, &mut line);
        line.push(',');
    }
    line.push_str(&format!("\"size\":{},", body.len()));
    match std::str::from_utf8(body) {
        Ok(text) => {
            line.push_str("\"data\":");
            json_string(text, &mut line);
        }
        Err(_) => {
            line.push_str("\"base64\":\"");
            STANDARD.encode_string(body, &mut line);
            line.push('"');
        }
    }
    line.push_str("}\n");
    to.extend(line.as_bytes());
}

/// Strings of RFC 8259, section 7.
fn json_string(text: &str, to: &mut String) {
    to.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => to.extend(['\\', character]),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\0'..='\x1f' | '\x7f' => to.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => to.push(character),
        }
    }
    to.push('"');
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn shown(format: Format, body: &[u8]) -> Vec<u8> {
        let mut to = Vec::new();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        show(format, body, Some("tcp://127.0.0.1:9"), now, &mut to);
        to
    }

    const BODY: &[u8] = b"a\n\t\r\"\\\x7f\xff~ ";

    #[test]
    fn each_format_has_its_bytes() {
        assert_eq!(shown(Format::Nothing, BODY), b"");
        assert_eq!(shown(Format::Raw, BODY), BODY);
        assert_eq!(shown(Format::Ascii, BODY), b"a...\"\\..~ \n");
        assert_eq!(shown(Format::Quoted, BODY), b"\"a\\n\\x09\\r\\\"\\\\\\x7f\\xff~ \"\n");
        assert_eq!(shown(Format::Hex, b"a\xf0"), b"\"\\x61\\xf0\"\n");
    }

    #[test]
    fn an_empty_message_is_shown_as_well() {
        let all = FORMATS.map(|(_, format)| shown(format, b""));
        assert_eq!(all[..6], [&b""[..], b"", b"\n", b"\"\"\n", b"\xc4\0", b"\"\"\n"]);
    }

    #[test]
    fn msgpack_takes_the_shortest_head() {
        let head = |len: usize| {
            let shown = shown(Format::Msgpack, &vec![7; len]);
            shown[..shown.len() - len].to_vec()
        };
        assert_eq!(head(255), [0xc4, 255]);
        assert_eq!(head(256), [0xc5, 1, 0]);
        assert_eq!(head(65535), [0xc5, 255, 255]);
        assert_eq!(head(65536), [0xc6, 0, 1, 0, 0]);
    }

    #[test]
    fn json_tells_time_and_peer() {
        let start = r#"{"time":"1970-01-01T00:00:01.500000Z","peer":"tcp://127.0.0.1:9","#;
        let line = |rest: &str| format!("{start}{rest}\n").into_bytes();
        assert_eq!(
            shown(Format::Json, "é\"\\\n\u{1}".as_bytes()),
            line(r#""size":6,"data":"é\"\\\n\u0001"}"#)
        );
        assert_eq!(shown(Format::Json, b"\xff\0"), line(r#""size":2,"base64":"/wA="}"#));
    }
}
