//! Messages over one stream, after the greeting: a reader and a writer, wired to the stream that
//! carries their bytes and to the reactor.
//!
//! A blocked caller reads and writes for itself. The reactor notices the end of the stream, reads
//! while no caller does, and writes what callers left behind.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::byte_stream::ByteStream;
use super::codec::{Codec, Parting};
use super::driver;
use super::ending::end_politely;
use super::queue::{Gathering, Written};
use super::reader::{Arrival, Look, News, Passage, Reader};
use super::scratch;
use super::watch::{Wanted, Watch};
use super::writer::{HasMore, Writer};
use crate::error::Refusal;
use crate::io::{Handler, Reactor, Tick};
use crate::message::Message;
use crate::sys::{Credentials, Event, nanoseconds};
use crate::trace;
use crate::transports::{
    Adopter, AfterRecv, Connection, Fault, Host, Moment, Pace, Received, Report, Sent, Settings,
    Stream, tcp_option,
};

pub struct StreamConnection {
    me: Weak<StreamConnection>,
    stream: Arc<dyn ByteStream>,
    reader: Reader,
    writer: Writer,
    watch: Watch,
    host: Arc<dyn Host>,
    reactor: Arc<Reactor>,
    pipe: OnceLock<Box<dyn Adopter>>,
    is_ended: AtomicBool,
}

