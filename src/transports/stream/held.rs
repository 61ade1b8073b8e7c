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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::{Limit, Message, Room};
    use crate::sys::Read;
    use crate::transports::fuzzing::tcp;
    use std::cell::RefCell;

    /// What is left of a record that the kernel knows nothing of any more.
    struct Record(RefCell<Vec<u8>>);

    impl Record {
        /// So many messages of a byte.
        fn of(count: usize) -> Record {
            Record(RefCell::new([0, 0, 0, 0, 0, 0, 0, 1, b'x'].repeat(count)))
        }
    }

    impl Source for Record {
        fn read(&self, room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
            assert!(room.is_none_or(|room| room.missing() == 0), "nothing is big");
            let mut left = self.0.borrow_mut();
            let count = left.len().min(rest.len());
            rest[..count].copy_from_slice(&left[..count]);
            left.drain(..count);
            if count == 0 { Read::Nothing } else { Read::Bytes(count) }
        }

        fn holds(&self) -> bool {
            !self.0.borrow().is_empty()
        }

        fn is_bare(&self) -> bool {
            false
        }
    }

    /// However many may wait: else they would wait for ever.
    #[test]
    fn a_record_is_read_to_its_end() {
        type Way = fn(&Reader, &Record) -> News;
        let ways: [Way; 3] = [
            |reader, record| reader.pump(record, || None, &mut [0; 100], None).0.news,
            |reader, record| reader.read_ahead(record, || None, &mut [0; 100]).unwrap().news,
            |reader, record| reader.read_on(record, || None, &mut [0; 100]).news,
        ];
        for (limit, way) in [0, 1, 7].into_iter().flat_map(|limit| ways.map(|way| (limit, way))) {
            let (reader, record) =
                (Reader::new(tcp().decoder, Limit::of(limit, 100)), Record::of(90));
            assert_eq!(way(&reader, &record), News::Readable);
            assert!(!record.holds(), "{limit}");
            let mut message = Message::default();
            (0..90).for_each(|_| assert!(reader.take(|| None, &mut message).has_message));
            assert!(reader.is_empty() && !reader.is_full());
        }
    }
}
