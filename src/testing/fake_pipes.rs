//! Pipes made of vectors and a clock that stands still, for tests of machines.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::message::{Body, Header, Limit, Message};
use crate::protocols::{BranchId, Flow, Loss, PipeId, Pipes, Refusal};

/// So many pipes that a test takes minutes if the work for one of them grows with all of them.
pub const MANY: u32 = if cfg!(miri) { 320 } else { 100_000 };

/// The numbers below [`MANY`], each once, in an order that has no pattern to profit from.
pub fn in_disorder() -> impl Iterator<Item = u32> {
    // It has no divisor in common with the count.
    (0..u64::from(MANY)).map(|at| (at * 61_803 % u64::from(MANY)) as u32)
}

/// Every pipe that was connected; what was sent on it, and what has arrived.
pub struct FakePipes {
    pipes: HashMap<PipeId, FakePipe>,
    now: Instant,
    dropped: usize,
    why_dropped: Vec<(usize, Loss)>,
    missed: Vec<(PipeId, u64)>,
    dropped_of: Vec<(PipeId, Loss)>,
    lost: Vec<(PipeId, Loss)>,
    told: Vec<BranchId>,
    pub recv_limit: Limit,
    pub drops_nothing: bool,
}

/// What a pipe has for another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    Enough,
    /// None, although nothing waits there to be written.
    None,
    /// None, and the pipe is busy from the next message on.
    NoneUntilWritten,
    /// It seems to have enough, and has none when it comes to it.
    NoneLater,
}

struct FakePipe {
    memory: Memory,
    /// How many messages it still takes.
    room: usize,
    is_connected: bool,
    texts: Vec<String>,
    sent: Vec<Vec<u8>>,
    arrived: VecDeque<Message>,
}

impl Default for FakePipes {
    fn default() -> FakePipes {
        FakePipes {
            pipes: HashMap::new(),
            now: Instant::now(),
            dropped: 0,
            why_dropped: Vec::new(),
            missed: Vec::new(),
            dropped_of: Vec::new(),
            lost: Vec::new(),
            told: Vec::new(),
            recv_limit: 131_072.into(),
            drops_nothing: false,
        }
    }
}

impl FakePipes {
    pub fn message(text: &str) -> Message {
        FakePipes::with_header(b"", text)
    }

    pub fn with_header(header: &[u8], text: &str) -> Message {
        let little = "little memory is needed";
        let header = Header::copy_from(header).expect(little);
        let body = Body::copy_from(text.as_bytes()).expect(little);
        Message { header, body, ..Message::default() }
    }

    pub fn connect(&mut self, pipe: PipeId) {
        let fresh = FakePipe {
            memory: Memory::Enough,
            room: usize::MAX,
            is_connected: true,
            texts: Vec::new(),
            sent: Vec::new(),
            arrived: VecDeque::new(),
        };
        self.pipes.insert(pipe, fresh);
    }

    /// Nothing can be sent any more; what has arrived stays.
    pub fn disconnect(&mut self, pipe: PipeId) {
        self.pipe(pipe).is_connected = false;
    }

    pub fn arrive(&mut self, pipe: PipeId, text: &str) {
        self.arrive_message(pipe, FakePipes::message(text));
    }

    pub fn arrive_bytes(&mut self, pipe: PipeId, bytes: &[u8]) {
        let body = Body::copy_from(bytes).expect("little memory is needed");
        self.arrive_message(pipe, Message::from_body(body));
    }

    pub fn arrive_message(&mut self, pipe: PipeId, message: Message) {
        self.pipe(pipe).arrived.push_back(message);
    }

    /// How many messages the pipe takes from now on.
    pub fn set_room(&mut self, pipe: PipeId, room: usize) {
        self.pipe(pipe).room = room;
    }

    /// What there is for messages from now on, of which it takes as many as come.
    pub fn set_memory(&mut self, pipe: PipeId, memory: Memory) {
        let pipe = self.pipe(pipe);
        (pipe.memory, pipe.room) = (memory, usize::MAX);
    }

    /// The bodies.
    pub fn sent_to(&self, pipe: PipeId) -> &[String] {
        &self.pipes[&pipe].texts
    }

