//! How the reactor knows a socket whose protocol has deadlines.

use std::sync::Arc;
use std::time::Instant;

use crate::io::{Handler, Key, LazyReactor, Reactor};
use crate::memory::OutOfMemory;
use crate::sync::OnceCell;

/// The one timer of a socket, which the reactor hears of when the protocol first has a deadline.
#[derive(Debug, Default)]
pub struct Timer(OnceCell<Key>);

impl Timer {
    /// Has `handler` called at that time; it is made when the timer is first set.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn set(
        &self,
        reactor: &Reactor,
        at: Instant,
        handler: impl FnOnce() -> Arc<dyn Handler>,
    ) -> Result<(), OutOfMemory> {
        let key = *self.0.get_or_try_init(|| reactor.add(|_| handler()))?;
        reactor.set_timer(key, Some(at));
        Ok(())
    }

    /// The handler is not called any more.
    pub fn forget(&self, reactor: &LazyReactor) {
        // Who has a key has it of a reactor. To ask for one would start it, to stop it at once.
        if let (Some(key), Some(reactor)) = (self.0.get(), reactor.started()) {
            reactor.forget(*key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
    use std::time::Duration;

    use super::*;
    use crate::sys::Event;

    struct Alarm(Sender<Instant>);

    impl Handler for Alarm {
        fn ready(&self, _event: Event) {}

        fn timeout(&self, now: Instant) {
            self.0.send(now).unwrap();
        }

        fn broken(&self) {}
    }

    #[test]
    fn a_timer_has_one_handler_and_fires_as_often_as_it_is_set() {
        let (reactor, timer, (sender, alarms)) =
            (LazyReactor::default(), Timer::default(), channel());
        let at = Instant::now();
        for _ in 0..3 {
            let handler = || Arc::new(Alarm(sender.clone())) as Arc<dyn Handler>;
            timer.set(reactor.get().unwrap(), at, handler).unwrap();
            assert!(alarms.recv().unwrap() >= at);
        }
        drop(sender);
        timer.forget(&reactor);
        // The only handler was the last who could have sent.
        let end = alarms.recv_timeout(Duration::from_secs(30));
        assert_eq!(end, Err(RecvTimeoutError::Disconnected));
        reactor.stop();
    }

    #[test]
    fn a_timer_that_was_never_set_starts_no_reactor() {
        let reactor = LazyReactor::default();
        Timer::default().forget(&reactor);
        assert!(reactor.started().is_none());
        reactor.stop();
    }
}
