//! One end of an encrypted stream: bytes in, bytes out, in both of its directions. It knows no
//! descriptor and waits for nothing.
//!
//! Records are decrypted where they lie and encrypted to where they are wanted, because whoever
//! reads and writes has memory for that: between two calls there is only what cannot be done
//! without the next one.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};
use rustls::{CommonState, Error, ProtocolVersion};

use super::complaint::{Setting, Trouble};
use super::config::Config;
use super::room::Room;
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
    /// The beginning of a record, or of a message of the handshake, whose end has not come.
    held: Vec<u8>,
    /// What this end says of its own accord, from `emitted` on: handshakes and alerts.
    outgoing: Vec<u8>,
    emitted: usize,
    /// Plaintext for which there was no room, from `taken` on.
    plaintext: Vec<u8>,
    taken: usize,
}

enum Connection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What comes of one step of a connection.
enum Step {
    /// There may be another one.
    Taken,
    /// The peer has said that nothing follows.
    Ended,
    /// It goes on when more arrives.
    Waits,
}

/// What a step gives.
struct Yield<'a, 'b> {
    room: &'a mut Room<'b>,
    plaintext: &'a mut Vec<u8>,
    outgoing: &'a mut Vec<u8>,
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
                UnbufferedClientConnection::new(Arc::clone(config), name).map(Connection::Client)
            }
            Config::Server(config) => {
                UnbufferedServerConnection::new(Arc::clone(config)).map(Connection::Server)
            }
        };
        let connection = connection.map_err(|error| Trouble::from(&error))?;
        let mut session = Session {
            connection,
            failure: None,
            is_condemned: false,
            has_ended: false,
            greeted: 0,
            held: Vec::new(),
            outgoing: Vec::new(),
            emitted: 0,
            plaintext: Vec::new(),
            taken: 0,
        };
        // A client speaks first.
        session.feed(&mut [], &mut Room::none());
        Ok(session)
    }

    /// Bytes that are to be free in front of what is fed next.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes all of the ciphertext, which lies in `bytes` behind as many as are [`Session::held`];
    /// they do not survive that. Plaintext goes into the room, and waits to be taken where there
    /// is no more. What comes behind a failure or an end is forgotten.
    pub fn feed(&mut self, bytes: &mut [u8], room: &mut Room<'_>) {
        let held = std::mem::take(&mut self.held);
        let (front, _) = bytes.split_at_mut(held.len());
        front.copy_from_slice(&held);
        drop(held);
        let mut rest = bytes;
        while !self.has_ended && self.failure.is_none() {
            let was_greeting = self.connection.is_handshaking();
            let (used, step) = self.step(rest, room);
            rest = &mut rest[used..];
            self.greeted += if was_greeting { used } else { 0 };
            match step {
                Ok(Step::Taken) => (),
                Ok(Step::Ended) => self.has_ended = true,
                Ok(Step::Waits) => break,
                Err(error) => return self.fail(Trouble::from(&error), room),
            }
        }
        if self.has_ended || self.failure.is_some() {
            return;
        }
        let is_greeting = self.connection.is_handshaking();
        if rest.len() > HELD_MAX || is_greeting && self.greeted + rest.len() > GREETING_MAX {
            let words = "the greeting of the peer is too long";
            self.failure = Some(Trouble::new(table::FAULT_TOO_LONG, words));
        } else if !rest.is_empty() {
            self.held = rest.to_vec();
        }
    }

    /// Takes what is good in front of what is not, and what tells the peer about that.
    fn fail(&mut self, trouble: Trouble, room: &mut Room<'_>) {
        self.failure = Some(trouble);
        while self.connection.wants_write() {
            // As long as it has something to say, it looks at nothing.
            let _ = self.step(&mut [], room);
        }
    }

    fn step(&mut self, bytes: &mut [u8], room: &mut Room<'_>) -> (usize, Result<Step, Error>) {
        let Session { connection, plaintext, outgoing, .. } = self;
        let gives = Yield { room, plaintext, outgoing };
        match connection {
            Connection::Client(connection) => gives.of(connection.process_tls_records(bytes)),
            Connection::Server(connection) => gives.of(connection.process_tls_records(bytes)),
        }
    }

    /// Gives plaintext that waits.
    pub fn take(&mut self, room: &mut Room<'_>) {
        self.taken += room.fill(&self.plaintext[self.taken..]);
        if self.taken == self.plaintext.len() {
            self.plaintext = Vec::new();
            self.taken = 0;
        }
    }

    /// Makes records of the plaintext and says how many bytes they are in `room`; 0 when it takes
    /// none, or when they may be more than that ([`table::AROUND`]).
    pub fn put(&mut self, plaintext: &[u8], room: &mut [u8]) -> usize {
        if self.connection.is_handshaking() || self.failure.is_some() || self.has_outgoing() {
            return 0;
        }
        // The bytes that are held belong to what it has seen of a handshake.
        let made = match &mut self.connection {
            Connection::Client(connection) => {
                encrypt(connection.process_tls_records(&mut self.held), plaintext, room)
            }
            Connection::Server(connection) => {
                encrypt(connection.process_tls_records(&mut self.held), plaintext, room)
            }
        };
        match made {
            Ok(count) => count,
            Err(EncryptError::InsufficientSize(_)) => 0,
            Err(EncryptError::EncryptExhausted) => {
                let words = "its keys are used up, and TLS 1.2 has no others";
                self.fail(Trouble::new(table::FAULT_OTHER, words), &mut Room::none());
                0
            }
        }
    }

    /// Gives ciphertext that it has made of its own accord.
    pub fn emit(&mut self, room: &mut [u8]) -> usize {
        let left = &self.outgoing[self.emitted..];
        let count = left.len().min(room.len());
        room[..count].copy_from_slice(&left[..count]);
        self.emitted += count;
        if self.emitted == self.outgoing.len() {
            self.outgoing = Vec::new();
            self.emitted = 0;
        }
        count
    }

    /// Tells the peer that nothing follows.
    pub fn end(&mut self) {
        if self.connection.is_handshaking() || self.failure.is_some() {
            return;
        }
        let mut room = [0; END_MAX];
        let count = match &mut self.connection {
            Connection::Client(connection) => {
                close(connection.process_tls_records(&mut self.held), &mut room)
            }
            Connection::Server(connection) => {
                close(connection.process_tls_records(&mut self.held), &mut room)
            }
        };
        self.outgoing.extend_from_slice(&room[..count]);
    }

    #[must_use]
    pub fn state(&self) -> u32 {
        let flag = |is_so: bool, flag| if is_so { flag } else { 0 };
        flag(self.connection.is_handshaking(), table::IS_HANDSHAKING)
            | flag(self.taken < self.plaintext.len(), table::HAS_PLAINTEXT)
            | flag(self.has_outgoing(), table::HAS_CIPHERTEXT)
            | flag(self.has_ended, table::IS_ENDED)
            | flag(self.failure.is_some(), table::IS_FAILED)
    }

    fn has_outgoing(&self) -> bool {
        self.emitted < self.outgoing.len()
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

impl Deref for Connection {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Connection::Client(connection) => connection,
            Connection::Server(connection) => connection,
        }
    }
}

