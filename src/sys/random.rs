//! Numbers that nobody can foresee.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::Read;

use super::{kernel, nanoseconds};
use crate::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// Fills `bytes` from the kernel's source of randomness.
fn fill_random(bytes: &mut [u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: the kernel writes at most as many bytes as there are.
        let count = unsafe { kernel::getrandom(rest.as_mut_ptr(), rest.len()) };
        match usize::try_from(count) {
            Ok(count) => rest = &mut rest[count..],
            Err(_) if std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            Err(_) => return fill_otherwise(rest),
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

/// Makes as many numbers as there are serials out of a secret, for which the kernel is asked once:
/// who does not know that cannot foresee one by the others.
#[derive(Debug, Default)]
pub struct Secret(OnceLock<[u8; 16]>);

impl Secret {
    #[must_use]
    pub fn number(&self, serial: u32) -> u64 {
        let secret = self.0.get_or_init(random_bytes);
        BuildHasherDefault::<DefaultHasher>::default().hash_one((secret, serial))
    }
}

/// For a kernel that has no such call, and for one that does not even let its device be read. The
/// standard library would end the call with a panic there.
#[cold]
fn fill_otherwise(bytes: &mut [u8]) {
    let device = std::fs::File::open("/dev/urandom");
    if device.and_then(|mut device| device.read_exact(bytes)).is_err() {
        fill_from_clock(bytes);
    }
}

/// The least that can be done: nobody knows the time, and where everything lies, so exactly.
#[cold]
fn fill_from_clock(bytes: &mut [u8]) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let here = bytes.as_ptr().addr();
    for chunk in bytes.chunks_mut(8) {
        let seed = (nanoseconds(), here, COUNT.fetch_add(1, Ordering::Relaxed));
        let number = BuildHasherDefault::<DefaultHasher>::default().hash_one(seed).to_ne_bytes();
        chunk.copy_from_slice(&number[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_secret_has_a_number_for_each_serial_and_no_other_secret_has_it() {
        let secrets = [Secret::default(), Secret::default()];
        let number = |of: usize, serial| secrets[of].number(serial);
        let all: HashSet<_> =
            (0..1000).flat_map(|serial| [number(0, serial), number(1, serial)]).collect();
        assert_eq!(all.len(), 2000);
        assert_eq!(number(0, 7), number(0, 7));
        // Each bit is as often set as not: half of a thousand, give or take ten deviations.
        for bit in 0..64 {
            let set = (0..1000).filter(|serial| number(0, *serial) >> bit & 1 == 1).count();
            assert!((342..=658).contains(&set), "bit {bit}: {set}");
        }
    }

    #[test]
    fn every_byte_is_filled() {
        for fill in [fill_random, fill_otherwise, fill_from_clock] {
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
