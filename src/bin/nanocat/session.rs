//! The socket between its opening and its end, and where what arrives is written.
//!
//! The end comes once: from the conversation, or from a signal, while another thread may be waiting
//! in a call of the socket.

use super::arguments::{Options, Patience};
use super::failure::Failure;
use super::format::{Format, show};
use super::input::Input;
use super::library::{ErrorNumber, Message, Socket, Wait, reason};
use super::meter::{self, Meter};
use super::rules::{Concern, Kind};
use super::signals::Blocked;
use std::ffi::{CString, OsStr, c_int};
use std::io::{self, BufWriter, Stdout, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

#[derive(Clone)]
pub struct Session(Arc<Inside>);

struct Inside {
    socket: Socket,
    format: Format,
    output: Mutex<BufWriter<Stdout>>,
    meter: Meter,
    wants_stats: bool,
    /// How long delivery may take at the end, if that was said.
    send_timeout: Option<Patience>,
    /// A signal has come, and its thread ends the process.
    is_interrupted: AtomicBool,
}

impl Session {
    /// In this order, each of which can fail: options, listening, connecting.
    pub fn open(options: &Options, input: &Input) -> Result<Session, Failure> {
        let socket = Socket::open(options.kind.number()).map_err(Failure::call("open a socket"))?;
        set_options(socket, options)?;
        for address in &options.bind {
            attach(address, "bind to", |text| socket.bind(text))?;
        }
        for address in &options.connect {
            attach(address, "connect to", |text| socket.connect(text))?;
        }
        Ok(Session(Arc::new(Inside {
            socket,
            format: options.format,
            output: Mutex::new(BufWriter::with_capacity(ROOM, io::stdout())),
            meter: Meter::new(options, input),
            wants_stats: options.report.stats,
            send_timeout: options.send_timeout.filter(|&limit| limit != NO_TIME),
            is_interrupted: AtomicBool::new(false),
        })))
    }

    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    pub fn send(&self, body: &[u8]) -> Result<(), Failure> {
        self.0.socket.send(body).map_err(Failure::call("send"))?;
        self.meter().has_sent(body.len());
        Ok(())
    }

    pub fn set_recv_timeout(&self, patience: Patience) -> Result<(), Failure> {
        let set = self.0.socket.set_recv_timeout(milliseconds(patience));
        set.map_err(Failure::call("set the time-out"))
    }

    /// Shows the next message. What was shown is written before there is a wait for another.
    pub fn receive(&self) -> Result<Result<(), ErrorNumber>, Failure> {
        let received = match self.0.socket.receive(Wait::Never) {
            Err(number) if number.is_not_yet() => {
                self.flush()?;
                self.0.socket.receive(Wait::AsSet)
            }
            other => other,
        };
        match received {
            Ok((message, peer)) => self.show(&message, peer.as_deref()).map(Ok),
            Err(number) => {
                self.flush()?;
                Ok(Err(number))
            }
        }
    }

    fn show(&self, message: &Message, peer: Option<&str>) -> Result<(), Failure> {
        let mut shown = Vec::new();
        show(self.0.format, message.bytes(), peer, SystemTime::now(), &mut shown);
        let mut output = self.0.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.write_all(&shown).map_err(Failure::Output)?;
        self.meter().has_received(message.bytes().len());
        Ok(())
    }

    pub fn flush(&self) -> Result<(), Failure> {
        let mut output = self.0.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.flush().map_err(Failure::Output)
    }

    /// From now on, a signal that asks for the end closes the socket first.
    pub fn end_on(&self, signals: Blocked) {
        let session = self.clone();
        thread::spawn(move || {
            let signal = signals.wait();
            session.interrupt();
            signal.end();
        });
    }

    fn interrupt(&self) {
        let inside = &self.0;
        // Pairs with the load in `leave_when_interrupted`.
        inside.is_interrupted.store(true, Ordering::SeqCst);
        let account = inside.meter.account(inside.socket);
        // Whoever asks for the end does not wait for ever for a peer that does not read.
        let _ = inside.socket.set_linger(LAST_LINGER);
        let _ = inside.socket.close();
        // Somebody may be stuck in writing.
        let until = Instant::now() + LAST_WRITE;
        while Instant::now() < until {
            if let Ok(mut output) = inside.output.try_lock() {
                let _ = output.flush();
                break;
            }
            thread::sleep(LAST_WRITE / 20);
        }
        inside.meter.clear();
        if inside.wants_stats {
            meter::tell(&account);
        }
    }

    /// The thread of the signal has closed the socket under us, and ends the process.
    pub fn leave_when_interrupted(&self) {
        // Pairs with the store in `interrupt`.
        while self.0.is_interrupted.load(Ordering::SeqCst) {
            thread::park();
        }
    }

    /// The end of the conversation, which has gone so: waits until all is delivered.
    pub fn close(&self, done: Result<(), Failure>) -> Result<(), Failure> {
        let inside = &self.0;
        let account = inside.meter.account(inside.socket);
        let flushed = self.flush();
        let begin = Instant::now();
        let closed = inside.socket.close().map_err(Failure::call("close the socket"));
        let took = begin.elapsed();
        self.leave_when_interrupted();
        inside.meter.clear();
        if inside.wants_stats {
            meter::tell(&account);
        }
        let delivered = match inside.send_timeout {
            Some(Patience::For(limit)) if inside.meter.has_sent_any() && took >= limit => {
                Err(Failure::Undelivered)
            }
            Some(_) | None => Ok(()),
        };
        done.and(flushed).and(closed).and(delivered)
    }
}

/// Who waits for a peer to send to waits until it has got all, unless told how long.
fn linger(options: &Options) -> Patience {
    match options.send_timeout {
        Some(patience) => patience,
        None if options.kind.waits_for_peers() => Patience::Forever,
        None => Patience::For(LINGER),
    }
}

fn set_options(socket: Socket, options: &Options) -> Result<(), Failure> {
    let told = |what: &str| Failure::call(format!("set the {what}"));
    socket.set_linger(milliseconds(linger(options))).map_err(told("linger"))?;
    if let Some(patience) = options.send_timeout {
        socket.set_send_timeout(milliseconds(patience)).map_err(told("time-out"))?;
    }
    if let Some(patience) = options.recv_timeout {
        socket.set_recv_timeout(milliseconds(patience)).map_err(told("time-out"))?;
    }
    if let Some(name) = &options.socket_name {
        socket.set_name(name.as_bytes()).map_err(told("name"))?;
    }
    for (what, value) in &options.tls.texts {
        socket.set_tls(*what, value.as_bytes()).map_err(told("certificates"))?;
    }
    socket.verify(options.tls.verify).map_err(told("certificates"))?;
    if options.format == Format::Json && options.kind.knows(Concern::Receiving) {
        socket.tell_peers().map_err(told("control data"))?;
    }
    if options.kind == Kind::Sub && options.topics.is_empty() {
        socket.subscribe(b"").map_err(Failure::call("subscribe"))?;
    }
    for topic in &options.topics {
        socket.subscribe(topic.as_bytes()).map_err(Failure::call("subscribe"))?;
    }
    Ok(())
}

fn attach(
    address: &OsStr,
    what: &str,
    call: impl FnOnce(&CString) -> Result<(), ErrorNumber>,
) -> Result<(), Failure> {
    let shown = format!("{what} {}", address.display());
    // No word of a command line has a zero byte in it.
    let text = CString::new(address.as_bytes()).unwrap_or_default();
    call(&text).map_err(|number| Failure::Attach { what: shown, number, reason: reason() })
}

fn milliseconds(patience: Patience) -> c_int {
    match patience {
        Patience::For(span) => c_int::try_from(span.as_millis()).unwrap_or(c_int::MAX),
        Patience::Forever => -1,
    }
}

const ROOM: usize = 1 << 16;
/// What the library has, too.
const LINGER: Duration = Duration::from_secs(1);
/// Closing does not wait then, and what is left is written behind its back.
const NO_TIME: Patience = Patience::For(Duration::ZERO);
/// In milliseconds.
const LAST_LINGER: c_int = 1000;
const LAST_WRITE: Duration = Duration::from_millis(200);
