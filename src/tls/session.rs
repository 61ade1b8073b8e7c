//! One end of an encrypted stream: bytes in, bytes out, in both of its directions. It knows no
//! descriptor and waits for nothing.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, Connection, ProtocolVersion, ServerConnection};

use super::complaint::{Setting, Trouble};
use super::config::Config;
use super::table;

pub struct Session {
    connection: Connection,
    /// What it has failed of.
    failure: Option<Trouble>,
    /// Something in it has panicked.
    is_condemned: bool,
    has_ended: bool,
    /// Bytes of the peer before it was known.
    greeted: usize,
    /// Plaintext that nobody has taken, from `taken` on.
    plaintext: Vec<u8>,
    taken: usize,
}

impl Session {
    /// A client expects a peer of that name.
    ///
    /// # Errors
    /// When the name is none.
    pub fn new(config: &Config, name: &[u8]) -> Result<Session, Trouble> {
        let connection = match config {
            Config::Client(config) => {
                let name = server_name(name)?;
                ClientConnection::new(Arc::clone(config), name).map(Connection::from)
            }
            Config::Server(config) => {
                ServerConnection::new(Arc::clone(config)).map(Connection::from)
            }
        };
        let mut connection = connection.map_err(|error| Trouble::from(&error))?;
        connection.set_buffer_limit(Some(AT_ONCE));
        Ok(Session {
            connection,
            failure: None,
            is_condemned: false,
            has_ended: false,
            greeted: 0,
            plaintext: Vec::new(),
            taken: 0,
        })
    }

    /// Takes all of the ciphertext. What comes behind a failure or an end is forgotten.
    pub fn feed(&mut self, mut ciphertext: &[u8]) {
        while !ciphertext.is_empty() && self.failure.is_none() && !self.has_ended {
            let is_greeting = self.connection.is_handshaking();
            match self.connection.read_tls(&mut ciphertext) {
                Ok(0) => return,
                Ok(count) => {
                    self.digest();
                    self.greeted += if is_greeting { count } else { 0 };
                    if self.greeted > GREETING_MAX && self.connection.is_handshaking() {
                        let words = "the greeting of the peer is too long";
                        let trouble = Trouble::new(table::FAULT_TOO_LONG, words);
                        self.failure.get_or_insert(trouble);
                    }
                }
                Err(error) => {
                    let words = error.to_string();
                    self.failure = Some(Trouble::new(table::FAULT_PROTOCOL, &words));
                }
            }
        }
    }

    /// What is good in front of a record that is not has come from the peer all the same.
    fn digest(&mut self) {
        match self.connection.process_new_packets() {
            Ok(state) => {
                self.drain(state.plaintext_bytes_to_read());
                self.has_ended = state.peer_has_closed();
            }
            Err(error) => {
                self.failure = Some(Trouble::from(&error));
                while self.drain(PIECE) > 0 {}
            }
        }
    }

    fn drain(&mut self, most: usize) -> usize {
        self.make_room();
        let start = self.plaintext.len();
        self.plaintext.resize(start + most, 0);
        let read = self.connection.reader().read(&mut self.plaintext[start..]).unwrap_or(0);
        self.plaintext.truncate(start + read);
        read
    }

    fn make_room(&mut self) {
        if self.taken == self.plaintext.len() {
            self.plaintext.clear();
            self.taken = 0;
        }
    }

    /// Gives plaintext.
    pub fn take(&mut self, room: &mut [u8]) -> usize {
        let left = &self.plaintext[self.taken..];
        let count = left.len().min(room.len());
        room[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        self.make_room();
        if self.plaintext.is_empty() && self.plaintext.capacity() > KEPT {
            self.plaintext = Vec::new();
        }
        count
    }

    /// Takes plaintext, as much as it makes records of at once.
    pub fn put(&mut self, plaintext: &[u8]) -> usize {
        if self.connection.is_handshaking() || self.failure.is_some() {
            return 0;
        }
        let count = plaintext.len().min(AT_ONCE);
        self.connection.writer().write(&plaintext[..count]).unwrap_or(0)
    }

    /// Gives ciphertext.
    pub fn emit(&mut self, room: &mut [u8]) -> usize {
        let mut rest = room;
        let before = rest.len();
        while self.connection.wants_write() && !rest.is_empty() {
            if self.connection.write_tls(&mut rest).is_err() {
                break;
            }
        }
        before - rest.len()
    }

    /// Tells the peer that nothing follows.
    pub fn end(&mut self) {
        self.connection.send_close_notify();
    }

    #[must_use]
    pub fn state(&self) -> u32 {
        let flag = |is_so: bool, flag| if is_so { flag } else { 0 };
        flag(self.connection.is_handshaking(), table::IS_HANDSHAKING)
            | flag(self.taken < self.plaintext.len(), table::HAS_PLAINTEXT)
            | flag(self.connection.wants_write(), table::HAS_CIPHERTEXT)
            | flag(self.has_ended, table::IS_ENDED)
            | flag(self.failure.is_some(), table::IS_FAILED)
    }

    /// It is not to be used any more.
    pub fn condemn(&mut self) {
        self.is_condemned = true;
    }

    #[must_use]
    pub fn is_condemned(&self) -> bool {
        self.is_condemned
    }

    #[must_use]
    pub fn failure(&self) -> Option<&Trouble> {
        self.failure.as_ref()
    }

    /// The peer's certificate, if it has shown one.
    #[must_use]
    pub fn peer(&self) -> Option<&CertificateDer<'_>> {
        self.connection.peer_certificates()?.first()
    }

    /// Whether the two knew each other.
    #[cfg(test)]
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// The version that is spoken, or 0.
    #[must_use]
    pub fn spoken(&self) -> u32 {
        match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => table::TLS_1_3,
            Some(ProtocolVersion::TLSv1_2) => table::TLS_1_2,
            _ => 0,
        }
    }
}

fn server_name(name: &[u8]) -> Result<ServerName<'static>, Trouble> {
    let text = std::str::from_utf8(name).unwrap_or_default();
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = plain.parse::<IpAddr>() {
        return Ok(ServerName::from(address));
    }
    ServerName::try_from(plain.trim_end_matches('.').to_owned())
        .map_err(|_| Setting::NAME.trouble(table::FLAW_DAMAGED, "no certificate can be for it"))
}

/// Plaintext that is made into records at once.
pub const AT_ONCE: usize = 64 * 1024;
/// What a peer may say before it is known: chains of certificates are long.
const GREETING_MAX: usize = 128 * 1024;
/// Plaintext that is looked for at once where nobody knows how much there is.
const PIECE: usize = 4 * 1024;
/// What plaintext may keep when there is none.
const KEPT: usize = 0;