    /// What would stand on a wire.
    pub fn sent_bytes(&self, pipe: PipeId) -> &[Vec<u8>] {
        &self.pipes[&pipe].sent
    }

    /// The branches that were told of since the last call.
    pub fn take_told(&mut self) -> Vec<BranchId> {
        std::mem::take(&mut self.told)
    }

    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// What peers have missed of what was for everybody, since the last call.
    pub fn take_missed(&mut self) -> Vec<(PipeId, u64)> {
        std::mem::take(&mut self.missed)
    }

    /// How many at a time, and why, since the last call.
    pub fn take_dropped(&mut self) -> Vec<(usize, Loss)> {
        std::mem::take(&mut self.why_dropped)
    }

    /// Of those, the ones that were dropped on account of one peer, since the last call.
    pub fn take_dropped_of(&mut self) -> Vec<(PipeId, Loss)> {
        std::mem::take(&mut self.dropped_of)
    }

    /// What has arrived and was of no use, since the last call.
    pub fn take_lost(&mut self) -> Vec<(PipeId, Loss)> {
        std::mem::take(&mut self.lost)
    }

    pub fn pass(&mut self, duration: Duration) {
        self.now += duration;
    }

    fn pipe(&mut self, pipe: PipeId) -> &mut FakePipe {
        self.pipes.get_mut(&pipe).expect("a test uses only pipes that it connected")
    }
}

impl FakePipe {
    fn flow(&self) -> Flow {
        if self.room > 0 && self.is_connected { Flow::Ready } else { Flow::Busy }
    }

    fn need_memory(&mut self) -> Result<(), Refusal> {
        match self.memory {
            Memory::Enough => Ok(()),
            Memory::None | Memory::NoneLater => Err(Refusal::NoMemory),
            Memory::NoneUntilWritten => {
                self.room = 0;
                Err(Refusal::BusyForMemory)
            }
        }
    }
}

impl Pipes for FakePipes {
    fn send(&mut self, pipe: PipeId, message: &mut Message) -> Result<Flow, Refusal> {
        let found = self.pipes.get_mut(&pipe).filter(|pipe| pipe.flow() == Flow::Ready);
        let pipe = found.ok_or(Refusal::Busy)?;
        pipe.need_memory()?;
        let message = std::mem::take(message);
        pipe.room -= 1;
        pipe.texts.push(String::from_utf8_lossy(message.body.as_slice()).into_owned());
        pipe.sent.push([message.header.as_slice(), message.body.as_slice()].concat());
        Ok(pipe.flow())
    }

    fn prepare(&mut self, pipe: PipeId, _others: usize, _message: &Message) -> Result<(), Refusal> {
        let pipe = self.pipe(pipe);
        if pipe.memory == Memory::NoneLater { Ok(()) } else { pipe.need_memory() }
    }

    fn recv(&mut self, pipe: PipeId, message: &mut Message) -> bool {
        let arrived = self.pipe(pipe).arrived.pop_front();
        arrived.map(|arrived| *message = arrived).is_some()
    }

    fn flow(&self, pipe: PipeId) -> Flow {
        self.pipes.get(&pipe).map_or(Flow::Busy, FakePipe::flow)
    }

    fn is_readable(&self, pipe: PipeId) -> bool {
        self.pipes.get(&pipe).is_some_and(|pipe| !pipe.arrived.is_empty())
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn hop_limit(&self) -> usize {
        8
    }

    fn recv_limit(&self) -> Limit {
        self.recv_limit
    }

    fn drops_nothing(&self) -> bool {
        self.drops_nothing
    }

    fn tell_branch(&mut self, branch: BranchId) {
        self.told.push(branch);
    }

    fn count_lost(&mut self, pipe: PipeId, why: Loss) {
        self.lost.push((pipe, why));
    }

    fn count_missed(&mut self, pipe: PipeId, count: u64) {
        self.missed.push((pipe, count));
    }

    fn count_dropped_of(&mut self, pipe: PipeId, why: Loss) {
        self.dropped_of.push((pipe, why));
        self.count_dropped(1, why);
    }

    fn count_dropped(&mut self, count: usize, why: Loss) {
        self.dropped += count;
        self.why_dropped.push((count, why));
    }
}
