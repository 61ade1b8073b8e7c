//! The other end of a conversation for fuzz targets: it speaks versions that nobody can ask for
//! alone, and remembers nobody, so that an input does not depend on those before it.

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::config::{Config, Role};
use super::session::Session;

/// Who vouches for the certificate; nobody has the key any more.
pub const AUTHORITY: &str = include_str!("fuzzing/authority.pem");
/// Of [`NAME`], for two hundred years.
pub const CERTIFICATE: &str = include_str!("fuzzing/here.pem");
pub const KEY: &str = include_str!("fuzzing/here.key");
pub const NAME: &str = "here.test";

/// An end that speaks one version only.
#[must_use]
pub fn end(role: Role, is_modern: bool) -> Session {
    static CONFIGS: [OnceLock<Config>; 4] = [const { OnceLock::new() }; 4];
    let version = if is_modern { &version::TLS13 } else { &version::TLS12 };
    let place = usize::from(is_modern) + if role == Role::Server { 2 } else { 0 };
    let config = CONFIGS[place].get_or_init(|| match role {
        Role::Client => Config::Client(Arc::new(client(version))),
        Role::Server => Config::Server(Arc::new(server(version))),
    });
    Session::new(config, NAME.as_bytes()).expect("name and configuration are good")
}

fn client(version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(AUTHORITY)).expect("it is an authority");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("the provider has ciphers of both versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(CERTIFICATE)], key())
        .expect("the key belongs to the certificate");
    config.resumption = Resumption::disabled();
    config
}

fn server(version: &'static SupportedProtocolVersion) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("the provider has ciphers of both versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate(CERTIFICATE)], key())
        .expect("the key belongs to the certificate");
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("it is in PEM")
}

fn key() -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(KEY.as_bytes()).expect("it is in PEM")
}
