//! What the tests of this layer share: sockets that close themselves, and connections that tests
//! hold in their hands.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::endpoint::Owner;
use super::registry::{self, COOKED, InUse};
use super::transfer::Blocking;
use crate::error::{Error, Refusal};
use crate::message::{Body, Landing, Message};
use crate::protocols::SocketType;
use crate::sync::{Mutex, Rank};
use crate::sys::{Credentials, EventFd};
use crate::transports::{
    Adopter, AfterRecv, AfterSend, Backup, Connection, Dialect, Fault, Load, Next, Parting,
    Received, Rejected, Row, Sent, Stream,
};

pub const PAIR: i32 = 0x10;
pub const PUB: i32 = 0x20;
pub const SUB: i32 = 0x21;
pub const REQ: i32 = 0x30;
pub const REP: i32 = 0x31;
pub const BUS: i32 = 0x70;
pub const PUSH: i32 = 0x50;
pub const PULL: i32 = 0x51;

/// A socket that is closed with the test.
pub struct Opened(pub i32);

impl Opened {
    pub fn new(domain: i32, protocol: i32) -> Opened {
        Opened(registry::open(domain, protocol, || None).unwrap())
    }

    pub fn cooked(protocol: i32) -> Opened {
        Opened::new(COOKED, protocol)
    }

    /// A socket of a type that only this test knows.
    pub fn of(socket_type: &'static SocketType) -> Opened {
        Opened(registry::open_type(COOKED, || Some(socket_type), || None).unwrap())
    }

    pub fn close(self) -> Result<(), Error> {
        let handle = self.0;
        // Somebody else's socket may have the number from now on.
        std::mem::forget(self);
        registry::close(handle)
    }

    /// The socket, for one call, maybe beside another. Whoever holds it keeps others from closing
    /// it.
    pub fn get(&self) -> InUse {
        registry::find_beside(self.0).unwrap()
    }

    pub fn bind(&self, address: &str) -> i32 {
        self.get().bind(address.as_bytes(), Dialect::Extended).unwrap()
    }

    pub fn connect(&self, address: &str) -> i32 {
        self.get().connect(address.as_bytes(), Dialect::Extended).unwrap()
    }

    /// Where an endpoint is.
    pub fn address(&self, endpoint: i32) -> String {
        String::from_utf8(self.get().address(endpoint).unwrap()).unwrap()
    }

    pub fn set_int(&self, option: &Row, value: i32) -> Result<(), Error> {
        self.get().set_option(option.level, option.number, Some(&value.to_ne_bytes()))
    }

    pub fn send(&self, text: &str) -> Result<(), Error> {
        registry::find_beside(self.0)?.send(&mut message(text), Blocking::Wait)
    }

    pub fn try_send(&self, text: &str) -> Result<(), Error> {
        self.get().send(&mut message(text), Blocking::DontWait)
    }

    pub fn recv(&self) -> Result<String, Error> {
        self.recv_with(Blocking::Wait)
    }

    pub fn try_recv(&self) -> Result<String, Error> {
        self.recv_with(Blocking::DontWait)
    }

    fn recv_with(&self, blocking: Blocking<'_>) -> Result<String, Error> {
        let mut message = Message::default();
        registry::find_beside(self.0)?.recv(&mut message, blocking, |_| Ok(()))?;
        Ok(text(&message))
    }

    pub fn statistic(&self, id: i32) -> u64 {
        self.get().statistic(id).unwrap()
    }

    /// Has the socket take in a connection of the test's, as if `endpoint` had made it.
    pub fn attach(&self, endpoint: i32, connection: &Arc<FakeConnection>) -> Result<(), Rejected> {
        self.get().attach(endpoint, Arc::clone(connection) as Arc<dyn Connection>)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ = registry::close(self.0);
    }
}

