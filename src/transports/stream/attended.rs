//! A stream with what is kept of it for its whole life, where somebody has asked for that: how its
//! peer keeps silent, and what it said when it began. Most streams have nothing of this, and cost
//! nothing for it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::arrival::News;
use super::byte_stream::{Awaits, ByteStream, Sink, Source};
use super::connection::StreamConnection;
use super::pulse::{Hearing, Pulse, Verdict};
use super::scratch;
use crate::io::{Handler, Key, Reactor};
use crate::memory::OutOfMemory;
use crate::message::Room;
use crate::sync::{
    Mutex, OnceLock, Rank,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use crate::sys::{self, Credentials, Event, Read};
use crate::transports::Fault;

/// What is wanted of a stream besides its bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// After how much silence the peer is asked whether it is there.
    pub patience: Option<Duration>,
    /// What it has said besides, to be kept.
    pub headers: Option<Box<[u8]>>,
}

/// Attends to the silence of one peer. What has come is noted by whoever reads; everything else
/// happens on the reactor's thread.
pub struct Attention {
    began: Instant,
    /// When something last came: nanoseconds since the beginning. Relaxed: nothing else depends on
    /// it, and whoever judges looks at the stream before.
    heard: AtomicU64,
    pulse: Mutex<Pulse>,
    /// The peer was asked for a sign of life and gave none.
    is_gone: AtomicBool,
    key: OnceLock<Key>,
}

struct Attended {
    stream: Arc<dyn ByteStream>,
    attention: Option<Attention>,
    headers: Option<Box<[u8]>>,
}

/// Has a connection looked at when its peer has been silent.
struct Attendant(Weak<StreamConnection>);

/// `stream`, and what is wanted of it.
#[must_use]
pub fn attended(stream: Arc<dyn ByteStream>, wishes: Wishes) -> Arc<dyn ByteStream> {
    if wishes == Wishes::default() {
        return stream;
    }
    let Wishes { patience, headers } = wishes;
    Arc::new(Attended { stream, attention: patience.map(Attention::new), headers })
}

impl Attention {
    fn new(patience: Duration) -> Attention {
        let began = sys::now();
        Attention {
            began,
            heard: AtomicU64::new(0),
            pulse: Mutex::new(Rank::Silence, Pulse::new(patience, began)),
            is_gone: AtomicBool::new(false),
            key: OnceLock::new(),
        }
    }

    fn note_heard(&self) {
        let since = sys::now().saturating_duration_since(self.began).as_nanos();
        self.heard.store(since as u64, Ordering::Relaxed);
    }

    fn due(&self) -> Instant {
        self.pulse.lock().due()
    }

    fn look(&self, now: Instant, hearing: Hearing) -> Verdict {
        let heard = self.began + Duration::from_nanos(self.heard.load(Ordering::Relaxed));
        self.pulse.lock().look(now, heard, hearing)
    }

    fn put_off(&self, now: Instant) {
        self.pulse.lock().put_off(now);
    }

    fn set_timer(&self, reactor: &Reactor, when: Instant) {
        if let Some(key) = self.key.get() {
            reactor.set_timer(*key, Some(when));
        }
    }
}

impl StreamConnection {
    /// Attends to the silence of the peer from now on, where that is wanted. That comes before the
    /// watch begins, which may tell of the end at once.
    ///
    /// # Errors
    /// When there is no memory for that.
    pub(super) fn begin_attending(&self) -> io::Result<()> {
        let Some(attention) = self.stream.attention() else { return Ok(()) };
        let attendant = Arc::new(Attendant(self.me.clone()));
        let key = self.watch.reactor().add(|_| attendant as Arc<dyn Handler>);
        let key = key.map_err(|OutOfMemory| io::ErrorKind::OutOfMemory)?;
        attention.key.get_or_init(|| key);
        attention.set_timer(self.watch.reactor(), attention.due());
        Ok(())
    }

    /// Hears of the stream no more.
    pub(super) fn stop_watching(&self) {
        self.watch.stop();
        if let Some(key) = self.stream.attention().and_then(|attention| attention.key.get()) {
            self.watch.reactor().forget(*key);
        }
    }

    /// What is wrong with a peer that gives no sign of life.
    pub(super) fn silence(&self) -> Option<Fault> {
        let attention = self.stream.attention()?;
        attention.is_gone.load(Ordering::Relaxed).then_some(Fault::Silent)
    }

    pub(super) fn has_ended(&self) -> bool {
        // Pairs with the swap in `end`.
        self.is_ended.load(Ordering::Acquire)
    }

    /// Reads whatever may wait to be received.
    pub(super) fn listen(&self) -> News {
        let mut buffer = scratch::take();
        let arrival = self.reader.read_on(&*self.stream, || self.host.size_max(), &mut buffer);
        drop(buffer);
        self.digest(arrival)
    }

