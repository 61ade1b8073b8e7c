//! ipc: Unix domain sockets. An address is the name of a file, used as it is, or in the extended
//! dialect `@` and a name that the kernel keeps without a file. The scheme has two names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sp::frame::Framing;
use super::stream::{Bound, Dialer, Listener, Target};
use super::{Dialect, Host, Maker, Transport};
use crate::error::{Error, Part};
use crate::sync::{Mutex, Rank};
use crate::sys::{
    Address, FileIdentity, NameLock, OsListener, OsStream, PerProcess, PinnedFile, absolute,
    set_file_mode, unlink,
};

pub struct Ipc {
    scheme: &'static str,
}

pub static IPC: Ipc = Ipc { scheme: "ipc" };

/// Where upstream has ipc for whatever a system is best at, this one says that it is a Unix socket:
/// here they are the same (upstream-1.2.5).
pub static UNIX: Ipc = Ipc { scheme: "unix" };

impl Transport for Ipc {
    fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn bind(
        &self,
        address: &[u8],
        dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        // First, so that a failure leaves no file behind.
        let local = parse(address, dialect)?;
        host.reactor()?;
        let bound = match local {
            Address::File(path) => bind_file(path, option::mode(&host.settings()))?,
            other => Bound::plain(OsListener::listening(&other, BACKLOG)?, address),
        };
        Ok(Listener::new(bound, Box::new(Framing::Ipc), host)?)
    }

    fn connect(
        &self,
        address: &[u8],
        dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let target = Target::Local(parse(address, dialect)?);
        Ok(Dialer::new(target, Box::new(Framing::Ipc), host)?)
    }
}

fn parse(address: &[u8], dialect: Dialect) -> Result<Address, Error> {
    match (address, dialect) {
        ([], _) | (b"@", Dialect::Extended) => Err(Error::Malformed(Part::Name)),
        _ if address.len() > Address::FILE_NAME_MAX => Err(Error::NameTooLong),
        ([b'@', ..], Dialect::Extended) if !Address::HAS_NAMES => Err(Error::NotSupported),
        ([b'@', name @ ..], Dialect::Extended) => Ok(Address::Name(name.to_vec())),
        _ => Ok(Address::File(PathBuf::from(OsStr::from_bytes(address)))),
    }
}

fn bind_file(path: PathBuf, mode: Option<u32>) -> Result<Bound, Error> {
    let (listener, own) = listen(&path, mode)?;
    let address = path.as_os_str().as_bytes().to_vec();
    // The process may be in another directory by then.
    let path = absolute(path);
    let release = move || {
        // Whoever has taken the name since keeps it.
        if own.is_some() && FileIdentity::of(&path).ok() == own {
            let _ = unlink(&path);
        }
    };
    Ok(Bound { listener, address, release: Box::new(release) })
}

