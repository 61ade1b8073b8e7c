//! Pipes made of vectors, for tests of machines.

use std::collections::{HashMap, VecDeque};

use crate::message::{Body, Message};
use crate::protocols::{Flow, PipeId, Pipes, Refusal};

/// Every pipe that was connected; what was sent on it, and what has arrived.
#[derive(Default)]
pub struct FakePipes {
    pipes: HashMap<PipeId, FakePipe>,
}

#[derive(Default)]
struct FakePipe {
    is_busy: bool,
    sent: Vec<String>,
    arrived: VecDeque<Message>,
}

impl FakePipes {
    pub fn message(text: &str) -> Message {
        Message::from_body(Body::copy_from(text.as_bytes()).expect("little memory is needed"))
    }

    pub fn connect(&mut self, pipe: PipeId) {
        self.pipes.insert(pipe, FakePipe::default());
    }

    pub fn arrive(&mut self, pipe: PipeId, text: &str) {
        self.pipe(pipe).arrived.push_back(FakePipes::message(text));
    }

    pub fn set_flow(&mut self, pipe: PipeId, flow: Flow) {
        self.pipe(pipe).is_busy = flow == Flow::Busy;
    }

    pub fn sent_to(&self, pipe: PipeId) -> &[String] {
        &self.pipes[&pipe].sent
    }

    fn pipe(&mut self, pipe: PipeId) -> &mut FakePipe {
        self.pipes.get_mut(&pipe).expect("a test uses only pipes that it connected")
    }
}

impl Pipes for FakePipes {
    fn send(&mut self, pipe: PipeId, message: &mut Message) -> Result<Flow, Refusal> {
        let pipe = self.pipe(pipe);
        if pipe.is_busy {
            return Err(Refusal::Busy);
        }
        let message = std::mem::take(message);
        pipe.sent.push(String::from_utf8_lossy(message.body.as_slice()).into_owned());
        Ok(Flow::Ready)
    }

    fn recv(&mut self, pipe: PipeId, message: &mut Message) -> bool {
        let arrived = self.pipe(pipe).arrived.pop_front();
        arrived.map(|arrived| *message = arrived).is_some()
    }

    fn flow(&self, pipe: PipeId) -> Flow {
        if self.pipes[&pipe].is_busy { Flow::Busy } else { Flow::Ready }
    }

    fn is_readable(&self, pipe: PipeId) -> bool {
        !self.pipes[&pipe].arrived.is_empty()
    }
}
