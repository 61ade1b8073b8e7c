//! What a stream has taken from the kernel and not given yet, of which nobody would be told.

use super::arrival::{Arrival, News};
use super::byte_stream::Source;
use super::ration::EVERYTHING;
use super::reader::{Fill, Reader, Turn};

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
        let mut arrival = before;
        while !matches!(arrival.news, News::Last | News::Ended) {
            let (next, fill) = self.read_once(turn, source, &size_max, buffer, EVERYTHING);
            arrival = Arrival { news: next.news, answer: next.answer.or(arrival.answer) };
            if fill == Fill::Part || !source.holds() {
                break;
            }
        }
        arrival
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::{Landing, Limit, Message, Room};
    use crate::sys::Read;
    use crate::transports::fuzzing::tcp;
    use crate::transports::stream::landing::Visitor;
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

    /// In whatever steps, on as little stack as a caller may have.
    #[test]
    fn a_record_that_is_read_in_many_steps_takes_no_more_stack() {
        let (reader, record) =
            (Reader::new(tcp().decoder, Limit::of(0, 1_000_000)), Record::of(90_000));
        assert_eq!(reader.pump(&record, || None, &mut [0; 1], None).0.news, News::Readable);
        assert!(!record.holds());
    }

    /// Records of which one is opened by each read, unless something is left of the one before.
    struct Records {
        left: RefCell<Vec<u8>>,
        coming: RefCell<Vec<Vec<u8>>>,
    }

    impl Source for Records {
        fn read(&self, room: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
            let mut left = self.left.borrow_mut();
            if left.is_empty() {
                let Some(record) = self.coming.borrow_mut().pop() else { return Read::Nothing };
                *left = record;
            }
            let first = room.map_or(0, |room| {
                let count = room.missing().min(left.len());
                room.extend(&left[..count]);
                count
            });
            let second = rest.len().min(left.len() - first);
            rest[..second].copy_from_slice(&left[first..first + second]);
            left.drain(..first + second);
            Read::Bytes(first + second)
        }

        fn holds(&self) -> bool {
            !self.left.borrow().is_empty()
        }
    }

    #[test]
    fn what_is_behind_a_message_that_has_landed_is_taken_too() {
        const BIG: usize = 100_000;
        let mut bytes = (BIG as u64).to_be_bytes().to_vec();
        bytes.extend((0..BIG).map(|at| (at % 251) as u8));
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 1, b'x'].repeat(1000));
        let behind = bytes.split_off(16_000);
        let records =
            Records { left: RefCell::default(), coming: RefCell::new(vec![behind, bytes]) };
        let reader = Reader::new(tcp().decoder, Limit::of(0, 1_000_000));
        let mut memory = vec![0; BIG];
        let landing = Landing::of(&mut memory);
        let visitor = Visitor { landing: &landing, wait: &|_| false };
        let mut buffer = vec![0; 64 * 1024];
        let (arrival, _) = reader.pump(&records, || None, &mut buffer, Some(&visitor));
        assert!(arrival.news == News::Readable && landing.is_used() && !records.holds());
        let mut message = Message::default();
        assert!(reader.take(|| None, &mut message).has_message);
        assert!(message.body.is_lent() && message.body.len() == BIG);
        assert!((0..BIG).all(|at| message.body.as_slice()[at] == (at % 251) as u8));
        for _ in 0..1000 {
            assert!(reader.take(|| None, &mut message).has_message);
            assert_eq!(message.body.as_slice(), b"x");
        }
        assert!(reader.is_empty());
    }
}
