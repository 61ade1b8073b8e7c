//! Encrypted streams on the seam that connections have: a stranger, who has a machine of his own,
//! says what the input tells him, and does to what is on its way whatever somebody on the way could
//! do. The greeting, too, or only what comes behind it.
//!
//! What arrives is what the stranger has said, from its beginning on, whatever was done, and all of
//! it where nothing was done to it; likewise what he hears. Nothing is kept that has no bound, and
//! what has failed says why.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::MaybeUninit;

use spmsg_tls::config::Role;
use spmsg_tls::fuzzing as tls;
use spmsg_tls::room::Room;
use spmsg_tls::session::Session;
use spmsg_tls::table::{AROUND, HAS_CIPHERTEXT, IS_FAILED, IS_HANDSHAKING, RECORD};

use super::input::Input;
use crate::message::Message;
use crate::sys::{OsStream, Read, TlsRole};
use crate::transports::fuzzing as transports;
use crate::transports::tls_fuzzing::End;

/// Tells how many messages have arrived.
pub fn tls_streams(bytes: &[u8]) -> usize {
    let mut input = Input::new(bytes);
    let mut talk = Talk::begin(&mut input);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        talk.step(&mut input);
        talk.check();
    }
    talk.finish()
}

struct Talk {
    own: End,
    /// What it is to write, and has written.
    unwritten: Vec<u8>,
    written: Vec<u8>,
    messages: Vec<Message>,
    codec: fn() -> transports::Codec,
    stranger: Session,
    stream: OsStream,
    /// What the stranger has said, and heard.
    said: Vec<u8>,
    heard: Vec<u8>,
    /// His records on their way.
    wire: VecDeque<Vec<u8>>,
    /// Somebody has changed what is on its way.
    is_touched: bool,
    /// A direction was ended before its time, and what was on its way there need not arrive.
    is_said_cut: bool,
    is_written_cut: bool,
    has_said_end: bool,
}

impl Talk {
    fn begin(input: &mut Input<'_>) -> Talk {
        let first = input.byte();
        let has = |bit: u8| first & bit != 0;
        let (own, role, codec): (_, _, fn() -> transports::Codec) = match (has(1), has(2)) {
            (false, false) => (TlsRole::Server, Role::Client, transports::tcp),
            (false, true) => (TlsRole::Server, Role::Client, transports::ws_server),
            (true, false) => (TlsRole::Client, Role::Server, transports::tcp),
            (true, true) => (TlsRole::Client, Role::Server, transports::ws_client),
        };
        let step = usize::from(input.word()).clamp(1, READ_MAX);
        let (here, there) = OsStream::pair();
        let mut talk = Talk {
            own: End::new(own, has(16), here, codec(), step),
            unwritten: Vec::new(),
            written: Vec::new(),
            messages: Vec::new(),
            codec,
            stranger: tls::end(role, has(4)),
            stream: there,
            said: Vec::new(),
            heard: Vec::new(),
            wire: VecDeque::new(),
            is_touched: false,
            is_said_cut: false,
            is_written_cut: false,
            has_said_end: false,
        };
        if !has(8) {
            talk.greet();
        }
        talk
    }

    fn greet(&mut self) {
        let mut turns = 0;
        while self.own.is_handshaking() || self.stranger.state() & IS_HANDSHAKING != 0 {
            assert!(turns < TURNS_MAX, "they do not come to an end: {:?}", self.own.fault());
            turns += 1;
            self.write();
            self.hear();
            self.pass(usize::MAX);
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 => {
                let count = input.byte();
                let bytes = input.take(count.into()).to_vec();
                self.say(&bytes);
            }
            1 => {
                let (size, byte) = (input.word(), input.byte());
                self.say(&vec![byte; size.into()]);
            }
            2 => {
                let size = input.word();
                self.pass(size.into());
            }
            3 => self.pass(usize::MAX),
            4 => self.hear(),
            5 => {
                let (size, byte) = (input.word(), input.byte());
                self.unwritten.extend(std::iter::repeat_n(byte, size.into()));
                self.write();
            }
            6 => {
                let (at, bit) = (input.word(), input.below(8));
                self.flip(at.into(), 1 << bit);
            }
            7 => self.touch(input, |wire, at| drop(wire.remove(at))),
            8 => self.touch(input, |wire, at| wire.swap(0, at)),
            9 => self.touch(input, |wire, at| wire.push_back(wire[at].clone())),
            10 => {
                let size = input.word();
                self.touch(input, |wire, at| wire[at].truncate(size.into()));
            }
            11 => {
                let count = input.byte();
                self.is_touched = true;
                self.wire.push_back(input.take(count.into()).to_vec());
            }
            12 => self.end(),
            13 => {
                self.cut_said();
                self.stream.end();
            }
            14 => {
                self.cut_written();
                self.own.end();
            }
            _ => {
                self.cut_said();
                self.cut_written();
                self.own.break_off();
            }
        }
    }

    /// What is said need not arrive from now on.
    fn cut_said(&mut self) {
        self.is_said_cut = true;
        // Without a greeting nothing gets through either way.
        self.is_written_cut |= self.own.is_handshaking();
    }

    /// What is written need not be heard from now on.
    fn cut_written(&mut self) {
        self.is_written_cut = true;
        self.is_said_cut |= self.own.is_handshaking();
    }

    /// The stranger says something, if he is listened to. Behind his end nobody does.
    fn say(&mut self, bytes: &[u8]) {
        self.emit();
        let records = bytes.len().div_ceil(RECORD);
        let mut room = vec![0; bytes.len() + records * AROUND];
        let count = self.stranger.put(bytes, &mut room);
        if count > 0 {
            room.truncate(count);
            if !self.has_said_end {
                self.said.extend_from_slice(bytes);
            }
            self.wire.push_back(room);
        }
    }

