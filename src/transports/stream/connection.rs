//! Messages over one stream, after the greeting: a reader and a writer, wired to the stream that
//! carries their bytes and to the reactor.
//!
//! A blocked caller reads and writes for itself. The reactor notices the end of the stream, reads
//! while no caller does, and writes what callers left behind.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::arrival::{Arrival, Handback, News, Passage};
use super::byte_stream::ByteStream;
use super::circumstances::Gathering;
use super::codec::{Codec, Encoder, Parting};
use super::ending::read_rest;
use super::landing::Visitor;
use super::loan::Borrower;
use super::patience::Patience;
use super::reader::Reader;
use super::scratch;
use super::watch::{Standing, Wanted, Watch};
use super::width::{Reach, Width};
use super::writer::Writer;
use super::written::Written;
use crate::error::{Error, Refusal};
use crate::io::{Handler, Reactor, Tick};
use crate::message::{Landing, Message};
use crate::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};
use crate::sys::{Credentials, Event, nanoseconds, now_ms};
use crate::trace;
use crate::transports::{
    Adopter, AfterRecv, Connection, Fault, Host, Load, Moment, Next, Received, Report, Sent,
    Settings, Stream, tcp_option, with_rhythm,
};

pub struct StreamConnection {
    pub(super) me: Weak<StreamConnection>,
    pub(super) stream: Arc<dyn ByteStream>,
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    send_width: Width,
    patience: Patience,
    pub(super) watch: Watch,
    pub(super) host: Arc<dyn Host>,
    pipe: OnceLock<Box<dyn Adopter>>,
    pub(super) is_ended: AtomicBool,
}

impl StreamConnection {
    #[must_use]
    pub fn new(
        stream: Arc<dyn ByteStream>,
        codec: Codec,
        host: Arc<dyn Host>,
        reactor: Arc<Reactor>,
        settings: &Settings,
    ) -> Arc<StreamConnection> {
        let gathering = match (tcp_option::no_delay(settings), host.answers_for_sure()) {
            (true, _) => Gathering::Never,
            (false, true) => Gathering::Answers,
            (false, false) => Gathering::Allowed,
        };
        let reach = Reach::of(stream.peer_address());
        Arc::new_cyclic(|me| StreamConnection {
            me: me.clone(),
            reader: Reader::new(codec.decoder, settings.recv_limit())
                .with_width(Width::new(settings.recv_buffer_grown, reach)),
            send_width: Width::new(settings.send_buffer_grown, reach),
            writer: writer(codec.encoder, settings, gathering, &*stream),
            patience: Patience::new(reach),
            watch: Watch::new(reactor, stream.descriptor()),
            stream,
            host,
            pipe: OnceLock::new(),
            is_ended: AtomicBool::new(false),
        })
    }

    /// Has the reactor watch for the end of the stream from now on.
    ///
    /// # Errors
    /// When the kernel cannot watch it.
    pub fn start(self: &Arc<Self>, standing: Standing) -> std::io::Result<()> {
        self.begin_attending()?;
        self.watch.start(Arc::clone(self) as _, standing, || self.wanted())
    }

    /// Ends a connection that the socket does not want, with `answer` for its only words.
    pub fn reject(&self, answer: &[u8]) {
        if !answer.is_empty() {
            self.writer.close_with(answer, &*self.stream);
        }
        self.end();
    }

    pub(super) fn digest(&self, arrival: Arrival) -> News {
        if let Some(size) = self.reader.width.take() {
            self.stream.set_recv_buffer(size);
        }
        if let Some(answer) = arrival.answer {
            self.writer.interject(answer);
            self.write_wanted();
        }
        self.tell(arrival.news);
        arrival.news
    }

    pub(super) fn tell(&self, news: News) {
        match news {
            News::Nothing | News::Bytes => {}
            News::Readable => self.with_pipe(|pipe| pipe.readable()),
            News::Last => {
                self.with_pipe(|pipe| pipe.readable());
                self.end();
            }
            News::Ended => self.end(),
        }
    }

