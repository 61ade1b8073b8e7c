//! Byte streams: two queues with room for so much, and what is on its way between them.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::faults::{Fault, one_of};
use super::kernel::{Event, State};
use super::object::{ENDED, ERROR, HANG_UP, IN, Id, Kind, OUT};
use crate::sync::simulated::scheduler;

/// Where somebody listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Internet(SocketAddr),
    Name(Vec<u8>),
    Inode(u64),
}

#[derive(Debug)]
pub struct Stream {
    pub is_local: bool,
    pub phase: Phase,
    pub own: Option<Place>,
    pub remote: Option<SocketAddr>,
    pub peer: Option<Id>,
    /// What has arrived and was not read.
    incoming: VecDeque<u8>,
    /// How much is on its way here.
    in_flight: usize,
    /// The most that may be both.
    capacity: usize,
    /// Nothing more arrives.
    is_ended: bool,
    /// Nothing more is written.
    is_mute: bool,
    /// Nothing more is read.
    is_deaf: bool,
    pub error: i32,
    latency: u64,
    /// When the last of what is on its way here arrives.
    last_arrival: u64,
    fate: Option<Fate>,
    /// What is written from now on gets lost.
    is_cut: bool,
    pub process: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Phase {
    Fresh,
    Bound,
    Listening { queue: VecDeque<Id>, most: usize },
    Connecting,
    Connected,
    Broken,
}

/// What happens to a stream behind so many bytes that are written.
#[derive(Clone, Copy, Debug)]
struct Fate {
    left: u64,
    kind: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Reset,
    Stall,
}

impl Stream {
    #[must_use]
    pub fn new(is_local: bool) -> Stream {
        Stream {
            is_local,
            phase: Phase::Fresh,
            own: None,
            remote: None,
            peer: None,
            incoming: VecDeque::new(),
            in_flight: 0,
            capacity: 0,
            is_ended: false,
            is_mute: false,
            is_deaf: false,
            error: 0,
            latency: 0,
            last_arrival: 0,
            fate: None,
            is_cut: false,
            process: scheduler::process(),
        }
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.incoming.len() + self.in_flight)
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub fn unread(&self) -> usize {
        self.incoming.len()
    }
}

fn now() -> u64 {
    scheduler::now().unwrap_or_default()
}

impl State {
    /// What can be done with it, as poll(2) tells.
    pub fn readiness(&self, id: Id) -> u32 {
        match self.objects.get(&id).map(|object| &object.kind) {
            None => 0,
            Some(Kind::Event { count }) => {
                if *count > 0 {
                    IN | OUT
                } else {
                    OUT
                }
            }
            Some(Kind::Epoll(epoll)) => {
                let is_ready = |((_, id), watched): (&(i32, Id), &super::object::Watched)| {
                    let asked = watched.events | super::object::ALWAYS;
                    !watched.is_disarmed && self.readiness(*id) & asked != 0
                };
                if epoll.watched.iter().any(is_ready) { IN } else { 0 }
            }
            Some(Kind::Stream(stream)) => self.readiness_of(stream),
        }
    }

    fn readiness_of(&self, stream: &Stream) -> u32 {
        let error = if stream.error == 0 { 0 } else { ERROR | IN | OUT };
        let phase = match &stream.phase {
            Phase::Fresh | Phase::Bound => OUT | HANG_UP,
            Phase::Listening { queue, .. } => {
                if queue.is_empty() {
                    0
                } else {
                    IN
                }
            }
            Phase::Connecting => 0,
            Phase::Broken => IN | OUT | ENDED | HANG_UP,
            Phase::Connected => {
                let is_over = stream.is_ended || stream.is_deaf;
                let readable = !stream.incoming.is_empty() || is_over;
                let peer = stream.peer.and_then(|id| self.objects.get(&id));
                let writable = match peer.map(|object| &object.kind) {
                    Some(Kind::Stream(peer)) => peer.room() * 3 >= peer.capacity,
                    _ => true,
                };
                (if readable { IN } else { 0 })
                    | (if writable || stream.is_mute { OUT } else { 0 })
                    | (if is_over { ENDED } else { 0 })
                    | (if is_over && stream.is_mute { HANG_UP } else { 0 })
            }
        };
        phase | error
    }

