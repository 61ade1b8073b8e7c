//! What configurations are made of: places where it lies, and what cannot be used.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{self, Command};

use super::config::{Config, Role, Verify, Wishes};
use super::session::Session;
use super::table::*;
use super::tests::{
    Authority, Identity, Pair, authority, client, client_who, good, lasting, server,
};

/// A directory of its own, which goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("tls-{name}-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.0.join(name), content).unwrap();
    }

    fn path(&self) -> &'static [u8] {
        lasting(self.0.to_str().unwrap())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn all_authorities_and_lists_of_a_directory_count() {
    let directory = Directory::new("trust");
    let others = Authority::new("nobody's");
    directory.write("others.pem", &others.pem());
    directory.write("README", "nothing of it is PEM");
    directory.write(".hidden", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n");
    fs::create_dir(directory.0.join("below")).unwrap();
    directory.write("below/ours.pem", &authority().pem());
    symlink("nowhere", directory.0.join("link")).unwrap();
    let client = || client_who(|wishes| wishes.trust = directory.path());
    Pair::new(&client(), &server(&others.vouches(|_| ()))).greeted();
    assert_eq!(Pair::new(&client(), &server(good())).fails()[0], FAULT_UNTRUSTED);
    symlink("below/ours.pem", directory.0.join("0.0")).unwrap();
    symlink("below/ours.pem", directory.0.join("0.1")).unwrap();
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
    fs::remove_file(directory.0.join("b.pem")).unwrap();
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
        fs::write(file, authority().pem()).unwrap();
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
    let name = "settings::the_environment_of_somebody_else_does_not_say_whom_to_trust";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("OURS_ALONE", &file)
        .env("SSL_CERT_FILE", &file)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
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

/// The environment says where the system's authorities are, in a process of its own.
#[test]
fn what_has_no_end_is_not_read_and_a_pipe_is_read_up_to_a_bound() {
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| file == "/dev/zero") {
        let why = Config::new(&Wishes::default()).unwrap_err();
        assert_eq!((why.setting, why.flaw), (SETTING_TRUST, FLAW_NO_FILE), "{file:?}");
        return;
    }
    for device in ["/dev/zero", "/dev/null", "/dev/tty"] {
        let place = device.as_bytes();
        let trust = Wishes { trust: place, ..Wishes::default() };
        let certificate = Wishes { verify: Verify::None, certificate: place, ..Wishes::default() };
        for (wishes, setting) in [(trust, SETTING_TRUST), (certificate, SETTING_CERTIFICATE)] {
            let why = Config::new(&wishes).unwrap_err();
            assert_eq!((why.setting, why.flaw), (setting, FLAW_NO_FILE), "{device}");
            assert!(why.words.ends_with(": neither a file nor a pipe"), "{}", why.words);
        }
    }
    let name = "settings::what_has_no_end_is_not_read_and_a_pipe_is_read_up_to_a_bound";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture"]).env_remove("SSL_CERT_DIR");
    assert!(child.env("SSL_CERT_FILE", "/dev/zero").status().unwrap().success());
    let directory = Directory::new("pipe");
    let pipe = directory.0.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Who waits for its reader waits for as long as for its writer.
    let from_pipe = |content: String| {
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, content)
        });
        let trust = lasting(pipe.to_str().unwrap());
        let config = Config::new(&Wishes { trust, ..Wishes::default() });
        // It hears that nobody reads on.
        (config, writer.join().unwrap().is_ok())
    };
    let (config, _) = from_pipe(authority().pem());
    Pair::new(&config.unwrap(), &server(good())).greeted();
    let (config, is_read) = from_pipe("\n".repeat(64 * 1024 * 1024));
    assert_eq!((config.unwrap_err().flaw, is_read), (FLAW_TOO_LARGE, false));
}
