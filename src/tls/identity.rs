//! Whom a certificate is for, as text: its fingerprint, its subject as RFC 4514 writes it, and the
//! names of its subjectAltName (RFC 5280), each in a line of its own.
//!
//! Who reads it may decide by it, so that a line is there whole or not at all, and nothing that a
//! peer has written can end one or begin another. A certificate may be anything where it was not
//! verified: what cannot be understood is left out.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use ring::digest;

use super::table::IDENTITY_MAX;

/// The lines about a certificate.
#[must_use]
pub fn text(certificate: &[u8]) -> String {
    let mut lines = Lines(String::new());
    let digest = digest::digest(&digest::SHA256, certificate);
    lines.add("sha256=", &hex(digest.as_ref()));
    if let Some((subject, names)) = parts(certificate) {
        if let Some(subject) = subject_text(subject) {
            lines.add("subject=", &subject);
        }
        let mut names = Der(names);
        while let Some(name) = names.next() {
            if let Some(name) = name_text(&name) {
                lines.add("name=", &name);
            }
        }
    }
    lines.0
}

struct Lines(String);

impl Lines {
    fn add(&mut self, key: &str, value: &str) {
        if self.0.len() + key.len() + value.len() + 1 < IDENTITY_MAX {
            self.0.push_str(key);
            self.0.push_str(value);
            self.0.push('\n');
        }
    }
}

/// What is left of a row of elements.
struct Der<'a>(&'a [u8]);

struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    /// With its tag and its length.
    whole: &'a [u8],
}

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<Element<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        // No tag of a certificate takes more than a byte.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, behind) = rest.split_at_checked(len)?;
        let whole = &self.0[..self.0.len() - behind.len()];
        self.0 = behind;
        Some(Element { tag, content, whole })
    }

    /// The next one, if it has that tag.
    fn next_as(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        match self.next() {
            Some(element) if element.tag == tag => Some(element.content),
            _ => {
                self.0 = before;
                None
            }
        }
    }
}

/// The subject, and the names of the extension for them; empty where it has none.
fn parts(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let certificate = Der(certificate).next_as(SEQUENCE)?;
    let mut fields = Der(Der(certificate).next_as(SEQUENCE)?);
    let _version = fields.next_as(CONTEXT);
    let _serial = fields.next_as(INTEGER)?;
    let _algorithm = fields.next_as(SEQUENCE)?;
    let _issuer = fields.next_as(SEQUENCE)?;
    let _validity = fields.next_as(SEQUENCE)?;
    let subject = fields.next_as(SEQUENCE)?;
    Some((subject, alternatives(fields).unwrap_or_default()))
}

fn alternatives<'a>(mut fields: Der<'a>) -> Option<&'a [u8]> {
    let extensions = std::iter::from_fn(|| fields.next()).find(|field| field.tag == CONTEXT + 3)?;
    let mut extensions = Der(Der(extensions.content).next_as(SEQUENCE)?);
    loop {
        let mut extension = Der(extensions.next_as(SEQUENCE)?);
        let is_it = extension.next_as(OBJECT) == Some(SUBJECT_ALT_NAME);
        let _is_critical = extension.next_as(BOOLEAN);
        if is_it {
            return Der(extension.next_as(OCTETS)?).next_as(SEQUENCE);
        }
    }
}

