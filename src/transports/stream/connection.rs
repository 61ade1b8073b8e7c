//! Messages over one OS stream, after the greeting.
//!
//! Reading and writing have a lock each, held during system calls. A blocked caller does both
//! itself. The reactor notices the end of the stream and writes what callers left behind. It
//! reads, too, one message ahead, while no caller does: else a peer's violation, or its end behind
//! unread messages, would go unnoticed in a program that only sends.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::background::Watch;
use super::batch::Sink;
use super::inbound::{Inbound, Partial};
use super::outbound::{Outbound, Pace, Urgency, Written};
use super::scratch;
use super::wire::Format;
use crate::error::Refusal;
use crate::io::{Key, Reactor};
use crate::message::Message;
use crate::sys::{self, Credentials, OsStream, Read, WaitFor};
use crate::transports::{
    AfterRecv, AfterSend, Connection, Fault, Host, Pipe, Received, Report, Sent, Settings, Stream,
    Tempo,
};

pub struct StreamConnection {
    pub(super) me: Weak<StreamConnection>,
    pub(super) stream: OsStream,
    format: Format,
    pub(super) host: Arc<dyn Host>,
    pub(super) reactor: Arc<Reactor>,
    pub(super) key: OnceLock<Key>,
    pub(super) pipe: OnceLock<Box<dyn Pipe>>,
    pub(super) outbound: Outbound,
    inbound: Mutex<Inbound>,
    /// Held during a read.
    pub(super) reading: Mutex<Reading>,
    /// What the reactor watches for, beside the end of the stream.
    pub(super) watch: Mutex<Watch>,
    pub(super) read_size: usize,
    no_delay: bool,
    /// The application has received since it last sent.
    has_received: AtomicBool,
    /// Received messages wait for the application, which will be busy with them.
    has_more: AtomicBool,
    /// The reactor looks at the outbound queue often.
    pub(super) is_lively: AtomicBool,
    pub(super) quiet_looks: AtomicU32,
    /// A blocked caller writes as soon as the kernel takes more.
    pub(super) is_driven: AtomicBool,
    /// The reactor reads whatever arrives while no message waits to be received.
    pub(super) in_background: AtomicBool,
    /// It does so even while callers read.
    pub(super) is_strict: AtomicBool,
    /// A caller has read since the reactor last looked whether any does.
    pub(super) was_pumped: AtomicBool,
    /// The reactor will hear of bytes that arrive.
    pub(super) is_watched_to_read: AtomicBool,
    /// Telling the kernel what to watch for has failed.
    pub(super) is_unwatched: AtomicBool,
    pub(super) is_ended: AtomicBool,
    /// Something of the connection's own waits to be written.
    has_interjection: AtomicBool,
    /// Set when the peer is not to be connected to again.
    is_final: Option<Arc<AtomicBool>>,
}

#[derive(Default)]
pub struct Reading {
    pub partial: Option<Partial>,
    pub is_ended: bool,
}

/// What a read led to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// Bytes came, but no complete message.
    Bytes,
    Readable,
    /// The same, and it is the last.
    Last,
    Ended,
}

impl StreamConnection {
    #[must_use]
    pub fn new(
        stream: OsStream,
        format: Format,
        host: Arc<dyn Host>,
        reactor: Arc<Reactor>,
        settings: &Settings,
        is_final: Option<Arc<AtomicBool>>,
    ) -> Arc<StreamConnection> {
        let inbound = Inbound::new(&format, settings.recv_buffer);
        Arc::new_cyclic(|me| StreamConnection {
            me: me.clone(),
            stream,
            format,
            host,
            reactor,
            key: OnceLock::new(),
            pipe: OnceLock::new(),
            outbound: Outbound::new(settings.send_budget),
            inbound: Mutex::new(inbound),
            reading: Mutex::default(),
            watch: Mutex::default(),
            read_size: settings.recv_buffer.clamp(READ_MIN, scratch::SIZE),
            no_delay: settings.no_delay,
            has_received: AtomicBool::new(false),
            has_more: AtomicBool::new(false),
            is_lively: AtomicBool::new(false),
            quiet_looks: AtomicU32::new(0),
            is_driven: AtomicBool::new(false),
            in_background: AtomicBool::new(true),
            is_strict: AtomicBool::new(false),
            was_pumped: AtomicBool::new(false),
            is_watched_to_read: AtomicBool::new(false),
            is_unwatched: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            has_interjection: AtomicBool::new(false),
            is_final,
        })
    }

    /// Ends a connection that the socket does not want, with `answer` for its only words.
    pub fn reject(&self, answer: &[u8]) {
        if !answer.is_empty() {
            self.outbound.close_with(answer, &self.stream);
        }
        self.end();
    }

    /// Has `words` written before any message, and takes what came behind the peer's greeting.
    pub fn begin(&self, words: Vec<u8>, mut early: Vec<u8>) -> News {
        if !words.is_empty() {
            self.outbound.begin(words);
            self.has_interjection.store(true, Ordering::Release);
        }
        if early.is_empty() {
            return News::Nothing;
        }
        self.digest(&mut self.reading.lock(), &mut early)
    }

