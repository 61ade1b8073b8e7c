//! How large records are.

use super::end::End;
use super::table::*;
use super::tests::{Pair, client, good, old_client, server};

/// With the heads.
fn sizes(mut bytes: &[u8]) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let [_, _, _, high, low, ..] = *bytes {
        let size = 5 + usize::from(u16::from_be_bytes([high, low]));
        sizes.push(size);
        bytes = &bytes[size..];
    }
    sizes
}

fn made_of(end: &mut End, plaintext: usize) -> Vec<usize> {
    let total = end.put(&vec![7; plaintext]);
    let sizes = sizes(&std::mem::take(&mut end.outbox));
    assert_eq!(sizes.iter().sum::<usize>(), total);
    sizes
}

#[test]
fn four_records_fit_into_a_packet_of_a_loopback() {
    // 64 KiB, less the heads of IPv6, and of TCP with the time in it.
    let packet = 0x10000 - 40 - 32;
    for (client, around) in [(client(), 22), (old_client(), 29)] {
        let mut pair = Pair::new(&client, &server(good())).greeted();
        assert_eq!(made_of(&mut pair.server, 4 * RECORD), [RECORD + around; 4]);
        assert!(4 * (RECORD + around) <= packet);
        assert_eq!(made_of(&mut pair.server, RECORD + 1), [RECORD + around, 1 + around]);
    }
    let mut pair = Pair::new(&client(), &server(good())).greeted();
    assert_eq!(made_of(&mut pair.client, 4 * RECORD), [RECORD + 22; 4]);
}

#[test]
fn of_tls_1_3_what_is_encrypted_is_whole_blocks_of_the_cipher() {
    let mut pair = Pair::new(&client(), &server(good())).greeted();
    let [record] = made_of(&mut pair.client, RECORD)[..] else { panic!("it is one") };
    let (head, tag) = (5, 16);
    assert_eq!((record - head - tag) % 128, 0);
}
