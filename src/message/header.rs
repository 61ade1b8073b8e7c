//! The SP header of a message: usually empty or a few words, so it lives inside the message.

/// Up to [`INLINE_MAX`] bytes need no memory of their own.
#[derive(Clone, Debug)]
pub struct Header(Storage);

#[derive(Clone, Debug)]
enum Storage {
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
    Heap(Box<[u8]>),
}

impl Default for Header {
    fn default() -> Header {
        Header(Storage::Inline { len: 0, bytes: [0; INLINE_MAX] })
    }
}

impl Header {
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Header {
        if bytes.len() <= INLINE_MAX {
            let mut inline = [0; INLINE_MAX];
            inline[..bytes.len()].copy_from_slice(bytes);
            Header(Storage::Inline { len: bytes.len() as u8, bytes: inline })
        } else {
            Header(Storage::Heap(bytes.into()))
        }
    }

    /// The same with `word` in front.
    #[must_use]
    pub fn with_front(&self, word: [u8; 4]) -> Header {
        let old = self.as_slice();
        if old.len() + word.len() > INLINE_MAX {
            return Header::from_slice(&[&word, old].concat());
        }
        let mut bytes = [0; INLINE_MAX];
        bytes[..word.len()].copy_from_slice(&word);
        bytes[word.len()..word.len() + old.len()].copy_from_slice(old);
        Header(Storage::Inline { len: (word.len() + old.len()) as u8, bytes })
    }

    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Storage::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Storage::Heap(bytes) => bytes,
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

const INLINE_MAX: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_short_and_long_headers() {
        for len in 0..64 {
            let bytes: Vec<u8> = (0..len).collect();
            let header = Header::from_slice(&bytes);
            assert_eq!(header.as_slice(), bytes);
            assert_eq!(header.with_front([9; 4]).as_slice(), [&[9; 4], &bytes[..]].concat());
        }
        assert!(Header::default().is_empty());
    }
}
