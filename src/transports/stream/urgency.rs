//! Whether a sender waits for whoever writes. Pure.

/// Of the messages that are to be with the kernel before their sender goes on, unless that is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    /// There is none.
    #[default]
    None,
    /// One lies in the queue.
    Queued,
    /// A writer has all of them, and is not back.
    Taken,
}

impl Urgency {
    /// A writer takes what lies in the queue.
    pub fn note_taken(&mut self) {
        if *self == Urgency::Queued {
            *self = Urgency::Taken;
        }
    }

    /// A writer is back.
    pub fn note_written(&mut self) {
        if *self == Urgency::Taken {
            *self = Urgency::None;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_came_while_somebody_wrote_is_waited_for_further() {
        let mut urgency = Urgency::default();
        urgency.note_taken();
        assert_eq!(urgency, Urgency::None);
        urgency = Urgency::Queued;
        urgency.note_taken();
        assert_eq!(urgency, Urgency::Taken);
        urgency = Urgency::Queued;
        urgency.note_written();
        assert_eq!(urgency, Urgency::Queued);
        urgency.note_taken();
        urgency.note_written();
        assert_eq!(urgency, Urgency::None);
    }
}
