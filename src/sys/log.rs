//! Lines for whoever watches: standard error, or a file that several processes may append to.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::FileIdentity;
use super::cancellation::held;
use super::descriptor::above_standard;

/// Where lines go. A line is one write(2) at the end of what is there, so that those of several
/// threads and processes do not mix.
#[derive(Debug)]
pub enum Log {
    StandardError,
    File {
        file: File,
        /// Of the file as it was opened: a program may close descriptors that it does not know, and
        /// the number then names something else.
        identity: FileIdentity,
    },
}

impl Log {
    /// A log at the end of the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be written to; a pipe cannot while nobody reads it.
    pub fn append(path: &Path) -> io::Result<Log> {
        // Close-on-exec, as every `File`. Nothing of it may make the caller wait.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = File::options().append(true).create(true).custom_flags(flags).open(path)?;
        let file = above_standard(file)?;
        let identity = FileIdentity::of_open(&file)?;
        Ok(Log::File { file, identity })
    }

    /// Writes one line. What cannot be written is lost.
    pub fn write(&self, line: &[u8]) {
        match self {
            Log::StandardError => write_quietly(libc::STDERR_FILENO, line),
            Log::File { file, identity } => {
                if FileIdentity::of_open(file).is_ok_and(|now| now == *identity) {
                    write_quietly(file.as_raw_fd(), line);
                }
            }
        }
    }
}

/// Tells whoever started the process. Nobody may be listening.
///
/// The standard library's handle has a lock, which is held for as long as standard error takes
/// nothing: the child of a fork would wait for it for ever.
pub fn complain(line: &[u8]) {
    write_quietly(libc::STDERR_FILENO, line);
}

/// A reader who has gone raises no signal.
fn write_quietly(descriptor: RawFd, bytes: &[u8]) {
    let was_pending = is_pending(libc::SIGPIPE);
    let pipe = only(libc::SIGPIPE);
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first set is there, and the other one is only written.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, before.as_mut_ptr()) };
    let fault = loop {
        let fault = (write_once(descriptor, bytes) < 0).then(|| io::Error::last_os_error().kind());
        if fault != Some(io::ErrorKind::Interrupted) {
            break fault;
        }
    };
    if fault == Some(io::ErrorKind::BrokenPipe) && !was_pending {
        take(&pipe);
    }
    // SAFETY: `before` was filled by the first call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
}

/// One write(2), in which no thread is cancelled, to what is really there.
fn write_once(descriptor: RawFd, bytes: &[u8]) -> libc::ssize_t {
    let (start, len) = (bytes.as_ptr(), bytes.len());
    #[cfg(not(portable))]
    // SAFETY: the bytes are there; a descriptor that is not open fails the call.
    let written = unsafe { libc::syscall(libc::SYS_write, descriptor, start, len) } as _;
    #[cfg(portable)]
    // SAFETY: as above.
    let written = held(|| unsafe { libc::write(descriptor, start.cast(), len) });
    written
}

/// Takes the signal that the write has raised.
#[cfg(not(any(target_vendor = "apple", target_os = "openbsd")))]
fn take(signal: &libc::sigset_t) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are there.
    held(|| unsafe { libc::sigtimedwait(signal, std::ptr::null_mut(), &raw const now) });
}

/// The same where the wait for a signal has no end: it is there, or another thread has had it.
#[cfg(any(target_vendor = "apple", target_os = "openbsd"))]
fn take(signal: &libc::sigset_t) {
    let mut taken = 0;
    if is_pending(libc::SIGPIPE) {
        // SAFETY: the set is there, and the number is written to.
        held(|| unsafe { libc::sigwait(signal, &raw mut taken) });
    }
}

fn only(signal: libc::c_int) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: it is only written.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was filled by the call above.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    // SAFETY: as above.
    unsafe { set.assume_init() }
}

/// Whether it waits until this thread lets it in.
fn is_pending(signal: libc::c_int) -> bool {
    let mut set = only(signal);
    // SAFETY: the set is there.
    unsafe { libc::sigpending(&raw mut set) };
    // SAFETY: the set is there.
    unsafe { libc::sigismember(&raw const set, signal) == 1 }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A directory that goes with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("spmsg-log-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn lines_are_appended_to_what_is_there() {
        let directory = Scratch::new();
        let path = directory.path("log");
        fs::write(&path, "before\n").unwrap();
        for line in ["one\n", "two\n"] {
            Log::append(&path).unwrap().write(line.as_bytes());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\none\ntwo\n");
    }

    #[test]
    fn what_cannot_be_appended_to_is_no_log() {
        let directory = Scratch::new();
        let missing = directory.path("not here/log");
        assert_eq!(Log::append(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(Log::append(Path::new("/")).is_err());
        assert!(Log::append(Path::new("")).is_err());
    }

    /// The file that was opened goes on, under whatever name; another one is left alone.
    #[test]
    fn a_file_is_known_by_what_it_is() {
        let directory = Scratch::new();
        let (path, moved) = (directory.path("log"), directory.path("moved"));
        let log = Log::append(&path).unwrap();
        fs::rename(&path, &moved).unwrap();
        log.write(b"still\n");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "still\n");
        let Log::File { file, .. } = log else { panic!("it is a file") };
        let identity = FileIdentity::of_open(&File::open("/").unwrap()).unwrap();
        Log::File { file, identity }.write(b"never\n");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "still\n");
    }

    #[test]
    fn a_new_file_is_as_the_umask_wants_it_and_closed_for_programs() {
        let directory = Scratch::new();
        let path = directory.path("log");
        let Log::File { file, .. } = Log::append(&path).unwrap() else { panic!("it is a file") };
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0);
        // SAFETY: no pointer is passed.
        let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    }

    #[test]
    fn a_reader_who_has_gone_kills_nobody() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        write_quietly(writer.as_raw_fd(), b"heard");
        let mut heard = [0; 5];
        reader.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"heard");
        drop(reader);
        // A signal that is blocked stays to be seen.
        let is_raised_by = |write: &dyn Fn()| {
            crate::sys::signals::with_signals_blocked(|| {
                write();
                is_pending(libc::SIGPIPE)
            })
        };
        assert!(is_raised_by(&|| assert!((&writer).write(b"to nobody").is_err())));
        assert!(!is_raised_by(&|| write_quietly(writer.as_raw_fd(), b"to nobody")));
    }
}