    /// The peer is gone or has misbehaved, or writing failed.
    pub(super) fn end(&self) {
        // Pairs with the one in `close`: one of the two ends it.
        if self.is_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(farewell) = self.reader.farewell() {
            self.writer.close_with(&farewell.frame, &*self.stream);
        } else {
            self.writer.close();
            // Endings that were announced are not counted, as with libnanomsg.
            self.host.report(Report::Broken);
        }
        self.stream.discard_input();
        self.stream.break_off();
        self.stop_watching();
        self.with_pipe(|pipe| pipe.ended());
    }

    /// Writes what somebody wants to have written.
    pub(super) fn write_wanted(&self) -> Written {
        self.after_write(self.writer.write(&*self.stream))
    }

    pub(super) fn write_all(&self) -> Written {
        self.after_write(self.writer.write_all(&*self.stream))
    }

    #[inline]
    fn after_write(&self, written: Written) -> Written {
        if written.has_displaced {
            self.tell_displaced();
        }
        if written.is_broken {
            // The reactor hears of the hang-up that this causes, reads what came before, and
            // ends the connection.
            self.stream.break_off();
            return written;
        }
        if written.must_tick {
            self.begin_ticking();
        }
        if written.is_stuck {
            self.writer.note_standstill(now_ms);
        }
        if written.became_ready {
            self.with_pipe(|pipe| pipe.writable());
        }
        written
    }

    /// Tells who reads and writes from now on.
    pub(super) fn trace(&self, event: trace::Happening) {
        if trace::is_on() {
            self.host.trace(event, self.stream.peer_address(), format_args!(""));
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            readable: self.reader.ask(),
            writable: self.writer.awaits_room(),
            lasts: self.reader.is_shared(),
        }
    }

    pub(super) fn renew_watch(&self) {
        self.watch.renew(|| self.wanted());
    }

    pub(super) fn with_pipe(&self, call: impl FnOnce(&dyn Adopter)) {
        if let Some(pipe) = self.pipe.get() {
            call(pipe.as_ref());
        }
    }
}

impl Connection for StreamConnection {
    fn adopt(&self, pipe: Box<dyn Adopter>) {
        let _ = self.pipe.set(pipe);
    }

    fn send(&self, message: &mut Message) -> Result<Sent, Refusal> {
        let size = message.body.len();
        let sent = with_rhythm(|rhythm| self.writer.accept(message, rhythm, now))?;
        self.send_width.note(size);
        Ok(sent)
    }

    fn prepare(&self, message: &Message) -> Result<(), Refusal> {
        self.writer.prepare(message)
    }

    fn recv(&self, message: &mut Message) -> Received {
        let taken = self.reader.take(|| self.host.size_max(), message);
        self.writer.note_received(taken.more);
        let then = if taken.must_resume { AfterRecv::Resume } else { AfterRecv::Nothing };
        Received { has_message: taken.has_message, next: Next::Unknown, then }
    }

    fn is_readable(&self) -> bool {
        self.reader.is_readable()
    }

    fn held(&self) -> usize {
        self.reader.held()
    }

    fn load(&self) -> Load {
        let now_ms = now_ms();
        self.reader.load(now_ms, self.writer.load(now_ms))
    }

    fn can_send(&self) -> bool {
        self.writer.can_accept()
    }

    fn take_displaced(&self) -> usize {
        self.writer.take_displaced()
    }

    fn deliver(&self) {
        if let Some(size) = self.send_width.take() {
            self.stream.set_send_buffer(size);
        }
        self.write_wanted();
        with_rhythm(|rhythm| rhythm.end(now()));
    }

    fn takes_loans(&self) -> bool {
        self.writer.takes_loans()
    }

    fn reads_loans(&self) -> bool {
        self.stream.reads_bytes()
    }

    fn deliver_lent(&self) -> Result<(), Error> {
        let borrower = Borrower(&self.writer);
        let stay = self.writer.begin_staying();
        self.deliver();
        if let Some(size) = stay {
            self.write_for_a_moment(size);
        }
        let (written, result) = self.writer.return_loan(&*self.stream);
        std::mem::forget(borrower);
        self.after_write(written);
        if stay.is_some() {
            // Nobody was told while this thread drove, neither of what is left nor of buffers.
            self.write_all();
        }
        result
    }

