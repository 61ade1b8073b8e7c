//! The files that Unix domain sockets leave in the file system.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

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

/// Keeps out everybody else who takes the same directory's lock, in this process and in others.
/// Nothing is written to the directory, and the lock ends with the process at the latest.
#[derive(Debug)]
pub struct DirectoryLock {
    /// Closing it unlocks.
    _directory: File,
}

impl DirectoryLock {
    /// `None` when the directory cannot be locked: it may not be readable, its file system may know
    /// no locks, or somebody may hold this one for reasons of his own.
    #[must_use]
    pub fn acquire(directory: &Path) -> Option<DirectoryLock> {
        // Close-on-exec, as every `File`. What is no directory may make whoever opens it wait.
        let flags = libc::O_DIRECTORY;
        let directory = File::options().read(true).custom_flags(flags).open(directory).ok()?;
        for _ in 0..LOCK_TRIES {
            match directory.try_lock() {
                Ok(()) => return Some(DirectoryLock { _directory: directory }),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(_)) => return None,
            }
        }
        None
    }
}

/// Gives a socket's file, which is bound already, the permissions that the umask has denied it.
/// Nothing else that may have taken its name is touched, nor what a link there points to.
pub fn set_file_mode(path: &Path, mode: u32) -> io::Result<()> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
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

pub fn unlink(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// The lock is held for two system calls: who holds it longer means something else by it.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(1);
/// Of a mode, what is no file type.
const MODE_BITS: u32 = 0o7777;
