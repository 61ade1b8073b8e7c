//! What the reactor's looks at a connection lead to.

use super::connection::StreamConnection;
use super::driver::Look;
use crate::io::Tick;
use crate::trace;

impl StreamConnection {
    #[cold]
    pub(super) fn tell_displaced(&self) {
        self.with_pipe(|pipe| pipe.displaced(self.writer.take_displaced()));
    }

    pub(super) fn begin_ticking(&self) {
        self.trace(trace::Happening::ReactorLooks);
        if let Some(me) = self.me.upgrade() {
            self.watch.reactor().tick_often(me);
        }
    }

    /// Does what a look at the writer asks of the reactor.
    pub(super) fn act(&self, look: Look) -> Tick {
        match look {
            Look::Again | Look::AgainAtRest => Tick::Again,
            Look::Done => {
                self.trace(trace::Happening::ReactorRests);
                Tick::Done
            }
            Look::Write if !self.write_all().is_stuck => Tick::Again,
            Look::Write => {
                if self.writer.leave_to_kernel() {
                    self.trace(trace::Happening::KernelFull);
                    self.renew_watch();
                }
                Tick::Done
            }
        }
    }
}
