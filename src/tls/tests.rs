//! Two machines that talk, with certificates made on the spot.

use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::config::{Config, Role, Verify, Wishes};
use super::session::{AT_ONCE, Session};
use super::table::*;

/// Who vouches for others.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn vouches(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec!["here.test".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(7_u64));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn revokes(&self, serial: u64) -> String {
        self.revokes_until(serial, OffsetDateTime::now_utc() + Duration::days(1))
    }

    fn revokes_until(&self, serial: u64, next_update: OffsetDateTime) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: now - Duration::days(1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now - Duration::days(3),
            next_update,
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// One authority for all: keys take their time.
fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("ours"))
}

fn good() -> &'static Identity {
    static GOOD: OnceLock<Identity> = OnceLock::new();
    GOOD.get_or_init(|| authority().vouches(|_| ()))
}

fn server(identity: &Identity) -> Config {
    server_who(identity, |_| ())
}

fn server_who(identity: &Identity, change: impl FnOnce(&mut Wishes<'_>)) -> Config {
    let mut wishes = Wishes {
        role: Role::Server,
        verify: Verify::None,
        certificate: identity.certificate.as_bytes(),
        key: identity.key.as_bytes(),
        ..Wishes::default()
    };
    change(&mut wishes);
    Config::new(&wishes).unwrap()
}

/// Configurations are made of what is lent for a moment; a test can do without giving back.
fn lasting(pem: &str) -> &'static [u8] {
    Box::leak(pem.to_owned().into_boxed_str()).as_bytes()
}

fn client_who(change: impl FnOnce(&mut Wishes<'_>)) -> Config {
    let mut wishes = Wishes { trust: lasting(&authority().pem()), ..Wishes::default() };
    change(&mut wishes);
    Config::new(&wishes).unwrap()
}

fn client() -> Config {
    client_who(|_| ())
}

/// Who speaks nothing newer than TLS 1.2.
fn old_client() -> Config {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from(authority().0.der().to_vec())).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Config::Client(std::sync::Arc::new(config))
}

struct Pair {
    client: Session,
    server: Session,
}

impl Pair {
    fn new(client: &Config, server: &Config) -> Pair {
        Pair {
            client: Session::new(client, b"here.test").unwrap(),
            server: Session::new(server, b"").unwrap(),
        }
    }

    fn good() -> Pair {
        Pair::new(&client(), &server(good())).greeted()
    }

    /// Moves so many bytes at a time until both are silent.
    fn settle(&mut self, step: usize) {
        loop {
            let moved = pass(&mut self.client, &mut self.server, step)
                + pass(&mut self.server, &mut self.client, step);
            if moved == 0 {
                return;
            }
        }
    }

    fn greeted(mut self) -> Pair {
        self.settle(usize::MAX);
        assert_eq!(self.client.state() | self.server.state(), 0, "{:?}", self.faults());
        self
    }

    fn faults(&self) -> [u32; 2] {
        [&self.client, &self.server].map(|it| it.failure().map_or(FAULT_NONE, |why| why.fault))
    }

    /// Who fails, with what, after having tried.
    fn fails(mut self) -> [u32; 2] {
        self.settle(usize::MAX);
        self.faults()
    }
}

fn pass(from: &mut Session, to: &mut Session, step: usize) -> usize {
    let mut room = [0; 4096];
    let room = &mut room[..step.min(4096)];
    let count = from.emit(room);
    to.feed(&room[..count]);
    count
}

fn taken(session: &mut Session) -> Vec<u8> {
    let mut all = Vec::new();
    let mut room = [0; 1000];
    loop {
        match session.take(&mut room) {
            0 => return all,
            count => all.extend_from_slice(&room[..count]),
        }
    }
}

