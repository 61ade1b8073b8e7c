//! Numbers that nobody can foresee.

use super::kernel;

/// Fills `bytes` from the kernel's source of randomness.
fn fill_random(bytes: &mut [u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: the kernel writes at most as many bytes as there are.
        let count = unsafe { kernel::getrandom(rest.as_mut_ptr(), rest.len()) };
        match usize::try_from(count) {
            Ok(count) => rest = &mut rest[count..],
            Err(_) if std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            Err(_) => return fill_from_hasher(rest),
        }
    }
}

#[must_use]
pub fn random() -> u64 {
    u64::from_ne_bytes(random_bytes())
}

#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

/// A kernel without getrandom(2), or a filter that forbids it: the standard library seeds its hash
/// tables by other means.
#[cold]
fn fill_from_hasher(bytes: &mut [u8]) {
    use std::hash::{BuildHasher, RandomState};
    for chunk in bytes.chunks_mut(8) {
        let number = RandomState::new().hash_one(0).to_ne_bytes();
        chunk.copy_from_slice(&number[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_filled() {
        for fill in [fill_random, fill_from_hasher] {
            for len in 0..40 {
                let mut seen = vec![0; len];
                for _ in 0..64 {
                    let mut bytes = vec![0; len];
                    fill(&mut bytes);
                    seen.iter_mut().zip(bytes).for_each(|(seen, byte)| *seen |= byte);
                }
                assert!(seen.iter().all(|seen| *seen != 0), "{len} bytes");
            }
        }
    }
}
