//! Bytes that are nobody's business when their owner is done with them.

use std::ptr;

use super::{OutOfMemory, reserve_exact};

/// Bytes that never grow, and are overwritten before their memory is given back.
#[derive(Default, PartialEq, Eq)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    /// # Errors
    /// When memory cannot be had.
    pub fn copy_from(bytes: &[u8]) -> Result<Wiped, OutOfMemory> {
        let mut copy = Vec::new();
        reserve_exact(&mut copy, bytes.len())?;
        copy.extend_from_slice(bytes);
        Ok(Wiped(copy))
    }

    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        for byte in &mut self.0 {
            // SAFETY: it is a byte of ours. Nobody reads it again, which must not spare the write.
            unsafe { ptr::write_volatile(byte, 0) };
        }
    }
}

/// What it is stays untold wherever it is part of something that is printed.
impl std::fmt::Debug for Wiped {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_is_not_told() {
        let key = Wiped::copy_from(b"secret").unwrap();
        assert_eq!((key.as_slice(), format!("{key:?}")), (&b"secret"[..], "6 bytes".to_owned()));
        assert_eq!(Wiped::default().as_slice(), b"");
    }
}