impl Yield<'_, '_> {
    /// Takes what has come of a step; the first number is of bytes that were used up.
    fn of<Data>(self, status: UnbufferedStatus<'_, '_, Data>) -> (usize, Result<Step, Error>) {
        let UnbufferedStatus { mut discard, state } = status;
        let step = match state {
            Err(error) => Err(error),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut step = Ok(Step::Taken);
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            let count = self.room.fill(record.payload);
                            self.plaintext.extend_from_slice(&record.payload[count..]);
                        }
                        Err(error) => step = Err(error),
                    }
                }
                step
            }
            Ok(ConnectionState::EncodeTlsData(data)) => say(data, self.outgoing),
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // Whoever asks for it has it from here.
                data.done();
                Ok(Step::Taken)
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::Ended),
            // Early data is off, and of other states nobody knows.
            Ok(_) => Ok(Step::Waits),
        };
        (discard, step)
    }
}

fn say<Data>(mut data: EncodeTlsData<'_, Data>, outgoing: &mut Vec<u8>) -> Result<Step, Error> {
    let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) else {
        return Ok(Step::Taken);
    };
    let start = outgoing.len();
    outgoing.resize(start + size.required_size, 0);
    match data.encode(&mut outgoing[start..]) {
        Ok(_) => Ok(Step::Taken),
        Err(error) => Err(Error::General(error.to_string())),
    }
}

fn encrypt<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plaintext: &[u8],
    room: &mut [u8],
) -> Result<usize, EncryptError> {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic.encrypt(plaintext, room),
        _ => Ok(0),
    }
}

fn close<Data>(status: UnbufferedStatus<'_, '_, Data>, room: &mut [u8]) -> usize {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            traffic.queue_close_notify(room).unwrap_or(0)
        }
        // There is no other state where everything has been taken that was given.
        _ => 0,
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

/// What a peer may say before it is known: chains of certificates are long.
const GREETING_MAX: usize = 128 * 1024;
/// What is kept of a message that is not whole.
const HELD_MAX: usize = 80 * 1024;
/// An alert, with all that is around it.
const END_MAX: usize = 256;
