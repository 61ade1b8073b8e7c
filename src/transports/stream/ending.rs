//! The end of a stream on which nothing is written any more.

use std::time::{Duration, Instant};

use super::byte_stream::ByteStream;
use super::reader::Reader;
use super::scratch;
use crate::sys::{self, Read, WaitFor};

/// Reads what is unread, because it must go before the descriptor does: a TCP that is closed with
/// some left resets the stream, and the peer loses what it has not read of ours. While the peer
/// goes on sending, that can only be kept up until it has acknowledged everything.
pub fn end_politely(stream: &dyn ByteStream, reader: &Reader, deadline: Instant) {
    stream.end();
    let mut buffer = scratch::take();
    // Input that the reactor has read ahead is unread as well: more may follow it.
    let mut peer_is_sending = !reader.is_empty();
    // A reader that comes late does no harm: nobody wants what it reads.
    loop {
        match stream.read(None, &mut buffer) {
            Read::End => return,
            Read::Bytes(_) => peer_is_sending = true,
            Read::Nothing => {
                let now = Instant::now();
                let all_arrived = stream.unacknowledged() == 0;
                if !peer_is_sending || all_arrived || now >= deadline {
                    return;
                }
                let step = ACKNOWLEDGEMENT_STEP.min(deadline - now);
                let wait = std::iter::once((stream.descriptor(), WaitFor::Readable));
                let _ = sys::poll(wait, Some(step));
            }
        }
        if Instant::now() >= deadline {
            return;
        }
    }
}

const ACKNOWLEDGEMENT_STEP: Duration = Duration::from_millis(5);
