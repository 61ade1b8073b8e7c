//! Bodies that their senders lend: written from where they lie for as long as the sender is in his
//! call, and what becomes of them then. Pure.

use std::io;

use super::batch::{Done, Kept, Segment};
use super::queue::{Kernel, Queue};
use super::writer::Writer;
use super::written::Written;
use crate::error::Error;
use crate::message::Lender;

/// What a connection has been lent. That is one body at a time, until its sender has taken it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loan {
    None,
    /// It is lent nothing.
    Never,
    Out(Lender),
    /// It is not sent.
    Lost(Error),
}

impl Queue {
    /// Whether a body may stay where its sender has it.
    #[must_use]
    pub fn takes_loans(&self) -> bool {
        self.pending == 0 && self.loan == Loan::None && self.kernel == Kernel::TookAll
    }

    /// The sender drives, if he stays with what he has lent and that is much. Says how much it is.
    #[must_use]
    pub fn begin_staying(&mut self) -> Option<usize> {
        let stays = self.loan == Loan::Out(Lender::Stays)
            && self.pending >= STAYS_FROM
            && !self.driver.is_driven();
        if stays {
            self.driver.begin_driving();
        }
        stays.then_some(self.pending)
    }

    /// The sender takes back what he has lent, if nobody uses it any more.
    ///
    /// # Errors
    /// When it is not sent.
    pub fn end_loan(&mut self) -> Option<Result<(), Error>> {
        (self.pending == 0).then(|| self.outcome_of_loan())
    }

    fn outcome_of_loan(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.loan, Loan::None) {
            Loan::Lost(why) => Err(why),
            Loan::None | Loan::Never | Loan::Out(_) => Ok(()),
        }
    }

    /// Whether no writer has taken what is lent.
    #[must_use]
    pub fn has_loan(&self) -> bool {
        self.segments.iter().any(Segment::is_lent)
    }

    /// Notes what has become of what was lent.
    pub fn note_kept(&mut self, kept: Kept) -> (Written, Result<(), Error>) {
        let (done, why) = match kept {
            Kept::All => return (Written::default(), self.outcome_of_loan()),
            Kept::NoneOf { removed, is_empty, why } => {
                self.messages -= 1;
                let waits = self.waits;
                (Done { result: Ok(removed), is_empty, waits, ..Done::default() }, why)
            }
            Kept::Half(why) => (Done::failed(io::ErrorKind::Other), why),
        };
        self.loan = Loan::None;
        (self.note_written(done), Err(why))
    }
}

/// Is forgotten when what it was lent has been given back, and not when a panic drops it.
pub struct Borrower<'a>(pub &'a Writer);

