//! Two machines that talk, with certificates made on the spot.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::config::{Config, Role, Verify, Wishes};
use super::end::{End, written};
use super::room::Room;
use super::table::*;

/// Who vouches for others.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(super) struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn vouches(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec!["here.test".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(7_u64));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub fn revokes(&self, serial: u64) -> String {
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
pub(super) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("ours"))
}

pub(super) fn good() -> &'static Identity {
    static GOOD: OnceLock<Identity> = OnceLock::new();
    GOOD.get_or_init(|| authority().vouches(|_| ()))
}

pub(super) fn server(identity: &Identity) -> Config {
    server_who(identity, |_| ())
}

pub(super) fn server_who(identity: &Identity, change: impl FnOnce(&mut Wishes<'_>)) -> Config {
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
pub(super) fn lasting(pem: &str) -> &'static [u8] {
    Box::leak(pem.to_owned().into_boxed_str()).as_bytes()
}

pub(super) fn client_who(change: impl FnOnce(&mut Wishes<'_>)) -> Config {
    let mut wishes = Wishes { trust: lasting(&authority().pem()), ..Wishes::default() };
    change(&mut wishes);
    Config::new(&wishes).unwrap()
}

pub(super) fn client() -> Config {
    client_who(|_| ())
}

/// Who speaks nothing newer than TLS 1.2.
pub(super) fn old_client() -> Config {
    old_client_with(rustls::crypto::ring::default_provider())
}

pub(super) fn old_client_with(provider: rustls::crypto::CryptoProvider) -> Config {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from(authority().0.der().to_vec())).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Config::Client(std::sync::Arc::new(config))
}

pub(super) struct Pair {
    pub client: End,
    pub server: End,
}

impl Pair {
    pub fn new(client: &Config, server: &Config) -> Pair {
        Pair { client: End::new(client, b"here.test"), server: End::new(server, b"") }
    }

    fn good() -> Pair {
        Pair::new(&client(), &server(good())).greeted()
    }

    /// Moves so many bytes at a time until both are silent.
    pub fn settle(&mut self, step: usize) {
        loop {
            let moved = pass(&mut self.client, &mut self.server, step)
                + pass(&mut self.server, &mut self.client, step);
            if moved == 0 {
                return;
            }
        }
    }

    pub fn greeted(mut self) -> Pair {
        self.settle(usize::MAX);
        assert_eq!(self.client.state() | self.server.state(), 0, "{:?}", self.faults());
        self
    }

    fn faults(&self) -> [u32; 2] {
        [&self.client, &self.server].map(|it| it.failure().map_or(FAULT_NONE, |why| why.fault))
    }

    /// Who fails, with what, after having tried.
    pub fn fails(mut self) -> [u32; 2] {
        self.settle(usize::MAX);
        self.faults()
    }
}

fn pass(from: &mut End, to: &mut End, step: usize) -> usize {
    let mut room = [0; 4096];
    let room = &mut room[..step.min(4096)];
    let count = from.emit(room);
    to.feed(&room[..count]);
    count
}

fn taken(session: &mut End) -> Vec<u8> {
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
            assert!(pair.client.put(b"hello") > 5);
            pair.settle(step);
            assert_eq!(
                (pair.server.state(), taken(&mut pair.server)),
                (HAS_PLAINTEXT, b"hello".to_vec())
            );
            assert!(pair.server.put(b"and back") > 8);
            pair.settle(step);
            assert_eq!(taken(&mut pair.client), b"and back");
            assert_eq!(pair.client.spoken(), TLS_1_3);
        }
    }
}

#[test]
fn what_is_large_takes_few_records_and_arrives_whole() {
    let mut pair = Pair::good();
    let bytes: Vec<u8> = (0..300_000_usize).map(|at| (at * 7 % 251) as u8).collect();
    let records = bytes.len().div_ceil(RECORD);
    // In each of TLS 1.3 there are a header of 5 bytes, the type and a tag of 16.
    assert_eq!(pair.server.put(&bytes), bytes.len() + records * 22);
    pair.settle(usize::MAX);
    assert!(taken(&mut pair.client) == bytes);
}

#[test]
fn no_record_is_made_where_it_would_have_no_room() {
    let mut pair = Pair::good();
    let mut room = [0; 26];
    assert_eq!(pair.client.session.put(b"hello", &mut room), 0);
    assert_eq!(room, [0; 26]);
    let mut room = [0; 27];
    assert_eq!(pair.client.session.put(b"hello", &mut room), 27);
    pair.server.feed(&room);
    assert_eq!(taken(&mut pair.server), b"hello");
}

#[test]
fn plaintext_fills_the_room_there_is_and_what_is_left_waits() {
    for room in [0, 1, 3, 4, 9, 10, 11, 12, 20] {
        let mut pair = Pair::good();
        for word in [&b"hello "[..], b"there", b"!"] {
            pair.client.put(word);
        }
        let mut cells = vec![MaybeUninit::new(b'?'); room];
        let (first, second) = cells.split_at_mut(room.min(4));
        let mut bytes = std::mem::take(&mut pair.client.outbox);
        let mut places = Room::new(first, second);
        pair.server.session.feed(&mut bytes, &mut places);
        let filled = places.filled();
        assert_eq!(filled, room.min(12));
        assert_eq!(pair.server.state(), if room < 12 { HAS_PLAINTEXT } else { 0 });
        let mut all = written(&cells[..filled]);
        all.extend(taken(&mut pair.server));
        assert_eq!(all, b"hello there!", "{room}");
        assert!(written(&cells[filled..]).iter().all(|byte| *byte == b'?'));
    }
}

#[test]
fn a_record_that_comes_in_pieces_disturbs_nothing_that_is_said_meanwhile() {
    let mut pair = Pair::good();
    pair.client.put(b"in pieces");
    let record = std::mem::take(&mut pair.client.outbox);
    for (number, byte) in record.iter().enumerate() {
        pair.server.feed(&[*byte]);
        assert_eq!(pair.server.held(), (number + 1) % record.len());
        assert!(pair.server.put(b"word") > 0);
        pair.settle(usize::MAX);
        assert_eq!(taken(&mut pair.client), b"word");
    }
    assert_eq!(taken(&mut pair.server), b"in pieces");
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
    assert!(pair.server.put(b"x") > 1);
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
        let mut session = End::new(&server(good()), b"");
        session.feed(garbage);
        assert_eq!(session.failure().unwrap().fault, FAULT_NOT_TLS, "{garbage:?}");
        // Whatever comes then.
        session.feed(garbage);
        assert_eq!(session.put(b"x"), 0);
    }
    // A record of a handshake that is none.
    let mut session = End::new(&server(good()), b"");
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
fn what_is_good_in_front_of_a_damaged_record_arrives() {
    let mut pair = Pair::good();
    let mut room = [0; 200];
    pair.client.put(b"good");
    let good = pair.client.emit(&mut room);
    pair.client.put(b"damaged");
    let all = good + pair.client.emit(&mut room[good..]);
    room[all - 1] ^= 1;
    pair.server.feed(&room[..all]);
    assert_eq!(pair.server.state() & (IS_FAILED | HAS_PLAINTEXT), IS_FAILED | HAS_PLAINTEXT);
    assert_eq!(taken(&mut pair.server), b"good");
}

#[test]
fn a_greeting_has_an_end() {
    let mut session = End::new(&server(good()), b"");
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
