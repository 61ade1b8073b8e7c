//! What an end of a connection shows and whom it believes, out of PEM.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use zeroize::{Zeroize, Zeroizing};

use super::complaint::Trouble;
use super::table;
use super::unverified::Unverified;

/// One end's.
#[derive(Clone, Debug)]
pub enum Config {
    Client(Arc<ClientConfig>),
    Server(Arc<ServerConfig>),
}

/// What it is made of. Each of the last four is PEM or the path of a file of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    pub role: Role,
    pub verify: Verify,
    pub is_http: bool,
    pub is_modern_only: bool,
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
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(wishes))
        .map_err(|error| Trouble::from(&error))?;
    let builder = if wishes.verify == Verify::None {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new(&provider)))
    } else {
        let roots = Arc::new(roots(wishes.trust)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls(revocations(wishes.revoked)?)
            .build()
            .map_err(|error| settings(&format!("trust: {error}")))?;
        builder.with_webpki_verifier(verifier)
    };
    let mut config = match own(wishes)? {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    };
    config.enable_early_data = false;
    config.alpn_protocols = protocols(wishes);
    Ok(Config::Client(Arc::new(config)))
}

fn server(wishes: &Wishes<'_>) -> Result<Config, Trouble> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(wishes))
        .map_err(|error| Trouble::from(&error))?;
    let builder = if wishes.verify == Verify::None {
        builder.with_no_client_auth()
    } else {
        let roots = Arc::new(roots(wishes.trust)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .with_crls(revocations(wishes.revoked)?);
        let verifier = match wishes.verify {
            Verify::Optional => verifier.allow_unauthenticated(),
            Verify::None | Verify::Required => verifier,
        };
        let verifier = verifier.build().map_err(|error| settings(&format!("trust: {error}")))?;
        builder.with_client_cert_verifier(verifier)
    };
    let own = own(wishes)?.ok_or_else(|| settings("a listener needs a certificate"))?;
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.max_early_data_size = 0;
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
    let pem = content(wishes.certificate, "certificate")?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| settings(&format!("certificate: {error}")))?;
    if chain.is_empty() {
        return Err(settings("certificate: there is none in it"));
    }
    // One file may have both.
    let place = if wishes.key.is_empty() { wishes.certificate } else { wishes.key };
    let pem = content(place, "key")?;
    let mut key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| settings("key: it is no private key in PEM"))?;
    let signing = ring::sign::any_supported_type(&key);
    key.zeroize();
    let signing = signing.map_err(|_| settings("key: of this kind none can be used"))?;
    let own = CertifiedKey::new(chain, signing);
    match own.keys_match() {
        // Whether they belong together cannot be told of every kind.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Some(own))
        }
        Err(error) => Err(settings(&format!("key: {error}"))),
    }
}

fn roots(trust: &[u8]) -> Result<RootCertStore, Trouble> {
    let mut roots = RootCertStore::empty();
    if trust.is_empty() {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
    } else {
        let pem = content(trust, "trust")?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| settings(&format!("trust: {error}")))?;
            roots.add(certificate).map_err(|error| settings(&format!("trust: {error}")))?;
        }
    }
    if roots.is_empty() {
        return Err(settings("trust: there is no authority in it"));
    }
    Ok(roots)
}

fn revocations(revoked: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Trouble> {
    if revoked.is_empty() {
        return Ok(Vec::new());
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(&content(revoked, "revocations")?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| settings(&format!("revocations: {error}")))?;
    // Without any, nothing would ever be found to be revoked.
    if lists.is_empty() {
        return Err(settings("revocations: there is no list in it"));
    }
    Ok(lists)
}

/// The PEM itself, or what stands in the file of that path.
fn content(place: &[u8], what: &str) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    if place.windows(PEM.len()).any(|bytes| bytes == PEM) {
        return Ok(Zeroizing::new(place.to_vec()));
    }
    let path = std::str::from_utf8(place).map_err(|_| settings(&format!("{what}: no path")))?;
    // As much at once as there may be: what grows would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(Path::new(path)).and_then(|file| {
        let size = file.metadata()?.len().min(FILE_MAX) as usize;
        bytes.reserve_exact(size + 1);
        file.take(FILE_MAX + 1).read_to_end(&mut bytes)
    });
    match read {
        // A part of it might lack what matters, such as the later of two lists.
        Ok(size) if size as u64 > FILE_MAX => Err(settings(&format!("{what}: larger than 4 MiB"))),
        Ok(_) => Ok(bytes),
        Err(error) => Err(settings(&format!("{what}: {error}"))),
    }
}

fn settings(words: &str) -> Trouble {
    Trouble::new(table::FAULT_SETTINGS, words)
}

static MODERN: &[&SupportedProtocolVersion] = &[&version::TLS13];
static ALL: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// More than all authorities of the world take.
const FILE_MAX: u64 = 4 * 1024 * 1024;
const PEM: &[u8] = b"-----BEGIN ";
