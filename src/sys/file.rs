//! The files that Unix domain sockets leave in the file system.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, time::Duration};
#[cfg(not(portable))]
use std::{
    fs::Permissions,
    os::fd::AsRawFd,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
};

#[cfg(target_os = "linux")]
use super::{Address, OsListener};
#[cfg(target_os = "linux")]
use crate::sync::thread;

/// Tells a file from another that has taken its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    pub is_socket: bool,
}

impl FileIdentity {
    /// Of the file itself; a symbolic link is not followed.
    pub fn of(path: &Path) -> io::Result<FileIdentity> {
        fs::symlink_metadata(path).map(FileIdentity::from)
    }

    pub fn of_open(file: &File) -> io::Result<FileIdentity> {
        file.metadata().map(FileIdentity::from)
    }
}

impl From<Metadata> for FileIdentity {
    fn from(metadata: Metadata) -> FileIdentity {
        FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            is_socket: metadata.file_type().is_socket(),
        }
    }
}

/// Keeps a file where it is known: as long as this lives, no other file gets its identity.
#[cfg(not(portable))]
#[derive(Debug)]
pub struct PinnedFile {
    _file: File,
    identity: FileIdentity,
}

#[cfg(not(portable))]
impl PinnedFile {
    /// Of the file itself; a symbolic link is not followed, and nothing is opened for reading.
    pub fn at(path: &Path) -> io::Result<PinnedFile> {
        let file = open_name(path)?;
        let identity = FileIdentity::of_open(&file)?;
        Ok(PinnedFile { _file: file, identity })
    }

    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.identity.is_socket
    }

    /// Whether it is still what the name stands for.
    #[must_use]
    pub fn is_still_at(&self, path: &Path) -> bool {
        FileIdentity::of(path).is_ok_and(|identity| identity == self.identity)
    }
}

/// Keeps out every other process that is about to bind the same file. Nothing is written anywhere:
/// it is a name without a file, which the kernel gives to one at a time and takes back when its
/// holder ends. Locks of the file system are left alone, because applications have uses for them.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct NameLock {
    /// Closing it unlocks.
    _socket: OsListener,
}

#[cfg(target_os = "linux")]
impl NameLock {
    /// `None` when it cannot be had: the directory may not be there, another process may be stopped
    /// while it holds it. Those in another network namespace have names of their own, too.
    #[must_use]
    pub fn acquire(directory: &Path, name: &OsStr) -> Option<NameLock> {
        let place = fs::metadata(directory).ok()?;
        let name = format!("spmsg bind {:x} {:x} {:x}", place.dev(), place.ino(), digest(name));
        let address = Address::Name(name.into_bytes());
        for _ in 0..LOCK_TRIES {
            let socket = OsListener::new(&address).ok()?;
            match socket.bind(&address) {
                Ok(()) => return Some(NameLock { _socket: socket }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => thread::sleep(LOCK_PAUSE),
                Err(_) => return None,
            }
        }
        None
    }
}

/// FNV-1a: of names that come out alike, one waits for the other without need.
#[cfg(target_os = "linux")]
fn digest(name: &OsStr) -> u64 {
    let step = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// A descriptor that only names a file.
#[cfg(not(portable))]
fn open_name(path: &Path) -> io::Result<File> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    // Close-on-exec, as every `File`.
    File::options().read(true).custom_flags(flags).open(path)
}

/// Gives a socket's file, which is bound already, the permissions that the umask has denied it.
/// Nothing else that may have taken its name is touched, nor what a link there points to.
#[cfg(not(portable))]
pub fn set_file_mode(path: &Path, mode: u32) -> io::Result<()> {
    let file = open_name(path)?;
    let metadata = file.metadata()?;
    if !metadata.file_type().is_socket() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    if metadata.mode() & MODE_BITS == mode {
        return Ok(());
    }
    // A descriptor that only names a file takes no fchmod, but its name in /proc does.
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::set_permissions(name, Permissions::from_mode(mode))
}

/// The same from wherever the process goes, if it is known where it is.
#[must_use]
pub fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

pub fn unlink(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// The lock is held for a few system calls: who holds it longer does not run.
#[cfg(target_os = "linux")]
const LOCK_TRIES: u32 = 100;
#[cfg(target_os = "linux")]
const LOCK_PAUSE: Duration = Duration::from_millis(1);
/// Of a mode, what is no file type.
pub(super) const MODE_BITS: u32 = 0o7777;