    /// Reads once.
    pub(super) fn read_once(&self, reading: &mut Reading, size: usize) -> News {
        let mut buffer = scratch::take();
        let place = reading.partial.as_mut().map(Partial::room);
        let room = place.as_ref().map_or(0, |(_, room)| *room);
        match self.stream.read(place, buffer.first_mut(size)) {
            Read::Nothing => News::Nothing,
            Read::End => {
                reading.is_ended = true;
                reading.partial = None;
                News::Ended
            }
            Read::Bytes(count) => self.digest(reading, &mut buffer[..count.saturating_sub(room)]),
        }
    }

    /// Makes messages of `bytes`, and of what was read straight into its place.
    fn digest(&self, reading: &mut Reading, bytes: &mut [u8]) -> News {
        let size_max = self.host.size_max();
        let mut inbound = self.inbound.lock();
        reading.partial = inbound.absorb(reading.partial.take(), bytes, size_max);
        let is_readable = inbound.is_readable(size_max);
        let (is_violated, is_over) = (inbound.violation().is_some(), inbound.close().is_some());
        let ping = inbound.take_ping();
        drop(inbound);
        if let (Some(payload), Format::Ws(sending)) = (ping, &self.format) {
            self.outbound.interject(sending.pong(&payload));
            self.has_interjection.store(true, Ordering::Release);
        }
        match (is_readable, is_violated || is_over) {
            (true, _) if is_over => News::Last,
            (true, _) => News::Readable,
            (false, false) => News::Bytes,
            (false, true) => News::Ended,
        }
    }

    pub(super) fn tell(&self, news: News) {
        if self.has_interjection.swap(false, Ordering::Acquire) {
            let written = self.outbound.write(&self.stream, || None);
            self.after_write(written);
        }
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
        if self.is_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let close = self.inbound.lock().close();
        if let (Some(close), Format::Ws(sending)) = (close, &self.format) {
            self.outbound.close_with(&sending.farewell(close), &self.stream);
            if let Some(is_final) = &self.is_final {
                is_final.store(!close.comes_back, Ordering::Relaxed);
            }
        } else {
            self.outbound.close();
            // Endings that were announced are not counted, as with libnanomsg.
            self.host.report(Report::Broken);
        }
        self.stream.discard_input();
        self.stream.break_off();
        self.stop_watching();
        self.with_pipe(|pipe| pipe.ended());
    }

    /// Ends the connection if nothing but a violation is left of what has arrived.
    pub(super) fn end_if_violated(&self) {
        let size_max = self.host.size_max();
        let mut inbound = self.inbound.lock();
        let is_violated = !inbound.is_readable(size_max) && inbound.violation().is_some();
        drop(inbound);
        if is_violated {
            self.end();
        }
    }

    pub(super) fn after_write(&self, written: Written) {
        if written.is_broken {
            // The reactor hears of the hang-up that this causes, reads what came before, and
            // ends the connection.
            self.stream.break_off();
            return;
        }
        if written.is_stuck {
            self.become_lively();
        }
        if written.became_ready {
            self.with_pipe(|pipe| pipe.writable());
        }
    }

    pub(super) fn read(&self, size: usize) {
        let mut reading = self.reading.lock();
        if reading.is_ended || self.is_full() {
            return;
        }
        let news = self.read_once(&mut reading, size);
        drop(reading);
        self.tell(news);
    }

    /// How much the reactor reads at a time.
    pub(super) fn background_read_size(&self) -> usize {
        let is_read_ahead = self.inbound.lock().is_read_ahead();
        match is_read_ahead || self.is_strict.load(Ordering::Relaxed) {
            true => self.read_size,
            false => AHEAD,
        }
    }

    /// Whether nothing more should be read now.
    pub(super) fn is_full(&self) -> bool {
        self.inbound.lock().is_full(self.host.size_max())
    }

    pub(super) fn with_pipe(&self, call: impl FnOnce(&dyn Pipe)) {
        if let Some(pipe) = self.pipe.get() {
            call(pipe.as_ref());
        }
    }

