//! ipc: Unix domain sockets. An address is the name of a file, used as it is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::sp::frame::Framing;
use super::stream::{Dialer, Listener, Target};
use super::{Endpoint, Host, Transport};
use crate::error::Error;
use crate::sys::{Address, DirectoryLock, FileIdentity, PerProcess, Socket, unlink};

pub struct Ipc;

impl Transport for Ipc {
    fn scheme(&self) -> &'static str {
        "ipc"
    }

    fn bind(&self, address: &[u8], host: Arc<dyn Host>) -> Result<Arc<dyn Endpoint>, Error> {
        let path = path(address)?;
        // First, so that a failure leaves no file behind.
        host.reactor()?;
        let socket = listen(&path)?;
        let own = FileIdentity::of(&path).ok();
        let release = move || {
            // Whoever has taken the name since keeps it.
            if own.is_some() && FileIdentity::of(&path).ok() == own {
                let _ = unlink(&path);
            }
        };
        Ok(Listener::new(socket, Box::new(Framing::Ipc), host, Box::new(release))?)
    }

    fn connect(&self, address: &[u8], host: Arc<dyn Host>) -> Result<Arc<dyn Endpoint>, Error> {
        let target = Target::File(path(address)?);
        Ok(Dialer::new(target, Box::new(Framing::Ipc), host)?)
    }
}

fn path(address: &[u8]) -> Result<PathBuf, Error> {
    match address.len() {
        0 => Err(Error::Invalid),
        1..=PATH_MAX => Ok(PathBuf::from(OsStr::from_bytes(address))),
        _ => Err(Error::NameTooLong),
    }
}

fn listen(path: &Path) -> Result<Socket, Error> {
    // A socket that is bound and does not listen yet looks stale to the next one to bind it: in
    // this process, and in another one that starts at the same moment.
    let _one_at_a_time = BINDING.get().lock();
    let _one_process_at_a_time = DirectoryLock::acquire(directory_of(path));
    let address = Address::File(path.to_owned());
    let socket = Socket::new(&address)?;
    if let Err(error) = socket.bind(&address) {
        let error = Error::from(error);
        if error != Error::AddressInUse || !is_stale(path, &address) {
            return Err(error);
        }
        unlink(path)?;
        socket.bind(&address)?;
    }
    socket.listen(BACKLOG)?;
    Ok(socket)
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
    let probe = |socket: Socket| match socket.connect(address) {
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
    };
    is_socket && Socket::new(address).is_ok_and(probe)
}

// The reference has 10: of more peers that dial at once it turns some away, who come back later.
const BACKLOG: i32 = 100;
/// sun_path with its terminator.
const PATH_MAX: usize = 107;
static BINDING: PerProcess<Mutex<()>> = PerProcess::new();