    pub fn happen(&mut self, event: Event, now: u64) {
        match event {
            Event::Arrive { to, mut bytes } => {
                if let Some(stream) = self.stream_of(to) {
                    stream.in_flight -= bytes.len();
                    stream.incoming.append(&mut bytes);
                }
            }
            Event::End { to } => {
                if let Some(stream) = self.stream_of(to) {
                    stream.is_ended = true;
                }
            }
            Event::Reset { to, code } => self.reset(to, code),
            Event::Refuse { from, code } => {
                if let Some(stream) = self.stream_of(from)
                    && stream.phase == Phase::Connecting
                {
                    (stream.phase, stream.error) = (Phase::Broken, code);
                }
            }
            Event::Answer { from, place } => match self.join(from, &place) {
                Ok(()) => {}
                // Asked again until there is room.
                Err(libc::EAGAIN) => {
                    self.schedule(now + 200_000_000, Event::Answer { from, place });
                }
                Err(code) => self.happen(Event::Refuse { from, code }, now),
            },
        }
    }

    pub fn reset(&mut self, to: Id, code: i32) {
        self.cancel(to);
        if let Some(stream) = self.stream_of(to)
            && matches!(stream.phase, Phase::Connected)
        {
            (stream.phase, stream.error, stream.in_flight) = (Phase::Broken, code, 0);
            stream.is_ended = true;
        }
    }

    /// The listener at a place.
    fn listener_at(&self, place: &Place) -> Option<Id> {
        let listens = |id: &&Id| {
            matches!(
                self.objects.get(id).map(|object| &object.kind),
                Some(Kind::Stream(stream)) if matches!(stream.phase, Phase::Listening { .. })
            )
        };
        let exact = self.bound.get(place).and_then(|all| all.iter().find(listens));
        if exact.is_some() {
            return exact.copied();
        }
        let Place::Internet(address) = place else { return None };
        let stands_for = |other: &Place| match other {
            Place::Internet(other) => other.port() == address.port() && other.ip().is_unspecified(),
            Place::Name(_) | Place::Inode(_) => false,
        };
        let others = self.bound.iter().filter(|(other, _)| stands_for(other));
        others.flat_map(|(_, all)| all).find(listens).copied()
    }

    /// Joins who connects with who listens.
    pub fn join(&mut self, from: Id, place: &Place) -> Result<(), i32> {
        let Some(client) = self.stream_of(from) else { return Ok(()) };
        let (is_local, process) = (client.is_local, client.process);
        let listener = self.listener_at(place).ok_or(libc::ECONNREFUSED)?;
        let Some(Stream { phase: Phase::Listening { queue, most }, process: owner, .. }) =
            self.stream_of(listener)
        else {
            return Err(libc::ECONNREFUSED);
        };
        if queue.len() >= *most {
            return Err(libc::EAGAIN);
        }
        let owner = *owner;
        let (latency_max, buffer_max) = (self.machine.latency_max, self.machine.buffer_max);
        let mut server = Stream::new(is_local);
        let latency = if is_local { 0 } else { random(0, latency_max) };
        let capacities =
            [(); 2].map(|()| random((buffer_max as u64).div_ceil(2), buffer_max as u64));
        let fates = [self.draw_fate(), self.draw_fate()];
        server.phase = Phase::Connected;
        server.own = Some(place.clone());
        server.peer = Some(from);
        server.process = process;
        server.remote = (!is_local)
            .then(|| SocketAddr::from(([127, 0, 0, 1], 32_768 + (from % 20_000) as u16)));
        (server.capacity, server.latency, server.fate) =
            (capacities[0] as usize, latency, fates[0]);
        let child = self.make(Kind::Stream(Box::new(server)));
        if let Some(client) = self.stream_of(from) {
            client.phase = Phase::Connected;
            client.peer = Some(child);
            // Who is at the other end, for those who ask.
            client.process = owner;
            (client.capacity, client.latency, client.fate) =
                (capacities[1] as usize, latency, fates[1]);
        }
        if let Some(Stream { phase: Phase::Listening { queue, .. }, .. }) = self.stream_of(listener)
        {
            queue.push_back(child);
        }
        Ok(())
    }