    fn attend(&self, attention: &Attention) {
        // What has come, and nobody has read, is no silence: the reader may have been kept.
        if sys::now() >= attention.due() && self.hearing() == Hearing::Open {
            self.listen();
        }
        if self.has_ended() {
            return;
        }
        let now = sys::now();
        let next = match attention.look(now, self.hearing()) {
            Verdict::Wait { until } => until,
            Verdict::Ask { until } => {
                if !self.writer.ask() {
                    attention.put_off(now);
                }
                self.write_wanted();
                until
            }
            Verdict::Gone => {
                attention.is_gone.store(true, Ordering::Relaxed);
                return self.end();
            }
        };
        attention.set_timer(self.watch.reactor(), next);
    }

    fn hearing(&self) -> Hearing {
        let is_blocked = self.reader.is_full() || self.writer.is_stuck();
        if is_blocked { Hearing::Blocked } else { Hearing::Open }
    }
}

impl Handler for Attendant {
    fn ready(&self, _event: Event) {}

    fn timeout(&self, _now: Instant) {
        if let Some(connection) = self.0.upgrade()
            && let Some(attention) = connection.stream.attention()
        {
            connection.attend(attention);
        }
    }

    fn broken(&self) {
        if let Some(connection) = self.0.upgrade() {
            connection.broken();
        }
    }
}

impl Source for Attended {
    fn read(&self, room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
        let read = self.stream.read(room, rest);
        if let (Read::Bytes(_), Some(attention)) = (&read, &self.attention) {
            attention.note_heard();
        }
        read
    }

    fn holds(&self) -> bool {
        self.stream.holds()
    }
}

impl Sink for Attended {
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write(parts)
    }

    fn has_bytes(&self, bytes: &[u8]) -> bool {
        self.stream.has_bytes(bytes)
    }

    fn is_ahead(&self) -> bool {
        self.stream.is_ahead()
    }
}

impl ByteStream for Attended {
    fn fault(&self) -> Option<Fault> {
        self.stream.fault()
    }

    fn complaint(&self) -> Option<String> {
        self.stream.complaint()
    }

    fn awaits(&self) -> Awaits {
        self.stream.awaits()
    }

    fn await_room(&self, limit: Duration) -> bool {
        self.stream.await_room(limit)
    }

    fn greeting_time(&self) -> Duration {
        self.stream.greeting_time()
    }

    fn reads_bytes(&self) -> bool {
        self.stream.reads_bytes()
    }

    fn is_within_reach(&self, patience: Duration) -> bool {
        self.stream.is_within_reach(patience)
    }

    fn descriptor(&self) -> RawFd {
        self.stream.descriptor()
    }

    fn end(&self) {
        self.stream.end();
    }

    fn break_off(&self) {
        self.stream.break_off();
    }

    fn discard_input(&self) {
        self.stream.discard_input();
    }

    fn set_send_buffer(&self, size: u32) {
        self.stream.set_send_buffer(size);
    }

    fn set_recv_buffer(&self, size: u32) {
        self.stream.set_recv_buffer(size);
    }

    fn unacknowledged(&self) -> usize {
        self.stream.unacknowledged()
    }

    fn failure(&self) -> Option<io::Error> {
        self.stream.failure()
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        self.stream.peer_address()
    }

    fn peer_credentials(&self) -> Option<Credentials> {
        self.stream.peer_credentials()
    }

    fn peer_headers(&self) -> Option<&[u8]> {
        self.headers.as_deref()
    }

    fn peer_certificate(&self) -> Option<&[u8]> {
        self.stream.peer_certificate()
    }

    fn attention(&self) -> Option<&Attention> {
        self.attention.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeSocket, Pipe, Traits};
    use crate::transports::stream::fixtures::{FakeStream, PEER, Peer, codec};
    use crate::transports::stream::reader::short::PING;
    use crate::transports::stream::watch::Standing;
    use crate::transports::{Connection, Parting, Report, Stream};
    use std::thread::sleep;

    const PATIENCE: Duration = Duration::from_millis(40);
    /// Its own, and that of the socket: no attendant's.
    const OWN_WEAK: usize = 2;

    /// A connection whose peer may be silent for a moment.
    struct Setup {
        connection: Arc<StreamConnection>,
        pipe: Arc<Pipe>,
        stream: Arc<FakeStream>,
        peer: Peer,
        socket: FakeSocket,
    }

    fn watched(stream: &Arc<FakeStream>) -> Arc<dyn ByteStream> {
        attended(Arc::clone(stream) as _, Wishes { patience: Some(PATIENCE), headers: None })
    }

    fn setup() -> Setup {
        let (socket, (stream, peer)) = (FakeSocket::new(Traits::pair()), FakeStream::pair());
        let (reactor, settings) = (socket.reactor(), Traits::pair().settings);
        let connection =
            StreamConnection::new(watched(&stream), codec(), socket.host(), reactor, &settings);
        connection.start(Standing::Fresh).unwrap();
        socket.host().attach(Arc::clone(&connection) as _).unwrap();
        Setup { connection, pipe: socket.pipe(0), stream, peer, socket }
    }

    #[test]
    fn nothing_stands_between_where_nothing_is_wanted() {
        let (stream, _peer) = FakeStream::pair();
        let plain = attended(Arc::clone(&stream) as _, Wishes::default());
        assert!(std::ptr::addr_eq(Arc::as_ptr(&plain), Arc::as_ptr(&stream)));
        assert!(plain.attention().is_none());
    }

