//! A model of who answers: REP and RESPONDENT (protocols 5, 8.4 and 10).

use super::ring::Fairness;
use super::{Event, Mesh, NodeId, Parts};
use crate::protocols::{Nothing, PipeId, Readiness, Refusal};

#[derive(Default)]
pub struct Answerer {
    fairness: Fairness,
    /// Who waits for an answer, and the words that lead to it.
    pending: Option<(PipeId, Vec<u8>)>,
    /// What a call that runs has to send, and to whom.
    expected: Option<(PipeId, Vec<u8>)>,
    /// Whether it may send at all.
    may_send: bool,
}

impl Answerer {
    pub fn heed(&mut self, mesh: &mut Mesh, node: NodeId, event: &Event) {
        self.fairness.heed(event);
        match event {
            Event::Wants => self.pending = None,
            Event::Gave(given) => self.gave(given, mesh.nodes[node].hop_limit),
            Event::Asks((_, body)) => {
                self.may_send = self.pending.is_some();
                self.expected =
                    self.pending.take().map(|(pipe, words)| (pipe, [&words, &body[..]].concat()));
            }
            Event::Sent { pipe, wire, .. } => {
                assert_eq!(self.expected.take(), Some((*pipe, wire.clone())));
            }
            Event::Refused(pipe) => {
                assert_eq!(self.expected.take().map(|(pipe, _)| pipe), Some(*pipe));
            }
            Event::Asked(asked) => {
                let expected = if self.may_send { Ok(()) } else { Err(Refusal::WrongState) };
                assert_eq!(*asked, expected);
                if let Some((pipe, _)) = self.expected.take() {
                    assert!(!mesh.is_writable(node, pipe), "the way back was open");
                }
            }
            _ => {}
        }
    }

    /// What polling has to say.
    pub fn readiness(&self) -> Readiness {
        Readiness { can_send: self.pending.is_some(), can_recv: !self.fairness.is_empty() }
    }

    fn gave(&mut self, given: &Result<Parts, Nothing>, hop_limit: usize) {
        let parsed = |wire: &[u8]| words_len(wire, hop_limit);
        let mut taken = std::mem::take(&mut self.fairness.taken);
        if let Ok((_, body)) = given {
            let (pipe, wire) = taken.pop().unwrap();
            let (words, rest) = wire.split_at(parsed(&wire).expect("gives well-formed requests"));
            assert_eq!(rest, body);
            self.pending = Some((pipe, words.to_vec()));
        } else {
            assert_eq!(*given, Err(Nothing::Yet));
            assert!(self.fairness.is_empty(), "there is a request");
        }
        assert!(taken.iter().all(|(_, wire)| parsed(wire).is_none()), "drops a good request");
    }
}

/// The length of the words up to the id, if there is one within the limit.
fn words_len(wire: &[u8], hop_limit: usize) -> Option<usize> {
    let last = wire.chunks_exact(4).position(|word| word[0] & 0x80 != 0)?;
    (last < hop_limit).then_some(4 * (last + 1))
}