#[test]
fn two_machines_greet_and_talk_byte_by_byte() {
    for is_modern_only in [false, true] {
        for step in [1, 2, 5, 17, 4096] {
            let client = client_who(|wishes| wishes.is_modern_only = is_modern_only);
            let mut pair = Pair::new(&client, &server(good()));
            assert_eq!(pair.client.state(), IS_HANDSHAKING | HAS_CIPHERTEXT);
            assert_eq!(pair.client.put(b"too early"), 0);
            pair.settle(step);
            assert_eq!((pair.client.state(), pair.server.state()), (0, 0));
            assert_eq!(pair.client.put(b"hello"), 5);
            pair.settle(step);
            assert_eq!(
                (pair.server.state(), taken(&mut pair.server)),
                (HAS_PLAINTEXT, b"hello".to_vec())
            );
            assert_eq!(pair.server.put(b"and back"), 8);
            pair.settle(step);
            assert_eq!(taken(&mut pair.client), b"and back");
            assert_eq!(pair.client.spoken(), TLS_1_3);
        }
    }
}

#[test]
fn what_is_large_takes_many_records_and_arrives_whole() {
    let mut pair = Pair::good();
    let bytes: Vec<u8> = (0..300_000_usize).map(|at| (at * 7 % 251) as u8).collect();
    let (mut rest, mut arrived) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let count = pair.server.put(rest);
        assert!(count > 0 && count <= AT_ONCE);
        // Nothing is taken beyond what has a place.
        rest = &rest[count..];
        pair.settle(usize::MAX);
        arrived.extend(taken(&mut pair.client));
    }
    assert!(arrived == bytes);
}

#[test]
fn an_end_that_is_said_is_told_from_one_that_is_not() {
    let mut pair = Pair::good();
    pair.client.put(b"last words");
    pair.client.end();
    pair.settle(usize::MAX);
    assert_eq!(pair.server.state(), IS_ENDED | HAS_PLAINTEXT);
    assert_eq!(taken(&mut pair.server), b"last words");
    assert_eq!((pair.server.state(), pair.faults()), (IS_ENDED, [FAULT_NONE; 2]));
    // The other direction goes on.
    assert_eq!(pair.server.put(b"x"), 1);
    pair.settle(usize::MAX);
    assert_eq!(taken(&mut pair.client), b"x");
}

#[test]
fn a_certificate_that_is_wrong_is_refused_for_what_it_is() {
    let now = OffsetDateTime::now_utc();
    let stranger = Authority::new("nobody's");
    let expired = authority().vouches(|params| params.not_after = now - Duration::days(1));
    let early = authority().vouches(|params| params.not_before = now + Duration::days(1));
    let client_only = authority().vouches(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let elsewhere = authority().vouches(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("there.test".try_into().unwrap())];
    });
    for (identity, fault) in [
        (&expired, FAULT_EXPIRED),
        (&early, FAULT_NOT_YET_VALID),
        (&client_only, FAULT_WRONG_PURPOSE),
        (&elsewhere, FAULT_WRONG_NAME),
        (&stranger.vouches(|_| ()), FAULT_UNTRUSTED),
    ] {
        let [own, peers] = Pair::new(&client(), &server(identity)).fails();
        assert_eq!(own, fault);
        // The other is told.
        assert!(peers > FAULT_ALERT && peers < FAULT_ALERT + 256, "{peers}");
    }
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["here.test".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let own = Identity { certificate, key: key.serialize_pem() };
    assert_eq!(Pair::new(&client(), &server(&own)).fails()[0], FAULT_UNTRUSTED);
    // Who does not want to know takes them all.
    let careless = client_who(|wishes| wishes.verify = Verify::None);
    for identity in [&expired, &elsewhere, &own] {
        Pair::new(&careless, &server(identity)).greeted();
    }
}

#[test]
fn what_is_revoked_is_refused_and_the_rest_is_not() {
    let [list, other] = [7, 8].map(|serial| authority().revokes(serial));
    let client = |list: &str| {
        client_who(|wishes| {
            wishes.revoked = lasting(list);
        })
    };
    assert_eq!(Pair::new(&client(&list), &server(good())).fails()[0], FAULT_REVOKED);
    Pair::new(&client(&other), &server(good())).greeted();
    // Both ways not to know are told apart.
    let yesterday = OffsetDateTime::now_utc() - Duration::days(1);
    let old = authority().revokes_until(8, yesterday);
    assert_eq!(Pair::new(&client(&old), &server(good())).fails()[0], FAULT_OLD_REVOCATIONS);
    let others = Authority::new("nobody's").revokes(8);
    let client = client(&others);
    assert_eq!(Pair::new(&client, &server(good())).fails()[0], FAULT_NO_REVOCATIONS);
    let identity = authority().vouches(|_| ());
    let known = client_who(|wishes| {
        wishes.certificate = lasting(&identity.certificate);
        wishes.key = lasting(&identity.key);
    });
    for (list, fault) in [(&list, FAULT_REVOKED), (&old, FAULT_OLD_REVOCATIONS)] {
        let server = server_who(good(), |wishes| {
            wishes.verify = Verify::Required;
            wishes.trust = lasting(&authority().pem());
            wishes.revoked = lasting(list);
        });
        assert_eq!(Pair::new(&known, &server).fails()[1], fault);
    }
}

