//! Messages with their length in front. Pure.
//!
//! ```text
//! tcp:        size (8, big-endian)  payload
//! ipc:  0x01  size (8, big-endian)  payload
//! ```

use std::sync::Arc;

use crate::message::{Chunk, Message, OutOfMemory};
use crate::transports::stream::{
    BIG, Codec, Decoder, Encoder, Front, PREFIX_MAX, Partial, Place, Prefix, Store, Tag, Violation,
};

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Tcp,
    Ipc,
}

impl Framing {
    #[must_use]
    pub fn prefix_len(self) -> usize {
        match self {
            Framing::Tcp => 8,
            Framing::Ipc => 9,
        }
    }

    /// Reads the prefix at the front of `bytes`: the size of the payload, or `None` when more
    /// bytes are needed.
    ///
    /// # Errors
    /// When the prefix announces something that may not come.
    pub fn size(self, bytes: &[u8], size_max: Option<u64>) -> Result<Option<usize>, Violation> {
        let mut rest = bytes;
        if self == Framing::Ipc {
            match bytes.split_first() {
                None => return Ok(None),
                Some((&IPC_MESSAGE, tail)) => rest = tail,
                Some(_) => return Err(Violation::Kind),
            }
        }
        let Some(size) = rest.first_chunk::<8>() else { return Ok(None) };
        let size = u64::from_be_bytes(*size);
        if size_max.is_some_and(|max| size > max) || size > SIZE_LIMIT {
            return Err(Violation::TooLarge { size, limit: size_max });
        }
        Ok(Some(size as usize))
    }
}

impl Framing {
    /// The size of the big message that `bytes` begin with, if it is the next to be received: it
    /// takes no detour over the store.
    fn big_first(self, store: &Store, bytes: &[u8], size_max: Option<u64>) -> Option<usize> {
        let is_first = matches!(store.front, Front::Incomplete) && store.rest().is_empty();
        let size = self.size(bytes, size_max).ok().flatten();
        size.filter(|size| is_first && *size >= BIG)
    }

    #[must_use]
    pub fn codec(self) -> Codec {
        Codec { encoder: Arc::new(self), decoder: Box::new(self) }
    }
}

impl Encoder for Framing {
    #[inline]
    fn prefix(&self, _message: &Message, size: usize, _place: Place) -> Prefix {
        let (mut bytes, size) = ([0; PREFIX_MAX], (size as u64).to_be_bytes());
        match self {
            Framing::Tcp => bytes[..8].copy_from_slice(&size),
            Framing::Ipc => {
                bytes[0] = IPC_MESSAGE;
                bytes[1..9].copy_from_slice(&size);
            }
        }
        Prefix::new(bytes, self.prefix_len())
    }
}

impl Decoder for Framing {
    fn ahead(&self, recv_buffer: usize) -> usize {
        match self {
            // The kernel keeps to the receiver's buffer size by itself.
            Framing::Tcp => 0,
            // The kernel knows the sender's buffer size only.
            Framing::Ipc => recv_buffer,
        }
    }

    fn absorb(
        &mut self,
        store: &mut Store,
        partial: Option<Partial>,
        bytes: &mut [u8],
        size_max: Option<u64>,
    ) -> Result<Option<Partial>, OutOfMemory> {
        let mut rest = &*bytes;
        if let Some(mut partial) = partial {
            let (own, behind) = bytes.split_at(partial.missing().min(bytes.len()));
            partial.extend(own)?;
            if partial.missing() > 0 {
                return Ok(Some(partial));
            }
            store.put_apart(partial.into_chunk(), Tag::default());
            rest = behind;
        }
        if let Some(size) = self.big_first(store, rest, size_max) {
            let payload = &rest[self.prefix_len()..];
            if payload.len() < size {
                return Partial::begin(payload, size, store).map(Some);
            }
            let (own, behind) = payload.split_at(size);
            store.append(behind)?;
            store.put_apart(Chunk::copy_from(own)?, Tag::default());
            return Ok(None);
        }
        store.append(rest)?;
        if !matches!(store.front, Front::Incomplete) {
            return Ok(None);
        }
        let size = match self.size(store.rest(), size_max) {
            Ok(None) => return Ok(None),
            Ok(Some(size)) => size,
            Err(violation) => {
                store.front = Front::Broken(violation);
                return Ok(None);
            }
        };
        let prefix = self.prefix_len();
        let arrived = &store.rest()[prefix..];
        if arrived.len() >= size {
            store.front = Front::Whole { prefix, size };
            return Ok(None);
        }
        if size < BIG {
            return Ok(None);
        }
        let partial = Partial::begin(arrived, size, store)?;
        store.clear();
        Ok(Some(partial))
    }

