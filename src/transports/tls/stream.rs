//! A stream of the kernel, and the machine that encrypts what goes over it.
//!
//! Two things keep readers and writers from noticing. What is decrypted is never left lying here
//! when a read returns, unless it has filled all the room that there was, because the kernel would
//! not report it ([`Source::holds`]). And what is reported as written is in the kernel: where the
//! kernel takes no more in the middle of a record, the last byte in it counts as not taken until
//! the record is gone, so that whoever writes waits for room, and comes back with that byte.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::memory::{self, OutOfMemory};
use crate::message::Room;
use crate::sync::{
    Mutex, OnceLock, Rank,
    atomic::{AtomicU32, Ordering},
};
use crate::sys::tls_numbers::{FAULT_NONE, FAULT_OTHER, FAULT_TRUNCATED};
use crate::sys::{Credentials, OsStream, Read, TlsSession};
use crate::transports::stream::{Awaits, ByteStream, Sink, Source, scratch};
use crate::transports::{Fault, TlsFault};

pub struct TlsStream {
    inner: OsStream,
    /// Held while the kernel takes or gives what is encrypted, so that records keep their order.
    state: Mutex<State>,
    /// Why it failed, as the machine numbers it; 0 if it has not.
    failure: AtomicU32,
    /// Whom the peer's certificate is for, once the handshake is over; empty if it has shown none.
    peer: OnceLock<Box<[u8]>>,
}

struct State {
    session: TlsSession,
    /// Ciphertext that the kernel has not taken, from `sent` on.
    outgoing: Vec<u8>,
    sent: usize,
    /// A byte is in the last record that counts as not taken.
    is_owing: bool,
    /// Nothing more is written.
    has_ended: bool,
    /// Nothing more is read.
    is_at_end: bool,
}

/// How much of what is to be written has become how much ciphertext.
#[derive(Default)]
struct Encrypted {
    plaintext: usize,
    ciphertext: usize,
}

impl TlsStream {
    #[must_use]
    pub fn new(inner: OsStream, session: TlsSession) -> TlsStream {
        let state = State {
            session,
            outgoing: Vec::new(),
            sent: 0,
            is_owing: false,
            has_ended: false,
            is_at_end: false,
        };
        TlsStream {
            inner,
            state: Mutex::new(Rank::Ciphering, state),
            failure: AtomicU32::new(FAULT_NONE),
            peer: OnceLock::new(),
        }
    }

    /// The state is locked while others want to know, under locks of theirs.
    fn note_peer(&self, session: &TlsSession) {
        if self.peer.get().is_none()
            && let Ok(text) = session.peer()
        {
            self.peer.get_or_init(|| text.into_boxed_slice());
        }
    }