/// As RFC 4514 says: the last part first. Nothing where a part cannot be understood, because the
/// others alone would say something else.
fn subject_text(subject: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut rest = Der(subject);
    while !rest.0.is_empty() {
        let mut values = Der(rest.next_as(SET)?);
        let mut part = String::new();
        while !values.0.is_empty() {
            let mut value = Der(values.next_as(SEQUENCE)?);
            if !part.is_empty() {
                part.push('+');
            }
            let object = value.next_as(OBJECT)?;
            part.push_str(&attribute(object, &value.next()?)?);
        }
        parts.push(part);
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(object: &[u8], value: &Element<'_>) -> Option<String> {
    let short = SHORT.iter().find(|(known, _)| *known == object).map(|(_, short)| *short);
    match (short, string(value)) {
        (Some(short), Some(text)) => Some(format!("{short}={}", escaped(&text))),
        (Some(short), None) => Some(format!("{short}=#{}", hex(value.whole))),
        (None, _) => Some(format!("{}=#{}", dotted(object)?, hex(value.whole))),
    }
}

fn string(value: &Element<'_>) -> Option<String> {
    match value.tag {
        UTF8 | PRINTABLE | IA5 | NUMERIC | VISIBLE => {
            std::str::from_utf8(value.content).ok().map(str::to_owned)
        }
        TELETEX if value.content.is_ascii() => {
            std::str::from_utf8(value.content).ok().map(str::to_owned)
        }
        BMP if value.content.len().is_multiple_of(2) => {
            let units =
                value.content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        _ => None,
    }
}

/// What would mean something in a subject, or in a line, is written so that it does not.
fn escaped(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, letter) in text.char_indices() {
        let is_edge = at == 0 && matches!(letter, ' ' | '#') || at == last && letter == ' ';
        if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
            let mut bytes = [0; 4];
            letter.encode_utf8(&mut bytes).bytes().for_each(|byte| push_byte(&mut all, byte));
            continue;
        }
        if is_edge || matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            all.push('\\');
        }
        all.push(letter);
    }
    all
}

fn push_byte(to: &mut String, byte: u8) {
    // It never fails to be written into a string.
    let _ = write!(to, "\\{byte:02X}");
}

fn dotted(object: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut number = 0_u64;
    for byte in object {
        number = number.checked_mul(0x80)? | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            let first = (number / 40).min(2);
            let _ = write!(text, "{first}.{}", number - first * 40);
        } else {
            let _ = write!(text, ".{number}");
        }
        number = 0;
    }
    (!text.is_empty()).then_some(text)
}

fn name_text(name: &Element<'_>) -> Option<String> {
    let kind = match name.tag {
        EMAIL => "email:",
        DNS => "DNS:",
        URI => "URI:",
        ADDRESS => {
            let short =
                <[u8; 4]>::try_from(name.content).map(|bytes| Ipv4Addr::from(bytes).to_string());
            let long =
                <[u8; 16]>::try_from(name.content).map(|bytes| Ipv6Addr::from(bytes).to_string());
            return short.or(long).ok().map(|address| format!("IP:{address}"));
        }
        _ => return None,
    };
    let mut text = kind.to_owned();
    for byte in name.content {
        match byte {
            b'\\' => push_byte(&mut text, b'\\'),
            byte if byte.is_ascii_graphic() => text.push(char::from(*byte)),
            byte => push_byte(&mut text, *byte),
        }
    }
    Some(text)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    bytes.iter().for_each(|byte| {
        let _ = write!(text, "{byte:02x}");
    });
    text
}

/// Tags of ITU-T X.690.
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTF8: u8 = 0x0c;
const NUMERIC: u8 = 0x12;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const VISIBLE: u8 = 0x1a;
const BMP: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// What a field is said by its number, which is added to this.
const CONTEXT: u8 = 0xa0;

/// Kinds of names, by their tags in RFC 5280.
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;

