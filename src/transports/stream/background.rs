//! What the reactor does for a connection while no caller does it.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::connection::{News, StreamConnection};
use super::outbound::Look;
use super::scratch;
use crate::io::{Handler, Tick};
use crate::sys::{Event, Interest};
use crate::transports::Stream;

/// What the reactor watches for, beside the end of the stream.
#[derive(Default)]
pub struct Watch {
    is_started: bool,
    writable: bool,
}

impl StreamConnection {
    /// Has the reactor watch for the end of the stream from now on.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        let handler: Arc<dyn Handler> = Arc::clone(self) as _;
        let key = *self.key.get_or_init(|| self.reactor.add(|_| handler));
        let mut watch = self.watch.lock();
        watch.is_started = true;
        self.reactor.watch(key, self.stream.as_raw_fd(), self.interest(&watch))
    }

    pub(super) fn become_lively(&self) {
        if !self.is_lively.swap(true, Ordering::SeqCst)
            && let Some(me) = self.me.upgrade()
        {
            self.quiet_looks.store(0, Ordering::Relaxed);
            self.reactor.tick_often(me);
        }
    }

    /// Leaves the rest to the kernel's word that there is room again.
    fn await_room(&self) {
        self.watch.lock().writable = true;
        self.rewatch();
    }

    pub(super) fn rewatch(&self) {
        let watch = self.watch.lock();
        let Some(key) = self.key.get().filter(|_| watch.is_started) else { return };
        let interest = self.interest(&watch);
        if self.reactor.rewatch(*key, self.stream.as_raw_fd(), interest).is_err() {
            // The kernel is short of something: nothing would be heard of the stream any more.
            self.is_unwatched.store(true, Ordering::Relaxed);
            drop(watch);
            self.look_again_after(REWATCH);
        }
    }

    fn interest(&self, watch: &Watch) -> Interest {
        // A receive that makes room now must not believe that its doing is seen below.
        self.is_watched_to_read.store(false, Ordering::Relaxed);
        let readable = self.in_background.load(Ordering::Relaxed) && !self.is_full();
        self.is_watched_to_read.store(readable, Ordering::Relaxed);
        Interest { readable, writable: watch.writable, ended: true, once: true }
    }

    pub(super) fn stop_watching(&self) {
        let was_started = std::mem::take(&mut self.watch.lock().is_started);
        if was_started {
            self.reactor.unwatch(self.stream.as_raw_fd());
        }
        if let Some(key) = self.key.get() {
            self.reactor.forget(*key);
        }
    }

    /// Callers read from now on, so that messages take no detour over the reactor's thread.
    #[cold]
    pub(super) fn leave_background(&self) {
        self.in_background.store(false, Ordering::Relaxed);
        self.rewatch();
        self.look_again_after(FOREGROUND);
    }

    fn look_again_after(&self, delay: Duration) {
        if let Some(key) = self.key.get() {
            self.reactor.set_timer(*key, Some(Instant::now() + delay));
        }
    }

    /// Reads everything up to the end of the stream, of which the kernel has told us: else it
    /// would not be noticed before the application has received all that came before.
    fn read_to_end(&self) {
        let mut news = News::Nothing;
        for _ in 0..READS_TO_END_MAX {
            let mut reading = self.reading.lock();
            if reading.is_ended {
                break;
            }
            news = self.read_once(&mut reading, scratch::SIZE);
            drop(reading);
            self.tell(news);
            if matches!(news, News::Nothing | News::Last | News::Ended) {
                break;
            }
        }
        if news != News::Ended && !self.is_ended.load(Ordering::Acquire) {
            self.rewatch();
        }
    }
}

impl Handler for StreamConnection {
    fn ready(&self, event: Event) {
        if event.ended {
            return self.read_to_end();
        }
        if event.readable && self.in_background.load(Ordering::Relaxed) {
            self.read(self.background_read_size());
        }
        if event.writable {
            self.watch.lock().writable = false;
            self.write_out();
        }
        self.rewatch();
    }

    /// Looks whether callers still read.
    fn timeout(&self, _now: Instant) {
        let is_awaited = self.pipe.get().is_some_and(|pipe| pipe.is_awaited());
        if is_awaited {
            self.look_again_after(FOREGROUND_WAITING);
        } else if self.was_pumped.swap(false, Ordering::Relaxed) {
            self.look_again_after(FOREGROUND);
        } else {
            self.in_background.store(true, Ordering::Relaxed);
            self.end_if_violated();
            self.rewatch();
        }
        // Last, because a failure sets an earlier timer.
        if self.is_unwatched.swap(false, Ordering::Relaxed) {
            self.rewatch();
        }
    }

    fn broken(&self) {
        self.host.broken();
    }

    fn tick(&self) -> Tick {
        match self.outbound.look() {
            Look::Fresh => {
                self.quiet_looks.store(0, Ordering::Relaxed);
                return Tick::Again;
            }
            // A caller waits until there is room, and writes then.
            Look::Left if self.is_driven.load(Ordering::SeqCst) => {}
            Look::Left => {
                let written = self.outbound.write_all(&self.stream, || Some(Instant::now()));
                self.after_write(written);
                if !written.is_stuck {
                    return Tick::Again;
                }
                self.await_room();
            }
            Look::Empty => {
                let looks = self.quiet_looks.fetch_add(1, Ordering::Relaxed);
                if looks < QUIET_LOOKS_MAX {
                    return Tick::Again;
                }
            }
        }
        self.is_lively.store(false, Ordering::SeqCst);
        // Somebody may have relied on us between the look and the store.
        let relied_upon = !self.is_driven.load(Ordering::SeqCst)
            && self.outbound.look() != Look::Empty
            && !self.watch.lock().writable;
        if relied_upon && !self.is_lively.swap(true, Ordering::SeqCst) {
            return Tick::Again;
        }
        Tick::Done
    }
}

/// How long after a caller has read the reactor begins to do it.
const FOREGROUND: Duration = Duration::from_millis(50);
/// Before trying again to watch a stream.
const REWATCH: Duration = Duration::from_millis(20);
/// When to look again at a stream that somebody waits for.
const FOREGROUND_WAITING: Duration = Duration::from_secs(1);
/// Looks without anything to see before the reactor looks no more.
const QUIET_LOOKS_MAX: u32 = 40;
/// Reads at the end of a stream: more than any kernel buffers.
const READS_TO_END_MAX: usize = 1024;