    /// The first one counts: the others follow from it.
    fn note_failure(&self, fault: u32) {
        let _ =
            self.failure.compare_exchange(FAULT_NONE, fault, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Nothing more is read: the peer has said so, or the stream came to its end.
    fn end_reading(&self, state: &mut State, fault: u32) -> Read {
        state.is_at_end = true;
        self.note_failure(fault);
        Read::End
    }

    /// Reads from the kernel, and decrypts that. `None` when no plaintext has come of it.
    fn read_records(
        &self,
        state: &mut State,
        room: Option<&mut Room<'_>>,
        rest: &mut [u8],
    ) -> Option<Read> {
        let held = state.session.held();
        let missing = room.as_ref().map_or(0, |room| room.missing());
        // Where there is little room, more than fits is better than a read for every few bytes.
        let size = (missing + rest.len()).clamp(READ_MIN, READ_MAX);
        let mut memory = scratch::take();
        let mut own = Vec::new();
        let buffer = if held + READ_MIN <= memory.len() {
            &mut memory[..]
        } else {
            if memory::reserve_exact(&mut own, held + READ_MIN).is_err() {
                return Some(self.end_reading(state, FAULT_OTHER));
            }
            own.resize(held + READ_MIN, 0);
            &mut own[..]
        };
        let end = (held + size).min(buffer.len());
        let bytes = match self.inner.read(None, &mut buffer[held..end]) {
            Read::Nothing => return Some(Read::Nothing),
            Read::End => return Some(self.end_reading(state, FAULT_TRUNCATED)),
            Read::Bytes(count) => &mut buffer[..held + count],
        };
        let Ok((count, now)) = state.session.feed(bytes, room, rest) else {
            return Some(self.end_reading(state, FAULT_OTHER));
        };
        // Answers of the handshake, and what tells the peer why it has failed.
        if now.has_ciphertext() && state.flush(&self.inner).is_err() {
            // The peer would wait for ever for what is lost.
            self.inner.break_off();
        }
        if !now.is_handshaking() {
            self.note_peer(&state.session);
        }
        if now.is_failed() {
            self.note_failure(state.session.complaint().0);
            state.is_at_end = true;
        } else if now.is_ended() {
            state.is_at_end = true;
        }
        if state.is_at_end {
            // What came with it is given first, and the kernel would report nothing more: the peer
            // may well wait for our end before it closes.
            self.inner.end_reading();
        }
        if count > 0 { Some(Read::Bytes(count)) } else { None }
    }
}

impl State {
    /// Gives the kernel what is encrypted; false when it has not taken all of it. Behind our end it
    /// takes nothing, and what it has not taken is forgotten.
    fn flush(&mut self, inner: &OsStream) -> io::Result<bool> {
        loop {
            if self.sent == self.outgoing.len() {
                self.outgoing.clear();
                self.sent = 0;
                if !self.collect().map_err(no_memory)? {
                    self.outgoing = Vec::new();
                    return Ok(true);
                }
            }
            if self.has_ended {
                self.sent = self.outgoing.len();
                continue;
            }
            let count = inner.write(&[IoSlice::new(&self.outgoing[self.sent..])])?;
            self.sent += count;
            if self.sent < self.outgoing.len() {
                return Ok(false);
            }
        }
    }

    /// Takes what the machine says of its own accord; false when there is nothing.
    fn collect(&mut self) -> Result<bool, OutOfMemory> {
        let before = self.outgoing.len();
        while self.session.state().has_ciphertext() {
            let start = self.outgoing.len();
            memory::reserve(&mut self.outgoing, PIECE)?;
            self.outgoing.resize(start + PIECE, 0);
            let count = self.session.emit(&mut self.outgoing[start..]);
            self.outgoing.truncate(start + count);
            if count == 0 {
                break;
            }
        }
        Ok(self.outgoing.len() > before)
    }

    /// Makes records in `room` of so much of `parts`, behind the first `skipped` bytes of them, as
    /// there is room for. Small parts are gathered in `gathered`.
    fn encrypt(
        &mut self,
        parts: &[IoSlice<'_>],
        mut skipped: usize,
        gathered: &mut [u8],
        room: &mut [u8],
    ) -> io::Result<Encrypted> {
        let mut done = Encrypted::default();
        let mut waiting = 0;
        for part in parts {
            let skip = skipped.min(part.len());
            skipped -= skip;
            let mut rest = &part[skip..];
            while !rest.is_empty() {
                let records = (room.len() - done.ciphertext) / (gathered.len() + AROUND);
                let most = records * gathered.len();
                if most == 0 {
                    return Ok(done);
                }
                let whole = (rest.len() - rest.len() % gathered.len()).min(most);
                if waiting == 0 && whole > 0 {
                    if !self.put(&rest[..whole], room, &mut done)? {
                        return Ok(done);
                    }
                    rest = &rest[whole..];
                    continue;
                }
                let count = rest.len().min(gathered.len() - waiting);
                gathered[waiting..waiting + count].copy_from_slice(&rest[..count]);
                (waiting, rest) = (waiting + count, &rest[count..]);
                if waiting == gathered.len() {
                    if !self.put(gathered, room, &mut done)? {
                        return Ok(done);
                    }
                    waiting = 0;
                }
            }
        }
        if waiting > 0 {
            self.put(&gathered[..waiting], room, &mut done)?;
        }
        Ok(done)
    }

    /// False when it takes no more, and what it has taken is to be written first.
    fn put(&mut self, plaintext: &[u8], room: &mut [u8], done: &mut Encrypted) -> io::Result<bool> {
        let count = self.session.put(plaintext, &mut room[done.ciphertext..]).map_err(no_memory)?;
        if count == 0 {
            let is_something_made = done.plaintext > 0;
            return if is_something_made {
                Ok(false)
            } else {
                Err(io::ErrorKind::BrokenPipe.into())
            };
        }
        done.plaintext += plaintext.len();
        done.ciphertext += count;
        Ok(true)
    }

    /// The kernel has not taken these: they go before everything else.
    fn keep(&mut self, ciphertext: &[u8]) -> io::Result<()> {
        memory::reserve(&mut self.outgoing, ciphertext.len()).map_err(no_memory)?;
        self.outgoing.extend_from_slice(ciphertext);
        Ok(())
    }
}

impl Source for TlsStream {
    fn read(&self, mut room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
        let mut state = self.state.lock();
        for _ in 0..READS_MAX {
            if state.session.state().has_plaintext() {
                return match state.session.take(room, rest) {
                    // There is no room: what comes behind it stays with the kernel.
                    0 => Read::Nothing,
                    count => Read::Bytes(count),
                };
            }
            if state.is_at_end {
                return Read::End;
            }
            if let Some(read) = self.read_records(&mut state, room.as_deref_mut(), rest) {
                return read;
            }
        }
        // It goes on sending what is no message. The kernel will report that again.
        Read::Nothing
    }

    fn holds(&self) -> bool {
        self.state.lock().session.state().has_plaintext()
    }
}

impl TlsStream {
    fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let now = state.session.state();
        let is_flushed = state.flush(&self.inner)?;
        if now.is_failed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        if state.has_ended && offered > 0 {
            // What was owed is forgotten with the end.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !is_flushed || now.is_handshaking() || offered == 0 {
            return Ok(0);
        }
        let mut memory = scratch::take();
        // With little memory left, records are small.
        let record = RECORD.min(memory.len() / 4);
        let (gathered, room) = memory.split_at_mut(record);
        let owed = usize::from(std::mem::take(&mut state.is_owing));
        let mut total = owed;
        loop {
            // What is little more than that goes along.
            let most = if offered - total <= AT_ONCE + RECORD { room.len() } else { AT_ONCE };
            let size = room.len().min(most);
            let made = state.encrypt(parts, total, gathered, &mut room[..size]);
            if made.is_err() && state.session.state().is_failed() {
                self.note_failure(state.session.complaint().0);
            }
            let done = made?;
            total += done.plaintext;
            if done.plaintext == 0 {
                return Ok(total);
            }
            let ciphertext = &room[..done.ciphertext];
            let count = self.inner.write(&[IoSlice::new(ciphertext)])?;
            if count < ciphertext.len() {
                state.keep(&ciphertext[count..])?;
                state.is_owing = true;
                return Ok(total - 1);
            }
            if total == offered {
                return Ok(total);
            }
        }
    }
}

impl Sink for TlsStream {
    /// Without memory in the middle of something the rest is lost: whoever reads learns of it, too.
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_now(parts).inspect_err(|error| {
            if error.kind() == io::ErrorKind::OutOfMemory {
                self.note_failure(FAULT_OTHER);
                self.inner.break_off();
            }
        })
    }

    fn is_ahead(&self) -> bool {
        self.state.lock().is_owing
    }
}

impl ByteStream for TlsStream {
    fn descriptor(&self) -> RawFd {
        self.inner.as_raw_fd()
    }

