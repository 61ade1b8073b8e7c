//! The end of a stream on which nothing is written any more.

use std::time::{Duration, Instant};

use super::arrival::News;
use super::byte_stream::ByteStream;
use super::connection::StreamConnection;
use super::reader::Reader;
use crate::sys::{self, Read, WaitFor};

/// Reads what is unread, because it must go before the descriptor does: a TCP that is closed with
/// some left resets the stream, and the peer loses what it has not read of ours. While the peer
/// goes on sending, that can only be kept up until it has acknowledged everything.
///
/// Who comes here breaks the stream off, or has ended it: if the peer is silent, nothing is done.
pub fn read_rest(stream: &dyn ByteStream, reader: &Reader, deadline: Instant) {
    // On the stack, because a thread that is in exit(3) may have left a lock of ours locked.
    let mut buffer = [0; UNREAD_AT_ONCE];
    // Input that the reactor has read ahead is unread as well: more may follow it.
    if reader.is_empty() && !matches!(stream.read(None, &mut buffer), Read::Bytes(_)) {
        return;
    }
    // The peer is sending: let it know.
    stream.end();
    // A reader that comes late does no harm: nobody wants what it reads.
    loop {
        match stream.read(None, &mut buffer) {
            Read::End => return,
            Read::Bytes(_) => {}
            Read::Nothing => {
                let now = sys::now();
                if stream.unacknowledged() == 0 || now >= deadline {
                    return;
                }
                let step = ACKNOWLEDGEMENT_STEP.min(deadline - now);
                let wait = std::iter::once((stream.descriptor(), WaitFor::Readable));
                let _ = sys::poll(wait, Some(step));
            }
        }
        if sys::now() >= deadline {
            return;
        }
    }
}

impl StreamConnection {
    /// Reads everything up to the end of the stream, of which the kernel has told us: else it
    /// would not be noticed before the application has received all that came before.
    pub(super) fn read_to_end(&self) {
        for _ in 0..READS_TO_END_MAX {
            match self.listen() {
                News::Bytes | News::Readable => {}
                News::Nothing => break,
                News::Last | News::Ended => return,
            }
        }
        // The swap in `end` comes before it stops watching.
        if !self.has_ended() {
            self.renew_watch();
        }
    }
}

/// Reads at the end of a stream: more than any kernel buffers.
const READS_TO_END_MAX: usize = 1024;
const UNREAD_AT_ONCE: usize = 2048;
const ACKNOWLEDGEMENT_STEP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::stream::byte_stream::Source;
    use crate::transports::stream::fixtures::{FakeStream, Peer, codec};
    use std::sync::Arc;

    struct Setup {
        stream: Arc<FakeStream>,
        peer: Peer,
        reader: Reader,
    }

    impl Setup {
        fn new(unacknowledged: usize) -> Setup {
            let (stream, peer) = FakeStream::pair();
            stream.mood.change(|mood| mood.unacknowledged = unacknowledged);
            Setup { stream, peer, reader: Reader::new(codec().decoder, 1000) }
        }

        fn end_by(&self, deadline: Instant) {
            read_rest(&*self.stream, &self.reader, deadline);
            assert_eq!(self.stream.deeds().ended, 1);
        }

        /// Ends it without a deadline that matters, and meanwhile does something else.
        fn end_beside(&self, meanwhile: impl FnOnce()) {
            std::thread::scope(|scope| {
                let deadline = Instant::now() + HANG;
                scope.spawn(move || {
                    self.end_by(deadline);
                    assert!(Instant::now() < deadline, "only the deadline has ended it");
                });
                self.stream.deeds.wait_until("the end", |deeds| deeds.ended == 1);
                meanwhile();
            });
        }

        fn await_read(&self, count: usize) {
            self.stream.deeds.wait_until("a read", |deeds| deeds.read == count);
        }

        fn is_acknowledged(&self) {
            self.stream.mood.change(|mood| mood.unacknowledged = 0);
        }
    }

    #[test]
    fn a_quiet_peer_is_not_waited_for() {
        let setup = Setup::new(1000);
        let deadline = Instant::now() + HANG;
        read_rest(&*setup.stream, &setup.reader, deadline);
        assert!(Instant::now() < deadline);
        assert_eq!(setup.stream.deeds().ended, 0);
        setup.peer.0.end();
        read_rest(&*setup.stream, &setup.reader, deadline);
        assert_eq!(setup.stream.deeds().ended, 0);
    }

    #[test]
    fn all_input_goes_first() {
        let setup = Setup::new(0);
        (0..10).for_each(|_| setup.peer.write(&[7; 10_000]));
        setup.end_beside(|| setup.await_read(100_000));
        assert_eq!(setup.stream.read(None, &mut [0; 8]), Read::Nothing);
    }

    #[test]
    fn a_peer_that_sends_is_read_until_all_is_acknowledged() {
        let setup = Setup::new(1);
        setup.peer.write(b"x");
        setup.end_beside(|| {
            (0..10).for_each(|_| setup.peer.write(&[7; 1000]));
            setup.await_read(10_001);
            setup.is_acknowledged();
        });
    }

    #[test]
    fn a_peer_whose_message_was_read_ahead_may_send_more() {
        let setup = Setup::new(1);
        assert_eq!(setup.reader.begin(&mut [5, b'p'], || None).answer, None);
        setup.end_beside(|| {
            setup.peer.write(b"x");
            setup.await_read(1);
            setup.is_acknowledged();
        });
    }

    #[test]
    fn a_peer_that_ends_has_heard_enough() {
        let setup = Setup::new(1);
        setup.peer.write(b"x");
        setup.end_beside(|| {
            setup.peer.write(b"y");
            setup.await_read(2);
            setup.peer.0.end();
        });
        assert_eq!(setup.stream.read(None, &mut [0; 8]), Read::End);
    }

    #[test]
    fn the_deadline_ends_it_anyway() {
        let setup = Setup::new(1);
        setup.peer.write(b"x");
        let deadline = Instant::now() + Duration::from_millis(12);
        setup.end_by(deadline);
        assert!(Instant::now() >= deadline);
        // One that has passed already is kept, too, whatever is still to be read.
        let setup = Setup::new(1);
        setup.peer.write(b"x");
        setup.end_by(Instant::now());
    }

    /// A test that waits so long has come to nothing.
    const HANG: Duration = Duration::from_secs(60);
}