    fn end(&mut self) {
        self.emit();
        self.has_said_end |= self.stranger.state() & IS_HANDSHAKING == 0;
        self.stranger.end();
        self.emit();
    }

    /// What the stranger's machine says of its own accord.
    fn emit(&mut self) {
        let mut room = [0; 4096];
        while self.stranger.state() & HAS_CIPHERTEXT != 0 {
            let count = self.stranger.emit(&mut room);
            self.wire.push_back(room[..count].to_vec());
        }
    }

    /// So many bytes arrive.
    fn pass(&mut self, mut size: usize) {
        self.emit();
        let mut is_full = false;
        while size > 0
            && let Some(piece) = self.wire.front_mut()
        {
            let most = size.min(piece.len());
            // Who has gone takes nothing.
            let count = self.stream.write(&[IoSlice::new(&piece[..most])]).unwrap_or(0);
            piece.drain(..count);
            size -= count;
            if piece.is_empty() {
                self.wire.pop_front();
            } else if count == 0 && is_full {
                break;
            }
            is_full = count < most;
            self.messages.extend(self.own.read());
        }
        self.messages.extend(self.own.read());
    }

    /// What the other end has said arrives.
    fn hear(&mut self) {
        let mut bytes = Vec::new();
        loop {
            let held = self.stranger.held();
            bytes.resize(held + READ_MAX, 0);
            let Read::Bytes(count) = self.stream.read(None, &mut bytes[held..]) else { return };
            let bytes = &mut bytes[..held + count];
            let mut cells = vec![MaybeUninit::new(0); bytes.len()];
            let mut room = Room::new(&mut cells, &mut []);
            self.stranger.feed(bytes, &mut room);
            let filled = room.filled();
            // SAFETY: all cells were written to when they were made.
            self.heard.extend(cells[..filled].iter().map(|cell| unsafe { cell.assume_init() }));
            // There is as much room for plaintext as there is ciphertext.
            let is_failed = self.stranger.state() & IS_FAILED != 0;
            assert!(self.is_touched || !is_failed, "{:?}", self.stranger.failure());
        }
    }

    fn write(&mut self) {
        let (one, other) = self.unwritten.split_at(self.unwritten.len() / 3);
        if let Ok(count) = self.own.write(&[IoSlice::new(one), IoSlice::new(other)]) {
            self.written.extend(self.unwritten.drain(..count));
        }
    }

    fn flip(&mut self, mut at: usize, bits: u8) {
        for piece in &mut self.wire {
            if let Some(byte) = piece.get_mut(at) {
                *byte ^= bits;
                self.is_touched = true;
                return;
            }
            at -= piece.len();
        }
    }

    fn touch(&mut self, input: &mut Input<'_>, change: impl FnOnce(&mut VecDeque<Vec<u8>>, usize)) {
        self.emit();
        let at = input.byte();
        if !self.wire.is_empty() {
            let at = usize::from(at) % self.wire.len();
            self.is_touched = true;
            change(&mut self.wire, at);
        }
    }

    fn check(&self) {
        assert!(self.own.kept() <= KEPT_MAX, "{} bytes are kept", self.own.kept());
        let fault = self.own.fault();
        if self.own.is_at_end() && fault.is_none() {
            assert!(self.has_said_end, "it ends although nobody has said so");
        }
        assert!(self.all_written().starts_with(&self.heard), "what is heard was never written");
    }

    fn all_written(&self) -> Vec<u8> {
        [&self.written[..], &self.unwritten].concat()
    }

    /// What a codec makes of all that was said.
    fn expected(&self) -> Vec<Message> {
        transports::receive((self.codec)(), &self.said, self.said.len().max(1))
    }

    /// What is left is written and arrives.
    fn settle(&mut self) {
        if !(self.is_touched || self.is_said_cut || self.is_written_cut) {
            self.greet();
        }
        self.pass(usize::MAX);
        self.hear();
        let mut left = usize::MAX;
        while self.unwritten.len() < left {
            left = self.unwritten.len();
            self.write();
            self.hear();
        }
    }

    fn finish(mut self) -> usize {
        self.settle();
        let is_whole = !self.is_touched && !self.is_said_cut;
        // Who writes behind his own end fails of that.
        let is_good = self.own.fault().is_none() || self.is_written_cut;
        assert!(!is_whole || is_good, "{:?} of nothing", self.own.fault());
        self.stream.end();
        self.messages.extend(self.own.read());
        self.check();
        let bodies = |messages: &[Message]| -> Vec<Vec<u8>> {
            messages.iter().map(|message| message.body.as_slice().to_vec()).collect()
        };
        let (came, expected) = (bodies(&self.messages), bodies(&self.expected()));
        assert!(expected.starts_with(&came), "what has arrived was never said");
        assert!(!is_whole || came.len() == expected.len(), "what was said is lost");
        let is_heard = self.heard.len() == self.all_written().len();
        assert!(self.is_touched || self.is_written_cut || is_heard, "what was written is lost");
        came.len()
    }
}

/// Steps of one input, each of which says no more than 64 KiB.
const STEPS_MAX: usize = 64;
/// Turns of a greeting.
const TURNS_MAX: usize = 20;
const READ_MAX: usize = 64 * 1024;
/// What one end may keep, without messages: the beginning of a message of the handshake, and
/// records that the kernel does not take.
const KEPT_MAX: usize = 256 * 1024;
