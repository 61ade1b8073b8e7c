//! Answers follow the way that their requests came: what REP and RESPONDENT are made of.
//!
//! Each pipe has a key with bit 31 clear, which stands in front of the words of a request that came
//! from it, and which the answer must bring back (protocols 5).

mod replier;

pub use replier::Replier;

use super::backtrace::{hop, split_request, split_word};
use super::routing::{FairQueue, Priority};
use super::{DISCARDS_MAX, Loss, Nothing, PipeId, Pipes, Seed};
use crate::message::{Header, Message};

#[derive(Debug)]
struct ReturnPath {
    requests: FairQueue,
    /// The key of the pipe with number 0. Each further pipe has the next one.
    first_key: u32,
}

impl ReturnPath {
    fn new(seed: Seed) -> ReturnPath {
        ReturnPath { requests: FairQueue::default(), first_key: seed.random }
    }

    fn add_pipe(&mut self, pipe: PipeId, priority: Priority) {
        self.requests.add(pipe, priority);
    }

    /// Puts the next request into `message`; its header is the key of its pipe and its words.
    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        for _ in 0..DISCARDS_MAX {
            let pipe = self.requests.recv(message, pipes).ok_or(Nothing::Yet)?;
            if let Err(why) = split_request(message, pipes.hop_limit()) {
                pipes.count_lost(pipe, why.into());
            } else if let Ok(header) = message.header.with_front(self.key(pipe).to_be_bytes()) {
                message.header = header;
                return Ok(());
            } else {
                pipes.count_lost(pipe, Loss::NoMemory);
            }
        }
        Err(Nothing::Again)
    }

    /// Takes `message` and sends it where its header says. It goes nowhere when the header names no
    /// pipe, or one that cannot take it.
    fn send(&self, message: &mut Message, pipes: &mut dyn Pipes) {
        let mut message = std::mem::take(message);
        let way = split_word(message.header.as_slice());
        let way =
            way.and_then(|(key, words)| Some((self.pipe(key)?, Header::copy_from(words).ok()?)));
        let Some((pipe, words)) = way else { return pipes.count_dropped(1, Loss::Astray) };
        message.header = words;
        if pipes.send(pipe, &mut message).is_err() {
            pipes.count_dropped_of(pipe, Loss::Busy);
        }
    }

    fn key(&self, pipe: PipeId) -> u32 {
        hop(self.first_key.wrapping_add(pipe.0))
    }

    fn pipe(&self, key: u32) -> Option<PipeId> {
        (hop(key) == key).then(|| PipeId(hop(key.wrapping_sub(self.first_key))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_bit_31_clear_and_lead_back() {
        for random in [0, 1, 0x7fff_fffe, 0x8000_0000, u32::MAX] {
            let path = ReturnPath::new(Seed { serial: 0, random });
            for number in [0, 1, 2, 1000, 0x7fff_ffff] {
                let key = path.key(PipeId(number));
                assert_eq!(key >> 31, 0);
                assert_eq!(path.pipe(key), Some(PipeId(number)));
                assert_ne!(path.pipe(key ^ 1), Some(PipeId(number)));
                assert_eq!(path.pipe(key | 1 << 31), None);
            }
        }
    }
}
