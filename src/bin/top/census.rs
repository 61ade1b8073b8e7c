//! Finds the processes that answer, and asks them all, each for a bounded time.
//!
//! A name may be anybody's: who listens there is asked of the kernel, and nobody is read but
//! processes of the same user, and of the administrator's own; the administrator himself reads
//! everybody, of strangers little. Who does not answer, as a process that is stopped, is told of
//! and costs no more than that time.

use super::figures::{self, Rows};
use super::system;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Process {
    pub number: i32,
    pub program: String,
    pub answer: Answer,
}

#[derive(Debug, PartialEq)]
pub enum Answer {
    Figures(Rows),
    /// It is there, and says nothing: it is stopped, or very busy.
    Silence,
    /// What it says is nothing that can be understood.
    Nonsense,
    /// It says more than is read of one like it.
    TooMuch,
}

/// Somebody who listens.
#[derive(Debug, PartialEq)]
struct Listener {
    name: String,
    /// The number of his socket.
    socket: u64,
}

/// How much may be read, of one and of all like him.
struct Allowance {
    of_one: usize,
    of_all: AtomicUsize,
}

impl Allowance {
    const fn new(of_one: usize, of_all: usize) -> Allowance {
        Allowance { of_one, of_all: AtomicUsize::new(of_all) }
    }