/// Two PAIRs of one process that can talk.
pub fn pairs() -> [Opened; 2] {
    let address = fresh_name();
    let pairs = [Opened::cooked(PAIR), Opened::cooked(PAIR)];
    pairs[0].bind(&address);
    pairs[1].connect(&address);
    pairs
}

/// An address that no other test uses.
pub fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("inproc://fixture {}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn message(text: &str) -> Message {
    Message::from_body(Body::copy_from(text.as_bytes()).unwrap())
}

pub fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.body.as_slice()).into_owned()
}

/// A connection made of vectors, whose peer is the test.
pub struct FakeConnection {
    adopter: OnceLock<Box<dyn Adopter>>,
    /// How many messages it still takes.
    room: AtomicUsize,
    sent: Mutex<Vec<String>>,
    arrived: Mutex<VecDeque<Message>>,
    /// Bytes of each that was received.
    received: Mutex<Vec<usize>>,
    /// What is below, if it is more than memory.
    stream: Option<FakeStream>,
    pub delivered: AtomicUsize,
    pub resumed: AtomicUsize,
    pub closed: AtomicUsize,
}

impl FakeConnection {
    fn new(room: usize, stream: Option<FakeStream>) -> Arc<FakeConnection> {
        Arc::new(FakeConnection {
            adopter: OnceLock::new(),
            room: AtomicUsize::new(room),
            sent: Mutex::new(Rank::Outbound, Vec::new()),
            arrived: Mutex::new(Rank::Inbound, VecDeque::new()),
            received: Mutex::new(Rank::Inbound, Vec::new()),
            stream,
            delivered: AtomicUsize::new(0),
            resumed: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
        })
    }

    pub fn with_room(room: usize) -> Arc<FakeConnection> {
        FakeConnection::new(room, None)
    }

    /// One over a stream that holds so many pieces back.
    pub fn over_stream(unwritten: usize) -> Arc<FakeConnection> {
        FakeConnection::new(0, Some(FakeStream::new(unwritten, |_| ())))
    }

    /// One over a stream that is read by `pump`.
    pub fn read_by(pump: fn(Option<&Landing>)) -> Arc<FakeConnection> {
        FakeConnection::new(0, Some(FakeStream::new(0, pump)))
    }

    /// How many pieces its stream holds back.
    pub fn unwritten(&self) -> usize {
        self.stream.as_ref().map_or(0, |stream| stream.unwritten.load(Ordering::Relaxed))
    }

    /// How often what had landed was asked back from its stream.
    pub fn reclaimed(&self) -> usize {
        self.stream.as_ref().map_or(0, |stream| stream.reclaimed.load(Ordering::Relaxed))
    }

    /// How often its stream was left to the reactor.
    pub fn read_by_reactor(&self) -> usize {
        self.stream.as_ref().map_or(0, |stream| stream.read_by_reactor.load(Ordering::Relaxed))
    }

    pub fn set_room(&self, room: usize) {
        self.room.store(room, Ordering::Relaxed);
        self.tell(|adopter| adopter.writable());
    }

    pub fn arrive(&self, text: &str) {
        self.arrived.lock().push_back(message(text));
        self.tell(|adopter| adopter.readable());
    }

    pub fn end(&self) {
        self.tell(|adopter| adopter.ended());
    }

    pub fn displace(&self, count: usize) {
        self.tell(|adopter| adopter.displaced(count));
    }

    pub fn withdraw(&self) {
        self.tell(|adopter| adopter.withdrawn());
    }

    pub fn sent(&self) -> Vec<String> {
        self.sent.lock().clone()
    }

    fn tell(&self, news: impl FnOnce(&dyn Adopter)) {
        news(&**self.adopter.get().expect("the socket has adopted it"));
    }
}

impl Connection for FakeConnection {
    fn adopt(&self, adopter: Box<dyn Adopter>) {
        assert!(self.adopter.set(adopter).is_ok(), "it is adopted once");
    }

