//! ipc: Unix domain sockets. An address is the name of a file, used as it is, or in the extended
//! dialect `@` and a name that the kernel keeps without a file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sp::frame::Framing;
use super::stream::{Bound, Dialer, Listener, Target};
use super::{Dialect, Host, Maker, Transport};
use crate::error::Error;
use crate::sync::{Mutex, Rank};
use crate::sys::{
    Address, DirectoryLock, FileIdentity, OsListener, OsStream, PerProcess, set_file_mode, unlink,
};

pub struct Ipc;

impl Transport for Ipc {
    fn scheme(&self) -> &'static str {
        "ipc"
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
        ([], _) | (b"@", Dialect::Extended) => Err(Error::Invalid),
        _ if address.len() > PATH_MAX => Err(Error::NameTooLong),
        ([b'@', name @ ..], Dialect::Extended) => Ok(Address::Name(name.to_vec())),
        _ => Ok(Address::File(PathBuf::from(OsStr::from_bytes(address)))),
    }
}

fn bind_file(path: PathBuf, mode: Option<u32>) -> Result<Bound, Error> {
    let listener = listen(&path, mode)?;
    let address = path.as_os_str().as_bytes().to_vec();
    let own = FileIdentity::of(&path).ok();
    let release = move || {
        // Whoever has taken the name since keeps it.
        if own.is_some() && FileIdentity::of(&path).ok() == own {
            let _ = unlink(&path);
        }
    };
    Ok(Bound { listener, address, release: Box::new(release) })
}

fn listen(path: &Path, mode: Option<u32>) -> Result<OsListener, Error> {
    // A socket that is bound and does not listen yet looks stale to the next one to bind it: in
    // this process, and in another one that starts at the same moment.
    let _one_at_a_time = BINDING.get().lock();
    let _one_process_at_a_time = DirectoryLock::acquire(directory_of(path));
    let address = Address::File(path.to_owned());
    let listener = OsListener::new(&address)?;
    if let Some(mode) = mode {
        listener.set_file_mode(mode)?;
    }
    if let Err(error) = listener.bind(&address) {
        let error = Error::from(error);
        if error != Error::AddressInUse || !is_stale(path, &address) {
            return Err(error);
        }
        unlink(path)?;
        listener.bind(&address)?;
    }
    // Nobody can connect before it listens.
    let allowed = mode.map_or(Ok(()), |mode| set_file_mode(path, mode));
    if let Err(error) = allowed.and_then(|()| listener.listen(BACKLOG)) {
        let _ = unlink(path);
        return Err(error.into());
    }
    Ok(listener)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A socket file that nobody listens on is left over from a process that died.
fn is_stale(path: &Path, address: &Address) -> bool {
    let is_socket = FileIdentity::of(path).is_ok_and(|file| file.is_socket);
    let probe = |mut stream: OsStream| match stream.connect(address) {
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
    };
    is_socket && OsStream::new(address).is_ok_and(probe)
}

// The reference has 10: of more peers that dial at once it turns some away, who come back later.
const BACKLOG: i32 = 100;
/// sun_path with its terminator.
const PATH_MAX: usize = 107;
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