impl Drop for Borrower<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Of less, the kernel has mostly room for all of it, and a copy is made sooner than one waits.
const STAYS_FROM: usize = 32 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::{Body, Lent, Message};
    use crate::transports::pace::{Moment, Rhythm};
    use crate::transports::stream::byte_stream::{Sink, UNREADABLE};
    use crate::transports::stream::circumstances::Gathering;
    use crate::transports::stream::writer::Writer;
    use crate::transports::stream::{Encoder, PREFIX_MAX, Place, Prefix};
    use crate::transports::{AfterSend, Sent};
    use std::cell::{Cell, RefCell};
    use std::io::IoSlice;
    use std::sync::Arc;

    /// Two bytes in front of each message.
    struct Headed;

    impl Encoder for Headed {
        fn prefix(&self, _message: &Message, _size: usize, _place: Place) -> Prefix {
            Prefix::new([b'h'; PREFIX_MAX], 2)
        }
    }

    /// A kernel with so much room, which reads so many bytes before it finds none.
    struct Kernel {
        room: Cell<usize>,
        readable: Cell<usize>,
        has_rest: bool,
        is_ahead: bool,
        taken: RefCell<Vec<u8>>,
    }

    impl Sink for Kernel {
        fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let all: Vec<u8> = parts.iter().flat_map(|part| part.iter()).copied().collect();
            let count = all.len().min(self.room.get()).min(self.readable.get());
            if count == 0 && self.room.get() > 0 {
                return Err(UNREADABLE.into());
            }
            self.taken.borrow_mut().extend_from_slice(&all[..count]);
            self.room.set(self.room.get() - count);
            self.readable.set(self.readable.get() - count);
            Ok(count)
        }

        fn has_bytes(&self, _bytes: &[u8]) -> bool {
            self.has_rest
        }

        fn is_ahead(&self) -> bool {
            self.is_ahead
        }
    }

    const SIZE: usize = 20_000;
    static BIG: [u8; SIZE] = [b'x'; SIZE];

    fn kernel(room: usize, readable: usize) -> Kernel {
        let (room, readable) = (Cell::new(room), Cell::new(readable));
        Kernel { room, readable, has_rest: true, is_ahead: false, taken: RefCell::default() }
    }

    fn writer() -> Writer {
        Writer::new(Arc::new(Headed), 100_000, Gathering::Allowed)
    }

    fn send(writer: &Writer, body: Body) -> Result<Sent, crate::error::Refusal> {
        writer.accept(&mut Message::from_body(body), &Rhythm::undisturbed(), || Moment(1))
    }

    fn lend(writer: &Writer) -> AfterSend {
        send(writer, Body::lent(Lent::of(&BIG))).unwrap().then
    }

    fn wire(messages: usize) -> Vec<u8> {
        [b"hh", &BIG[..]].concat().repeat(messages)
    }

    #[test]
    fn wherever_the_kernel_stops_the_rest_is_a_copy_when_the_sender_has_it_back() {
        for room in [0, 1, 2, 3, 10_000, SIZE + 1, SIZE + 2] {
            let (writer, kernel) = (writer(), kernel(room, usize::MAX));
            assert_eq!(lend(&writer), AfterSend::DeliverLent);
            writer.write(&kernel);
            let (written, result) = writer.return_loan(&kernel);
            assert_eq!((written.is_broken, result), (false, Ok(())));
            assert!(!writer.uses(&BIG), "room {room}");
            assert_eq!(*kernel.taken.borrow(), wire(1)[..room]);
            // It is accepted behind that, as a copy from the beginning where it has to wait.
            let is_lent = lend(&writer) == AfterSend::DeliverLent;
            assert_eq!((is_lent, writer.uses(&BIG)), (room == SIZE + 2, is_lent));
            kernel.room.set(usize::MAX);
            writer.write_all(&kernel);
            assert_eq!(writer.return_loan(&kernel).1, Ok(()));
            assert!(writer.is_empty() && *kernel.taken.borrow() == wire(2));
        }
    }

    #[test]
    fn what_nobody_has_written_is_written_when_it_is_given_back() {
        let (writer, kernel) = (writer(), kernel(usize::MAX, usize::MAX));
        lend(&writer);
        assert_eq!(writer.return_loan(&kernel).1, Ok(()));
        assert!(writer.is_empty() && !writer.uses(&BIG) && *kernel.taken.borrow() == wire(1));
    }

    #[test]
    fn who_stays_drives_if_it_is_much_and_nobody_else_does() {
        static MUCH: [u8; STAYS_FROM] = [b'x'; STAYS_FROM];
        let begin = |bytes: &'static [u8], stays: bool, is_driven: bool| {
            let writer = Writer::new(Arc::new(Headed), 100_000, Gathering::Allowed);
            let mut body = Body::lent(Lent::of(bytes));
            if stays {
                body.let_stay();
            }
            if is_driven {
                writer.begin_driving();
            }
            assert_eq!(send(&writer, body).unwrap().then, AfterSend::DeliverLent);
            let size = writer.begin_staying();
            let written = writer.write(&kernel(10, usize::MAX));
            assert!(written.is_stuck);
            // Who drives is relied on, and nobody else.
            assert_eq!(written.must_tick, size.is_none() && !is_driven);
            let (_, result) = writer.return_loan(&kernel(0, usize::MAX));
            assert_eq!(result, Ok(()));
            writer.end_driving();
            assert!(
                writer.write_all(&kernel(0, usize::MAX)).must_tick == (size.is_some() || is_driven)
            );
            size
        };
        assert_eq!(begin(&MUCH, true, false), Some(2 + STAYS_FROM));
        assert_eq!(begin(&MUCH, false, false), None);
        assert_eq!(begin(&MUCH, true, true), None);
        assert_eq!(begin(&BIG, true, false), None);
    }

    #[test]
    fn only_one_is_lent_until_it_is_given_back() {
        let (writer, kernel) = (writer(), kernel(usize::MAX, usize::MAX));
        assert!(writer.takes_loans());
        lend(&writer);
        assert!(!writer.takes_loans());
        assert_ne!(lend(&writer), AfterSend::DeliverLent);
        writer.write(&kernel);
        assert!(writer.is_empty() && !writer.takes_loans());
        assert_ne!(lend(&writer), AfterSend::DeliverLent);
        writer.write_all(&kernel);
        assert_eq!(writer.return_loan(&kernel).1, Ok(()));
        assert!(writer.takes_loans() && *kernel.taken.borrow() == wire(3));
    }

    #[test]
    fn what_cannot_be_read_is_gone_if_nothing_of_it_was_written() {
        let (writer, kernel) = (writer(), kernel(usize::MAX, 0));
        lend(&writer);
        let mut message = Message::from_body(Body::copy_from(b"behind").unwrap());
        writer.accept(&mut message, &Rhythm::undisturbed(), || Moment(1)).unwrap();
        assert!(writer.write(&kernel).is_broken, "the next one cannot be read here, either");
        let (writer, kernel) = (self::writer(), self::kernel(usize::MAX, 0));
        lend(&writer);
        assert_eq!(writer.write(&kernel), Written::default());
        assert_eq!(writer.return_loan(&kernel), (Written::default(), Err(Error::BadPointer)));
        kernel.readable.set(usize::MAX);
        assert!(writer.is_empty() && writer.takes_loans());
        lend(&writer);
        writer.write(&kernel);
        assert_eq!(writer.return_loan(&kernel).1, Ok(()));
        assert_eq!(*kernel.taken.borrow(), wire(1));
    }

    #[test]
    fn nothing_follows_what_was_written_in_part_and_cannot_be_read_further() {
        for readable in [1, 2, 3, 7000] {
            let (writer, kernel) = (writer(), kernel(usize::MAX, readable));
            lend(&writer);
            assert!(writer.write(&kernel).is_broken);
            assert_eq!(writer.return_loan(&kernel).1, Err(Error::BadPointer));
            assert!(!writer.uses(&BIG) && send(&writer, Body::default()).is_err());
            assert_eq!(*kernel.taken.borrow(), wire(1)[..readable]);
        }
    }

    #[test]
    fn a_rest_that_is_not_there_is_not_copied() {
        for room in [0, 1, 2, 500] {
            let writer = writer();
            let kernel = Kernel { has_rest: false, ..kernel(room, usize::MAX) };
            lend(&writer);
            writer.write(&kernel);
            let (written, result) = writer.return_loan(&kernel);
            assert_eq!((written.is_broken, result), (room > 0, Err(Error::BadPointer)));
            assert!(!writer.uses(&BIG) && writer.is_empty());
            assert_eq!(send(&writer, Body::default()).is_err(), room > 0);
        }
    }

    #[test]
    fn nothing_follows_a_first_byte_that_is_ahead_of_a_rest_that_is_not_there() {
        let writer = writer();
        let kernel = Kernel { has_rest: false, is_ahead: true, ..kernel(0, usize::MAX) };
        lend(&writer);
        writer.write(&kernel);
        let (written, result) = writer.return_loan(&kernel);
        assert_eq!((written.is_broken, result), (true, Err(Error::BadPointer)));
        assert!(!writer.uses(&BIG) && send(&writer, Body::default()).is_err());
    }
}
