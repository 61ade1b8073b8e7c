//! One end of an encrypted connection as a fuzz target uses it: the stream, as connections have it,
//! and the reader behind it.

use std::io::{self, IoSlice};
use std::sync::OnceLock;

use spmsg_tls::fuzzing::{AUTHORITY, CERTIFICATE, KEY, NAME};

use super::stream::TlsStream;
use crate::message::Message;
use crate::sys::{Machine, OsStream, TlsConfig, TlsRole, TlsWishes, tls_numbers};
use crate::transports::Fault;
use crate::transports::stream::{ByteStream, Codec, News, Reader, Sink, Source};

pub struct End {
    stream: TlsStream,
    reader: Reader,
    /// How much is read at once.
    step: usize,
    has_ended: bool,
}

impl End {
    /// A client requires a good certificate; a server, too, where `is_mutual` says so.
    #[must_use]
    pub fn new(role: TlsRole, is_mutual: bool, stream: OsStream, codec: Codec, step: usize) -> End {
        let config = config(role, is_mutual);
        let session = config.session(NAME.as_bytes()).expect("it is a name");
        let reader = Reader::new(codec.decoder, usize::MAX);
        End { stream: TlsStream::new(stream, session), reader, step, has_ended: false }
    }

    /// Reads what there is, as connections do; tells what has become complete.
    pub fn read(&mut self) -> Vec<Message> {
        let mut buffer = vec![0; self.step];
        let mut messages = Vec::new();
        while !self.has_ended {
            let (arrival, _) = self.reader.pump(&self.stream, || SIZE_MAX, &mut buffer, None);
            let mut message = Message::default();
            while self.reader.take(|| SIZE_MAX, &mut message).has_message {
                messages.push(std::mem::take(&mut message));
            }
            match arrival.news {
                News::Nothing => {
                    // The kernel would not report it.
                    assert!(!self.stream.holds(), "plaintext is left lying");
                    break;
                }
                News::Ended | News::Last => self.has_ended = true,
                News::Bytes | News::Readable => {}
            }
        }
        messages
    }

    /// Whether the stream is over, and not only what the framing makes of it.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.stream.is_at_end()
    }

    /// # Errors
    /// When the stream is broken.
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write(parts)
    }

    pub fn end(&self) {
        self.stream.end();
    }

    pub fn break_off(&self) {
        self.stream.break_off();
    }

    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.stream.is_handshaking()
    }

    /// Memory that it keeps between two calls, without messages.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.stream.kept()
    }

    /// Why it has failed, if it has: its number, and words that the machine has for it.
    ///
    /// # Panics
    /// When there should be words and are none, or when they are those of a panic.
    #[must_use]
    pub fn fault(&self) -> Option<u32> {
        let words = self.stream.complaint();
        if let Some(words) = &words {
            let is_plain = words.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            assert!(!words.is_empty() && is_plain && words != "a bug", "it says {words:?}");
        }
        match self.stream.fault() {
            Some(Fault::Tls(fault)) => Some(fault.0),
            Some(_) => Some(u32::MAX),
            None => {
                assert_eq!(words, None, "nobody is told that it has failed");
                None
            }
        }
    }
}

fn config(role: TlsRole, is_mutual: bool) -> &'static TlsConfig {
    static CONFIGS: [OnceLock<TlsConfig>; 3] = [const { OnceLock::new() }; 3];
    let (place, verify) = match role {
        TlsRole::Client => (0, tls_numbers::VERIFY_REQUIRED),
        TlsRole::Server if is_mutual => (1, tls_numbers::VERIFY_REQUIRED),
        TlsRole::Server => (2, tls_numbers::VERIFY_NONE),
    };
    CONFIGS[place].get_or_init(|| {
        let (certificate, key) = match role {
            TlsRole::Client => ("", ""),
            TlsRole::Server => (CERTIFICATE, KEY),
        };
        let wishes = TlsWishes {
            role,
            verify,
            version_min: tls_numbers::TLS_1_2,
            is_http: false,
            certificate: certificate.as_bytes(),
            key: key.as_bytes(),
            trust: AUTHORITY.as_bytes(),
            revoked: b"",
        };
        let machine = Machine::get().expect("it is a part of this program");
        machine.config(&wishes).expect("certificates are good")
    })
}

const SIZE_MAX: Option<u64> = Some(1 << 20);
