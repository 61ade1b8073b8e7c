//! Name look-up off everybody's thread: a slow name server delays nobody but those who look up.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::memory;
use crate::sync::{Mutex, Rank};
use crate::sys::{self, NameFamily, PerProcess, Thread};

/// Whose addresses are wanted.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub host: String,
    pub port: u16,
    pub family: NameFamily,
}

/// Who wants them.
pub trait Asker: Send {
    /// Whether there is any use in an answer still.
    fn is_waiting(&self) -> bool;

    /// Called once, on a thread of the resolver: in the order in which they are to be tried, or
    /// none.
    fn told(self: Box<Self>, addresses: Vec<SocketAddr>);
}

/// Looks a name up in a thread that lives as long as there are names to look up. So many at a time
/// are looked up and no more; others come after them.
///
/// # Errors
/// When no thread can be had; the asker is then never told.
pub fn resolve(question: Lookup, asker: Box<dyn Asker>) -> io::Result<()> {
    let mut pool = POOL.get().lock();
    memory::reserve(&mut pool.jobs, 1).map_err(|_| io::ErrorKind::OutOfMemory)?;
    pool.jobs.push_back(Job { question, asker });
    if pool.threads == THREADS_MAX {
        return Ok(());
    }
    match Thread::start(c"spmsg-resolver", STACK_SIZE, work) {
        Ok(_) => pool.threads += 1,
        // The others will come to it.
        Err(_) if pool.threads > 0 => {}
        Err(error) => {
            let job = pool.jobs.pop_back();
            drop(pool);
            drop(job);
            return Err(error);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Pool {
    jobs: VecDeque<Job>,
    threads: usize,
}

struct Job {
    question: Lookup,
    asker: Box<dyn Asker>,
}

impl Job {
    fn run(self) {
        let Job { question: Lookup { host, port, family }, asker } = self;
        let found = match asker.is_waiting() {
            true => sys::look_up(&host, port, family).unwrap_or_default(),
            false => Vec::new(),
        };
        asker.told(found);
    }
}

impl Pool {
    /// None sends the thread home that asks.
    fn next(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front();
        if job.is_none() {
            self.threads -= 1;
        }
        job
    }
}

fn work() {
    let next = || POOL.get().lock().next();
    while let Some(job) = next() {
        // A panic is a bug, which has been reported already. Others still want to be looked up.
        let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
    }
}

static POOL: PerProcess<Mutex<Pool>> =
    PerProcess::new(|| Mutex::new(Rank::Resolving, Pool::default()));
/// Enough for some name servers that do not answer.
const THREADS_MAX: usize = 8;
/// The C library's resolver keeps its buffers on the stack.
const STACK_SIZE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    struct Teller {
        tell: Sender<Vec<SocketAddr>>,
        caller: thread::ThreadId,
        is_waiting: bool,
    }

    impl Asker for Teller {
        fn is_waiting(&self) -> bool {
            self.is_waiting
        }

        fn told(self: Box<Self>, addresses: Vec<SocketAddr>) {
            assert_ne!(thread::current().id(), self.caller);
            self.tell.send(addresses).unwrap();
        }
    }

    fn ask(host: &str, is_waiting: bool) -> Receiver<Vec<SocketAddr>> {
        let (tell, told) = channel();
        let caller = thread::current().id();
        let question = Lookup { host: host.into(), port: 7, family: NameFamily::Ipv4Only };
        resolve(question, Box::new(Teller { tell, caller, is_waiting })).unwrap();
        told
    }

    fn told(host: &str, is_waiting: bool) -> Vec<SocketAddr> {
        let told = ask(host, is_waiting);
        let addresses = told.recv().unwrap();
        // Told once, and then the thread lets go of everything.
        assert!(told.recv().is_err());
        addresses
    }

    #[test]
    fn tells_what_is_found_on_another_thread() {
        assert_eq!(told("127.0.0.1", true), [SocketAddr::from(([127, 0, 0, 1], 7))]);
        assert_eq!(told("no\0name", true), []);
    }

    #[test]
    fn who_waits_no_more_is_told_without_a_look_up() {
        assert_eq!(told("127.0.0.1", false), []);
    }

    #[test]
    fn many_are_told_each_by_a_few() {
        let all: Vec<_> = (0..100).map(|_| ask("127.0.0.1", true)).collect();
        assert!(POOL.get().lock().threads <= THREADS_MAX);
        for told in all {
            assert_eq!(told.recv().unwrap().len(), 1);
        }
    }
}
