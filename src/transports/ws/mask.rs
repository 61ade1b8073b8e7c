//! Masks of WebSocket payloads (RFC 6455 section 5.3). Pure.

/// Four bytes that a payload is combined with, over and over. Twice is as good as never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(pub [u8; 4]);

impl Mask {
    /// Masks or unmasks `bytes`, whole words at a time: that is as fast as memory.
    pub fn apply(self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for bytes in words {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
        rest.iter_mut().zip(self.0.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }

    /// The same on the way from one place to another, which are of one size.
    pub fn copy(self, from: &[u8], to: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = from.as_chunks::<8>();
        let (places, end) = to.as_chunks_mut::<8>();
        for (place, bytes) in places.iter_mut().zip(words) {
            *place = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
        for (place, (byte, mask)) in end.iter_mut().zip(rest.iter().zip(self.0.iter().cycle())) {
            *place = byte ^ mask;
        }
    }

    /// The mask for what comes behind the first `count` bytes.
    #[must_use]
    pub fn behind(self, count: usize) -> Mask {
        let mut bytes = self.0;
        bytes.rotate_left(count % 4);
        Mask(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_as_the_rfc_shows() {
        // RFC 6455 section 5.7: "Hello", masked.
        let mut bytes = *b"Hello";
        Mask([0x37, 0xfa, 0x21, 0x3d]).apply(&mut bytes);
        assert_eq!(bytes, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn pieces_make_the_same_whole() {
        let mask = Mask([1, 20, 77, 255]);
        let plain: Vec<u8> = (0..100).collect();
        let expected: Vec<u8> = (0..100).map(|i| plain[i] ^ mask.0[i % 4]).collect();
        for cut in 0..=100 {
            let mut bytes = plain.clone();
            let (front, back) = bytes.split_at_mut(cut);
            mask.apply(front);
            mask.behind(cut).apply(back);
            assert_eq!(bytes, expected, "cut at {cut}");
            let mut copy = vec![0; 100];
            mask.copy(&plain[..cut], &mut copy[..cut]);
            mask.behind(cut).copy(&plain[cut..], &mut copy[cut..]);
            assert_eq!(copy, expected, "copied by the cut at {cut}");
        }
    }
}