/// A directory of its own, which goes with the test.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    fn path(&self) -> &'static [u8] {
        lasting(self.0.to_str().unwrap())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn all_authorities_and_lists_of_a_directory_count() {
    let directory = Directory::new("trust");
    let others = Authority::new("nobody's");
    directory.write("others.pem", &others.pem());
    directory.write("README", "nothing of it is PEM");
    directory.write(".hidden", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n");
    std::fs::create_dir(directory.0.join("below")).unwrap();
    directory.write("below/ours.pem", &authority().pem());
    std::os::unix::fs::symlink("nowhere", directory.0.join("link")).unwrap();
    let client = || client_who(|wishes| wishes.trust = directory.path());
    Pair::new(&client(), &server(&others.vouches(|_| ()))).greeted();
    assert_eq!(Pair::new(&client(), &server(good())).fails()[0], FAULT_UNTRUSTED);
    std::os::unix::fs::symlink("below/ours.pem", directory.0.join("0.0")).unwrap();
    std::os::unix::fs::symlink("below/ours.pem", directory.0.join("0.1")).unwrap();
    Pair::new(&client(), &server(good())).greeted();
    let lists = Directory::new("lists");
    lists.write("ours", &authority().revokes(7));
    lists.write("others", &others.revokes(8));
    let careful = client_who(|wishes| {
        wishes.trust = directory.path();
        wishes.revoked = lists.path();
    });
    assert_eq!(Pair::new(&careful, &server(good())).fails()[0], FAULT_REVOKED);
    Pair::new(&careful, &server(&others.vouches(|_| ()))).greeted();
}

#[test]
fn what_is_wrong_in_a_directory_is_told_by_its_name() {
    let directory = Directory::new("wrong");
    let trouble = |directory: &Directory| {
        Config::new(&Wishes { trust: directory.path(), ..Wishes::default() }).unwrap_err()
    };
    let empty = trouble(&directory);
    assert_eq!((empty.setting, empty.flaw), (SETTING_TRUST, FLAW_EMPTY));
    directory.write("a.pem", &authority().pem());
    directory.write("b.pem", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n");
    let damaged = trouble(&directory);
    assert_eq!((damaged.setting, damaged.flaw), (SETTING_TRUST, FLAW_DAMAGED));
    assert!(damaged.words.starts_with("trust: b.pem: "), "{}", damaged.words);
    // What is no authority's is none of a directory, either.
    directory.write("b.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    assert!(trouble(&directory).words.starts_with("trust: b.pem: "));
    directory.write("b.pem", &" ".repeat(4 * 1024 * 1024 + 1));
    let large = trouble(&directory);
    assert_eq!((large.setting, large.flaw), (SETTING_TRUST, FLAW_TOO_LARGE));
    assert!(large.words.starts_with("trust: b.pem: larger"), "{}", large.words);
    for number in 0..5 {
        directory.write(&format!("b{number}.pem"), &" ".repeat(4 * 1024 * 1024));
    }
    std::fs::remove_file(directory.0.join("b.pem")).unwrap();
    assert_eq!(trouble(&directory).flaw, FLAW_TOO_LARGE);
    // A certificate and a key are in one file.
    let wishes = Wishes { certificate: directory.path(), ..Wishes::default() };
    let trouble = Config::new(&wishes).unwrap_err();
    assert_eq!((trouble.flaw, trouble.code), (FLAW_SYSTEM, 21), "{}", trouble.words);
}

/// The environment is that of a process of its own.
#[test]
fn the_environment_of_somebody_else_does_not_say_whom_to_trust() {
    if let Some(file) = std::env::var_os("OURS_ALONE") {
        std::fs::write(file, authority().pem()).unwrap();
        let client = |is_privileged| {
            client_who(|wishes| (wishes.trust, wishes.is_privileged) = (b"", is_privileged))
        };
        Pair::new(&client(false), &server(good())).greeted();
        let wishes = Wishes { is_privileged: true, ..Wishes::default() };
        match Config::new(&wishes) {
            Ok(config) => {
                let fault = Pair::new(&config, &server(good())).fails()[0];
                assert_eq!(fault, FAULT_UNTRUSTED);
            }
            // The system has none.
            Err(trouble) => assert_eq!(trouble.setting, SETTING_TRUST),
        }
        return;
    }
    let directory = Directory::new("environment");
    // The child puts its authority there.
    let file = directory.0.join("ours.pem");
    let name = "tests::the_environment_of_somebody_else_does_not_say_whom_to_trust";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("OURS_ALONE", &file)
        .env("SSL_CERT_FILE", &file)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}

#[test]
fn a_client_shows_what_a_server_asks_for() {
    let identity = authority().vouches(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let known = client_who(|wishes| {
        wishes.certificate = lasting(&identity.certificate);
        wishes.key = lasting(&identity.key);
    });
    let stranger = Authority::new("nobody's").vouches(|_| ());
    let unknown = client_who(|wishes| {
        wishes.certificate = lasting(&stranger.certificate);
        wishes.key = lasting(&stranger.key);
    });
    for verify in [Verify::Optional, Verify::Required] {
        let server = server_who(good(), |wishes| {
            wishes.verify = verify;
            wishes.trust = lasting(&authority().pem());
        });
        let pair = Pair::new(&known, &server).greeted();
        assert!(pair.server.peer().is_some());
        assert_eq!(Pair::new(&unknown, &server).fails()[1], FAULT_UNTRUSTED);
        let nobody = Pair::new(&client(), &server);
        if verify == Verify::Optional {
            assert!(nobody.greeted().server.peer().is_none());
        } else {
            assert_eq!(nobody.fails()[1], FAULT_NO_CERTIFICATE);
        }
    }
}

#[test]
fn a_client_that_comes_again_is_known() {
    let (client, server) = (client(), server(good()));
    let size = || {
        let mut pair = Pair::new(&client, &server);
        let mut total = 0;
        loop {
            let to_server = pass(&mut pair.client, &mut pair.server, usize::MAX);
            let to_client = pass(&mut pair.server, &mut pair.client, usize::MAX);
            total += to_client;
            if to_server + to_client == 0 {
                return total;
            }
        }
    };
    let (first, second) = (size(), size());
    // The certificate is not shown again.
    assert!(second + 300 < first, "{first} {second}");
}

/// What a server remembers of clients that come again does not lie with it: it has as much to
/// remember of the first one behind a thousand others.
#[test]
fn a_client_that_comes_again_behind_many_others_is_known() {
    let server = server(good());
    for is_modern in [true, false] {
        let first = if is_modern { client() } else { old_client() };
        let again = |client: &Config| {
            let mut pair = Pair::new(client, &server).greeted();
            pair.server.put(b"so that tickets are read");
            pair.settle(usize::MAX);
            (pair.client.is_resumed(), pair.server.is_resumed())
        };
        assert_eq!(again(&first), (false, false));
        for _ in 0..260 {
            let other = if is_modern { client() } else { old_client() };
            assert_eq!(again(&other), (false, false));
        }
        assert_eq!(again(&first), (true, true), "{is_modern}");
    }
}

#[test]
fn what_is_no_tls_is_told_from_tls_that_is_wrong() {
    for garbage in [&b"\0SP\0\0\x10\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64]] {
        let mut session = Session::new(&server(good()), b"").unwrap();
        session.feed(garbage);
        assert_eq!(session.failure().unwrap().fault, FAULT_NOT_TLS, "{garbage:?}");
        // Whatever comes then.
        session.feed(garbage);
        assert_eq!(session.put(b"x"), 0);
    }
    // A record of a handshake that is none.
    let mut session = Session::new(&server(good()), b"").unwrap();
    session.feed(b"\x16\x03\x01\0\x05\x01\0\0\x01\0");
    assert_eq!(session.failure().unwrap().fault, FAULT_PROTOCOL);
}

#[test]
fn a_damaged_record_ends_it_wherever_it_is_damaged() {
    let mut pair = Pair::good();
    pair.client.put(b"hello");
    let mut room = [0; 200];
    let count = pair.client.emit(&mut room);
    for at in 5..count {
        let mut pair = Pair::good();
        pair.client.put(b"hello");
        let count = pair.client.emit(&mut room);
        room[at] ^= 1;
        pair.server.feed(&room[..count]);
        assert_ne!(pair.server.state() & IS_FAILED, 0, "{at}");
        assert_eq!(taken(&mut pair.server), b"");
    }
}

#[test]
fn a_greeting_has_an_end() {
    let mut session = Session::new(&server(good()), b"").unwrap();
    // The beginning of a message that never becomes whole.
    let mut record = vec![0x16, 3, 1, 0x10, 0, 1, 0, 0xff, 0];
    record.resize(5 + 0x1000, 0);
    session.feed(&record);
    for _ in 0..64 {
        record[5..9].copy_from_slice(&[0; 4]);
        session.feed(&record);
    }
    assert_ne!(session.state() & IS_FAILED, 0);
}

#[test]
fn settings_that_do_not_fit_are_refused_in_words() {
    let fault = |change: &dyn Fn(&mut Wishes<'_>)| {
        let identity = good();
        let mut wishes = Wishes {
            role: Role::Server,
            verify: Verify::None,
            certificate: identity.certificate.as_bytes(),
            key: identity.key.as_bytes(),
            ..Wishes::default()
        };
        change(&mut wishes);
        let why = Config::new(&wishes).unwrap_err();
        assert_eq!(why.fault, FAULT_SETTINGS);
        why.words
    };
    assert_eq!(
        fault(&|wishes| (wishes.certificate, wishes.key) = (b"", b"")),
        "certificate: a listener needs one"
    );
    let missing = fault(&|wishes| wishes.certificate = b"/nowhere/at/all.pem");
    assert!(missing.starts_with("certificate: No such file"), "{missing}");
    let wishes = Wishes { trust: b"/nowhere/at/all.pem", ..Wishes::default() };
    let why = Config::new(&wishes).unwrap_err();
    assert_eq!((why.setting, why.flaw, why.code), (SETTING_TRUST, FLAW_SYSTEM, 2));
    let no_key = fault(&|wishes| wishes.key = good().certificate.as_bytes());
    assert_eq!(no_key, "key: there is no private key in it");
    let other: &'static Identity = Box::leak(Box::new(authority().vouches(|_| ())));
    let strange = fault(&|wishes| wishes.key = other.key.as_bytes());
    assert_eq!(strange, "key: it does not belong to the certificate");
    for encrypted in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\n\
        Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n",
    ] {
        let words = fault(&|wishes| wishes.key = encrypted.as_bytes());
        assert_eq!(words, "key: it is encrypted, and there is no password for it");
    }
    let alone = fault(&|wishes| wishes.certificate = b"");
    assert_eq!(alone, "certificate: there is none, and a key");
    let no_trust = fault(&|wishes| {
        wishes.verify = Verify::Required;
        wishes.trust = good().key.as_bytes();
    });
    assert_eq!(no_trust, "trust: there is no authority in it");
    let no_list = fault(&|wishes| {
        wishes.verify = Verify::Required;
        wishes.trust = lasting(&authority().pem());
        wishes.revoked = good().certificate.as_bytes();
    });
    assert_eq!(no_list, "revocations: there is no list in it");
    let name = Session::new(&client(), b"no name at all").err().unwrap();
    assert_eq!(name.words, "name: no certificate can be for it");
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let directory = Directory::new("large");
    directory.write("list", &"\n".repeat(4 * 1024 * 1024 + 1));
    let wishes = Wishes {
        trust: lasting(&authority().pem()),
        revoked: lasting(directory.0.join("list").to_str().unwrap()),
        ..Wishes::default()
    };
    let why = Config::new(&wishes).unwrap_err();
    assert_eq!((why.setting, why.flaw), (SETTING_REVOKED, FLAW_TOO_LARGE));
    assert_eq!(why.words, "revocations: larger than 4 MiB, or with others than 16");
}
