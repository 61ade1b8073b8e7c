//! What an end of a connection shows and whom it believes, out of PEM.

use std::collections::BTreeSet;
use std::fmt::Display;
#[cfg(not(target_os = "macos"))]
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use zeroize::Zeroize;

use super::complaint::{Setting, Trouble};
use super::place::{self, Pem};
use super::provider::provider;
use super::table;
use super::unverified::Unverified;

/// One end's.
#[derive(Clone, Debug)]
pub enum Config {
    Client(Arc<ClientConfig>),
    Server(Arc<ServerConfig>),
}

/// What it is made of. Each of the last four is PEM or the path of a file of it, or for the last
/// two of a directory of such files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    pub role: Role,
    pub verify: Verify,
    pub is_http: bool,
    pub is_modern_only: bool,
    /// The environment is not the user's who is served.
    pub is_privileged: bool,
    pub certificate: &'a [u8],
    pub key: &'a [u8],
    pub trust: &'a [u8],
    pub revoked: &'a [u8],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    Client,
    Server,
}

/// What is asked of the peer's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Nothing.
    None,
    /// That it is good, if there is one.
    Optional,
    /// That it is there and good.
    #[default]
    Required,
}

impl Config {
    /// # Errors
    /// When something cannot be read, is no PEM, or does not belong together.
    pub fn new(wishes: &Wishes<'_>) -> Result<Config, Trouble> {
        match wishes.role {
            Role::Client => client(wishes),
            Role::Server => server(wishes),
        }
    }
}

fn client(wishes: &Wishes<'_>) -> Result<Config, Trouble> {
    let provider = Arc::new(provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(wishes))
        .map_err(|error| Trouble::from(&error))?;
    let builder = if wishes.verify == Verify::None {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new(&provider)))
    } else {
        let roots = Arc::new(roots(wishes)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls(revocations(wishes.revoked)?)
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| unverifiable(&error))?;
        builder.with_webpki_verifier(verifier)
    };
    let mut config = match own(wishes)? {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    };
    config.enable_early_data = false;
    config.max_fragment_size = Some(FRAGMENT);
    config.alpn_protocols = protocols(wishes);
    Ok(Config::Client(Arc::new(config)))
}

fn server(wishes: &Wishes<'_>) -> Result<Config, Trouble> {
    let provider = Arc::new(provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(wishes))
        .map_err(|error| Trouble::from(&error))?;
    let builder = if wishes.verify == Verify::None {
        builder.with_no_client_auth()
    } else {
        let roots = Arc::new(roots(wishes)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .with_crls(revocations(wishes.revoked)?)
            .enforce_revocation_expiration();
        let verifier = match wishes.verify {
            Verify::Optional => verifier.allow_unauthenticated(),
            Verify::None | Verify::Required => verifier,
        };
        let verifier = verifier.build().map_err(|error| unverifiable(&error))?;
        builder.with_client_cert_verifier(verifier)
    };
    let own = own(wishes)?
        .ok_or_else(|| Setting::CERTIFICATE.trouble(table::FLAW_MISSING, "a listener needs one"))?;
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.max_early_data_size = 0;
    config.max_fragment_size = Some(FRAGMENT);
    // Who comes again brings along what is known of him: nothing is kept for each.
    config.ticketer = ring::Ticketer::new().map_err(|error| Trouble::from(&error))?;
    config.alpn_protocols = protocols(wishes);
    Ok(Config::Server(Arc::new(config)))
}

fn versions(wishes: &Wishes<'_>) -> &'static [&'static SupportedProtocolVersion] {
    if wishes.is_modern_only { MODERN } else { ALL }
}

fn protocols(wishes: &Wishes<'_>) -> Vec<Vec<u8>> {
    if wishes.is_http { vec![b"http/1.1".to_vec()] } else { Vec::new() }
}

/// Certificate and key, of which there are both or none.
fn own(wishes: &Wishes<'_>) -> Result<Option<CertifiedKey>, Trouble> {
    if wishes.certificate.is_empty() && wishes.key.is_empty() {
        return Ok(None);
    }
    if wishes.certificate.is_empty() {
        return Err(Setting::CERTIFICATE.trouble(table::FLAW_MISSING, "there is none, and a key"));
    }
    let pem = place::one(wishes.certificate, Setting::CERTIFICATE)?;
    let chain = chain(&pem)?;
    // One file may have both: it is read once, because it may be a pipe.
    let key = if wishes.key.is_empty() {
        key(&pem)?
    } else {
        key(&place::one(wishes.key, Setting::KEY)?)?
    };
    let own = CertifiedKey::new(chain, key);
    match own.keys_match() {
        // Whether they belong together cannot be told of every kind.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Some(own))
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            let words = "it does not belong to the certificate";
            Err(Setting::KEY.trouble(table::FLAW_OF_ANOTHER, words))
        }
        Err(error) => Err(Setting::CERTIFICATE.trouble(table::FLAW_DAMAGED, &error.to_string())),
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let setting = Setting::CERTIFICATE;
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| setting.trouble(table::FLAW_DAMAGED, &error.to_string()))?;
    if chain.is_empty() {
        return Err(setting.trouble(table::FLAW_EMPTY, "there is none in it"));
    }
    Ok(chain)
}

fn key(pem: &[u8]) -> Result<Arc<dyn SigningKey>, Trouble> {
    let setting = Setting::KEY;
    let has = |words: &[u8]| pem.windows(words.len()).any(|bytes| bytes == words);
    if has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED") {
        let words = "it is encrypted, and there is no password for it";
        return Err(setting.trouble(table::FLAW_ENCRYPTED, words));
    }
    let mut key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            setting.trouble(table::FLAW_EMPTY, "there is no private key in it")
        }
        // What it says might quote it.
        _ => setting.trouble(table::FLAW_DAMAGED, "it is no private key in PEM"),
    })?;
    let signing = ring::sign::any_supported_type(&key);
    key.zeroize();
    let words = "of this kind none can be used, or it is damaged";
    signing.map_err(|_| setting.trouble(table::FLAW_UNKNOWN_KIND, words))
}

