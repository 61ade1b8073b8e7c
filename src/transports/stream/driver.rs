//! Who writes what a sender leaves in the queue. Pure: one state, changed under the queue's lock.
//!
//! ```text
//!              gathered, or kernel full              caller waits for room
//!   Nobody ─────────────────────────────▶ Ticks ─────────────────────────────▶ Caller
//!      ▲                                   │  ▲                                  │
//!      │        nothing to see for long    │  │   caller gone, ticks go on       │
//!      ├───────────────────────────────────┘  └──────────────────────────────────┤
//!      │                                   │ kernel still full                   │
//!      │        the kernel has room        ▼                                     │
//!      └──────────────────────────────── Kernel        caller gone, no ticks ────┘
//! ```
//!
//! A caller who waits for room takes over from whoever it is.

/// Who it is, and whether the reactor looks at the queue often.
#[derive(Debug, Default)]
pub struct Driver {
    role: Role,
    /// The reactor has this connection on its list of those that it looks at often, or is about to.
    ticking: Ticking,
    untouched: Untouched,
    /// How many looks in a row have seen here what is still here.
    waited: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    /// What is accepted is written by its sender at once.
    #[default]
    Nobody,
    /// The reactor looks often, and writes what has been left for a while.
    Ticks { quiet_looks: u32 },
    /// A blocked caller waits until the kernel takes more, and writes then.
    Caller,
    /// The kernel will say that it takes more, and the reactor writes then.
    Kernel,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ticking {
    #[default]
    No,
    Yes,
}

/// Whether something was accepted since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Untouched {
    #[default]
    No,
    SinceLastLook,
}

/// What a look at the queue finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Nothing,
    Something,
}

/// What a look at the queue asks of the reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Look again a little later.
    Again,
    /// The same, and give back what an idle connection does not need.
    AgainAtRest,
    /// Write what lies there, then look again, or leave it to the kernel's word.
    Write,
    /// Look no more.
    Done,
}

impl Driver {
    /// Something has been accepted.
    pub fn note_fresh(&mut self) {
        self.untouched = Untouched::No;
    }

    /// Everything that lay here is on its way.
    pub fn note_taken(&mut self) {
        self.waited = 0;
    }

    /// Something is left here that nobody writes at once, or gives back. True when the reactor is
    /// to look often from now on.
    #[must_use]
    pub fn rely_on_ticks(&mut self) -> bool {
        match self.role {
            Role::Nobody => {
                self.role = Role::Ticks { quiet_looks: 0 };
                std::mem::replace(&mut self.ticking, Ticking::Yes) == Ticking::No
            }
            Role::Ticks { .. } | Role::Caller | Role::Kernel => false,
        }
    }

    /// A caller waits for room from now on.
    pub fn begin_driving(&mut self) {
        self.role = Role::Caller;
    }

    /// Whether one does.
    #[must_use]
    pub fn is_driven(&self) -> bool {
        self.role == Role::Caller
    }

    /// He waits no more, and writes before he does anything else.
    pub fn end_driving(&mut self) {
        if self.role == Role::Caller {
            self.role = match self.ticking {
                Ticking::Yes => Role::Ticks { quiet_looks: 0 },
                Ticking::No => Role::Nobody,
            };
        }
    }

    /// The reactor looks at the queue.
    pub fn look(&mut self, content: Content) -> Look {
        let untouched = std::mem::replace(&mut self.untouched, Untouched::SinceLastLook);
        let Role::Ticks { quiet_looks } = &mut self.role else {
            return self.end_ticking();
        };
        match content {
            Content::Something => {
                *quiet_looks = 0;
                self.waited += 1;
                // A sender who goes on writes for himself when there is enough. However fresh the
                // last of it is, the first does not wait for ever.
                let is_left = untouched == Untouched::SinceLastLook || self.waited > WAITS_MAX;
                if is_left { Look::Write } else { Look::Again }
            }
            Content::Nothing if *quiet_looks >= QUIET_LOOKS_MAX => {
                self.role = Role::Nobody;
                self.end_ticking()
            }
            Content::Nothing => {
                *quiet_looks += 1;
                self.waited = 0;
                if untouched == Untouched::No { Look::Again } else { Look::AgainAtRest }
            }
        }
    }

    /// The reactor looks at the queue a second time, a few microseconds after it was sent for and
    /// has looked. Nobody goes on sending who leaves alone what lies here.
    pub fn glance(&mut self, content: Content) -> Look {
        match (self.role, content, self.untouched) {
            (Role::Ticks { .. }, Content::Something, Untouched::SinceLastLook) => Look::Write,
            (Role::Ticks { .. }, ..) => Look::Again,
            (Role::Nobody | Role::Caller | Role::Kernel, ..) => self.end_ticking(),
        }
    }

    /// The kernel took less than a look wanted to write. True when it is to say when it takes more.
    #[must_use]
    pub fn leave_to_kernel(&mut self) -> bool {
        let is_left = matches!(self.role, Role::Ticks { .. } | Role::Nobody);
        if is_left {
            self.role = Role::Kernel;
        }
        self.end_ticking();
        is_left
    }