    /// A peer whose last words are a violation is ended when everything before them is received.
    fn resume(&self) {
        if self.reader.is_broken() {
            self.end();
        } else {
            self.renew_watch();
        }
    }

    fn stream(&self) -> Option<&dyn Stream> {
        Some(self)
    }

    fn close(&self, deadline: Instant) {
        self.writer.close();
        self.stop_watching();
        // Pairs with the one in `end`.
        if !self.is_ended.swap(true, Ordering::AcqRel) {
            self.host.report(Report::Dropped);
            read_rest(&*self.stream, &self.reader, deadline);
            self.stream.break_off();
        }
    }
}

impl Stream for StreamConnection {
    fn descriptor(&self) -> RawFd {
        self.stream.descriptor()
    }

    fn pump(&self, landing: Option<&Landing>) {
        let mut buffer = scratch::take();
        let wait = |look: &mut dyn FnMut() -> bool| self.patience.wait(look);
        let visitor = landing.map(|landing| Visitor { landing, wait: &wait });
        let (host, stream) = (&self.host, &*self.stream);
        let read = self.reader.pump(stream, || host.size_max(), &mut buffer, visitor.as_ref());
        drop(buffer);
        if let Passage::ToCallers { look_after } = read.1 {
            self.trace(trace::Happening::CallersRead);
            self.renew_watch();
            self.watch.look_after(look_after);
        }
        self.digest(read.0);
    }

    fn reclaim(&self) {
        if !self.reader.reclaim() {
            self.end();
        }
    }

    fn read_in_background(&self) {
        self.reader.share();
        self.renew_watch();
    }

    fn write_later(&self) {
        if self.writer.rely_on_ticks() {
            self.begin_ticking();
            with_rhythm(|rhythm| rhythm.end(now()));
        }
    }

    fn write_out(&self) {
        self.write_all();
        with_rhythm(|rhythm| rhythm.end(now()));
    }

    fn drain(&self) {
        self.writer.write_all(&*self.stream);
    }

    fn is_within_reach(&self, patience: Duration) -> bool {
        self.writer.is_within_reach(patience)
            && self.reader.is_within_reach(patience)
            && self.stream.is_within_reach(patience)
    }

    fn finish(&self, deadline: Instant) {
        // A child may have the descriptor, too, and the peer would wait for the end of that.
        self.stream.end();
        read_rest(&*self.stream, &self.reader, deadline);
    }

    fn has_unwritten(&self) -> bool {
        !self.writer.is_settled()
    }

    fn begin_driving(&self) {
        self.writer.begin_driving();
    }

    fn end_driving(&self) {
        self.writer.end_driving();
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        self.stream.peer_address()
    }

    fn peer_credentials(&self) -> Option<Credentials> {
        self.stream.peer_credentials()
    }

    fn peer_headers(&self) -> Option<&[u8]> {
        self.stream.peer_headers()
    }

    fn peer_certificate(&self) -> Option<&[u8]> {
        self.stream.peer_certificate()
    }

    fn fault(&self) -> Option<Fault> {
        self.reader.fault().or_else(|| self.silence()).or_else(|| self.stream.fault())
    }

    fn parting(&self) -> Parting {
        let said = self.reader.farewell().map_or(Parting::Passing, |farewell| farewell.parting);
        match said {
            Parting::Passing if self.reader.is_futile() => Parting::Futile,
            Parting::Passing | Parting::Futile | Parting::Final => said,
        }
    }
}

impl Handler for StreamConnection {
    fn ready(&self, event: Event) {
        if event.ended {
            return self.read_to_end();
        }
        let mut may_rest = false;
        if event.readable {
            let mut buffer = scratch::take();
            let arrival =
                self.reader.read_ahead(&*self.stream, || self.host.size_max(), &mut buffer);
            drop(buffer);
            if let Some(arrival) = arrival {
                // Even if there is enough by now: mostly that is received before more comes.
                may_rest = !event.writable && self.watch.lasts();
                if self.digest(arrival) == News::Readable && may_rest {
                    self.watch.reactor().expect_more();
                }
            }
        }
        if event.writable {
            self.writer.note_room();
            self.write_all();
        }
        if !may_rest {
            self.renew_watch();
        }
    }