    fn is_plain(&self) -> bool {
        true
    }

    fn whole_at(&self, store: &Store, at: usize) -> Option<usize> {
        let bytes = store.rest().get(at..)?;
        let size = self.prefix_len() + self.size(bytes, None).ok().flatten()?;
        (size <= bytes.len()).then_some(size)
    }

    fn missing_at(&self, store: &Store, at: usize) -> usize {
        let bytes = store.rest().get(at..).unwrap_or_default();
        let size = self.size(bytes, None).ok().flatten().unwrap_or_default();
        // What breaks the rules ends here.
        (self.prefix_len() + size).saturating_sub(bytes.len()).max(1)
    }

    fn least(&self) -> usize {
        self.prefix_len()
    }

    #[inline]
    fn front(&self, store: &Store, size_max: Option<u64>) -> Front {
        let (bytes, prefix) = (store.rest(), self.prefix_len());
        match self.size(bytes, size_max) {
            Ok(Some(size)) if size <= bytes.len() - prefix => Front::Whole { prefix, size },
            Ok(_) => Front::Incomplete,
            Err(violation) => Front::Broken(violation),
        }
    }
}

/// The only kind of message on ipc.
const IPC_MESSAGE: u8 = 0x01;

/// The interface reports sizes as a C int: what is larger can never be received, whatever the
/// options say.
const SIZE_LIMIT: u64 = i32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Landing, Room};
    use crate::sys::Read;
    use crate::transports::fuzzing::receive;
    use crate::transports::stream::{FIRST_CAPACITY, News, Reader, Source, Visitor};
    use std::cell::{Cell, RefCell};
    use std::mem;

    fn prefix(framing: Framing, size: usize) -> Prefix {
        framing.prefix(&Message::default(), size, Place::WHOLE)
    }

    #[test]
    fn encodes_as_the_specification_shows() {
        assert_eq!(prefix(Framing::Tcp, 5).as_slice(), [0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(prefix(Framing::Ipc, 258).as_slice(), [1, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn asks_for_more_until_the_prefix_is_complete() {
        for framing in [Framing::Tcp, Framing::Ipc] {
            let prefix = prefix(framing, 77);
            for end in 0..framing.prefix_len() {
                assert_eq!(framing.size(&prefix.as_slice()[..end], None), Ok(None));
            }
            assert_eq!(framing.size(prefix.as_slice(), None), Ok(Some(77)));
        }
    }

    #[test]
    fn refuses_what_may_not_come() {
        let size = |size: u64, max| Framing::Tcp.size(&size.to_be_bytes(), max);
        assert_eq!(size(10, Some(10)), Ok(Some(10)));
        let too_large = |size, limit| Err(Violation::TooLarge { size, limit });
        assert_eq!(size(11, Some(10)), too_large(11, Some(10)));
        assert_eq!(size(u64::MAX, None), too_large(u64::MAX, None));
        assert_eq!(Framing::Ipc.size(&[2], None), Err(Violation::Kind));
    }

    /// Sizes around every power of two, of which each has another byte or bit.
    fn edges() -> impl Iterator<Item = u64> {
        (0..64).map(|bit| 1_u64 << bit).flat_map(|edge| {
            (0..4).flat_map(move |distance| {
                [edge.wrapping_add(distance), edge.wrapping_sub(distance)]
            })
        })
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn every_size_is_judged_by_the_number_that_it_is() {
        for (size, limit) in edges().flat_map(|size| edges().map(move |limit| (size, limit))) {
            for max in [None, Some(limit)] {
                let fits = size <= i32::MAX as u64 && max.is_none_or(|max| size <= max);
                let too_large = Violation::TooLarge { size, limit: max };
                let expected = if fits { Ok(Some(size as usize)) } else { Err(too_large) };
                let bytes = size.to_be_bytes();
                assert_eq!(Framing::Tcp.size(&bytes, max), expected, "{size:#x} of {max:x?}");
                let bytes = [&[IPC_MESSAGE][..], &bytes].concat();
                assert_eq!(Framing::Ipc.size(&bytes, max), expected, "{size:#x} of {max:x?}");
            }
        }
    }

    #[test]
    fn every_kind_but_one_is_refused_at_its_first_byte() {
        for kind in 0..=u8::MAX {
            let expected = if kind == 1 { Ok(None) } else { Err(Violation::Kind) };
            assert_eq!(Framing::Ipc.size(&[kind], None), expected);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn reads_the_size_that_it_writes() {
        let sizes = (0..70_000).chain(edges()).filter(|size| *size <= i32::MAX as u64);
        for size in sizes.map(|size| size as usize) {
            for framing in [Framing::Tcp, Framing::Ipc] {
                let prefix = prefix(framing, size);
                assert_eq!(framing.size(prefix.as_slice(), None), Ok(Some(size)));
            }
        }
    }

    fn wire(framing: Framing, sizes: &[usize]) -> Vec<u8> {
        let mut wire = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            wire.extend_from_slice(prefix(framing, *size).as_slice());
            let period: Vec<u8> = (0..256).map(|i| (i * 7 + index) as u8).collect();
            wire.extend_from_slice(&period.repeat(size.div_ceil(256))[..*size]);
        }
        wire
    }

    fn decode(framing: Framing, wire: &[u8], step: usize) -> Vec<Vec<u8>> {
        let messages = receive(framing.codec(), wire, step);
        messages.iter().map(|message| message.body.as_slice().to_vec()).collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn every_split_gives_the_same_messages() {
        let sizes = [0, 1, 5, 94, 95, 300, 0, 0, 2000, 7];
        for framing in [Framing::Tcp, Framing::Ipc] {
            let wire = wire(framing, &sizes);
            let whole = decode(framing, &wire, wire.len());
            assert_eq!(whole.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            for step in 1..400 {
                assert_eq!(decode(framing, &wire, step), whole, "read step {step}");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn big_messages_survive_every_kind_of_split() {
        let sizes = [3, BIG - 1, BIG, 70_000, 1, 800_005, 12];
        let wire = wire(Framing::Tcp, &sizes);
        let whole = decode(Framing::Tcp, &wire, wire.len());
        assert_eq!(whole.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        for step in [7, 100, 4096, 65_536, 70_001, 300_000] {
            assert_eq!(decode(Framing::Tcp, &wire, step), whole, "read step {step}");
        }
    }

    /// A stream that has everything already, and counts what is read where.
    #[derive(Default)]
    struct Wire {
        bytes: RefCell<Vec<u8>>,
        in_place: Cell<usize>,
        elsewhere: Cell<usize>,
    }

    impl Source for Wire {
        fn read(&self, place: Option<&mut Room<'_>>, rest: &mut [u8]) -> Read {
            let mut bytes = self.bytes.borrow_mut();
            let mut take = |most: usize| -> Vec<u8> {
                let count = most.min(bytes.len());
                let rest = bytes.split_off(count);
                mem::replace(&mut bytes, rest)
            };
            let mut count = 0;
            if let Some(room) = place {
                let own = take(room.missing());
                room.extend(&own);
                self.in_place.set(self.in_place.get() + own.len());
                count = own.len();
            }
            let other = take(rest.len());
            rest[..other.len()].copy_from_slice(&other);
            self.elsewhere.set(self.elsewhere.get() + other.len());
            if count + other.len() == 0 { Read::Nothing } else { Read::Bytes(count + other.len()) }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn big_messages_that_follow_each_other_are_read_into_their_place() {
        let all = [vec![64 * 1024; 20], vec![FIRST_CAPACITY * 3 + 5, 70_000]];
        for (framing, sizes) in [Framing::Tcp, Framing::Ipc].into_iter().zip(all) {
            let (source, buffer) = (Wire::default(), &mut vec![0; 256 * 1024]);
            source.bytes.borrow_mut().extend(wire(framing, &sizes));
            let reader = Reader::new(framing.codec().decoder, 128 * 1024);
            let mut messages = Vec::new();
            while messages.len() < sizes.len() {
                let mut message = Message::default();
                if reader.take(|| None, &mut message).has_message {
                    let (body, index) = (message.body.as_slice(), messages.len());
                    assert!(
                        body.iter().enumerate().all(|(i, byte)| *byte == (i * 7 + index) as u8)
                    );
                    messages.push(body.len());
                } else {
                    reader.pump(&source, || None, buffer, None);
                }
            }
            assert_eq!(messages, sizes);
            let (in_place, elsewhere) = (source.in_place.get(), source.elsewhere.get());
            assert!(in_place > 4 * elsewhere, "{in_place} in place, {elsewhere} elsewhere");
        }
    }

    /// A reader with as much of a message as was there, and memory of a caller.
    struct Arrival {
        source: Wire,
        reader: Reader,
        memory: Vec<u8>,
        buffer: Vec<u8>,
    }

    impl Arrival {
        fn of(wire: &[u8], memory: usize) -> Arrival {
            let source = Wire::default();
            source.bytes.borrow_mut().extend(wire);
            let reader = Reader::new(Framing::Tcp.codec().decoder, 8 * 1024);
            Arrival { source, reader, memory: vec![0xdd; memory], buffer: vec![0; 8 * 1024] }
        }

        /// One read for that caller, and what he does then.
        fn pump<T>(&mut self, then: impl FnOnce(&Reader) -> T) -> T {
            let landing = Landing::of(&mut self.memory);
            let visitor = Visitor { landing: &landing, wait: &|look| look() };
            self.reader.pump(&self.source, || None, &mut self.buffer, Some(&visitor));
            then(&self.reader)
        }
    }

    fn take(reader: &Reader) -> Option<Message> {
        let mut message = Message::default();
        reader.take(|| None, &mut message).has_message.then_some(message)
    }

    #[test]
    fn a_big_message_is_read_into_the_memory_of_who_waits_for_it() {
        let sizes = [BIG, 100_000, 5];
        let mut arrival = Arrival::of(&wire(Framing::Tcp, &sizes), 100_000);
        let memory = arrival.memory.as_ptr();
        for (index, size) in sizes.into_iter().enumerate() {
            let body = arrival.pump(take).unwrap().body;
            let is_big = size >= BIG;
            assert_eq!((body.is_lent(), body.as_slice().as_ptr() == memory), (is_big, is_big));
            assert_eq!(
                body.as_slice(),
                &wire(Framing::Tcp, &sizes[..=index])[..][body_at(&sizes, index)..]
            );
        }
    }

    #[test]
    fn behind_a_big_message_that_came_in_parts_the_next_one_is_read_into_its_place() {
        let whole = wire(Framing::Tcp, &[100_000]);
        let mut arrival = Arrival::of(&whole[..50_000], 0);
        assert!(arrival.pump(take).is_none());
        for rest in [&whole[50_000..], &whole[..]] {
            arrival.source.elsewhere.set(0);
            arrival.source.bytes.borrow_mut().extend(rest);
            let body = (0..100).find_map(|_| arrival.pump(take)).unwrap().body;
            assert_eq!(body.as_slice(), &whole[8..]);
        }
        assert_eq!(arrival.source.elsewhere.get(), 4 * 1024);
    }

    fn body_at(sizes: &[usize], index: usize) -> usize {
        sizes[..index].iter().map(|size| size + 8).sum::<usize>() + 8
    }

    #[test]
    fn what_is_not_complete_is_nowhere_but_here() {
        let whole = wire(Framing::Tcp, &[100_000]);
        for there in [9, 5000, 8200, 50_000, 100_007] {
            let mut arrival = Arrival::of(&whole[..there], 200_000);
            for _ in 0..3 {
                assert!(arrival.pump(take).is_none());
            }
            arrival.memory.fill(0xcc);
            arrival.source.bytes.borrow_mut().extend(&whole[there..]);
            // The next one has memory of his own, or none that would do.
            arrival.memory.truncate(1000);
            let body = (0..100).find_map(|_| arrival.pump(take)).unwrap().body;
            assert!(!body.is_lent() && body.as_slice() == &whole[8..], "{there}");
        }
    }

    #[test]
    fn what_has_landed_is_copied_for_others() {
        let whole = wire(Framing::Tcp, &[100_000]);
        let other = |reader: &Reader| {
            std::thread::scope(|scope| scope.spawn(|| take(reader)).join().unwrap())
        };
        let later = |reader: &Reader| {
            assert!(reader.reclaim());
            take(reader)
        };
        for is_later in [false, true] {
            let mut arrival = Arrival::of(&whole, 100_000);
            let message = if is_later { arrival.pump(later) } else { arrival.pump(other) };
            let body = message.unwrap().body;
            assert_eq!(arrival.memory, whole[8..], "it was there");
            arrival.memory.fill(0xcc);
            assert!(!body.is_lent() && body.as_slice() == &whole[8..]);
            assert!(arrival.pump(take).is_none(), "there was one");
        }
    }

    #[test]
    fn memory_that_is_too_small_is_left_alone() {
        let mut arrival = Arrival::of(&wire(Framing::Tcp, &[100_000]), 99_999);
        let body = (0..100).find_map(|_| arrival.pump(take)).unwrap().body;
        assert!(!body.is_lent() && arrival.memory.iter().all(|byte| *byte == 0xdd));
    }

    #[test]
    fn an_announcement_alone_costs_little_memory() {
        let mut head = prefix(Framing::Tcp, 1 << 30).as_slice().to_vec();
        let mut store = Store::default();
        let partial = Framing::Tcp.absorb(&mut store, None, &mut head, None);
        let mut partial = partial.unwrap().unwrap();
        let room = partial.room();
        assert_eq!((partial.into_chunk().capacity(), room), (FIRST_CAPACITY, FIRST_CAPACITY));
    }

    #[test]
    fn what_came_before_a_violation_is_delivered() {
        let mut bytes = wire(Framing::Tcp, &[5, 6]);
        bytes.extend_from_slice(prefix(Framing::Tcp, 101).as_slice());
        let reader = Reader::new(Framing::Tcp.codec().decoder, 0);
        assert_eq!(reader.begin(&mut bytes, || Some(100)).news, News::Readable);
        let take = || {
            let mut message = Message::default();
            let has_message = reader.take(|| Some(100), &mut message).has_message;
            has_message.then(|| message.body.len())
        };
        assert_eq!(take(), Some(5));
        assert!(!reader.is_broken());
        assert_eq!(take(), Some(6));
        assert!(reader.is_broken() && !reader.is_readable());
        assert_eq!(take(), None);
    }

    #[test]
    fn over_ipc_the_receivers_buffer_is_ours_to_keep_to() {
        for (framing, expected) in [(Framing::Tcp, 1), (Framing::Ipc, 10)] {
            let reader = Reader::new(framing.codec().decoder, 1000);
            let mut one = wire(framing, &[100 - framing.prefix_len()]);
            let mut absorbed = 0;
            while reader.ask() {
                reader.begin(&mut one, || None);
                absorbed += 1;
            }
            assert_eq!(absorbed, expected);
            assert!(reader.take(|| None, &mut Message::default()).has_message);
            assert!(reader.ask());
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut seed = 0x9e37_79b9_u64;
        for _ in 0..if cfg!(miri) { 20 } else { 2000 } {
            let reader = Reader::new(Framing::Ipc.codec().decoder, 0);
            let mut bytes: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    ((seed >> 60) as u8) & 1
                })
                .collect();
            let mut store = Store::default();
            let partial = Framing::Ipc.absorb(&mut store, None, &mut bytes.clone(), Some(1 << 20));
            assert!(partial.unwrap().is_none_or(|partial| partial.missing() <= 1 << 20));
            reader.begin(&mut bytes, || Some(1 << 20));
            while reader.take(|| Some(1 << 20), &mut Message::default()).has_message {}
        }
    }
}
