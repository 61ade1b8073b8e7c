//! The words in front of a request, a survey and what answers them (protocols 4.1, 5.1, 10).
//!
//! ```text
//! hop(4) .. hop(4) id(4)  body       hops have bit 31 clear, the id has it set
//! ```
//!
//! Each hop that a request takes adds the number of the pipe it came from; the answer follows them
//! back. A message may come in one piece, as it stands on a wire, or with its header apart, as the
//! peer's protocol made it: then nothing has to be copied.

use super::Loss;
use crate::message::{Header, Message, OutOfMemory};

/// The message does not begin as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Why a request does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRequest {
    Malformed,
    /// It has more words than hops are allowed.
    Hops,
}

impl From<Malformed> for NoRequest {
    fn from(_: Malformed) -> NoRequest {
        NoRequest::Malformed
    }
}

impl From<NoRequest> for Loss {
    fn from(why: NoRequest) -> Loss {
        match why {
            NoRequest::Malformed => Loss::Malformed,
            NoRequest::Hops => Loss::Hops,
        }
    }
}

/// Bytes of a word.
pub const WORD: usize = 4;

/// The last word of a header has this bit, and no other word has.
const LAST: u32 = 0x8000_0000;

/// The id that comes after `id`.
#[must_use]
pub fn next_id(id: u32) -> u32 {
    id.wrapping_add(1) | LAST
}

#[must_use]
pub fn header_of(word: u32) -> Header {
    Header::short(word.to_be_bytes())
}

/// The number of a hop, whatever it is made from.
#[must_use]
pub fn hop(number: u32) -> u32 {
    number & !LAST
}

/// The word at the front of `bytes`, and the rest.
#[must_use]
pub fn split_word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*word), rest))
}

/// Moves the words of a request up to its id into its header.
///
/// # Errors
/// When there is no id, or more words than hops are allowed.
pub fn split_request(message: &mut Message, hop_limit: usize) -> Result<(), NoRequest> {
    if words_len(message.header.as_slice(), hop_limit) == Ok(message.header.len()) {
        return Ok(());
    }
    message.join().map_err(|_| Malformed)?;
    let len = words_len(message.body.as_slice(), hop_limit)?;
    Ok(move_to_header(message, len)?)
}

/// Moves the first word of what answers a request into its header.
///
/// # Errors
/// When there is none.
pub fn split_answer(message: &mut Message) -> Result<u32, Malformed> {
    if message.header.len() != WORD {
        message.join().map_err(|_| Malformed)?;
        if message.body.len() < WORD {
            return Err(Malformed);
        }
        move_to_header(message, WORD)?;
    }
    split_word(message.header.as_slice()).map(|(word, _)| word).ok_or(Malformed)
}

/// How many bytes the words up to the id take.
fn words_len(bytes: &[u8], hop_limit: usize) -> Result<usize, NoRequest> {
    let mut rest = bytes;
    for count in 1..=hop_limit {
        let (word, behind) = split_word(rest).ok_or(Malformed)?;
        if word & LAST != 0 {
            return Ok(count * WORD);
        }
        rest = behind;
    }
    Err(NoRequest::Hops)
}

fn move_to_header(message: &mut Message, len: usize) -> Result<(), Malformed> {
    // Without memory for its header a message cannot be told from a malformed one.
    message.header =
        Header::copy_from(&message.body.as_slice()[..len]).map_err(|OutOfMemory| Malformed)?;
    message.body.trim_front(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Body;

    const HOP: [u8; 4] = [0, 0, 0, 5];
    const ID: [u8; 4] = [0x80, 0, 0, 1];

    fn message(header: &[u8], body: &[u8]) -> Message {
        let mut message = Message::from_body(Body::copy_from(body).unwrap());
        message.header = Header::copy_from(header).unwrap();
        message
    }

    /// Splits the same bytes with every border between header and body.
    fn split(bytes: &[u8], limit: usize) -> Result<(Vec<u8>, Vec<u8>), NoRequest> {
        let mut results = (0..=bytes.len()).map(|border| {
            let mut message = message(&bytes[..border], &bytes[border..]);
            split_request(&mut message, limit)?;
            Ok((message.header.as_slice().to_vec(), message.body.as_slice().to_vec()))
        });
        let first = results.next().unwrap();
        assert!(results.all(|result| result == first), "the border matters: {bytes:?}");
        first
    }

    #[test]
    fn requests_end_their_header_with_an_id() {
        assert_eq!(split(&[&ID[..], b"body"].concat(), 8), Ok((ID.to_vec(), b"body".to_vec())));
        assert_eq!(split(&ID, 1), Ok((ID.to_vec(), Vec::new())));
        let far = [HOP, HOP, ID].concat();
        assert_eq!(split(&[&far[..], &HOP].concat(), 3), Ok((far.clone(), HOP.to_vec())));
        assert_eq!(split(&far, 2), Err(NoRequest::Hops));
    }

    #[test]
    fn what_has_no_id_is_malformed() {
        // protocols 14: dropped by REP and RESPONDENT.
        for bytes in
            [&b""[..], b"\x80", b"\x80\0", b"\x80\0\0", b"\0\0\0\x01", b"\0\0\0\x01\0\0\0\x02xyz"]
        {
            assert_eq!(split(bytes, 255), Err(NoRequest::Malformed));
        }
    }

    #[test]
    fn the_limit_counts_the_id() {
        let far = if cfg!(miri) { 6 } else { 255 };
        for limit in [1, 2, 3, 8, 15, 255].into_iter().filter(|limit| *limit <= far) {
            let request = |words: usize| [HOP.repeat(words - 1), ID.to_vec()].concat();
            assert!(split(&request(limit), limit).is_ok());
            assert_eq!(split(&request(limit + 1), limit), Err(NoRequest::Hops));
        }
    }

    #[test]
    fn answers_have_one_word_in_front() {
        let bytes = b"\0\0\0\x05\x80\0\0\x01rep";
        for border in 0..=bytes.len() {
            let mut message = message(&bytes[..border], &bytes[border..]);
            assert_eq!(split_answer(&mut message), Ok(5));
            assert_eq!(message.header.as_slice(), HOP);
            assert_eq!(message.body.as_slice(), b"\x80\0\0\x01rep");
        }
        for len in 0..WORD {
            assert_eq!(split_answer(&mut message(b"", &HOP[..len])), Err(Malformed));
            assert_eq!(split_answer(&mut message(&HOP[..len], b"")), Err(Malformed));
        }
    }

    #[test]
    fn ids_go_round_with_their_bit_set() {
        assert_eq!(next_id(0x616b_457d), 0xe16b_457e);
        assert_eq!(next_id(0xffff_ffff), 0x8000_0000);
        assert_eq!(hop(0x9000_0001), 0x1000_0001);
    }
}
