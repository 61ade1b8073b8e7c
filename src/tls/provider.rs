//! The ciphers, those first that this processor is fast at.

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, SupportedCipherSuite};

/// What a client asks for first is what is spoken, because servers follow it.
#[must_use]
pub fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    sort(&mut provider.cipher_suites, has_aes());
    provider
}

/// The order within a version is all that changes, and nothing is left out.
fn sort(suites: &mut [SupportedCipherSuite], has_aes: bool) {
    suites.sort_by_key(|suite| {
        let cost = match cipher(suite.suite()) {
            Cipher::Aes128 => 0,
            Cipher::Aes256 => 1,
            Cipher::ChaCha20 if has_aes => 2,
            Cipher::ChaCha20 => -1,
        };
        (suite.tls13().is_none(), cost)
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cipher {
    Aes128,
    Aes256,
    ChaCha20,
}

fn cipher(suite: CipherSuite) -> Cipher {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Cipher::Aes128,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Cipher::ChaCha20,
        _ => Cipher::Aes256,
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_stand_in_the_order_of_what_they_cost() {
        use Cipher::{Aes128, Aes256, ChaCha20};
        for (has_aes, order) in
            [(true, [Aes128, Aes256, ChaCha20]), (false, [ChaCha20, Aes128, Aes256])]
        {
            let mut suites = ring::default_provider().cipher_suites;
            let count = suites.len();
            sort(&mut suites, has_aes);
            let (modern, old): (Vec<&SupportedCipherSuite>, Vec<_>) =
                suites.iter().partition(|suite| suite.tls13().is_some());
            assert_eq!(modern.len() + old.len(), count);
            assert!(suites[..modern.len()].iter().all(|suite| suite.tls13().is_some()));
            for suites in [modern, old] {
                let mut found: Vec<_> = suites.iter().map(|it| cipher(it.suite())).collect();
                found.dedup();
                assert_eq!(found, order);
            }
        }
    }
}
