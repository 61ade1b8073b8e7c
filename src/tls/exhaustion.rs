//! Keys that are used up: TLS 1.3 makes new ones, TLS 1.2 ends the stream.

use rustls::crypto::CipherSuiteCommon;
use rustls::crypto::ring;
use rustls::{SupportedCipherSuite, Tls12CipherSuite};

use super::table::*;
use super::tests::{Pair, good, old_client_with, server};

/// A cipher whose keys last for so many records.
fn lasting(records: u64) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls12(known) =
        ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    else {
        panic!("it is one of TLS 1.2");
    };
    let common = CipherSuiteCommon {
        suite: known.common.suite,
        hash_provider: known.common.hash_provider,
        confidentiality_limit: records,
    };
    SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
        common,
        prf_provider: known.prf_provider,
        kx: known.kx,
        sign: known.sign,
        aead_alg: known.aead_alg,
    })))
}

#[test]
fn the_peer_gets_what_was_made_and_hears_that_nothing_follows() {
    const RECORDS: u64 = 10;
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![lasting(RECORDS)];
    let mut pair = Pair::new(&old_client_with(provider), &server(good())).greeted();
    let taken = (0..2 * RECORDS).take_while(|_| pair.client.put(b"more") > 0).count();
    // One was of the handshake.
    assert_eq!(taken as u64, RECORDS - 1);
    assert_eq!(pair.client.state() & IS_FAILED, IS_FAILED);
    assert!(pair.client.failure().unwrap().words.contains("used up"));
    pair.settle(usize::MAX);
    let mut room = [0; 100];
    assert_eq!(pair.server.take(&mut room), 4 * taken);
    assert_eq!(pair.server.state() & (IS_ENDED | IS_FAILED), IS_ENDED);
}