    /// Looks whether callers still read.
    fn timeout(&self, _now: Instant) {
        let is_awaited = || self.pipe.get().is_some_and(|pipe| pipe.is_awaited());
        match self.reader.look(is_awaited, now_ms) {
            Handback::NotYet(delay) => self.watch.look_after(delay),
            Handback::Done => {
                self.trace(trace::Happening::ReactorReads);
                self.resume();
            }
        }
        // Last, because a failure sets an earlier timer.
        if self.watch.is_deaf() {
            self.renew_watch();
        }
    }

    fn tick(&self) -> Tick {
        self.act(self.writer.look())
    }

    fn glance(&self) -> Tick {
        self.act(self.writer.glance())
    }

    fn broken(&self) {
        self.host.broken();
    }
}

fn writer(
    encoder: Arc<dyn Encoder>,
    settings: &Settings,
    gathering: Gathering,
    stream: &dyn ByteStream,
) -> Writer {
    let writer = Writer::new(encoder, settings.send_bounds(), gathering);
    if stream.can_wait() { writer.waiting_in_kernel() } else { writer }
}

fn now() -> Moment {
    Moment(nanoseconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Spin;
    use crate::message::Body;
    use crate::sys::{Interest, OsStream};
    use crate::testing::{FakeSocket, Pipe, Traits};
    use crate::transports::AfterSend;
    use crate::transports::stream::fixtures::{FakeStream, PEER, Peer, codec};
    use crate::transports::stream::reader::short::{FAREWELL, PING, VIOLATION};
    use std::io::{self, ErrorKind, IoSlice};
    use std::time::Duration;

    /// A connection that a socket has taken in, and all who have to do with it.
    struct Setup {
        connection: Arc<StreamConnection>,
        pipe: Arc<Pipe>,
        stream: Arc<FakeStream>,
        peer: Peer,
        // Last: its end is everybody's.
        socket: FakeSocket,
    }

    fn fresh(traits: Traits) -> (Arc<StreamConnection>, Arc<FakeStream>, Peer, FakeSocket) {
        let (socket, (stream, peer)) = (FakeSocket::new(traits), FakeStream::pair());
        let (reactor, settings) = (socket.reactor(), traits.settings);
        let connection = StreamConnection::new(
            Arc::clone(&stream) as _,
            codec(),
            socket.host(),
            reactor,
            &settings,
        );
        (connection, stream, peer, socket)
    }

    impl Setup {
        /// The reactor knows nothing of it yet.
        fn new() -> Setup {
            Setup::with(Traits::pair())
        }

        fn with(traits: Traits) -> Setup {
            let (connection, stream, peer, socket) = fresh(traits);
            socket.host().attach(Arc::clone(&connection) as _).unwrap();
            Setup { connection, pipe: socket.pipe(0), stream, peer, socket }
        }

        fn started() -> Setup {
            let setup = Setup::new();
            setup.connection.start(Standing::Fresh).unwrap();
            setup
        }

        fn ended(&self) -> usize {
            self.pipe.news.change(|news| news.ended)
        }
    }

    const READABLE: Event = Event { key: 0, readable: true, writable: false, ended: false };
    const ENDED: Event = Event { key: 0, readable: false, writable: false, ended: true };

    fn offer(connection: &StreamConnection, body: &[u8]) -> AfterSend {
        let mut message = Message::from_body(Body::copy_from(body).unwrap());
        connection.send(&mut message).unwrap().then
    }

    /// The same in the middle of a stream of this thread.
    fn offer_more(connection: &StreamConnection, body: &[u8]) -> AfterSend {
        with_rhythm(|rhythm| rhythm.stream());
        offer(connection, body)
    }

    #[test]
    fn messages_go_both_ways_without_the_reactor() {
        let Setup { connection, pipe, peer, .. } = &Setup::new();
        pipe.send(b"hi");
        assert_eq!(peer.read(3), b"\x02hi");
        assert!(!connection.has_unwritten());
        assert_eq!(pipe.try_recv(), None);
        peer.write(b"\x03abc\x01d\x05par");
        connection.pump(None);
        assert!(connection.is_readable());
        assert_eq!(pipe.news.change(|news| news.readable), 1);
        assert_eq!(pipe.try_recv().as_deref(), Some(&b"abc"[..]));
        assert_eq!(pipe.try_recv().as_deref(), Some(&b"d"[..]));
        assert_eq!((pipe.try_recv(), connection.is_readable()), (None, false));
        peer.write(b"ts");
        connection.pump(None);
        assert_eq!(pipe.try_recv().as_deref(), Some(&b"parts"[..]));
        assert_eq!(connection.peer_address(), Some(PEER));
        let process = connection.peer_credentials().unwrap().process;
        assert_eq!(process, std::process::id() as i32);
    }

    #[test]
    fn the_reactor_reads_while_no_caller_does() {
        let Setup { pipe, peer, .. } = &Setup::started();
        for body in [b"\x01a", b"\x01b", b"\x01c"] {
            peer.write(body);
            assert_eq!(pipe.recv().as_deref(), Some(&body[1..]));
        }
    }

    #[test]
    fn who_waits_already_reads_from_the_start() {
        let setup = Setup::new();
        setup.socket.begin_waiting();
        let beginning = setup.connection.begin(Vec::new(), Vec::new());
        setup.connection.start(Standing::Fresh).unwrap();
        setup.connection.go_on(&beginning);
        setup.peer.write(b"\x01a");
        setup.socket.settle();
        assert!(!setup.connection.is_readable());
        setup.connection.pump(None);
        assert_eq!(setup.pipe.try_recv().as_deref(), Some(&b"a"[..]));
        // He has gone meanwhile.
        (0..2).for_each(|_| setup.connection.timeout(Instant::now()));
        setup.peer.write(b"\x01b");
        assert_eq!(setup.pipe.recv().as_deref(), Some(&b"b"[..]));
    }

    #[test]
    fn callers_read_until_none_has_for_two_looks() {
        let Setup { connection, pipe, .. } = &Setup::new();
        let now = Instant::now();
        assert!(connection.wanted().readable);
        connection.pump(None);
        assert!(!connection.wanted().readable);
        connection.timeout(now);
        assert!(!connection.wanted().readable);
        // One that waits in the kernel has nothing to call for.
        pipe.news.change(|news| news.is_awaited = true);
        (0..3).for_each(|_| connection.timeout(now));
        assert!(!connection.wanted().readable);
        pipe.news.change(|news| news.is_awaited = false);
        connection.timeout(now);
        assert!(connection.wanted().readable);
    }

    #[test]
    fn a_reader_that_was_taken_over_from_callers_goes_on_by_itself() {
        let Setup { connection, pipe, peer, .. } = &Setup::started();
        connection.pump(None);
        peer.write(b"\x01a");
        assert_eq!(pipe.recv().as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn in_the_background_the_reactor_reads_beside_callers() {
        let Setup { connection, pipe, peer, .. } = &Setup::started();
        connection.pump(None);
        connection.read_in_background();
        connection.pump(None);
        assert!(connection.wanted().readable);
        peer.write(b"\x01a");
        connection.renew_watch();
        assert_eq!(pipe.recv().as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn who_has_left_nothing_behind_asks_the_kernel_for_nothing() {
        let Setup { connection, peer, socket, .. } = &Setup::started();
        connection.pump(None);
        connection.reader.share();
        peer.write(b"\x01a");
        connection.reclaim();
        socket.settle();
        assert!(!connection.is_readable(), "the reactor has been told to read");
    }

    #[test]
    fn the_reactor_looks_for_more_where_a_descriptor_shows_it_and_nowhere_else() {
        let Setup { connection, pipe, peer, socket, .. } = &Setup::started();
        let reactor = socket.reactor();
        let exchange = || {
            peer.write(b"\x01a");
            assert_eq!(pipe.recv().as_deref(), Some(&b"a"[..]));
        };
        (0..3).for_each(|_| exchange());
        assert!(!reactor.has_looked_in_vain());
        connection.read_in_background();
        exchange();
        while Spin::can_pay() && !reactor.has_looked_in_vain() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_answer_is_written_at_once() {
        let Setup { connection, peer, .. } = &Setup::new();
        peer.write(&[PING]);
        connection.pump(None);
        assert_eq!(peer.read(4), b"pong");
        assert!(!connection.has_unwritten());
        peer.write(&[PING]);
        connection.ready(READABLE);
        // A caller reads now, so that the reactor does not.
        assert!(peer.hears_nothing());
        connection.read_in_background();
        connection.ready(READABLE);
        assert_eq!(peer.read(4), b"pong");
    }

    #[test]
    fn a_farewell_ends_for_good_and_is_not_counted() {
        let setup = Setup::started();
        let Setup { connection, pipe, peer, socket, .. } = &setup;
        assert_eq!(connection.parting(), Parting::Passing);
        peer.write(&[1, b'a', FAREWELL]);
        pipe.await_end();
        assert_eq!(peer.read_to_end(), b"bye");
        assert_eq!(connection.parting(), Parting::Final);
        assert_eq!(pipe.recv().as_deref(), Some(&b"a"[..]));
        assert_eq!((pipe.recv(), connection.fault()), (None, None));
        connection.close(Instant::now());
        assert_eq!((socket.reports(), setup.ended()), (vec![], 1));
    }

    #[test]
    fn a_violation_ends_when_all_before_it_is_received() {
        let Setup { connection, pipe, peer, socket, .. } = &Setup::started();
        peer.write(&[1, b'a', 1, b'b', VIOLATION, 1, b'c']);
        assert_eq!(pipe.recv().as_deref(), Some(&b"a"[..]));
        assert_eq!(socket.reports(), []);
        assert_eq!(pipe.recv().as_deref(), Some(&b"b"[..]));
        assert_eq!(pipe.recv(), None);
        assert_eq!(connection.fault(), Some(Fault::Violation));
        assert_eq!((peer.read_to_end(), connection.parting()), (vec![], Parting::Passing));
        assert_eq!(socket.reports(), [Report::Broken]);
    }

    #[test]
    fn a_peer_that_breaks_the_rules_at_once_is_of_no_use() {
        let Setup { connection, pipe, peer, .. } = &Setup::started();
        peer.write(&[VIOLATION]);
        pipe.await_end();
        assert_eq!(connection.parting(), Parting::Futile);
        let Setup { connection, pipe, peer, .. } = &Setup::started();
        peer.write(&[1, b'a', VIOLATION]);
        assert_eq!(pipe.recv().as_deref(), Some(&b"a"[..]));
        pipe.await_end();
        assert_eq!(connection.parting(), Parting::Passing);
    }

    #[test]
    fn a_failed_write_ends_it_once_and_what_came_before_is_received() {
        let setup = Setup::started();
        let Setup { connection, pipe, peer, socket, stream, .. } = &setup;
        (0..50).for_each(|_| peer.write(b"\x01z"));
        stream.mood.change(|mood| mood.failure = Some(broken_pipe()));
        pipe.try_send(b"lost").unwrap();
        assert!(!connection.can_send());
        pipe.await_end();
        assert_eq!((0..).map_while(|_| pipe.recv()).count(), 50);
        let fault = io::Error::from_raw_os_error(broken_pipe());
        assert_eq!(connection.fault(), Some(Fault::System(Error::from(fault))));
        connection.ready(ENDED);
        socket.settle();
        connection.close(Instant::now());
        assert_eq!((socket.reports(), setup.ended()), (vec![Report::Broken], 1));
    }

    /// The code that the kernel has for it.
    fn broken_pipe() -> i32 {
        let (own, peer) = OsStream::pair();
        drop(peer);
        let error = own.write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        error.raw_os_error().unwrap()
    }

    #[test]
    fn an_end_is_told_although_nobody_has_received_what_came_before() {
        let Setup { pipe, peer, socket, stream, .. } = &Setup::started();
        // More than the reactor would read ahead of a receiver.
        (0..100).for_each(|_| peer.write(&[&[200][..], &[7; 200]].concat()));
        peer.0.end();
        pipe.await_end();
        assert_eq!((0..).map_while(|_| pipe.recv()).count(), 100);
        assert_eq!(socket.reports(), [Report::Broken]);
        assert!(stream.deeds().broken_off > 0 && stream.deeds().discarded > 0);
    }

    #[test]
    fn a_close_is_counted_once_and_told_nobody() {
        let setup = Setup::started();
        let Setup { connection, pipe, peer, socket, stream } = &setup;
        pipe.send(b"last");
        connection.close(Instant::now());
        connection.close(Instant::now());
        assert_eq!(peer.read_to_end(), b"\x04last");
        assert_eq!(pipe.try_send(b"no more"), Err(Refusal::Busy));
        socket.settle();
        assert_eq!((socket.reports(), setup.ended()), (vec![Report::Dropped], 0));
        // To break it off is to end it.
        assert_eq!((stream.deeds().ended, stream.deeds().broken_off), (0, 1));
    }

    #[test]
    fn a_close_waits_for_the_acknowledgement_of_what_a_busy_peer_has_not_read() {
        let Setup { connection, peer, socket, stream, .. } = &Setup::new();
        stream.mood.change(|mood| mood.unacknowledged = 1);
        peer.write(b"\x01a");
        std::thread::scope(|scope| {
            scope.spawn(|| connection.close(Instant::now() + Duration::from_secs(60)));
            stream.deeds.wait_until("the end", |deeds| deeds.ended == 1);
            peer.write(b"\x01b");
            assert_eq!(stream.deeds().broken_off, 0);
            stream.mood.change(|mood| mood.unacknowledged = 0);
        });
        assert_eq!(stream.deeds().broken_off, 1);
        assert_eq!(socket.reports(), [Report::Dropped]);
    }

    #[test]
    fn what_is_left_for_later_is_written_by_ticks_or_by_who_asks_for_it() {
        let Setup { connection, peer, .. } = &Setup::new();
        assert_eq!(offer_more(connection, b"0"), AfterSend::Deliver);
        connection.deliver();
        assert_eq!(peer.read(2), b"\x010");
        assert_eq!(offer_more(connection, b"a"), AfterSend::WriteLater);
        assert!(connection.has_unwritten() && peer.hears_nothing());
        connection.write_later();
        assert_eq!(peer.read(2), b"\x01a");
        // The reactor looks at it often by now, or will do so again.
        offer_more(connection, b"b");
        connection.write_later();
        assert_eq!(peer.read(2), b"\x01b");
        let Setup { connection, peer, .. } = &Setup::new();
        assert_eq!(offer_more(connection, b"0"), AfterSend::Deliver);
        connection.deliver();
        assert_eq!(offer_more(connection, b"c"), AfterSend::WriteLater);
        connection.write_out();
        assert!(!connection.has_unwritten());
        assert_eq!(peer.read(4), b"\x010\x01c");
    }

    #[test]
    fn nothing_is_left_for_later_against_the_applications_will() {
        let setup = Setup::with(Traits::pair().with(&[(&tcp_option::NO_DELAY, 1)]));
        for _ in 0..3 {
            assert_eq!(offer_more(&setup.connection, b"a"), AfterSend::Deliver);
            setup.connection.deliver();
        }
    }

    #[test]
    fn a_kernel_that_stays_full_is_watched_for_room() {
        let Setup { connection, pipe, peer, .. } = &Setup::started();
        let body = [9; 200];
        let mut sent = 0;
        let hang = Instant::now() + Duration::from_secs(60);
        // Until neither the kernel nor the queue takes any, whatever the ticks have written.
        loop {
            match pipe.try_send(&body) {
                Ok(()) => sent += 1,
                Err(_) if connection.writer.awaits_room() => break,
                Err(_) => std::thread::yield_now(),
            }
            assert!(Instant::now() < hang, "nobody waits for the kernel");
        }
        let writable = pipe.news.change(|news| news.writable);
        assert_eq!(peer.read(201 * sent).len(), 201 * sent);
        pipe.news.wait_until("room", |news| news.writable > writable);
        pipe.send(b"more");
        assert_eq!(peer.read(5), b"\x04more");
    }

    #[test]
    fn a_caller_that_waits_for_room_writes_himself() {
        let Setup { connection, pipe, peer, stream, .. } = &Setup::new();
        connection.begin_driving();
        stream.mood.change(|mood| mood.room = Some(3));
        let owners = Arc::strong_count(connection);
        pipe.try_send(b"abcd").unwrap();
        assert!(connection.has_unwritten());
        // The reactor is not asked to look at it.
        assert_eq!(Arc::strong_count(connection), owners);
        stream.mood.change(|mood| mood.room = None);
        connection.write_out();
        connection.end_driving();
        assert_eq!(peer.read(5), b"\x04abcd");
        assert!(!connection.has_unwritten());
    }

    #[test]
    fn words_and_what_came_behind_the_greeting_come_first() {
        let (connection, _stream, peer, socket) = fresh(Traits::pair());
        let beginning = connection.begin(b"welcome".to_vec(), vec![1, b'x', PING]);
        socket.host().attach(Arc::clone(&connection) as _).unwrap();
        let pipe = socket.pipe(0);
        assert_eq!(pipe.news.change(|news| news.readable), 0);
        assert_eq!(offer(&connection, b"m"), AfterSend::Deliver);
        assert!(peer.hears_nothing());
        connection.go_on(&beginning);
        assert_eq!(peer.read(13), b"welcome\x01mpong");
        assert_eq!(pipe.news.change(|news| news.readable), 1);
        assert_eq!(pipe.try_recv().as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn a_beginning_without_words_writes_nothing() {
        let (connection, stream, _peer, socket) = fresh(Traits::pair());
        let beginning = connection.begin(Vec::new(), Vec::new());
        socket.host().attach(Arc::clone(&connection) as _).unwrap();
        connection.go_on(&beginning);
        assert_eq!(stream.deeds().writes, 0);
        assert_eq!(socket.pipe(0).news.change(|news| news.readable), 0);
    }

    #[test]
    fn a_violation_behind_the_greeting_ends_it() {
        let (connection, _stream, peer, socket) = fresh(Traits::pair());
        let beginning = connection.begin(Vec::new(), vec![VIOLATION]);
        socket.host().attach(Arc::clone(&connection) as _).unwrap();
        connection.go_on(&beginning);
        assert_eq!((peer.read_to_end(), socket.pipe(0).recv()), (vec![], None));
        assert_eq!(socket.reports(), [Report::Broken]);
    }

    #[test]
    fn who_is_rejected_is_told_why() {
        for answer in [&b"no"[..], b""] {
            let (connection, _stream, peer, socket) = fresh(Traits::pair());
            connection.start(Standing::Fresh).unwrap();
            connection.reject(answer);
            assert_eq!(peer.read_to_end(), answer);
            socket.settle();
            assert_eq!(socket.reports(), [Report::Broken]);
        }
    }

    #[test]
    fn what_cannot_be_watched_does_not_start() {
        let (socket, (stream, _peer)) = (FakeSocket::new(Traits::pair()), FakeStream::pair());
        stream.mood.change(|mood| mood.descriptor = Some(-1));
        let (reactor, settings) = (socket.reactor(), Traits::pair().settings);
        let connection = StreamConnection::new(stream, codec(), socket.host(), reactor, &settings);
        assert!(connection.start(Standing::Fresh).is_err());
        connection.close(Instant::now());
        assert_eq!(socket.reports(), [Report::Dropped]);
    }

    #[test]
    fn a_watch_that_was_lost_is_tried_again() {
        let setup = Setup::started();
        let Setup { connection, socket, .. } = &setup;
        socket.reactor().unwatch(connection.descriptor());
        connection.renew_watch();
        assert!(connection.watch.is_deaf());
        // Another one has the place; the kernel takes the change again.
        let key = socket.reactor().add(|_| Arc::clone(connection) as _).unwrap();
        socket.reactor().watch(key, connection.descriptor(), Interest::default()).unwrap();
        setup.peer.write(b"\x01a");
        assert_eq!(setup.pipe.recv().as_deref(), Some(&b"a"[..]));
        assert!(!connection.watch.is_deaf());
    }

    #[test]
    fn a_bug_is_the_sockets_business() {
        let setup = Setup::new();
        setup.connection.broken();
        setup.socket.await_breakdown();
    }
}
