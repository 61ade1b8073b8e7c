//! What a stream has taken from the kernel and not given yet, of which nobody would be told.

use super::arrival::{Arrival, News};
use super::byte_stream::Source;
use super::ration::EVERYTHING;
use super::reader::{Reader, Turn};

impl Reader {
    /// Takes what the source has beyond the kernel's knowledge, too: nobody would be told of it. It
    /// is bounded by what it was given at once.
    #[cold]
    pub(super) fn read_held(
        &self,
        turn: &mut Turn,
        source: &(impl Source + ?Sized),
        size_max: impl Fn() -> Option<u64>,
        buffer: &mut [u8],
        before: Arrival,
    ) -> Arrival {
        if matches!(before.news, News::Last | News::Ended) {
            return before;
        }
        let after = self.read(turn, source, size_max, buffer, EVERYTHING);
        Arrival { news: after.news, answer: after.answer.or(before.answer) }
    }
}
