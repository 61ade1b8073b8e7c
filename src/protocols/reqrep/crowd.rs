//! The requests of the branches of one REQ, and whose they are.

use std::collections::BTreeMap;

use super::inquiry::{Inquiry, Parting, Settings};
use crate::message::Message;
use crate::protocols::routing::LoadBalancer;
use crate::protocols::{BranchId, Loss, Nothing, PipeId, Pipes, Refusal};

#[derive(Debug, Default)]
pub struct Crowd {
    members: BTreeMap<BranchId, Member>,
    /// Whose request has that id, while it has no reply.
    askers: BTreeMap<u32, BranchId>,
    /// Those whose request nobody could take, who has waited longest first.
    unsent: BTreeMap<u64, BranchId>,
    /// How many have waited so far.
    turns: u64,
}

/// Who asks nothing costs next to nothing.
#[derive(Debug)]
enum Member {
    Idle(Settings),
    Busy(Box<Request>),
}

#[derive(Debug)]
struct Request {
    inquiry: Inquiry,
    /// Its place among those that wait.
    turn: Option<u64>,
}

impl Member {
    fn request(&mut self) -> Option<&mut Request> {
        match self {
            Member::Idle(_) => None,
            Member::Busy(request) => Some(request),
        }
    }
}

impl Crowd {
    pub fn add(&mut self, branch: BranchId, settings: Settings) {
        self.members.insert(branch, Member::Idle(settings));
    }

    pub fn remove(&mut self, branch: BranchId) {
        if let Some(Member::Busy(request)) = self.members.remove(&branch) {
            self.forget(&request);
        }
    }

    /// The request has no place in the lists any more.
    fn forget(&mut self, request: &Request) {
        self.askers.remove(&request.inquiry.id);
        request.turn.map(|turn| self.unsent.remove(&turn));
    }

    pub fn settings(&self, branch: BranchId) -> Option<&Settings> {
        Some(match self.members.get(&branch)? {
            Member::Idle(settings) => settings,
            Member::Busy(request) => &request.inquiry.settings,
        })
    }

    pub fn settings_mut(&mut self, branch: BranchId) -> Option<&mut Settings> {
        Some(match self.members.get_mut(&branch)? {
            Member::Idle(settings) => settings,
            Member::Busy(request) => &mut request.inquiry.settings,
        })
    }

    pub fn get(&self, branch: BranchId) -> Option<&Inquiry> {
        match self.members.get(&branch)? {
            Member::Idle(_) => None,
            Member::Busy(request) => Some(&request.inquiry),
        }
    }

    /// Whether a request with that id waits for its reply.
    pub fn knows(&self, id: u32) -> bool {
        self.askers.contains_key(&id)
    }

    pub fn begin(
        &mut self,
        branch: BranchId,
        id: u32,
        message: &mut Message,
        services: &mut LoadBalancer,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        let settings = *self.settings(branch).ok_or(Refusal::WrongState)?;
        let mut inquiry = Inquiry::new(id, settings);
        inquiry.begin(id, message, services, pipes)?;
        let request = Member::Busy(Box::new(Request { inquiry, turn: None }));
        // Who asks anew waits anew.
        if let Some(Member::Busy(before)) = self.members.insert(branch, request) {
            self.forget(&before);
        }
        self.askers.insert(id, branch);
        self.settle(branch);
        Ok(())
    }

    pub fn recv(&mut self, branch: BranchId, message: &mut Message) -> Result<(), Nothing> {
        let member = self.members.get_mut(&branch).ok_or(Nothing::WrongState)?;
        let Member::Busy(request) = member else { return Err(Nothing::WrongState) };
        let received = request.inquiry.recv(message);
        if received != Err(Nothing::Yet) {
            let idle = Member::Idle(request.inquiry.settings);
            if let Member::Busy(done) = std::mem::replace(member, idle) {
                self.forget(&done);
            }
        }
        received
    }

    /// A reply has come, maybe to a request of one of these.
    ///
    /// # Errors
    /// When it is of none.
    pub fn take_reply(
        &mut self,
        id: u32,
        reply: Message,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Loss> {
        let branch = self.askers.remove(&id).ok_or(Loss::Stale)?;
        let request = self.members.get_mut(&branch).and_then(Member::request);
        let taken = request.map_or(Err(Loss::Stale), |request| request.inquiry.take_reply(reply));
        self.settle(branch);
        pipes.tell_branch(branch);
        taken
    }

    /// A service can take a request.
    pub fn service_came(&mut self, services: &mut LoadBalancer, pipes: &mut dyn Pipes) {
        while services.is_writable()
            && let Some((turn, branch)) = self.unsent.first_key_value()
        {
            let (turn, branch) = (*turn, *branch);
            if let Some(request) = self.members.get_mut(&branch).and_then(Member::request) {
                request.inquiry.service_came(services, pipes);
                pipes.tell_branch(branch);
                if request.inquiry.is_unsent() {
                    return;
                }
                request.turn = None;
            }
            self.unsent.remove(&turn);
        }
    }

    pub fn service_left(
        &mut self,
        pipe: PipeId,
        how: Parting,
        services: &mut LoadBalancer,
        pipes: &mut dyn Pipes,
    ) {
        let asked = self.members.iter().filter(|(_, member)| match member {
            Member::Idle(_) => false,
            Member::Busy(request) => request.inquiry.is_asked_of(pipe),
        });
        let asked: Vec<_> = asked.map(|(branch, _)| *branch).collect();
        for branch in asked {
            if let Some(request) = self.members.get_mut(&branch).and_then(Member::request) {
                request.inquiry.service_left(pipe, how, services, pipes);
            }
            self.settle(branch);
            pipes.tell_branch(branch);
        }
    }

    pub fn timeout(
        &mut self,
        branch: BranchId,
        services: &mut LoadBalancer,
        pipes: &mut dyn Pipes,
    ) {
        if let Some(request) = self.members.get_mut(&branch).and_then(Member::request) {
            request.inquiry.timeout(services, pipes);
        }
        self.settle(branch);
    }

    /// Has the branch among those that wait, or not, as is right now.
    fn settle(&mut self, branch: BranchId) {
        let request = self.members.get_mut(&branch).and_then(Member::request);
        let Some(request) = request else { return };
        match (request.turn, request.inquiry.is_unsent()) {
            (None, true) => {
                self.turns += 1;
                request.turn = Some(self.turns);
                self.unsent.insert(self.turns, branch);
            }
            (Some(turn), false) => {
                request.turn = None;
                self.unsent.remove(&turn);
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}
