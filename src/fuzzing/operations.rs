//! Any row of calls that a program may make, on a few sockets of all types that are bound and
//! connected to each other and to nobody.
//!
//! No call panics, nor takes its socket out of service; what is received was sent, and by types
//! that deliver once it is received once; a handle that was closed is none, and everything closes.
//! Calls never wait, so that no row of them does.

use super::caller::{self, Chunk};
use super::input::Input;
use super::kind::{KINDS, Kind};
use super::ledger::{Arrival, Ledger};
use super::place::{Folder, PATIENCE, tcp_address};
use super::stranger::MOMENT;
use crate::ffi::abi::nn::{
    AF_SP, AF_SP_RAW, NN_DONTWAIT, NN_LINGER, NN_POLLIN, NN_POLLOUT, NN_RECONNECT_IVL,
    NN_SOL_SOCKET, NN_STAT_CURRENT_CONNECTIONS, PROTO_SP, SP_HDR,
};
use crate::ffi::abi::pair::NN_PAIR;
use crate::ffi::abi::pipeline::NN_PULL;
use crate::ffi::abi::pubsub::{NN_SUB, NN_SUB_SUBSCRIBE};
use crate::ffi::abi::spmsg::{SPMSG_BASE, SPMSG_STAT_MESSAGES_DROPPED};
use crate::ffi::symbols;
use crate::message::control;
use std::ffi::{CStr, CString, c_int, c_short};
use std::ptr;
use std::thread;
use std::time::Instant;

/// Tells how many messages were received.
///
/// # Panics
/// When the library does something wrong.
#[must_use]
pub fn operations(bytes: &[u8]) -> usize {
    let mut program = Program::new(Input::new(bytes));
    while !program.input.is_empty() {
        program.step();
    }
    for at in 0..SLOTS {
        program.close(at);
    }
    program.received
}

struct Program<'a> {
    input: Input<'a>,
    slots: [Option<Slot>; SLOTS],
    ledger: Ledger,
    received: usize,
    addresses: Vec<String>,
    // Last, because the sockets' files have to go first.
    folder: Folder,
}

/// A socket, and what is known of it.
struct Slot {
    handle: c_int,
    kind: Kind,
    endpoints: Vec<c_int>,
}