    fn draw_fate(&mut self) -> Option<Fate> {
        let kind = if self.fault(|faults| Fault("a stream will be reset", faults.reset)) {
            End::Reset
        } else if self.fault(|faults| Fault("a stream will stand still", faults.stalled)) {
            End::Stall
        } else {
            return None;
        };
        // Most often among the first bytes, which are the greeting.
        let most = *[16, 300, 20_000].get(random(0, 2) as usize).unwrap_or(&16);
        Some(Fate { left: random(0, most), kind })
    }

    /// The last descriptor of a stream is gone.
    pub fn stream_closed(&mut self, id: Id, stream: Stream) {
        match stream.phase {
            Phase::Listening { queue, .. } => {
                for child in queue {
                    self.release_reset(child);
                }
            }
            Phase::Connected => self.part(id, &stream, !stream.incoming.is_empty()),
            Phase::Fresh | Phase::Bound | Phase::Connecting | Phase::Broken => {}
        }
        self.cancel(id);
    }

    /// One that was never accepted.
    fn release_reset(&mut self, id: Id) {
        let Some(object) = self.objects.remove(&id) else { return };
        if let Kind::Stream(stream) = object.kind
            && let Some(peer) = stream.peer
        {
            self.reset(peer, libc::ECONNRESET);
        }
    }

    fn part(&mut self, id: Id, stream: &Stream, has_unread: bool) {
        let Some(peer) = stream.peer else { return };
        let (latency, in_flight) = (stream.latency, stream.in_flight);
        let Some(other) = self.stream_of(peer) else { return };
        let now = now();
        if other.is_local {
            other.is_ended = true;
            if has_unread {
                other.error = libc::ECONNRESET;
            }
            return;
        }
        if has_unread {
            // What is on its way is lost, what has arrived is not.
            self.cancel(peer);
            if let Some(other) = self.stream_of(peer) {
                other.in_flight = 0;
            }
            return self.schedule(now + latency, Event::Reset { to: peer, code: libc::ECONNRESET });
        }
        let end = other.last_arrival.max(now + latency);
        other.last_arrival = end;
        self.schedule(end, Event::End { to: peer });
        if in_flight > 0 {
            let at = end.max(stream.last_arrival + latency) + 1;
            self.schedule(at, Event::Reset { to: peer, code: libc::ECONNRESET });
        }
        let _ = id;
    }

    /// Writes what there is room for.
    pub fn write_stream(&mut self, id: Id, parts: &[&[u8]]) -> Result<usize, i32> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let Some(stream) = self.stream_of(id) else { return Err(libc::EBADF) };
        if stream.error != 0 {
            return Err(std::mem::take(&mut stream.error));
        }
        match stream.phase {
            Phase::Connected if stream.is_mute => return Err(libc::EPIPE),
            Phase::Connected => {}
            Phase::Connecting => return Err(libc::EAGAIN),
            Phase::Broken => return Err(libc::EPIPE),
            Phase::Fresh | Phase::Bound | Phase::Listening { .. } => return Err(libc::ENOTCONN),
        }
        let (is_local, latency) = (stream.is_local, stream.latency);
        let peer = stream.peer.unwrap_or_default();
        let Some(other) = self.stream_of(peer) else {
            if is_local {
                return Err(libc::EPIPE);
            }
            let at = now() + latency;
            self.schedule(at, Event::Reset { to: id, code: libc::ECONNRESET });
            return Ok(len);
        };
        if is_local && other.is_deaf {
            return Err(libc::EPIPE);
        }
        let room = other.room();
        if room == 0 {
            return Err(libc::EAGAIN);
        }
        let mut count = room.min(len);
        if count > 1 && self.fault(|faults| Fault("short write", faults.short)) {
            count = random(1, count as u64 - 1) as usize;
        }
        let bytes: VecDeque<u8> =
            parts.iter().flat_map(|part| part.iter().copied()).take(count).collect();
        self.carry(id, peer, bytes);
        Ok(count)
    }

