//! Branches of a socket: sockets without pipes of their own, whose machine asks that of the trunk.
//!
//! A branch has what a socket has that somebody calls: a handle, options, those who wait, what is
//! shown on descriptors, a timer. Pipes, endpoints and the machine that has every exchange are the
//! trunk's, and so is their lock, which is taken under that of the branch. What happens to a branch
//! without a call on it is told when no lock is held.

use std::sync::{Arc, Weak};

use super::context::Shared;
use super::life::Change;
use super::pipe::{Aftermath, Kin, Offshoot, Trunk};
use super::sleep::Lead;
use super::socket::{Joint, Socket};
use super::state::State;
use super::statistics::Traffic;
use crate::error::Error;
use crate::protocols::{Branch, BranchId, Branches, Pipes};
use crate::sync::atomic::Ordering;
use crate::trace::Happening;
use crate::transports::with_rhythm;

impl Socket {
    /// Makes another branch, with that handle and the options that the socket has now.
    ///
    /// # Errors
    /// `NotSupported` when it can have none, `NotOpen`.
    pub(super) fn make_branch(&self, handle: i32) -> Result<Arc<Socket>, Error> {
        let trunk = self.me.upgrade().ok_or(Error::NotOpen)?;
        let mut state = self.lock();
        if !self.is_usable() {
            return Err(Error::NotOpen);
        }
        let State { protocol, pipes, .. } = &mut *state;
        let branches = protocol.branches().ok_or(Error::NotSupported)?;
        let kin = pipes.kin.get_or_insert_with(|| Box::new(Kin::Branches(Box::default())));
        let Kin::Branches(table) = &mut **kin else { return Err(Error::NotSupported) };
        let id = BranchId(table.next);
        table.next += 1;
        let context = &self.context;
        let shared = Shared { reactor: Arc::clone(&context.reactor), printer: context.printer };
        let kin = Box::new(Kin::Trunk(Arc::clone(&trunk) as Arc<dyn Trunk>));
        let branch = Socket::new_branch(handle, Joint { trunk, id }, Branch::new(id), kin, &shared);
        branch.options().inherit(self.options());
        let me: Weak<dyn Offshoot> = Arc::downgrade(&branch) as Weak<Socket>;
        table.all.insert(id, me);
        branches.add(id);
        drop(state);
        let details =
            format_args!("type={} kind=branch of={}", self.socket_type().name, context.handle);
        branch.context.trace(Happening::Opened, details);
        Ok(branch)
    }

    /// All branches, which the socket has none of from now on.
    pub(super) fn take_branches(&self) -> Vec<Arc<dyn Offshoot>> {
        let mut state = self.lock();
        match state.pipes.kin.as_deref_mut() {
            Some(Kin::Branches(table)) => {
                let all = std::mem::take(&mut table.all);
                all.values().filter_map(Weak::upgrade).collect()
            }
            Some(Kin::Trunk(_)) | None => Vec::new(),
        }
    }

    fn branches(&self) -> Vec<Arc<dyn Offshoot>> {
        let state = self.lock();
        match state.pipes.kin.as_deref() {
            Some(Kin::Branches(table)) => table.all.values().filter_map(Weak::upgrade).collect(),
            Some(Kin::Trunk(_)) | None => Vec::new(),
        }
    }

    /// A branch has ended: what it had under way is given up, and what it has counted is kept.
    pub(super) fn leave_trunk(&self) {
        let Some(Joint { trunk, id }) = self.joint.as_deref() else { return };
        let traffic = self.lock().traffic;
        let mut aftermath = Aftermath::default();
        trunk.contain(|| {
            trunk.enter(&mut aftermath, &mut |branches, _| branches.remove(*id));
            let mut state = trunk.lock();
            state.traffic.add(&traffic);
            if let Some(Kin::Branches(table)) = state.pipes.kin.as_deref_mut() {
                table.all.remove(id);
            }
        });
        aftermath.settle();
    }

