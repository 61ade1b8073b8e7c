//! How messages lie on a stream, in both directions. A framing such as that of tcp or of WebSocket
//! is a folder beside this one that implements these traits. Pure; only the masks of WebSocket need
//! random bytes.

use std::sync::Arc;

use super::store::{Partial, Store};
use crate::message::{Chunk, Landed, Message, OutOfMemory};
use crate::transports::Fault;

/// One connection's framing.
pub struct Codec {
    pub encoder: Arc<dyn Encoder>,
    pub decoder: Box<dyn Decoder>,
}

/// What is put around payloads on their way to the wire.
pub trait Encoder: Send + Sync {
    /// Most payload that one frame takes; more of it needs several.
    fn frame_max(&self) -> usize {
        usize::MAX
    }

    /// Whether payloads stand on the wire as they are, whatever their size.
    fn is_plain(&self) -> bool {
        true
    }

    /// What stands in front of `size` bytes of the payload of `message`.
    fn prefix(&self, message: &Message, size: usize, place: Place) -> Prefix;

    /// Changes `bytes` to what the wire shows of them, which begin `at` so many bytes behind the
    /// prefix that came with `veil`.
    fn apply(&self, _veil: Veil, _at: usize, _bytes: &mut [u8]) {}

    /// The same on the way from one place to another of the same size.
    fn copy(&self, veil: Veil, at: usize, from: &[u8], to: &mut [u8]) {
        to.copy_from_slice(from);
        self.apply(veil, at, to);
    }

    /// A whole frame to which every peer answers, where there is such a thing.
    fn ping(&self) -> Option<Vec<u8>> {
        None
    }
}

/// What becomes of bytes that have arrived.
pub trait Decoder: Send {
    /// Bytes that may wait although a message can be received, at an application that grants
    /// `recv_buffer` of them.
    fn ahead(&self, recv_buffer: usize) -> usize;

    /// Takes `bytes`, which come after `partial` where there is one, into the store, and brings
    /// [`Store::front`] up to date if that was incomplete. Returns the big message that is still
    /// incomplete, if there is one now.
    ///
    /// # Errors
    /// When memory cannot be had. The connection cannot go on.
    fn absorb(
        &mut self,
        store: &mut Store,
        partial: Option<Partial>,
        bytes: &mut [u8],
        size_max: Option<u64>,
    ) -> Result<Option<Partial>, OutOfMemory>;

    /// Whether a payload that has begun goes on on the stream as it is, up to its end.
    fn is_plain(&self) -> bool {
        false
    }

    /// The bytes that the whole message takes which begins there, behind so many that are not
    /// consumed.
    fn whole_at(&self, _store: &Store, _at: usize) -> Option<usize> {
        None
    }

    /// How much can be read that completes the message which begins there, and nothing behind it.
    fn missing_at(&self, _store: &Store, _at: usize) -> usize {
        usize::MAX
    }

    /// The least that a message takes on the wire.
    fn least(&self) -> usize {
        1
    }

    /// What the bytes of `store` begin with.
    fn front(&self, store: &Store, size_max: Option<u64>) -> Front;

    /// What control data says about a message with this tag, where the wire tells of something.
    ///
    /// # Errors
    /// When memory for it cannot be had.
    fn label(&self, _tag: Tag) -> Result<Option<Chunk>, OutOfMemory> {
        Ok(None)
    }

    /// A frame that is to be written because of what has arrived, such as the answer to a ping.
    fn take_answer(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Whether the peer has given a reason to leave. Everything before it has arrived.
    fn is_over(&self) -> bool {
        false
    }

    /// What is wrong, if that is the reason.
    fn fault(&self) -> Option<Fault> {
        None
    }

    /// How to leave then.
    fn farewell(&self) -> Option<Farewell> {
        None
    }
}

/// What can be said of the bytes that are to be received next.
#[derive(Debug, Default)]
pub enum Front {
    /// No message, or only a part of one.
    #[default]
    Incomplete,
    /// A message of so many bytes, behind its prefix.
    Whole { prefix: usize, size: usize },
    /// A big message, which comes before the bytes.
    Apart { chunk: Chunk, tag: Tag },
    /// The same, in the memory of a caller.
    Landed { landed: Landed, tag: Tag },
    /// They break the rules of the wire.
    Broken(Violation),
}

impl Front {
    /// What is wrong with them.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Front::Broken(violation) => Some((*violation).into()),
            Front::Incomplete
            | Front::Whole { .. }
            | Front::Apart { .. }
            | Front::Landed { .. } => None,
        }
    }
}

