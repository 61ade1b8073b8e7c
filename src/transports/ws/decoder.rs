//! Reading frames (RFC 6455 section 5). Pure: bytes in, payload and events out.

use std::ops::Range;

use super::close::{self, Close, Violation};
use super::frame::{
    BINARY, CLOSE, CONTINUATION, CONTROL, CONTROL_MAX, FINAL, Kind, LENGTH, MASKED, OPCODE, PING,
    PONG, RESERVED, Role, TEXT,
};
use super::mask::Mask;
use super::utf8::Utf8;

/// Reads frames, however the stream is cut.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    /// The head of the next frame, as far as it has arrived.
    head: [u8; HEAD_MAX],
    head_len: usize,
    frame: Option<Frame>,
    message: Option<Message>,
    /// The payload of a control frame, as far as it has arrived.
    control: [u8; CONTROL_MAX],
    control_len: usize,
}

/// A frame of which payload may be missing.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    is_final: bool,
    missing: usize,
    mask: Option<Mask>,
}

/// A message of which frames may be missing.
#[derive(Debug)]
struct Message {
    kind: Kind,
    /// Payload of all its frames so far.
    size: u64,
    utf8: Utf8,
}

/// What was found at the front of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// So many bytes are done with.
    pub used: usize,
    pub found: Found,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// Payload of the current message, unmasked in place; with it the message ends, perhaps.
    Payload {
        at: Range<usize>,
        end: Option<Kind>,
    },
    /// To be answered with its payload.
    Ping,
    /// To be answered with this; nothing that follows counts.
    Close(Close),
}

impl Decoder {
    #[must_use]
    pub fn new(role: Role) -> Decoder {
        Decoder {
            role,
            head: [0; HEAD_MAX],
            head_len: 0,
            frame: None,
            message: None,
            control: [0; CONTROL_MAX],
            control_len: 0,
        }
    }

    /// Takes what it can from the front of `bytes`, at most to the end of a frame.
    ///
    /// # Errors
    /// When the peer breaks the rules; nothing that follows can be understood.
    pub fn step(&mut self, bytes: &mut [u8], size_max: Option<u64>) -> Result<Step, Violation> {
        let mut used = 0;
        if self.frame.is_none() {
            used = self.take_head(bytes, size_max)?;
        }
        let Some(frame) = &mut self.frame else {
            return Ok(Step { used, found: Found::Nothing });
        };
        let at = used..bytes.len().min(used + frame.missing);
        let payload = &mut bytes[at.clone()];
        frame.unmask(payload);
        let is_control = frame.opcode & CONTROL != 0;
        let found = if is_control {
            self.control(payload)
        } else {
            let end = self.data(payload)?;
            Found::Payload { at: at.clone(), end }
        };
        Ok(Step { used: at.end, found })
    }

    /// The payload of the last ping.
    #[must_use]
    pub fn ping(&self) -> &[u8] {
        &self.control[..self.control_len]
    }

    /// How much payload of the current message may be read straight to where it belongs.
    #[must_use]
    pub fn placeable(&self) -> usize {
        self.missing().0
    }

    /// How much of the current message is to come as far as is known, and whether that is all.
    #[must_use]
    pub fn missing(&self) -> (usize, bool) {
        let frame = self.frame.filter(|frame| frame.opcode & CONTROL == 0);
        frame.map_or((0, false), |frame| (frame.missing, frame.is_final))
    }

    /// How much can be read before a frame ends, as far as is known. It is never nothing.
    #[must_use]
    pub fn needed(&self) -> usize {
        match self.frame {
            Some(frame) => frame.missing.max(1),
            None => self.head_needed() - self.head_len,
        }
    }

    /// Takes note of `payload` that was read straight to where it belongs, and unmasks it there.
    /// Returns the kind of the message when it ends with that.
    ///
    /// # Errors
    /// When it should be text and is not.
    pub fn took(&mut self, payload: &mut [u8]) -> Result<Option<Kind>, Violation> {
        let Some(frame) = self.frame.as_mut().filter(|_| !payload.is_empty()) else {
            return Ok(None);
        };
        frame.unmask(payload);
        self.data(payload)
    }

    fn data(&mut self, payload: &[u8]) -> Result<Option<Kind>, Violation> {
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else {
            return Err(Violation::Protocol);
        };
        frame.missing -= payload.len();
        if message.kind == Kind::Text {
            message.utf8.feed(payload).map_err(|_| Violation::NotText)?;
        }
        if frame.missing > 0 {
            return Ok(None);
        }
        let is_final = frame.is_final;
        self.frame = None;
        if !is_final {
            return Ok(None);
        }
        let message = self.message.take().ok_or(Violation::Protocol)?;
        if message.utf8.is_whole() { Ok(Some(message.kind)) } else { Err(Violation::NotText) }
    }

