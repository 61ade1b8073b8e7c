//! Threads with the names and ways of the standard library's, which run when it is their turn.

use std::io;
use std::time::Duration;

use super::scheduler::{self, For, MayFail, Ticket};

#[derive(Debug, Default)]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
    /// The process of the thread, if it is not that of its maker.
    process: Option<usize>,
}

#[derive(Debug)]
pub struct JoinHandle<T> {
    number: usize,
    real: std::thread::JoinHandle<T>,
}

impl Builder {
    #[must_use]
    pub fn new() -> Builder {
        Builder::default()
    }

    #[must_use]
    pub fn name(mut self, name: String) -> Builder {
        self.name = Some(name);
        self
    }

    #[must_use]
    pub fn stack_size(mut self, size: usize) -> Builder {
        self.stack_size = Some(size);
        self
    }

    /// The first thread of a process, or one that a test adds to it. It can always be had.
    #[must_use]
    pub fn process(mut self, process: usize) -> Builder {
        self.process = Some(process);
        self
    }

    fn enlist(&self) -> io::Result<Ticket> {
        let name = self.name.clone().unwrap_or_default();
        let may_fail = if self.process.is_some() { MayFail::No } else { MayFail::Yes };
        scheduler::point();
        scheduler::enlist(name, self.process, may_fail)
            .ok_or_else(|| io::Error::from_raw_os_error(NO_THREAD))
    }

    fn real(&self) -> std::thread::Builder {
        // What runs here is not optimised as far as the product.
        let size = self.stack_size.map_or(2 << 20, |size| size * 4);
        std::thread::Builder::new().stack_size(size)
    }

    /// # Errors
    /// When there are too many threads, as the seed will have it.
    pub fn spawn<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let ticket = self.enlist()?;
        let number = ticket.number;
        let real = self.real().spawn(move || ticket.take(work)).expect("a real thread");
        scheduler::point();
        Ok(JoinHandle { number, real })
    }
}

impl<T> JoinHandle<T> {
    #[must_use]
    pub fn is_calling(&self) -> bool {
        scheduler::number() == self.number
    }

    /// # Errors
    /// When it has panicked.
    pub fn join(self) -> std::thread::Result<T> {
        scheduler::join(self.number);
        self.real.join()
    }
}

#[track_caller]
pub fn sleep(duration: Duration) {
    let Some(now) = scheduler::now() else { return };
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4);
    scheduler::block(For::Call, Some(now.saturating_add(nanoseconds)));
}

/// What pthread_create(3) fails with: EAGAIN.
const NO_THREAD: i32 = 11;