    fn end(&self) {
        {
            let mut state = self.state.lock();
            if !state.session.state().is_handshaking() {
                state.session.end();
                // A kernel that is full now leaves the peer a stream without an end.
                let _ = state.flush(&self.inner);
            }
            state.has_ended = true;
        }
        self.inner.end();
    }

    fn break_off(&self) {
        if let Some(mut state) = self.state.try_lock()
            && !state.session.state().is_handshaking()
        {
            state.session.end();
            let _ = state.flush(&self.inner);
        }
        self.inner.break_off();
    }

    fn discard_input(&self) {
        self.inner.discard_input();
    }

    fn set_send_buffer(&self, size: u32) {
        self.inner.set_send_buffer(size);
    }

    fn set_recv_buffer(&self, size: u32) {
        self.inner.set_recv_buffer(size);
    }

    fn unacknowledged(&self) -> usize {
        self.inner.unacknowledged()
    }

    fn failure(&self) -> Option<io::Error> {
        self.inner.failure()
    }

    /// What the kernel says goes first: a stream that it has reset is cut off, too.
    fn fault(&self) -> Option<Fault> {
        match (self.failure.load(Ordering::Relaxed), self.inner.failure()) {
            (FAULT_NONE | FAULT_TRUNCATED, Some(error)) => Some(Fault::System(error.into())),
            (FAULT_NONE, None) => None,
            (own, _) => Some(Fault::Tls(TlsFault(own))),
        }
    }

    fn awaits(&self) -> Awaits {
        let state = self.state.lock();
        let now = state.session.state();
        if state.sent < state.outgoing.len() || now.has_ciphertext() {
            Awaits::Room
        } else if now.is_handshaking() {
            Awaits::Peer
        } else {
            Awaits::Nothing
        }
    }

    fn complaint(&self) -> Option<String> {
        let state = self.state.lock();
        state.session.state().is_failed().then(|| state.session.complaint().1)
    }

    fn reads_bytes(&self) -> bool {
        true
    }

    fn greeting_time(&self) -> Duration {
        GREETING
    }

    fn is_within_reach(&self, patience: Duration) -> bool {
        self.state.try_lock_for(patience).is_some()
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        self.inner.peer_address()
    }

    fn peer_credentials(&self) -> Option<Credentials> {
        self.inner.peer_credentials()
    }

    fn peer_certificate(&self) -> Option<&[u8]> {
        self.peer.get().map(|text| &**text).filter(|text| !text.is_empty())
    }
}

#[cfg(all(feature = "tls-fuzzing", any(test, fuzzing)))]
impl TlsStream {
    pub fn is_handshaking(&self) -> bool {
        self.state.lock().session.state().is_handshaking()
    }

    pub fn is_at_end(&self) -> bool {
        self.state.lock().is_at_end
    }

    /// Memory that it keeps between two calls.
    pub fn kept(&self) -> usize {
        let state = self.state.lock();
        state.session.held() + state.outgoing.len()
    }
}

fn no_memory(OutOfMemory: OutOfMemory) -> io::Error {
    io::ErrorKind::OutOfMemory.into()
}

/// Plaintext in a record, and what is around it.
const RECORD: usize = TlsSession::RECORD;
const AROUND: usize = TlsSession::AROUND;
/// How much is encrypted before the kernel is given it.
const AT_ONCE: usize = 8 * (RECORD + AROUND);
/// How much is read at once.
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = 128 * 1024;
/// What a machine says of its own accord is mostly less than that.
const PIECE: usize = 2 * 1024;
/// Reads in a row that give no plaintext.
const READS_MAX: usize = 64;
/// How long the handshake may take, beside the greeting behind it.
const GREETING: Duration = Duration::from_secs(9);