fn roots(wishes: &Wishes<'_>) -> Result<RootCertStore, Trouble> {
    let setting = Setting::TRUST;
    let mut roots = RootCertStore::empty();
    if wishes.trust.is_empty() {
        roots.add_parsable_certificates(system_roots(wishes.is_privileged)?);
    } else {
        let mut known = BTreeSet::new();
        for Pem { bytes, name } in place::all(wishes.trust, setting)? {
            let damaged = |error: &dyn Display| {
                setting.trouble(table::FLAW_DAMAGED, &format!("{name}{error}"))
            };
            for certificate in CertificateDer::pem_slice_iter(&bytes) {
                let certificate = certificate.map_err(|error| damaged(&error))?;
                if known.insert(certificate.to_vec()) {
                    roots.add(certificate).map_err(|error| damaged(&error))?;
                }
            }
        }
    }
    if roots.is_empty() {
        return Err(setting.trouble(table::FLAW_EMPTY, "there is no authority in it"));
    }
    Ok(roots)
}

/// Where they are the environment may tell, unless it belongs to somebody who may do less.
#[cfg(not(target_os = "macos"))]
fn system_roots(is_privileged: bool) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    if !is_privileged {
        // What is not there is nobody's.
        if let Some(file) = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from)
            && file.exists()
        {
            place::check_authorities(&file, Setting::TRUST)?;
        }
        return Ok(rustls_native_certs::load_native_certs().certs);
    }
    let read = |directory| rustls_native_certs::load_certs_from_paths(None, Some(directory)).certs;
    Ok(openssl_probe::candidate_cert_dirs().flat_map(read).collect())
}

/// The same where the system itself has to be asked, behind the environment.
#[cfg(target_os = "macos")]
fn system_roots(is_privileged: bool) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let is_set = |name| std::env::var_os(name).is_some();
    if is_privileged && (is_set("SSL_CERT_FILE") || is_set("SSL_CERT_DIR")) {
        let words = "the environment says where it is, of a process that may do more than its user";
        return Err(Setting::TRUST.trouble(table::FLAW_OTHER, words));
    }
    Ok(rustls_native_certs::load_native_certs().certs)
}

fn revocations(revoked: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Trouble> {
    let setting = Setting::REVOKED;
    if revoked.is_empty() {
        return Ok(Vec::new());
    }
    let mut lists = Vec::new();
    for Pem { bytes, name } in place::all(revoked, setting)? {
        for list in CertificateRevocationListDer::pem_slice_iter(&bytes) {
            let damaged = |error| setting.trouble(table::FLAW_DAMAGED, &format!("{name}{error}"));
            lists.push(list.map_err(damaged)?);
        }
    }
    // Without any, nothing would ever be found to be revoked.
    if lists.is_empty() {
        return Err(setting.trouble(table::FLAW_EMPTY, "there is no list in it"));
    }
    Ok(lists)
}

/// What is wrong with what a verifier is made of; its authorities have been found to be good.
fn unverifiable(error: &VerifierBuilderError) -> Trouble {
    let setting = match error {
        VerifierBuilderError::InvalidCrl(_) => Setting::REVOKED,
        _ => Setting::TRUST,
    };
    setting.trouble(table::FLAW_DAMAGED, &error.to_string())
}

/// A record, as rustls counts it: with what stands in front of it.
const FRAGMENT: usize = table::RECORD + 5;
static MODERN: &[&SupportedProtocolVersion] = &[&version::TLS13];
static ALL: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