    fn carry(&mut self, id: Id, peer: Id, mut bytes: VecDeque<u8>) {
        let count = bytes.len();
        let Some(stream) = self.stream_of(id) else { return };
        let (is_local, latency) = (stream.is_local, stream.latency);
        let mut end = None;
        if let Some(fate) = &mut stream.fate {
            match fate.left.checked_sub(count as u64) {
                Some(left) => fate.left = left,
                None => {
                    if let End::Reset = fate.kind {
                        bytes.truncate(fate.left as usize);
                    }
                    end = Some(fate.kind);
                    stream.fate = None;
                }
            }
        }
        if stream.is_cut {
            bytes.clear();
        }
        stream.is_cut |= matches!(end, Some(End::Reset));
        let stall = match end {
            Some(End::Stall) => random(1_000_000, 3_000_000_000),
            Some(End::Reset) | None => 0,
        };
        let jitter = if is_local { 0 } else { random(0, latency / 4 + 1) };
        let now = now();
        let Some(other) = self.stream_of(peer) else { return };
        if is_local && stall == 0 && other.in_flight == 0 {
            other.incoming.append(&mut bytes);
        } else {
            let at = other.last_arrival.max(now + latency + jitter) + stall;
            (other.last_arrival, other.in_flight) = (at, other.in_flight + bytes.len());
            self.schedule(at, Event::Arrive { to: peer, bytes });
        }
        if let Some(End::Reset) = end {
            self.counts.note("a stream is reset");
            let at = now + random(0, latency + 1000);
            for to in [id, peer] {
                let code = one_of(&[libc::ECONNRESET, libc::ETIMEDOUT, libc::EPIPE]);
                self.schedule(at, Event::Reset { to, code });
            }
        }
    }

    /// Reads what has arrived.
    pub fn read_stream(&mut self, id: Id, room: usize) -> Result<Vec<u8>, i32> {
        let Some(stream) = self.stream_of(id) else { return Err(libc::EBADF) };
        let mut count = room.min(stream.incoming.len());
        if count == 0 {
            if stream.error != 0 {
                return Err(std::mem::take(&mut stream.error));
            }
            return match stream.phase {
                Phase::Connected | Phase::Broken if stream.is_ended || stream.is_deaf => {
                    Ok(Vec::new())
                }
                Phase::Connected | Phase::Connecting => Err(libc::EAGAIN),
                Phase::Broken => Ok(Vec::new()),
                Phase::Fresh | Phase::Bound | Phase::Listening { .. } => Err(libc::ENOTCONN),
            };
        }
        if count > 1 && self.fault(|faults| Fault("short read", faults.short)) {
            count = random(1, count as u64 - 1) as usize;
        }
        let Some(stream) = self.stream_of(id) else { return Err(libc::EBADF) };
        Ok(stream.incoming.drain(..count).collect())
    }

    pub fn shut(&mut self, id: Id, reading: bool) -> Result<(), i32> {
        let Some(stream) = self.stream_of(id) else { return Err(libc::EBADF) };
        if !matches!(stream.phase, Phase::Connected) {
            return Err(libc::ENOTCONN);
        }
        let was_mute = std::mem::replace(&mut stream.is_mute, true);
        stream.is_deaf |= reading;
        let (latency, is_local, peer) = (stream.latency, stream.is_local, stream.peer);
        if let Some(peer) = peer
            && !was_mute
        {
            let now = now();
            if let Some(other) = self.stream_of(peer) {
                if is_local && other.in_flight == 0 {
                    other.is_ended = true;
                } else {
                    let at = other.last_arrival.max(now + latency);
                    other.last_arrival = at;
                    self.schedule(at, Event::End { to: peer });
                }
            }
        }
        Ok(())
    }
}

pub fn random(least: u64, most: u64) -> u64 {
    scheduler::draw(|random| random.between(least, most.max(least))).unwrap_or(least)
}
