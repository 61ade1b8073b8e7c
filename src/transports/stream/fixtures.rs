//! What the tests of this folder share: a stream that fails as it is told to, a framing and a
//! greeting that are easily written down, and a peer that the test speaks for.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::byte_stream::{ByteStream, Sink, Source};
use super::codec::{Codec, Encoder, PREFIX_MAX, Place, Prefix};
use super::greeter::{Decline, Greeter, Heard, Welcome, Wire};
use super::reader::short::{PING, Short};
use crate::message::{Message, Room};
use crate::sys::{Credentials, OsStream, Read, WaitFor, poll};
use crate::testing::Watched;
use crate::transports::{Host, Report};

/// A stream of the kernel that takes and says what the test wants it to.
pub struct FakeStream {
    inner: OsStream,
    pub mood: Watched<Mood>,
    pub deeds: Watched<Deeds>,
}

#[derive(Debug, Default)]
pub struct Mood {
    /// How many bytes it still takes, if it does not take what the kernel takes.
    pub room: Option<usize>,
    /// The code of the error with which writing fails from now on.
    pub failure: Option<i32>,
    pub unacknowledged: usize,
    /// Another descriptor than its own.
    pub descriptor: Option<RawFd>,
}

/// How often it was asked for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    pub writes: usize,
    pub ended: usize,
    pub broken_off: usize,
    pub discarded: usize,
    /// How often room was waited for.
    pub awaited: usize,
    /// Bytes that were read.
    pub read: usize,
    /// What the buffers were set to at last.
    pub send_buffer: u32,
    pub recv_buffer: u32,
}

impl FakeStream {
    /// One, and its peer.
    pub fn pair() -> (Arc<FakeStream>, Peer) {
        let (inner, peer) = OsStream::pair();
        let stream = FakeStream { inner, mood: Watched::default(), deeds: Watched::default() };
        (Arc::new(stream), Peer(peer))
    }

    pub fn deeds(&self) -> Deeds {
        self.deeds.change(|deeds| *deeds)
    }
}

impl Source for FakeStream {
    fn read(&self, room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
        let read = self.inner.read(room, rest);
        if let Read::Bytes(count) = read {
            self.deeds.change(|deeds| deeds.read += count);
        }
        read
    }
}

impl Sink for FakeStream {
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.deeds.change(|deeds| deeds.writes += 1);
        let (room, failure) = self.mood.change(|mood| (mood.room, mood.failure));
        if let Some(code) = failure {
            return Err(io::Error::from_raw_os_error(code));
        }
        let Some(room) = room else { return self.inner.write(parts) };
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter()).copied().collect();
        let taken = &bytes[..room.min(bytes.len())];
        let count = if taken.is_empty() { 0 } else { self.inner.write(&[IoSlice::new(taken)])? };
        // The test may have made more meanwhile.
        self.mood.change(|mood| mood.room = mood.room.map(|room| room.saturating_sub(count)));
        Ok(count)
    }
}

impl ByteStream for FakeStream {
    fn descriptor(&self) -> RawFd {
        let other = self.mood.change(|mood| mood.descriptor);
        other.unwrap_or(self.inner.as_raw_fd())
    }

    fn end(&self) {
        self.inner.end();
        self.deeds.change(|deeds| deeds.ended += 1);
    }

    fn break_off(&self) {
        self.inner.break_off();
        self.deeds.change(|deeds| deeds.broken_off += 1);
    }

    fn set_send_buffer(&self, size: u32) {
        self.inner.set_send_buffer(size);
        self.deeds.change(|deeds| deeds.send_buffer = size);
    }

    fn set_recv_buffer(&self, size: u32) {
        self.inner.set_recv_buffer(size);
        self.deeds.change(|deeds| deeds.recv_buffer = size);
    }

    fn await_room(&self, limit: Duration) -> bool {
        self.deeds.change(|deeds| deeds.awaited += 1);
        ByteStream::await_room(&self.inner, limit)
    }

    fn discard_input(&self) {
        self.inner.discard_input();
        self.deeds.change(|deeds| deeds.discarded += 1);
    }

    fn unacknowledged(&self) -> usize {
        self.mood.change(|mood| mood.unacknowledged)
    }

    fn failure(&self) -> Option<io::Error> {
        self.mood.change(|mood| mood.failure).map(io::Error::from_raw_os_error)
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        Some(PEER)
    }