    fn control(&mut self, payload: &[u8]) -> Found {
        let Some(frame) = &mut self.frame else { return Found::Nothing };
        self.control[self.control_len..][..payload.len()].copy_from_slice(payload);
        self.control_len += payload.len();
        frame.missing -= payload.len();
        if frame.missing > 0 {
            return Found::Nothing;
        }
        let opcode = frame.opcode;
        self.frame = None;
        match opcode {
            PING => Found::Ping,
            CLOSE => Found::Close(close::answer(&self.control[..self.control_len])),
            // A pong that nobody asked for.
            _ => Found::Nothing,
        }
    }

    /// Reads the head of a frame as far as it has arrived; returns the bytes it took.
    fn take_head(&mut self, bytes: &[u8], size_max: Option<u64>) -> Result<usize, Violation> {
        let mut used = 0;
        loop {
            let needed = self.head_needed();
            let more = (needed - self.head_len).min(bytes.len() - used);
            self.head[self.head_len..][..more].copy_from_slice(&bytes[used..][..more]);
            self.head_len += more;
            used += more;
            if self.head_len < needed {
                return Ok(used);
            }
            if needed == 2 {
                self.check_first_bytes()?;
            }
            if needed == self.head_needed() {
                self.frame = Some(self.begin(size_max)?);
                self.head_len = 0;
                return Ok(used);
            }
        }
    }

    /// How long the head is, by what has arrived of it.
    fn head_needed(&self) -> usize {
        if self.head_len < 2 {
            return 2;
        }
        let mask = if self.head[1] & MASKED == 0 { 0 } else { 4 };
        2 + length_size(self.head[1]) + mask
    }

    fn check_first_bytes(&self) -> Result<(), Violation> {
        let [first, second, ..] = self.head;
        let (is_final, opcode) = (first & FINAL != 0, first & OPCODE);
        let is_masked = second & MASKED != 0;
        let is_right = match opcode {
            CONTINUATION => self.message.is_some(),
            TEXT | BINARY => self.message.is_none(),
            CLOSE | PING | PONG => is_final && second & LENGTH <= CONTROL_MAX as u8,
            _ => false,
        };
        let is_right =
            is_right && first & RESERVED == 0 && is_masked == (self.role == Role::Server);
        if is_right { Ok(()) } else { Err(Violation::Protocol) }
    }