/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// What RFC 4514 (section 3) has short words for.
const SHORT: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    /// The lines behind the fingerprint.
    fn told(certificate: &[u8]) -> Vec<String> {
        let text = text(certificate);
        assert!(text.ends_with('\n') && text.len() < IDENTITY_MAX);
        let mut lines = text.lines().map(str::to_owned);
        let digest = digest::digest(&digest::SHA256, certificate);
        assert_eq!(lines.next().unwrap(), format!("sha256={}", hex(digest.as_ref())));
        lines.collect()
    }

    fn told_of(change: impl FnOnce(&mut CertificateParams)) -> Vec<String> {
        told(&certificate(change))
    }

    #[test]
    fn a_subject_and_names_are_told_in_lines() {
        let lines = told_of(|params| {
            let subject = &mut params.distinguished_name;
            subject.push(DnType::CountryName, "DE");
            subject.push(DnType::OrganizationName, "Own, \"and\" <others>");
            subject.push(DnType::CommonName, "#here +1 ");
            params.subject_alt_names = vec![
                SanType::DnsName("here.test".try_into().unwrap()),
                SanType::IpAddress("127.0.0.1".parse().unwrap()),
                SanType::IpAddress("fe80::1".parse().unwrap()),
                SanType::Rfc822Name("a@here.test".try_into().unwrap()),
                SanType::URI("spiffe://here/a".try_into().unwrap()),
            ];
        });
        assert_eq!(
            lines,
            [
                r#"subject=CN=\#here \+1\ ,O=Own\, \"and\" \<others\>,C=DE"#,
                "name=DNS:here.test",
                "name=IP:127.0.0.1",
                "name=IP:fe80::1",
                "name=email:a@here.test",
                "name=URI:spiffe://here/a",
            ]
        );
    }

    #[test]
    fn nothing_that_a_peer_writes_begins_a_line_or_ends_a_text() {
        let lines = told_of(|params| {
            let subject = &mut params.distinguished_name;
            subject.push(DnType::CommonName, "a\nname=DNS:evil\0b\u{2028}\u{e4}\\");
            params.subject_alt_names =
                vec![SanType::DnsName("good\0.evil\nname=DNS:other\\".try_into().unwrap())];
        });
        assert_eq!(
            lines,
            [
                "subject=CN=a\\0Aname=DNS:evil\\00b\\E2\\80\\A8\u{e4}\\\\",
                "name=DNS:good\\00.evil\\0Aname=DNS:other\\5C",
            ]
        );
    }

    #[test]
    fn what_has_no_short_word_or_is_no_text_is_written_in_numbers() {
        let lines = told_of(|params| {
            let subject = &mut params.distinguished_name;
            subject.push(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "x");
            subject.push(DnType::CommonName, DnValue::BmpString("b\u{e4}".try_into().unwrap()));
            subject.push(DnType::LocalityName, DnValue::UniversalString("u".try_into().unwrap()));
        });
        let subject = "subject=L=#1c0400000075,CN=b\u{e4},1.2.840.113549.1.9.1=#0c0178";
        assert_eq!(lines, [subject]);
    }

    #[test]
    fn a_certificate_without_a_subject_has_an_empty_one() {
        assert_eq!(told_of(|_| ()), ["subject="]);
        // Extensions of others are passed over, also where they say that they matter.
        let lines = told_of(|params| {
            let mut other = CustomExtension::from_oid_content(&[1, 2, 3], vec![4, 1, 0]);
            other.set_criticality(true);
            params.custom_extensions = vec![other];
            params.subject_alt_names = vec![SanType::DnsName("a".try_into().unwrap())];
        });
        assert_eq!(lines, ["subject=", "name=DNS:a"]);
    }

    #[test]
    fn a_line_is_whole_or_is_not_there() {
        let lines = told_of(|params| {
            params.distinguished_name.push(DnType::CommonName, "c".repeat(IDENTITY_MAX));
            let name = |letter: &str, len| SanType::DnsName(letter.repeat(len).try_into().unwrap());
            params.subject_alt_names =
                vec![name("a", 4000), name("b", 100), name("c", 3), name("d", 1)];
        });
        assert_eq!(lines, [format!("name=DNS:{}", "a".repeat(4000)), "name=DNS:ccc".into()]);
    }

    #[test]
    fn any_bytes_are_told_of_somehow() {
        let whole = certificate(|params| {
            params.distinguished_name.push(DnType::CommonName, "here");
            params.subject_alt_names = vec![SanType::DnsName("a".try_into().unwrap())];
        });
        for len in 0..whole.len() {
            assert!(told(&whole[..len]).is_empty(), "{len}");
        }
        let mut broken = whole.clone();
        for at in 0..whole.len() {
            for byte in [0, 0x1f, 0x7f, 0x80, 0x81, 0x83, 0x84, 0xff] {
                broken[at] = byte;
                told(&broken);
            }
            broken[at] = whole[at];
        }
    }
}
