//! The greeting that each side sends first (transports 3.1). Pure.
//!
//! ```text
//! byte  0     1     2     3     4..5                6..7
//!       0x00  0x53  0x50  0x00  type, big-endian    0x00 0x00
//! ```

use crate::transports::stream::Claim;

/// Bytes of a greeting.
pub const LEN: usize = 8;

#[must_use]
pub fn encode(own_type: u16) -> [u8; LEN] {
    let [high, low] = own_type.to_be_bytes();
    [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], high, low, 0, 0]
}

/// Checks a peer's greeting. The reserved bytes may hold anything, as with the reference.
///
/// # Errors
/// When it is no greeting, or not from the type of peer that we want.
pub fn check(greeting: [u8; LEN], wanted: u16) -> Result<(), Claim> {
    let peer = u16::from_be_bytes([greeting[4], greeting[5]]);
    match greeting[..4] == MAGIC {
        true if peer == wanted => Ok(()),
        true => Err(Claim::TypeNumber(peer)),
        false => Err(Claim::Nothing),
    }
}

/// NUL, "SP", version 0.
const MAGIC: [u8; 4] = [0x00, 0x53, 0x50, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_as_the_specification_shows() {
        assert_eq!(encode(0x31), [0x00, 0x53, 0x50, 0x00, 0x00, 0x31, 0x00, 0x00]);
    }

    #[test]
    fn accepts_the_wanted_type_only() {
        assert_eq!(check(encode(0x10), 0x10), Ok(()));
        assert_eq!(check(encode(0x11), 0x10), Err(Claim::TypeNumber(0x11)));
        assert_eq!(check([0x00, 0x53, 0x50, 0x00, 0, 0x10, 7, 9], 0x10), Ok(()));
        for byte in 0..4 {
            let mut greeting = encode(0x10);
            greeting[byte] ^= 0xff;
            assert_eq!(check(greeting, 0x10), Err(Claim::Nothing));
        }
    }
}