    fn send(&self, message: &mut Message) -> Result<Sent, Refusal> {
        let room = self.room.load(Ordering::Relaxed).checked_sub(1).ok_or(Refusal::Busy)?;
        self.room.store(room, Ordering::Relaxed);
        self.sent.lock().push(text(&std::mem::take(message)));
        Ok(Sent { can_send_more: room > 0, then: AfterSend::Deliver })
    }

    fn prepare(&self, _message: &Message) -> Result<(), Refusal> {
        Ok(())
    }

    fn recv(&self, message: &mut Message) -> Received {
        let arrived = self.arrived.lock().pop_front();
        let size = arrived.as_ref().map(Message::wire_len);
        self.received.lock().extend(size);
        let has_message = arrived.map(|arrived| *message = arrived).is_some();
        let then = if has_message { AfterRecv::Resume } else { AfterRecv::Nothing };
        Received { has_message, next: Next::Unknown, then }
    }

    fn is_readable(&self) -> bool {
        !self.arrived.lock().is_empty()
    }

    fn held(&self) -> usize {
        self.arrived.lock().iter().map(Message::wire_len).sum()
    }

    fn load(&self) -> Load {
        let (bytes, sent, received) = (self.held(), self.sent(), self.received.lock().clone());
        Load {
            messages_sent: sent.len() as u64,
            bytes_sent: sent.iter().map(|text| text.len() as u64).sum(),
            messages_received: received.len() as u64,
            bytes_received: received.iter().sum::<usize>() as u64,
            receiving: Backup { bytes, bytes_most: bytes.max(MOST), ..Backup::default() },
            ..Load::default()
        }
    }

    fn can_send(&self) -> bool {
        self.room.load(Ordering::Relaxed) > 0
    }

    fn deliver(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    fn resume(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    fn stream(&self) -> Option<&dyn Stream> {
        self.stream.as_ref().map(|stream| stream as &dyn Stream)
    }

    fn close(&self, _deadline: Instant) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a fake connection says of the most that has waited on it.
const MOST: usize = 4;

/// A stream whose kernel takes one piece at a time.
pub struct FakeStream {
    /// It can always be written to.
    descriptor: EventFd,
    unwritten: AtomicUsize,
    pump: fn(Option<&Landing>),
    reclaimed: AtomicUsize,
    read_by_reactor: AtomicUsize,
}

impl FakeStream {
    fn new(unwritten: usize, pump: fn(Option<&Landing>)) -> FakeStream {
        FakeStream {
            descriptor: EventFd::new().unwrap(),
            unwritten: AtomicUsize::new(unwritten),
            pump,
            reclaimed: AtomicUsize::new(0),
            read_by_reactor: AtomicUsize::new(0),
        }
    }
}

impl Stream for FakeStream {
    fn descriptor(&self) -> RawFd {
        self.descriptor.signalled_through()
    }

    fn pump(&self, landing: Option<&Landing>) {
        (self.pump)(landing);
    }

    fn reclaim(&self) {
        self.reclaimed.fetch_add(1, Ordering::Relaxed);
    }

    fn read_in_background(&self) {
        self.read_by_reactor.fetch_add(1, Ordering::Relaxed);
    }

    fn write_later(&self) {}

    fn write_out(&self) {
        let left = self.unwritten.load(Ordering::Relaxed);
        self.unwritten.store(left.saturating_sub(1), Ordering::Relaxed);
    }

    fn drain(&self) {
        self.write_out();
    }

    fn is_within_reach(&self, _patience: Duration) -> bool {
        true
    }

    fn finish(&self, _deadline: Instant) {}

    fn has_unwritten(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed) > 0
    }

    fn begin_driving(&self) {}

    fn end_driving(&self) {}

    fn peer_address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::from(([192, 0, 2, 1], 4711)))
    }

    fn peer_credentials(&self) -> Option<Credentials> {
        None
    }

    fn fault(&self) -> Option<Fault> {
        Some(Fault::Violation)
    }

    fn parting(&self) -> Parting {
        Parting::Passing
    }
}