    #[test]
    fn what_was_said_at_the_beginning_is_kept() {
        let (stream, peer) = FakeStream::pair();
        let wishes = Wishes { headers: Some(b"A: b\r\n"[..].into()), ..Wishes::default() };
        let own = attended(Arc::clone(&stream) as _, wishes);
        assert_eq!(own.peer_headers(), Some(&b"A: b\r\n"[..]));
        assert!(own.attention().is_none());
        peer.write(b"in");
        assert_eq!(own.read(None, &mut [0; 9]), Read::Bytes(2));
        assert_eq!(watched(&stream).peer_headers(), None);
    }

    #[test]
    fn a_stream_that_is_attended_is_the_same_for_everybody_else() {
        let (stream, peer) = FakeStream::pair();
        stream.mood.change(|mood| mood.unacknowledged = 7);
        let own = watched(&stream);
        assert_eq!((own.descriptor(), own.peer_address()), (stream.descriptor(), Some(PEER)));
        assert_eq!(own.peer_credentials(), stream.peer_credentials());
        assert_eq!((own.unacknowledged(), own.has_bytes(b"x")), (7, true));
        assert_eq!(own.write(&[IoSlice::new(b"out")]).unwrap(), 3);
        assert_eq!(peer.read(3), b"out");
        peer.write(b"in");
        assert_eq!(own.read(None, &mut [0; 9]), Read::Bytes(2));
        own.set_send_buffer(5000);
        own.set_recv_buffer(6000);
        own.discard_input();
        own.end();
        own.break_off();
        let deeds = stream.deeds();
        assert_eq!((deeds.send_buffer, deeds.recv_buffer), (5000, 6000));
        assert_eq!((deeds.discarded, deeds.ended, deeds.broken_off), (1, 1, 1));
        stream.mood.change(|mood| mood.failure = Some(1));
        assert_eq!(own.failure().and_then(|error| error.raw_os_error()), Some(1));
    }

    #[test]
    fn who_says_nothing_is_asked_and_given_up() {
        let Setup { connection, pipe, peer, socket, .. } = &setup();
        let began = Instant::now();
        assert_eq!(peer.read(1), [PING]);
        assert!(began.elapsed() >= PATIENCE / 2);
        assert_eq!(connection.fault(), None);
        assert_eq!(peer.read_to_end(), b"");
        pipe.await_end();
        assert_eq!(
            (connection.fault(), connection.parting()),
            (Some(Fault::Silent), Parting::Passing)
        );
        assert_eq!(socket.reports(), [Report::Broken]);
        // Nobody attends to it any more.
        socket.settle();
        assert_eq!(Arc::weak_count(connection), OWN_WEAK);
    }

    #[test]
    fn whatever_it_says_is_an_answer() {
        let Setup { connection, pipe, peer, socket, .. } = &setup();
        for (words, body) in
            [(&b"\x01a"[..], Some(&b"a"[..])), (b"\x05hal", None), (b"f!", Some(b"half!"))]
        {
            assert_eq!(peer.read(1), [PING]);
            peer.write(words);
            body.into_iter().for_each(|body| assert_eq!(pipe.recv().as_deref(), Some(body)));
        }
        assert_eq!(peer.read(1), [PING]);
        assert_eq!(Arc::weak_count(connection), OWN_WEAK + 1);
        connection.close(Instant::now());
        socket.settle();
        assert_eq!(Arc::weak_count(connection), OWN_WEAK);
    }

    #[test]
    fn nobody_is_asked_while_we_read_nothing() {
        let Setup { connection, pipe, peer, .. } = &setup();
        peer.write(b"\x01a\x01b");
        sleep(PATIENCE * 4);
        assert!(peer.hears_nothing());
        assert_eq!(connection.fault(), None);
        for body in [b"a", b"b"] {
            assert_eq!(pipe.recv().as_deref(), Some(&body[..]));
        }
        assert_eq!(peer.read(1), [PING]);
    }

    #[test]
    fn nobody_is_asked_who_reads_nothing() {
        let Setup { connection, pipe, peer, stream, .. } = &setup();
        stream.mood.change(|mood| mood.room = Some(2));
        pipe.try_send(b"abcd").unwrap();
        sleep(PATIENCE * 4);
        assert_eq!(peer.read(2), b"\x04a");
        assert!(peer.hears_nothing());
        assert_eq!(connection.fault(), None);
        stream.mood.change(|mood| mood.room = None);
        connection.write_out();
        assert_eq!(peer.read(4), [b'b', b'c', b'd', PING]);
    }

    #[test]
    fn what_lies_in_the_kernel_is_heard_before_anybody_is_given_up() {
        let Setup { connection, pipe, peer, .. } = &setup();
        // A caller has read and does so no more: for a while nobody else does.
        for _ in 0..20 {
            connection.pump(None);
            peer.write(b"\x00");
            sleep(PATIENCE / 4);
        }
        assert_eq!(connection.fault(), None);
        assert_eq!(pipe.recv().as_deref(), Some(&b""[..]));
    }
}
