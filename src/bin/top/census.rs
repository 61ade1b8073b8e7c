//! Finds the processes that answer, and asks them all, each for a bounded time.
//!
//! A name may be anybody's: who listens there is asked of the kernel, and nobody is read but
//! processes of the same user, and of the administrator's own. Who does not answer, as a process
//! that is stopped, is told of and costs no more than that time.

use super::figures::{self, Rows};
use super::system;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io::{self, ErrorKind, Read};
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
}

/// All of them, in the order of their numbers; only those that are `wanted`, if some are.
///
/// # Errors
/// When the system does not tell the names.
pub fn ask_all(wanted: &[i32]) -> io::Result<Vec<Process>> {
    let names = names(&fs::read_to_string(TABLE)?);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let ask_some = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let process = ask(name);
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
            Answer::Nonsense => 2,
        };
        (process.number, place)
    });
    found.dedup_by_key(|process| process.number);
    found
}

/// The names at which somebody listens, out of the kernel's table of Unix domain sockets.
fn names(table: &str) -> Vec<String> {
    let listens = |line: &&str| {
        let mut fields = line.split_ascii_whitespace();
        fields.nth(3).and_then(|flags| u32::from_str_radix(flags, 16).ok()) == Some(LISTENS)
    };
    let name = |line: &str| {
        let name = line.split_ascii_whitespace().nth(7)?.strip_prefix('@')?;
        name.starts_with(NAME).then(|| name.to_owned())
    };
    table.lines().filter(listens).filter_map(name).collect()
}

/// Nothing when nobody is there, or somebody who is not to be asked.
fn ask(name: &str) -> Option<Process> {
    let until = Instant::now() + PATIENCE;
    let number = name.strip_prefix(NAME)?.split('.').next()?.parse().ok()?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
    // A backlog that is full would keep us waiting.
    socket.set_nonblocking(true).ok()?;
    let connected = socket.connect(&SockAddr::unix(format!("\0{name}")).ok()?);
    if connected.as_ref().is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
        return None;
    }
    if connected.is_ok() {
        let (process, user) = system::peer(&socket)?;
        let own = system::user();
        // In a container processes have other numbers, which are not known here.
        if user != own && own != ROOT || process != number && process != 0 {
            return None;
        }
    }
    let program = program(number)?;
    let answer = match connected {
        Ok(()) => read(socket, until),
        Err(_) => Answer::Silence,
    };
    Some(Process { number, program, answer })
}

/// What it is called. Nothing when it is gone, and only a child holds its name.
fn program(number: i32) -> Option<String> {
    let name = fs::read(format!("/proc/{number}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

fn read(mut socket: Socket, until: Instant) -> Answer {
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
            Ok(count) => said.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // It has died in the middle of it, or takes too long.
            Err(_) => return Answer::Silence,
        }
        if said.len() > SAID_MAX {
            return Answer::Nonsense;
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
const SAID_MAX: usize = 256 << 20;
const ROOT: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(names(table), ["spmsg/stats/17.0"]);
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
        assert!(ask("spmsg/stats/1.nobody").is_none());
        assert!(ask("spmsg/stats/x.0").is_none());
    }
}