    /// A thread is about to sleep on the branch, and would lead next.
    pub(super) fn become_heir(&self) {
        let Some(Joint { trunk, id }) = self.joint.as_deref() else { return };
        let is_noted = {
            let mut state = trunk.lock();
            match state.pipes.kin.as_deref_mut() {
                Some(Kin::Branches(table)) => table.heirs.add(*id).is_ok(),
                Some(Kin::Trunk(_)) | None => false,
            }
        };
        if is_noted {
            // The fence of `begin_sleeping` follows.
            trunk.waiting.heirs.fetch_add(1, Ordering::Relaxed);
        } else {
            // Nobody would wake it to lead.
            trunk.read_in_background();
        }
    }

    /// A thread that was about to lead next is awake. If nobody leads, another one does.
    pub(super) fn end_being_heir(&self) {
        let Some(Joint { trunk, id }) = self.joint.as_deref() else { return };
        {
            let mut state = trunk.lock();
            if let Some(Kin::Branches(table)) = state.pipes.kin.as_deref_mut()
                && table.heirs.remove(*id)
            {
                trunk.waiting.heirs.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if trunk.waiting.has_streams() {
            drop(Lead::take(trunk));
        }
    }

    #[cold]
    pub(super) fn wake_heir(&self) {
        let heir = match self.lock().pipes.kin.as_deref() {
            Some(Kin::Branches(table)) => table.heirs.next(|id| table.all.get(&id)?.upgrade()),
            Some(Kin::Trunk(_)) | None => None,
        };
        if let Some(heir) = heir {
            heir.wake();
        }
    }

    /// What the socket has counted, and its branches.
    pub(super) fn traffic_of_all(&self, own: Traffic) -> Traffic {
        let mut sum = own;
        self.branches().iter().for_each(|branch| sum.add(&branch.traffic()));
        sum
    }

    /// What is broken in one of them is broken in all.
    pub(super) fn take_kin_out_of_service(&self) {
        if let Some(Joint { trunk, .. }) = self.joint.as_deref() {
            trunk.take_out_of_service();
        }
        self.branches().iter().for_each(|branch| branch.take_out_of_service());
    }
}

impl Joint {
    /// Asks the machine of the trunk about the branch.
    ///
    /// # Errors
    /// `NotOpen` when it is of no use any more, or what the machine says.
    pub fn ask<T>(
        &self,
        question: impl FnOnce(&mut dyn Branches, BranchId) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = self.trunk.lock();
        let branches = state.protocol.branches().filter(|_| self.trunk.is_usable());
        question(branches.ok_or(Error::NotOpen)?, self.id)
    }

    /// Reads what the kernel has for any branch, unless somebody is at it.
    pub fn read(&self) {
        self.trunk.pump_ready_streams(self.trunk.waiting.recv.epoch());
    }
}

impl Trunk for Socket {
    fn enter(
        &self,
        aftermath: &mut Aftermath,
        ask: &mut dyn FnMut(&mut dyn Branches, &mut dyn Pipes),
    ) {
        {
            let mut guard = self.lock();
            let state = &mut *guard;
            if !self.is_usable() {
                return;
            }
            let (protocol, mut view) = state.parts(&self.context, aftermath);
            if let Some(branches) = protocol.branches() {
                with_rhythm(|rhythm| rhythm.within_branch(|| ask(branches, &mut view)));
            }
            state.remove_drained(aftermath);
            self.show(state);
        }
        self.shown.settle();
    }
}

impl Offshoot for Socket {
    fn hear(&self) {
        self.tell(|protocol, view| protocol.trunk_changed(view));
        self.waiting.ring_all();
    }

    fn traffic(&self) -> Traffic {
        self.lock().traffic
    }

    fn handle(&self) -> i32 {
        self.context.handle
    }

    fn close(&self) -> Change {
        if Socket::close(self).is_some() { Change::First } else { Change::Late }
    }

    fn take_out_of_service(&self) {
        Socket::take_out_of_service(self);
    }

    fn wake(&self) {
        self.waiting.recv.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::core::fixtures::{Opened, PAIR, PUSH, REP, REQ, fresh_name};
    use crate::core::options::option::{LINGER, RECV_TIMEOUT};
    use crate::core::registry::{self, RAW};
    use crate::core::statistics::number::*;
    use crate::protocols::option::REQ_RESEND_INTERVAL;
    use crate::transports::Dialect;

    const SECOND: Duration = Duration::from_secs(1);

    fn branch(socket: &Opened) -> Opened {
        Opened(registry::open_branch(socket.0).unwrap())
    }

    fn asking() -> [Opened; 2] {
        let (name, both) = (fresh_name(), [Opened::cooked(REQ), Opened::cooked(REP)]);
        both[1].bind(&name);
        both[0].connect(&name);
        both
    }

    #[test]
    fn each_reply_reaches_whoever_asked() {
        let [req, rep] = asking();
        let askers: Vec<_> = (0..20).map(|_| branch(&req)).collect();
        req.send("own").unwrap();
        for (at, asker) in askers.iter().enumerate() {
            asker.send(&at.to_string()).unwrap();
        }
        let workers: Vec<_> = (0..=20).map(|_| branch(&rep)).collect();
        let asked: Vec<_> = workers.iter().map(|worker| worker.try_recv().unwrap()).collect();
        for (worker, asked) in workers.iter().zip(&asked).rev() {
            worker.send(&format!("re {asked}")).unwrap();
        }
        for (at, asker) in askers.iter().enumerate() {
            assert_eq!(asker.try_recv(), Ok(format!("re {at}")));
            assert_eq!(asker.try_recv(), Err(Error::WrongState));
        }
        assert_eq!(req.try_recv(), Ok("re own".into()));
        assert_eq!(req.statistic(MESSAGES_SENT), 21);
        assert_eq!(askers[0].statistic(MESSAGES_SENT), 1);
        drop(askers);
        assert_eq!(req.statistic(MESSAGES_RECEIVED), 21, "what is closed has counted");
    }

    #[test]
    fn one_that_is_closed_takes_its_request_along_and_no_other() {
        let [req, rep] = asking();
        let (one, other) = (branch(&req), branch(&req));
        one.send("one").unwrap();
        other.send("other").unwrap();
        let workers = [branch(&rep), branch(&rep)];
        let asked = workers.each_ref().map(|worker| worker.try_recv().unwrap());
        one.close().unwrap();
        for (worker, asked) in workers.iter().zip(&asked) {
            worker.send(asked).unwrap();
        }
        assert_eq!(other.try_recv(), Ok("other".into()));
    }

    #[test]
    fn the_end_of_the_socket_ends_all_at_once() {
        let [req, _rep] = asking();
        req.set_int(&LINGER, 10_000).unwrap();
        let branches: Vec<_> = (0..3).map(|_| branch(&req)).collect();
        branches.iter().for_each(|branch| branch.send("q").unwrap());
        let handles: Vec<_> = branches.iter().map(|branch| branch.0).collect();
        let lost: Vec<_> = thread::scope(|scope| {
            let wait = |branch| scope.spawn(move || Opened::recv(branch));
            let waiting: Vec<_> = branches.iter().map(wait).collect();
            let sleepers = |branch: &Opened| branch.get().waiting.recv.handover.sleepers();
            while branches.iter().any(|branch| sleepers(branch) == 0) {
                thread::yield_now();
            }
            let began = Instant::now();
            req.close().unwrap();
            let lost = waiting.into_iter().map(|waiting| waiting.join().unwrap()).collect();
            assert!(began.elapsed() < SECOND, "nobody lingers");
            lost
        });
        assert_eq!(lost, [const { Err(Error::NotOpen) }; 3]);
        for handle in handles {
            assert_eq!(registry::find(handle).err(), Some(Error::NotOpen));
            assert_eq!(registry::close(handle), Err(Error::NotOpen));
        }
    }

    #[test]
    fn who_waits_first_or_later_gets_a_request() {
        let [req, rep] = asking();
        let workers: Vec<_> = (0..4).map(|_| branch(&rep)).collect();
        let askers: Vec<_> = (0..4).map(|_| branch(&req)).collect();
        thread::scope(|scope| {
            for worker in &workers {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let asked = worker.recv().unwrap();
                        worker.send(&asked).unwrap();
                    }
                });
            }
            for asker in &askers {
                scope.spawn(move || {
                    for at in 0..50 {
                        asker.send(&at.to_string()).unwrap();
                        assert_eq!(asker.recv(), Ok(at.to_string()));
                    }
                });
            }
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "opens sockets of the system")]
    fn who_hands_over_the_lead_passes_over_branches_that_are_gone() {
        let [req, rep] = [Opened::cooked(REQ), Opened::cooked(REP)];
        req.connect(&rep.address(rep.bind("tcp://127.0.0.1:0")));
        req.send("q").unwrap();
        assert_eq!(rep.recv(), Ok("q".into()));
        let (gone, there) = (branch(&rep), branch(&rep));
        let lead = Lead::take(&there.get().joint.as_ref().unwrap().trunk).unwrap();
        // Its thread would wake by the close, and sooner or later go on.
        gone.get().become_heir();
        gone.close().unwrap();
        there.get().become_heir();
        let before = there.get().waiting.recv.epoch();
        drop(lead);
        assert_ne!(there.get().waiting.recv.epoch(), before, "it is told to lead");
        there.get().end_being_heir();
    }

    #[test]
    fn a_request_before_the_first_peer_is_sent_and_sent_again() {
        let (req, rep, name) = (Opened::cooked(REQ), Opened::cooked(REP), fresh_name());
        let resend = 50_i32.to_ne_bytes();
        req.get().set_option(REQ, REQ_RESEND_INTERVAL, Some(&resend)).unwrap();
        let branches = [branch(&req), branch(&req)];
        branches.iter().for_each(|branch| branch.send("q").unwrap());
        rep.bind(&name);
        req.connect(&name);
        // Nobody calls: both are sent, and sent again.
        (0..4).for_each(|_| assert_eq!(rep.recv(), Ok("q".into())));
    }

    #[test]
    fn options_of_calls_are_its_own_and_others_the_sockets() {
        let req = Opened::cooked(REQ);
        req.set_int(&RECV_TIMEOUT, 7).unwrap();
        let one = branch(&req);
        let timeout =
            |socket: &Opened| socket.get().option(RECV_TIMEOUT.level, RECV_TIMEOUT.number).unwrap();
        assert_eq!(timeout(&one), timeout(&req));
        one.set_int(&RECV_TIMEOUT, 9).unwrap();
        assert_ne!(timeout(&one), timeout(&req));
        assert_eq!(one.set_int(&LINGER, 9), Err(Error::NotSupported));
        let resend = 50_i32.to_ne_bytes();
        one.get().set_option(REQ, REQ_RESEND_INTERVAL, Some(&resend)).unwrap();
        let interval = |socket: &Opened| socket.get().option(REQ, REQ_RESEND_INTERVAL);
        assert_ne!(interval(&one), interval(&req));
        assert_eq!(one.get().option(REQ, 77), Err(Error::UnknownOption));
        assert_eq!(one.get().set_option(0, 77, Some(&resend)), Err(Error::UnknownOption));
    }

    #[test]
    fn what_has_no_branches_says_so() {
        for socket in [Opened::cooked(PAIR), Opened::cooked(PUSH), Opened::new(RAW, REQ)] {
            assert_eq!(registry::open_branch(socket.0), Err(Error::NotSupported));
        }
        let req = Opened::cooked(REQ);
        let one = branch(&req);
        assert_eq!(registry::open_branch(one.0), Err(Error::NotSupported));
        assert_eq!(registry::open_branch(-1), Err(Error::NotOpen));
        let address = fresh_name();
        let bound = one.get().bind(address.as_bytes(), Dialect::Extended);
        assert_eq!(bound, Err(Error::NotSupported));
        assert_eq!(one.get().shutdown(1), Err(Error::NotSupported));
    }
}