/// What a framing notes about a message until it is received: the first byte of its prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag(pub u8);

/// A peer broke the rules of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A message of a kind that does not exist.
    Kind,
    /// A message larger than allowed, or than memory; 0 where its size is not known.
    TooLarge { size: u64, limit: Option<u64> },
}

impl Violation {
    /// Memory cannot be had for a message of that size, if it is known.
    #[cold]
    pub fn beyond_memory(size: usize) -> Violation {
        Violation::TooLarge { size: size as u64, limit: None }
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Fault {
        match violation {
            Violation::Kind => Fault::Violation,
            Violation::TooLarge { size, limit } => Fault::TooLarge { size, limit },
        }
    }
}

/// The end of a connection that one side has announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// The last frame.
    pub frame: Vec<u8>,
    pub parting: Parting,
}

/// Whether whoever connected should do so again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    Passing,
    /// The peer broke the rules before it sent anything of use: again, but later each time.
    Futile,
    /// The peer is not one to connect to again.
    Final,
}

/// Where a frame stands in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub is_first: bool,
    pub is_last: bool,
}

impl Place {
    /// The message is this one frame.
    pub const WHOLE: Place = Place { is_first: true, is_last: true };
}

/// A few bytes in front of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u8; PREFIX_MAX],
    len: usize,
    veil: Option<Veil>,
}

/// What decides how the payload behind one prefix is changed. Only its framing knows the meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Veil(pub [u8; 4]);

impl Prefix {
    /// The first `len` of `bytes`.
    #[must_use]
    #[inline]
    pub fn new(bytes: [u8; PREFIX_MAX], len: usize) -> Prefix {
        Prefix { bytes, len, veil: None }
    }

    /// The same, and the payload behind it is changed before it is written.
    #[must_use]
    pub fn veiled(bytes: [u8; PREFIX_MAX], len: usize, veil: Option<Veil>) -> Prefix {
        Prefix { bytes, len, veil }
    }

    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[must_use]
    #[inline]
    pub fn veil(&self) -> Option<Veil> {
        self.veil
    }
}

/// The longest prefix there is, rounded up to whole words.
pub const PREFIX_MAX: usize = 16;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A framing that says no more than it must.
    struct Plain;

    impl Encoder for Plain {
        fn prefix(&self, _message: &Message, _size: usize, _place: Place) -> Prefix {
            Prefix::new([0; PREFIX_MAX], 0)
        }
    }

    impl Decoder for Plain {
        fn ahead(&self, recv_buffer: usize) -> usize {
            recv_buffer
        }

        fn absorb(
            &mut self,
            _store: &mut Store,
            partial: Option<Partial>,
            _bytes: &mut [u8],
            _size_max: Option<u64>,
        ) -> Result<Option<Partial>, OutOfMemory> {
            Ok(partial)
        }

        fn front(&self, _store: &Store, _size_max: Option<u64>) -> Front {
            Front::Incomplete
        }
    }

    #[test]
    fn a_prefix_is_as_long_as_it_says() {
        let bytes = std::array::from_fn(|at| at as u8);
        for len in 0..=PREFIX_MAX {
            let (plain, veil) = (Prefix::new(bytes, len), Some(Veil([1, 2, 3, 4])));
            assert_eq!((plain.as_slice(), plain.veil()), (&bytes[..len], None));
            let veiled = Prefix::veiled(bytes, len, veil);
            assert_eq!((veiled.as_slice(), veiled.veil()), (&bytes[..len], veil));
        }
    }

    #[test]
    fn a_framing_that_says_no_more_has_whole_frames_and_no_words_of_its_own() {
        let mut bytes = *b"abc";
        assert_eq!(Plain.frame_max(), usize::MAX);
        Plain.apply(Veil([1, 2, 3, 4]), 0, &mut bytes);
        assert_eq!(&bytes, b"abc");
        assert!(Plain.label(Tag(1)).unwrap().is_none());
        assert_eq!((Plain.take_answer(), Plain.is_over(), Plain.farewell()), (None, false, None));
        assert_eq!(Plain.fault(), None);
    }
}