/// What is told when the connection has become a pipe.
pub struct Beginning {
    news: News,
    has_words: bool,
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
        let is_allowed = !tcp_option::no_delay(settings);
        let gathering = if is_allowed { Gathering::Allowed } else { Gathering::Never };
        Arc::new_cyclic(|me| StreamConnection {
            me: me.clone(),
            reader: Reader::new(codec.decoder, settings.recv_buffer),
            writer: Writer::new(codec.encoder, settings.send_budget, gathering),
            watch: Watch::new(Arc::clone(&reactor), stream.descriptor()),
            stream,
            host,
            reactor,
            pipe: OnceLock::new(),
            is_ended: AtomicBool::new(false),
        })
    }

    /// Has the reactor watch for the end of the stream from now on.
    ///
    /// # Errors
    /// When the kernel cannot watch it.
    pub fn start(self: &Arc<Self>) -> std::io::Result<()> {
        self.watch.start(Arc::clone(self) as _, || self.wanted())
    }

    /// Ends a connection that the socket does not want, with `answer` for its only words.
    pub fn reject(&self, answer: &[u8]) {
        if !answer.is_empty() {
            self.writer.close_with(answer, &*self.stream);
        }
        self.end();
    }

    /// Will have `words` written before any message, and takes what came behind the greeting.
    #[must_use]
    pub fn begin(&self, words: Vec<u8>, mut early: Vec<u8>) -> Beginning {
        let has_words = !words.is_empty();
        if has_words {
            self.writer.begin(words);
        }
        let Arrival { news, answer } = self.reader.begin(&mut early, || self.host.size_max());
        let has_answer = answer.is_some();
        answer.into_iter().for_each(|answer| self.writer.interject(answer));
        Beginning { news, has_words: has_words || has_answer }
    }

    /// Says what was begun, now that there is a pipe that hears of it.
    pub fn go_on(&self, beginning: &Beginning) {
        if beginning.has_words {
            self.write_wanted(None);
        }
        self.tell(beginning.news);
    }

    fn digest(&self, arrival: Arrival) -> News {
        if let Some(answer) = arrival.answer {
            self.writer.interject(answer);
            self.write_wanted(None);
        }
        self.tell(arrival.news);
        arrival.news
    }

    fn tell(&self, news: News) {
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
    fn end(&self) {
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
        self.watch.stop();
        self.with_pipe(|pipe| pipe.ended());
    }

    /// Writes what somebody wants to have written. Senders note the time that it took.
    fn write_wanted(&self, clock: Option<Clock>) -> Written {
        let written = self.writer.write(&*self.stream, || clock.map(|clock| clock()));
        self.after_write(written)
    }

    fn write_all(&self) -> Written {
        let written = self.writer.write_all(&*self.stream, || Some(now()));
        self.after_write(written)
    }

    fn after_write(&self, written: Written) -> Written {
        if written.is_broken {
            // The reactor hears of the hang-up that this causes, reads what came before, and
            // ends the connection.
            self.stream.break_off();
            return written;
        }
        if written.must_tick {
            self.begin_ticking();
        }
        if written.became_ready {
            self.with_pipe(|pipe| pipe.writable());
        }
        written
    }

    fn begin_ticking(&self) {
        self.trace(trace::Event::ReactorLooks);
        if let Some(me) = self.me.upgrade() {
            self.reactor.tick_often(me);
        }
    }

    /// Tells who reads and writes from now on.
    fn trace(&self, event: trace::Event) {
        if trace::is_on() {
            self.host.trace(event, self.stream.peer_address(), format_args!(""));
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted { readable: self.reader.ask(), writable: self.writer.awaits_room() }
    }

    fn renew_watch(&self) {
        self.watch.renew(|| self.wanted());
    }

    /// Reads everything up to the end of the stream, of which the kernel has told us: else it
    /// would not be noticed before the application has received all that came before.
    fn read_to_end(&self) {
        for _ in 0..READS_TO_END_MAX {
            let mut buffer = scratch::take();
            let arrival = self.reader.read_on(&*self.stream, || self.host.size_max(), &mut buffer);
            drop(buffer);
            match self.digest(arrival) {
                News::Bytes | News::Readable => {}
                News::Nothing => break,
                News::Last | News::Ended => return,
            }
        }
        // Pairs with the swap in `end`, which stops watching behind it.
        if !self.is_ended.load(Ordering::Acquire) {
            self.renew_watch();
        }
    }

    fn with_pipe(&self, call: impl FnOnce(&dyn Adopter)) {
        if let Some(pipe) = self.pipe.get() {
            call(pipe.as_ref());
        }
    }
}

impl Connection for StreamConnection {
    fn adopt(&self, pipe: Box<dyn Adopter>) {
        let _ = self.pipe.set(pipe);
    }

    fn send(&self, message: &mut Message, pace: Pace) -> Result<Sent, Refusal> {
        self.writer.accept(message, pace, now)
    }

    fn recv(&self, message: &mut Message) -> Received {
        let taken = self.reader.take(|| self.host.size_max(), message);
        self.writer.note_received(if taken.has_more { HasMore::Yes } else { HasMore::No });
        let then = if taken.must_resume { AfterRecv::Resume } else { AfterRecv::Nothing };
        Received { has_message: taken.has_message, then }
    }

    fn is_readable(&self) -> bool {
        self.reader.is_readable()
    }

    fn can_send(&self) -> bool {
        self.writer.can_accept()
    }

    fn deliver(&self) {
        self.write_wanted(Some(now));
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
        self.watch.stop();
        // Pairs with the one in `end`.
        if !self.is_ended.swap(true, Ordering::AcqRel) {
            self.host.report(Report::Dropped);
            end_politely(&*self.stream, &self.reader, deadline);
            self.stream.break_off();
        }
    }
}

impl Stream for StreamConnection {
    fn descriptor(&self) -> RawFd {
        self.stream.descriptor()
    }

    fn pump(&self) {
        let mut buffer = scratch::take();
        let (arrival, passage) =
            self.reader.pump(&*self.stream, || self.host.size_max(), &mut buffer);
        drop(buffer);
        if let Passage::ToCallers { look_after } = passage {
            self.trace(trace::Event::CallersRead);
            self.renew_watch();
            self.watch.look_after(look_after);
        }
        self.digest(arrival);
    }

    fn read_in_background(&self) {
        self.reader.share();
        self.renew_watch();
    }

    fn write_later(&self) {
        if self.writer.rely_on_ticks() {
            self.begin_ticking();
        }
    }

    fn write_out(&self) {
        self.write_all();
    }

    fn drain(&self) {
        self.writer.write_all(&*self.stream, || None);
    }

    fn is_within_reach(&self, patience: Duration) -> bool {
        self.writer.is_within_reach(patience) && self.reader.is_within_reach(patience)
    }

    fn finish(&self, deadline: Instant) {
        end_politely(&*self.stream, &self.reader, deadline);
    }

    fn has_unwritten(&self) -> bool {
        !self.writer.is_empty()
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

    fn fault(&self) -> Option<Fault> {
        let broken = || self.stream.failure().map(|error| Fault::System(error.into()));
        self.reader.is_broken().then_some(Fault::Violation).or_else(broken)
    }

    fn parting(&self) -> Parting {
        self.reader.farewell().map_or(Parting::Passing, |farewell| farewell.parting)
    }
}

impl Handler for StreamConnection {
    fn ready(&self, event: Event) {
        if event.ended {
            return self.read_to_end();
        }
        if event.readable {
            let mut buffer = scratch::take();
            let arrival =
                self.reader.read_ahead(&*self.stream, || self.host.size_max(), &mut buffer);
            drop(buffer);
            self.digest(arrival);
        }
        if event.writable {
            self.writer.note_room();
            self.write_all();
        }
        self.renew_watch();
    }

    /// Looks whether callers still read.
    fn timeout(&self, _now: Instant) {
        let is_awaited = || self.pipe.get().is_some_and(|pipe| pipe.is_awaited());
        match self.reader.look(is_awaited) {
            Look::Again(delay) => self.watch.look_after(delay),
            Look::TakenOver => {
                self.trace(trace::Event::ReactorReads);
                self.resume();
            }
        }
        // Last, because a failure sets an earlier timer.
        if self.watch.is_deaf() {
            self.renew_watch();
        }
    }

    fn tick(&self) -> Tick {
        match self.writer.look() {
            driver::Look::Again | driver::Look::AgainAtRest => Tick::Again,
            driver::Look::Done => {
                self.trace(trace::Event::ReactorRests);
                Tick::Done
            }
            driver::Look::Write if !self.write_all().is_stuck => Tick::Again,
            driver::Look::Write => {
                if self.writer.leave_to_kernel() {
                    self.trace(trace::Event::KernelFull);
                    self.renew_watch();
                }
                Tick::Done
            }
        }
    }

    fn broken(&self) {
        self.host.broken();
    }
}

type Clock = fn() -> Moment;

fn now() -> Moment {
    Moment(nanoseconds())
}

/// Reads at the end of a stream: more than any kernel buffers.
const READS_TO_END_MAX: usize = 1024;