    fn peer_credentials(&self) -> Option<Credentials> {
        ByteStream::peer_credentials(&self.inner)
    }
}

/// The other end of a stream, in the hands of the test.
pub struct Peer(pub OsStream);

impl Peer {
    pub fn write(&self, bytes: &[u8]) {
        assert_eq!(self.0.write(&[IoSlice::new(bytes)]).unwrap(), bytes.len());
    }

    /// The next `count` bytes.
    pub fn read(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.0.read(None, &mut bytes[filled..]) {
                Read::Bytes(more) => filled += more,
                Read::Nothing => self.wait(),
                Read::End => panic!("the stream ends behind {:?}", &bytes[..filled]),
            }
        }
        bytes
    }

    pub fn read_to_end(&self) -> Vec<u8> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match self.0.read(None, &mut buffer) {
                Read::Bytes(count) => bytes.extend_from_slice(&buffer[..count]),
                Read::Nothing => self.wait(),
                Read::End => return bytes,
            }
        }
    }

    /// Whether nothing is there to be read.
    pub fn hears_nothing(&self) -> bool {
        self.0.read(None, &mut [0; 1]) == Read::Nothing
    }

    fn wait(&self) {
        let wait = std::iter::once((self.0.as_raw_fd(), WaitFor::Readable));
        assert!(!poll(wait, Some(HANG)).unwrap().is_empty(), "nothing came");
    }
}

/// A byte that is a size in front of each payload.
struct ShortPrefix;

impl Encoder for ShortPrefix {
    fn prefix(&self, _message: &Message, size: usize, _place: Place) -> Prefix {
        let mut bytes = [0; PREFIX_MAX];
        bytes[0] = u8::try_from(size).expect("a test sends short messages");
        Prefix::new(bytes, 1)
    }

    fn ping(&self) -> Option<Vec<u8>> {
        Some(vec![PING])
    }
}

pub fn codec() -> Codec {
    Codec { encoder: Arc::new(ShortPrefix), decoder: Box::new(Short::default()) }
}

/// A conversation in which we say "hi", the peer [`HELLO`], and we "ok".
#[derive(Clone, Debug)]
pub struct Script {
    pub limit: Duration,
    pub is_committed: bool,
    pub decline: Decline,
    /// What a peer that says anything else is told.
    pub refusal: &'static [u8],
    pub beginnings_max: usize,
}

struct FakeGreeter {
    script: Script,
    heard: Vec<u8>,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            limit: HANG,
            is_committed: false,
            decline: Decline::AtOnce,
            refusal: b"",
            beginnings_max: usize::MAX,
        }
    }
}

impl Script {
    pub fn greeter(self) -> Box<dyn Greeter> {
        Box::new(FakeGreeter { script: self, heard: Vec::new() })
    }
}

impl Wire for Script {
    fn greeter(&self, _host: &dyn Host) -> Box<dyn Greeter> {
        self.clone().greeter()
    }

    fn beginnings_max(&self, _host: &dyn Host) -> usize {
        self.beginnings_max
    }
}

impl Greeter for FakeGreeter {
    fn limit(&self) -> Duration {
        self.script.limit
    }

    fn open(&mut self, _welcome: Welcome) -> Vec<u8> {
        b"hi".to_vec()
    }

    fn wanted(&self) -> usize {
        usize::MAX
    }

    fn absorb(&mut self, bytes: &[u8]) -> Heard {
        self.heard.extend_from_slice(bytes);
        let len = HELLO.len().min(self.heard.len());
        match self.heard[..len] == HELLO[..len] {
            false => Heard::Refused(self.script.refusal.to_vec()),
            true if len < HELLO.len() => Heard::More,
            true => Heard::Complete,
        }
    }

    fn is_committed(&self) -> bool {
        self.script.is_committed
    }

    fn accept(&mut self) -> Vec<u8> {
        b"ok".to_vec()
    }

    fn decline(&mut self) -> Decline {
        self.script.decline.clone()
    }

    fn take_rest(&mut self) -> Vec<u8> {
        self.heard.split_off(HELLO.len())
    }

    fn codec(&self) -> Codec {
        codec()
    }

    fn failure(&self) -> Option<Report> {
        Some(Report::Broken)
    }
}

pub const HELLO: &[u8] = b"hello";
/// Where the other end of a [`FakeStream`] says that it is.
pub const PEER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 4711);
/// A test that waits so long has come to nothing.
const HANG: Duration = Duration::from_secs(60);