    /// The frame whose head is complete.
    fn begin(&mut self, size_max: Option<u64>) -> Result<Frame, Violation> {
        let [first, second, rest @ ..] = self.head;
        let size = length_size(second);
        let length = match size {
            0 => u64::from(second & LENGTH),
            _ => rest[..size].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let key = [rest[size], rest[size + 1], rest[size + 2], rest[size + 3]];
        let opcode = first & OPCODE;
        if opcode & CONTROL != 0 {
            self.control_len = 0;
        } else {
            let before = self.message.as_ref().map_or(0, |message| message.size);
            let total = before.saturating_add(length);
            if total > size_max.unwrap_or(SIZE_LIMIT).min(SIZE_LIMIT) {
                return Err(Violation::TooLarge { size: total, limit: size_max });
            }
            let kind = if opcode == TEXT { Kind::Text } else { Kind::Binary };
            let fresh = || Message { kind, size: 0, utf8: Utf8::default() };
            self.message.get_or_insert_with(fresh).size = total;
        }
        Ok(Frame {
            opcode,
            is_final: first & FINAL != 0,
            missing: length as usize,
            mask: (second & MASKED != 0).then_some(Mask(key)),
        })
    }
}

impl Frame {
    /// The next of its payload, in place.
    fn unmask(&mut self, payload: &mut [u8]) {
        if let Some(mask) = &mut self.mask {
            mask.apply(payload);
            *mask = mask.behind(payload.len());
        }
    }
}

/// Bytes of the length behind the first two.
fn length_size(second: u8) -> usize {
    match second & LENGTH {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// Two bytes, the longest length, a mask.
const HEAD_MAX: usize = 14;
/// The interface reports sizes as a C int: what is larger can never be received.
const SIZE_LIMIT: u64 = i32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::stream::Place;
    use crate::transports::ws::frame;
    use proptest::prelude::*;

    /// Everything that came out of some bytes.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Heard {
        messages: Vec<(Kind, Vec<u8>)>,
        pings: Vec<Vec<u8>>,
        close: Option<Close>,
        violation: Option<Violation>,
    }

    fn hear(role: Role, wire: &[u8], step: usize, size_max: Option<u64>) -> Heard {
        let (mut decoder, mut heard) = (Decoder::new(role), Heard::default());
        let mut message = Vec::new();
        for piece in wire.chunks(step.max(1)) {
            let mut bytes = piece.to_vec();
            let mut at = 0;
            while at < bytes.len() {
                let step = match decoder.step(&mut bytes[at..], size_max) {
                    Ok(step) => step,
                    Err(violation) => {
                        heard.violation = Some(violation);
                        return heard;
                    }
                };
                assert!(step.used > 0, "nothing is used up");
                match step.found {
                    Found::Nothing => {}
                    Found::Payload { at: range, end } => {
                        message.extend_from_slice(&bytes[at..][range]);
                        if let Some(kind) = end {
                            heard.messages.push((kind, std::mem::take(&mut message)));
                        }
                    }
                    Found::Ping => heard.pings.push(decoder.ping().to_vec()),
                    Found::Close(close) => {
                        heard.close = Some(close);
                        return heard;
                    }
                }
                at += step.used;
            }
        }
        heard
    }

    fn wire_of(role: Role, kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
        let mask = (role == Role::Client).then_some(Mask([9, 87, 3, 211]));
        let mut wire = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let place = Place { is_first: index == 0, is_last: index + 1 == parts.len() };
            wire.extend_from_slice(frame::head(kind, place, part.len(), mask).as_slice());
            let start = wire.len();
            wire.extend_from_slice(part);
            mask.iter().for_each(|mask| mask.apply(&mut wire[start..]));
        }
        wire
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn every_split_gives_the_same_messages() {
        let long = vec![7; 70_000];
        for (sender, receiver) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            let mask = (sender == Role::Client).then_some(Mask([1, 2, 3, 4]));
            let mut wire = wire_of(sender, Kind::Binary, &[b"hi"]);
            wire.extend(wire_of(sender, Kind::Binary, &[b""]));
            let mut fragments = wire_of(sender, Kind::Text, &[b"", b"\xe2", b"\x82\xac", b""]);
            // Control frames may come between fragments.
            fragments.splice(
                wire_of(sender, Kind::Text, &[b""]).len()
                    ..wire_of(sender, Kind::Text, &[b""]).len(),
                [frame::pong(b"unasked", mask), ping(b"one", mask)].concat(),
            );
            wire.extend(fragments);
            wire.extend(ping(&[5; 125], mask));
            wire.extend(wire_of(sender, Kind::Binary, &[&long[..200], b"", &long]));
            wire.extend(wire_of(sender, Kind::Binary, &[&long[..126]]));
            let whole = hear(receiver, &wire, wire.len(), None);
            assert_eq!(whole.violation, None);
            assert_eq!(whole.pings, [b"one".to_vec(), vec![5; 125]]);
            let sizes: Vec<_> = whole.messages.iter().map(|(_, body)| body.len()).collect();
            assert_eq!(sizes, [2, 0, 3, 70_200, 126]);
            assert_eq!(whole.messages[2], (Kind::Text, "€".as_bytes().to_vec()));
            for step in 1..300 {
                assert_eq!(hear(receiver, &wire, step, None), whole, "read step {step}");
            }
        }
    }

    fn ping(payload: &[u8], mask: Option<Mask>) -> Vec<u8> {
        let mut frame = frame::pong(payload, mask);
        frame[0] = FINAL | PING;
        frame
    }

