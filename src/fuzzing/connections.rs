//! Any bytes, in any pieces, to a socket that listens, or from somebody whom a socket has dialed:
//! no stranger makes the library panic, and none keeps a good peer from being served next.
//!
//! The first bytes of an input say which transport, side and type of socket it is about, and how
//! the stranger ends; the rest is what it does. Sockets are real ones, and so are streams.

use super::caller::{self, Domain, Socket};
use super::input::Input;
use super::kind::{KINDS, Kind, Manner};
use super::place::{Folder, PATIENCE, tcp_address};
use super::stranger::{self, Listener, MOMENT, Side, Stream, Wire};
use crate::ffi::abi::nn::{
    NN_DONTWAIT, NN_RCVMAXSIZE, NN_RCVTIMEO, NN_RECONNECT_IVL, PROTO_SP, SP_HDR,
};
use crate::ffi::abi::pipeline::NN_PULL;
use crate::ffi::abi::pubsub::{NN_SUB, NN_SUB_SUBSCRIBE};
use crate::message::control::Entry;
use std::ffi::{CString, c_int};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Tells how many messages of the stranger the socket received.
///
/// # Panics
/// When the library does something wrong.
#[must_use]
pub fn connections(bytes: &[u8]) -> usize {
    let mut input = Input::new(bytes);
    let folder = Folder::new();
    let setting = Setting::of(&mut input, &folder);
    let subject = setting.subject();
    let mut taken = 0;
    match setting.side {
        Side::Listener => {
            let bound = caller::bind(subject.0, &setting.address());
            bound.expect("nobody is at a new address");
            let make = || Stream::connect(&setting.url);
            converse(&setting, &subject, &mut input, &make, &mut taken);
            let partner = setting.partner();
            let connected = caller::connect(partner.0, &setting.address());
            connected.expect("a good address");
            check_serves(&setting, &subject, &partner);
        }
        Side::Dialer => {
            let listener = Listener::new(&setting.url);
            let dial = || caller::connect(subject.0, &setting.address()).expect("a good address");
            let endpoint = dial();
            converse(&setting, &subject, &mut input, &|| listener.accept(), &mut taken);
            drop(listener);
            let partner = setting.partner();
            let bound = caller::bind(partner.0, &setting.address());
            bound.expect("the stranger has left the address");
            // Whoever broke the rules of WebSocket is not asked again (transports 7.8).
            if setting.wire == Wire::Ws {
                caller::shutdown(subject.0, endpoint).expect("an endpoint of ours");
                dial();
            }
            check_serves(&setting, &subject, &partner);
        }
    }
    taken
}

/// Opens a socket that stays, so that no input has to wait for a thread to begin and to end.
///
/// # Panics
/// When that is impossible.
pub fn keep_reactor() {
    let socket = Socket::open(Domain::Cooked, NN_PULL);
    let address = CString::new(format!("tcp://{}", tcp_address())).expect("it has no zero");
    caller::bind(socket.0, &address).expect("nobody is at a new address");
    std::mem::forget(socket);
}

/// What an input is about.
struct Setting {
    wire: Wire,
    side: Side,
    kind: Kind,
    domain: Domain,
    size_max: Option<c_int>,
    is_greeted: bool,
    ending: Ending,
    url: String,
}

#[derive(Clone, Copy)]
enum Ending {
    Close,
    Reset,
    /// Says that it is the last, and waits for the other to end.
    Await,
}

impl Setting {
    fn of(input: &mut Input<'_>, folder: &Folder) -> Setting {
        let wire = input.pick(&[Wire::Ipc, Wire::Tcp, Wire::Ws]);
        let side = input.pick(&[Side::Listener, Side::Dialer]);
        let kind = input.pick(&KINDS);
        let manners = input.byte();
        let size_maxima = [None, Some(-1), Some(40), Some(300)];
        Setting {
            wire,
            side,
            kind,
            domain: if manners & 1 == 0 { Domain::Cooked } else { Domain::Raw },
            is_greeted: manners & 2 == 0,
            ending: [Ending::Await, Ending::Close, Ending::Reset, Ending::Await]
                [usize::from(manners >> 2 & 3)],
            size_max: size_maxima[usize::from(manners >> 4 & 3)],
            url: stranger::url(wire, folder),
        }
    }

    fn address(&self) -> CString {
        CString::new(&*self.url).expect("an address has no zero")
    }

    fn subject(&self) -> Socket {
        let subject = open(self.domain, self.kind);
        if let Some(size) = self.size_max {
            caller::set_int(subject.0, NN_RCVMAXSIZE, size).expect("a good limit");
        }
        subject
    }

    /// How often a stranger may come, as most of the time goes by with that. Where somebody dials
    /// who does not forgive, one has to do.
    fn meetings_max(&self) -> usize {
        if (self.wire, self.side) == (Wire::Ws, Side::Dialer) { 1 } else { MEETINGS_MAX }
    }

    /// A good peer.
    fn partner(&self) -> Socket {
        open(Domain::Cooked, self.kind.peer())
    }
}

fn open(domain: Domain, kind: Kind) -> Socket {
    let socket = Socket::open(domain, kind.number);
    for (option, value) in [(NN_RECONNECT_IVL, 1), (NN_RCVTIMEO, TURN_MS)] {
        caller::set_int(socket.0, option, value).expect("a good value");
    }
    if kind.number == NN_SUB {
        let all = caller::set_option(socket.0, NN_SUB, NN_SUB_SUBSCRIBE, Some(b""));
        all.expect("everything can be subscribed to");
    }
    socket
}

