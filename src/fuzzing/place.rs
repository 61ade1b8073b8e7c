//! Where the sockets of fuzz targets meet, and what is left of them when they are gone.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A folder for the files of one run, which ends with it and has to be empty then.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("spmsg-fuzz-{}-{number}", process::id()));
        fs::create_dir(&path).expect("there is room for a folder");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.0.display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = fs::remove_dir(&self.0);
        assert!(removed.is_ok() || thread::panicking(), "files are left in {}", self.0.display());
    }
}

/// An address on this machine that no other process uses, because it depends on the process, and
/// no other run of this one for a while. Somebody may have a port at every address.
pub fn tcp_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let id = process::id();
    loop {
        let port = PORT_MIN + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let host = [64 + (id >> 14 & 63), id >> 7 & 127, 1 + (id & 127)];
        let address = format!("127.{}.{}.{}:{port}", host[0], host[1], host[2]);
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// What a process holds of the system while no socket is open.
#[derive(Debug, PartialEq)]
pub struct Belongings {
    descriptors: usize,
    threads: usize,
}

impl Belongings {
    #[must_use]
    pub fn now() -> Belongings {
        let count = |folder| fs::read_dir(folder).map_or(0, Iterator::count);
        Belongings { descriptors: count("/proc/self/fd"), threads: count("/proc/self/task") }
    }

    /// Fails when the process holds more or less now. The kernel lists a thread that has ended for
    /// a moment longer, hence the patience.
    /// # Panics
    /// When it does.
    pub fn check_unchanged(&self) {
        let mut now = Belongings::now();
        let began = Instant::now();
        while now != *self && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
            now = Belongings::now();
        }
        assert_eq!(now, *self, "something is left over");
    }
}

/// For what takes no time at all, on a machine that is busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Below those that the kernel gives to who asks for none.
const PORT_MIN: u16 = 2_000;
const PORTS: u16 = 30_000;
