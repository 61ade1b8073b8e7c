//! Whether text that comes in pieces is UTF-8 (RFC 3629). Pure.

/// What has been seen of one text.
#[derive(Debug, Default)]
pub struct Utf8 {
    /// The beginning of a character whose rest is to come.
    cut: [u8; 4],
    len: usize,
}

/// The bytes are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotText;

impl Utf8 {
    /// Looks at the next piece.
    ///
    /// # Errors
    /// When nothing that may follow can make it text.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), NotText> {
        let mut rest = bytes;
        while self.len > 0 {
            let Some((next, tail)) = rest.split_first() else { return Ok(()) };
            rest = tail;
            self.cut[self.len] = *next;
            self.len += 1;
            match std::str::from_utf8(&self.cut[..self.len]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() => return Err(NotText),
                // A character has four bytes at most, so there is room for another.
                Err(_) => {}
            }
        }
        if let Err(error) = std::str::from_utf8(rest) {
            if error.error_len().is_some() {
                return Err(NotText);
            }
            let cut = &rest[error.valid_up_to()..];
            self.cut[..cut.len()].copy_from_slice(cut);
            self.len = cut.len();
        }
        Ok(())
    }

    /// Whether the text may end here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_text(pieces: &[&[u8]]) -> bool {
        let mut utf8 = Utf8::default();
        pieces.iter().all(|piece| utf8.feed(piece).is_ok()) && utf8.is_whole()
    }

    #[test]
    fn judges_as_rfc_3629_does() {
        for (bytes, expected) in [
            (&b""[..], true),
            (b"abc", true),
            ("κόσμε \u{10ffff} \u{d7ff} \u{e000}".as_bytes(), true),
            (b"\xf4\x90\x80\x80", false),
            (b"\xed\xa0\x80", false),
            (b"\xc0\x80", false),
            (b"\xe0\x80\xaf", false),
            (b"\xf0\x80\x80\xaf", false),
            (b"\x80", false),
            (b"\xfe", false),
            (b"abc\xe2\x82", false),
        ] {
            for cut in 0..=bytes.len() {
                let (front, back) = bytes.split_at(cut);
                assert_eq!(is_text(&[front, b"", back]), expected, "{bytes:x?} cut at {cut}");
            }
        }
    }

    #[test]
    fn says_no_as_soon_as_it_is_sure() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.feed(b"\xf4"), Ok(()));
        assert_eq!(utf8.feed(b"\x90"), Err(NotText));
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), Just(0x80), Just(0xe2), Just(0xf0), Just(0x9f)], 0..12),
            step in 1_usize..5,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
            prop_assert_eq!(is_text(&pieces), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