impl<'a> Program<'a> {
    fn new(input: Input<'a>) -> Program<'a> {
        let folder = Folder::new();
        let addresses = vec![
            format!("inproc://{}", folder.path("a")),
            format!("inproc://{}", folder.path("b")),
            format!("ipc://{}", folder.path("a")),
            format!("ipc://{}", folder.path("b")),
            format!("tcp://{}", tcp_address()),
            format!("ws://{}/path", tcp_address()),
        ];
        let slots = [const { None }; SLOTS];
        Program { input, slots, ledger: Ledger::default(), received: 0, addresses, folder }
    }

    fn step(&mut self) {
        let steps = [
            Program::open,
            Program::join,
            Program::bind,
            Program::connect,
            Program::close_one,
            Program::shut_down,
            Program::set_option,
            Program::get_option,
            Program::send,
            Program::send_chunk,
            Program::send_pieces,
            Program::recv,
            Program::recv_chunk,
            Program::recv_pieces,
            Program::recv_whole,
            Program::poll,
            Program::look,
            Program::allocate,
            Program::misuse,
            Program::pause,
        ];
        let step = self.input.pick(&steps);
        step(self);
    }

    fn open(&mut self) {
        let at = self.input.below(SLOTS);
        let domain = self.input.pick(&[AF_SP, AF_SP_RAW]);
        let kind = self.input.pick(&KINDS);
        self.open_at(at, domain, kind);
    }

    fn open_at(&mut self, at: usize, domain: c_int, kind: Kind) {
        self.close(at);
        let handle = caller::open(domain, kind.number).expect("there is room for a socket");
        self.slots[at] = Some(Slot { handle, kind, endpoints: Vec::new() });
        self.never_wait(at);
        caller::set_int(handle, NN_RECONNECT_IVL, 1).expect("a good interval");
        if kind.number == NN_SUB {
            let topic = self.input.pick(&[&b""[..], b"\x9e", b"topic"]);
            let subscribed = caller::set_option(handle, NN_SUB, NN_SUB_SUBSCRIBE, Some(topic));
            subscribed.expect("any topic is good");
        }
    }

    /// Two sockets that can talk to each other, where the address is free.
    fn join(&mut self) {
        let (at, domain) = (self.input.below(SLOTS), self.input.pick(&[AF_SP, AF_SP_RAW]));
        let kind = self.input.pick(&KINDS);
        let address = self.good_address();
        let other = (at + 1) % SLOTS;
        self.open_at(at, domain, kind);
        self.open_at(other, AF_SP, kind.peer());
        if self.add_endpoint(at, &address, caller::bind).is_err() {
            return;
        }
        self.add_endpoint(other, &address, caller::connect).expect("a good address");
        let began = Instant::now();
        let handle = self.slots[at].as_ref().map_or(-1, |slot| slot.handle);
        while caller::statistic(handle, NN_STAT_CURRENT_CONNECTIONS) == 0 {
            assert!(began.elapsed() < PATIENCE, "nobody comes to {address:?}");
            thread::sleep(MOMENT);
        }
    }

    fn bind(&mut self) {
        let Some(at) = self.chosen() else { return };
        let address = self.address();
        let ways: [fn(c_int, &CStr) -> caller::Outcome; 2] = [caller::bind, caller::bind_anywhere];
        let bind = self.input.pick(&ways);
        let _ = self.add_endpoint(at, &address, bind);
    }

    fn connect(&mut self) {
        let Some(at) = self.chosen() else { return };
        let address = self.address();
        let _ = self.add_endpoint(at, &address, caller::connect);
    }

    fn add_endpoint(
        &mut self,
        at: usize,
        address: &CStr,
        make: fn(c_int, &CStr) -> caller::Outcome,
    ) -> caller::Outcome {
        let Some(slot) = &mut self.slots[at] else { return Err(libc::EBADF) };
        let made = make(slot.handle, address).inspect_err(is_no_defect);
        slot.endpoints.extend(made);
        made
    }

    fn close_one(&mut self) {
        let at = self.input.below(SLOTS);
        self.close(at);
    }

    fn close(&mut self, at: usize) {
        self.never_wait(at);
        let Some(slot) = self.slots[at].take() else { return };
        assert_eq!(caller::close(slot.handle), Ok(0));
        if IS_ALONE {
            assert_eq!(caller::close(slot.handle), Err(libc::EBADF), "a handle that is closed");
            assert_eq!(caller::send(slot.handle, b""), Err(libc::EBADF), "a handle that is closed");
        }
    }

    /// Nobody may be there to read what lies in the socket.
    fn never_wait(&self, at: usize) {
        if let Some(slot) = &self.slots[at] {
            caller::set_int(slot.handle, NN_LINGER, 0).expect("a good linger");
        }
    }

    fn shut_down(&mut self) {
        let Some(at) = self.chosen() else { return };
        self.never_wait(at);
        let which = self.input.byte();
        let Some(slot) = &mut self.slots[at] else { return };
        if slot.endpoints.is_empty() || which >= 0xf0 {
            let none = c_int::from(which) - 0xf8;
            let known = slot.endpoints.contains(&none);
            assert!(known || caller::shutdown(slot.handle, none) == Err(libc::EINVAL));
            return;
        }
        let endpoint = slot.endpoints.swap_remove(usize::from(which) % slot.endpoints.len());
        assert_eq!(caller::shutdown(slot.handle, endpoint), Ok(0), "an endpoint that is there");
    }

    fn set_option(&mut self) {
        let Some(handle) = self.chosen_handle() else { return };
        let (level, option) = self.option();
        let number: c_int =
            self.input.pick(&[0, 1, -1, 2, 7, 16, 17, 1000, c_int::MAX, c_int::MIN]);
        let value = match self.input.below(8) {
            0 => None,
            1 => {
                let len = self.input.below(20);
                Some(self.input.take(len).to_vec())
            }
            _ => Some(number.to_ne_bytes().to_vec()),
        };
        let set = caller::set_option(handle, level, option, value.as_deref());
        let _ = set.inspect_err(is_no_defect);
    }

    fn get_option(&mut self) {
        let Some(handle) = self.chosen_handle() else { return };
        let (level, option) = self.option();
        let room = self.input.pick(&[4, 0, 1, 3, 5, 8, 64, 100]);
        let _ = caller::option(handle, level, option, room).inspect_err(is_no_defect);
    }

    /// Mostly one that exists.
    fn option(&mut self) -> (c_int, c_int) {
        let levels = [NN_SOL_SOCKET, -1, -2, -3, -4, SPMSG_BASE];
        let own = KINDS.map(|kind| kind.number);
        let level = match self.input.below(3) {
            0 => self.input.pick(&levels),
            1 => self.input.pick(&own),
            _ => NN_SOL_SOCKET,
        };
        let option = c_int::from(self.input.byte());
        (level, if option < 0xe0 { option % 20 } else { SPMSG_BASE + option - 0xe0 })
    }

    fn send(&mut self) {
        let Some(handle) = self.chosen_handle() else { return };
        let body = self.body();
        let sent = caller::send(handle, &body);
        self.note_sent(sent, &[], &body);
    }

    fn send_chunk(&mut self) {
        let Some(handle) = self.chosen_handle() else { return };
        let body = self.body();
        let mut chunk = Chunk::new(body.len(), 0).expect("there is memory");
        chunk.bytes().copy_from_slice(&body);
        let sent = match caller::send_chunk(handle, chunk) {
            Ok(count) => Ok(count),
            // It is still ours, with what was in it.
            Err((number, mut chunk)) => {
                assert!(chunk.bytes() == body, "a message that was not sent is another now");
                Err(number)
            }
        };
        self.note_sent(sent, &[], &body);
    }

    fn send_pieces(&mut self) {
        let Some(handle) = self.chosen_handle() else { return };
        let (body, control) = (self.body(), self.control());
        let mut pieces = Vec::new();
        let mut rest = &body[..];
        for _ in 0..self.input.below(4) {
            let (piece, behind) = rest.split_at(self.input.below(64).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        let sent = caller::send_pieces(handle, &pieces, control.as_deref());
        self.note_sent(sent, control.as_deref().unwrap_or_default(), &body);
    }

    fn note_sent(&mut self, sent: caller::Outcome, control: &[u8], body: &[u8]) {
        if let Ok(count) = sent.inspect_err(is_no_defect) {
            assert_eq!(count as usize, body.len());
            self.ledger.sent(control, body);
        }
    }

    fn recv(&mut self) {
        let Some(at) = self.chosen() else { return };
        let room = self.input.pick(&[100, 0, 1, 9, 1000, 100_000]);
        let _ = self.recv_at(at, room);
    }

    fn recv_at(&mut self, at: usize, room: usize) -> Result<(), c_int> {
        let Some(slot) = &self.slots[at] else { return Ok(()) };
        let received = caller::recv(slot.handle, room, NN_DONTWAIT).inspect_err(is_no_defect)?;
        self.note_received(at, received.len, &received.beginning);
        Ok(())
    }

    fn recv_chunk(&mut self) {
        let Some(at) = self.chosen() else { return };
        let Some(slot) = &self.slots[at] else { return };
        let Ok(mut chunk) = caller::recv_chunk(slot.handle).inspect_err(is_no_defect) else {
            return;
        };
        let len = chunk.bytes().len();
        self.note_received(at, len, chunk.bytes());
    }

    fn recv_pieces(&mut self) {
        let Some(at) = self.chosen() else { return };
        let rooms = [self.input.below(80), self.input.below(3), self.input.below(80)];
        let room = self.input.pick(&[64, 0, 23, 24, 40, 200]);
        let Some(slot) = &self.slots[at] else { return };
        let received = caller::recv_pieces(slot.handle, &rooms, room);
        let Ok(received) = received.inspect_err(is_no_defect) else { return };
        // A header always comes first, if there is room for one (protocols 2.2).
        if room >= 40 {
            assert!(caller::count_entries_in(&received.control) > 0, "there is no header");
        }
        self.note_received(at, received.len, &received.beginning);
    }

    fn recv_whole(&mut self) {
        let Some(at) = self.chosen() else { return };
        let Some(slot) = &self.slots[at] else { return };
        let received = caller::recv_whole(slot.handle).inspect_err(is_no_defect);
        let Ok((mut chunk, entries)) = received else { return };
        assert!(entries > 0, "there is no header");
        let len = chunk.bytes().len();
        self.note_received(at, len, chunk.bytes());
    }

    fn note_received(&mut self, at: usize, len: usize, beginning: &[u8]) {
        let once = |slot: &Slot| [NN_PAIR, NN_PULL].contains(&slot.kind.number);
        let arrival = match &self.slots[at] {
            Some(slot) if once(slot) => Arrival::Once,
            _ => Arrival::Often,
        };
        self.ledger.received(len, beginning, arrival);
        self.received += 1;
    }

    fn poll(&mut self) {
        let choice = self.input.byte();
        let ms = c_int::from(choice >> 7);
        let both = [NN_POLLIN, NN_POLLOUT, NN_POLLIN | NN_POLLOUT, 0];
        let events = both[usize::from(choice & 3)] as c_short;
        let open = |at: &usize| self.slots[*at].is_some() && choice >> 2 & (1 << at) == 0;
        let places: Vec<usize> = (0..SLOTS).filter(open).collect();
        let handle = |at: &usize| self.slots[*at].as_ref().map_or(-1, |slot| slot.handle);
        let wanted: Vec<_> = places.iter().map(|at| (handle(at), events)).collect();
        let Ok(found) = caller::poll(&wanted, ms).inspect_err(is_no_defect) else { return };
        for (at, found) in places.into_iter().zip(found) {
            let kind = self.slots[at].as_ref().map(|slot| slot.kind.number);
            // Others may have something that they discard (protocols 2.7).
            if [Some(NN_PAIR), Some(NN_PULL)].contains(&kind) && c_int::from(found) & NN_POLLIN != 0
            {
                assert_eq!(self.recv_at(at, 10), Ok(()), "what can be received is not there");
            }
        }
    }

    /// Calls that change nothing, or at most whom it is connected to.
    fn look(&mut self) {
        let Some(at) = self.chosen() else { return };
        let (which, number) = (self.input.below(5), self.input.byte());
        let Some(slot) = &self.slots[at] else { return };
        let statistics = [101, 201, 301, 401, 0, -1, SPMSG_STAT_MESSAGES_DROPPED];
        match which {
            0 => {
                let base = statistics[usize::from(number >> 4) % statistics.len()];
                let _ = caller::statistic(slot.handle, base.wrapping_add(c_int::from(number & 7)));
            }
            1 => drop(caller::events(slot.handle).inspect_err(is_no_defect)),
            2 => drop(caller::next_event(slot.handle).inspect_err(is_no_defect)),
            3 => drop(caller::disconnect(slot.handle, number.into()).inspect_err(is_no_defect)),
            _ => {
                let endpoint = slot.endpoints.first().copied().unwrap_or(c_int::from(number));
                let found = caller::address(slot.handle, endpoint, usize::from(number) % 40);
                let found = found.inspect_err(is_no_defect);
                assert_eq!(found.is_ok(), !slot.endpoints.is_empty());
            }
        }
    }

    /// Memory of messages keeps what is in it.
    fn allocate(&mut self) {
        let sizes = [0, 1, 17, 200, 70_000, usize::MAX, usize::MAX - 40, isize::MAX as usize];
        let (first, second) = (self.input.pick(&sizes), self.input.pick(&sizes));
        let kind = c_int::from(self.input.below(20) == 19);
        let Some(mut chunk) = Chunk::new(first, kind) else { return };
        assert!(kind == 0 && first <= 70_000);
        chunk.bytes().fill(7);
        assert_eq!(chunk.resize(second), second <= 70_000);
        let kept = first.min(second);
        let kept = if second <= 70_000 { kept } else { first };
        assert!(chunk.bytes()[..kept].iter().all(|byte| *byte == 7));
    }

    /// What cannot succeed.
    fn misuse(&mut self) {
        let number = c_int::from(self.input.word() as i16);
        let is_ours = self.slots.iter().flatten().any(|slot| slot.handle == number);
        let is_open = if IS_ALONE { is_ours } else { number >= 0 };
        match self.input.below(4) {
            0 if !is_open => assert_eq!(caller::close(number), Err(libc::EBADF)),
            1 if !is_open => drop(caller::poll(&[(number, 1)], 0).expect_err("no such socket")),
            2 => {
                let domain = self.input.pick(&[AF_SP, AF_SP_RAW, 0, 3]);
                if let Ok(handle) = caller::open(domain, number) {
                    assert!(KINDS.iter().any(|kind| kind.number == number));
                    assert_eq!(caller::close(handle), Ok(0));
                }
            }
            _ => {
                // SAFETY: without a place for the value.
                let name = unsafe { symbols::nn_symbol(number, ptr::null_mut()) };
                assert_eq!(name.is_null(), !(0..121).contains(&number));
            }
        }
    }

    /// What was sent over streams arrives meanwhile, more often than not.
    fn pause(&mut self) {
        thread::sleep(MOMENT);
    }

    fn chosen(&mut self) -> Option<usize> {
        let first = self.input.below(SLOTS);
        (first..SLOTS).chain(0..first).find(|at| self.slots[*at].is_some())
    }

    fn chosen_handle(&mut self) -> Option<c_int> {
        let at = self.chosen()?;
        self.slots[at].as_ref().map(|slot| slot.handle)
    }

    fn body(&mut self) -> Vec<u8> {
        let size = self.input.pick(&[20, 0, 1, 3, 8, 50, 51, 200, 3_000, 20_000, 70_000]);
        self.ledger.body(size)
    }

    /// None, some that a program may give, or anything.
    fn control(&mut self) -> Option<Vec<u8>> {
        let choice = self.input.byte();
        let len = self.input.below(40);
        let bytes = self.input.take(len);
        let (level, kind) = match choice % 4 {
            0 => return None,
            1 => return Some(bytes.to_vec()),
            2 => (c_int::from(choice as i8) / 8, c_int::from(choice >> 4)),
            _ => (PROTO_SP, SP_HDR),
        };
        let data = [&bytes.len().to_ne_bytes()[..], bytes].concat();
        let entry = control::Entry { level, kind, data: &data }.to_chunk();
        Some(entry.expect("there is memory").as_slice().to_vec())
    }

    fn good_address(&mut self) -> CString {
        let at = self.input.below(self.addresses.len());
        CString::new(&*self.addresses[at]).expect("an address has no zero")
    }

    /// Mostly a good one. Whatever is made up stays on this machine and in our folder, and is no
    /// name that somebody would have to be asked about.
    fn address(&mut self) -> CString {
        let choice = self.input.byte();
        if choice < 0xa0 {
            return self.good_address();
        }
        let len = self.input.below(200);
        let bytes = self.input.take(len);
        let numbers = || bytes.iter().copied().filter(|byte| b"0123456789:[]*/ ".contains(byte));
        let text: Vec<u8> = match choice % 5 {
            0 => [b"inproc://", bytes].concat(),
            1 => {
                let is_part = |byte: &&u8| **byte != b'/';
                let start = format!("ipc://{}", self.folder.path(""));
                start.bytes().chain(bytes.iter().filter(is_part).copied()).collect()
            }
            2 => b"tcp://127.0.0.1:".iter().copied().chain(numbers()).collect(),
            3 => [b"ws://127.0.0.1:0/", bytes].concat(),
            _ => bytes.iter().copied().filter(|byte| *byte != b'/').collect(),
        };
        let text = text.into_iter().filter(|byte| *byte != 0).collect::<Vec<_>>();
        CString::new(text).expect("there is no zero left")
    }
}

/// A socket that is open and says it is not has been taken out of service by a panic.
fn is_no_defect(number: &c_int) {
    assert_ne!(*number, libc::EBADF, "a socket is out of service");
}

/// Elsewhere, other tests of the process have sockets as well, and get the number of a closed one.
const IS_ALONE: bool = cfg!(fuzzing);
const SLOTS: usize = 5;