    /// transports 7.7, line by line, as a client hears it from a server.
    #[test]
    fn judges_frames_as_the_table_says() {
        use Violation::{NotText, Protocol};
        let too_large = |size| Violation::TooLarge { size, limit: Some(1000) };
        for (bytes, expected) in [
            (&b"\x80\x00"[..], Protocol),
            (b"\x02\x00\x82\x00", Protocol),
            (b"\x02\x00\x81\x00", Protocol),
            (b"\x83\x00", Protocol),
            (b"\x87\x00", Protocol),
            (b"\x8b\x00", Protocol),
            (b"\x8f\x00", Protocol),
            (b"\xc2\x00", Protocol),
            (b"\xa2\x00", Protocol),
            (b"\x92\x00", Protocol),
            (b"\xc9\x00", Protocol),
            (b"\x82\x80\x00\x00\x00\x00", Protocol),
            (b"\x09\x00", Protocol),
            (b"\x08\x00", Protocol),
            (b"\x89\x7e\x00\x7e", Protocol),
            (b"\x81\x02\xff\xfe", NotText),
            (b"\x81\x01\xe2", NotText),
            (b"\x01\x01\xe2\x80\x01a", NotText),
            (b"\x82\x7e\x03\xe9", too_large(1001)),
            (b"\x02\x7e\x03\xe8\0", too_large(1001)),
            (b"\x82\x7f\x80\0\0\0\0\0\0\0", too_large(1 << 63)),
            (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", too_large(u64::MAX)),
        ] {
            let mut wire = bytes.to_vec();
            if bytes.ends_with(b"\xe8\0") {
                wire.pop();
                wire.extend([0; 1000]);
                wire.extend(b"\x80\x01");
            }
            for step in [1, 2, 3, wire.len()] {
                let heard = hear(Role::Client, &wire, step, Some(1000));
                assert_eq!(heard.violation, Some(expected), "{bytes:x?}, read step {step}");
            }
        }
        let unlimited = b"\x82\x7f\x00\0\0\0\x80\0\0\0";
        let too_large = Violation::TooLarge { size: 1 << 31, limit: None };
        assert_eq!(hear(Role::Client, unlimited, 10, None).violation, Some(too_large));
        assert_eq!(hear(Role::Server, b"\x82\x00", 2, None).violation, Some(Protocol));
    }

    #[test]
    fn accepts_what_is_odd_and_allowed() {
        let heard = |bytes: &[u8]| hear(Role::Client, bytes, bytes.len(), Some(1000));
        // A length in a longer form than needed.
        for bytes in [&b"\x82\x7e\0\x01a"[..], b"\x82\x7f\0\0\0\0\0\0\0\x01a"] {
            assert_eq!(heard(bytes).messages, [(Kind::Binary, b"a".to_vec())]);
        }
        let exactly = [&b"\x82\x7e\x03\xe8"[..], &[0; 1000]].concat();
        assert_eq!(heard(&exactly).messages.len(), 1);
        assert_eq!(heard(b"\x88\x02\x03\xe9\xff").close.unwrap().code, 1001);
        assert_eq!(heard(b"\x88\x00").close.unwrap().code, 1000);
        assert_eq!(heard(b"\x88\x01\x03").close.unwrap().code, 1002);
    }

    /// A decoder in the middle of a message, or not.
    fn decoder(role: Role, is_within: bool) -> Decoder {
        let mut decoder = Decoder::new(role);
        if is_within {
            let mask = (role == Role::Server).then_some(Mask([0; 4]));
            let place = Place { is_first: true, is_last: false };
            let mut first = frame::head(Kind::Binary, place, 0, mask).as_slice().to_vec();
            decoder.step(&mut first, None).unwrap();
        }
        decoder
    }

    /// RFC 6455 section 5.2, for every first byte of a head, and every second.
    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn every_head_is_judged_by_the_rule() {
        for word in 0..=u16::MAX {
            let [first, second] = word.to_be_bytes();
            for (role, is_within) in
                [Role::Client, Role::Server].map(|role| [(role, false), (role, true)]).concat()
            {
                let (is_final, reserved, opcode) = (first >> 7 == 1, first >> 4 & 7, first & 15);
                let is_masked = second >> 7 == 1;
                let is_known = match opcode {
                    0 => is_within,
                    1 | 2 => !is_within,
                    8..=10 => is_final && second & 0x7f <= 125,
                    _ => false,
                };
                let is_good = is_known && reserved == 0 && is_masked == (role == Role::Server);
                let mut head = [&[first, second][..], &[0; 12]].concat();
                let judged = decoder(role, is_within).step(&mut head, None).map(|_| ());
                let expected = if is_good { Ok(()) } else { Err(Violation::Protocol) };
                assert_eq!(judged, expected, "{word:#06x} to {role:?}, within: {is_within}");
            }
        }
    }

    /// Sizes around every power of two, of which each has another byte or bit.
    fn edges() -> impl Iterator<Item = u64> {
        (0..64)
            .map(|bit| 1_u64 << bit)
            .flat_map(|edge| (0..3).flat_map(move |d| [edge.wrapping_add(d), edge.wrapping_sub(d)]))
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn every_length_is_judged_by_the_number_that_it_is() {
        for (size, limit) in edges().flat_map(|size| edges().map(move |limit| (size, limit))) {
            for (limit, before) in [(None, 0), (None, 5), (Some(limit), 0), (Some(limit), 5)] {
                let mut decoder = Decoder::new(Role::Client);
                let mut start = [&[0x02, before][..], &vec![0; usize::from(before)]].concat();
                let began = decoder.step(&mut start, limit).map(|_| ());
                let most = limit.unwrap_or(u64::MAX).min(i32::MAX as u64);
                assert_eq!(began.is_ok(), u64::from(before) <= most);
                if began.is_err() {
                    continue;
                }
                let mut head = [&[0x80, 127][..], &size.to_be_bytes()].concat();
                let judged = decoder.step(&mut head, limit).map(|_| ());
                let fits = u128::from(size) + u128::from(before) <= u128::from(most);
                let total = size.saturating_add(u64::from(before));
                let too_large = Violation::TooLarge { size: total, limit };
                let expected = if fits { Ok(()) } else { Err(too_large) };
                assert_eq!(judged, expected, "{size:#x} behind {before}, limit {limit:x?}");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn reads_the_size_that_it_writes() {
        let sizes = (0..70_000).chain(edges()).filter(|size| *size <= i32::MAX as u64);
        for size in sizes.map(|size| size as usize).filter(|size| *size > 0) {
            for (role, mask) in [(Role::Client, None), (Role::Server, Some(Mask([1, 2, 3, 4])))] {
                let mut head =
                    frame::head(Kind::Binary, Place::WHOLE, size, mask).as_slice().to_vec();
                let mut decoder = Decoder::new(role);
                let step = decoder.step(&mut head, None).unwrap();
                assert_eq!((step.used, decoder.missing()), (head.len(), (size, true)));
            }
        }
    }

    #[test]
    fn payload_may_be_read_past_the_decoder() {
        let mut decoder = Decoder::new(Role::Client);
        let mut head = *b"\x02\x0a\x00\x01";
        decoder.step(&mut head[..2], None).unwrap();
        assert_eq!((decoder.placeable(), decoder.missing()), (10, (10, false)));
        assert_eq!(decoder.took(&mut b"0123".to_owned()), Ok(None));
        assert_eq!(decoder.took(&mut []), Ok(None));
        assert_eq!(decoder.placeable(), 6);
        assert_eq!(decoder.took(&mut b"456789".to_owned()), Ok(None));
        assert_eq!((decoder.placeable(), decoder.took(&mut [])), (0, Ok(None)));
        let mut last = *b"\x80\x03";
        decoder.step(&mut last, None).unwrap();
        assert_eq!(decoder.missing(), (3, true));
        assert_eq!(decoder.took(&mut b"abc".to_owned()), Ok(Some(Kind::Binary)));
    }

    #[test]
    fn what_is_read_past_the_decoder_is_unmasked_wherever_it_is_cut() {
        let mask = Mask([7, 99, 200, 1]);
        let plain: Vec<u8> = (0..40).collect();
        let head = frame::head(Kind::Binary, Place::WHOLE, plain.len(), Some(mask));
        let mut masked = plain.clone();
        mask.apply(&mut masked);
        for (first, second) in (0..20).flat_map(|first| [(first, 3), (first, 20)]) {
            let (mut decoder, mut bytes) = (Decoder::new(Role::Server), masked.clone());
            let (early, late) = bytes.split_at_mut(first);
            let (middle, last) = late.split_at_mut(second);
            let mut front = [head.as_slice(), early].concat();
            let mut at = 0;
            while at < front.len() {
                at += decoder.step(&mut front[at..], None).unwrap().used;
            }
            assert_eq!(decoder.placeable(), plain.len() - first);
            assert_eq!(decoder.took(middle), Ok(None));
            assert_eq!(decoder.took(last), Ok(Some(Kind::Binary)));
            assert_eq!([&front[head.as_slice().len()..], middle, last].concat(), plain);
        }
    }

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "too much to interpret")]
        fn any_bytes_come_to_an_end(
            wire in prop::collection::vec(
                prop_oneof![any::<u8>(), 0_u8..4, Just(0x80), Just(0x82), Just(0x89)], 0..200),
            step in 1_usize..40,
            server in any::<bool>(),
        ) {
            let role = if server { Role::Server } else { Role::Client };
            let whole = hear(role, &wire, wire.len(), Some(100));
            prop_assert!(whole.messages.iter().all(|(_, body)| body.len() <= 100));
            prop_assert_eq!(hear(role, &wire, step, Some(100)), whole);
        }

        #[test]
        fn messages_survive_any_fragments(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            step in 1_usize..400,
        ) {
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let wire = wire_of(Role::Client, Kind::Binary, &slices);
            let heard = hear(Role::Server, &wire, step, None);
            prop_assert_eq!(heard.messages, vec![(Kind::Binary, parts.concat())]);
        }
    }
}