/// What the stranger does, and what the socket does meanwhile.
fn converse(
    setting: &Setting,
    subject: &Socket,
    input: &mut Input<'_>,
    make: &dyn Fn() -> Stream,
    taken: &mut usize,
) {
    let meet = || {
        let stream = make();
        if setting.is_greeted {
            let (wire, side, kind) = (setting.wire, setting.side, setting.kind);
            stranger::greet(&stream, wire, side, kind.peer(), kind);
        }
        stream
    };
    let mut stream = meet();
    let (mut heard, mut meetings) = (Vec::new(), 1);
    while !input.is_empty() {
        let step = input.byte();
        match step {
            0..0x80 => stream.write(input.take(usize::from(step & 0x3f) + 1)),
            0x80..0xa0 => {
                let backtrace = [0x80, 0, 0, 1];
                let header = if step & 1 == 0 { &backtrace[..0] } else { &backtrace };
                let len = input.below(64);
                let body = [header, input.take(len)].concat();
                stream.write(&stranger::message(setting.wire, setting.side, &body));
            }
            0xa0..0xc0 => say(setting, subject, input.take(usize::from(step & 7))),
            0xc0..0xd0 => *taken += drain(setting, subject),
            0xd0..0xe0 => drop(stream.read(&mut heard)),
            0xe0..0xe8 => stream.shut(),
            0xe8..0xf0 if meetings < setting.meetings_max() => {
                if step < 0xec {
                    drop(stream);
                } else {
                    stream.reset();
                }
                stream = meet();
                meetings += 1;
            }
            // What is said before and after arrives apart, more often than not.
            _ => thread::sleep(MOMENT),
        }
    }
    end(setting, subject, stream, taken);
}

fn end(setting: &Setting, subject: &Socket, stream: Stream, taken: &mut usize) {
    match setting.ending {
        Ending::Close => drop(stream),
        Ending::Reset => stream.reset(),
        Ending::Await => {
            stream.shut();
            let (mut heard, began) = (Vec::new(), Instant::now());
            while !stream.read(&mut heard) {
                *taken += drain(setting, subject);
                assert!(began.elapsed() < PATIENCE, "a stream that has ended is not ended");
                thread::sleep(MOMENT);
            }
        }
    }
    *taken += drain(setting, subject);
}

/// All messages that have come.
fn drain(setting: &Setting, subject: &Socket) -> usize {
    if !setting.kind.can_recv() {
        return 0;
    }
    let next = || caller::recv(subject.0, BODY_MAX, NN_DONTWAIT).inspect_err(is_no_defect).is_ok();
    (0..).take_while(|_| next()).count()
}

fn say(setting: &Setting, subject: &Socket, body: &[u8]) {
    if setting.kind.can_send() {
        let _ = caller::send(subject.0, body).inspect_err(is_no_defect);
    }
}

/// A socket that is open and says it is not has been taken out of service by a panic.
fn is_no_defect(number: &c_int) {
    assert_ne!(*number, libc::EBADF, "a socket is out of service");
}

/// A message goes from one to the other, and an answer back where the type has one.
fn check_serves(setting: &Setting, subject: &Socket, partner: &Socket) {
    let is_cooked = setting.domain == Domain::Cooked;
    match setting.kind.manner {
        Manner::Both => {
            passes(partner, subject, Answer::None);
            passes(subject, partner, Answer::None);
        }
        Manner::Sends => passes(subject, partner, Answer::None),
        Manner::Receives => passes(partner, subject, Answer::None),
        // A raw socket would have to give the header of the question with its answer.
        Manner::Answers if is_cooked => passes(partner, subject, Answer::Some),
        Manner::Answers => passes(partner, subject, Answer::None),
        Manner::Asks if is_cooked => passes(subject, partner, Answer::Some),
        Manner::Asks => passes_with_header(subject, partner),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    None,
    Some,
}

fn passes(from: &Socket, to: &Socket, answer: Answer) {
    in_time(|tag| {
        let has_passed = caller::send(from.0, tag).is_ok() && hears(to, tag);
        let is_answered = || caller::send(to.0, tag).is_ok() && hears(from, tag);
        has_passed && (answer == Answer::None || is_answered())
    });
}

/// From a raw socket that asks.
fn passes_with_header(from: &Socket, to: &Socket) {
    let header = [&4_usize.to_ne_bytes()[..], &[0x80, 0, 0, 1]].concat();
    let entry = Entry { level: PROTO_SP, kind: SP_HDR, data: &header };
    let control = entry.to_chunk().expect("there is memory");
    in_time(|tag| {
        let sent = caller::send_pieces(from.0, &[tag], Some(control.as_slice()));
        sent.is_ok() && hears(to, tag)
    });
}

/// Tries until it succeeds, with a body that was never there before.
fn in_time(has_passed: impl Fn(&[u8]) -> bool) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let began = Instant::now();
    while !has_passed(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()) {
        assert!(began.elapsed() < PATIENCE, "a good peer is not served");
        thread::sleep(MOMENT);
    }
}

/// Whether this body comes within a moment; others are passed over.
fn hears(socket: &Socket, body: &[u8]) -> bool {
    loop {
        match caller::recv(socket.0, BODY_MAX, 0).inspect_err(is_no_defect) {
            Ok(received) if received.beginning == body => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

const MEETINGS_MAX: usize = 4;
const BODY_MAX: usize = 128;
/// What a message may take on a busy machine.
const TURN_MS: c_int = 20;