    /// Whether so many more bytes may be read.
    fn grants(&self, count: usize) -> bool {
        let less = |left: usize| left.checked_sub(count);
        self.of_all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// What may be read in one look at all.
struct Allowances {
    own: Allowance,
    strangers: Allowance,
}

/// All of them, in the order of their numbers; only those that are `wanted`, if some are.
///
/// # Errors
/// When the system does not tell the names.
pub fn ask_all(wanted: &[i32]) -> io::Result<Vec<Process>> {
    let names = names(&fs::read_to_string(TABLE)?);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let allowances = Allowances {
        own: Allowance::new(OWN_MAX, OWN_MAX),
        strangers: Allowance::new(STRANGER_MAX, STRANGERS_MAX),
    };
    let ask_some = || {
        while let Some(listener) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let process = ask(listener, &allowances);
            if let (Some(process), Ok(mut found)) = (process, found.lock()) {
                found.push(process);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..names.len().min(ASKED_AT_ONCE) {
            // With fewer threads it takes longer.
            let _ = thread::Builder::new().spawn_scoped(scope, ask_some);
        }
        ask_some();
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.retain(|process| wanted.is_empty() || wanted.contains(&process.number));
    Ok(in_order(found))
}

/// Each process once. One that is there twice has left a name to its children, or somebody who may
/// not answer for it has taken one: whoever answers as it does counts.
fn in_order(mut found: Vec<Process>) -> Vec<Process> {
    found.sort_by_key(|process| {
        let place = match process.answer {
            Answer::Figures(_) => 0,
            Answer::Silence => 1,
            Answer::Nonsense | Answer::TooMuch => 2,
        };
        (process.number, place)
    });
    found.dedup_by_key(|process| process.number);
    found
}

/// The names at which somebody listens, out of the kernel's table of Unix domain sockets.
fn names(table: &str) -> Vec<Listener> {
    let listener = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(3);
        let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
        let socket = fields.nth(2)?.parse().ok()?;
        let name = fields.next()?.strip_prefix('@')?;
        let is_one = flags == LISTENS && name.starts_with(NAME);
        is_one.then(|| Listener { name: name.to_owned(), socket })
    };
    table.lines().filter_map(listener).collect()
}

/// Nothing when nobody is there, or somebody who is not to be asked.
fn ask(listener: &Listener, allowances: &Allowances) -> Option<Process> {
    let until = Instant::now() + PATIENCE;
    let name = &listener.name;
    let number = name.strip_prefix(NAME)?.split('.').next()?.parse().ok()?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
    // A backlog that is full would keep us waiting.
    socket.set_nonblocking(true).ok()?;
    let answer = match socket.connect(&SockAddr::unix(format!("\0{name}")).ok()?) {
        Ok(()) => {
            let (process, user) = system::peer(&socket)?;
            let own = system::user();
            // In a container processes have other numbers, which are not known here.
            if user != own && own != ROOT || process != number && process != 0 {
                return None;
            }
            let is_own = user == own || user == ROOT;
            let allowance = if is_own { &allowances.own } else { &allowances.strangers };
            read(socket, until, allowance)
        }
        // Nobody has answered for it who could be looked at: anybody may have taken that name, and
        // keep others from being accepted.
        Err(error) if error.kind() == ErrorKind::WouldBlock && has(number, listener.socket) => {
            Answer::Silence
        }
        Err(_) => return None,
    };
    Some(Process { number, program: program(number)?, answer })
}

/// Whether the process has that socket, as far as we may know.
fn has(process: i32, socket: u64) -> bool {
    let socket = format!("socket:[{socket}]");
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|one| fs::read_link(one.path()).ok()).any(|it| it == Path::new(&socket))
}

/// What it is called. Nothing when it is gone, and only a child holds its name.
fn program(number: i32) -> Option<String> {
    let name = fs::read(format!("/proc/{number}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

fn read(mut socket: Socket, until: Instant, allowance: &Allowance) -> Answer {
    let mut said = Vec::new();
    let mut room = vec![0; 1 << 16];
    if socket.set_nonblocking(false).is_err() {
        return Answer::Silence;
    }
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return Answer::Silence;
        }
        match socket.read(&mut room) {
            Ok(0) => break,
            Ok(count) if said.len() + count > allowance.of_one || !allowance.grants(count) => {
                return Answer::TooMuch;
            }
            Ok(count) => said.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // It has died in the middle of it, or takes too long.
            Err(_) => return Answer::Silence,
        }
    }
    let rows = std::str::from_utf8(&said).ok().and_then(figures::parse);
    rows.map_or(Answer::Nonsense, Answer::Figures)
}

const TABLE: &str = "/proc/net/unix";
/// What the library calls them.
const NAME: &str = "spmsg/stats/";
/// In the table, the flag of one that listens.
const LISTENS: u32 = 0x10000;
const ASKED_AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_millis(500);
/// Of our own, in all: a peer takes some kilobytes.
const OWN_MAX: usize = 256 << 20;
/// Of others, who may be many and say what they like, of each and in all.
const STRANGER_MAX: usize = 8 << 20;
const STRANGERS_MAX: usize = 32 << 20;
const ROOT: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    fn listener(name: &str, socket: u64) -> Listener {
        Listener { name: name.to_owned(), socket }
    }

    #[test]
    fn names_are_those_of_listeners_with_the_right_beginning() {
        let table = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 12345 @spmsg/stats/17.0
0000000000000000: 00000003 00000000 00000000 0001 03 12346 @spmsg/stats/18.0
0000000000000000: 00000002 00000000 00010000 0001 01 12347 @other/17
0000000000000000: 00000002 00000000 00010000 0001 01 12348 /spmsg/stats/17
0000000000000000: 00000002 00000000 00010000 0001 01 12349
garbage
";
        assert_eq!(names(table), [listener("spmsg/stats/17.0", 12345)]);
    }

    #[test]
    fn who_answers_hides_behind_nobody_who_does_not() {
        let process = |number, answer| Process { number, program: String::new(), answer };
        let found = [
            process(2, Answer::Silence),
            process(1, Answer::Nonsense),
            process(2, Answer::Figures(Rows::new())),
            process(1, Answer::Silence),
            process(2, Answer::Nonsense),
        ];
        let told: Vec<_> = in_order(found.into()).into_iter().map(|one| one.answer).collect();
        assert_eq!(told, [Answer::Silence, Answer::Figures(Rows::new())]);
    }

    #[test]
    fn who_is_not_there_is_not_found() {
        let nothing = Allowances { own: Allowance::new(0, 0), strangers: Allowance::new(0, 0) };
        assert!(ask(&listener("spmsg/stats/1.nobody", 1), &nothing).is_none());
        assert!(ask(&listener("spmsg/stats/x.0", 1), &nothing).is_none());
    }

    #[test]
    fn so_much_is_read_of_one_and_of_all_together() {
        let all = Allowance::new(300_000, 500_000);
        let said = |count: usize| {
            let (ours, theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
            let write = move || {
                // Who listens no more is told the rest no more.
                let _ = (&theirs).write_all(&vec![b'x'; count]);
            };
            let writer = thread::spawn(write);
            let answer = read(ours, Instant::now() + Duration::from_secs(10), &all);
            writer.join().unwrap();
            answer
        };
        assert_eq!(said(300_000), Answer::Nonsense);
        assert_eq!(said(300_001), Answer::TooMuch);
        assert_eq!(said(1000), Answer::Nonsense);
        assert_eq!(said(299_000), Answer::TooMuch, "of all together");
    }

    #[test]
    fn a_process_has_what_it_has_opened() {
        let (socket, _other) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let number = link.to_str().unwrap().trim_start_matches("socket:[").trim_end_matches(']');
        let (own, number) = (std::process::id() as i32, number.parse().unwrap());
        assert!(has(own, number));
        drop(socket);
        assert!(!has(own, number) && !has(own, 0) && !has(-1, number));
    }
}
