//! Big messages that are read straight into the memory of the caller who waits for them.
//!
//! That is so for the time of one read. What is not complete by then goes to where it would have
//! been read otherwise, so that a caller who leaves, for whatever reason, leaves nothing behind.
//! What is complete is received by that caller in the same step of his call; of anybody else who
//! comes first, and of a caller who has got something else, it is copied.

use super::arrival::{Arrival, News};
use super::byte_stream::Source;
use super::codec::{Front, Violation};
use super::ration::BEHIND_BIG;
use super::reader::{Reader, Turn};
use super::store::Partial;
use crate::message::{Landing, Room};
use crate::sys::Read;

/// What a caller has for a big message, and how he waits for the rest of one that has begun: for a
/// moment, if at all. What is called says whether to wait no more.
pub struct Visitor<'a> {
    pub landing: &'a Landing,
    pub wait: &'a dyn Fn(&mut dyn FnMut() -> bool) -> bool,
}

/// How far a read came.
enum Reached {
    /// The whole message, and so many bytes behind it.
    All {
        behind: usize,
    },
    Part,
    End,
}

impl Reader {
    /// Reads the rest of the big message that has begun into the caller's memory. `None` when there
    /// is no use in that.
    pub(super) fn read_for(
        &self,
        visitor: Option<&Visitor<'_>>,
        turn: &mut Turn,
        source: &(impl Source + ?Sized),
        size_max: &impl Fn() -> Option<u64>,
        buffer: &mut [u8],
    ) -> Option<Arrival> {
        let visitor = visitor?;
        let size = turn.partial.as_ref().and_then(Partial::size_to_land)?;
        if size > LANDED_MAX || !self.lands() {
            return None;
        }
        let mut room = visitor.landing.room(size)?;
        let mut partial = turn.partial.take()?;
        let arrived = partial.as_slice().len();
        room.extend(partial.as_slice());
        let most = BEHIND_BIG.min(buffer.len());
        match fill(&mut room, source, &mut buffer[..most], visitor) {
            Reached::All { behind } => {
                self.land(room, turn);
                let arrival = self.digest(turn, &mut buffer[..behind], size_max);
                if behind == most && source.holds() {
                    return Some(self.read_held(turn, source, size_max, buffer, arrival));
                }
                Some(arrival)
            }
            Reached::End => Some(turn.end()),
            Reached::Part => {
                partial.stay();
                if partial.extend(&room.as_slice()[arrived..]).is_err() {
                    self.with_front(|front| *front = Front::Broken(Violation::beyond_memory(size)));
                    return Some(Arrival { news: News::Ended, answer: None });
                }
                turn.partial = Some(partial);
                Some(Arrival { news: News::Bytes, answer: None })
            }
        }
    }

    /// What has landed with this thread, and was not received, is everybody's. False when there was
    /// no memory for that: then nothing can be received any more.
    #[must_use]
    pub fn reclaim(&self) -> bool {
        let mut is_whole = true;
        self.with_front(|front| {
            if let Front::Landed { landed, tag } = front
                && landed.is_here()
            {
                let (tag, copy) = (*tag, landed.to_chunk());
                is_whole = copy.is_ok();
                *front = match copy {
                    Ok(chunk) => Front::Apart { chunk, tag },
                    Err(_) => Front::Broken(Violation::beyond_memory(landed.len())),
                };
            }
        });
        is_whole
    }
}

/// Reads for as long as more comes.
fn fill(
    room: &mut Room<'_>,
    source: &(impl Source + ?Sized),
    behind: &mut [u8],
    visitor: &Visitor<'_>,
) -> Reached {
    for _ in 0..READS_MAX {
        let missing = room.missing();
        let mut read = source.read(Some(room), behind);
        if read == Read::Nothing {
            (visitor.wait)(&mut || {
                read = source.read(Some(room), behind);
                read != Read::Nothing
            });
        }
        match read {
            Read::Nothing => return Reached::Part,
            Read::End => return Reached::End,
            Read::Bytes(count) if count >= missing => {
                return Reached::All { behind: count - missing };
            }
            Read::Bytes(_) => {}
        }
    }
    Reached::Part
}

/// Larger ones take so long to arrive that a caller may have to hear of something else meanwhile.
const LANDED_MAX: usize = 16 * 1024 * 1024;
/// Likewise: with each read, a moment may have passed before anything came.
const READS_MAX: usize = 512;