/// A listener, and its file.
fn listen(path: &Path, mode: Option<u32>) -> Result<(OsListener, Option<FileIdentity>), Error> {
    // A socket that is bound and does not listen yet looks stale to the next one to bind it: in
    // this process, and in another one that starts at the same moment.
    let _one_at_a_time = BINDING.get().lock();
    let _one_process_at_a_time =
        path.file_name().and_then(|name| NameLock::acquire(directory_of(path), name));
    let address = Address::File(path.to_owned());
    let listener = OsListener::new(&address)?;
    if let Some(mode) = mode {
        listener.set_file_mode(mode)?;
    }
    if let Err(error) = listener.bind(&address) {
        let error = Error::from(error);
        let stale = if error == Error::AddressInUse { stale(path, &address) } else { None };
        // Pinned until it is removed: what replaces it meanwhile does not look the same.
        let Some(_stale) = stale else { return Err(error) };
        unlink(path)?;
        listener.bind(&address)?;
    }
    let own = FileIdentity::of(path).ok();
    // Nobody can connect before it listens.
    let allowed = mode.map_or(Ok(()), |mode| set_file_mode(path, mode));
    if let Err(error) = allowed.and_then(|()| listener.listen(BACKLOG)) {
        let _ = unlink(path);
        return Err(error.into());
    }
    // Where a process cannot be kept out, it may have taken our file for a stale one.
    if FileIdentity::of(path).ok() != own {
        return Err(Error::AddressInUse);
    }
    Ok((listener, own))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A socket file that nobody listens on, and which is still there, is left over from a process that
/// died.
fn stale(path: &Path, address: &Address) -> Option<PinnedFile> {
    let found = PinnedFile::at(path).ok().filter(PinnedFile::is_socket)?;
    let refused = match OsStream::new(address).ok()?.connect(address) {
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
    };
    (refused && found.is_still_at(path)).then_some(found)
}

// The reference has 10: of more peers that dial at once it turns some away, who come back later.
const BACKLOG: i32 = 100;
static BINDING: PerProcess<Mutex<()>> = PerProcess::new(|| Mutex::new(Rank::Binding, ()));

/// Options of Unix domain sockets, by their rows and by what they mean; `ffi/options.rs` holds the
/// numbers to the headers.
pub mod option {
    use crate::transports::Settings;
    use crate::transports::options::{Len, Row, Table, Unit};

    pub const LEVEL: i32 = -2;

    pub static TABLE: Table = Table {
        level: LEVEL,
        len: Len::Least,
        rows: &[SECURITY, OUTPUT_BUFFER, INPUT_BUFFER, MODE],
    };

    /// This one and the two below are kept, and mean nothing here.
    pub const SECURITY: Row = Row {
        level: LEVEL,
        number: 1,
        name: "security attributes",
        default: 0,
        range: i32::MIN..=i32::MAX,
        unit: Unit::Address,
    };

    pub const OUTPUT_BUFFER: Row = Row {
        level: LEVEL,
        number: 2,
        name: "output buffer",
        default: 4096,
        range: i32::MIN..=i32::MAX,
        unit: Unit::Bytes,
    };

    pub const INPUT_BUFFER: Row = Row {
        level: LEVEL,
        number: 3,
        name: "input buffer",
        default: 4096,
        range: i32::MIN..=i32::MAX,
        unit: Unit::Bytes,
    };

    /// What the reference does not have is far away from what it has.
    pub const MODE: Row = Row {
        level: LEVEL,
        number: 0x5350_0002,
        name: "mode of the file",
        default: -1,
        range: -1..=0o777,
        unit: Unit::Permissions,
    };

    /// The permissions of a socket's file, if they are not left to the process.
    #[must_use]
    pub fn mode(settings: &Settings) -> Option<u32> {
        u32::try_from(settings.values.get(&MODE)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::random;
    use crate::testing::{FakeSocket, Traits};
    use crate::transports::suite::{self, Subject};
    use std::fs::{self, File};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    /// A file name that no other test uses; what has it goes with the test.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Place {
            Place(std::env::temp_dir().join(format!("spmsg ipc {:x}", random())))
        }

        fn address(&self) -> &[u8] {
            self.0.as_os_str().as_bytes()
        }

        fn bind(&self, socket: &FakeSocket) -> Result<Vec<u8>, Error> {
            socket.bind(&IPC, self.address())
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn socket() -> FakeSocket {
        FakeSocket::new(Traits::pair())
    }

    #[test]
    fn exchanges_messages_of_all_sizes_both_ways() {
        for subject in BOTH {
            suite::exchanges_messages_of_all_sizes_both_ways(subject);
        }
    }

    #[test]
    fn a_busy_address_is_refused_and_stays_whose_it_is() {
        for subject in BOTH {
            suite::a_busy_address_is_refused_and_stays_whose_it_is(subject);
        }
    }

    #[test]
    fn an_address_is_free_right_after_the_close() {
        for subject in BOTH {
            suite::an_address_is_free_right_after_the_close(subject);
        }
    }

    #[test]
    fn a_dialer_that_comes_first_waits_for_a_listener() {
        for subject in BOTH {
            suite::a_dialer_that_comes_first_waits_for_a_listener(subject);
        }
    }

    #[test]
    fn a_lost_peer_is_connected_to_again() {
        for subject in BOTH {
            suite::a_lost_peer_is_connected_to_again(subject);
        }
    }

    #[test]
    fn a_peer_of_the_wrong_type_is_refused_on_both_sides() {
        for subject in BOTH {
            suite::a_peer_of_the_wrong_type_is_refused_on_both_sides(subject);
        }
    }

    #[test]
    fn who_is_not_wanted_now_is_taken_in_later_and_knows_nothing_before() {
        for subject in BOTH {
            suite::who_is_not_wanted_now_is_taken_in_later_and_knows_nothing_before(subject);
        }
    }

    #[test]
    fn a_dialer_whose_socket_wants_nobody_waits_with_its_attempt() {
        for subject in BOTH {
            suite::a_dialer_whose_socket_wants_nobody_waits_with_its_attempt(subject);
        }
    }

    #[test]
    fn a_silent_peer_is_dropped_at_the_limit() {
        for subject in BOTH {
            suite::a_silent_peer_is_dropped_at_the_limit(subject);
        }
    }

    #[test]
    fn garbage_is_refused_and_hurts_nobody_else() {
        for subject in BOTH {
            suite::garbage_is_refused_and_hurts_nobody_else(subject);
        }
    }

    #[test]
    fn half_a_greeting_is_none() {
        for subject in BOTH {
            suite::half_a_greeting_is_none(subject);
        }
    }

    #[test]
    fn a_close_during_the_greeting_drops_it_once() {
        for subject in BOTH {
            suite::a_close_during_the_greeting_drops_it_once(subject);
        }
    }

    #[test]
    fn a_close_between_attempts_reports_nothing() {
        for subject in BOTH {
            suite::a_close_between_attempts_reports_nothing(subject);
        }
    }

    #[test]
    fn a_message_beyond_the_limit_ends_its_own_connection_only() {
        for subject in BOTH {
            suite::a_message_beyond_the_limit_ends_its_own_connection_only(subject);
        }
    }

    #[test]
    fn a_close_delivers_what_the_kernel_has() {
        for subject in BOTH {
            suite::a_close_delivers_what_the_kernel_has(subject);
        }
    }

    const BOTH: [Subject; 2] = [Subject::IpcFile, Subject::IpcName];

    #[test]
    fn an_address_is_a_file_or_in_the_extended_dialect_a_name() {
        let both = [Dialect::Reference, Dialect::Extended];
        let parsed = |address: &[u8]| both.map(|dialect| parse(address, dialect));
        let file = |path: &str| Ok(Address::File(path.into()));
        assert_eq!(parsed(b"/a/b"), [file("/a/b"), file("/a/b")]);
        assert_eq!(parsed(b"a@b"), [file("a@b"), file("a@b")]);
        assert_eq!(parsed(b"@a"), [file("@a"), Ok(Address::Name(b"a".to_vec()))]);
        assert_eq!(parsed(b""), [const { Err(Error::Malformed(Part::Name)) }; 2]);
        assert_eq!(parsed(b"@"), [file("@"), Err(Error::Malformed(Part::Name))]);
        let longest = "x".repeat(Address::FILE_NAME_MAX);
        assert_eq!(parsed(longest.as_bytes()), [file(&longest), file(&longest)]);
        let longer = "x".repeat(Address::FILE_NAME_MAX + 1);
        assert_eq!(parsed(longer.as_bytes()), [const { Err(Error::NameTooLong) }; 2]);
        assert_eq!(directory_of(Path::new("/a/b")), Path::new("/a"));
        assert_eq!(directory_of(Path::new("b")), Path::new("."));
    }

    #[test]
    fn the_file_goes_with_the_listener() {
        let (place, listener) = (Place::new(), socket());
        place.bind(&listener).unwrap();
        assert!(FileIdentity::of(&place.0).unwrap().is_socket);
        listener.close();
        assert!(!place.0.exists());
    }

    #[test]
    fn a_file_that_has_taken_the_name_since_stays() {
        let (place, first, second) = (Place::new(), socket(), socket());
        place.bind(&first).unwrap();
        fs::remove_file(&place.0).unwrap();
        place.bind(&second).unwrap();
        first.close();
        UnixStream::connect(&place.0).unwrap();
        second.close();
        assert!(!place.0.exists());
    }

    #[test]
    fn what_a_dead_process_has_left_is_replaced() {
        let (place, listener) = (Place::new(), socket());
        drop(UnixListener::bind(&place.0).unwrap());
        let stale = FileIdentity::of(&place.0).unwrap();
        assert!(stale.is_socket);
        place.bind(&listener).unwrap();
        let dialer = socket();
        dialer.connect(&IPC, place.address());
        dialer.pipe(0).send(b"hi");
        assert_eq!(listener.pipe(0).recv().as_deref(), Some(&b"hi"[..]));
    }

    #[test]
    fn what_is_no_socket_of_the_dead_is_left_alone() {
        let (place, listener) = (Place::new(), socket());
        File::create(&place.0).unwrap().write_all(b"precious").unwrap();
        assert_eq!(place.bind(&listener), Err(Error::AddressInUse));
        assert_eq!(fs::read(&place.0).unwrap(), b"precious");
        fs::remove_file(&place.0).unwrap();
        fs::create_dir(&place.0).unwrap();
        let refused = place.bind(&listener);
        fs::remove_dir(&place.0).unwrap();
        assert_eq!(refused, Err(Error::AddressInUse));
        let nowhere = [place.address(), b"/nowhere"].concat();
        assert!(matches!(listener.bind(&IPC, &nowhere), Err(Error::System(_))));
        // The next try is none the worse for it.
        place.bind(&listener).unwrap();
    }

    #[test]
    fn the_file_has_the_permissions_that_were_asked_for() {
        for mode in [0o600, 0o606, 0o777] {
            let place = Place::new();
            let listener = FakeSocket::new(Traits::pair().with(&[(&option::MODE, mode)]));
            place.bind(&listener).unwrap();
            let found = fs::metadata(&place.0).unwrap().permissions().mode();
            assert_eq!(found & 0o7777, mode as u32, "{mode:o}");
        }
        assert_eq!(option::mode(&Traits::pair().settings), None);
    }
}