    /// Nothing is written any more. Unread input must go before the descriptor does, because a
    /// TCP that is closed with some left resets the stream, and the peer loses what it has not
    /// read of ours. While the peer goes on sending, that can only be kept up until it has
    /// acknowledged everything.
    fn end_politely(&self, deadline: Instant) {
        self.stream.end();
        let mut buffer = scratch::take();
        // Input that the reactor has read ahead is unread as well: more may follow it.
        let mut peer_is_sending = !self.inbound.lock().is_empty();
        // A reader that comes late does no harm: nobody wants what it reads.
        loop {
            match self.stream.read(None, &mut buffer) {
                Read::End => return,
                Read::Bytes(_) => peer_is_sending = true,
                Read::Nothing => {
                    let now = Instant::now();
                    let all_arrived = self.stream.unacknowledged() == 0;
                    if !peer_is_sending || all_arrived || now >= deadline {
                        return;
                    }
                    let step = ACKNOWLEDGEMENT_STEP.min(deadline - now);
                    let wait = std::iter::once((self.stream.as_raw_fd(), WaitFor::Readable));
                    let _ = sys::poll(wait, Some(step));
                }
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }
}

impl Connection for StreamConnection {
    fn adopt(&self, pipe: Box<dyn Pipe>) {
        let _ = self.pipe.set(pipe);
    }

    fn send(&self, message: &mut Message, tempo: Tempo) -> Result<Sent, Refusal> {
        let after_pause = self.has_received.load(Ordering::Relaxed);
        if after_pause {
            self.has_received.store(false, Ordering::Relaxed);
        }
        let pace = Pace {
            more_to_come: tempo == Tempo::Streaming || self.has_more.load(Ordering::Relaxed),
            after_pause,
            no_gathering: self.no_delay,
        };
        let accepted = match &self.format {
            Format::Sp(framing) => self.outbound.accept(framing, message, pace, Instant::now)?,
            Format::Ws(sending) => {
                let envelope = sending.envelope(message);
                self.outbound.accept(&envelope, message, pace, Instant::now)?
            }
        };
        let then = match accepted.urgency {
            Urgency::Now => AfterSend::Deliver,
            Urgency::Later { first: true } => AfterSend::WriteLater,
            Urgency::Later { first: false } | Urgency::Covered => AfterSend::Nothing,
        };
        Ok(Sent { can_send_more: accepted.can_accept_more, then })
    }

    fn recv(&self, message: &mut Message) -> Received {
        let size_max = self.host.size_max();
        let mut inbound = self.inbound.lock();
        let has_message = inbound.next(size_max, message);
        // A violation behind this message is found when the next one is asked for, or when the
        // reactor looks whether callers still read.
        let is_violated = !has_message && inbound.violation().is_some();
        let has_more = !inbound.is_empty();
        let must_watch = self.in_background.load(Ordering::Relaxed)
            && !self.is_watched_to_read.load(Ordering::Relaxed);
        let is_chore = is_violated || (must_watch && !inbound.is_full(size_max));
        drop(inbound);
        self.has_received.store(true, Ordering::Relaxed);
        self.has_more.store(has_more, Ordering::Relaxed);
        let then = if is_chore { AfterRecv::Resume } else { AfterRecv::Nothing };
        Received { has_message, then }
    }

    fn is_readable(&self) -> bool {
        self.inbound.lock().is_readable(self.host.size_max())
    }

    fn can_send(&self) -> bool {
        self.outbound.can_accept()
    }

    fn deliver(&self) {
        let written = self.outbound.write(&self.stream, || Some(Instant::now()));
        self.after_write(written);
    }

    fn resume(&self) {
        self.end_if_violated();
        self.rewatch();
    }

    fn stream(&self) -> Option<&dyn Stream> {
        Some(self)
    }

    fn close(&self, deadline: Instant) {
        self.outbound.close();
        self.stop_watching();
        if !self.is_ended.swap(true, Ordering::AcqRel) {
            self.host.report(Report::Dropped);
            self.end_politely(deadline);
            self.stream.break_off();
        }
    }
}

impl Stream for StreamConnection {
    fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    fn pump(&self) {
        self.was_pumped.store(true, Ordering::Relaxed);
        if self.in_background.load(Ordering::Relaxed) && !self.is_strict.load(Ordering::Relaxed) {
            self.leave_background();
        }
        // What a caller would find first is no reason to read.
        if !self.is_readable() {
            self.read(self.read_size);
        }
    }

    fn read_in_background(&self) {
        self.is_strict.store(true, Ordering::Relaxed);
        self.in_background.store(true, Ordering::Relaxed);
        self.rewatch();
    }

    fn write_later(&self) {
        self.become_lively();
    }

    fn write_out(&self) {
        let written = self.outbound.write_all(&self.stream, || Some(Instant::now()));
        self.after_write(written);
    }

    fn has_unwritten(&self) -> bool {
        !self.outbound.is_empty()
    }

    fn begin_driving(&self) {
        self.is_driven.store(true, Ordering::SeqCst);
    }

    fn end_driving(&self) {
        self.is_driven.store(false, Ordering::SeqCst);
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        self.stream.peer_address()
    }

    fn peer_credentials(&self) -> Option<Credentials> {
        self.stream.peer_credentials()
    }

    fn fault(&self) -> Option<Fault> {
        let is_violated = self.inbound.lock().violation().is_some();
        let broken = || self.stream.failure().map(|error| Fault::System(error.into()));
        is_violated.then_some(Fault::Violation).or_else(broken)
    }
}

impl Sink for OsStream {
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        OsStream::write(self, parts)
    }
}

/// A read of less would not pay, whatever the application's buffer size.
const READ_MIN: usize = 8 * 1024;
/// How much the reactor reads where one message is enough: of which more arrives is completed.
const AHEAD: usize = 2 * 1024;
const ACKNOWLEDGEMENT_STEP: Duration = Duration::from_millis(5);
