//! Whether a peer from which nothing comes is still there. Pure: it is told the time, what has been
//! heard, and whether anything could be.
//!
//! A peer is silent while nothing comes although something could: what we leave in the kernel says
//! nothing about it, nor does an answer that it cannot give before it has read what waits for it.

use std::time::{Duration, Instant};

/// What is known of the silence of one peer.
#[derive(Debug)]
pub struct Pulse {
    patience: Duration,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has come since then.
    Silent { since: Instant },
    /// It was asked then, and nothing has come since.
    Asked { at: Instant },
}

/// Whether a sign of life would be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    Open,
    /// We read no more, because nobody receives what has come; or the peer does not read, so that
    /// it does not come to a question.
    Blocked,
}

/// What is to be done about the silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing until then.
    Wait { until: Instant },
    /// The peer is to be asked now; whatever comes until then is an answer.
    Ask { until: Instant },
    /// It has been asked, and nothing has come.
    Gone,
}

impl Pulse {
    /// Of a peer that may be silent for `patience` before it is asked, and as long before it
    /// answers.
    #[must_use]
    pub fn new(patience: Duration, now: Instant) -> Pulse {
        Pulse { patience, phase: Phase::Silent { since: now } }
    }

    /// When to look for the first time, or again after nothing was done.
    #[must_use]
    pub fn due(&self) -> Instant {
        let (Phase::Silent { since } | Phase::Asked { at: since }) = self.phase;
        since + self.patience
    }

    /// Something has last come at `heard`.
    pub fn look(&mut self, now: Instant, heard: Instant, hearing: Hearing) -> Verdict {
        let (Phase::Silent { since } | Phase::Asked { at: since }) = self.phase;
        if hearing == Hearing::Blocked {
            self.put_off(now);
        } else if heard >= since {
            self.phase = Phase::Silent { since: heard };
        }
        match self.phase {
            _ if now < self.due() => Verdict::Wait { until: self.due() },
            Phase::Silent { .. } => {
                self.phase = Phase::Asked { at: now };
                Verdict::Ask { until: self.due() }
            }
            Phase::Asked { .. } => Verdict::Gone,
        }
    }

    /// It cannot be asked now, so that the silence begins anew.
    pub fn put_off(&mut self, now: Instant) {
        self.phase = Phase::Silent { since: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Hearing::{Blocked, Open};

    const SECOND: Duration = Duration::from_secs(1);

    fn fresh() -> (Pulse, Instant) {
        let now = Instant::now();
        (Pulse::new(SECOND, now), now)
    }

    #[test]
    fn who_says_nothing_is_asked_and_then_given_up() {
        let (mut pulse, began) = fresh();
        let due = began + SECOND;
        assert_eq!(pulse.due(), due);
        let early = due - Duration::from_nanos(1);
        assert_eq!(pulse.look(early, began, Open), Verdict::Wait { until: due });
        assert_eq!(pulse.look(due, began, Open), Verdict::Ask { until: due + SECOND });
        let later = due + SECOND / 2;
        assert_eq!(pulse.look(later, began, Open), Verdict::Wait { until: due + SECOND });
        assert_eq!(pulse.look(due + SECOND, began, Open), Verdict::Gone);
    }

    #[test]
    fn whatever_comes_is_an_answer_and_silence_is_counted_from_then() {
        let (mut pulse, began) = fresh();
        let asked = began + SECOND;
        assert_eq!(pulse.look(asked, began, Open), Verdict::Ask { until: asked + SECOND });
        // It came at the very moment of the question, or at the last moment.
        for heard in [asked, asked + SECOND] {
            let mut pulse =
                Pulse { phase: Phase::Asked { at: asked }, ..Pulse::new(SECOND, began) };
            let now = asked + SECOND / 2 + (heard - asked);
            assert_eq!(pulse.look(now, heard, Open), Verdict::Wait { until: heard + SECOND });
        }
        let heard = began + SECOND / 2;
        let (mut pulse, now) = (Pulse::new(SECOND, began), began + SECOND);
        assert_eq!(pulse.look(now, heard, Open), Verdict::Wait { until: heard + SECOND });
    }

    #[test]
    fn nobody_is_blamed_for_what_could_not_be_heard() {
        let (mut pulse, began) = fresh();
        // Before and after the question.
        let wait = |now: Instant| Verdict::Wait { until: now + SECOND };
        let first = began + SECOND;
        assert_eq!(pulse.look(first, began, Blocked), wait(first));
        let asked = first + SECOND;
        assert_eq!(pulse.look(asked, began, Open), Verdict::Ask { until: asked + SECOND });
        let late = asked + SECOND * 5;
        assert_eq!(pulse.look(late, began, Blocked), wait(late));
        assert_eq!(
            pulse.look(late + SECOND, began, Open),
            Verdict::Ask { until: late + SECOND * 2 }
        );
        pulse.put_off(late + SECOND);
        assert_eq!(pulse.due(), late + SECOND * 2);
    }
}