    /// The kernel takes more.
    pub fn note_room(&mut self) {
        if self.role == Role::Kernel {
            self.role = Role::Nobody;
        }
    }

    /// Whether the kernel is to say when it takes more.
    #[must_use]
    pub fn awaits_room(&self) -> bool {
        self.role == Role::Kernel
    }

    fn end_ticking(&mut self) -> Look {
        self.ticking = Ticking::No;
        Look::Done
    }
}

/// Looks that find a sender busy with what he gathers before it is written for him.
const WAITS_MAX: u32 = if cfg!(loom) { 1 } else { 40 };
/// Looks without anything to see before the reactor looks no more.
const QUIET_LOOKS_MAX: u32 = if cfg!(loom) { 1 } else { 2 };

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_reactor_is_told_once_and_forgets_a_quiet_queue() {
        let mut driver = Driver::default();
        assert!(driver.rely_on_ticks());
        assert!(!driver.rely_on_ticks());
        let looks: Vec<_> = std::iter::repeat_with(|| driver.look(Content::Nothing))
            .take_while(|look| *look != Look::Done)
            .collect();
        assert_eq!(looks, [Look::Again, Look::AgainAtRest]);
        assert!(driver.rely_on_ticks());
    }

    #[test]
    fn a_glance_tells_what_was_left_from_what_is_gathered_further() {
        let mut driver = Driver::default();
        driver.note_fresh();
        let _ = driver.rely_on_ticks();
        assert_eq!(driver.look(Content::Something), Look::Again);
        assert_eq!(driver.glance(Content::Something), Look::Write);
        assert_eq!(driver.glance(Content::Nothing), Look::Again);
        driver.note_fresh();
        assert_eq!(driver.glance(Content::Something), Look::Again);
        driver.begin_driving();
        assert_eq!(driver.glance(Content::Something), Look::Done);
        driver.end_driving();
        assert!(driver.rely_on_ticks(), "the reactor had been sent away");
    }

    #[test]
    fn what_lies_untouched_from_one_look_to_the_next_is_written() {
        let mut driver = Driver::default();
        driver.note_fresh();
        let _ = driver.rely_on_ticks();
        assert_eq!(driver.look(Content::Something), Look::Again);
        assert_eq!(driver.look(Content::Something), Look::Write);
        driver.note_taken();
        driver.note_fresh();
        assert_eq!(driver.look(Content::Something), Look::Again);
        driver.note_fresh();
        assert_eq!(driver.look(Content::Something), Look::Again);
        assert_eq!(driver.look(Content::Something), Look::Write);
        driver.note_taken();
        assert_eq!(driver.look(Content::Nothing), Look::AgainAtRest);
    }

    #[test]
    fn however_much_comes_behind_nothing_waits_for_ever() {
        let mut driver = Driver::default();
        let _ = driver.rely_on_ticks();
        for _ in 0..2 {
            let looks = std::iter::repeat_with(|| {
                driver.note_fresh();
                driver.look(Content::Something)
            });
            assert_eq!(looks.take_while(|look| *look == Look::Again).count(), 40);
            driver.note_taken();
        }
    }

    #[test]
    fn a_sender_that_writes_for_itself_is_left_alone() {
        let mut driver = Driver::default();
        let _ = driver.rely_on_ticks();
        for _ in 0..100 {
            driver.note_fresh();
            assert_eq!(driver.look(Content::Something), Look::Again);
            driver.note_taken();
        }
    }

    #[test]
    fn a_caller_that_waits_for_room_replaces_the_ticks() {
        let mut driver = Driver::default();
        let _ = driver.rely_on_ticks();
        driver.begin_driving();
        assert!(!driver.rely_on_ticks());
        assert_eq!(driver.look(Content::Something), Look::Done);
        driver.end_driving();
        assert!(driver.rely_on_ticks(), "the reactor had been sent away");
    }

    #[test]
    fn ticks_go_on_when_a_caller_came_and_went_between_two_of_them() {
        let mut driver = Driver::default();
        let _ = driver.rely_on_ticks();
        driver.begin_driving();
        driver.end_driving();
        assert!(!driver.rely_on_ticks(), "the reactor looks already");
        assert_eq!(driver.look(Content::Something), Look::Again);
        assert_eq!(driver.look(Content::Something), Look::Write);
    }

    #[test]
    fn the_kernels_word_replaces_the_ticks_until_it_comes() {
        let mut driver = Driver::default();
        let _ = driver.rely_on_ticks();
        assert!(driver.leave_to_kernel() && driver.awaits_room());
        assert!(!driver.rely_on_ticks());
        driver.note_room();
        assert!(!driver.awaits_room() && driver.rely_on_ticks());
    }

    #[test]
    fn the_kernel_is_not_asked_for_what_a_caller_waits_for() {
        let mut driver = Driver::default();
        let _ = driver.rely_on_ticks();
        driver.begin_driving();
        assert!(!driver.leave_to_kernel() && !driver.awaits_room());
        driver.note_room();
        assert_eq!(driver.look(Content::Something), Look::Done);
    }
}
